"""What the rows say on likelihood, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ..comparison.cells import bound_sign, one_likelihood
from ..comparison.significance import mean
from ..comparison.table import format_number
from ..records.results import Rows
from .aef import BITS
from .methods import METHOD, by_method, listed, usable

PLACE = ["dataset", "latent_dim", "space"]
UNIFORM = 8.0  # Bits/dim of noise that is uniform over the 256 values of a pixel.


def likelihood_reading(placed: Rows) -> list[str]:
    """Returns sentences on bits per dimension, none without such rows.

    Args:
        placed: Result rows with their place and method.
    """
    rows = usable(one_likelihood(placed))
    if not len(rows):
        return []
    return [*_lowest(rows), *_no_better_than_noise(rows), *_annealing(placed)]


def _lowest(rows: Rows) -> Iterator[str]:
    """The lowest mean of each data set, latent size and space, with its kind."""
    for key, own in rows.groupby(PLACE, sort=True):
        dataset, size, space = cast("tuple[str, int, str]", key)
        for model, text in (("native", "of models as trained"), ("completed", "of models that")):
            methods = by_method(own[own["model"] == model])
            if not methods:
                continue
            best = min(methods, key=lambda method: mean(methods[method]))
            seeds = len(methods[best])
            first = own[(own["method"] == best.name) & (own["model"] == model)].iloc[0].to_dict()
            sign = bound_sign(first | {"model": ""})
            after = f"{text} got a density and noise after training" if model != "native" else text
            yield (
                f"On {dataset} with d = {size} and in the {space} space, the lowest mean {BITS} "
                f"{after} is {sign}{format_number(mean(methods[best]))} over {seeds} "
                f"seed{'' if seeds == 1 else 's'}, of {best.name}."
            )


def _no_better_than_noise(rows: Rows) -> Iterator[str]:
    pixels = rows[rows["space"] != "real"]
    means = {
        str(key[0]): float(own["value"].mean())
        for key, own in pixels.groupby([*METHOD, "dataset", "latent_dim"], sort=True)
    }
    worse = [name for name, value in means.items() if value >= UNIFORM]
    if worse:
        verb = "has" if len(worse) == 1 else "have"
        yield (
            f"{listed(worse)} {verb} {UNIFORM:g} {BITS} or more, which is no better than uniform "
            "noise."
        )


def _annealing(placed: Rows) -> Iterator[str]:
    """How far the bounds are from the truth, where annealing can tell."""
    gains = usable(placed[placed["metric"] == "log_prob_gain_from_annealing"])["value"].dropna()
    gaps = usable(placed[placed["metric"] == "bracket_gap"])["value"].dropna()
    if not len(gains) or not len(gaps):
        return
    low, middle, high = (format_number(v) for v in (gains.min(), gains.median(), gains.max()))
    below = int((gains < 0).sum())
    yield (
        f"Annealing checks the tightest importance bounds of {len(gains)} models. It moves them "
        f"by {low} to {high} nats per image, {middle} in the median."
    )
    if below:
        yield f"In {below} of these cases it ends below the bound and cannot check it."
    yield (
        "On simulated data it brackets the true likelihood within "
        f"{format_number(gaps.median())} nats in the median and {format_number(gaps.max())} at "
        "most."
    )
