"""Boards: for each column of comparable scores a place for every method, as an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..comparison.cells import method_order
from ..comparison.columns import (
    IDENTITY,
    Column,
    columns_of,
    is_reference,
    references_beside,
    with_places,
    without_floor,
)
from ..comparison.costs import device_note, on_one_device
from ..comparison.labels import REFERENCES, backbone_text, score_title
from ..comparison.likelihoods import bound_sign, likelihood_places
from ..comparison.numbers import estimate_text, format_number, is_cut
from ..comparison.parts import steps_parts, suite_parts
from ..comparison.ranges import interval_within, limits_of
from ..comparison.scored import (
    Scored,
    compute_seconds,
    image_error,
    lost_text,
    scores_by,
    seed_values,
    warnings_of,
)
from ..comparison.significance import (
    ahead_of,
    half_width,
    mean,
    rank_intervals,
    unseparated_groups,
)
from ..comparison.steps import steps_note
from ..comparison.strings import DRAWS, by_task
from ..comparison.table import Cell, Table, text_table
from ..records.results import Rows
from ..suites.config import comes_with_weights
from .wide import COMPUTE_NOTE

Entry = dict[str, Any]
SCORES = (
    *("fd", "bits_per_dim", "prd_f8", "prd_f1/8"),
    *("exact_strings", "validity", "mean_score"),
)
HEADER = (
    *("rank", "objective", "mean ± 95 % (seeds)", "kind", "model"),
    *("parameters", "outside", "compute s"),
)
SHARED = "〃"
GIVEN = {"backbone": "networks as given", "backbone_hash": "given"}
RANKS = (
    "A rank is an interval: an entry is ahead of another only where a paired test over at least "
    "five shared seeds, Holm-corrected within the board, separates them. With fewer seeds every "
    "entry may hold every rank."
)
MOST_RANKED = 300  # Every pair of entries is tested.
UNRANKED = (
    "This board has {count:,} entries. Ranks test every pair of them and are given for at most "
    f"{MOST_RANKED}, so that there are none here."
)
BOUNDS = (
    "≤ marks a lower bound on a likelihood, which is an upper bound on bits/dim. Nothing is "
    "ranked ahead of it, since the truth may be better."
)
INTERVALS = (
    "± is the half-width of Student's 95 % interval of the mean over seeds. Likelihoods add the "
    "error over test images, and with one seed have that alone; their ranks hold for these images."
)
SHARED_NOTE = f"{SHARED}: the rank of the line above."
COST_NOTE = "parameters: of the backbone. outside: parameters outside it."
KINDS = (
    "kind: an exact likelihood or a lower bound. model: native is the trained model itself, "
    "completed one whose density and observation noise were fitted after training."
)
OWN_NOTES = ("steps_note", "device_note", "references")  # Of one board's entries.
NOTES = (
    *(RANKS, BOUNDS, INTERVALS),
    "An estimate that is not trusted has no mean, no interval and no rank.",
    "Entries are compared only with entries of the same board: same suite and scale, data set, "
    "backbone, score and protocol. Autoencoders that came with their weights share a board of "
    "their own.",
)


def board_entries(rows: Rows) -> list[Entry]:
    """Returns one entry for each method on each board, best mean first.

    A board is a column of comparable rows: suite, scale, data set, backbone, score and protocol.
    """
    entries: list[Entry] = []
    references = rows[is_reference(rows)]
    parts = (same for own in suite_parts(without_floor(rows)) for same in steps_parts(own))
    for part in parts:
        placed = _given_together(by_task(with_places(part.rows)))
        likelihood = placed["kind"] != ""
        placed.loc[likelihood, "place"] = likelihood_places(placed[likelihood])
        board = placed["images"].isin(["reconstruction", "sample", "interpolation"])
        board |= placed["metric"] == "bits_per_dim"
        board &= placed["density"] != DRAWS  # What a search is compared with.
        for metric in SCORES:
            for _, own in placed[board & (placed["metric"] == metric)].groupby("latent_dim"):
                for column in columns_of(own)[0]:
                    # A score that none of its models can have makes no board.
                    if (column.rows["status"] != "not applicable").any():
                        entries += _column_entries(column, part.title, references)
    return entries


def board_tables(entries: Sequence[Entry]) -> list[Table]:
    """Returns a table for each board."""
    boards: dict[str, list[Entry]] = {}
    for entry in entries:
        boards.setdefault(entry["board"], []).append(entry)
    return [
        text_table(
            *("leaderboard", board, HEADER, lines),
            notes=(
                f"Protocol: {own[0]['protocol']}.",
                RANKS if len(own) <= MOST_RANKED else UNRANKED.format(count=len(own)),
                INTERVALS,
                *([BOUNDS] if any(entry["sign"] for entry in own) else []),
                *([KINDS] if any(entry["kind"] for entry in own) else []),
                *([SHARED_NOTE] if any(line[0] == SHARED for line in lines) else []),
                *(COST_NOTE, COMPUTE_NOTE),
                *filter(None, [own[0][name] for name in OWN_NOTES]),
            ),
        )
        for board, own in boards.items()
        for lines in [list(_board_lines(own))]
    ]


def _column_entries(column: Column, suite: str, references: Rows) -> list[Entry]:
    rows = on_one_device(column.rows)
    first = rows.iloc[0]
    if first["kind"]:  # A likelihood may be that of a model completed with a density.
        density = (" + " + rows["density"]).where(rows["density"] != "", "")
        rows = rows.assign(method=rows["method"] + density)
    bounds = set(rows.loc[rows["kind"] == "lower bound", "method"])
    groups = scores_by(rows, "method")
    # Of several rows of the least seed the first names the entry.
    firsts = rows.sort_values("seed", kind="stable").drop_duplicates("method")
    named = {str(row["method"]): row for row in firsts.to_dict("records")}
    seeds = {name: seed_values(own) for name, own in groups.items()}
    tested = seeds if len(seeds) <= MOST_RANKED else {}
    ahead = ahead_of(tested, str(first["better"]), bounds)
    ranks = rank_intervals(ahead)
    if len(ranks) == 1:  # It is ahead of nothing.
        ranks = {}
    known = [name for name in IDENTITY if str(first[name]) not in ("", "<NA>")]
    score = score_title(first.to_dict())
    shared = {
        "board": f"{column.group}, d = {first['latent_dim']}: {score}, {column.place} · {suite}",
        "dataset": str(first["dataset"]),
        "latent_dim": int(first["latent_dim"]),
        # Where models of several networks share a board, as those of texts do, it has no hash.
        "network": backbone_text(first["backbone"])
        if first["backbone_hash"]
        else first["backbone"],
        "metric": str(first["metric"]),
        "score": score,
        "unit": str(first["unit"]),
        "better": str(first["better"]),
        "images": str(first["images"]),
        "place": column.place,
        "suite": suite,
        "steps_note": steps_note(rows),
        "device_note": device_note(column.rows),
        "references": _reference_text(references, rows),
        "protocol": ", ".join(f"{name}={first[name]}" for name in (*known, "backbone")),
    }
    entries = [
        {**shared, **_entry(named[name], groups[name], ranks.get(name), len(groups))}
        for name in method_order(rows)
    ]
    sign = -1.0 if first["better"] == "higher" else 1.0
    # Entries without a mean come last; of equals the papers' order stays.
    entries.sort(key=lambda entry: (entry["mean"] is None, sign * (entry["mean"] or 0)))
    places = unseparated_groups((entry["objective"] for entry in entries), ahead)
    return [{**entry, "group": at} for entry, at in zip(entries, places, strict=True)]


def _given_together(placed: Rows) -> Rows:
    """Returns rows in which autoencoders that come with their weights share a board, by name.

    No two of them have the same networks, so that a board of each would have one entry. Under
    one data set and size of codes they are ranked among each other, and never with models that
    were trained here. All other rows stay as they are.

    Args:
        placed: Rows with the columns of ``with_places``.
    """
    given = placed["backbone"].map(comes_with_weights) & (placed["steps"] == 0)
    if not given.any():
        return placed
    own = placed[given]
    # The digest tells two files of one name apart; the rest of the method's name two settings.
    columns = (own[name] for name in ("backbone", "backbone_hash", "method", "objective"))
    names = [
        f"{backbone_text(backbone)} #{structure[:6]}{method.removeprefix(objective)}"
        for backbone, structure, method, objective in zip(*columns, strict=True)
    ]
    rows = placed.copy()
    rows.loc[given] = own.assign(method=names, **GIVEN)
    return rows


def _reference_text(references: Rows, scored: Rows) -> str:
    """Returns a sentence on real images that were scored as a board's rows; empty without any."""
    own = references_beside(references, scored)
    for name in ("suite", "scale", "dataset"):
        own = own[own[name].isin(scored[name].unique())]
    seeds = {name: seed_values(scores) for name, scores in scores_by(own, "objective").items()}
    told = [
        f"{name} ({how}) {format_number(mean(seeds[name]))}"
        for name, how in REFERENCES.items()
        if seeds.get(name)
    ]
    return f"Held-out real images, scored alike and not ranked: {', '.join(told)}." if told else ""


