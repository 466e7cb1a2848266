"""What holds on a GPU, on one that is not there: see pretend_gpu.py."""

from __future__ import annotations

import functools
import gc
import json
import runpy
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.runs.request import Request
from aebench.bench.runs.runner import Run
from aebench.bench.suites.config import Config, Evaluation, Training
from aebench.bench.training.engine import WARM_UP, driven
from aebench.bench.training.state import optimiser_tensors
from aebench.bench.training.trainer import Trainer
from aebench.metrics import prd
from aebench.models.building import build
from aebench.models.densities.density import build_density
from aebench.models.objectives.objective import OBJECTIVES
from aebench.models.streams import stream

pytestmark = pytest.mark.sensitive
PRETEND = runpy.run_path(str(Path(__file__).with_name("pretend_gpu.py")))
GPU, CAPTURING, LAYOUT = (PRETEND[name] for name in ("GPU", "CAPTURING", "LAYOUT"))
SHAPE = (1, 8, 8)
IMAGES = torch.randint(0, 256, (80, *SHAPE), dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.fixture
def gpu(monkeypatch):
    with PRETEND["pretend_gpu"](monkeypatch) as machine:
        yield machine


def _trainer(folder, objective="vae", *, device=GPU, steps=9, held_out=20):
    model = build(objective, backbone="tiny", image_shape=SHAPE, latent_dim=3, seed=0)
    Path(folder).mkdir(exist_ok=True)
    return Trainer(
        model.to(device),
        # In this precision kernels have a GPU's layout.
        Training(
            steps=steps, batch_size=10, validate_every=3, gradient_clip=50.0, precision="tf32"
        ),
        train=IMAGES[:40],
        validation=IMAGES[40 : 40 + held_out],
        seed=0,
        folder=Path(folder),
        seconds_to_save=1e9,
    )


def _curve(trainer):
    lines = [json.loads(line) for line in trainer.log.path.read_text().splitlines()]
    return [x["loss"] for x in lines if x["split"] == "validation"]


@dataclass(frozen=True)
class Seen:
    """What was seen of one training that was stopped after 6 of 9 steps and resumed."""

    refused: str
    replays: int
    layouts_kept: set[bool]
    ranks: set[int]
    freed: tuple[bool, ...]
    curve: list[float]
    cpu_curve: list[float]


@functools.cache
def _seen(objective: str) -> Seen:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        plain = _trainer(f"{folder}/cpu", objective, device="cpu")
        plain.run()
        with PRETEND["pretend_gpu"](patch) as gpu:
            first = _trainer(f"{folder}/gpu", objective, steps=6)
            first.run()
            first.save()
            refused, replays = first.engine.refused, gpu.replays
            parts = [first, first.engine, first.work, first.batches]
            references = [weakref.ref(part) for part in parts]
            gc.disable()
            del first, parts
            freed = tuple(reference() is None for reference in references)
            gc.enable()
            second = _trainer(f"{folder}/gpu", objective)
            second._resume()
            parameters = second.optimiser.param_groups[0]["params"]
            pairs = [
                (moment, parameters[int(name.partition(".")[0])])
                for name, moment in optimiser_tensors(second.optimiser).items()
                if not name.endswith(".step")
            ]
            kept = {moment.stride() == parameter.stride() for moment, parameter in pairs}
            second.run()
            return Seen(
                refused=refused,
                replays=replays,
                layouts_kept=kept,
                ranks={moment.dim() for moment, _ in pairs},
                freed=freed,
                curve=_curve(second),
                cpu_curve=_curve(plain),
            )


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_a_step_records_without_a_read_by_the_host(objective):
    assert _seen(objective).refused == ""
    assert _seen(objective).replays == 6 - WARM_UP


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_a_resumed_training_keeps_each_moment_in_its_parameters_layout(objective):
    assert _seen(objective).layouts_kept == {True}
    assert (4 in _seen(objective).ranks) == (objective != "maf"), "kernels were looked at"


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_losses_on_a_gpu_are_the_cpus(objective):
    assert _seen(objective).curve == pytest.approx(_seen(objective).cpu_curve, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_a_trainer_is_freed_with_its_last_reference(objective):
    assert _seen(objective).freed == (True,) * 4


def _spoil(trainer, fault):
    """Plants a fault in each step of a training."""
    terms = trainer.objective.terms

    def spoilt(x, generator):
        fault(x, generator)
        return terms(x, generator)

    trainer.objective.terms = spoilt
    return trainer


def _reads(x, generator):
    float(x.sum())


def test_after_a_recording_that_failed_the_training_goes_on_with_the_same_losses(tmp_path, gpu):
    plain = _trainer(tmp_path / "cpu", device="cpu")
    plain.run()
    trainer = _spoil(_trainer(tmp_path / "gpu"), _reads)
    stream_before = torch.cuda.current_stream()
    trainer.run()
    assert trainer.engine.refused.startswith(CAPTURING)
    assert torch.cuda.current_stream() is stream_before
    assert _curve(trainer) == pytest.approx(_curve(plain), rel=1e-5)
    torch.randn(2, generator=gpu.default, device=GPU)  # Another that was in recording mode.
    again = _trainer(tmp_path / "again")
    again.run()
    assert again.engine.refused == ""


def test_what_failed_in_a_recording_is_told_and_not_what_failed_after_it(tmp_path, gpu):
    def fault(x, generator):
        if gpu.recording is not None:
            raise ValueError("a bug\nand advice")

    trainer = _spoil(_trainer(tmp_path), fault)
    trainer.run()
    assert trainer.engine.refused == "a bug" and trainer.step == 9


def test_no_garbage_is_collected_while_a_step_is_recorded(tmp_path, gpu):
    collected = []

    def watch(phase, information):
        collected.append(gpu.recording is not None)

    def litter(x, generator):
        for _ in range(2000):
            cycle = []
            cycle.append(cycle)

    gc.callbacks.append(watch)
    try:
        _spoil(_trainer(tmp_path), litter).run()
    finally:
        gc.callbacks.remove(watch)
    assert set(collected) == {False} and gc.isenabled()


@pytest.mark.parametrize("held_out", [10, 40])
def test_a_validation_waits_for_the_device_once_however_many_batches_it_has(
    tmp_path, gpu, held_out
):
    trainer = _trainer(tmp_path, "aef-linear", held_out=held_out)
    trainer._initialise()
    before = gpu.reads
    trainer._validation_terms()
    assert gpu.reads - before == 1


def test_exact_products_keep_the_layout_that_models_are_evaluated_in(tmp_path, gpu):
    trainer = _trainer(tmp_path)
    kernel = trainer.objective.backbone.encoder[2].weight
    assert not kernel.is_contiguous()
    trainer.run()
    assert trainer.objective.backbone.encoder[2].weight.is_contiguous()


# What the machine refuses, so that the laws above can fail


def test_a_moment_in_another_layout_is_refused(tmp_path, gpu):
    trainer = _trainer(tmp_path)
    trainer._initialise()
    trainer.train_step()
    kernel = trainer.objective.backbone.encoder[2].weight
    state = trainer.optimiser.state[kernel]
    state["exp_avg"] = state["exp_avg"].clone(memory_format=torch.contiguous_format)
    with pytest.raises(RuntimeError, match=LAYOUT):
        trainer.train_step()


@pytest.mark.parametrize(
    "fault",
    [
        lambda x, generator: x + torch.ones(SHAPE),
        lambda x, generator: torch.rand(2, generator=stream(0, "a"), device=GPU),
        lambda x, generator: torch.rand(2, generator=generator),
        lambda x, generator: x[0] @ torch.ones(8, 8),
        lambda x, generator: x.numpy(),
    ],
)
def test_two_devices_in_one_operation_are_refused(tmp_path, gpu, fault):
    trainer = _spoil(_trainer(tmp_path), fault)
    trainer._initialise()
    with pytest.raises((PRETEND["MixedDevices"], TypeError)):
        trainer.train_step()


@pytest.mark.parametrize(
    "fault",
    [
        lambda x, generator: x.cpu(),
        lambda x, generator: torch.ones(2).to(GPU),
        lambda x, generator: x[x > 0],
        lambda x, generator: x[torch.tensor([0])],
        lambda x, generator: torch.tensor(1.0, device=GPU),
        lambda x, generator: torch.linalg.cholesky(torch.eye(2, device=GPU)),
    ],
)
def test_a_read_by_the_host_ends_a_recording(tmp_path, gpu, fault):
    trainer = _spoil(_trainer(tmp_path), fault)
    trainer.run()
    assert trainer.engine.refused.startswith(CAPTURING)


# A whole run


def _config(objective, densities, scores):
    return Config(
        *("small", "smoke", "digits", "tiny", objective, 3),
        training=Training(steps=6, batch_size=10, train_images=60, validate_every=6),
        evaluation=Evaluation(
            densities=densities,
            metrics=scores,
            features=("pixels",),
            images=20,
            likelihood_images=2,
            likelihood_samples=2,
            likelihood_k_images=2,
            likelihood_k_samples=4,
            likelihood_validation_images=2,
            annealing_images=2,
            annealing_steps=1,  # Made finer three times, each time twice as many.
            annealing_chains=1,
            second_stage_steps=7,
            sheet_images=2,
        ),
    )


def _rows(config, folder, device):
    run = Run(Request(config, folder, device))
    run.execute(lambda stage: None)
    return {
        tuple(row[name] for name in ("metric", "density", "images", "kind")): row
        for row in run.directory.rows()
    }


def _check_whole_run(config, folder, patch, errors=0):
    """Compares the rows of a whole run with the CPU's, up to so many of their own errors."""
    patch.setenv("AEBENCH_CACHE", str(folder / "cache"))
    plain = _rows(config, folder / "cpu", "cpu")
    with PRETEND["pretend_gpu"](patch) as gpu:
        rows = _rows(config, folder / "gpu", str(GPU))
    assert rows.keys() == plain.keys() and len(rows) > 10
    for key, row in rows.items():
        expected = plain[key]
        assert row["status"] == expected["status"], (key, row["reason"])
        if expected["value"] is not None:
            # All noise is the same; weights and codes differ by rounding, which statistics of
            # 20 images enlarge.
            within = max(1e-3, errors * (expected["stderr"] or 0))
            assert row["value"] == pytest.approx(expected["value"], rel=1e-3, abs=within), key
    return gpu


@pytest.mark.parametrize(
    ("objective", "densities", "scores", "replays"),
    [
        ("vae", ("prior", "gmm-2"), (), 6 - WARM_UP),
        ("2svae", ("second-stage",), tuple(metrics()), 6 - WARM_UP + 7 - WARM_UP),
    ],
    ids=["likelihoods", "metrics"],
)
def test_a_whole_run_mixes_no_devices_and_scores_as_on_the_cpu(
    objective, densities, scores, replays, tmp_path, monkeypatch
):
    # Two of PRD's ten clusterings, which are alike.
    labels = prd._labels
    monkeypatch.setattr(prd, "_labels", lambda *given: labels(*given[:3], 2, given[4]))
    gpu = _check_whole_run(_config(objective, densities, scores), tmp_path, monkeypatch)
    assert gpu.replays == replays


@pytest.mark.long
@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_a_whole_run_of_any_objective_mixes_no_devices(objective, tmp_path, monkeypatch):
    densities = ("prior", "gaussian", "gmm-2", "second-stage")
    config = _config(objective, densities, tuple(metrics()))
    # Among so many scores, rounding now and then turns the decision of a chain or a clustering:
    # these are random draws, and each score states what one draw for another changes.
    _check_whole_run(config, tmp_path, monkeypatch, errors=1)


def test_a_second_stage_is_trained_on_the_gpu_in_recorded_steps(gpu):
    codes = torch.randn(300, 3, generator=torch.manual_seed(0))
    fitted = []
    for options in ({}, {"device": GPU, "drive": driven}):
        density = build_density("second-stage", hidden=16, max_steps=12, **options)
        density.fit(codes, seed=0)
        fitted.append(density.state())
    # Of 12 steps two are the smaller last ones of an epoch; three come before the recording.
    assert gpu.replays == 12 - 2 - WARM_UP
    for name, value in fitted[0].items():
        torch.testing.assert_close(fitted[1][name], value, rtol=1e-5, atol=1e-6, msg=name)
