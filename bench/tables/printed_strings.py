"""What Figure 2 of the RAE paper prints of expressions and molecules, and what differs from it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from ..comparison.labels import settings_of
from ..comparison.strings import task_of
from ..records.results import Rows
from .published import VALUES

FIGURE = "Figure 2"
MODELS = ("GVAE", "CVAE", "GRAE")
SCORES = {"fraction_valid": "validity", "average_score": "mean_score"}
# What is known to differ from rows of ours.
EXPRESSIONS = (
    "The released script, whose protocol the paper follows, divides whole numbers as Python 2 "
    "does (1/3 is 0) when it scores candidates. Scores of ours are under true division.",
    "Printed expressions stand beside sorted scores, in another order.",
    "The released code uses all 100,000 strings, the last tenth in file order to validate. Ours "
    "are shuffled, and validation and test strings are held out.",
)
ASKED = ("trials", "rounds", "batch", "decodes", "codes", "inducing")
# How often the released code decodes a candidate, and how many codes its surrogate is fitted to.
PUBLISHED_SEARCH = {"expressions": (25, 90_000), "molecules": (500, 224_510)}
INDUCING = 500
SURROGATE = (
    "Our surrogate is a variational Gaussian process with Adam at a rate of 0.05 that falls to 0, "
    "on codes of training strings; the released one has expectation propagation and a rate of "
    "5e-4, on codes of the whole data set."
)
ZINC = "Published: 249,456 molecules of ZINC250k"
MOSES = (
    f"{ZINC}. Ours are of MOSES, lighter and without charges, so that more strings are valid: "
    "absolute numbers do not compare."
)
OTHERS = f"{ZINC}. Ours are other molecules: absolute numbers do not compare."
CONSTANTS = (
    "Penalised logP takes the means and deviations of ZINC250k, not those of our molecules, on "
    "which its three terms weigh unlike in print."
)
AVERAGES = (
    "Printed averages are, by the released rule, of all candidates better than the worst. That "
    "counts invalid ones, at the score of the worst training molecule, where a valid one is worse."
)
TRIALS = (
    "Published: mean over 5 searches ± their population standard deviation divided by √5. "
    "The paper does not say which regulariser its GRAE has, nor any weight."
)


def printed_notes(task: str) -> tuple[str, ...]:
    """Returns how the scores of candidates that are printed were come by."""
    return (TRIALS,) if task == "expressions" else (TRIALS, AVERAGES)


def deviations(dataset: str) -> tuple[str, ...]:
    """Returns what is known to differ between what is printed and rows of ours on a data set."""
    if task_of(dataset) == "expressions":
        return (*EXPRESSIONS, SURROGATE)
    if dataset.startswith("zinc250k"):
        return (f"{ZINC}.", SURROGATE)
    return (MOSES if dataset.startswith("moses") else OTHERS, CONSTANTS, SURROGATE)


def search_notes(rows: Rows) -> Iterator[str]:
    """Yields the sentences on how our searches were made, where that is known.

    Args:
        rows: Candidates of one data set.
    """
    found, widths = set(), set()
    for text in set(rows["settings"]):
        known = settings_of(text)
        evaluation = known.get("evaluation", {})
        asked = evaluation.get("optimisation") if isinstance(evaluation, dict) else None
        if isinstance(asked, dict):
            found.add(tuple(int(asked.get(name, 0)) for name in ASKED))
            options = known.get("backbone_options")
            widths.add(float(options.get("width", 1.0)) if isinstance(options, dict) else 1.0)
    dataset = str(rows["dataset"].iloc[0])
    for trials, rounds, batch, *others in sorted(found):
        yield (
            f"Ours: for each seed {_counted(trials, 'search', 'es')} of "
            f"{_counted(rounds, 'round')} of {_counted(batch, 'candidate')}"
            f"{_beside_published(dataset, *others)}."
        )
    if narrow := sorted(widths - {1.0}):
        times = " or ".join(f"{width:g}" for width in narrow)
        yield f"Dense and recurrent layers of ours are {times} times as wide as published."


def _beside_published(dataset: str, decodes: int, codes: int, inducing: int) -> str:
    """Returns how candidates are decoded and scores predicted, empty where that is not known."""
    if not decodes:
        return ""
    times, count = PUBLISHED_SEARCH[task_of(dataset)]
    on = f"{codes:,} codes" if codes else "all codes but the tenth that judges it"
    return (
        f", each decoded {_counted(decodes, 'time')} (published: {times}); surrogate on {on} "
        f"(published: {count:,}) with {_counted(inducing, 'inducing point')} "
        f"(published: {INDUCING})"
    )


def _counted(count: int, word: str, ending: str = "s") -> str:
    return f"{count} {word}{'' if count == 1 else ending}"


@dataclass(frozen=True)
class Printed:
    """What is printed for one model.

    Attributes:
        scores: Value and spread by our name of the score.
        best: The three best scores, each with the string printed beside it; empty where the
            figure draws the molecule.
    """

    scores: dict[str, tuple[float, float]] = field(default_factory=dict)
    best: list[tuple[float, str]] = field(default_factory=list)


def printed(task: str) -> Mapping[str, Printed]:
    """Returns what Figure 2 prints for each model on ``expressions`` or ``molecules``."""
    path = files("aebench.bench.tables") / "assets" / VALUES
    found: dict[str, dict[str, str]] = {}
    for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        if line["table_or_figure"].startswith(FIGURE) and line["dataset"] == task:
            found.setdefault(line["model"], {})[line["metric"]] = line["value"]
    return {model: _printed(found[model]) for model in MODELS if model in found}


def _printed(values: Mapping[str, str]) -> Printed:
    scores = {
        ours: (float(values[f"{name}_mean"]), float(values[f"{name}_spread"]))
        for name, ours in SCORES.items()
    }
    best = []
    for name, value in sorted(values.items()):
        if name.startswith("best_score_"):
            text = re.search(r"printed beside (.+)\)$", name)
            best.append((float(value), text.group(1) if text else ""))
    return Printed(scores, best)
