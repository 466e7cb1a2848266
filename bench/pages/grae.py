"""The RAE paper's claims on structured data as effects: paired differences over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..comparison.significance import mean
from ..comparison.steps import asked_steps
from ..comparison.strings import RELEASED, SEARCH, by_task, candidates_of
from ..records.results import Rows
from .effects import Effect
from .methods import Method, by_method, lost_by_method, paired, settings_of_both
from .protocol import training_text
from .rae import is_rae

VALID, SCORE = "RAE vi", "RAE vii"
MEANINGS = {
    VALID: "of the strings that a search in the latent space proposes, more are valid with a GRAE "
    "than with the GVAE and the CVAE",
    SCORE: "the strings of that search score better on average with a GRAE than with the GVAE and "
    "the CVAE",
}
METRICS = {VALID: "validity", SCORE: "mean_score"}
UNITS = {VALID: "share", SCORE: "score"}
# Rows that agree in these are of one comparison.
PLACE = ["suite", "scale", "dataset", "split", "latent_dim", "n_generated", "asked"]


def grae_effects(placed: Rows) -> Iterator[Effect]:
    """Yields, for each claim, every GRAE against the GVAE and the CVAE of as many steps.

    The paper does not say which regulariser its GRAE has, so that each one is compared and none
    is chosen by its scores.

    Args:
        placed: Result rows with their place and method.
    """
    found = candidates_of(by_task(placed))
    searched = found[(found["density"] == SEARCH) & (found["space"] == RELEASED)]
    searched = searched.assign(asked=asked_steps(searched))
    for _, own in searched.groupby(PLACE, dropna=False, sort=True):
        for claim, metric in METRICS.items():
            scored = own[own["metric"] == metric]
            methods = list(by_method(scored))
            for grae in filter(is_rae, methods):
                for rival in (method for method in methods if method.objective == "vae"):
                    yield _effect(claim, scored, grae, rival)


def _effect(claim: str, rows: Rows, grae: Method, rival: Method) -> Effect:
    """Returns by how much a GRAE is better than its rival."""
    values, lost = by_method(rows), lost_by_method(rows)
    lower = rows["better"].iloc[0] == "lower"
    pair = (values[rival], values[grae]) if lower else (values[grae], values[rival])
    differences = paired(*pair)
    # A share ends at 1.
    room = 1 - mean({seed: values[rival][seed] for seed in differences})
    return Effect(
        claim=claim,
        comparison=f"{grae.name} instead of {rival.name}",
        where=str(rows["dataset"].iloc[0]),
        unit=UNITS[claim],
        differences=differences,
        most=room if claim == VALID else math.inf,
        lost="; ".join(f"{m.name}: {lost[m.name]}" for m in (grae, rival) if m.name in lost),
        training=training_text(rows, grae, rival),
        settings=settings_of_both(grae, rival),
    )
