"""What single rows say of a score, as plain values: thousands of cells are made from these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..records.results import Rows
from .footnotes import UNTRUSTED
from .labels import REFERENCES
from .strings import SPACES

WORSE_THAN_NOISE = "worse than uniform noise over the pixels, which has 8 bits/dim"


class Scored(NamedTuple):
    """What one row says of its score; the fields are columns of result rows."""

    objective: str
    space: str
    run: str
    latent_dim: int
    seed: int
    metric: str
    value: float
    stderr: float
    unit: str
    better: str
    kind: str
    model: str
    trusted: str
    status: str
    reason: str
    compute_seconds: float

    @property
    def is_trusted(self) -> bool:
        """Whether it is no estimate, or an estimate that is trusted."""
        return self.trusted != "no"

    @property
    def is_usable(self) -> bool:
        """Whether the value may enter a mean."""
        return self.status == "ok" and self.is_trusted


def scores_in(rows: Rows) -> list[Scored]:
    """Returns what each row says, in the order of the rows."""
    columns = (rows[name].tolist() for name in Scored._fields)
    return list(map(Scored._make, zip(*columns, strict=True)))


def scores_by(rows: Rows, *names: str) -> dict[Any, list[Scored]]:
    """Returns what rows say, sorted out by columns, in one pass over the rows.

    Args:
        rows: Result rows.
        names: One column, whose values are the keys, or several, whose tuples are.

    Returns:
        The rows of each key in their order, keys in the order of their first rows.
    """
    keys: Iterable[Any] = rows[names[0]].tolist()
    if len(names) > 1:
        keys = zip(*(rows[name].tolist() for name in names), strict=True)
    found: dict[Any, list[Scored]] = {}
    for key, score in zip(keys, scores_in(rows), strict=True):
        found.setdefault(key, []).append(score)
    return found


def seed_values(scores: Sequence[Scored]) -> dict[int, float]:
    """Returns the value of each seed whose row is in order and trusted."""
    return {score.seed: score.value for score in scores if score.is_usable}


def doubtful_values(scores: Sequence[Scored]) -> dict[int, float]:
    """Returns the value of each seed whose estimate is not trusted."""
    return {s.seed: s.value for s in scores if s.status == "ok" and not s.is_trusted}


def are_references(scores: Sequence[Scored]) -> bool:
    """Returns whether all score real images in the place of generated ones."""
    return all(score.objective in REFERENCES for score in scores)


def image_error(scores: Sequence[Scored]) -> float | None:
    """Returns the standard error over test images of likelihoods' mean over seeds.

    All seeds are scored on the same images, so that errors over images do not average out. None
    for other scores, and where no error is known.
    """
    own = [s.stderr for s in scores if s.kind and s.is_usable and s.stderr == s.stderr]
    return float(np.mean(own)) if own else None


def compute_seconds(scores: Sequence[Scored]) -> float | None:
    """Returns the mean over runs of CPU seconds of the process, or device seconds on a GPU.

    Runs without any are left out, since wall seconds are no substitute; None where all are.
    """
    runs: dict[str, float] = {}
    for score in scores:
        runs.setdefault(score.run, score.compute_seconds)
    seconds = [one for one in runs.values() if not np.isnan(one)]
    return float(np.mean(seconds)) if seconds else None


def counted(states: Iterable[str]) -> str:
    """Returns how often each state occurs, such as ``"1 diverged, 2 failed"``."""
    return ", ".join(f"{count} {name}" for name, count in sorted(Counter(states).items()))


def lost_text(scores: Sequence[Scored]) -> str:
    """Returns how many seeds went wrong in which way, such as ``"1 diverged"``."""
    states = (score.status if score.is_trusted else "untrusted" for score in scores)
    return counted(state for state in states if state in ("diverged", "failed", "untrusted"))


def warnings_of(scores: Sequence[Scored]) -> tuple[str, ...]:
    """Returns the warnings kept with scores that have a value, each once."""
    good = [score for score in scores if score.status == "ok"]
    untrusted = () if all(score.is_trusted for score in good) else (UNTRUSTED,)
    noise = (WORSE_THAN_NOISE,) if _is_worse_than_noise(good) else ()
    return (*untrusted, *noise, *dict.fromkeys(s.reason for s in good if s.reason))


def _is_worse_than_noise(scores: Sequence[Scored]) -> bool:
    """Returns whether the mean is above 8 bits/dim, or below 0 nats on [0, 1]^D."""
    pixels = [
        (s.metric, s.value)
        for s in scores
        if s.kind and s.space != "real" and not s.space.startswith(SPACES)
    ]
    bits = [value for metric, value in pixels if metric.startswith("bits_per_dim")]
    nats = [value for metric, value in pixels if metric.startswith("log_prob")]
    return bool((bits and np.mean(bits) > 8) or (nats and np.mean(nats) < 0))
