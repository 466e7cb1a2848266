"""Boards as the page's script reads them: what can be chosen, and the rows of each choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..comparison.numbers import kept_digits
from ..comparison.samples import MIXTURE
from ..comparison.table import file_name
from ..records.results import checksum
from ..tables.boards import MOST_RANKED, UNRANKED, Entry
from .cards import Model
from .pictures import Pictures, array_names, array_of
from .study import family_of

PLACES = {"reconstruction": "reconstructions", "interpolation": "interpolations"}
IDENTITY = ("dataset", "network", "latent_dim", "score", "place", "suite", "protocol")
LONGEST_NAME = 80
Board = dict[str, Any]


def boards_of(
    entries: Sequence[Entry], models: Mapping[str, Model], pictures: Pictures
) -> list[Board]:
    """Returns each board with its rows, in the order of its entries.

    Args:
        entries: The entries of all boards.
        models: The model of each run.
        pictures: Gets the pictures of the rows.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(board_key(entry), []).append(entry)
    return [_board(key, own, models, pictures) for key, own in groups.items()]


def board_key(entry: Entry) -> str:
    """Returns a name for links to a board, which does not depend on other suites, models or seeds.

    It does on the title of the board's part of its suite, which says steps where other trainings
    have more, and a latent size where a data set has several.
    """
    size = f"d{entry['latent_dim']}"
    words = file_name(entry["dataset"], size, entry["metric"], entry["place"])
    return f"{words[:LONGEST_NAME]}-{checksum([str(entry[name]) for name in IDENTITY])[:8]}"


def first_board(boards: Sequence[Board], cards: Iterable[str]) -> str:
    """Returns the board that the page opens with: that of the study's samples, else the first.

    Args:
        boards: All boards.
        cards: The models of the study.
    """
    study = set(cards)

    def shared(board: Board) -> tuple[int, bool, bool]:
        count = len(study & {row["card"] for row in board["rows"]})
        return count, board["metric"] == "fd", board["place"] == MIXTURE

    samples = [board for board in boards if board["images"] == "sample"] or list(boards)
    return str(max(samples, key=shared)["key"]) if samples else ""


def _board(
    key: str, entries: Sequence[Entry], models: Mapping[str, Model], pictures: Pictures
) -> Board:
    first, texts = entries[0], list(dict.fromkeys(w for e in entries for w in e["warnings"]))
    return {
        "key": key,
        "dataset": first["dataset"],
        "network": first["network"],
        "size": str(first["latent_dim"]),
        "score": first["score"],
        "of": _of(first),
        "suite": first["suite"],
        "protocol": first["protocol"],
        "metric": first["metric"],
        "place": first["place"],
        "images": first["images"],
        "better": first["better"],
        "unit": first["unit"],
        "notes": texts,
        "unranked": UNRANKED.format(count=len(entries)) if len(entries) > MOST_RANKED else "",
        "steps": first["steps_note"],
        "references": first["references"],
        "rows": [_row(entry, texts, models, pictures) for entry in entries],
    }


def _row(
    entry: Entry, notes: list[str], models: Mapping[str, Model], pictures: Pictures
) -> dict[str, Any]:
    """Returns one row; what is empty is left out, since thousands of rows are on one page."""
    model = models[entry["run"]]
    mean, half = kept_digits(entry["mean"], entry["half_width"])
    shown = pictures.add(model.runs, model.dataset, array_of(entry, array_names(model.runs)))
    row = {
        "name": entry["objective"],
        "family": family_of(entry["objective"].partition(" ")[0]),
        "rank": "" if entry["rank"] == "-" else entry["rank"],
        "low": entry["rank_low"],
        "group": entry["group"],
        "sign": entry["sign"] or ("=" if entry["kind"] == "exact" else ""),
        "mean": mean,
        "half": half,
        "seeds": entry["seeds"],
        "model": entry["model"] if entry["model"] == "completed" else "",
        "density": entry["density"] if entry["model"] == "completed" else "",
        "seconds": entry["compute_seconds"],
        "outside": entry["parameters_outside"],
        "card": model.key,
        "picture": shown,
        "notes": [notes.index(text) + 1 for text in entry["warnings"]],
    }
    return {name: value for name, value in row.items() if value not in ("", None, [])}


def _of(entry: Entry) -> str:
    """Returns what was scored, in words."""
    if entry["kind"]:
        return f"test images, {entry['place'].rpartition(' ')[2]} space"
    return PLACES.get(entry["images"], f"samples, {entry['place']}")
