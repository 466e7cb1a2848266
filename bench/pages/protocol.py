"""What a suite says of itself, and how much of a published training its rows ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..comparison.columns import without_floor
from ..comparison.labels import suite_title
from ..comparison.strings import is_text
from ..records.results import Rows
from ..suites.suite_files import read_suite_file, suite_names
from ..tables.protocol import published_runs, published_share, trainings
from ..tables.published import published_values
from .methods import Method

if TYPE_CHECKING:
    import pandas as pd

PAPER = "RAE paper"  # All its data sets of images have values on record.


def training_text(rows: Rows, *compared: Method) -> str:
    """Returns steps and what share they are, such as ``800 steps (1.6 % of published, ...)``.

    Args:
        rows: Result rows.
        compared: The methods whose steps are meant; all where none is given.
    """
    if compared:
        rows = rows[rows["method"].isin([method.name for method in compared])]
    texts = []
    for (suite, _), part in without_floor(rows).groupby(["suite", "scale"], sort=True):
        for lacks, own in part.groupby(_paper_lacks(str(suite), part)):
            share = published_share(own, published_runs(str(suite)))
            of = "the protocol of a paper without this data" if lacks else "published"
            told = f"{share} of {of}, by examples seen" if share else ""
            told = "own budget" if _has_own_budget(suite) else told
            texts.append(f"{_steps(own)} steps" + f" ({told})" * bool(told))
    return "; ".join(dict.fromkeys(texts))


def suite_paragraphs(rows: Rows) -> Iterator[str]:
    """Yields a paragraph for each packaged suite: what its file says that it compares."""
    for name in sorted(set(rows["suite"]) & set(suite_names())):
        about = read_suite_file(name)[1]["description"]
        yield f"**The suite {name}, as it is packaged.** {about}"


def budget_sentences(rows: Rows) -> Iterator[str]:
    """Yields for each suite a sentence on its training steps, and what share of a paper's."""
    for (suite, scale), part in without_floor(rows).groupby(["suite", "scale"], sort=True):
        title = suite_title({"suite": suite, "scale": scale})
        yield f"Runs of {title} had {_steps(part)} training steps."
        if _has_own_budget(suite):
            yield "This is a budget of its own, since no paper published a protocol for it."
        for lacks, own in part.groupby(_paper_lacks(str(suite), part)):
            data = ", ".join(sorted(own["dataset"].unique()))
            of = (
                f"the paper's protocol, on data that the paper does not have ({data})"
                if lacks
                else "the published training as the suite's full scale has it"
            )
            if share := published_share(own, published_runs(str(suite))):
                yield f"Counted in examples seen, steps times batch size, this is {share} of {of}."


def _has_own_budget(suite: object) -> bool:
    return suite in suite_names() and not published_runs(str(suite))


def _paper_lacks(suite: str, rows: Rows) -> pd.Series[bool]:
    """Returns for each row whether the paper of its suite has no such data set of images."""
    about = read_suite_file(suite)[1] if suite in suite_names() else {}
    known = {value.dataset for value in published_values()}
    lacks = ~rows["dataset"].str.removesuffix("-32").isin(known) & ~is_text(rows)
    return lacks & str(about.get("paper")).startswith(PAPER)


def _steps(rows: Rows) -> str:
    steps = trainings(rows)["steps"]
    low, high = int(steps.min()), int(steps.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
