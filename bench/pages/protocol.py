"""How much of a published training the rows ran, or what their suite's own budget was."""

from __future__ import annotations

from collections.abc import Iterator

from ..comparison.columns import without_floor
from ..comparison.labels import suite_title
from ..records.results import Rows
from ..suites.suite_files import suite_names
from ..tables.protocol import published_runs, published_share, trainings
from .methods import Method


def training_text(rows: Rows, *compared: Method) -> str:
    """Returns steps and what share they are, such as ``800 steps (1.6 % of published, ...)``.

    Args:
        rows: Result rows.
        compared: The methods whose steps are meant; all where none is given.
    """
    if compared:
        rows = rows[rows["method"].isin([method.name for method in compared])]
    texts = []
    for (suite, _), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        share = published_share(own, published_runs(str(suite)))
        told = f"{share} of published, by examples seen" if share else ""
        told = "own budget" if _has_own_budget(suite) else told
        texts.append(f"{_steps(own)} steps" + f" ({told})" * bool(told))
    return "; ".join(dict.fromkeys(texts))


def budget_sentences(rows: Rows) -> Iterator[str]:
    """Yields for each suite a sentence on its training steps, and what share of a paper's."""
    for (suite, scale), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        title = suite_title({"suite": suite, "scale": scale})
        yield f"Runs of {title} had {_steps(own)} training steps."
        if share := published_share(own, published_runs(str(suite))):
            yield (
                f"Counted in examples seen, steps times batch size, this is {share} of the "
                "published training as the suite's full scale has it."
            )
        elif _has_own_budget(suite):
            yield "This is a budget of its own, since no paper published a protocol for it."


def _has_own_budget(suite: object) -> bool:
    return suite in suite_names() and not published_runs(str(suite))


def _steps(rows: Rows) -> str:
    steps = trainings(rows)["steps"]
    low, high = int(steps.min()), int(steps.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
