"""Which rows make one table: a suite at a scale, a count of steps, a latent size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..records.results import Rows
from .columns import is_reference, join, with_places, without_floor
from .labels import suite_title
from .steps import SHORTER, by_steps
from .table import file_name


@dataclass(frozen=True)
class Part:
    """Rows that share one title: a suite at a scale, and a latent size where there are several."""

    rows: Rows
    title: str
    suffix: str


def suite_parts(rows: Rows) -> Iterator[Part]:
    """Yields the rows by suite and scale."""
    names = ["suite", "scale"]
    keys = rows[names].drop_duplicates()
    one = [(tuple(keys.iloc[0]), rows)] if len(keys) == 1 else None
    suites = one or list(rows.groupby(names, sort=True))
    for (suite, scale), own in suites:
        suffix = file_name(str(suite), str(scale)) if len(suites) > 1 else ""
        yield Part(own, suite_title({"suite": suite, "scale": scale}), suffix)


def table_parts(rows: Rows, *, whatever_steps: bool = False) -> Iterator[Part]:
    """Yields the rows by suite and scale, and by latent size where a data set has several.

    The rows have the columns of ``with_places``.

    Args:
        rows: Result rows.
        whatever_steps: Whether trainings of fewer steps than others of their like stay with
            these, instead of making parts of their own.
    """
    parts = suite_parts(rows)
    if not whatever_steps:
        parts = (same for part in parts for same in steps_parts(part))
    for part in parts:
        trained = without_floor(part.rows)
        if not has_several_sizes(trained):
            yield replace(part, rows=with_places(part.rows))
            continue
        references = part.rows[is_reference(part.rows)]
        for size, own in trained.groupby("latent_dim"):
            placed, suffix = with_places(join(references, own)), file_name(part.suffix, f"d{size}")
            yield Part(placed, f"{part.title}, d = {size}", suffix)


def steps_parts(part: Part) -> Iterator[Part]:
    """Yields the longest trainings of a part, then those of each smaller count of steps."""
    for steps, own in by_steps(part.rows):
        if steps is None:
            yield replace(part, rows=own)
        else:
            suffix = file_name(part.suffix, f"{SHORTER}{steps}")
            yield Part(own, f"{part.title}, {steps:,} steps", suffix)


def has_several_sizes(trained: Rows) -> bool:
    """Returns whether a data set's models have several latent sizes."""
    sizes = trained.groupby("dataset")["latent_dim"].nunique()
    return len(sizes) > 0 and bool(sizes.max() > 1)
