import json
import logging

import pytest
import torch
from aebench.bench.suites.config import Config, Training
from aebench.bench.training import engine
from aebench.bench.training.engine import WARM_UP, Engine
from aebench.bench.training.precision import computing_in
from aebench.bench.training.trainer import Trainer
from aebench.models.building import build
from aebench.models.objectives.objective import OBJECTIVES
from aebench.models.spaces.space import check_unit_range
from aebench.models.switches import VALUE_CHECKS

pytestmark = pytest.mark.sensitive
SHAPE = (1, 8, 8)
STEPS = 24
IMAGES = torch.randint(0, 256, (60, *SHAPE), dtype=torch.uint8, generator=torch.manual_seed(0))


def _trainer(folder, objective, *, clip=0.0, precision="float32", **options):
    folder.mkdir(exist_ok=True)
    return Trainer(
        build(objective, backbone="tiny", image_shape=SHAPE, latent_dim=3, seed=0, **options),
        Training(
            steps=STEPS,
            batch_size=10,
            validate_every=6,
            gradient_clip=clip,
            learning_rate=1e-3,
            precision=precision,
        ),
        train=IMAGES[:40],
        validation=IMAGES[40:],
        seed=0,
        folder=folder,
        seconds_to_save=1e9,
    )


def _curve(trainer):
    lines = [json.loads(line) for line in trainer.log.path.read_text().splitlines()]
    return [x["loss"] for x in lines if x["split"] == "validation"]


class _Counter:
    """A step that adds noise to a value, and counts."""

    def __init__(self):
        self.value, self.count = torch.zeros(3), torch.zeros((), dtype=torch.int64)
        self.generator = torch.Generator().manual_seed(3)

    def body(self):
        self.value += torch.rand(3, generator=self.generator)
        self.count += 1

    def state(self):
        return {"weight.value": self.value, "count": self.count}


class _Recorder:
    """Records a step as the function given."""

    def __init__(self, replay):
        self.replay = replay

    def take(self, body):
        body()

    def record(self, body, generator):
        return self.replay


def _fails():
    raise RuntimeError("operation not permitted when stream is capturing\nSome advice.")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda c: None, "draws another amount of noise"),
        (lambda c: (c.body(), c.body()), "draws another amount of noise"),
        (lambda c: torch.rand(3, generator=c.generator), "leaves 'weight' .* away from where"),
        (lambda c: (c.body(), c.count.sub_(1)), r"leaves 'count' 1 away .* a change of 1\."),
        (lambda c: (c.body(), setattr(c, "value", c.value.clone())), "place of 'weight.value'"),
        (lambda c: (c.body(), c.value.fill_(torch.nan)), "leaves 'weight' nan away"),
        (lambda c: _fails(), "^operation not permitted when stream is capturing$"),
    ],
)
def test_a_replay_that_does_not_do_the_step_is_not_used(wrong, reason, caplog):
    plain, counter = _Counter(), _Counter()
    steps = Engine(
        counter.body, counter.state, counter.generator, _Recorder(lambda: wrong(counter))
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            plain.body()
            steps.step()
    assert steps.replay is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(steps.refused)
    assert [r.message.count(steps.refused) for r in caplog.records] == [1]
    assert torch.equal(counter.value, plain.value) and torch.equal(counter.count, plain.count)


def test_a_replay_that_does_the_step_is_used(caplog):
    plain, counter, used = _Counter(), _Counter(), []
    recorder = _Recorder(lambda: (counter.body(), used.append(1)))
    steps = Engine(counter.body, counter.state, counter.generator, recorder)
    for _ in range(10):
        plain.body()
        steps.step()
    assert torch.equal(counter.value, plain.value) and len(used) == 10 - WARM_UP
    assert not caplog.records


def _curve_in(precision, objective, folder):
    trainer = _trainer(folder / precision, objective, precision=precision)
    trainer.run()
    assert all(p.dtype == torch.float32 for p in trainer.objective.parameters())
    return _curve(trainer)


def test_tf32_changes_nothing_on_a_cpu_which_has_no_such_products(tmp_path):
    assert _curve_in("tf32", "rae-gp", tmp_path) == _curve_in("float32", "rae-gp", tmp_path)


ONE_OF_EACH_KIND = ("vae", "wae-mmd", "rae-gp", "aef-linear", "iwae")


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(name, marks=[] if name in ONE_OF_EACH_KIND else pytest.mark.long)
        for name in OBJECTIVES.names()
    ],
)
def test_trunks_in_bfloat16_give_the_same_loss_curve(objective, tmp_path):
    plain, rounded = (_curve_in(p, objective, tmp_path) for p in ("float32", "bfloat16"))
    span = max(plain) - min(plain)
    # Both trunks are rounded by 2^-9; what that changes in training is a part of its course.
    assert rounded == pytest.approx(plain, rel=2.5 * 2.0**-9, abs=0.05 * span)


