"""What of a baseline the results lack, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..comparison.cells import seed_values
from ..comparison.columns import FLOOR, METHOD, without_floor
from ..comparison.labels import variant_text
from ..comparison.significance import Seeds
from ..records.results import Rows

# What a model is called; its recipe says more.
MODEL = ("dataset", "space", "objective", "variant", "latent_dim")
# Settings that show in a row, as words around the baseline's value and the new one.
SHOWN = {
    "steps": "trained for {} steps",
    "backbone": "trained with the backbone {}",
    "backbone_hash": "trained with a backbone of the structure {:.8}",
    "selection": "scored with the weights of the {}",
}


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
        before: The baseline's rows.
        after: The results' rows.
    """

    def __init__(self, before: Rows, after: Rows) -> None:
        self._before, self._after = before, after
        self._seeds = frozenset(int(seed) for seed in without_floor(after)["seed"])
        self._diverged, self._diverged_before = _diverged(after), _diverged(before)

    def missing(self, old: Rows, new: Rows) -> list[Missing]:
        """Returns what the results lack of one score, one entry for each reason.

        Every seed that the results have of any model is expected of each model that has it in
        the baseline; a new seed may be lost only where the baseline has lost one, too.

        Args:
            old: The score's rows in the baseline.
            new: Its rows in the results.
        """
        first = old.iloc[0].to_dict()
        then, now = trusted_values(old), trusted_values(new)
        method = tuple(first[name] for name in METHOD)
        lost = self._diverged.get(method, {}) | _unusable(new)
        lost_before = self._diverged_before.get(method, {}) | _unusable(old)
        expected = set(then) if first["objective"] == FLOOR else self._seeds & set(then)
        if not lost_before:
            expected |= set(lost)
        reasons: dict[str, list[int]] = {}
        for seed in sorted(expected - set(now)):
            reasons.setdefault(lost.get(seed, ""), []).append(seed)
        if not now and not any(reasons):
            return [_missing(first, self._why_absent(first))]
        return [
            _missing(first, f"{why or 'not in the results'} ({_seeds_text(seeds)})")
            for why, seeds in reasons.items()
        ]

    def _why_absent(self, first: Mapping[Any, Any]) -> str:
        """Says why a score has no row in the results: another recipe, or never run."""
        own = self._after
        for name in MODEL:
            own = own[own[name] == first[name]]
        if (own["recipe"] == first["recipe"]).any():
            return "not in the results: its model is, under other settings of this score"
        own = own[~own["recipe"].isin(self._before["recipe"])]
        own = own[own["status"] != "diverged"]
        return _recipe_text(first, own.iloc[0].to_dict()) if len(own) else "not in the results"


def trusted_values(rows: Rows) -> Seeds:
    """Returns the value of each seed whose row is in order, estimates only if trusted."""
    return seed_values(rows[rows["trusted"] != "no"])


def missing_lines(missing: Iterable[Missing]) -> list[tuple[str, ...]]:
    """Returns a line for each model and reason: both, the count of scores and their names."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for entry in missing:
        groups.setdefault((entry.model, entry.why), Counter())[entry.score] += 1
    return [
        (model, why, str(sum(scores.values())), ", ".join(scores))
        for (model, why), scores in sorted(groups.items())
    ]


def name_of(row: Mapping[Any, Any]) -> str:
    """Returns what is scored, in words: the model and the score."""
    return f"{model_name(row)} {score_name(row)}"


def model_name(row: Mapping[Any, Any]) -> str:
    """Returns a model's name, such as ``"digits vae d = 8"``."""
    parts = [row["dataset"], row["objective"], variant_text(row["variant"])]
    parts += [f"d = {row['latent_dim']}"]
    parts += [f"in {row['space']}" if row["space"] != "unit" else ""]
    return " ".join(str(part) for part in parts if part)


def score_name(row: Mapping[Any, Any]) -> str:
    """Returns a score's name, such as ``"sample prior fd"``."""
    return " ".join(filter(None, (row["images"], row["density"], row["metric"])))


def _missing(row: Mapping[Any, Any], why: str) -> Missing:
    return Missing(model_name(row), score_name(row), why)


def _diverged(rows: Rows) -> dict[tuple[Any, ...], dict[int, str]]:
    """Returns for each method the seeds that diverged: they have no row for a score."""
    lost = rows[rows["status"] == "diverged"]
    return {key: _unusable(own) for key, own in lost.groupby(list(METHOD))}


def _unusable(rows: Rows) -> dict[int, str]:
    found: dict[int, str] = {}
    for seed, status, trusted in zip(
        *(rows[n] for n in ("seed", "status", "trusted")), strict=True
    ):
        if status != "ok":
            found[int(seed)] = str(status)
        elif trusted == "no":
            found[int(seed)] = "an estimate that is not trusted"
    return found


def _seeds_text(seeds: Iterable[int]) -> str:
    found = sorted(seeds)
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _recipe_text(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> str:
    differing = [
        f"the baseline was {words.format(before[name])}, here {after[name]!s:.80}"
        for name, words in SHOWN.items()
        if before[name] != after[name]
    ]
    hidden = (
        f"a setting of training or evaluation that rows do not show (recipe {before['recipe']:.8} "
        f"in the baseline, here {after['recipe']:.8})"
    )
    return "another recipe: " + ("; ".join(differing) or hidden)
