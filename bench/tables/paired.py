"""Two result sets side by side: the same rows with paired differences over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.cells import seed_values
from ..comparison.columns import SCORE_KEY
from ..comparison.labels import suite_title
from ..comparison.significance import LEVEL, SEEDS_NEEDED, Seeds, holm, paired_p_value
from ..comparison.table import Cell, Table, format_number, text_table
from ..errors import UserError
from ..records.results import Rows, read_results

if TYPE_CHECKING:
    from ...metrics.arrays import Floats

HEADER = (
    *("objective", "dataset", "d", "images", "score", "first", "second"),
    *("difference", "verdict"),
)


@dataclass(frozen=True)
class PairedScore:
    """One score in two result sets.

    Attributes:
        row: A row of the first, which names the score.
        first: The first's value for each seed.
        second: The second's value for each seed.
        p_value: That both are alike, corrected for the number of scores.
    """

    row: Mapping[Any, Any]
    first: Seeds
    second: Seeds
    p_value: float

    @property
    def shared(self) -> list[int]:
        """The seeds that both have."""
        return sorted(self.first.keys() & self.second.keys())

    @property
    def differences(self) -> Floats:
        """Second minus first for each shared seed."""
        return np.array([self.second[seed] - self.first[seed] for seed in self.shared])

    @property
    def verdict(self) -> str:
        """What the test says of the second."""
        if not self.differences.any():
            return "equal"
        if len(self.shared) < SEEDS_NEEDED:
            return "too few seeds"
        if self.p_value >= LEVEL:
            return "no difference seen"
        if self.row["better"] not in ("lower", "higher"):
            return "different"
        lower = bool(self.differences.mean() < 0)
        return "better" if lower == (self.row["better"] == "lower") else "worse"


def compare_results(first: Path, second: Path) -> tuple[Table, list[str]]:
    """Returns a table of paired differences, second minus first, and notes.

    Raises:
        UserError: A folder is missing or empty, or no score is in both with a shared seed.
    """
    a, b = read_results(first), read_results(second)
    notes = [*a.warnings, *b.warnings]
    scores = paired_scores(a.rows, b.rows)
    if not scores:
        raise UserError(f"'{first}' and '{second}' share no score of the same seed.")
    title = f"{second} minus {first} · {suite_title(a.rows.iloc[0].to_dict())}"
    table = paired_table("compare", title, scores)
    keys = [_keys(rows) for rows in (a.rows, b.rows)]
    for path, own, other in ((first, keys[0], keys[1]), (second, keys[1], keys[0])):
        if own - other:
            notes.append(f"{len(own - other)} scores are only in '{path}'.")
    return table, notes


def paired_scores(first: Rows, second: Rows) -> list[PairedScore]:
    """Returns the scores that both have with a shared seed, tested together."""
    groups = [dict(iter(rows.groupby(list(SCORE_KEY), dropna=False))) for rows in (first, second)]
    entries = []
    for key, own in groups[0].items():
        if key in groups[1]:
            x, y = seed_values(own), seed_values(groups[1][key])
            if x.keys() & y.keys():
                entries.append((own.iloc[0].to_dict(), x, y))
    adjusted = holm([paired_p_value(x, y) for _, x, y in entries])
    return [PairedScore(*entry, p) for entry, p in zip(entries, adjusted, strict=True)]


def paired_table(name: str, title: str, scores: Iterable[PairedScore]) -> Table:
    """Returns the table of paired scores."""
    notes = (
        "Means over the shared seeds, count in brackets; difference ± its standard deviation.",
        f"Verdict: paired t-test, Holm-corrected, from {SEEDS_NEEDED} shared seeds on.",
    )
    return text_table(name, title, HEADER, map(_line, scores), notes)


def _keys(rows: Rows) -> set[tuple[str, ...]]:
    return {tuple(map(str, line)) for line in rows[list(SCORE_KEY)].itertuples(index=False)}


def _line(score: PairedScore) -> tuple[object, ...]:
    row, difference = score.row, score.differences
    moved, count = float(difference.mean()), len(difference)
    spread = f" ± {difference.std(ddof=1):.3g}" if count > 1 else ""
    pair = (score.first, score.second)
    means = [float(np.mean([values[seed] for seed in score.shared])) for values in pair]
    method = " ".join(filter(None, (row["objective"], row["variant"], row["space"])))
    scored = " ".join(filter(None, (row["images"], row["density"])))
    names = (method, row["dataset"], row["latent_dim"], scored, row["metric"])
    numbers = (Cell(f"{format_number(mean)} ({count})", mean) for mean in means)
    return (*names, *numbers, Cell(f"{moved:+.4g}{spread}", moved), score.verdict)
