"""What the rows say on likelihood: computed sentences, the AEF paper's claim included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ..comparison.cells import one_likelihood, seed_values
from ..comparison.labels import metric_short
from ..comparison.significance import Seeds, mean
from ..comparison.table import format_number

if TYPE_CHECKING:
    import pandas as pd

# The claim says "strikingly"; a tenth of a bit for each of 784 pixels is 54 nats per image.
STRIKING = 0.1
BITS = metric_short("bits_per_dim")


def likelihood_reading(placed: pd.DataFrame) -> list[str]:
    """Returns sentences on bits per dimension, none without such rows.

    Args:
        placed: Result rows with their place and method.
    """
    rows = one_likelihood(placed)
    if not len(rows):
        return []
    sentences = [_best(dataset, size, own) for dataset, size, own in _places(rows)]
    found = [*sentences, _claim(rows), _fixed_scale(rows), _completed(placed), _doubt(placed)]
    return [sentence for sentence in found if sentence]


def _best(dataset: str, size: int, rows: pd.DataFrame) -> str:
    seeds = by_method(rows)
    if not seeds:
        return ""
    best = min(seeds, key=lambda name: mean(seeds[name]))
    kind = rows[rows["method"] == best]["kind"].iloc[0]
    return (
        f"On {dataset} with d = {size} the best likelihood on record is "
        f"{format_number(mean(seeds[best]))} {BITS} ({best}, {kind})."
    )


def _claim(rows: pd.DataFrame) -> str:
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
    listed = "; ".join(f"{name} at d = {size} {_signed(gap)}" for name, size, gap in gaps)
    striking = sum(gap >= STRIKING for _, _, gap in gaps)
    verdict = "holds" if striking == len(gaps) else "holds in part" if striking else "fails"
    return (
        f"Bits per dimension gained over the VAE of the same network and space, under one "
        f"estimator: {listed}. The claim that AEFs reach strikingly higher log-likelihoods "
        f"than architecturally identical VAEs, read as at least {STRIKING} {BITS}, {verdict}: "
        f"{striking} of {len(gaps)} cases."
    )


def _fixed_scale(rows: pd.DataFrame) -> str:
    gaps = []
    for _, size, own in _places(_native(rows)):
        free, fixed = _seeds(own, "aef-linear"), _seeds(own, "aef-linear-fixed")
        if free and fixed:
            gaps.append(f"{_signed(mean(free) - mean(fixed))} at d = {size}")
    if not gaps:
        return ""
    return f"Fixing the scale of aef-linear's dense map gains {', '.join(gaps)} {BITS}."


def _completed(placed: pd.DataFrame) -> str:
    own = _widest(placed[placed["model"] == "completed"])
    native = _native(one_likelihood(placed))
    parts = []
    for dataset, size, rows in _places(own):
        seeds = by_method(rows[rows["space"] == "logit"])
        same = (native["dataset"] == dataset) & (native["latent_dim"] == size)
        rival = _seeds(native[same], "vae")
        if seeds and rival:
            best = min(seeds, key=lambda name: mean(seeds[name]))
            gap = _signed(mean(rival) - mean(seeds[best]))
            parts.append(f"{best} at d = {size} ({gap})")
    if not parts:
        return ""
    return (
        "Of the models completed with a fitted density and fitted pixel noise in the logit "
        f"space the best are {', '.join(parts)}, in brackets the gain over the VAE's own bound."
    )


def _doubt(placed: pd.DataFrame) -> str:
    """How far the bounds are from the truth, where annealing can tell."""
    gains = placed[placed["metric"] == "log_prob_gain_from_annealing"]["value"].dropna()
    gaps = placed[placed["metric"] == "bracket_gap"]["value"].dropna()
    if not len(gains) or not len(gaps):
        return ""
    return (
        f"Annealing moves the tightest importance bounds by {format_number(gains.min())} to "
        f"{format_number(gains.max())} nats per image (median {format_number(gains.median())}; "
        f"{len(gains)} models), and brackets the truth on simulated data within "
        f"{format_number(gaps.median())} nats in the median, {format_number(gaps.max())} at most."
    )


def by_method(rows: pd.DataFrame) -> dict[str, Seeds]:
    """Returns the values of each method's seeds, for methods that have any."""
    seeds = {str(name): seed_values(own) for name, own in rows.groupby("method", sort=True)}
    return {name: values for name, values in seeds.items() if values}


def _places(rows: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Yields each data set and latent size with its rows."""
    for key, own in rows.groupby(["dataset", "latent_dim"], sort=True):
        dataset, size = cast("tuple[str, int]", key)
        yield dataset, int(size), own


def _native(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps models as trained, in the space that flows share with their VAE."""
    return rows[(rows["model"] == "native") & (rows["space"] == "logit")]


def _widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps bits/dim over the most test images, not the tighter bound on a few of them."""
    own: Any = rows[rows["metric"] == "bits_per_dim"]
    return own[own["n_real"] == own["n_real"].max()]


def _seeds(rows: pd.DataFrame, objective: str) -> Seeds:
    """Returns the values of an objective, of its best variant where there are several."""
    variants = by_method(rows[rows["objective"] == objective]).values()
    return min(variants, key=mean, default={})


def _signed(value: float) -> str:
    return f"{value:+.3f}"
