from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import pytest
from aebench.bench.records import provenance

OWN = "plugin_of_the_test"


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Returns a function that writes modules afresh and returns the digest of the first."""
    monkeypatch.syspath_prepend(tmp_path)

    def digest(**modules: str) -> str:
        for name, text in modules.items():
            (tmp_path / f"{OWN}_{name}.py").write_text(textwrap.dedent(text))
        names = [f"{OWN}_{name}" for name in modules]
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        provenance._meaning.cache_clear()
        sys.dont_write_bytecode = True
        importlib.import_module(names[0])
        return provenance.code_digest(names[:1])

    yield digest
    sys.dont_write_bytecode = False
    for name in [n for n in sys.modules if n.startswith(OWN)]:
        del sys.modules[name]


CODE = '''
    """A module."""
    def double(x):
        """Doubles."""
        # A comment.
        return 2 * x
'''


def test_comments_docstrings_and_layout_do_not_change_the_digest_and_code_does(digest_of):
    first = digest_of(a=CODE)
    assert len(first) == 16
    other = (
        CODE.replace("A comment", "Another").replace("Doubles", "Twice").replace("2 * x", "2*x")
    )
    assert digest_of(a=other) == first
    assert digest_of(a=CODE.replace("2 * x", "3 * x")) != first


def test_code_that_a_module_uses_is_followed_through_its_names(digest_of):
    uses = f"from {OWN}_a_base import double\nfour = double(2)\n"
    first = digest_of(a=uses, a_base=CODE)
    assert digest_of(a=uses, a_base=CODE.replace("2 * x", "3 * x")) != first
    alone = "import json\nfour = json.dumps(4)\n"
    assert digest_of(a=alone, a_base=CODE) == digest_of(a=alone, a_base="nothing = 0\n")


def test_the_digest_of_an_objective_depends_on_what_it_uses_and_not_on_other_objectives():
    importlib.import_module("aebench.models.objectives.vae")
    importlib.import_module("aebench.models.objectives.wae_mmd")
    reached = provenance._reach(["aebench.models.objectives.vae"])
    assert {"aebench.models.objectives.objective", "aebench.models.spaces.space"} <= reached
    assert "aebench.models.objectives.wae_mmd" not in reached


def test_the_commit_is_empty_outside_a_checkout_of_this_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    subprocess.run(["git", "init", "-q"], check=True)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    provenance.commit.cache_clear()


def test_versions_name_python_and_torch():
    assert '"python":"3.' in provenance.versions() and '"torch":"' in provenance.versions()


def test_dates_are_utc_to_the_second():
    from datetime import datetime, timedelta

    age = datetime.now().astimezone() - datetime.fromisoformat(provenance.now())
    assert timedelta(seconds=-1) < age < timedelta(seconds=5)