def _entry(
    first: Mapping[Any, Any],
    scores: Sequence[Scored],
    rank: tuple[int, int] | None,
    count: int,
) -> Entry:
    values = list(seed_values(scores).values())
    value, half = None, None
    if values:
        value, half = float(np.mean(values)), half_width(values, image_error(scores))
    ends: tuple[float | None, float | None] = (None, None)
    if value is not None and half is not None:
        limits = limits_of(str(first["unit"]), str(first["metric"]), int(first["latent_dim"]))
        ends = interval_within(value, half, limits)
    seconds = compute_seconds(scores)
    low, high = rank or (count + 1, count + 1)
    return {
        "objective": str(first["method"]),
        "rank": _rank_text(rank) if rank else lost_text(scores) or "-",
        "rank_low": low,
        "rank_high": high,
        "sign": bound_sign({**first, "model": ""}).strip() if first["kind"] else "",
        "mean": value,
        "half_width": half,
        "low": ends[0],
        "high": ends[1],
        "seeds": len(values),
        "kind": str(first["kind"]),
        "model": str(first["model"]),
        "density": str(first["density"]),
        "parameters_backbone": int(first["parameters_backbone"]),
        "parameters_outside": int(first["parameters_outside"]),
        "compute_seconds": None if seconds is None else round(seconds, 1),
        "warnings": warnings_of(scores),
        "run": str(first["run"]),
    }


