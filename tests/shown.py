"""What a table and a page show, for test modules to look into; they load this file with runpy."""

import json
import re


def cells_of(table):
    """Returns a table's cells by the labels of their line and of their column."""
    return {
        (label, name): cell
        for label, cells in table.lines
        for (_, name), cell in zip(table.columns, cells, strict=True)
    }


def content_of(path):
    """Returns the data within a page of the leaderboard."""
    (text,) = re.findall(r'id="content">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    return json.loads(text)
