"""Model cards: what one trained model is, how it was made and how it scored, in Markdown."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.cells import bound_sign, lost_text
from ..comparison.columns import FLOOR, SCORE
from ..comparison.labels import suite_title, variant_text
from ..comparison.table import Cell, Table, file_name, format_number, markdown_text
from ..files.storage import write_atomically
from ..records.results import checksum

if TYPE_CHECKING:
    import pandas as pd

CARDS = "cards"
MODEL = (
    *("suite", "scale", "dataset", "split", "image_shape", "space", "backbone", "backbone_hash"),
    *("objective", "variant", "latent_dim", "selection"),
)
LONGEST_NAME = 100
NOTE = (
    "Values are means over runs ± standard deviation (runs). The 95 % interval is Student's "
    "over runs; with one run it is from the score's own standard error, where it has one.",
)
_RUN = re.compile(r"[0-9a-f]{8,64}")


def write_cards(directory: Path, rows: pd.DataFrame) -> list[Path]:
    """Writes ``cards/<model>.md`` for each model; its seeds share a card.

    Args:
        directory: The results folder; runs that are there add settings, checksums and pictures.
        rows: Its result rows.

    Returns:
        The files written.
    """
    trained = rows[rows["objective"] != FLOOR]
    models = {key: own for key, own in trained.groupby(list(MODEL), dropna=False)}
    names = card_names([dict(zip(MODEL, key, strict=True)) for key in models])
    paths = [directory / CARDS / f"{name}.md" for name in names]
    for path, own in zip(paths, models.values(), strict=True):
        write_atomically(path, render_card(directory, own))
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


def render_card(directory: Path, rows: pd.DataFrame) -> str:
    """Returns the card of one model from its rows and whatever of its runs is there."""
    first = rows.iloc[0].to_dict()
    settings = next(filter(None, (_settings(directory, run) for run in rows["run"].unique())), {})
    variant = variant_text(first["variant"])
    title = " ".join(filter(None, (first["objective"], f"({variant})" if variant else "")))
    heading = f"{title} on {first['dataset']}, d = {first['latent_dim']} · {suite_title(first)}"
    parts = [f"# {markdown_text(heading)}", _facts("Model", _model(first, settings))]
    parts.append(_facts("Training", _training(rows, settings)))
    parts.append(_runs_table(directory, rows).as_markdown())
    pictures = [p for p in (_picture(directory, run) for run in rows["run"].unique()) if p]
    parts += [f"![Pictures of run {name}](../runs/{name}/samples.png)" for name in pictures[:1]]
    sheets = sorted((directory / "plots").glob("sheet*.png"))
    links = [f"[{markdown_text(p.stem)}](../plots/{p.name})" for p in sheets]
    parts.append(f"Picture sheets of the suite: {' · '.join(links)}" if links else "")
    parts.append(_scores_table(rows).as_markdown())
    parts.append(_reasons(rows))
    parts.append(_facts("Provenance", _provenance(rows)))
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def interval(values: Sequence[float], stderr: float | None) -> tuple[float, float] | None:
    """Returns the 95 % interval of a mean over runs, or of one value by its standard error.

    Example:
        >>> [round(bound, 2) for bound in interval([1.0], 0.5)]
        [0.02, 1.98]
        >>> [round(bound, 2) for bound in interval([1.0, 3.0, 2.0], None)]
        [-0.48, 4.48]
        >>> interval([1.0], None) is None
        True
    """
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) > 1:
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        half = float(t.ppf(0.975, len(values) - 1)) * error
    elif stderr is not None and np.isfinite(stderr):
        half = 1.96 * stderr
    else:
        return None
    return mean - half, mean + half


def _model(first: Mapping[Any, Any], settings: Mapping[str, Any]) -> dict[str, object]:
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


def _training(rows: pd.DataFrame, settings: Mapping[str, Any]) -> dict[str, object]:
    config = settings.get("config")
    training = config.get("training") if isinstance(config, dict) else None
    known = dict(training) if isinstance(training, dict) else {}
    runs = rows.drop_duplicates("run")
    known |= {"steps taken": _listed(runs["steps"]), "selection": _listed(rows["selection"])}
    known["seconds of a run"] = format_number(float(runs["train_seconds"].mean()))
    known["device"] = _listed(runs["device"])
    return {name.replace("_", " "): value for name, value in known.items()}


def _runs_table(directory: Path, rows: pd.DataFrame) -> Table:
    header = ("run", "state", "steps", "seconds", "SHA-256 of the checkpoint")
    lines = []
    for row in rows.drop_duplicates("run").sort_values("seed").to_dict("records"):
        state = "trained" if row["status"] != "diverged" else "diverged"
        texts = (row["run"], state, str(row["steps"]), format_number(row["train_seconds"]))
        cells = (*texts, _checkpoint_digest(directory, row["run"]))
        lines.append((str(row["seed"]), tuple(Cell(text) for text in cells)))
    return Table("runs", "Runs", (), "seed", tuple(("", n) for n in header), tuple(lines))


def _scores_table(rows: pd.DataFrame) -> Table:
    header = ("of", "value", "95 % interval", "better", "unit", "kind", "measured on")
    scores = rows[rows["status"] != "diverged"].groupby(list(SCORE), dropna=False, sort=False)
    lines = tuple((str(own.iloc[0]["metric"]), _score_cells(own)) for _, own in scores)
    return Table("scores", "Scores", NOTE, "score", tuple(("", n) for n in header), lines)


def _score_cells(rows: pd.DataFrame) -> tuple[Cell, ...]:
    first = rows.iloc[0].to_dict()
    good = rows[rows["status"] == "ok"]
    values = [float(value) for value in good["value"]]
    shown, bounds = "n/a", "-"
    if values:
        mean = float(np.mean(values))
        found = interval(values, float(good["stderr"].iloc[0]) if len(values) == 1 else None)
        if found:
            bounds = " to ".join(format_number(bound, like=mean) for bound in found)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        parts = [format_number(mean), "" if spread is None else "±"]
        parts += ["" if spread is None else format_number(spread, like=mean)]
        parts += [f"({', '.join(filter(None, (str(len(values)), lost_text(rows))))})"]
        shown = bound_sign(first) + " ".join(filter(None, parts))
    kind = ", ".join(filter(None, (first["kind"], first["model"])))
    texts = (_of(first), shown, bounds, first["better"], first["unit"], kind, _identity(first))
    return tuple(Cell(str(text)) for text in texts)


def _of(row: Mapping[Any, Any]) -> str:
    return " from ".join(filter(None, (row["images"], row["density"])))


def _identity(row: Mapping[Any, Any]) -> str:
    counts = {"real": row["n_real"], "generated": row["n_generated"], "K": row["samples_k"]}
    known = [f"{name} {int(count)}" for name, count in counts.items() if count == count and count]
    return ", ".join(filter(None, (row["features"], *known)))


def _reasons(rows: pd.DataFrame) -> str:
    lines = []
    for (status, reason), own in rows[rows["reason"] != ""].groupby(["status", "reason"]):
        records = own.to_dict("records")
        scores = dict.fromkeys(f"{row['metric']} ({_of(row)})" for row in records)
        kind = "" if status == "ok" else f"{status}: "
        lines.append(f"- {markdown_text(f'{kind}{reason}')} {markdown_text('; '.join(scores))}")
    return "**Remarks**\n\n" + "\n".join(lines) if lines else ""


def _provenance(rows: pd.DataFrame) -> dict[str, object]:
    dates = sorted(date for date in rows["date"] if date)
    return {
        "suite": suite_title(rows.iloc[0].to_dict()),
        "commit of the code": _listed(rows["commit"]),
        "versions": "; ".join(variant_text(text) for text in sorted(set(rows["versions"]))),
        "scored": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "",
    }


def _facts(title: str, facts: Mapping[str, object]) -> str:
    lines = tuple((name, (Cell(str(value)),)) for name, value in facts.items() if value != "")
    return Table(title.lower(), title, (), "what", (("", "value"),), lines).as_markdown()


def _listed(column: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in column if str(value)}))


def _settings_text(settings: object) -> str:
    return variant_text(json.dumps(settings, sort_keys=True)) or "none"


def _settings(directory: Path, run: str) -> dict[str, Any]:
    path = directory / "runs" / run / "config.json"
    if not _RUN.fullmatch(run) or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _picture(directory: Path, run: str) -> str:
    is_there = _RUN.fullmatch(run) and (directory / "runs" / run / "samples.png").is_file()
    return run if is_there else ""


def _checkpoint_digest(directory: Path, run: str) -> str:
    path = directory / "runs" / run / "checkpoint.safetensors"
    if not _RUN.fullmatch(run) or not path.is_file():
        return "the file is not here"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