def _rank_text(rank: tuple[int, int]) -> str:
    return f"{rank[0]}" if rank[0] == rank[1] else f"{rank[0]} to {rank[1]}"


def _board_lines(entries: Sequence[Entry]) -> Iterator[tuple[str | Cell, ...]]:
    """Yields the line of each entry; an interval that neighbours share stands once."""
    above = ""
    for entry in entries:
        shared = entry["rank"] == above and " to " in above
        above = entry["rank"]
        yield _board_line(entry, SHARED if shared else above)


def _board_line(entry: Entry, rank: str) -> tuple[str | Cell, ...]:
    shown = entry["mean"]
    number = "-"
    if shown is not None:
        text = estimate_text(shown, entry["half_width"], (entry["low"], entry["high"]))
        number = f"{entry['sign']} {text}".strip()
    # The count makes the cell one of a score, whose warnings the table collects.
    count = str(entry["seeds"])
    warnings = tuple(entry["warnings"])
    text = f"{number} ({count})"
    score = Cell(text, shown, seeds=count, warnings=warnings, cut=is_cut(number))
    seconds = "-" if entry["compute_seconds"] is None else f"{entry['compute_seconds']:,}"
    parameters = (f"{entry[name]:,}" for name in ("parameters_backbone", "parameters_outside"))
    texts = (rank, entry["objective"])
    return (*texts, score, entry["kind"], entry["model"], *parameters, seconds)
