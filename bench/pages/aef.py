"""The AEF paper's claim as effects: gains in bits per dimension over the same network's VAE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..comparison.cells import one_likelihood
from ..comparison.labels import metric_short, settings_of
from ..comparison.significance import Seeds, mean
from ..records.results import Rows
from .effects import Effect
from .methods import Method, by_method, lost_by_method, paired
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


def aef_effects(placed: Rows) -> Iterator[Effect]:
    """Yields the gain of each flow over the VAE of its network, as trained and in one space.

    Args:
        placed: Result rows with their place and method.
    """
    rows = one_likelihood(placed)
    rows = rows[(rows["model"] == "native") & (rows["space"] == "logit")]
    for _, own in rows.groupby(PLACE, sort=True):
        methods = by_method(own)
        rivals = {m: v for m, v in methods.items() if m.objective == "vae"}
        for method in methods:
            if rivals and method.objective.startswith("aef"):
                yield _gain(own, method, methods[method], rivals)


def _gain(rows: Rows, method: Method, values: Seeds, rivals: Mapping[Method, Seeds]) -> Effect:
    distance = {rival: _settings_apart(method, rival) for rival in rivals}
    same = [rival for rival in rivals if distance[rival] == min(distance.values())]
    rival = min(same, key=lambda other: mean(rivals[other]))
    first = rows.iloc[0]
    lost = lost_by_method(rows)
    return Effect(
        claim=CLAIM,
        comparison=f"{method.name} instead of {rival.name}",
        where=f"{first['dataset']}, d = {first['latent_dim']}",
        unit=BITS,
        differences=paired(rivals[rival], values),
        least=STRIKING,
        candidates=len(same),
        limit=_limit(rows, rival, method),
        lost="; ".join(f"{m.name}: {lost[m.name]}" for m in (method, rival) if m.name in lost),
        training=training_text(rows),
    )


def _limit(rows: Rows, rival: Method, method: Method) -> str:
    """Returns on which side of the true gain a difference of these two stands."""
    kinds = [set(rows.loc[rows["method"] == m.name, "kind"]) for m in (rival, method)]
    bounds = tuple(kind != {"exact"} for kind in kinds)
    return {(False, False): "", (True, False): "≤", (False, True): "≥", (True, True): "~"}[bounds]


def _settings_apart(first: Method, second: Method) -> int:
    a, b = settings_of(first.variant), settings_of(second.variant)
    return sum(a.get(name) != b.get(name) for name in a.keys() | b.keys())
