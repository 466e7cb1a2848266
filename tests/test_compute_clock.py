"""Compute seconds are those of the work: neither waits nor interruptions change them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from aebench.bench.training import clock
from aebench.bench.training.clock import ComputeClock

TRAINER = runpy.run_path(str(Path(__file__).with_name("test_trainer.py")))
make_trainer, killed = TRAINER["_trainer"], TRAINER["_killed"]
STEP, VALIDATION, LOAD = 2.0, 5.0, 100.0
WORK = 17 * STEP + 4 * VALIDATION  # Validations after 5, 10, 15 and 17 steps.


@pytest.fixture
def machine(monkeypatch):
    """Returns a busy machine: a step and a validation take CPU time, and longer by the wall."""

    class Machine:
        cpu = wall = 0.0

        def work(self, trainer):
            step, validate = trainer.train_step, trainer._validate

            def busy(seconds, function):
                self.cpu, self.wall = self.cpu + seconds, self.wall + seconds + LOAD
                return function()

            trainer.train_step = lambda: busy(STEP, step)
            trainer._validate = lambda: busy(VALIDATION, validate)
            return trainer

    found = Machine()
    monkeypatch.setattr(clock.time, "process_time", lambda: found.cpu)
    monkeypatch.setattr("aebench.bench.training.trainer.time.monotonic", lambda: found.wall)
    return found


def test_a_training_costs_its_cpu_seconds_however_busy_the_machine_is(tmp_path, machine):
    trainer = machine.work(make_trainer(tmp_path))
    trainer.run()
    assert trainer.clock.read() == WORK
    assert trainer.seconds == WORK + 21 * LOAD


def test_an_interrupted_training_costs_what_a_whole_one_does(tmp_path, machine, monkeypatch):
    killed(machine.work(make_trainer(tmp_path, seconds=0.0)), 7, monkeypatch)
    machine.cpu += 1000.0
    trainer = machine.work(make_trainer(tmp_path))
    trainer.run()
    assert trainer.clock.read() == WORK


def test_a_state_that_does_not_know_its_cost_leaves_it_unknown(tmp_path, machine, monkeypatch):
    first = machine.work(make_trainer(tmp_path, seconds=0.0))
    record = first._record
    first._record = lambda: {k: v for k, v in record().items() if k != "compute_seconds"}
    killed(first, 7, monkeypatch)
    trainer = machine.work(make_trainer(tmp_path))
    trainer.run()
    assert trainer.clock.read() is None


def test_a_block_that_fails_counts(machine):
    counted = ComputeClock(torch.device("cpu"))
    with pytest.raises(ZeroDivisionError), counted.running():
        machine.cpu += 3.0
        raise ZeroDivisionError
    assert counted.read() == 3.0


def test_on_a_gpu_the_seconds_of_the_device_count_and_no_waits_between(monkeypatch):
    now = [0.0]

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = now[0]

        def synchronize(self):
            assert self.at is not None

        def elapsed_time(self, other):
            return other.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    counted = ComputeClock(torch.device("cuda"))
    for milliseconds in (250.0, 500.0):
        with counted.running():
            now[0] += milliseconds
        now[0] += 10_000.0
    assert counted.read() == counted.read() == 0.75
