"""What the rows say on likelihood: computed sentences, the AEF paper's claim included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from ..comparison.cells import one_likelihood, seed_values
from ..comparison.labels import metric_short
from ..comparison.significance import Seeds, mean
from ..comparison.table import format_number
from ..records.results import Rows

# The claim says "strikingly"; a tenth of a bit for each of 784 pixels is 54 nats per image.
STRIKING = 0.1
BITS = metric_short("bits_per_dim")


class Method(NamedTuple):
    """What tells one way of training from another: its label in tables, and what it is made of."""

    name: str
    objective: str
    variant: str
    space: str


def by_method(rows: Rows) -> dict[Method, Seeds]:
    """Returns the values of each method's seeds, for methods that have any."""
    groups = rows.groupby(["method", "objective", "variant", "space"], sort=True)
    seeds = {Method(*map(str, key)): seed_values(own) for key, own in groups}
    return {method: values for method, values in seeds.items() if values}


def likelihood_reading(placed: Rows) -> list[str]:
    """Returns sentences on bits per dimension, none without such rows.

    Args:
        placed: Result rows with their place and method.
    """
    rows = one_likelihood(placed)
    if not len(rows):
        return []
    return [
        *(_best(dataset, size, own) for dataset, size, own in _places(rows)),
        _claim(rows),
        _fixed_scale(rows),
        _completed(placed),
        _doubt(placed),
    ]


def _best(dataset: str, size: int, rows: Rows) -> str:
    best, seeds = _lowest(rows)
    if not seeds:
        return ""
    kind = rows[rows["method"] == best]["kind"].iloc[0]
    return (
        f"On {dataset} with d = {size} the best likelihood is {format_number(mean(seeds))} "
        f"{BITS} ({kind}), of {best}."
    )


def _claim(rows: Rows) -> str:
    """The claim of strikingly higher log-likelihoods than architecturally identical VAEs."""
    gaps = []
    for _, size, own in _places(_native(rows)):
        rival = _seeds(own, "vae")
        for name in sorted(own["objective"].unique()):
            values = _seeds(own, name)
            if rival and values and name.startswith("aef"):
                gaps.append((name, size, mean(rival) - mean(values)))
    if not gaps:
        return ""
    listed = ", ".join(f"{gap:+.3f} by {name} at d = {size}" for name, size, gap in gaps)
    striking = sum(gap >= STRIKING for _, _, gap in gaps)
    verdict = "holds" if striking == len(gaps) else "holds in part" if striking else "fails"
    return (
        f"Gains in {BITS} over the VAE of the same network and space, under one estimator, are "
        f"{listed}. The AEF paper claims strikingly higher log-likelihoods than those of "
        f"architecturally identical VAEs. Read as a gain of at least {STRIKING} {BITS}, the "
        f"claim {verdict}: {striking} of {len(gaps)} cases reach it."
    )


def _fixed_scale(rows: Rows) -> str:
    gaps = []
    for _, size, own in _places(_native(rows)):
        free, fixed = _seeds(own, "aef-linear"), _seeds(own, "aef-linear-fixed")
        if free and fixed:
            gaps.append(f"{mean(free) - mean(fixed):+.3f} at d = {size}")
    if not gaps:
        return ""
    return f"Fixing the scale of aef-linear's dense map gains, in {BITS}, {', '.join(gaps)}."


def _completed(placed: Rows) -> str:
    """How far autoencoders come that get a likelihood only after training."""
    own = placed[(placed["metric"] == "bits_per_dim") & (placed["model"] == "completed")]
    # Over the most test images, not the tighter bound on a few of them.
    own = own[own["n_real"] == own["n_real"].max()]
    native = _native(one_likelihood(placed))
    parts = []
    for dataset, size, rows in _places(own):
        best, seeds = _lowest(rows[rows["space"] == "logit"])
        same = (native["dataset"] == dataset) & (native["latent_dim"] == size)
        rival = _seeds(native[same], "vae")
        if seeds and rival:
            parts.append(f"{best} at d = {size} ({mean(rival) - mean(seeds):+.3f})")
    if not parts:
        return ""
    return (
        "Models are completed after training with a density fitted to their codes and fitted "
        f"pixel noise. In the logit space the best of these are {', '.join(parts)}, with the "
        "gain over the VAE's own bound in brackets."
    )


def _doubt(placed: Rows) -> str:
    """How far the bounds are from the truth, where annealing can tell."""
    gains = placed[placed["metric"] == "log_prob_gain_from_annealing"]["value"].dropna()
    gaps = placed[placed["metric"] == "bracket_gap"]["value"].dropna()
    if not len(gains) or not len(gaps):
        return ""
    low, middle, high = (format_number(v) for v in (gains.min(), gains.median(), gains.max()))
    return (
        f"Annealing checks the tightest importance bounds of {len(gains)} models. It moves them "
        f"by {low} to {high} nats per image, {middle} in the median. On simulated data it "
        f"brackets the true likelihood within {format_number(gaps.median())} nats in the median "
        f"and {format_number(gaps.max())} at most."
    )


def _places(rows: Rows) -> Iterator[tuple[str, int, Rows]]:
    """Yields each data set and latent size with its rows."""
    for key, own in rows.groupby(["dataset", "latent_dim"], sort=True):
        dataset, size = cast("tuple[str, int]", key)
        yield dataset, int(size), own


def _native(rows: Rows) -> Rows:
    """Keeps models as trained, in the space that flows share with their VAE."""
    return rows[(rows["model"] == "native") & (rows["space"] == "logit")]


def _lowest(rows: Rows) -> tuple[str, Seeds]:
    """Returns the label of the method with the lowest mean, and its seeds; empty without any."""
    found = [(method.name, seeds) for method, seeds in by_method(rows).items()]
    return min(found, key=lambda pair: mean(pair[1]), default=("", {}))


def _seeds(rows: Rows, objective: str) -> Seeds:
    """Returns the values of an objective, of its best variant where there are several."""
    return _lowest(rows[rows["objective"] == objective])[1]
