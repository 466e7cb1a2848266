"""Training on a real GPU: recorded steps, resumption, failed recordings."""

from __future__ import annotations

import gc
import math
import runpy
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from aebench.bench.training.engine import EAGER
from aebench.models.objectives.objective import OBJECTIVES

CHILD = Path(__file__).with_name("trainings.py")
trainer, curve = (runpy.run_path(str(CHILD))[name] for name in ("trainer", "curve"))
# Of a loss after twelve steps of Adam in float32, of which only the order of additions differs.
ROUNDING = 1e-3


def _recorded(trained):
    assert trained.engine.refused == ""
    seen = []
    replay = trained.engine.forget

    def forget():
        seen.append(trained.engine.replay is not None)
        replay()

    trained.engine.forget = forget
    trained.run()
    assert trained.engine.refused == "" and seen == [True]
    return curve(trained)


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_steps_are_replayed_and_train_as_steps_taken_one_by_one(objective, tmp_path, monkeypatch):
    replayed = _recorded(trainer(tmp_path / "recorded", objective))
    monkeypatch.setenv(EAGER, "1")
    eager = trainer(tmp_path / "eager", objective)
    eager.run()
    assert replayed == pytest.approx(curve(eager), rel=ROUNDING)
    on_cpu = trainer(tmp_path / "cpu", objective, device="cpu")
    fresh = on_cpu.noise.get_state()
    on_cpu.run()
    # The same seed gives a GPU other noise than a CPU.
    if torch.equal(on_cpu.noise.get_state(), fresh):
        assert replayed == pytest.approx(curve(on_cpu), rel=ROUNDING)


@pytest.mark.parametrize("backbone", ["rae-32", "rae-64", "aef-big"])
@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_full_networks_in_bfloat16_are_recorded(objective, backbone, tmp_path):
    losses = _recorded(trainer(tmp_path, objective, backbone, precision="bfloat16"))
    assert len(losses) == 3 and all(map(math.isfinite, losses))


@pytest.mark.parametrize("objective", ["vae", "aef-linear", "rae-gp", "vae-iaf"])
def test_a_training_resumed_in_a_new_process_ends_bit_for_bit_where_another_does(
    objective, tmp_path
):
    def train(folder, steps):
        answer = tmp_path / f"{folder}-{steps}.pt"
        command = [sys.executable, CHILD, tmp_path / folder, objective, "rae-32", str(steps)]
        done = subprocess.run([*command, answer], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return torch.load(answer)

    whole = train("whole", 12)
    assert train("parts", 8)[0] == 8
    resumed = train("parts", 12)
    assert whole[:3] == resumed[:3] and whole[1] == ""
    assert torch.equal(whole[3], resumed[3])


def _reads(trained):
    terms = trained.objective.terms

    def spoilt(x, generator):
        float(x.sum())
        return terms(x, generator)

    trained.objective.terms = spoilt
    return trained


def test_a_read_by_the_host_ends_a_recording_and_the_next_training_is_recorded(tmp_path):
    spoilt = _reads(trainer(tmp_path / "spoilt"))
    spoilt.run()
    assert spoilt.engine.refused and spoilt.step == 12
    plain = _recorded(trainer(tmp_path / "plain"))
    assert curve(spoilt) == pytest.approx(plain, rel=ROUNDING)
    torch.randn(3, device="cuda")  # torch's own generator is out of its recording mode.


def test_an_unreachable_trainer_is_not_collected_inside_a_recording(tmp_path):
    old = trainer(tmp_path / "old", "aef-linear")
    old._initialise()
    for _ in range(6):
        old.train_step()
    assert old.engine.replay is not None
    old.itself = old  # Only the garbage collector frees it now.
    gone = weakref.ref(old)
    del old
    again = trainer(tmp_path / "again", "aef-linear")
    terms = again.objective.terms

    def littering(x, generator):
        for _ in range(5000):
            cycle = []
            cycle.append(cycle)
        return terms(x, generator)

    again.objective.terms = littering
    _recorded(again)
    gc.collect()
    assert gone() is None
