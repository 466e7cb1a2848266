"""Rows of earlier evaluations, kept by item."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..files.storage import canonical_json, write_atomically
from ..records.equivalence import same_scores
from ..records.migration import OLDEST, migrated
from ..records.results import Record, checksum
from ..records.rows import SCHEMA


class EvaluationRecord:
    """The rows of each item, kept as long as the identity is the same or its code equivalent.

    Args:
        path: The file; absent or unusable means that nothing is on record.
        identity: Digests of code, data, weights and settings that the rows depend on.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        self.items: dict[str, list[Record]] = self._read()

    def rows(self, key: str, compute: Callable[[], list[Record]]) -> list[Record]:
        """Returns the rows of an item, computed only if they are not on record."""
        # Written after each item: an interrupted evaluation goes on with the next one.
        if key not in self.items:
            self.items[key] = compute()
            self.write()
        return self.items[key]

    def write(self) -> None:
        """Writes the record, atomically."""
        body = {"schema": SCHEMA, "identity": self.identity, "items": self.items}
        write_atomically(self.path, canonical_json({**body, "checksum": checksum(body)}))

    def _read(self) -> dict[str, list[Record]]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            stored = document.pop("checksum")
            if stored != checksum(document):
                return {}
            schema, items = document["schema"], self._usable(document)
            if schema == OLDEST:
                # A run gives its rows the recipe and whatever else they share.
                return {key: [migrated(row, {}) for row in rows] for key, rows in items.items()}
            return items if schema == SCHEMA else {}
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return {}

    def _usable(self, document: Mapping[str, Any]) -> dict[str, list[Record]]:
        """Returns the items that the same code scored, or code that is on record as equivalent."""
        then, now, items = document["identity"], self.identity, dict(document["items"])
        if then == now:
            return items
        if {**then, "code": now["code"]} != now:
            return {}
        codes, settings = (then["code"], now["code"]), now["settings"]
        return {key: rows for key, rows in items.items() if same_scores(*codes, rows, settings)}
