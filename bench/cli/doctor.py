"""``aebench doctor``: do the implementations agree, and what is missing on this machine?"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from ..errors import RunFailed

if TYPE_CHECKING:
    from ..evaluation.agreement import Implementation

TOLERANCE = 1e-6
Lines = list[list[str]]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command ``doctor``."""
    subparsers.add_parser(
        "doctor",
        help="compare metric implementations and report what is missing",
        description="Computes one small feature set with every installed implementation and "
        "shows the spread; reports versions, device, weights and data sets.",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the report to stdout; returns 0.

    Raises:
        RunFailed: Implementations differ by more than 1e-6.
    """
    from ..evaluation.agreement import compute_all, spread

    implementations = compute_all()
    sections = {
        "versions": version_lines(),
        "agreement on one set of features": agreement_lines(implementations),
        "extractors": extractor_lines(),
        "data sets": dataset_lines(),
    }
    for title, lines in sections.items():
        sys.stdout.write(f"{title}\n{align(lines)}\n")
    apart = [name for name, _, size in spread(implementations) if size > TOLERANCE]
    if apart:
        raise RunFailed(f"Implementations differ by more than {TOLERANCE:g}: {', '.join(apart)}.")
    return 0


def version_lines() -> Lines:
    """Returns versions, device and the folders in use."""
    import torch

    from ..evaluation.features import VARIABLE, cache_folder
    from ..records.provenance import device_name, versions

    found: dict[str, Any] = json.loads(versions())
    gpu = device_name("cuda") if torch.cuda.is_available() else "none that torch can use"
    return [
        *([name, str(number)] for name, number in found.items()),
        ["system", platform.platform()],
        ["processor", f"{device_name('cpu')} of {os.cpu_count()} cores"],
        ["GPU", gpu],
        ["feature cache", f"{cache_folder()} (move it with {VARIABLE})"],
    ]


def agreement_lines(implementations: list[Implementation]) -> Lines:
    """Returns a table of scores by implementation, with the relative spread."""
    from ..evaluation.agreement import spread

    spreads = list(spread(implementations))
    lines = [["", *(name for name, _, _ in spreads), ""]]
    for each in implementations:
        cells = [f"{each.values[n]:.9g}" if n in each.values else "-" for n, _, _ in spreads]
        lines.append([f"{each.name} {each.version}".strip(), *cells, each.trouble])
    sizes = [f"{size:.1e}" if len(values) > 1 else "-" for _, values, size in spreads]
    return [*lines, ["relative spread", *sizes, ""]]


def extractor_lines() -> Lines:
    """Returns each extractor's identity, or where its weights have to go."""
    from ...metrics.extractor import build_extractor, extractor_names

    lines = []
    for name in extractor_names():
        extractor = build_extractor(name)
        try:
            lines.append([name, extractor.identity, f"resize {extractor.resize}"])
        except (OSError, ValueError) as error:
            lines.append([name, "missing", str(error)])
    return lines


def dataset_lines() -> Lines:
    """Returns each data set's state, and the command that gets it."""
    from ..data.dataset import DATASETS

    lines = []
    for name, source in DATASETS.items():
        if ":" in name:
            continue
        state = source.state()
        whole = state.condition == "whole"
        fetch = f"get it with: aebench data {name} --download" if source.downloadable else ""
        lines.append([name, state.condition, state.place if whole else fetch or state.advice])
    return lines


def align(lines: Lines) -> str:
    """Returns rows of equally many cells as text in aligned columns, indented by two."""
    from tabulate import tabulate

    table = tabulate(lines, tablefmt="plain", disable_numparse=True)
    return "".join(f"  {line}".rstrip() + "\n" for line in table.splitlines())
