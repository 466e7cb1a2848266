"""``aebench evaluate``: scores generated images against real ones, wherever they come from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import UserError, one_line
from .words import add_plugin_word, plugins_of

FEW = 1000
ROUNDING = 1e-10  # What is left of a distance of 0 where no error is known.


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command ``evaluate``."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score generated images against real ones",
        description="Scores a set of generated images against a set of real ones. Each set is a "
        "folder of images, or a .npy or .npz file of images (uint8, or floats in [0, 1]) or of "
        "features (floats of shape (N, F)). REAL may also be an .npz file of the mean "
        "'mu' and the covariance 'sigma' of features, for the Fréchet distance.",
    )
    parser.add_argument("real", type=Path, metavar="REAL", help="the real images")
    parser.add_argument("generated", type=Path, metavar="GENERATED", help="the generated images")
    parser.add_argument(
        "--metrics",
        metavar="A,B",
        help="as `aebench list metrics` has them; default: all that apply",
    )
    parser.add_argument(
        "--features", metavar="NAME", help="as `aebench list features` has them; default lite0@64"
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="file of the extractor's weights"
    )
    parser.add_argument("--download", action="store_true", help="download missing weights")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="seed of subsets and clusterings")
    parser.add_argument(
        "--floor",
        action="store_true",
        help="score half of the real images against the other half, too",
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    add_plugin_word(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the scores to stdout; returns the exit code.

    Raises:
        UnknownName: There is no such metric.
        UserError: The images, the extractor or its weights cannot be used.
    """
    from ..data.stored_moments import read_moments
    from ..evaluation.usual_names import find_named_metric

    if args.seed < 0:
        raise UserError(f"'--seed' is {args.seed}; expected 0 or more.")
    plugins_of(args)
    names = [name.strip() for name in (args.metrics or "").split(",") if name.strip()]
    if args.metrics is not None and not names:
        raise UserError(f"'--metrics' is '{args.metrics}'; expected names such as frechet,prd.")
    for name in names:
        find_named_metric(name)
    chosen = {
        "names": names,
        "features": args.features,
        "weights": args.weights,
        "download": args.download,
        "device": args.device,
    }
    if (stored := read_moments(args.real)) is not None:
        from ..evaluation.moment_scores import evaluate_moments

        if args.floor:
            raise UserError(f"'--floor' needs real images; {args.real} holds moments.")
        record = evaluate_moments(args.real, stored, args.generated, **chosen)
    else:
        from ..evaluation.sets import evaluate

        options = {"seed": args.seed, "floor": args.floor}
        record = evaluate(args.real, args.generated, **options, **chosen)
    text = json.dumps(record, indent=2, allow_nan=False) if args.json else as_table(record)
    sys.stdout.write(f"{text}\n")
    refused = [s for s in record["scores"] if names and s["status"] != "ok"]
    for each in refused:
        told = one_line(f"Metric '{each['metric']}': {each['reason']}")
        sys.stderr.write(f"aebench: {told}\n")
    return 2 if refused else 0


def as_table(record: dict[str, Any]) -> str:
    """Returns the record as text: the conditions, then one line a score."""
    from tabulate import tabulate

    head = [
        f"{name:<10} {found['count'] or 'moments'} of {found['shape']} in {found['path']}"
        + (f"; {found['note']}" if "note" in found else "")
        for name, found in ((name, record[name]) for name in ("real", "generated"))
    ]
    head += [
        f"features   {record['features']}, resize {record['resize']}, "
        f"quantisation {record['quantisation']}"
        + ("" if record["seed"] is None else f", seed {record['seed']}")
    ]
    if "pairs" in record:
        head += [f"pairs      {record['pairs']}"]
    floor = record.get("floor")
    if floor:
        head += [f"floor      {floor['count']} real ones against the other {floor['against']}"]
    rows = [
        [
            s["label"],
            number(s["value"], s["stderr"]),
            "-" if s["stderr"] is None else f"{s['stderr']:.2g}",
            *([number(floor["scores"].get(s["metric"]), s["stderr"])] if floor else []),
            s["better"],
            s["unit"],
            s["reason"],
        ]
        for s in record["scores"]
    ]
    header = ["score", "value", "± s.e.", *(["floor"] if floor else []), "better", "unit", "note"]
    table = tabulate(rows, header, disable_numparse=True)
    return "\n".join([*head, "", table, "", *advice(record)])


def advice(record: dict[str, Any]) -> list[str]:
    """Returns what to make of the scores: which to publish, and what is missing beside them."""
    found = {s["metric"] for s in record["scores"] if s["status"] == "ok"}
    real, generated = (record[name]["count"] for name in ("real", "generated"))
    told = []
    if "fd" in found:
        told += [
            "Publish the FD with its features and both counts: it falls as these grow, so compare "
            "it at equal counts alone. It and FD∞ saw the most in our study of damaged images."
        ]
    if {"kid", "kid_full"} <= found:
        told += [
            "kid is the mean over random subsets, as published values are; kid_full takes all "
            "pairs and has the smaller error. Neither depends on the counts but by chance."
        ]
    if min(real or generated, generated) < FEW:
        told += [f"Fewer than {FEW:,} images: what differs by a few per cent is not told apart."]
    floor = record.get("floor")
    if floor and "fd" in found and min(floor["count"], floor["against"]) < min(real, generated):
        told += [
            f"The floor's FD is that of {floor['count']:,} images against {floor['against']:,} "
            "and falls with these, too: a perfect model at your counts has a lower one."
        ]
    if real is not None and "floor" not in record:
        told += ["--floor shows what real images score against other real ones."]
    return told


def number(value: float | None, error: float | None) -> str:
    """Returns a number with the digits that its error allows, ``-`` where there is none."""
    from ..comparison.numbers import with_error

    if value is None:
        return "-"
    return with_error(0.0 if error is None and abs(value) < ROUNDING else value, error)