@pytest.mark.parametrize("objective", ["vae", "rae-gp", "rae-sn"])
def test_the_published_networks_train_in_bfloat16(objective, tmp_path):
    images = torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8)
    options = {"backbone": "rae-32", "backbone_options": {"width": 1 / 64}}
    trainer = Trainer(
        build(objective, image_shape=(1, 32, 32), latent_dim=3, seed=0, **options),
        Training(steps=3, batch_size=10, precision="bfloat16"),
        train=images,
        validation=images,
        seed=0,
        folder=tmp_path,
    )
    trainer.run()
    assert trainer.step == 3


def test_gradient_penalties_are_not_rounded():
    objective = build("rae-gp", backbone="tiny", image_shape=SHAPE, latent_dim=3, seed=0)
    z = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    penalties = []
    for precision in ("float32", "bfloat16"):
        with computing_in(precision, objective.backbone):
            noise = torch.Generator().manual_seed(1)
            penalties.append(objective.gp(objective.mean, objective.backbone, z, noise))
    for plain, rounded in zip(*penalties, strict=True):
        assert torch.equal(plain, rounded)


def test_bfloat16_is_the_trunks_alone():
    objective = build("aef-linear", backbone="tiny", image_shape=SHAPE, latent_dim=3, seed=0)
    backbone, seen = objective.backbone, {}

    def note(name):
        return lambda module, inputs, output: seen.update(
            {name: (inputs[0].dtype, output.dtype if torch.is_tensor(output) else None)}
        )

    for name, module in objective.named_modules():
        if not list(module.children()):
            module.register_forward_hook(note(name))
    x = IMAGES[:10].float().div(255).clamp(0.01, 0.99)
    objective.initialise(x, torch.manual_seed(0))
    with computing_in("bfloat16", backbone):
        terms = objective.terms(x, torch.manual_seed(0))
    assert all(term.dtype == torch.float32 for term in terms.values())
    products = {
        name for name, module in objective.named_modules() if hasattr(module, "weight") and
        isinstance(module, (torch.nn.Conv2d, torch.nn.Linear, torch.nn.ConvTranspose2d))
    }  # fmt: skip
    within = {n for n in products & seen.keys() if seen[n][1] == torch.bfloat16}
    trunks = {n for n in products if n.startswith(("backbone.encoder", "backbone.decoder"))}
    assert within == trunks & seen.keys() and within
    assert seen["backbone.code"][0] == seen["backbone.output"][0] == torch.float32
    seen.clear()
    objective.terms(x, torch.manual_seed(0))
    assert {dtype for pair in seen.values() for dtype in pair} <= {torch.float32, None}


def test_a_precision_is_part_of_a_run_unless_it_is_float32():
    plain = Config("s", "full", "digits", "tiny", "ae", 3)
    assert "precision" not in plain.training_record()["training"]
    rounded = Config("s", "full", "digits", "tiny", "ae", 3, training=Training(precision="tf32"))
    assert rounded.digest != plain.digest
    with pytest.raises(
        ValueError, match=r"precision\n +Input should be 'float32', 'tf32' or 'bfloat16'"
    ):
        Training(precision="half")


def test_values_are_checked_unless_that_is_turned_off():
    bad = torch.full((2, 1, 2, 2), 1.5)
    with VALUE_CHECKS.off():
        assert not VALUE_CHECKS
        check_unit_range("unit", bad)
    assert VALUE_CHECKS
    with pytest.raises(ValueError, match=r"got the value 1.5 in image 0"):
        check_unit_range("unit", bad)


def test_steps_are_recorded_on_a_gpu_alone_and_unless_declined(monkeypatch):
    made = []
    monkeypatch.setattr(engine, "CudaGraphs", lambda device: made.append(device) or "graphs")
    monkeypatch.setenv(engine.EAGER, "")
    assert engine.recorder_for(torch.device("cpu")) is None
    assert engine.recorder_for(torch.device("cuda")) == "graphs" and len(made) == 1
    engine.decline_graphs()
    assert engine.recorder_for(torch.device("cuda")) is None
