from __future__ import annotations

import errno
import json
import logging
import math
import random
import runpy
from pathlib import Path

import pytest
import torch
from aebench.bench.errors import UserError
from aebench.bench.interruption import Stopped
from aebench.bench.suites.config import Training
from aebench.bench.training.batches import Batches
from aebench.bench.training.term_sums import Diverged
from aebench.bench.training.trainer import Trainer
from aebench.models.building import build
from aebench.models.objectives.objective import OBJECTIVES

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
TRAINING = Training(steps=17, batch_size=8, validate_every=5, plateau_patience=1)
IMAGES = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))


class Killed(BaseException):
    """Stands for the end of the process."""


def _trainer(
    folder,
    *,
    objective="vae",
    training=TRAINING,
    seed=0,
    seconds=1e9,
    identity="x",
    images=IMAGES,
):
    model = build(objective, backbone="tiny", image_shape=(1, 8, 8), latent_dim=3, seed=seed)
    folder.mkdir(exist_ok=True)
    return Trainer(
        model,
        training,
        train=images[:40],
        validation=images[40:],
        seed=seed,
        folder=folder,
        identity=identity,
        seconds_to_save=seconds,
    )


def _killed(trainer, step, monkeypatch):
    """Runs until the given number of steps are done and the state is saved or not."""
    take = trainer.train_step

    def step_or_die():
        if trainer.step == step:
            raise Killed
        take()

    trainer.train_step = step_or_die
    with pytest.raises(Killed):
        trainer.run()


def _same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def whole(tmp_path):
    trainer = _trainer(tmp_path / "whole")
    trainer.run()
    return trainer


def _log(trainer):
    return [json.loads(line) for line in trainer.log.path.read_text().splitlines()]


def test_the_log_has_the_mean_of_each_term_between_validations(whole):
    lines = _log(whole)
    assert [(x["step"], x["split"]) for x in lines] == [
        (s, w) for s in (5, 10, 15, 17) for w in ("train", "validation")
    ]
    trainer = _trainer(whole.log.path.parent.parent / "again")
    means = []
    record = trainer.sums.add
    trainer.sums.add = lambda terms: (
        means.append({k: float(v.detach().mean()) for k, v in terms.items()}),
        record(terms),
    )
    trainer.run()
    for line, (start, end) in zip(lines[::2], [(0, 5), (5, 10), (10, 15), (15, 17)], strict=True):
        for name in means[0]:
            mean = sum(m[name] for m in means[start:end]) / (end - start)
            # A mean over 8 images, added up over 5 steps; the terms are positive.
            assert line[name] == pytest.approx(mean, rel=float32_slack(1, 8 + 5))


def test_the_validation_loss_is_the_sum_of_its_terms(whole):
    for line in _log(whole)[1::2]:
        terms = {k: v for k, v in line.items() if k not in ("step", "split", "loss")}
        size = sum(map(abs, terms.values()))
        slack = float32_slack(size, len(terms))
        assert line["loss"] == pytest.approx(sum(terms.values()), rel=0, abs=slack)


def test_in_batches_of_one_too_every_validation_image_counts(tmp_path):
    losses = {}
    for size in (1, 20):
        training = Training(steps=1, batch_size=size, learning_rate=1e-30)
        trainer = _trainer(tmp_path / str(size), objective="ae", training=training)
        trainer.run()
        losses[size] = trainer.best_loss
    assert losses[1] == pytest.approx(losses[20], rel=1e-4)


def test_the_weights_of_the_best_validation_loss_are_selected(whole):
    losses = {x["step"]: x["loss"] for x in _log(whole)[1::2]}
    assert whole.best_loss == min(losses.values()) == losses[whole.best_step]
    trainer = _trainer(whole.log.path.parent.parent / "last")
    trainer.best_loss = -math.inf
    trainer.run()
    assert trainer.best == {}


def _script(trainer, losses):
    """Gives the validation after each step the next of some losses, whatever the weights are."""
    terms = trainer.objective.terms

    def scripted(x, generator):
        if trainer.objective.training:
            return terms(x, generator)
        return {"distortion": torch.full((len(x),), losses[trainer.step - 1])}

    trainer.objective.terms = scripted


