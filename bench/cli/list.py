"""``aebench list``: what can be chosen by name."""

from __future__ import annotations

import argparse
import sys

KINDS = ("objectives", "backbones", "datasets", "densities", "metrics", "suites")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser("list", help="list what can be chosen by name")
    parser.add_argument("kind", choices=KINDS)


def run(args: argparse.Namespace) -> int:
    """Prints one line for each name, with a summary after it."""
    rows = _rows(args.kind)
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        sys.stdout.write(f"{name:<{width}}  {summary}".rstrip() + "\n")
    return 0


def _rows(kind: str) -> list[tuple[str, str]]:
    if kind == "suites":
        from ..suites.suite_files import read_suite_file, suite_names

        return [(n, str(read_suite_file(n)[1].get("title", ""))) for n in suite_names()]
    if kind == "datasets":
        from ..data.dataset import DATASETS

        return [(name, first_line(entry)) for name, entry in DATASETS.items()]
    if kind == "metrics":
        from ..evaluation.metric_lookup import metrics

        return [(name, f"{m.unit}; better: {m.better}") for name, m in metrics().items()]
    from ...models.backbones.backbone import BACKBONES
    from ...models.densities.density import DENSITIES
    from ...models.objectives.objective import OBJECTIVES
    from ...models.registry import Registry

    registries: dict[str, Registry] = {
        "objectives": OBJECTIVES,
        "backbones": BACKBONES,
        "densities": DENSITIES,
    }
    return [(name, first_line(entry)) for name, entry in registries[kind].items()]


def first_line(entry: object) -> str:
    """Returns a plug-in's summary, or the first line of its docstring."""
    summary = getattr(entry, "summary", "") or (entry.__doc__ or "")
    return str(summary).strip().partition("\n")[0]
