"""Samples of the two kinds that every family has: of its own density, and of a mixture."""

from __future__ import annotations

from ..records.results import Rows
from .cells import normal_column
from .columns import is_reference, join, without_floor
from .scored import scores_by, seed_values
from .significance import mean

OWN, MIXTURE, RECONSTRUCTIONS = "N", "GMM-10", "Rec"


def references_of(rows: Rows) -> Rows:
    """Returns the rows of real images that stand in the place of generated ones."""
    return rows[is_reference(rows)]


def sampled(rows: Rows, metric: str = "fd") -> Rows:
    """Returns a score of reconstructions and of both kinds of samples, with references.

    Args:
        rows: Rows with the columns of ``with_places``.
        metric: The score.
    """
    own = rows[rows["metric"] == metric]
    placed = normal_column(without_floor(own[own["images"].isin(["reconstruction", "sample"])]))
    placed = placed[placed["place"].isin([RECONSTRUCTIONS, OWN, MIXTURE])]
    return join(references_of(own), placed)


def has_both_kinds(scored: Rows) -> bool:
    """Returns whether there are reconstructions, own samples and those of a mixture."""
    trained = without_floor(scored)
    places = set(trained.loc[trained["status"] == "ok", "place"])
    return {RECONSTRUCTIONS, OWN, MIXTURE} <= places


def better_density(fd: Rows) -> dict[str, str]:
    """Returns for each method the place, own density or mixture, with the lower mean FD.

    Args:
        fd: Rows of `sampled`: Fréchet distances under one protocol.
    """
    samples = fd[fd["place"].isin([OWN, MIXTURE])]
    best: dict[str, tuple[float, str]] = {}
    for (method, place), own in sorted(scores_by(samples, "method", "place").items()):
        if seeds := seed_values(own):
            found = (mean(seeds), str(place))
            # Of equals the first by name.
            best[method] = min(best.get(method, found), found, key=lambda pair: pair[0])
    return {method: place for method, (_, place) in best.items()}


def better_samples(scored: Rows, best: dict[str, str]) -> Rows:
    """Keeps of each method the samples of its better density; references stay.

    Args:
        scored: Rows of `sampled`.
        best: What `better_density` gives.
    """
    trained = without_floor(scored)
    kept = trained[trained["place"] == trained["method"].map(best)]
    return join(references_of(scored), kept.assign(place="sample"))