@pytest.mark.parametrize(
    ("patience", "threshold", "halvings"),
    [
        (0, 1e-4, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, 1e-4, [0, 0, 0, 0, 0, 0, 1, 1]),
        (3, 1e-4, [0, 0, 0, 0, 0, 0, 0, 1]),
        # Half of the decrease from 5 to 4: neither 3.9 nor 3.8 is an improvement.
        (2, 0.5, [0, 0, 0, 0, 1, 1, 2, 2]),
    ],
)
def test_steps_are_taken_at_a_rate_halved_where_patience_and_threshold_say(
    tmp_path, patience, threshold, halvings
):
    training = Training(
        **{"steps": 8, "batch_size": 8, "validate_every": 1, "learning_rate": 1e-2},
        plateau_patience=patience,
        plateau_threshold=threshold,
    )
    trainer = _trainer(tmp_path, objective="ae", training=training)
    _script(trainer, [5.0, 4.0, 3.9, 3.8, 3.8, 3.8, 3.8, 3.8])
    taken, step = [], trainer.optimiser.step

    def noted():
        taken.append(trainer.optimiser.param_groups[0]["lr"])
        step()

    trainer.optimiser.step = noted
    trainer.run()
    assert taken == [1e-2 / 2**count for count in halvings]
    assert [line["learning_rate"] for line in _log(trainer)[::2]] == taken


def test_the_selected_weights_are_those_of_the_first_step_with_the_best_validation(tmp_path):
    settings = {"batch_size": 8, "validate_every": 1}
    trainer = _trainer(tmp_path / "a", training=Training(steps=5, **settings))
    _script(trainer, [3.0, 2.0, 1.0, 1.0, 2.0])
    trainer.run()
    three = _trainer(tmp_path / "b", training=Training(steps=3, **settings))
    three.run()
    assert trainer.best_step == 3
    assert _same(trainer.selected_weights(), three.objective.state_dict())
    assert not _same(trainer.selected_weights(), trainer.objective.state_dict())


@pytest.mark.parametrize(("count", "wanted"), [(0, 40), (16, 16)])
def test_only_the_first_train_images_are_trained_on(tmp_path, count, wanted):
    training = Training(steps=10, batch_size=8, train_images=count)
    trainer = _trainer(tmp_path, objective="ae", training=training)
    seen = set()
    for _ in range(10):
        trainer.train_step()
        seen |= {tuple(image.flatten().tolist()) for image in trainer.work.pixels}
    assert seen == {tuple(image.flatten().tolist()) for image in IMAGES[:wanted]}


def test_the_gradient_is_clipped_to_the_norm_asked_for_before_a_step_is_taken(tmp_path):
    def gradient(clip):
        training = Training(steps=1, batch_size=8, gradient_clip=clip)
        trainer = _trainer(tmp_path / str(clip), objective="ae", training=training)
        trainer.train_step()
        # After one step, Adam's running mean is a tenth of the gradient that it was given.
        means = [each["exp_avg"] for each in trainer.optimiser.state.values()]
        return 10 * torch.cat([mean.double().flatten() for mean in means])

    whole = gradient(0.0)
    norm = float(whole.norm())
    for clip, expected in ((norm / 4, whole / 4), (2 * norm, whole)):
        torch.testing.assert_close(gradient(clip), expected, rtol=1e-4, atol=1e-6 * norm)


def test_the_last_weights_are_selected_when_asked_for(tmp_path):
    training = Training(steps=6, batch_size=8, validate_every=3, selection="last step")
    trainer = _trainer(tmp_path / "run", training=training)
    trainer.run()
    assert _same(trainer.selected_weights(), trainer.objective.state_dict())


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_a_killed_training_ends_with_the_same_weights_and_the_same_log(
    tmp_path, objective, monkeypatch
):
    try:
        first = _trainer(tmp_path / "a", objective=objective)
    except ValueError as error:
        pytest.skip(str(error))
    first.run()
    seconds = 0.0
    kills = random.Random(objective).sample(range(1, 17), 3 if objective == "vae" else 1)
    for kill in sorted(kills):
        _killed(_trainer(tmp_path / "b", objective=objective, seconds=seconds), kill, monkeypatch)
    last = _trainer(tmp_path / "b", objective=objective)
    last.run()
    assert _same(first.objective.state_dict(), last.objective.state_dict())
    assert _same(first.best, last.best) and first.best_step == last.best_step
    assert first.log.path.read_bytes() == last.log.path.read_bytes()


