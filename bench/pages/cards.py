"""Model cards: what one trained model is, how it was made and how it scored, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..comparison.cells import score_cell
from ..comparison.columns import method_labels, without_floor
from ..comparison.costs import on_one_device
from ..comparison.labels import suite_title, variant_text
from ..comparison.lost import SCORE
from ..comparison.numbers import format_number
from ..comparison.ranges import interval_within, limits_of
from ..comparison.scored import compute_seconds, scores_in
from ..comparison.significance import NORMAL_95
from ..comparison.table import (
    Cell,
    Table,
    file_name,
    markdown_text,
    text_table,
)
from ..figures.run_files import RunFiles
from ..files.storage import write_atomically
from ..records.results import Rows, checksum

CARDS = "cards"
MODEL = (
    *("suite", "scale", "dataset", "split", "image_shape", "space", "backbone", "backbone_hash"),
    *("objective", "variant", "latent_dim", "selection", "recipe"),
)
LONGEST_NAME = 100
NOTE = (
    "Values are means over runs ± half the width of their 95 % interval (count of runs).",
    "The interval is Student's over runs. Likelihoods add the error over test images.",
    "With one run it follows from the score's own standard error, where the score has one.",
)


def write_cards(directory: Path, rows: Rows) -> list[Path]:
    """Writes ``cards/<model>.md`` for each model; its seeds share a card.

    Args:
        directory: The results folder; what is on record of the trainings adds settings and
            checksums.
        rows: Its result rows.

    Returns:
        The files written.
    """
    trained = without_floor(rows)
    trained = trained.assign(method=method_labels(trained))
    models = {key: own for key, own in trained.groupby(list(MODEL), dropna=False)}
    names = card_names([dict(zip(MODEL, key, strict=True)) for key in models])
    paths = [directory / CARDS / f"{name}.md" for name in names]
    files = RunFiles(directory)
    for path, own in zip(paths, models.values(), strict=True):
        write_atomically(path, render_card(directory, own, files))
    return paths


def card_names(models: list[dict[str, Any]]) -> list[str]:
    """Returns a portable file name for each model; those that would clash get a digest."""
    names = []
    for model in models:
        settings = variant_text(str(model["variant"]))
        size = f"d{model['latent_dim']}"
        name = file_name(str(model["objective"]), settings, model["dataset"], model["space"], size)
        names.append(name.lstrip(".")[:LONGEST_NAME])
    folded = [name.casefold() for name in names]
    digests = [checksum({k: str(v) for k, v in model.items()})[:8] for model in models]
    return [
        name if folded.count(name.casefold()) == 1 else f"{name}-{digest}"
        for name, digest in zip(names, digests, strict=True)
    ]


def render_card(directory: Path, rows: Rows, files: RunFiles) -> str:
    """Returns the card of one model from its rows and whatever is on record of its trainings."""
    first = rows.iloc[0].to_dict()
    settings = next(filter(None, map(files.record, rows["run"].unique())), {})
    variant = variant_text(first["variant"])
    title = " ".join(filter(None, (first["objective"], f"({variant})" if variant else "")))
    title = first.get("method", title)
    heading = f"{title} on {first['dataset']}, d = {first['latent_dim']} · {suite_title(first)}"
    sheets = sorted((directory / "plots").glob("sheet*.png"))
    links = [f"[{markdown_text(p.stem)}](../plots/{p.name})" for p in sheets]
    parts = [
        f"# {markdown_text(heading)}",
        _facts("Model", model_facts(first, settings)),
        _facts("Training", _training(rows, settings)),
        _runs_table(files, rows).as_markdown(),
        f"Picture sheets of the suite: {' · '.join(links)}" if links else "",
        _scores_table(rows).as_markdown(),
        _reasons(rows),
        _facts("Provenance", _provenance(rows)),
    ]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def model_facts(first: Mapping[Any, Any], settings: Mapping[str, Any]) -> dict[str, object]:
    """Returns what a model is, by the names that a card shows.

    Args:
        first: One of its rows.
        settings: What is on record of one of its trainings, empty where nothing is.
    """
    used = settings.get("hyperparameters") or variant_text(first["variant"])
    return {
        "objective": first["objective"],
        "hyperparameters": used if isinstance(used, str) else _settings_text(used),
        "backbone": f"{first['backbone']}, structure {first['backbone_hash']}",
        "parameters of the backbone": f"{first['parameters_backbone']:,}",
        "parameters outside the backbone": f"{first['parameters_outside']:,}",
        "latent size": first["latent_dim"],
        "data set": f"{first['dataset']}, split {first['split']}, {first['image_shape']}",
        "digest of the data": settings.get("data", ""),
        "space": first["space"],
    }


def _training(rows: Rows, settings: Mapping[str, Any]) -> dict[str, object]:
    known = training_settings(settings)
    runs = rows.drop_duplicates("run")
    known |= {
        "steps taken": distinct_text(runs["steps"]),
        "selection": distinct_text(rows["selection"]),
    }
    seconds = compute_seconds(scores_in(on_one_device(rows)))
    known["compute seconds of a run"] = "" if seconds is None else format_number(seconds)
    known["wall seconds of a run"] = format_number(float(runs["train_seconds"].mean()))
    known["device"] = distinct_text(runs["device"])
    return {name.replace("_", " "): value for name, value in known.items()}


def training_settings(settings: Mapping[str, Any]) -> dict[str, object]:
    """Returns the settings of a training that are on record, empty where none are."""
    config = settings.get("config")
    training = config.get("training") if isinstance(config, dict) else None
    return dict(training) if isinstance(training, dict) else {}


def _runs_table(files: RunFiles, rows: Rows) -> Table:
    header = ("seed", "run", "state", "steps", "wall seconds", "SHA-256 of the weights")
    lines = []
    statuses = rows.groupby("run")["status"].unique()
    for row in rows.drop_duplicates("run").sort_values("seed").to_dict("records"):
        found = set(statuses[row["run"]])
        state = "trained, some scores failed" if "failed" in found else "trained"
        state = "diverged" if "diverged" in found else state
        numbers = (row["steps"], format_number(row["train_seconds"]))
        weights = files.record(row["run"]).get("weights") or "not on record"
        lines.append((row["seed"], row["run"], state, *numbers, weights))
    return text_table("runs", "Runs", header, lines)


def _scores_table(rows: Rows) -> Table:
    header = ("score", "of", "value", "95 % interval", "better", "unit", "kind", "measured on")
    scores = rows[rows["status"] != "diverged"].groupby(list(SCORE), dropna=False, sort=False)
    return text_table("scores", "Scores", header, (_score_line(own) for _, own in scores), NOTE)


def _score_line(rows: Rows) -> tuple[str | Cell, ...]:
    first = rows.iloc[0].to_dict()
    cell, errors = score_cell(scores_in(rows), 0), rows["stderr"].dropna()
    half = cell.half_width
    if cell.seeds == "1" and len(errors) == 1:
        half = NORMAL_95 * float(errors.iloc[0])
    bounds = "-"
    if half is not None and cell.value is not None:
        limits = limits_of(str(first["unit"]), str(first["metric"]), int(first["latent_dim"]))
        ends = interval_within(cell.value, half, limits)
        bounds = " to ".join(format_number(e, like=cell.value, error=half) for e in ends)
    kind = ", ".join(filter(None, (first["kind"], first["model"])))
    start = (first["metric"], _of(first), cell, bounds)
    return (*start, first["better"], first["unit"], kind, _identity(first))


def _of(row: Mapping[Any, Any]) -> str:
    return " from ".join(filter(None, (row["images"], row["density"])))


def _identity(row: Mapping[Any, Any]) -> str:
    counts = {"real": row["n_real"], "generated": row["n_generated"], "K": row["samples_k"]}
    known = [f"{name} {int(count)}" for name, count in counts.items() if count == count and count]
    return ", ".join(filter(None, (row["features"], *known)))


def _reasons(rows: Rows) -> str:
    lines = []
    # Warnings about scores that have a value are footnotes of their table.
    lost = rows[(rows["reason"] != "") & (rows["status"] != "ok")]
    for (status, reason), own in lost.groupby(["status", "reason"]):
        scores = dict.fromkeys(f"{r['metric']} ({_of(r)})" for r in own.to_dict("records"))
        text = markdown_text(f"{status}: {reason}")
        lines.append(f"- {text} {markdown_text('; '.join(scores))}")
    return "**Remarks**\n\n" + "\n".join(lines) if lines else ""


def _provenance(rows: Rows) -> dict[str, object]:
    dates = sorted(date for date in rows["date"] if date)
    return {
        "suite": suite_title(rows.iloc[0].to_dict()),
        "commit of the code": distinct_text(rows["commit"]),
        "versions": "; ".join(variant_text(text) for text in sorted(set(rows["versions"]))),
        "scored": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "",
    }


def _facts(title: str, facts: Mapping[str, object]) -> str:
    lines = [fact for fact in facts.items() if fact[1] != ""]
    return text_table(title.lower(), title, ("what", "value"), lines).as_markdown()


def distinct_text(column: Iterable[object]) -> str:
    """Returns each value of a column once, sorted, without empty ones."""
    return ", ".join(sorted({str(value) for value in column if str(value)}))


def _settings_text(settings: object) -> str:
    return variant_text(json.dumps(settings, sort_keys=True)) or "none"
