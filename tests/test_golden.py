"""Every value of the golden files is compared with the project's own, or has a reason why not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent
FILES = sorted((TESTS / "golden").glob("*.npz"))
UNREAD = {"linear_gaussian": "says that a case's exact_logpx, which is read, is a closed form"}
ANY = "[^_]+"


def pattern_of(node: ast.AST) -> str:
    """Returns the keys that a text of the source may stand for; empty if it is no text."""
    if isinstance(node, ast.Constant):
        return re.escape(node.value) if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts = [
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ANY
        for part in node.values
    ]
    # A text such as "{case}_{key}" names no key.
    if not any(re.search("[A-Za-z]", part) for part in parts if part != ANY):
        return ""
    # What comes first may be the name of a case, with underscores of its own.
    return "".join([".*" if parts[0] == ANY else parts[0], *parts[1:]])


def patterns(source: Path, file: Path) -> Iterator[str]:
    """Yields the keys that a source reads, but for its tests that name other files alone."""
    for part in ast.parse(source.read_text(encoding="utf-8")).body:
        text = ast.unparse(part)
        named = [other for other in FILES if f"'{other.name}'" in text]
        if not isinstance(part, ast.FunctionDef) or not named or file in named:
            yield from filter(None, map(pattern_of, ast.walk(part)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_value_of_a_golden_file_is_read_by_a_test_or_has_a_reason_why_not(file):
    sources = TESTS.glob("test_*.py")
    readers = [path for path in sources if f'"{file.name}"' in path.read_text("utf-8")]
    known = re.compile("|".join({p for source in readers for p in patterns(source, file)}))
    arrays = np.load(file)
    cases = {str(case) for case in arrays["cases"]} if "cases" in arrays.files else set()
    short = {key: key.split("__")[-1] for key in arrays.files if key.split("__")[0] in cases}
    unread = {
        short.get(key, key)
        for key in set(arrays.files) - {"cases"}
        if not any(known.fullmatch(name) for name in (key, short.get(key, key)))
    }
    assert unread == UNREAD.keys() & {*arrays.files, *short.values()}
