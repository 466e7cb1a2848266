"""What of a baseline the results lack, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..comparison.labels import settings_of
from .scores import DISTRUSTED, MODEL, Key, Score

# Settings that show in a row, as words around the baseline's value and the new one.
SHOWN = {
    "steps": "trained for {} steps",
    "backbone": "trained with the backbone {}",
    "backbone_hash": "trained with a backbone of the structure {:.8}",
    "selection": "scored with the weights of the {}",
}
ABSENT = "not in the results"


@dataclass(frozen=True)
class Missing:
    """A score of the baseline that the results lack, for some seed or for all.

    Attributes:
        model: What was trained.
        score: What was scored.
        why: Why it is missing, such as ``diverged (seed 1)``.
    """

    model: str
    score: str
    why: str


class Search:
    """Looks in results for what a baseline has.

    Args:
        before: The baseline's scores.
        after: The results' scores.
    """

    def __init__(self, before: Mapping[Key, Score], after: Mapping[Key, Score]) -> None:
        self._after = list(after.values())
        self._recipes = {score.row["recipe"] for score in before.values()}
        self._seeds = _seeds(self._after)
        methods = {score.method for score in before.values()}
        known = _seeds(score for score in self._after if score.method in methods)
        self._new_seeds = known - _seeds(before.values())
        self._diverged, self._diverged_before = _diverged(after), _diverged(before)

    def missing(self, old: Score, new: Score | None) -> list[Missing]:
        """Returns what the results lack of one score, one entry for each reason.

        Every seed that the results have of any model is expected of each model that has it in
        the baseline. A seed that the baseline has of no model is expected of all, once the
        results have it of one; it may be lost only where the baseline has lost one, too.

        Args:
            old: The score in the baseline.
            new: The score in the results, if it is there.
        """
        lost = self._diverged.get(old.method, {}) | (new.lost if new else {})
        lost_before = self._diverged_before.get(old.method, {}) | old.lost
        known = set(old.values)
        expected = known if old.is_floor else self._seeds & known | self._new_seeds
        lost_more = set(lost) - known
        expected = expected - lost_more if lost_before else expected | lost_more
        if old.doubted:  # On the edge of trust, which side it is on is no change.
            expected -= {seed for seed, why in lost.items() if why == DISTRUSTED}
        now = new.values if new else {}
        reasons: dict[str, list[int]] = {}
        for seed in sorted(expected - set(now)):
            reasons.setdefault(lost.get(seed, ABSENT), []).append(seed)
        if not now and not lost:
            return [Missing(old.model, old.score, self._why_absent(old.row))]
        return [
            Missing(old.model, old.score, f"{why} ({_seeds_text(seeds)})")
            for why, seeds in reasons.items()
        ]

    def _why_absent(self, row: Mapping[Any, Any]) -> str:
        """Says why a score has no row in the results: another recipe, or never run."""
        own = [s.row for s in self._after if all(s.row[n] == row[n] for n in MODEL)]
        if any(other["recipe"] == row["recipe"] for other in own):
            return f"{ABSENT}: its model is, under other settings of this score"
        for other in own:
            if other["recipe"] not in self._recipes and other["status"] != "diverged":
                return f"another recipe: {_difference_text(row, other)}"
        for other in (score.row for score in self._after):
            if _is_spelt_otherwise(row, other):
                return (
                    f"{ABSENT}, which have the same under the name '{other['dataset']}': own data "
                    "go by their path as it was spelt, so give it as for the baseline"
                )
        return ABSENT


def missing_lines(missing: Iterable[Missing]) -> list[tuple[str, ...]]:
    """Returns a line for each model and reason: both, the count of scores and their names."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for entry in missing:
        groups.setdefault((entry.model, entry.why), Counter())[entry.score] += 1
    return [
        (model, why, str(sum(scores.values())), ", ".join(scores))
        for (model, why), scores in sorted(groups.items())
    ]


def _diverged(scores: Mapping[Key, Score]) -> dict[Key, dict[int, str]]:
    """Returns for each method the seeds that diverged, which leave one row of a single score."""
    found: dict[Key, dict[int, str]] = {}
    for score in scores.values():
        lost = {seed: why for seed, why in score.lost.items() if why == "diverged"}
        found.setdefault(score.method, {}).update(lost)
    return found


def _seeds(scores: Iterable[Score]) -> set[int]:
    """Returns the seeds of which trained models have a row, with a value or without."""
    trained = [score for score in scores if not score.is_floor]
    return {seed for score in trained for seed in (*score.values, *score.lost)}


def _seeds_text(seeds: Iterable[int]) -> str:
    found = sorted(seeds)
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _is_spelt_otherwise(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> bool:
    """Returns whether two rows differ by the name of own data alone, whose digests are equal."""
    names = (str(before["dataset"]), str(after["dataset"]))
    if names[0] == names[1] or not all(":" in name for name in names):
        return False
    rest = [settings_of(row["settings"]) | {"dataset": ""} for row in (before, after)]
    return rest[0] == rest[1] and all(before[n] == after[n] for n in MODEL if n != "dataset")


def _difference_text(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> str:
    differing = [
        f"the baseline was {words.format(before[name])}, here {after[name]!s:.80}"
        for name, words in SHOWN.items()
        if before[name] != after[name]
    ]
    hidden = (
        f"a setting of training or evaluation that rows do not show (recipe {before['recipe']:.8} "
        f"in the baseline, here {after['recipe']:.8})"
    )
    return "; ".join(differing) or hidden