def test_a_training_killed_before_its_first_state_starts_again(tmp_path, whole, monkeypatch):
    _killed(_trainer(tmp_path / "b"), 12, monkeypatch)
    assert not (tmp_path / "b" / "state.safetensors").exists()
    again = _trainer(tmp_path / "b")
    again.run()
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_the_log_is_cut_back_to_where_the_saved_state_left_it(tmp_path, whole, monkeypatch):
    trainer = _trainer(tmp_path / "b")
    take = trainer.train_step

    def save_at_7():
        if trainer.step == 7:
            trainer.save()
        take()

    trainer.train_step = save_at_7
    _killed(trainer, 12, monkeypatch)
    assert len(_log(trainer)) == 4
    again = _trainer(tmp_path / "b")
    again.run()
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def _damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "flipped":
        content[-5] ^= 1
    else:
        content = bytearray(b"PK\x03\x04 a pickle, perhaps")
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flipped", "foreign"])
def test_a_damaged_state_is_told_and_the_one_before_it_is_used(
    tmp_path, whole, how, monkeypatch, caplog
):
    _killed(_trainer(tmp_path / "b", seconds=0.0), 11, monkeypatch)
    newest = tmp_path / "b" / "state.safetensors"
    _damage(newest, how)
    again = _trainer(tmp_path / "b", seconds=0.0)
    resumed = []
    restore = again._restore
    again._restore = lambda tensors, record: (
        resumed.append(record["step"]),
        restore(tensors, record),
    )
    with caplog.at_level(logging.WARNING):
        _killed(again, 10, monkeypatch)
    assert resumed == [10]
    assert str(newest) in caplog.text and "\n" not in caplog.messages[0]
    again = _trainer(tmp_path / "b")
    again.run()
    assert _same(again.best, whole.best)
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_a_damaged_state_never_takes_the_place_of_the_whole_one_before_it(tmp_path, monkeypatch):
    _killed(_trainer(tmp_path / "b", seconds=0.0), 11, monkeypatch)
    states = _trainer(tmp_path / "b").states
    good = states.previous.read_bytes()
    _damage(states.newest, "cut")
    again = _trainer(tmp_path / "b", seconds=0.0)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("aebench.bench.training.state.save_checkpoint", full)
    with pytest.raises(OSError, match="No space"):
        again.run()
    assert states.previous.read_bytes() == good


def test_two_damaged_states_mean_a_fresh_start(tmp_path, whole, monkeypatch, caplog):
    _killed(_trainer(tmp_path / "b", seconds=0.0), 11, monkeypatch)
    for name in ("state.safetensors", "state.previous.safetensors"):
        _damage(tmp_path / "b" / name, "flipped")
    again = _trainer(tmp_path / "b")
    again.run()
    assert len(caplog.messages) == 2
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_the_state_of_another_run_is_told_and_not_used(tmp_path, whole, monkeypatch, caplog):
    _killed(_trainer(tmp_path / "b", identity="y", seed=1, seconds=0.0), 11, monkeypatch)
    again = _trainer(tmp_path / "b")
    again.run()
    assert "belongs to another run" in caplog.text
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_a_lost_log_means_a_fresh_start(tmp_path, whole, monkeypatch, caplog):
    _killed(_trainer(tmp_path / "b", seconds=0.0), 11, monkeypatch)
    (tmp_path / "b" / "log.jsonl").write_text("")
    again = _trainer(tmp_path / "b")
    again.run()
    assert "is shorter than a saved state says" in caplog.text
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_a_forged_state_that_does_not_fit_is_one_clear_error(tmp_path):
    trainer = _trainer(tmp_path / "b")
    trainer.states.write({"model.weight": torch.ones(1)}, {"log_bytes": 0})
    with pytest.raises(UserError, match="does not fit its run"):
        _trainer(tmp_path / "b").run()


def test_a_stop_saves_the_state_at_the_next_step(tmp_path, whole, monkeypatch):
    trainer = _trainer(tmp_path / "b")
    asked = [False]
    monkeypatch.setattr("aebench.bench.training.trainer.stop_requested", lambda: asked[0])
    monkeypatch.setattr("aebench.bench.interruption.stop_requested", lambda: asked[0])

    def ask(progress):
        asked[0] = True

    with pytest.raises(Stopped):
        trainer.run(ask)
    assert trainer.step == 5 and trainer.states.newest.exists()
    asked[0] = False
    again = _trainer(tmp_path / "b")
    again.run()
    assert again.log.path.read_bytes() == whole.log.path.read_bytes()


def test_states_are_saved_at_the_interval_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "0")
    trainer = _trainer(tmp_path / "a", seconds=None)
    _killed(trainer, 3, monkeypatch)
    assert trainer.states.newest.exists() and trainer.states.previous.exists()
    monkeypatch.setenv("AEBENCH_SAVE_SECONDS", "nonsense")
    assert _trainer(tmp_path / "b", seconds=None).save_seconds == 30


def _spoil(trainer, step, name="distortion", value=math.nan):
    """Makes one term bad at one step, counted from 1."""
    terms = trainer.objective.terms

    def spoilt(x, generator):
        found = dict(terms(x, generator))
        if trainer.step + 1 == step and trainer.objective.training:
            found[name] = found[name] * value
        return found

    trainer.objective.terms = spoilt


