"""``aebench tune``: equal trials on validation images, resumable, and what a suite takes of it."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.texts import texts
from aebench.bench.errors import UserError
from aebench.bench.evaluation import identity
from aebench.bench.files.locking import held
from aebench.bench.interruption import Stopped
from aebench.bench.records import equivalence
from aebench.bench.runs import runner
from aebench.bench.suites.suite import load_suite
from aebench.bench.suites.trials import Trial, Trials, ranges_text
from aebench.bench.training.term_sums import Diverged
from aebench.bench.tuning import criterion, study
from aebench.bench.tuning.plan import Plan
from aebench.models import build, form
from aebench.models.objectives.objective import OBJECTIVES, Objective
from aebench.models.options import Range
from aebench.models.streams import stream

SUITE = """
seed = [0, 1]
[training]
steps = 8
batch_size = 20
train_images = 100
validate_every = 4
[tuning]
steps = 4
[evaluation]
metrics = ["frechet"]
features = ["pixels"]
densities = ["prior", "gaussian"]
images = 80
sheet_images = 4
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 3
objective = ["ae", "vae", "rae"]
"""
TIMES = ("date", "commit")


@pytest.fixture
def suite(tmp_path):
    """Returns a function that writes the suite, with more text at its end."""

    def write(more: str = "", name: str = "small", old: str = "", new: str = "") -> str:
        path = tmp_path / f"{name}.toml"
        path.write_text(SUITE.replace(old, new) + more, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def tune(tmp_path, capsys):
    """Returns a function that tunes in this process: exit code and stderr."""

    def run(suite: str, *arguments: str, out: str = "out", workers: int = 1) -> tuple[int, str]:
        capsys.readouterr()
        given = ["tune", suite, "--device", "cpu", "--workers", str(workers)]
        code = main([*given, "--out", str(tmp_path / out), *arguments])
        return code, capsys.readouterr().err

    return run


def lines(folder: Path) -> list[dict[str, str]]:
    """Returns the trials of a folder without what may differ by time."""
    with (folder / "tuning.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in line.items() if k not in TIMES} for line in csv.DictReader(file)]


def of(folder: Path, objective: str) -> list[dict[str, str]]:
    return [line for line in lines(folder) if line["objective"] == objective]


@pytest.fixture
def judged(monkeypatch):
    """Counts how often a trained model is judged."""
    calls: list[dict[str, object]] = []
    judge = criterion.Criterion.judge

    def count(self, objective, config, data):
        calls.append(config.options)
        return judge(self, objective, config, data)

    monkeypatch.setattr(criterion.Criterion, "judge", count)
    return calls


def test_trials_are_the_same_whatever_the_workers_and_the_first_is_the_default(
    suite, tune, tmp_path
):
    # Not digits, for which each worker would import scikit-learn.
    draw, sizes = np.random.default_rng(0), {"train": 100, "validation": 80, "test": 10}
    images = {k: draw.integers(0, 256, (n, 1, 8, 8), np.uint8) for k, n in sizes.items()}
    np.savez(tmp_path / "images.npz", **images)
    path = suite(old='"digits"', new=f'"npz:{tmp_path / "images.npz"}"')
    code, told = tune(path, "--trials", "2", out="one")
    assert code == 0, told
    assert tune(path, "--trials", "2", out="two", workers=2)[0] == 0
    assert lines(tmp_path / "one") == lines(tmp_path / "two")
    assert [line["objective"] for line in lines(tmp_path / "one")] == ["ae"] + ["rae"] * 2 + [
        "vae"
    ] * 2
    for objective in ("vae", "rae"):
        own = of(tmp_path / "one", objective)
        assert [line["trial"] for line in own] == ["0", "1"]
        assert own[0]["options"] == "{}" and all("beta" in o["options"] for o in own[1:])
        assert {line["state"] for line in own} == {"ok"}
    (plain,) = of(tmp_path / "one", "ae")
    assert (plain["state"], plain["value"]) == ("nothing to tune", "")
    page = (tmp_path / "one" / "tuning.md").read_text()
    assert "default: nothing to tune" in page and "was given 2 trials" in page
    # Nothing is left of a trial but its line.
    left = {path.name for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert left <= {"tuning.csv", "tuning.md", "journal.log", ".lock"}


def test_the_page_names_the_methods_of_the_suite_that_have_ranges_and_no_trial(
    suite, tune, tmp_path
):
    logit = """
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 3
objective = "rae-l2"
space = "logit"
"""

    def told():
        return (tmp_path / "out" / "tuning.md").read_text()

    assert tune(suite(logit), "--trials", "1", "--only", "objective=rae")[0] == 0
    # All that an ae has to tune is nothing.
    assert "although they have ranges: vae, rae-l2 (logit) (digits, d = 3)." in told()
    assert "Each objective listed here that has ranges was given 1 trials." in told()
    assert tune(suite(logit), "--trials", "1", "--only", "objective=rae-l2")[0] == 0
    assert "although they have ranges: vae (digits, d = 3)." in told()
    assert tune(suite(logit), "--trials", "1")[0] == 0
    assert "Without a trial" not in told()


def test_a_trial_never_has_a_seed_of_the_suite_nor_sees_a_test_image(
    suite, tune, tmp_path, monkeypatch
):
    only = ("--only", "objective=rae")
    assert tune(suite(), "--trials", "2", *only)[0] == 0
    assert {line["seed"] for line in lines(tmp_path / "out")} == {str(2**31)}
    whole = load_dataset("digits")
    other = dataclasses.replace(whole, test=torch.zeros_like(whole.test))
    monkeypatch.setattr(runner, "dataset", lambda name, split: other)
    assert tune(suite(), "--trials", "2", *only, out="blank")[0] == 0
    values = [[line["value"] for line in lines(tmp_path / out)] for out in ("out", "blank")]
    assert values[0] == values[1]


def test_a_stopped_tuning_goes_on_and_makes_no_finished_trial_again(
    suite, tune, tmp_path, monkeypatch, judged
):
    only = ("--only", "objective=vae")
    assert tune(suite(), "--trials", "4", *only, out="straight")[0] == 0
    judge = criterion.Criterion.judge
    judged.clear()

    def stop_at_the_third(self, *arguments):
        if len(judged) == 2:
            raise Stopped
        return judge(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(criterion.Criterion, "judge", stop_at_the_third)
        code, told = tune(suite(), "--trials", "4", *only)
    assert code == 1 and "2 trials are in" in told and "goes on from here" in told
    assert len(lines(tmp_path / "out")) == 2
    # A write that was cut off: this trial is made again.
    (journal,) = (tmp_path / "out").glob("tuning/*/journal.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"')
    assert tune(suite(), "--trials", "4", *only)[0] == 0
    assert len(judged) == 4
    assert lines(tmp_path / "out") == lines(tmp_path / "straight")


def test_a_tuning_that_stopped_in_its_first_trial_goes_on(suite, tune, tmp_path, monkeypatch):
    def stop(self, *_):
        raise Stopped

    only = ("--only", "objective=vae")
    with monkeypatch.context() as patch:
        patch.setattr(criterion.Criterion, "judge", stop)
        code, told = tune(suite(), "--trials", "2", *only)
    assert code == 1 and "0 trials are in" in told
    assert "no trials: none has been made yet" in (tmp_path / "out" / "tuning.md").read_text()
    code, told = tune(suite(), "--trials", "2", *only)
    assert code == 0, told
    assert len(lines(tmp_path / "out")) == 2


def test_a_stopped_tuning_tells_which_methods_failed(suite, tune, monkeypatch):
    def fail_or_stop(self, objective, config, data):
        raise MemoryError("CUDA out of memory") if config.objective == "vae" else Stopped

    monkeypatch.setattr(criterion.Criterion, "judge", fail_or_stop)
    code, told = tune(suite(old='"ae", "vae", "rae"', new='"vae", "rae"'), "--trials", "2")
    assert code == 1 and "aebench: 'vae digits d=3 s=2147483648': out of memory on cpu" in told
    assert told.splitlines()[-1].startswith("aebench: Stopped. 0 trials are in")


def test_a_method_that_fails_first_does_not_keep_the_others_from_being_tuned(
    suite, tune, tmp_path, monkeypatch
):
    judge = criterion.Criterion.judge

    def fail_for_vae(self, objective, config, data):
        if config.objective == "vae":
            raise MemoryError("CUDA out of memory")
        return judge(self, objective, config, data)

    monkeypatch.setattr(criterion.Criterion, "judge", fail_for_vae)
    own = suite(old='["ae", "vae", "rae"]', new='["vae", "rae"]')
    code, told = tune(own, "--trials", "1")
    assert code == 1 and "1 of 2 methods tuned" in told, told
    assert [line["objective"] for line in lines(tmp_path / "out")] == ["rae"]


def test_the_journal_that_a_worker_writes_is_not_touched_when_another_method_is_done(
    suite, tune, tmp_path
):
    assert tune(suite(), "--trials", "1", "--only", "objective=vae")[0] == 0
    (journal,) = (tmp_path / "out").glob("tuning/*/journal.log")
    with held(journal.parent) as mine, journal.open("ab") as file:
        assert mine
        file.write(b'{"op_code":4,')  # The worker is within a line.
        file.flush()
        before = journal.read_bytes()
        whole = load_suite(suite(), settings={}, only={})
        Plan(whole, tmp_path / "out", "cpu", 2).write()
        assert journal.read_bytes() == before
    assert [line["objective"] for line in lines(tmp_path / "out")] == ["ae", "vae"]


def test_on_another_machine_the_file_alone_is_gone_on_from(suite, tune, tmp_path, judged):
    import shutil

    only = ("--only", "objective=vae")
    assert tune(suite(), "--trials", "4", *only, out="straight")[0] == 0
    assert tune(suite(), "--trials", "3", *only)[0] == 0
    shutil.rmtree(tmp_path / "out" / "tuning")
    before = (tmp_path / "out" / "tuning.csv").read_bytes()
    judged.clear()
    assert tune(suite(), "--trials", "3", *only)[0] == 0
    assert not judged and (tmp_path / "out" / "tuning.csv").read_bytes() == before
    assert tune(suite(), "--trials", "4", *only)[0] == 0
    assert len(judged) == 1 and lines(tmp_path / "out") == lines(tmp_path / "straight")


def test_trials_by_code_on_record_as_equivalent_are_gone_on_from_and_others_refused(
    suite, tune, tmp_path, judged, monkeypatch
):
    def use(training: str, scoring: str) -> None:
        monkeypatch.setattr(runner, "training_code", lambda *parts: training)
        monkeypatch.setattr(identity, "evaluation_code", lambda *parts, **own: scoring)

    def note(compared: list[str]) -> None:
        ways = {"density": ["prior", "gaussian"], "features": ["pixels:-"], "ok": compared}
        found = {"sample": {"kind": [""], "model": [""], "interpolation": ["spherical"], **ways}}
        entry = {"codes": [["2-old", "2-new"]]}
        entry["evaluations"] = [{"codes": ["e-old", "e-new"], "compared": found}]
        record.write_text(json.dumps([entry]), encoding="utf-8")
        equivalence.forget()

    record, only = tmp_path / "equivalent.json", ("--only", "objective=vae")
    monkeypatch.setattr(equivalence, "FILE", record)
    use("2-old", "e-old")
    assert tune(suite(), "--trials", "3", *only, out="straight")[0] == 0
    assert tune(suite(), "--trials", "2", *only)[0] == 0
    use("2-new", "e-new")
    judged.clear()
    for compared in ([], ["mse"]):
        note(compared)
        code, told = tune(suite(), "--trials", "3", *only)
        assert code == 2 and "made under other conditions" in told and not judged
    note(["mse", "fd"])
    assert tune(suite(), "--trials", "3", *only)[0] == 0
    assert len(judged) == 1 and lines(tmp_path / "out") == lines(tmp_path / "straight")
    equivalence.forget()


def test_trials_of_other_methods_stay_and_those_under_other_conditions_are_refused(
    suite, tune, tmp_path
):
    assert tune(suite(), "--trials", "1", "--only", "objective=vae")[0] == 0
    before = (tmp_path / "out" / "tuning.csv").read_bytes()
    code, told = tune(suite(), "--trials", "1", "--set", "tuning.steps=5")
    assert code == 2 and "trials of vae (unit) made under other conditions" in told
    assert "steps was 4, is 5" in told and told.count("\n") == 1
    assert (tmp_path / "out" / "tuning.csv").read_bytes() == before
    assert tune(suite(), "--trials", "1", "--only", "objective=rae")[0] == 0
    assert [line["objective"] for line in lines(tmp_path / "out")] == ["rae", "vae"]


def test_two_widths_of_one_method_are_refused_before_the_first_trial(suite, tune, tmp_path):
    second = """[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = 3
objective = "vae"
width = 0.25
"""
    code, told = tune(suite(second), "--trials", "1")
    assert code == 2 and "trains vae (unit) under two sets of conditions" in told, told
    assert 'backbone tiny and tiny {"width":0.25}' in told and told.count("\n") == 1
    assert not (tmp_path / "out" / "tuning.csv").exists()


def test_a_damaged_journal_is_refused(suite, tune, tmp_path):
    only = ("--only", "objective=vae")
    assert tune(suite(), "--trials", "2", *only)[0] == 0
    (journal,) = (tmp_path / "out").glob("tuning/*/journal.log")
    whole = journal.read_bytes()
    for damaged in (whole.replace(b'"steps":4', b'"steps":5'), b"nonsense\n" + whole, whole[9:]):
        journal.write_bytes(damaged)
        code, told = tune(suite(), "--trials", "3", *only)
        assert code == 2 and "is damaged" in told and "remove it" in told, told
        assert "Traceback" not in told


def test_a_diverged_trial_counts_and_is_never_the_best(suite, tune, tmp_path, monkeypatch):
    train, tried = study.Trainer.run, []

    def diverge_after_the_first(self, *arguments):
        tried.append(self)
        if len(tried) > 1:
            raise Diverged("Term 'rate' of 'vae' is nan at step 3.")
        train(self, *arguments)

    monkeypatch.setattr(study.Trainer, "run", diverge_after_the_first)
    assert tune(suite(), "--trials", "3", "--only", "objective=vae")[0] == 0
    found = lines(tmp_path / "out")
    assert [line["state"] for line in found] == ["ok", "lost", "lost"]
    assert "nan at step 3" in found[1]["reason"] and found[1]["value"] == ""
    settings, only = {"tuned": str(tmp_path / "out" / "tuning.csv")}, {"objective": "vae"}
    tuned = load_suite(suite(), settings=settings, only=only)
    assert {str(c.options) for c in tuned.configs} == {"{}"}


class Planted(Objective):
    """Draws images that are all ``shift - 0.7`` brighter than the first batch's mean."""

    prior = "prior"
    tunable = MappingProxyType({"shift": Range(0.0, 1.0)})

    def __init__(self, backbone, space, *, preset="mnist", shift: float = 0.0):
        super().__init__(backbone, space, preset=preset)
        self.shift = shift
        self.register_buffer("centre", torch.zeros(backbone.image_shape))

    def initialise(self, x, generator):
        super().initialise(x, generator)
        self.centre.copy_(x.mean(0))

    def terms(self, x, generator):
        return {"distortion": (x - self.mean(self.code(x))).flatten(1).square().sum(1)}

    def decode(self, z):
        return (self.centre + self.shift - 0.7).clamp(0, 1).expand(len(z), *self.centre.shape)


def test_a_planted_optimum_is_found(suite, tune, tmp_path, monkeypatch):
    OBJECTIVES.names()
    monkeypatch.setitem(OBJECTIVES._entries, "planted", Planted)
    path = suite(old='["ae", "vae", "rae"]', new='"planted"')
    assert tune(path, "--trials", "12")[0] == 0
    (config, _) = load_suite(path, settings={"tuned": str(tmp_path / "out/tuning.csv")}).configs
    assert config.options["shift"] == pytest.approx(0.7, abs=0.1)


def test_a_likelihood_suite_is_tuned_by_the_likelihood_of_images_that_fit_nothing(
    suite, tune, tmp_path
):
    table = 'metrics = ["frechet"]'
    path = suite(
        old=table,
        new='metrics = ["reconstruction"]\nlikelihood_images = 30\n'
        "likelihood_validation_images = 40",
    )
    only = ("--only", "objective=aef-center", "space=logit")
    assert tune(path, "--trials", "2", *only)[0] == 0
    found = lines(tmp_path / "out")
    assert {line["better"] for line in found} == {"higher"}
    assert {line["images"] for line in found} == {"30"}
    # The same for a model that was not trained, from its density at these images.
    (config, *_) = load_suite(path, only={"objective": "aef-center", "space": "logit"}).configs
    data = load_dataset("digits")
    own = criterion.criterion_of(config, data)
    model = build(
        "aef-center", backbone="tiny", image_shape=data.image_shape, latent_dim=3, alpha=data.alpha
    )
    model.initialise(data.train[:20].float() / 256, torch.Generator())
    noise = stream(config.seed, "likelihood/test")
    x = model.space.dequantise(data.validation[40:70], noise)
    with torch.no_grad():
        expected = float(model.log_prob(x).double().mean())
    assert own.judge(model, config, data).value == pytest.approx(expected, rel=1e-6)


def trial(number: int = 0, **changes) -> Trial:
    own = {
        **{"suite": "small", "scale": "full", "dataset": "digits", "split": "default"},
        **{"backbone": 'tiny {"width":0.5}', "latent_dim": 3, "objective": "vae"},
        **{"space": "unit", "noise_sigma": 0.0, "given": "{}", "trial": number},
        **{"options": '{"beta":2.0}' if number else "{}", "state": "ok", "value": 5.0},
        **{"stderr": None, "criterion": "fd", "better": "lower", "density": "prior"},
        **{"images": 80, "steps": 4, "seed": 2**31, "ranges": '{"beta":[0.001,10.0,true]}'},
        **{"study": "0" * 16, "reason": "", "device": "cpu", "commit": "", "versions": "{}"},
        "date": "2026-01-01T00:00:00Z",
    }
    return Trial(**{**own, **changes})


def options_of(suite: str, tmp_path: Path, *trials: Trial, **settings) -> list[dict]:
    Trials(tmp_path / "tuning.csv", trials).write()
    given = {"tuned": str(tmp_path / "tuning.csv"), **settings}
    only = {"objective": "vae"}
    return [c.options for c in load_suite(suite, settings=given, only=only, seeds=[0]).configs]


def test_runs_take_the_best_options_and_their_rows_say_so(suite, aebench, tmp_path, rows_in):
    rae = {"objective": "rae", "ranges": '{"beta":[0.0001,10.0,true]}'}
    worse = [trial(**rae), trial(1, value=6.0, **rae)]
    Trials(tmp_path / "tuning.csv", [trial(), trial(1, value=4.0), *worse]).write()
    both = suite(
        '[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\n'
        'objective = ["ae", "vae", "rae"]\ntuned = "tuning.csv"\n'
    )
    code, told = aebench(both, "--seeds", "0", out=tmp_path / "runs")
    # Two of the tuned runs are published ones, which are trained once.
    assert code == 0 and "4 trained" in told, told
    rows = [row for own in rows_in(tmp_path / "runs").values() for row in own]
    found = {(r["objective"], r["variant"]) for r in rows if r["backbone"]}  # No real images.
    published = {("ae", ""), ("vae", ""), ("rae", "")}
    assert found == {*published, ("vae", '{"beta":2.0,"tuned":true}')}
    assert main(["report", str(tmp_path / "runs")]) == 0
    table = (tmp_path / "runs" / "tables" / "fd.md").read_text()
    assert "| vae (beta=2, tuned) " in table and "tuned: the options of the best" in table


def test_a_suite_takes_the_better_trial_and_of_equals_the_default(suite, tmp_path):
    path = suite()
    assert options_of(path, tmp_path, trial(0), trial(1, value=4.0)) == [{"beta": 2.0}]
    assert options_of(path, tmp_path, trial(1), trial(0)) == [{}]
    assert options_of(path, tmp_path, trial(0), trial(1, value=6.0)) == [{}]
    lost = trial(0, state="lost", value=None)
    assert options_of(path, tmp_path, lost, trial(1, value=9.0)) == [{"beta": 2.0}]
    assert options_of(path, tmp_path, lost) == [{}]
    higher = [trial(0, better="higher"), trial(1, better="higher", value=6.0)]
    assert options_of(path, tmp_path, *higher) == [{"beta": 2.0}]


def test_a_tuned_run_has_its_own_digest_and_the_published_keeps_its_own(suite, tmp_path):
    path = suite()
    plain = load_suite(path, only={"objective": "vae"}).configs
    Trials(tmp_path / "tuning.csv", [trial(0), trial(1, value=4.0)]).write()
    given = {"tuned": str(tmp_path / "tuning.csv"), "tuning.steps": 9}
    tuned = load_suite(path, settings=given, only={"objective": "vae"}).configs
    assert not {c.digest for c in plain} & {c.digest for c in tuned}
    assert all("tuned" in c.label for c in tuned)
    by_hand = load_suite(path, settings={"options": {"beta": 2.0}}, only={"objective": "vae"})
    assert {c.digest for c in by_hand.configs} == {c.digest for c in tuned}


BAD = {
    "another data set": ([trial(dataset="mnist")], "it has those on mnist"),
    "another objective": ([trial(objective="cv-vae")], "it has those of cv-vae"),
    "another code size": ([trial(latent_dim=4)], "no trials of vae"),
    "ranges changed": ([trial(ranges='{"beta":[0.1,1.0,true]}')], "ranges of vae .unit. have"),
    "two of one number": ([trial(), trial()], "two trials of vae .unit. with one number"),
    "two studies": ([trial(), trial(1, study="1" * 16)], "from two studies"),
    "no value": ([trial(value=None)], "line 2: no trial can be read: 'value' is None"),
    "outside": ([trial(1, options='{"beta":20.0}')], "'beta' is 20.0, outside its range"),
    "unknown option": ([trial(1, options='{"gamma":2.0}')], "no trial can be read: 'gamma'"),
    "no JSON": ([trial(options="{")], "line 2: no trial can be read"),
    "unknown state": ([trial(state="good")], "'state' is 'good'"),
}


@pytest.mark.parametrize("case", BAD)
def test_trials_that_cannot_be_used_are_refused_in_a_line(suite, tmp_path, case):
    trials, message = BAD[case]
    with pytest.raises(UserError, match=message) as error:
        options_of(suite(), tmp_path, *trials)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("", "its columns are others"),
        ("a,b\n", "its columns are others"),
        (",".join(f.name for f in dataclasses.fields(Trial)) + "\n", "has no trials yet"),
        ('"', "its columns are others"),
    ],
)
def test_a_file_without_trials_is_refused_with_what_makes_them(suite, tmp_path, text, message):
    if text is not None:
        (tmp_path / "tuning.csv").write_text(text)
    with pytest.raises(UserError, match=f"{message}.*aebench tune SUITE"):
        load_suite(suite('[scales.full]\ntuned = "tuning.csv"'))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "'--trials' is 0; expected at least 1"),
        (["--trials", "1", "--set", "tuning.steps=0"], "'--set tuning.steps' is 0; expected"),
        (["--trials", "1", "--set", "tuning.steps=1.5"], "key '--set tuning.steps' is 1.5"),
        (
            ["--trials", "1", "--set", 'evaluation.metrics=["reconstruction"]'],
            "nothing to tune by",
        ),
        (
            [
                "--trials",
                "1",
                "--set",
                "training.steps=[4, 5]",
                "--set",
                "training.learning_rate=[0.1, 0.2]",
            ],
            "several settings",
        ),
        (["--trials", "1", "--set", "options.beta=-1.0"], "beta"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_the_first_trial(
    suite, tune, tmp_path, arguments, message
):
    code, told = tune(suite(), *arguments)
    assert (code, told.count("\n")) == (2, 1) and message in told
    assert not (tmp_path / "out").exists()


def test_what_a_suite_sets_itself_is_not_tuned(suite, tune, tmp_path):
    path = suite(old='objective = ["ae", "vae", "rae"]', new='objective = "cv-vae"')
    assert tune(path, "--trials", "2", "--set", "options.beta=0.5")[0] == 0
    (_, second) = lines(tmp_path / "out")
    assert set(json.loads(second["options"])) == {"sigma"} and second["given"] == '{"beta":0.5}'


@pytest.mark.long
def test_a_killed_tuning_goes_on_with_the_same_result(suite, tune, tmp_path):
    path = suite()
    assert tune(path, "--trials", "6", out="straight")[0] == 0
    command = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"
    given = ["tune", path, "--trials", "6", "--workers", "2", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", command, *given],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = size(tmp_path / "out")
        while process.poll() is None and size(tmp_path / "out") <= before:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert tune(path, "--trials", "6")[0] == 0
    assert lines(tmp_path / "out") == lines(tmp_path / "straight")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("tuning/*/journal.log"))


def test_a_file_of_trials_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "tuning.csv"
    Trials(path, [trial(0), trial(1, value=4.0)]).write()
    expected = Trials.read(path).all
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Trials.read(path).all == expected and len(expected) == 2


STRINGS = """
dataset = "expressions"
backbone = "grammar-gru"
backbone_options = {width = 0.2}
latent_dim = 3
[training]
steps = 8
batch_size = 200
train_images = 200
validate_every = 4
[tuning]
steps = 4
[evaluation]
metrics = ["validity"]
densities = ["gaussian", "gmm-10"]
images = 60
[evaluation.optimisation]
trials = 1
inducing = 20
[[runs]]
space = "sequence-released"
objective = ["rae-l2", "vae"]
[[runs]]
space = "sequence"
objective = "vae"
evaluation = {likelihood_images = 4}
"""


def test_a_suite_of_strings_that_names_no_space_takes_the_trials_of_sequences(tmp_path):
    ranges = OBJECTIVES.get("vae").in_space("sequence").ranges({})
    about = {"dataset": "expressions", "backbone": "grammar-gru", "space": "sequence"}
    about["ranges"] = ranges_text(ranges)
    made = [trial(0, **about), trial(1, **about, value=4.0)]
    Trials(tmp_path / "tuning.csv", made).write()
    text = STRINGS.partition("[[runs]]")[0] + '[[runs]]\nobjective = "vae"\n'
    (tmp_path / "strings.toml").write_text(text, encoding="utf-8")
    settings = {"tuned": str(tmp_path / "tuning.csv")}
    (config,) = load_suite(str(tmp_path / "strings.toml"), settings=settings).configs
    assert config.options == {"beta": 2.0}


def test_strings_are_judged_by_their_bigrams_in_every_space(tune, tmp_path, monkeypatch):
    (tmp_path / "strings.toml").write_text(STRINGS, encoding="utf-8")
    score, seen = criterion.bigram_distance, []

    def record(*, real_texts, generated_texts):
        found = score(real_texts=real_texts, generated_texts=generated_texts)
        seen.append((real_texts, generated_texts, found.value))
        return found

    monkeypatch.setattr(criterion, "bigram_distance", record)
    code, told = tune(str(tmp_path / "strings.toml"), "--trials", "2")
    assert code == 0, told
    found = lines(tmp_path / "out")
    assert len(found) == 6 and len(seen) == 12
    data = load_dataset("expressions")
    wanted = texts(form(data.form), data.validation[:60])
    assert all(real == wanted and len(drawn) == 60 for real, drawn, _ in seen)
    best = [min(one[2], other[2]) for one, other in zip(seen[::2], seen[1::2], strict=True)]
    assert sorted(best) == sorted(float(line["value"]) for line in found)
    assert {line["criterion"] for line in found} == {
        "fd (bigrams) of strings to validation strings"
    }
    assert "l2" in found[1]["options"]
    assert "strings, 60 of them" in (tmp_path / "out" / "tuning.md").read_text()
