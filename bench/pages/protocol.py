"""How much of a published protocol the rows ran, or what their suite's own budget was."""

from __future__ import annotations

from contextlib import suppress

from ..comparison.columns import without_floor
from ..comparison.labels import suite_title
from ..errors import UserError
from ..records.results import Rows
from ..suites.suite import load_suite
from ..suites.suite_files import read_suite_file, suite_names

PUBLISHED = "full"


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


def training_text(rows: Rows) -> str:
    """Returns steps and their share of the published ones, such as ``800 steps (1.6 %)``."""
    texts = []
    for (suite, _), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        steps, published = _steps(own), published_steps(str(suite))
        share = (
            f"{_share(max(own['steps']), published)} of published" if published else "own budget"
        )
        texts.append(f"{steps} steps ({share})")
    return "; ".join(dict.fromkeys(texts))


def budget_sentences(rows: Rows) -> list[str]:
    """Returns for each suite a sentence on its training steps, and what share of a paper's."""
    sentences = []
    for (suite, scale), own in without_floor(rows).groupby(["suite", "scale"], sort=True):
        published = published_steps(str(suite))
        title = suite_title({"suite": suite, "scale": scale})
        ran = f"Runs of {title} had {_steps(own)} training steps."
        sentences.append(
            f"{ran} This is {_share(max(own['steps']), published)} of the published {published:,}."
            if published
            else f"{ran} This is a budget of its own, since no paper published a protocol for it."
        )
    return sentences


def _steps(rows: Rows) -> str:
    known = rows[rows["status"] != "diverged"]
    low, high = (int(f((known if len(known) else rows)["steps"])) for f in (min, max))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _share(steps: int, published: int) -> str:
    return f"{100 * steps / published:.3g} %"
