"""How much of a published training the rows ran, or what their suite's own budget was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from ..comparison.columns import without_floor
from ..comparison.labels import settings_of, suite_title
from ..errors import UserError
from ..records.results import SETTINGS, Rows
from ..suites.config import Config
from ..suites.suite import load_suite
from ..suites.suite_files import read_suite_file, suite_names
from .methods import Method

PUBLISHED = "full"
# By what the published training like a row's is found, each where the suite has any like it.
ALIKE = ("dataset", "objective", "space")


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
        share = _share(own, published_runs(str(suite)))
        told = f"{share} of published, by examples seen" if share else ""
        told = "own budget" if _has_own_budget(suite) else told
        texts.append(f"{_steps(own)} steps" + f" ({told})" * bool(told))
    return "; ".join(dict.fromkeys(texts))


def budget_sentences(rows: Rows) -> Iterator[str]:
    """Yields for each suite a sentence on its training steps, and what share of a paper's."""
    for (suite, scale), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        title = suite_title({"suite": suite, "scale": scale})
        yield f"Runs of {title} had {_steps(own)} training steps."
        if share := _share(own, published_runs(str(suite))):
            yield (
                f"Counted in examples seen, steps times batch size, this is {share} of the "
                "published training as the suite's full scale has it."
            )
        elif _has_own_budget(suite):
            yield "This is a budget of its own, since no paper published a protocol for it."


@cache
def published_runs(suite: str) -> tuple[Config, ...]:
    """Returns the runs of a suite's published protocol, its full scale; none where it has none.

    Suites are packaged ones; of another suite nothing is known.
    """
    about = read_suite_file(suite)[1] if suite in suite_names() else {}
    if about.get("budget") or not about.get("paper"):
        return ()
    with suppress(UserError):
        return load_suite(suite, settings={"scale": PUBLISHED}).configs
    return ()


def _has_own_budget(suite: object) -> bool:
    return suite in suite_names() and not published_runs(str(suite))


def _share(rows: Rows, published: Sequence[Config]) -> str:
    """Returns the least and the most of the published examples that the runs saw, in per cent.

    Empty where nothing is published, or the size of a batch is not on record.
    """
    unlike = _trained(rows)[[*ALIKE, SETTINGS, "steps"]].drop_duplicates().to_dict("records")
    batches = [settings_of(row[SETTINGS]).get("training", {}).get("batch_size") for row in unlike]
    if not published or None in batches:
        return ""
    shares = [
        100 * row["steps"] * batch / _published_examples(published, row)
        for row, batch in zip(unlike, batches, strict=True)
    ]
    low, high = (f"{end:.3g}" for end in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _published_examples(published: Sequence[Config], row: Mapping[Any, Any]) -> int:
    """Returns how many examples, each as often as it is seen, the training like a row's takes."""
    for name in ALIKE:
        published = [run for run in published if getattr(run, name) == row[name]] or published
    return max(run.training.steps * run.training.batch_size for run in published)


def _trained(rows: Rows) -> Rows:
    """Keeps trainings that did not diverge; all if all did."""
    known = rows[rows["status"] != "diverged"]
    return known if len(known) else rows


def _steps(rows: Rows) -> str:
    steps = _trained(rows)["steps"]
    low, high = int(steps.min()), int(steps.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
