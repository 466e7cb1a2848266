"""``aebench list``: what can be chosen by name."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from .words import add_plugin_word, plugins_of

if TYPE_CHECKING:
    from ...models.backbones.backbone import Backbone
    from ...models.objectives.objective import Objective

SIDES = (28, 32, 64, 128)
KINDS = (
    *("objectives", "ranges", "backbones", "datasets", "densities", "metrics", "features"),
    "suites",
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("list", help="list what can be chosen by name")
    parser.add_argument("kind", choices=KINDS, help="ranges: what `aebench tune` looks through")
    add_plugin_word(parser)


def run(args: argparse.Namespace) -> int:
    """Prints one line for each name, with a summary after it."""
    plugins_of(args)
    rows = listed(args.kind)
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        sys.stdout.write(f"{name:<{width}}  {summary}".rstrip() + "\n")
    return 0


def listed(kind: str) -> list[tuple[str, str]]:
    """Returns the names of a kind with what is said of each."""
    if kind == "suites":
        from ..suites.suite_files import read_suite_file, suite_names

        return [(n, str(read_suite_file(n)[1].get("title", ""))) for n in suite_names()]
    if kind == "datasets":
        from ..data.dataset import DATASETS

        return [(name, first_line(entry)) for name, entry in DATASETS.items()]
    if kind == "metrics":
        from ..evaluation.metric_lookup import metrics

        return [
            (name, told(first_line(m.function), f"unit: {m.unit}; better: {m.better}"))
            for name, m in metrics().items()
        ]
    if kind == "features":
        from ...metrics.extractor import build_extractor, extractor_names

        return [(name, first_line(build_extractor(name))) for name in extractor_names()]
    from ...models.backbones.backbone import BACKBONES
    from ...models.densities.density import DENSITIES
    from ...models.objectives.objective import OBJECTIVES

    if kind == "ranges":
        return [(n, ranges_in_words(e, e.default_space)) for n, e in OBJECTIVES.items()]
    if kind == "objectives":
        return [(n, told(first_line(e), likelihood_in_words(e))) for n, e in OBJECTIVES.items()]
    if kind == "backbones":
        from ...models.backbones.pretrained import given_backbones

        trained = [(n, f"{first_line(e)}{sizes_in_words(e)}") for n, e in BACKBONES.items()]
        return [*trained, *given_backbones()]
    return [(name, first_line(entry)) for name, entry in DENSITIES.items()]


def likelihood_in_words(kind: type[Objective]) -> str:
    """Returns what an objective's likelihood is, by its class and not by its summary."""
    return {"exact": "exact likelihood", "bound": "bound on the likelihood"}.get(
        kind.likelihood, "no likelihood of its own"
    )


def sizes_in_words(kind: type[Backbone]) -> str:
    """Returns which of the usual image sizes a backbone takes, found by building it."""
    import torch

    taken = []
    for side in SIDES:
        with contextlib.suppress(ValueError, TypeError, OSError), torch.device("meta"):
            kind((3, side, side), 16)
            taken.append(f"{side}x{side}")
    return f"; takes {', '.join(taken)}" if taken else ""


def ranges_in_words(kind: type[Objective], space: str) -> str:
    """Returns what is tuned of an objective in a space, with the ends of each range."""
    ranges = kind.in_space(space).ranges({})
    texts = [f"{k} {r.low:g} to {r.high:g}{' (log)' * r.log}" for k, r in ranges.items()]
    return f"{space}: {', '.join(texts) or 'nothing to tune'}"


def told(*parts: str) -> str:
    """Returns what is said of a name; a plug-in may lack a summary."""
    return "; ".join(filter(None, parts))


def first_line(entry: object) -> str:
    """Returns a plug-in's summary, or the first line of its docstring."""
    summary = getattr(entry, "summary", "") or (entry.__doc__ or "")
    return str(summary).strip().partition("\n")[0].rstrip(".")
