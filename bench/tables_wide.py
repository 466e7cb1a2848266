"""The wide table in the layout of the RAE paper's Table 1, one for each score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .labels import ARROWS, metric_short, metric_title, objective_order, suite_title
from .protocol import FLOOR, Column, columns_of, sort_places, with_places
from .significance import separated_from_best
from .tables import Cell, Table, file_name, format_number, seeds_cell

if TYPE_CHECKING:
    import pandas as pd

# The N column holds what the objective samples from: its prior or second stage, else a Gaussian.
NORMAL = ("second-stage", "prior", "gaussian")
LIKELIHOOD_NOTES = (
    "bits/dim: the most trusted row of each run; ≤ marks a lower bound on the likelihood, hence "
    "an upper bound here, c a density and noise completed after training (likelihood table).",
)
IMAGES = ("reconstruction", "sample", "interpolation")


@dataclass(frozen=True)
class Part:
    """Rows that share one title: a suite at a scale, and a latent size where there are several."""

    rows: pd.DataFrame
    title: str
    suffix: str


def table_parts(rows: pd.DataFrame) -> Iterator[Part]:
    """Yields the rows by suite and scale, and by latent size where a data set has several."""
    suites = list(rows.groupby(["suite", "scale"], sort=True))
    for (suite, scale), part in suites:
        prefix = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        title = suite_title({"suite": suite, "scale": scale})
        trained = part[part["objective"] != FLOOR]
        sizes = trained.groupby("dataset")["latent_dim"].nunique()
        if len(sizes) == 0 or sizes.max() == 1:
            yield Part(part, title, prefix)
            continue
        for size, own in trained.groupby("latent_dim"):
            floor = part[part["objective"] == FLOOR]
            yield Part(join(floor, own), f"{title}, d = {size}", file_name(prefix, f"d{size}"))


def wide_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns one wide table for each image score, and notes on columns that had to be split."""
    tables, notes = [], []
    for part in table_parts(rows):
        placed = with_places(part.rows)
        scored = placed[placed["images"].isin(IMAGES)]
        # A metric that failed stands under its own name, not its scores': no table of failures.
        computed = scored[scored["status"] == "ok"]
        scores = (computed if len(computed) else scored)["metric"].unique()
        for metric in objective_order(scores):
            table, more = _wide_table(part, placed, str(metric))
            tables.append(table)
            notes += more
    return tables, list(dict.fromkeys(notes))


def score_tables(rows: pd.DataFrame) -> tuple[list[Table], list[str]]:
    """Returns one table of all scores of test images, a column a score, likelihoods aside."""
    tables, notes = [], []
    for part in table_parts(rows):
        placed = with_places(part.rows)
        placed = placed[(placed["images"] == "test") & (placed["kind"] == "")]
        trained = placed[placed["objective"] != FLOOR]
        if len(trained):
            own, more = columns_of(trained.assign(place=trained["metric"]))
            tables.append(_score_table(part, trained, own, more))
            notes += more
    return tables, list(dict.fromkeys(notes))


def column_marks(column: Column) -> tuple[dict[str, str], str]:
    """Returns the mark of each method in a column, and why there is no single best."""
    trained = column.rows[column.rows["objective"] != FLOOR]
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


def _wide_table(part: Part, placed: pd.DataFrame, metric: str) -> tuple[Table, list[str]]:
    scored = normal_column(placed[(placed["metric"] == metric) & placed["images"].isin(IMAGES)])
    scored = scored[scored["objective"] != FLOOR]
    floor = placed[(placed["metric"] == metric) & (placed["objective"] == FLOOR)]
    likelihood = one_likelihood(placed)
    columns, notes = columns_of(join(floor, join(likelihood, scored)))
    columns = _in_layout(columns)
    expected = {name: own["seed"].nunique() for name, own in _trained(placed).groupby("dataset")}
    methods = method_order(join(floor, join(likelihood, scored)))
    cells, reasons = {}, []
    for column in columns:
        marks, reason = column_marks(column)
        reasons.append(reason)
        count = expected[column.rows["dataset"].iloc[-1]]
        for method in methods:
            own = column.rows[column.rows["method"] == method]
            cells[method, column.group, column.place] = score_cell(
                own, count, marks.get(method, "")
            )
    extra = _extra_columns(placed)
    lines = tuple(
        (m, (*(cells[m, c.group, c.place] for c in columns), *(e[m] for e in extra.values())))
        for m in methods
    )
    first = scored.iloc[0]
    arrow = ARROWS.get(str(first["better"]), "")
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    title = f"{metric_title(metric)} {arrow} · {names} · {part.title}"
    header = (*((c.group, _header(c.place)) for c in columns), *(("", name) for name in extra))
    caption = (*_caption(scored, reasons), *(LIKELIHOOD_NOTES if len(likelihood) else ()), *notes)
    name = file_name(metric, part.suffix)
    return Table(name, title, caption, "objective", header, lines), notes


