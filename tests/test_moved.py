"""Modules under the names that they had when each top folder was flat."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

OLD = {
    "aebench.models.objective": "aebench.models.objectives.objective",
    "aebench.models.space_logit": "aebench.models.spaces.logit",
    "aebench.models.space": "aebench.models.spaces.space",
    "aebench.models.density_gmm": "aebench.models.densities.gmm",
    "aebench.models.backbone_aef_big": "aebench.models.backbones.aef_big",
    "aebench.models.determinants": "aebench.models.checks",
    "aebench.models.partition": "aebench.models.objectives.masks",
    "aebench.bench.data_mnist": "aebench.bench.data.mnist",
    "aebench.bench.content": "aebench.bench.data.source",
    "aebench.bench.storage": "aebench.bench.files.storage",
    "aebench.bench.rows": "aebench.bench.records.rows",
}


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_an_old_name_is_the_present_module_and_a_deprecation(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"'{old}' is now '{new}'"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(new) and found.__name__ == new


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'aebench\.models\.nothing'"):
        importlib.import_module("aebench.models.nothing")


def test_a_name_that_a_package_hands_out_now_is_no_old_module():
    import aebench.bench

    with pytest.raises(ModuleNotFoundError, match=r"No module named 'aebench\.bench\.results'"):
        importlib.import_module("aebench.bench.results")
    assert aebench.bench.results.__module__ == "aebench.bench.python.running"


def test_public_names_come_from_the_packages_and_import_nothing_before():
    program = (
        "import sys, aebench.models, aebench.bench.data; assert 'torch' not in sys.modules\n"
        "from aebench.models import *\nfrom aebench.bench.data import Source, register\n"
        "from aebench.models.flows import NoFlow, build_flow\n"
        "from aebench.models.objectives.objective import Objective as same\n"
        "assert Objective is same and build and OBJECTIVES"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
