"""``aebench doctor``: agreement of implementations, and what is missing."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest
from aebench.bench.cli import doctor as command_doctor
from aebench.bench.errors import RunFailed
from aebench.bench.evaluation import agreement

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]


def doctor() -> int:
    parser = argparse.ArgumentParser()
    command_doctor.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["doctor"])
    return command_doctor.run(parsed)


@pytest.fixture
def without_data(monkeypatch):
    monkeypatch.setattr(command_doctor, "dataset_lines", lambda: [["digits", "whole", "here"]])


def test_installed_implementations_agree_with_ours():
    answers = agreement.compute_all()
    ours = answers[0]
    assert ours.name == "aebench"
    assert set(ours.values) == {"fd", "kid_full", "precision", "recall", "density", "coverage"}
    for other in answers[1:]:
        for name, value in other.values.items():
            assert value == pytest.approx(ours.values[name], rel=float32_slack(1)), (
                other.name,
                name,
            )
    assert any(other.values for other in answers[1:])


def test_the_features_tell_precision_from_recall():
    values = agreement.compute_all()[0].values
    assert values["precision"] > values["recall"] + 0.2


def test_the_report_names_what_is_missing_and_how_to_get_it(
    without_data, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AEBENCH_INCEPTION", raising=False)
    monkeypatch.setitem(agreement.IMPLEMENTATIONS, "no-such-package", agreement._ours)
    assert doctor() == 0
    out = capsys.readouterr().out
    assert "pip install no-such-package" in out
    assert "weights-inception-2015-12-05-6726825d.pth" in out
    assert "lite0@64:579344248a93" in out
    assert "relative spread" in out


def test_an_implementation_that_fails_is_shown_with_its_error(without_data, monkeypatch, capsys):
    def broken(real, generated):
        raise TypeError("sqrtm() got an unexpected keyword argument 'disp'")

    monkeypatch.setitem(agreement.IMPLEMENTATIONS, "numpy", broken)
    assert doctor() == 0
    assert "fails: TypeError: sqrtm() got an unexpected" in capsys.readouterr().out


def test_a_disagreement_fails_and_is_named(without_data, monkeypatch):
    monkeypatch.setitem(agreement.IMPLEMENTATIONS, "numpy", lambda *_: {"fd": 1.0})
    with pytest.raises(RunFailed, match="differ by more than 1e-06: fd"):
        doctor()


def test_data_sets_are_listed_with_their_state():
    lines = {line[0]: line[1:] for line in command_doctor.dataset_lines()}
    assert lines["digits"][0] == "whole"
