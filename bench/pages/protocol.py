"""How much of a published protocol the rows ran, or what their suite's own budget was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from ..comparison.columns import without_floor
from ..comparison.labels import suite_title
from ..errors import UserError
from ..records.results import Rows
from ..suites.suite import load_suite
from ..suites.suite_files import read_suite_file, suite_names
from .methods import Method

PUBLISHED = "full"


def training_text(rows: Rows, *compared: Method) -> str:
    """Returns steps and what they are, such as ``800 steps (1.6 % of published)``.

    Args:
        rows: Result rows.
        compared: The methods whose steps are meant; all where none is given.
    """
    if compared:
        rows = rows[rows["method"].isin([method.name for method in compared])]
    texts = []
    for (suite, _), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        published = published_steps(str(suite))
        share = f"{_share(own, published)} of published" if published else "own budget"
        known = f" ({share})" if suite in suite_names() else ""
        texts.append(f"{_steps(own)} steps{known}")
    return "; ".join(dict.fromkeys(texts))


def budget_sentences(rows: Rows) -> Iterator[str]:
    """Yields for each suite a sentence on its training steps, and what share of a paper's."""
    for (suite, scale), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        published = published_steps(str(suite))
        title = suite_title({"suite": suite, "scale": scale})
        yield f"Runs of {title} had {_steps(own)} training steps."
        if published:
            yield f"This is {_share(own, published)} of the published {published:,}."
        elif suite in suite_names():
            yield "This is a budget of its own, since no paper published a protocol for it."


@cache
def published_steps(suite: str) -> int | None:
    """Returns the training steps of a suite's published protocol; None where it has none.

    Suites are packaged ones; of another suite nothing is known.
    """
    about = read_suite_file(suite)[1] if suite in suite_names() else {}
    if about.get("budget") or not about.get("paper"):
        return None
    with suppress(UserError):
        configs = load_suite(suite, settings={"scale": PUBLISHED}).configs
        return max(config.training.steps for config in configs)
    return None


def _ends(rows: Rows) -> tuple[int, int]:
    """Returns the least and the most steps, of trainings that diverged only if all did."""
    known = rows[rows["status"] != "diverged"]
    steps = (known if len(known) else rows)["steps"]
    return int(steps.min()), int(steps.max())


def _steps(rows: Rows) -> str:
    low, high = _ends(rows)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _share(rows: Rows, published: int) -> str:
    low, high = (f"{100 * end / published:.3g}" for end in _ends(rows))
    return f"{low} %" if low == high else f"{low} to {high} %"
