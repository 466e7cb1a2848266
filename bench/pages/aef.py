"""The AEF paper's claim as effects: gains in bits per dimension over the same network's VAE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from ..comparison.cells import one_likelihood
from ..comparison.gains import Arrays, Estimate, Gain, dims_of, estimate_of, likelihood_gain
from ..comparison.labels import metric_short
from ..comparison.significance import NORMAL_95, Seeds, half_width, mean
from ..records.results import Rows
from .effects import Effect
from .methods import Method, by_method, lost_by_method, nearest, paired
from .protocol import training_text

CLAIM = "AEF"
# The claim says "strikingly"; a tenth of a bit for each of 784 pixels is 54 nats per image.
STRIKING = 0.1
BITS = metric_short("bits_per_dim")
MEANINGS = {
    CLAIM: "autoencoding flows have a strikingly higher log-likelihood than architecturally "
    f"identical VAEs, which is read as a gain of at least {STRIKING} {BITS}"
}
PLACE = ["suite", "scale", "dataset", "split", "backbone_hash", "latent_dim"]


def aef_effects(placed: Rows, arrays: Arrays) -> Iterator[Effect]:
    """Yields the gain of each flow over the VAE of its network, as trained and in one space.

    Args:
        placed: Result rows with their place and method.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    native = placed[(placed["model"] == "native") & (placed["space"] == "logit")]
    for _, own in native.groupby(PLACE, sort=True):
        methods = by_method(one_likelihood(own))
        rivals = {m: v for m, v in methods.items() if m.objective == "vae"}
        for method in methods:
            if rivals and method.objective.startswith("aef"):
                same = nearest(method, list(rivals))
                rival = min(same, key=lambda other: mean(rivals[other]))
                effect = _effect(own, method, rival, arrays)
                yield from [replace(effect, candidates=len(same))] if effect else []


def _effect(rows: Rows, method: Method, rival: Method, arrays: Arrays) -> Effect | None:
    first = rows.iloc[0].to_dict()
    own, other = (_estimate(rows, name, arrays) for name in (method.name, rival.name))
    found = likelihood_gain(own, other)
    if found is None:
        return None
    gain = found.in_bits(dims_of(first))
    differences = _by_seed(gain, own, other, dims_of(first))
    lost = lost_by_method(rows)
    return Effect(
        claim=CLAIM,
        comparison=f"{method.name} instead of {rival.name}",
        where=f"{first['dataset']}, d = {first['latent_dim']}",
        unit=BITS,
        differences=differences,
        least=STRIKING,
        below=gain.below,
        above=gain.above,
        image_error=_image_error(gain, differences),
        lost="; ".join(f"{m.name}: {lost[m.name]}" for m in (method, rival) if m.name in lost),
        doubt="" if gain.images else "single images were not kept",
        training=training_text(rows),
    )


def _estimate(rows: Rows, name: str, arrays: Arrays) -> Estimate:
    """Returns a method's likelihood: annealed where that has both ends, else the best bound."""
    own = rows[rows["method"] == name]
    annealed = estimate_of(own[own["metric"] == "log_prob_annealed"], arrays, brackets=rows)
    return (
        annealed
        if annealed.gap < math.inf and annealed.values
        else estimate_of(one_likelihood(own), arrays)
    )


def _by_seed(gain: Gain, first: Estimate, second: Estimate, dims: int) -> dict[int, float]:
    """Returns each seed's gain, moved so that their mean is that over the shared images."""
    nats = paired(first.values, second.values)
    bits = {seed: value / (dims * math.log(2)) for seed, value in nats.items()}
    return {seed: value + gain.value - mean(bits) for seed, value in bits.items()}


def _image_error(gain: Gain, differences: Seeds) -> float:
    """Returns the part of a gain's error that is not the seeds'."""
    over_seeds = half_width(differences.values()) or 0.0
    return math.sqrt(max(0.0, (gain.half_width or 0.0) ** 2 - over_seeds**2)) / NORMAL_95
