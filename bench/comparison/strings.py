"""Rows of texts: which they are, and one table for models that write the same texts unlike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..records.results import Rows
from .columns import method_labels, with_places, without_floor
from .steps import longest
from .table import Table

if TYPE_CHECKING:
    import pandas as pd

SPACES = "sequence"  # What the names of the spaces of texts begin with.
RELEASED = "sequence-released"
PROPER = "proper"  # The word for the space that has a likelihood.
EXPRESSIONS, MOLECULES = "expressions", "molecules"
SEARCH, DRAWS = "bayesian", "random"  # Where candidates come from, as the rows' density.
WRITTEN = "written"  # The column of `by_task` with the data set in the form of each row.
CHARACTERS = "^([^:]*)-characters(?=:|$)"  # The form in a data set's name, before any path.
LETTERS = {"grammar": "G", "character": "C"}


def is_text(rows: Rows) -> pd.Series[bool]:
    """Returns which rows score texts and not images."""
    return rows["space"].str.startswith(SPACES)


def without_texts(rows: Rows) -> Rows:
    """Returns the rows that score images."""
    return rows[~is_text(rows)]


def of_strings(table: Table, rows: Rows) -> Table:
    """Returns the table with strings for images in its caption, if all its rows score texts.

    Likelihoods of both are computed and stored alike, with units and warnings that say "image".
    """
    if not is_text(rows).all():
        return table

    def told(text: str) -> str:
        return re.sub(r"\bimage(s?)\b", r"string\1", text)

    lines = tuple(
        (label, tuple(replace(c, warnings=tuple(map(told, c.warnings))) for c in cells))
        for label, cells in table.lines
    )
    return replace(table, notes=tuple(map(told, table.notes)), lines=lines)


def task_of(dataset: str) -> str:
    """Returns what the texts of a data set are: ``expressions`` or ``molecules``."""
    return EXPRESSIONS if dataset.startswith(EXPRESSIONS) else MOLECULES


def by_task(placed: Rows) -> Rows:
    """Returns rows in which models of the same texts share their columns, however they write.

    A grammar and characters are two data sets of the same texts, with two networks. Scores of
    texts compare across them: the data set is named without its form, shape and network are
    those of none, and methods are named as the papers do, such as ``GVAE`` or ``GRAE rae-l2``.
    Networks of two sizes over the same form are two methods, and their names say so. Rows of
    images stay as they are.

    Args:
        placed: Rows with the columns of ``with_places``.
    """
    placed = placed.assign(**{WRITTEN: placed["dataset"]})
    texts = is_text(placed)
    if not texts.any():
        return placed
    # Labelled anew: those of `with_places` need not tell networks apart, which now share columns.
    merged = placed.assign(backbone_hash=placed["backbone_hash"].mask(texts, ""))
    own = merged.assign(method=method_labels(merged))[texts]
    names = own["dataset"].str.replace(CHARACTERS, r"\1", regex=True)
    networks = own["backbone"].groupby(names).transform(lambda found: _listed(found))
    changed = own.assign(
        dataset=names,
        image_shape="",
        backbone=networks,
        method=[model_name(row) for row in own.to_dict("records")],
    )
    rows = placed.copy()
    rows.loc[texts] = changed
    return rows


def model_name(row: Mapping[Any, Any]) -> str:
    """Returns a method's name with the papers' word for its kind and form, such as ``CVAE``."""
    objective, method = str(row["objective"]), str(row["method"])
    letter = LETTERS.get(str(row["backbone"]).partition("-")[0], "")
    notes = _notes(method.removeprefix(objective), str(row["space"]))
    if not letter:
        return method
    if objective == "vae":
        return f"{letter}VAE{notes}"
    if objective == "rae" or objective.startswith("rae-"):
        return f"{letter}RAE {objective}{notes}"
    return f"{objective}, {row['backbone'].partition('-')[0]}{notes}"


def candidates_of(rows: Rows) -> Rows:
    """Returns the rows of candidates: those that a search proposed, and those drawn at random."""
    return without_floor(rows[is_text(rows) & rows["density"].isin([SEARCH, DRAWS])])


def candidates_by_task(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Yields each data set of texts and the candidates of its longest trainings."""
    found = by_task(with_places(candidates_of(longest(rows))))
    for name, own in found.groupby("dataset", sort=True):
        yield str(name), own


def _notes(notes: str, space: str) -> str:
    """Returns the notes of a method with a word for its space; the released one goes unsaid."""
    words = [word for word in notes.strip(" ()").split("; ") if word not in ("", space)]
    words += [PROPER] if space == SPACES else []
    return f" ({'; '.join(words)})" if words else ""


def _listed(found: pd.Series[str]) -> str:
    return ", ".join(sorted(set(found)))
