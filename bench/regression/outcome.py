"""What a check found, and its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..comparison.labels import named
from ..comparison.numbers import format_number, mean_text
from ..comparison.significance import Seeds
from ..comparison.table import text_table
from .exact import ADVICE, Exact
from .missing import missing_lines
from .sight import ALARM, MOST_NAMED, RELEVANT, share_text, sight_lines
from .trained import Change, Trained

NAMED = 20  # Lines of a list before the rest is only counted.


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        exact: The first layer.
        trained: The second layer.
        notes: What could not be read or checked and why, or is of other code than today's.
    """

    exact: Exact
    trained: Trained
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Change, ...]:
        """Scores that got worse beyond what seeds explain."""
        return tuple(change for change in self.trained.changes if change.is_worse)

    @property
    def better(self) -> tuple[Change, ...]:
        """Scores that got better beyond what seeds explain."""
        return tuple(change for change in self.trained.changes if change.is_better)

    @property
    def is_regression(self) -> bool:
        """Whether anything got worse or is missing."""
        return bool(self.exact.broken or self.worse or self.trained.missing)


def render_sight(trained: Trained) -> str:
    """Returns what the check can see and what not, as Markdown."""
    seeds = {(len(c.before), len(c.after)) for c in trained.changes if not c.exact}
    many = sorted({count for counts in seeds for count in counts})
    of = f"{many[0]} to {many[-1]}" if len(many) > 1 else str(*many)
    lines = sight_lines(trained.sights, trained.untested, f"{of} seed{'s' * (of != '1')}")
    if trained.distrusted:
        lines.append(
            f"{len(trained.distrusted)} scores are estimates that are not trusted, and enter no "
            f"test: {named(trained.distrusted, MOST_NAMED)}. That they move is told all the same."
        )
    return "## What this check can see\n\n" + "".join(f"- {line}\n" for line in lines)


def render_outcome(outcome: Outcome) -> str:
    """Returns the outcome as Markdown."""
    exact, trained, worse = outcome.exact, outcome.trained, outcome.worse
    parts = [
        f"## Regression check: {_verdict(outcome)}",
        f"Exact: {len(exact.broken)} of {exact.checked} values differ. Trained: {len(worse)} of "
        f"{len(trained.changes)} scores are worse than the baseline's seeds explain, "
        f"{len(outcome.better)} better; {len(trained.missing)} are missing (chance of a false "
        f"alarm in the whole check: {ALARM:g}).",
    ]
    if exact.broken:
        parts.append(_table("Exact values", ("what", "baseline", "now"), exact.broken))
    if trained.missing:
        header = ("model", "why", "scores", "which")
        parts.append(_table("Missing scores", header, missing_lines(trained.missing)))
    for word, changes in (("worse", worse), ("better", outcome.better)):
        if changes:
            names = ("score", "baseline", "now", f"{word} by", "found from")
            parts.append(_table(f"Scores that got {word}", names, map(_line, changes)))
    if outcome.better:
        parts.append(f"A change for the better is no failure, but is it meant? If so: {ADVICE}")
    parts += [f"- {note}" for note in (*_change_notes(outcome), *outcome.notes)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _verdict(outcome: Outcome) -> str:
    found = (
        (len(outcome.exact.broken), "exact values differ"),
        (len(outcome.worse), "scores got worse"),
        (len(outcome.trained.missing), "scores are missing"),
    )
    failures = ", ".join(f"{count} {what}" for count, what in found if count)
    if failures:
        return f"FAILED: {failures}"
    return "passed" + (f", but {len(outcome.better)} scores got better" if outcome.better else "")


def _change_notes(outcome: Outcome) -> list[str]:
    """Returns notes on changes within the limits, and on scores that are new."""
    notes = []
    moved = [
        (abs(change.difference) / abs(change.sight.level), change.sight.name)
        for change in outcome.trained.changes
        if change.before.keys() == change.after.keys() and not change.exact
        if not (change.is_worse or change.is_better)
        if abs(change.difference) > RELEVANT * abs(change.sight.level) > 0
    ]
    if moved:
        share, name = max(moved)
        notes.append(
            f"{len(moved)} scores moved by more than {share_text(RELEVANT)} of their value at "
            f"equal seeds, though by no more than seeds explain (most: {name}, by "
            f"{share_text(share)}). The code, a library or the processor is another one."
        )
    trained = outcome.trained
    if trained.moved:
        notes.append(
            f"{len(trained.moved)} estimates that are not trusted moved by more than "
            f"{share_text(RELEVANT)} at equal seeds: {named(trained.moved, MOST_NAMED)}."
        )
    if trained.unknown:
        notes.append(
            f"{len(trained.unknown)} scores are not in the baseline, so not compared: "
            f"{named(trained.unknown, MOST_NAMED)}."
        )
    return notes


def _table(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    listed = list(lines)
    rest = len(listed) - NAMED
    notes = (f"... and {rest} more lines.",) if rest > 0 else ()
    return text_table("check", title, header, listed[:NAMED], notes).as_markdown()


def _line(change: Change) -> tuple[str, ...]:
    before, after = (_mean_text(seeds) for seeds in (change.before, change.after))
    by = abs(change.difference)
    return change.sight.name, before, after, format_number(by), format_number(change.sight.limit)


def _mean_text(seeds: Seeds) -> str:
    return f"{mean_text([*seeds.values()])} ({len(seeds)} seeds)"
