"""A table as HTML, with every text escaped."""

from __future__ import annotations

from html import escape

from ..comparison.table import Cell, Table

MARKS = {"best": "strong", "tie": "em"}


def as_html(table: Table) -> str:
    """Returns the table with title and caption, as an element of a page."""
    notes = table.footnotes
    names = [table.corner, *table.headers(notes)]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = zip(table.lines, table.rendered(notes, _cell), strict=True)
    body = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>'
        for (label, _), cells in lines
    )
    caption = " ".join(map(escape, table.sentences(notes)))
    return (
        f"<h2>{escape(table.title)}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n"
        f"<p>{caption}</p>"
    )


def _cell(cell: Cell, notes: str) -> str:
    text, element = escape(cell.text), MARKS.get(cell.mark)
    marked = f"<{element}>{text}</{element}>" if element else text
    return f"<td>{marked}{notes}</td>"
