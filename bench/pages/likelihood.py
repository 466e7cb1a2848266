"""What the rows say on likelihood, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ..comparison.cells import usable
from ..comparison.likelihoods import bound_sign, likelihoods_of_models, one_likelihood
from ..comparison.numbers import format_number
from ..comparison.scored import scores_by, seed_values
from ..comparison.significance import mean
from ..records.results import Rows
from .aef import BITS
from .methods import METHOD, listed, seeds_text

PLACE = ["dataset", "latent_dim", "space"]
MODELS = {
    "native": "models as trained",
    "completed": "models that got a density and noise after training",
}
BOTH = " There, "
UNIFORM = 8.0  # Bits/dim of noise that is uniform over the 256 values of a pixel.


def likelihood_reading(placed: Rows) -> list[str]:
    """Returns sentences on bits per dimension, none without such rows.

    Args:
        placed: Result rows with their place and method.
    """
    lowest = _lowest(likelihoods_of_models(placed))
    return [*lowest, *_no_better_than_noise(usable(one_likelihood(placed))), _annealing(placed)]


def _lowest(rows: Rows) -> Iterator[str]:
    """The lowest mean of each data set, latent size, space and way to have a likelihood."""
    for key, own in rows.groupby(PLACE, sort=True):
        dataset, size, space = cast("tuple[str, int, str]", key)
        found = [_lowest_of(name, own[own["model"] == name]) for name in MODELS]
        if texts := [text for text in found if text]:
            yield f"On {dataset} with d = {size} and in the {space} space, {BOTH.join(texts)}"


def _lowest_of(model: str, rows: Rows) -> str:
    ways = scores_by(rows, "method", "density")
    seeds = {way: seed_values(own) for way, own in sorted(ways.items()) if seed_values(own)}
    if len({method for method, _ in seeds}) < 2:  # Nothing to be lower than.
        return ""
    method, density = best = min(seeds, key=lambda way: mean(seeds[way]))
    mine = (rows["method"] == method) & (rows["density"] == density)
    first = rows[mine].iloc[0].to_dict()
    value = bound_sign(first | {"model": ""}) + format_number(mean(seeds[best]))
    count = seeds_text(seeds[best], rows["seed"].nunique())
    name = f"{method} with {density}" if density else method
    text = f"the lowest mean {BITS} of {MODELS[model]} is {value} over {count}, of {name}."
    if first["kind"] == "exact" and (rows.loc[~mine, "kind"] == "lower bound").any():
        text += " Others have bounds only, and their true values may be lower."
    return text


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


def _annealing(placed: Rows) -> str:
    """How far the bounds are from the truth, where annealing can tell."""
    rows = placed[placed["status"] == "ok"]
    checks = rows[rows["metric"] == "log_prob_gain_from_annealing"]
    # Rows of before there was that column cannot say that they are to be trusted.
    sure = rows[rows["trusted"] == "yes"]
    gains, gaps = (
        sure.loc[sure["metric"] == name, "value"]
        for name in ("log_prob_gain_from_annealing", "bracket_gap")
    )
    if not len(checks):
        return ""
    text = (
        f"Annealing checked the tightest importance bounds of {len(checks)} models. It can be "
        f"trusted for {len(gains)} of them."
    )
    if len(gains):
        low, middle, high = (format_number(v) for v in (gains.min(), gains.median(), gains.max()))
        text += (
            f" There it moves the bound by {low} to {high} nats per image, {middle} in the median."
        )
    if len(gaps):
        text += (
            " On simulated data the trusted brackets hold the true likelihood within "
            f"{format_number(gaps.median())} nats in the median and {format_number(gaps.max())} "
            "at most."
        )
    return text
