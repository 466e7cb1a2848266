"""Two result sets side by side: the same rows with paired differences over the seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .check_trained import SCORE_KEY
from .errors import UserError
from .labels import suite_title
from .results import read_results
from .significance import LEVEL, SEEDS_NEEDED, holm, paired_p_value
from .tables import Cell, Table, format_number
from .tables_wide import seed_values

if TYPE_CHECKING:
    import pandas as pd

# The suite's name may differ between two result sets; what was trained and scored may not.
SAME = tuple(name for name in SCORE_KEY if name not in ("suite",))


def compare_results(first: Path, second: Path) -> tuple[Table, list[str]]:
    """Returns a table of paired differences, second minus first, and notes.

    Raises:
        UserError: A folder is missing or empty, or no row is in both.
    """
    a, b = read_results(first), read_results(second)
    notes = [*a.warnings, *b.warnings]
    table = paired_table(a.rows, b.rows, (str(first), str(second)))
    only = [_keys(rows) for rows in (a.rows, b.rows)]
    for path, own, other in ((first, only[0], only[1]), (second, only[1], only[0])):
        if own - other:
            notes.append(f"{len(own - other)} scores are only in '{path}'.")
    return table, notes


def paired_table(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> Table:
    """Returns the table of the scores that both have.

    Raises:
        UserError: No score is in both with a shared seed.
    """
    groups = [dict(iter(rows.groupby(list(SAME), dropna=False))) for rows in (first, second)]
    entries = []
    for key, own in groups[0].items():
        if key in groups[1]:
            x, y = seed_values(own), seed_values(groups[1][key])
            if x.keys() & y.keys():
                entries.append((own.iloc[0], x, y))
    if not entries:
        raise UserError(f"'{names[0]}' and '{names[1]}' share no score of the same seed.")
    adjusted = holm([paired_p_value(x, y) for _, x, y in entries])
    columns = ("dataset", "d", "images", "score", "first", "second", "difference", "verdict")
    lines = tuple(
        (_method(row), _line(row, x, y, p))
        for (row, x, y), p in zip(entries, adjusted, strict=True)
    )
    title = f"{names[1]} minus {names[0]} · {suite_title(first.iloc[0].to_dict())}"
    notes = (
        "Means over the shared seeds, count in brackets; difference ± its standard deviation.",
        f"Verdict: paired t-test, Holm-corrected, from {SEEDS_NEEDED} shared seeds on.",
    )
    header = tuple(("", name) for name in columns)
    return Table("compare", title, notes, "objective", header, lines)


def _keys(rows: pd.DataFrame) -> set[tuple[str, ...]]:
    return {tuple(map(str, line)) for line in rows[list(SAME)].itertuples(index=False)}


def _method(row: pd.Series[str]) -> str:
    return " ".join(filter(None, (row["objective"], row["variant"], row["space"])))


def _line(
    row: pd.Series[str], x: dict[int, float], y: dict[int, float], p: float
) -> tuple[Cell, ...]:
    shared = sorted(x.keys() & y.keys())
    difference = np.array([y[seed] - x[seed] for seed in shared])
    mean, count = float(difference.mean()), len(shared)
    spread = f" ± {difference.std(ddof=1):.3g}" if count > 1 else ""
    means = [float(np.mean([values[seed] for seed in shared])) for values in (x, y)]
    verdict = "too few seeds" if count < SEEDS_NEEDED else "no difference seen"
    if not difference.any():
        verdict = "equal"
    elif count >= SEEDS_NEEDED and p < LEVEL:
        wins = (mean < 0) == (row["better"] == "lower")
        verdict = "better" if wins else "worse"
        verdict = verdict if row["better"] in ("lower", "higher") else "different"
    scored = " ".join(filter(None, (row["images"], row["density"])))
    texts = (row["dataset"], str(row["latent_dim"]), scored, row["metric"])
    numbers = [Cell(f"{format_number(m)} ({count})", m) for m in means]
    signed = Cell(f"{mean:+.4g}{spread}", mean)
    return (*(Cell(str(text)) for text in texts), *numbers, signed, Cell(verdict))