@pytest.mark.parametrize("step", [1, 4, 5, 6, 17])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_term_ends_the_run_with_its_name_and_step(tmp_path, step, value):
    trainer = _trainer(tmp_path / "b")
    x = trainer.work.prepare(IMAGES[:8], trainer.noise)
    name = next(iter(trainer.objective.terms(x, trainer.noise)))
    _spoil(trainer, step, name, value)
    with pytest.raises(Diverged, match=f"Term '{name}' of the loss is not finite at step {step}"):
        trainer.run()


def test_an_objective_that_refuses_weights_that_are_not_finite_has_diverged(tmp_path):
    trainer = _trainer(tmp_path / "b")
    terms = trainer.objective.terms

    def strict(x, generator):
        weights = next(trainer.objective.parameters())
        if trainer.step == 2:
            weights.data.fill_(math.nan)
        if not weights.isfinite().all():
            raise ValueError("Expected parameter loc to satisfy the constraint Real()")
        return terms(x, generator)

    trainer.objective.terms = strict
    with pytest.raises(Diverged, match=r"Weights '.*' are not finite after step 2"):
        trainer.run()


def test_a_bug_in_an_objective_is_not_taken_for_divergence(tmp_path):
    trainer = _trainer(tmp_path / "b")

    def broken(x, generator):
        raise ValueError("a bug")

    trainer.objective.terms = broken
    with pytest.raises(ValueError, match="a bug"):
        trainer.run()


def test_a_diagnostic_that_is_not_finite_is_logged_as_null(tmp_path):
    trainer = _trainer(tmp_path / "b")
    trainer.objective.diagnostics = lambda x: {"spread": torch.tensor(math.inf)}
    trainer.run()
    assert _log(trainer)[1]["spread"] is None


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (9, 1), (17, 1), (40, 4), (50, 5), (80, 5)])
def test_by_default_validation_happens_once_an_epoch_and_ten_times_at_least(
    tmp_path, steps, every
):
    training = Training(steps=steps, batch_size=8)  # Five batches make an epoch.
    trainer = _trainer(tmp_path, training=training)
    assert trainer.validate_every == every
    assert math.ceil(steps / every) >= min(10, steps)


def test_every_image_is_seen_once_in_an_epoch_and_each_epoch_has_its_own_order():
    data = torch.arange(12)
    batches = Batches(data, 5, seed=0)
    epochs = [torch.cat([batches.at(2 * e), batches.at(2 * e + 1)]) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 10
    assert epochs[0].tolist() != epochs[1].tolist()
    assert Batches(data, 5, seed=0).at(3).tolist() == batches.at(3).tolist()
    assert Batches(data, 5, seed=1).at(3).tolist() != batches.at(3).tolist()


def test_objectives_that_draw_differently_see_the_same_batches(tmp_path):
    seen = []
    for name in ("ae", "vae"):
        trainer = _trainer(tmp_path / name, objective=name)
        found = []
        at = trainer.batches.at
        trainer.batches.at = lambda step, out=None, at=at, found=found: (
            found.append(at(step)),
            at(step, out),
        )[1]
        trainer.run()
        seen.append(torch.stack(found))
    assert torch.equal(*seen)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'training.batch_size' is 41; expected at most the 40"):
        _trainer(tmp_path, training=Training(batch_size=41))


def test_a_non_finite_log_determinant_is_a_divergence_with_its_step(tmp_path, monkeypatch):
    trainer = _trainer(tmp_path)

    def broken(x, generator):
        raise FloatingPointError("The log-determinant of 'decoder scale' is inf for image 2.")

    monkeypatch.setattr(trainer.objective, "terms", broken)
    with pytest.raises(Diverged, match=r"'decoder scale' is inf for image 2\. Step 1\."):
        trainer.run()


def test_images_are_trained_and_validated_on_with_noise_clamped_to_the_unit_range(tmp_path):
    images = torch.zeros(60, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 2:6], images[:, :, 6:] = 128, 255
    training = Training(steps=1, batch_size=40, noise_sigma=0.1)
    trainer = _trainer(tmp_path, objective="ae", training=training, images=images)
    seen, terms = {}, trainer.objective.terms

    def watched(x, generator):
        seen[trainer.objective.training] = x
        return terms(x, generator)

    trainer.objective.terms = watched
    trainer.run()
    assert set(seen) == {True, False}
    for x in seen.values():
        black, grey, white = x[:, :, :2], x[:, :, 2:6], x[:, :, 6:]
        assert float(grey.std()) == pytest.approx(0.1, rel=0.1)
        assert float(grey.mean()) == pytest.approx(128.5 / 256, abs=0.01)
        assert float(x.min()) == 0 and float(x.max()) == 1
        # Of what is black or white, half of the noise is cut off.
        for share in ((black == 0), (white == 1)):
            assert float(share.float().mean()) == pytest.approx(0.5, abs=0.1)
