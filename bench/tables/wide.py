"""The wide table in the layout of the RAE paper's Table 1, one for each score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..comparison.cells import NORMAL_NOTE, headed, normal_column, score_table
from ..comparison.columns import (
    DIAGNOSTICS,
    Column,
    columns_of,
    is_reference,
    join,
    sort_places,
    without_floor,
)
from ..comparison.costs import device_note, on_one_device
from ..comparison.labels import (
    ARROWS,
    REFERENCES,
    metric_short,
    objective_order,
    score_title,
    unit_note,
)
from ..comparison.likelihoods import noise_notes, of_one_likelihood, one_likelihood
from ..comparison.lost import without_failures
from ..comparison.numbers import format_number
from ..comparison.parts import Part, table_parts
from ..comparison.scored import compute_seconds, scores_by
from ..comparison.strings import without_texts
from ..comparison.table import TABLES, Cell, Table
from ..records.results import Rows

LIKELIHOOD_NOTE = (
    "bits/dim: a model's own likelihood, or else that of a completed one. ≤ marks a lower bound "
    "on the likelihood, which is an upper bound on bits/dim. c marks a density and noise fitted "
    "after training."
)
DIAGNOSTIC_NOTE = (
    "how well a likelihood was estimated, the model's own or else that of a completed one; no "
    "property of the model and never ranked."
)
IMAGES = ("reconstruction", "sample", "interpolation")
EXTRA = {
    "parameters_backbone": "parameters",
    "parameters_outside": "outside backbone",
}
COMPUTE = "compute s"
COMPUTE_NOTE = (
    "compute s: CPU seconds of the process, or seconds of the device on a GPU, for one training."
)


@TABLES.register("wide")
def wide_tables(rows: Rows) -> Iterator[Table]:
    """Yields one wide table for each score of images; those of texts have tables of their own."""
    for part in table_parts(rows):
        scored = without_texts(without_floor(part.rows[part.rows["images"].isin(IMAGES)]))
        # A metric that failed stands under its own name, not its scores': no table of failures.
        computed = scored[scored["status"] == "ok"]
        scores = (computed if len(computed) else scored)["metric"].unique()
        for metric in objective_order(scores):
            yield _wide_table(part, metric)


@TABLES.register("test-images")
def score_tables(rows: Rows) -> Iterator[Table]:
    """Yields one table of all scores of test images, a column a score, likelihoods aside.

    Diagnostics of a likelihood's estimate stand in it without a better or a best.
    """
    for part in table_parts(rows):
        own = without_texts(without_floor(part.rows))
        own = without_failures(own[(own["images"] == "test") & (own["kind"] == "")])
        own = of_one_likelihood(own, part.rows)
        if len(own):
            diagnostic = own["metric"].str.startswith(DIAGNOSTICS)
            better = own["better"].where(~diagnostic, "")
            columns, splits = columns_of(own.assign(place=own["metric"], better=better))
            units = own[own["unit"] != ""].groupby("unit")["metric"].unique()
            notes = [
                f"{', '.join(map(metric_short, sorted(metrics)))}: in {unit}."
                for unit, metrics in units.items()
            ]
            if diagnostic.any():
                names = sorted(set(own.loc[diagnostic, "metric"]))
                notes.append(f"{', '.join(map(metric_short, names))}: {DIAGNOSTIC_NOTE}")
            yield score_table(
                *(part, "test-images", "Scores of test images"),
                [((column.group, _score_header(column)), column) for column in columns],
                *(own, notes, splits),
            )


def _wide_table(part: Part, metric: str) -> Table:
    own = part.rows[part.rows["metric"] == metric]
    scored = without_floor(normal_column(own[own["images"].isin(IMAGES)]))
    likelihood = one_likelihood(part.rows)
    shown = join(own[is_reference(own)], join(likelihood, scored))
    columns, splits = columns_of(shown)
    notes = [*measure_notes(scored, likelihood), *([LIKELIHOOD_NOTE] if len(likelihood) else [])]
    notes += [*noise_notes(likelihood), COMPUTE_NOTE, device_note(part.rows)]
    return score_table(
        *(part, metric, score_title(scored.iloc[0].to_dict()), headed(in_layout(columns))),
        *(shown, notes, splits),
        extra=_extra_columns(part.rows),
        counted=part.rows,
    )


def _score_header(column: Column) -> str:
    first = column.rows.iloc[0]
    return f"{metric_short(first['metric'])} {ARROWS.get(first['better'], '')}".strip()


def in_layout(columns: list[Column]) -> list[Column]:
    """Returns columns in the order of Table 1, those of a data set side by side."""
    groups = list(dict.fromkeys(column.group for column in columns))
    places = sort_places(column.place for column in columns)
    return sorted(columns, key=lambda c: (groups.index(c.group), places.index(c.place)))


def measure_notes(rows: Rows, likelihoods: Rows | None = None) -> list[str]:
    """Returns the sentences of a caption on what was measured: unit, features, counts and N.

    Args:
        rows: Rows of one score, without references, as `normal_column` gives them.
        likelihoods: Rows of the likelihoods that stand beside it.
    """
    features = ", ".join(sorted(set(rows["features"]) - {""}))
    return [
        unit_note(rows.iloc[0].to_dict()),
        f"Features: {features}." if features else "",
        images_note(rows, likelihoods),
        NORMAL_NOTE if "N" in set(rows["place"]) else "",
    ]


def images_note(rows: Rows, likelihoods: Rows | None = None) -> str:
    """Returns how many images a caption's scores have, and likelihoods where they have others."""
    real, scored = _counts(rows["n_real"]), _counts(rows["n_generated"])
    tested = "" if likelihoods is None else _counts(likelihoods["n_real"])
    told = [f"{real} real"] * bool(real) + [f"{scored} scored"] * bool(scored)
    other = f"likelihoods of {tested} test images" if tested and tested != real else ""
    found = "; ".join(filter(None, (", ".join(told), other)))
    return f"Images: {found}." if found else ""


def _counts(column: Iterable[object]) -> str:
    return ", ".join(sorted({str(n) for n in column if str(n) != "<NA>"}, key=float))


def _extra_columns(rows: Rows) -> dict[str, dict[str, Cell]]:
    trained = without_floor(rows)
    methods = trained.groupby("method")
    extra: dict[str, dict[str, Cell]] = {}
    for name, header in EXTRA.items():
        means = methods[name].mean().items()
        extra[header] = {str(method): count_cell(float(value)) for method, value in means}
    timed = scores_by(on_one_device(trained), "method")
    costs = {method: compute_seconds(own) for method, own in timed.items()}
    extra[COMPUTE] = {method: count_cell(seconds) for method, seconds in costs.items()}
    for cells in extra.values():
        cells |= dict.fromkeys(REFERENCES, Cell("-"))
    return extra


def count_cell(value: float | None) -> Cell:
    """Returns the cell of a count or a cost, which is no score."""
    if value is None:
        return Cell("-")
    whole = value >= 100 or value == int(value)
    return Cell(f"{value:,.0f}" if whole else format_number(value), value)
