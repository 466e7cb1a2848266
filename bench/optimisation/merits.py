"""What is reported of a search: validity, scores, the best strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from .candidates import Candidates
from .ranking import BEST, best_distinct

QUALITY = ("rmse", "log_likelihood")  # Of a surrogate, as rounds tell it.


@dataclass(frozen=True)
class Merit:
    """A figure of merit over the trials.

    Attributes:
        value: Its mean over the trials, or none where a trial has none.
        spread: Population standard deviation over trials / sqrt(trials), as the authors print
            it; none for one trial, and for the best of all trials.
    """

    value: float | None
    spread: float | None = None


def merits(trials: Sequence[Candidates]) -> dict[str, Merit]:
    """Returns all that is reported of the trials of one search; scores lower is better.

    ``validity`` and ``single_validity`` are shares of the candidates valid by the mode of all
    decodes and by the first alone, ``training_share`` the share that are training strings,
    ``mean_score`` as in `mean_score`, ``best_1`` to ``best_3`` the scores of `best_strings`. Of
    the surrogate that is fitted first, ``surrogate_rmse`` and ``surrogate_log_likelihood`` are the
    error and the log-likelihood of held-out scores; random draws have none. Without any trial
    there are no values.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), Table 2 (arXiv 1703.01925).
    """
    shares = {"validity": "valid", "single_validity": "single_valid", "training_share": "known"}
    found = {
        name: _over([float(getattr(trial, part).double().mean()) for trial in trials])
        for name, part in shares.items()
    }
    found["mean_score"] = _over([mean_score(trial) for trial in trials])
    scores = [score for _, score in best_strings(trials)]
    for place in range(BEST):
        found[f"best_{place + 1}"] = Merit(scores[place] if place < len(scores) else None)
    if trials and all(
        trial.rounds and name in trial.rounds[0] for name in QUALITY for trial in trials
    ):
        for name in QUALITY:
            found[f"surrogate_{name}"] = _over([trial.rounds[0][name] for trial in trials])
    return found


def mean_score(trial: Candidates) -> float | None:
    """Returns the mean over valid candidates below the trial's greatest score; none if none is.

    The authors take all below it, to leave out what is invalid. This they do of expressions, whose
    invalid ones have the worst score possible. An invalid molecule has that of the worst training
    molecule, and would count as soon as a valid candidate is worse.
    """
    scores = trial.scores.tolist()
    pairs = zip(scores, trial.valid.tolist(), strict=True)
    below = [score for score, valid in pairs if valid and score < max(scores)]
    return fmean(below) if below else None


def best_strings(trials: Sequence[Candidates]) -> list[tuple[str, float]]:
    """Returns the best valid strings of distinct scores over all trials with their scores."""
    return best_distinct(
        (text, score)
        for trial in trials
        for text, valid, score in zip(
            trial.texts, trial.valid.tolist(), trial.scores.tolist(), strict=True
        )
        if valid
    )


def _over(values: Sequence[float | None]) -> Merit:
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        return Merit(None)
    return Merit(fmean(known), pstdev(known) / len(known) ** 0.5 if len(known) > 1 else None)
