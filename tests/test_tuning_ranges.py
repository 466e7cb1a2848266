"""What holds for the ranges of every registered objective, in each of its spaces."""

from __future__ import annotations

import math

import pytest
import torch
from aebench.bench.cli.main import main
from aebench.models import build
from aebench.models.objectives.objective import OBJECTIVES
from aebench.models.options import Range, option_defaults
from aebench.models.sequences.forms import form as written

CASES = [
    (name, space)
    for name, kind in OBJECTIVES.items()
    for space in kind.spaces
    if kind.in_space(space).ranges({})
]
every_case = pytest.mark.parametrize(("name", "space"), CASES)
# The papers' images and code sizes; vectors have published weights of the first.
PLACES = [("mnist", (1, 28, 28), 16), ("cifar10", (3, 32, 32), 128), ("celeba", (3, 64, 64), 64)]
VECTORS = ("mlp", (1, 4, 4), 3)
SYMBOLS, FORM = ("grammar-gru", (1, 15, 12), 25), "expressions-grammar"
FAR = 10  # A published value may be so many times off the range.


def made(name, space, shape, latent, preset, **options):
    backbone, form = "tiny", ""
    if space == "real":
        backbone, shape, latent = VECTORS
    if space.startswith("sequence"):
        (backbone, shape, latent), form, preset = SYMBOLS, FORM, "sequence"
    return build(
        *(name,),
        backbone=backbone,
        image_shape=shape,
        latent_dim=latent,
        space=space,
        preset=preset,
        form=form,
        **options,
    )


def test_some_objectives_have_ranges_and_plain_ones_have_none():
    assert {"vae", "rae-gp", "wae-mmd"} <= {name for name, _ in CASES}
    assert not OBJECTIVES.get("ae").ranges({}) and not OBJECTIVES.get("maf").ranges({})


@every_case
def test_a_range_is_that_of_an_option_and_a_given_option_is_not_tuned(name, space):
    kind = OBJECTIVES.get(name).in_space(space)
    ranges = kind.ranges({})
    assert set(ranges) <= set(option_defaults(kind))
    for option in ranges:
        assert set(kind.ranges({option: 1.0})) == set(ranges) - {option}


@every_case
def test_published_values_lie_in_the_ranges_or_near_them(name, space):
    for preset, shape, latent in PLACES:
        model = made(name, space, shape, latent, preset)
        for option, own in type(model).ranges({}).items():
            value = model.hyperparameters[option]
            if own.log:
                assert own.low / FAR <= value <= own.high * FAR, (preset, option, value)
            else:
                assert own.low <= value <= own.high, (preset, option, value)


@every_case
@pytest.mark.parametrize("end", ["low", "high"])
def test_both_ends_of_the_ranges_train(name, space, end):
    ranges = OBJECTIVES.get(name).in_space(space).ranges({})
    options = {option: getattr(own, end) for option, own in ranges.items()}
    model = made(name, space, (1, 8, 8), 3, "mnist", **options)
    noise = torch.Generator().manual_seed(0)
    x = torch.rand(6, *model.backbone.image_shape, generator=noise)
    if model.space.form:
        symbols = [written(FORM).padded(text) for text in ("x", "x+1", "1/2", "x*x", "3", "(x)")]
        x = model.space.prepare(torch.tensor(symbols)[:, None, None], None)
    model.initialise(x, noise)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        loss = model.loss(x, noise).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 200.0)
        optimiser.step()
        assert math.isfinite(loss.item())
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_ranges_are_listed(capsys):
    assert main(["list", "ranges"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == OBJECTIVES.names()
    assert any(line.split() == "vae unit: beta 0.001 to 10 (log)".split() for line in told)
    assert any(line.split() == "ae unit: nothing to tune".split() for line in told)


def test_the_initial_scale_is_tuned_only_where_there_is_one():
    kind = OBJECTIVES.get("aef-center")
    assert set(kind.ranges({"decoder_scale": "independent"})) == {"decoder_rho"}
    assert not kind.ranges({"decoder_scale": "fixed"})


@pytest.mark.parametrize(
    ("low", "high", "log"), [(1.0, 1.0, False), (0.0, 1.0, True), (0.0, math.inf, False)]
)
def test_a_range_without_values_is_refused(low, high, log):
    with pytest.raises(ValueError, match=f"'low' is {low} and 'high' is {high}; expected"):
        Range(low, high, log)
