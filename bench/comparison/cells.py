"""What all tables share: which rows make one, which methods in which order, what a cell says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .columns import FLOOR, Column, join, without_floor
from .labels import ARROWS, metric_title, objective_order, suite_title
from .significance import separated_from_best
from .table import Cell, file_name, seeds_cell

if TYPE_CHECKING:
    import pandas as pd

# The N column holds what the objective samples from: its prior or second stage, else a Gaussian.
NORMAL = ("second-stage", "prior", "gaussian")
NORMAL_HEADER = "N(0,I) / N"
NORMAL_NOTE = "N: the objective's own prior or second stage; a fitted Gaussian where none."
OVER_SEEDS = "Mean ± standard deviation over seeds (count of seeds)."


@dataclass(frozen=True)
class Part:
    """Rows that share one title: a suite at a scale, and a latent size where there are several."""

    rows: pd.DataFrame
    title: str
    suffix: str


def suite_parts(rows: pd.DataFrame) -> Iterator[Part]:
    """Yields the rows by suite and scale."""
    suites = list(rows.groupby(["suite", "scale"], sort=True))
    for (suite, scale), own in suites:
        suffix = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        yield Part(own, suite_title({"suite": suite, "scale": scale}), suffix)


def table_parts(rows: pd.DataFrame) -> Iterator[Part]:
    """Yields the rows by suite and scale, and by latent size where a data set has several."""
    for part in suite_parts(rows):
        trained = without_floor(part.rows)
        if not has_several_sizes(trained):
            yield part
            continue
        floor = part.rows[part.rows["objective"] == FLOOR]
        for size, own in trained.groupby("latent_dim"):
            suffix = file_name(part.suffix, f"d{size}")
            yield Part(join(floor, own), f"{part.title}, d = {size}", suffix)


def has_several_sizes(trained: pd.DataFrame) -> bool:
    """Returns whether a data set's models have several latent sizes."""
    sizes = trained.groupby("dataset")["latent_dim"].nunique()
    return len(sizes) > 0 and bool(sizes.max() > 1)


def score_lines(
    columns: Iterable[Column], methods: Iterable[str], rows: pd.DataFrame
) -> tuple[dict[str, list[Cell]], list[str]]:
    """Fills a table: a line for each method, a cell for each column.

    Args:
        columns: Columns of comparable scores.
        methods: The methods in the order of the lines.
        rows: Rows whose seeds every method should have.

    Returns:
        The cells of each method, and for each column why it has no single best.
    """
    seeds = without_floor(rows).groupby("dataset")["seed"].nunique()
    lines: dict[str, list[Cell]] = {method: [] for method in methods}
    reasons = []
    for column in columns:
        marks, reason = column_marks(column)
        reasons.append(reason)
        expected = int(seeds[column.rows["dataset"].iloc[0]])
        for method, cells in lines.items():
            own = column.rows[column.rows["method"] == method]
            cells.append(score_cell(own, expected, marks.get(method, "")))
    return lines, reasons


def column_marks(column: Column) -> tuple[dict[str, str], str]:
    """Returns the mark of each method in a column, and why there is no single best."""
    trained = without_floor(column.rows)
    better = str(trained["better"].iloc[0])
    bounds = set(trained.loc[trained["kind"] == "lower bound", "method"])
    seeds = {str(name): seed_values(own) for name, own in trained.groupby("method", sort=False)}
    tied, reason = separated_from_best(seeds, better, bounds)
    if len(tied) == len(seeds) and len(tied) > 1:
        return {}, "no row is separated from the best"
    return {name: "best" if len(tied) == 1 else "tie" for name in tied}, reason


def seed_values(rows: pd.DataFrame) -> dict[int, float]:
    """Returns the value of each seed whose row is in order."""
    good = rows[rows["status"] == "ok"]
    return {int(s): float(v) for s, v in zip(good["seed"], good["value"], strict=True)}


def lost_text(rows: pd.DataFrame) -> str:
    """Returns how many seeds went wrong in which way, such as ``"1 diverged"``."""
    counts = Counter(str(s) for s in rows["status"] if s in ("diverged", "failed"))
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def score_cell(rows: pd.DataFrame, expected: int, mark: str = "") -> Cell:
    """Returns the cell of one method in one column."""
    if len(rows) == 0:
        return Cell("-")
    if (rows["status"] == "not applicable").all():
        return Cell("n/a", seeds="not applicable")
    if (rows["objective"] == FLOOR).all():
        expected = 0
    cell = seeds_cell(seed_values(rows), expected, lost_text(rows), mark)
    first = rows.iloc[0]
    return replace(cell, text=bound_sign(first.to_dict()) + cell.text) if first["kind"] else cell


def bound_sign(row: Mapping[Any, Any]) -> str:
    """Returns what stands before a likelihood: a sign for a bound, a letter for ``completed``."""
    letter = "c " if row["model"] == "completed" else ""
    if row["kind"] != "lower bound":
        return letter
    return letter + ("≤ " if row["better"] == "lower" else "≥ ")


def one_likelihood(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps one bits/dim row for each run: native before completed, then the most samples."""
    own = rows[rows["metric"] == "bits_per_dim"].copy()
    if len(own) == 0:
        return own
    own["place"] = "bits/dim"
    images = own.groupby("dataset")["n_real"].transform(lambda counts: counts.mode().iloc[0])
    own = own[(own["n_real"] == images) | own["n_real"].isna()]
    order = own.assign(
        rank=own["model"].map({"native": 0}).fillna(1), k=-own["samples_k"].fillna(0)
    )
    order = order.sort_values(["rank", "k", "density"], kind="stable")
    return own.loc[order.drop_duplicates(["dataset", "method", "latent_dim", "seed"]).index]


def method_order(rows: pd.DataFrame) -> list[str]:
    """Returns the methods in the papers' row order, variants after their objective."""
    place = {name: at for at, name in enumerate(objective_order(rows["objective"]))}
    pairs = set(zip(rows["objective"], rows["method"], strict=True))
    return [method for _, method in sorted(pairs, key=lambda pair: (place[pair[0]], pair[1]))]


def normal_column(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps, for the N column, the one density that each method samples from."""
    normal = rows["place"].isin(NORMAL)
    rank = rows["place"].map({name: at for at, name in enumerate(NORMAL)})
    best = rank.groupby([rows["dataset"], rows["method"]]).transform("min")
    kept = rows[~normal | (rank == best)].copy()
    kept["place"] = kept["place"].where(~kept["place"].isin(NORMAL), "N")
    return kept


def mark_note(reasons: list[str]) -> str:
    """Returns the sentence of a caption that explains the marks, or why there are none."""
    test = "paired t-test over seeds, Holm-corrected, 5 %"
    why = [reason for reason in dict.fromkeys(reasons) if reason]
    if not why:
        return f"Bold: best ({test})."
    if all(reason and not reason[0].isdigit() for reason in reasons):
        return f"No best is marked ({test}): {'; '.join(why)}."
    return f"Bold: best; italic: not separated from the best ({test}). Elsewhere {'; '.join(why)}."


def header_of(column: Column) -> tuple[str, str]:
    """Returns the two header lines of a column: its group and what was scored."""
    return column.group, NORMAL_HEADER if column.place == "N" else column.place


def title_of(rows: pd.DataFrame, columns: Iterable[Column], part: Part) -> str:
    """Returns the title of a table of one score: its name, direction, groups and suite."""
    first = rows.iloc[0]
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    score = f"{metric_title(str(first['metric']))} {ARROWS.get(str(first['better']), '')}"
    return f"{score} · {names} · {part.title}"
