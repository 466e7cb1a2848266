"""What a page knows of each model: settings, runs, curves, pictures, likelihood, command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..comparison.columns import METHOD, without_floor
from ..comparison.labels import backbone_text, suite_title, variant_text
from ..comparison.likelihoods import bound_sign, one_likelihood
from ..comparison.numbers import format_number, kept_digits
from ..comparison.scored import image_error, scores_by, seed_values
from ..comparison.significance import half_width
from ..comparison.table import file_name
from ..figures.run_files import RunFiles
from ..pages.cards import distinct_text, model_facts, training_settings
from ..records.compact import LOG
from ..records.equivalence import standard_code
from ..records.results import Rows, checksum
from .commands import Commands
from .pictures import Pictures, array_names

MODEL = ("suite", "scale", *METHOD)  # Rows that agree in these are of one model.
CURVE_POINTS = 60
CURVE_DIGITS = 4
NO_CURVES = ("learning_rate",)
LONGEST_NAME = 60
CAPTIONS = {
    "test": "test images",
    "reconstruction": "their reconstructions",
    "interpolation": "interpolation",
}
Card = dict[str, Any]
Curves = dict[str, list[list[float]]]  # Of one term, by split.


@dataclass
class Model:
    """The rows of one model, all its seeds.

    Attributes:
        key: A name for links, which does not depend on what else there is.
        rows: One row of each run, by seed.
        runs: The runs that have files, each with those of the folder that it lies in.
    """

    key: str
    rows: list[dict[Any, Any]]
    runs: list[tuple[str, RunFiles]]

    @property
    def dataset(self) -> str:
        """The data set that it was trained on, in the form in which it reads it."""
        return str(self.rows[0]["dataset"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is on record of the first of its trainings of which anything is."""
        return next(filter(None, (files.record(run) for run, files in self.runs)), {})

    @cached_property
    def versions(self) -> int:
        """How many versions of the training code trained its runs, as far as is on record."""
        codes = (files.record(run).get("training_code") for run, files in self.runs)
        return len({standard_code(str(code)) for code in codes if code})


def models_of(rows: Rows, files: Mapping[str, RunFiles]) -> dict[str, Model]:
    """Returns the model of each run.

    Args:
        rows: Result rows of any number of suites.
        files: For each run the files of the folder that it lies in.
    """
    trained = without_floor(rows).drop_duplicates("run").sort_values(["seed", "run"])
    groups: dict[tuple[str, ...], list[dict[Any, Any]]] = {}
    for row in trained.to_dict("records"):
        groups.setdefault(tuple(str(row[name]) for name in MODEL), []).append(row)
    found: dict[str, Model] = {}
    for key, own in groups.items():
        first = own[0]
        words = (str(first["objective"]), str(first["dataset"]), f"d{first['latent_dim']}")
        name = file_name(*words)[:LONGEST_NAME].strip(".-")
        runs = [(str(row["run"]), files[str(row["run"])]) for row in own]
        model = Model(f"{name}-{checksum(list(key))[:8]}", own, runs)
        found |= {str(row["run"]): model for row in own}
    return found


def card_of(model: Model, name: str, pictures: Pictures, commands: Commands) -> Card:
    """Returns what the page shows of a model when its card is opened.

    Args:
        model: The model.
        name: What the boards call it.
        pictures: Gets its pictures.
        commands: Knows what trains it.
    """
    first = model.rows[0]
    dataset = model.dataset
    shown = [(_caption(n), pictures.add(model.runs, dataset, n)) for n in array_names(model.runs)]
    network = backbone_text(str(first["backbone"]))
    return {
        "name": name,
        "where": f"{dataset} · {network} · d = {first['latent_dim']} · {suite_title(first)}",
        "facts": [
            ["Model", _texts(model_facts(first, model.settings))],
            ["Training", _texts(_training(model))],
            ["Provenance", _texts(_provenance(model))],
        ],
        "runs": list(map(_run_line, model.rows, (files for _, files in model.runs))),
        "curves": _curves(model),
        "pictures": [[caption, key] for caption, key in shown if key],
        "command": commands.of(model.rows),
    }


def likelihoods(rows: Rows, models: Mapping[str, Model]) -> dict[str, dict[str, Any]]:
    """Returns the bits/dim of each model that has any, by the model's key.

    Of several estimates of a run the native one with the most samples counts.

    Args:
        rows: Result rows.
        models: The model of each run.
    """
    own = one_likelihood(without_floor(rows))
    if not len(own):
        return {}
    own = own.assign(card=[models[run].key for run in own["run"]])
    signs = {
        str(row["card"]): ("c " if row["model"] == "completed" else "")
        + (bound_sign({**row, "model": ""}).strip() or "=")
        for row in own.to_dict("records")
    }
    spaces = dict(zip(own["card"], own["space"], strict=True))
    found = {}
    for card, scores in scores_by(own, "card").items():
        values = list(seed_values(scores).values())
        if values:
            mean, half = kept_digits(
                float(np.mean(values)), half_width(values, image_error(scores))
            )
            found[card] = {
                "sign": signs[card],
                "mean": mean,
                "half": half,
                "space": str(spaces[card]),
            }
    return found


def _training(model: Model) -> dict[str, object]:
    known = training_settings(model.settings)
    known |= {"steps taken": distinct_text(f"{row['steps']:,}" for row in model.rows)}
    known["selection"] = distinct_text(row["selection"] for row in model.rows)
    return {name.replace("_", " "): value for name, value in known.items()}


def _provenance(model: Model) -> dict[str, object]:
    dates = sorted(row["date"] for row in model.rows if row["date"])
    return {
        "commit of the code": distinct_text(row["commit"] for row in model.rows),
        "versions": "; ".join(sorted({variant_text(row["versions"]) for row in model.rows})),
        "scored": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "",
    }


def _run_line(row: Mapping[Any, Any], files: RunFiles) -> list[object]:
    """Returns seed, name, state, steps, seconds, device and digest of the weights of a run."""
    seconds = row["compute_seconds"]
    known = format_number(seconds) if seconds == seconds and seconds is not None else ""
    state = "diverged" if row["status"] == "diverged" else "trained"
    weights = str(files.record(str(row["run"])).get("weights") or "")
    start = (int(row["seed"]), str(row["run"]), state, int(row["steps"]), known)
    return [*start, str(row["device"]), weights]


def _curves(model: Model) -> list[tuple[str, Curves]]:
    """Returns for each term its points (step, value) of each split, of the first logged seed."""
    for run, files in model.runs:
        found: dict[str, Curves] = {}
        for name, curve in files.figures.arrays(run).items():
            split, _, term = name.removeprefix(LOG).partition("/")
            if name.startswith(LOG) and term not in NO_CURVES and curve.ndim == 2:
                found.setdefault(term, {})[split] = _thinned(curve.T.tolist())
        if found:
            return sorted(found.items(), key=lambda own: (own[0] != "loss", own[0]))
    return []


def _thinned(points: Sequence[Sequence[float]]) -> list[list[float]]:
    finite = [point for point in points if all(map(np.isfinite, point))]
    at = np.linspace(0, len(finite) - 1, min(len(finite), CURVE_POINTS)).round().astype(int)
    short = f".{CURVE_DIGITS}g"
    return [[int(finite[i][0]), float(format(finite[i][1], short))] for i in dict.fromkeys(at)]


def _caption(name: str) -> str:
    density = name.removeprefix("sample_")
    return CAPTIONS.get(name, f"samples, {density}")


def _texts(facts: Mapping[str, object]) -> list[list[str]]:
    return [[name, str(value)] for name, value in facts.items() if str(value)]
