"""The page: one file that asks the network for nothing and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ..comparison.table import Cell, Table
from ..records.results import Rows
from ..tables.boards import NOTES, Entry
from .boards import boards_of, first_board
from .cards import Model, card_of, likelihoods
from .commands import Commands
from .pictures import Pictures
from .study import Opening, opening_of

LARGEST = 3_000_000  # Bytes of the page, pictures included, as far as these decide.
MARKS = {"best": "strong", "tie": "em"}
SCRIPTS = ("page.js", "chart.js", "board.js", "card.js")
SIGNS = (
    "bits/dim: = exact, ≤ from a lower bound on the likelihood, c completed after training with a "
    "density and noise. Those of unit and of logit space do not compare."
)
_PAGE_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


def leaderboard_html(
    rows: Rows,
    entries: Sequence[Entry],
    models: Mapping[str, Model],
    headline: Iterable[Table],
    findings: str,
) -> str:
    """Returns the page over result rows.

    Args:
        rows: Result rows of any number of suites.
        entries: What is ranked.
        models: The model of each run.
        headline: Tables of all scores of the study.
        findings: What the study found, in full.
    """
    pictures, commands = Pictures(), Commands()
    opening = opening_of(rows, models)
    boards = boards_of(entries, models, pictures)
    names: dict[str, str] = {}
    for entry in entries:  # Of a likelihood the name may say a density, too: it comes later.
        names.setdefault(models[entry["run"]].key, entry["objective"])
    known = {model.key: model for model in models.values()}
    likelihood = likelihoods(rows, models)
    cards = {}
    for key, name in names.items():
        cards[key] = card_of(known[key], name, pictures, commands)
        if key in likelihood:
            cards[key]["likelihood"] = likelihood[key]
    content = {
        "boards": boards,
        "cards": cards,
        "first": first_board(boards, [point["card"] for point in opening.points]),
        "chart": {"points": opening.points, **opening.axes},
    }
    content |= _pooled(cards)
    return render_html(content, pictures, opening, headline, findings, _title(entries))


def render_html(
    content: Mapping[str, Any],
    pictures: Pictures,
    opening: Opening,
    headline: Iterable[Table],
    findings: str,
    title: str,
) -> str:
    """Returns the page of some content, with the pictures that its size allows."""
    from jinja2 import Environment

    script = "\n".join(_asset(name) for name in SCRIPTS)
    style = _asset("page.css")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    fixed = {
        "policy": policy,
        "title": title,
        "opening": opening,
        "points": as_html(opening.table) if opening.table else "",
        "headline": [as_html(table) for table in headline],
        "findings": [line for line in findings.replace("*", "").split("\n") if line],
        "notes": (*NOTES, SIGNS),
        "extent": _extent(content.get("boards", ())),
        "style": style,
        "script": script,
    }
    template = Environment(autoescape=True).from_string(_asset("page.html.j2"))
    bare = template.render(**fixed, content=_json(content))
    room = LARGEST - len(bare.encode())
    shown, left_out = pictures.within(room, lambda one: len(_json(one)) + 20)
    return template.render(
        **fixed, content=_json({**content, "pictures": shown, "left_out": left_out})
    )


def as_html(table: Table) -> str:
    """Returns a table with title and caption as HTML, with every text escaped."""
    notes = table.footnotes
    names = [table.corner, *table.headers(notes)]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = zip(table.lines, table.rendered(notes, _html_cell), strict=True)
    body = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>'
        for (label, _), cells in lines
    )
    caption = " ".join(map(escape, table.sentences(notes)))
    return (
        f"<h2>{escape(table.title)}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n"
        f"<p>{caption}</p>"
    )


def _html_cell(cell: Cell, notes: str) -> str:
    text, element = escape(cell.text), MARKS.get(cell.mark)
    marked = f"<{element}>{text}</{element}>" if element else text
    return f"<td>{marked}{notes}</td>"


def _pooled(cards: Mapping[str, dict[str, Any]]) -> dict[str, list[list[str]]]:
    """Replaces the facts of cards by places in a list, in which equal ones stand once."""
    places: dict[tuple[str, str], int] = {}
    for card in cards.values():
        card["facts"] = [
            [title, [places.setdefault((name, value), len(places)) for name, value in facts]]
            for title, facts in card["facts"]
        ]
    return {"facts": [list(fact) for fact in places]}


def _extent(boards: Sequence[Mapping[str, Any]]) -> str:
    entries = sum(len(board["rows"]) for board in boards)
    words = "entry" if entries == 1 else "entries", "board" if len(boards) == 1 else "boards"
    return f"{entries:,} {words[0]} on {len(boards):,} {words[1]}"


def _title(entries: Sequence[Entry]) -> str:
    return ", ".join(sorted({str(entry["suite"]) for entry in entries}))


def _json(content: object) -> str:
    text = json.dumps(content, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.translate(_PAGE_SAFE)


def _asset(name: str) -> str:
    return (files("aebench.bench.leaderboard") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