def _score_table(part: Part, rows: pd.DataFrame, columns: list[Column], notes: list[str]) -> Table:
    expected = {name: own["seed"].nunique() for name, own in rows.groupby("dataset")}
    marks = [column_marks(column) for column in columns]
    lines = []
    for method in method_order(rows):
        cells = []
        for column, (mark, _) in zip(columns, marks, strict=True):
            own = column.rows[column.rows["method"] == method]
            count = expected[column.rows["dataset"].iloc[0]]
            cells.append(score_cell(own, count, mark.get(method, "")))
        lines.append((method, tuple(cells)))
    header = []
    for column in columns:
        first = column.rows.iloc[0]
        name = metric_short(first["metric"])
        header.append((column.group, f"{name} {ARROWS.get(first['better'], '')}".strip()))
    names = ", ".join(dict.fromkeys(column.group for column in columns))
    units = sorted(
        {
            f"{metric_short(m)} in {u}"
            for m, u in zip(rows["metric"], rows["unit"], strict=True)
            if u
        }
    )
    caption = (
        f"{'; '.join(units)}." if units else "",
        "Mean ± standard deviation over seeds (count of seeds).",
        mark_note([reason for _, reason in marks]),
        *notes,
    )
    title = f"Scores of test images · {names} · {part.title}"
    name = file_name("test-images", part.suffix)
    return Table(name, title, caption, "objective", tuple(header), tuple(lines))


def normal_column(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps, for the N column, the one density that each method samples from."""
    normal = rows["place"].isin(NORMAL)
    rank = rows["place"].map({name: at for at, name in enumerate(NORMAL)})
    best = rank.groupby([rows["dataset"], rows["method"]]).transform("min")
    kept = rows[~normal | (rank == best)].copy()
    kept["place"] = kept["place"].where(~kept["place"].isin(NORMAL), "N")
    return kept


def _in_layout(columns: list[Column]) -> list[Column]:
    groups = list(dict.fromkeys(column.group for column in columns))
    places = {name: at for at, name in enumerate(sort_places(c.place for c in columns))}
    return sorted(columns, key=lambda c: (groups.index(c.group), places[c.place]))


def _header(place: str) -> str:
    return "N(0,I) / N" if place == "N" else place


def _caption(rows: pd.DataFrame, reasons: list[str]) -> list[str]:
    unit, metric = rows["unit"].iloc[0], str(rows["metric"].iloc[0])
    features = sorted(set(rows["features"]) - {""})
    counts = sorted({f"{g}" for g in rows["n_generated"].dropna()}, key=float)
    real = sorted({f"{g}" for g in rows["n_real"].dropna()}, key=float)
    notes = [f"{metric_short(metric)} in {unit}." if unit else f"{metric_short(metric)}."]
    if features:
        notes.append(f"Features: {', '.join(features)}.")
    if real:
        notes.append(f"Images: {', '.join(real)} real, {', '.join(counts)} scored.")
    notes.append("Mean ± standard deviation over seeds (count of seeds).")
    if "N" in set(rows["place"]):
        notes.append("N: the objective's own prior or second stage; a fitted Gaussian where none.")
    return [*notes, mark_note(reasons)]


def mark_note(reasons: list[str]) -> str:
    """Returns the sentence of a caption that explains the marks, or why there are none."""
    test = "paired t-test over seeds, Holm-corrected, 5 %"
    why = [reason for reason in dict.fromkeys(reasons) if reason]
    if not why:
        return f"Bold: best ({test})."
    if all(reason and not reason[0].isdigit() for reason in reasons):
        return f"No best is marked ({test}): {'; '.join(why)}."
    return f"Bold: best; italic: not separated from the best ({test}). Elsewhere {'; '.join(why)}."


def _extra_columns(rows: pd.DataFrame) -> dict[str, dict[str, Cell]]:
    trained = _trained(rows)
    sizes = trained.groupby("method")
    extra: dict[str, dict[str, Cell]] = {}
    for name, header in (
        ("parameters_backbone", "parameters"),
        ("parameters_outside", "outside backbone"),
        ("train_seconds", "train s"),
    ):
        means = sizes[name].mean()
        extra[header] = {str(m): Cell(_count_text(v), float(v)) for m, v in means.items()}
        extra[header][FLOOR] = Cell("-")
    return extra


def _count_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else format_number(value)


def _trained(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["objective"] != FLOOR]


def join(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Returns the lines of both, in that order."""
    import pandas as pd

    return pd.concat([first, second], ignore_index=True) if len(first) else second
