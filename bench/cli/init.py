"""``aebench init``: a suite file for one's own data, to be read and changed."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .words import check_writable

if TYPE_CHECKING:
    from ..data.splits import Dataset

FEW = 1000
TEXTS = (".smi", ".txt", ".csv", ".gz", ".xz")
SUITE = """\
# A suite: the runs of a comparison. Each key is explained in docs/suites.md of aebench.
#   aebench run {file} --set scale=smoke     tries it out in seconds
#   aebench run {file}                       carries it out, or goes on with it
#   aebench report results/{stem}            writes its tables and plots
title = {title}
budget = "10,000 steps"   # your own: no paper published a protocol for this data
dataset = {dataset}{about}
backbone = "{backbone}"   # others: aebench list backbones
latent_dim = {latent_dim}
seed = [0, 1, 2, 3, 4]    # five are the fewest that can tell two objectives apart
{data}
[training]
steps = 10000
batch_size = {batch}
learning_rate = 0.001

[evaluation]
densities = ["prior", "gaussian", "gmm-10"]
metrics = ["reconstruction", "frechet", "precision-recall"]
features = ["{features}"]   # FD of other features is another score
images = {images}   # generated ones, and real ones of the test part{few_note}

# --set scale=smoke: does everything work?
[scales.smoke]
seed = 0{width}

[scales.smoke.training]
steps = 20

[scales.smoke.evaluation]
densities = ["prior", "gaussian"]
images = {few}

# Each objective in the list is a run for each seed; others: aebench list objectives
[[runs]]
objective = ["vae", "wae-mmd", "rae", "rae-l2", "ae"]
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the sub-command."""
    parser = subparsers.add_parser(
        "init",
        help="write a suite file for your own data",
        description="Looks at the data and writes a suite file with comments for it.",
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        help="folder of images, .npy or .npz file, or name of a data set",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.toml")
    parser.add_argument("--size", type=int, metavar="S", help="bring images to S x S pixels")


def run(args: argparse.Namespace) -> int:
    """Writes the file and says how to go on.

    Raises:
        UserError: The data cannot be used, or the file cannot be written or is there already.
    """
    from ..data.dataset import load_dataset
    from ..data.image_files import AnotherSize
    from ..files.storage import write_atomically
    from ..suites.suite_files import sized, suite_name

    if args.size is not None and args.size < 1:
        raise UserError(f"'--size' is {args.size}; expected at least 1.")
    here = _name(args.data, Path())
    stem = here.partition(":")[2] or here
    file = args.out or Path(f"{_plain(Path(stem).resolve().name.partition('.')[0])}.toml")
    suite_name(str(file))
    if file.exists():
        raise UserError(f"{file} is there already; name another with --out, or remove it.")
    check_writable(file.parent)
    try:
        data = load_dataset(sized(here, args.size or 0, "'--size'"))
    except AnotherSize as error:
        raise UserError(f"{error} '--size 32' brings images to one size.") from error
    if data.form:
        raise UserError(f"'{here}' holds texts; copy bench/suites/structured-molecules.toml.")
    if len(data.test) < 2:
        raise UserError(
            f"{data.name} has {len(data.test)} image to test; expected 2 or more, which are a "
            "tenth of 20 or a folder 'test' of their own."
        )
    text = suite_text(data, _name(args.data, file.parent), file, args.size or 0)
    write_atomically(file, text)
    told = shlex.quote(str(file))
    sys.stdout.write(f"wrote {file}; now: aebench run {told} --set scale=smoke\n")
    return 0


def _plain(name: str) -> str:
    """Returns what of a name can be the name of a suite."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "mine"


def suite_text(data: Dataset, dataset: str, file: Path, size: int) -> str:
    """Returns a suite for a data set, with comments."""
    counts = [len(part) for part in (data.train, data.validation, data.test)]
    told = "{:,} to train, {:,} to validate, {:,} to test".format(*counts)
    if ":" in dataset:
        told += "; the path starts at this file"
    vectors = data.default_space == "real"
    images = min(10_000, counts[2])
    backbone = backbone_for(data.image_shape)
    return SUITE.format(
        file=file,
        stem=file.stem,
        title=quoted(file.stem),
        dataset=quoted(dataset),
        about=f"   # {told}",
        backbone=backbone,
        width="\nwidth = 1.0   # this network has no narrower version"
        if backbone == "mlp"
        else "",
        latent_dim=2 if vectors else 16,
        data=f"\n[data]\nsize = {size}   # pixels\n" if size else "",
        batch=min(100, counts[0]),
        features="pixels" if vectors else "lite0@64",
        images=images,
        few_note="" if images >= FEW else f"; below {FEW:,} only large differences show",
        few=min(50, images),
    )


def quoted(text: str) -> str:
    """Returns a text as TOML has it, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False)


def backbone_for(shape: tuple[int, int, int]) -> str:
    """Returns the published network that takes images of a shape (C, H, W).

    Example:
        >>> backbone_for((3, 64, 64)), backbone_for((1, 28, 28)), backbone_for((1, 1, 7))
        ('rae-64', 'aef-small', 'mlp')
    """
    sides = shape[1:]
    for name, factor, least in (("rae-64", 16, 64), ("rae-32", 16, 32), ("aef-small", 4, 4)):
        if all(side % factor == 0 and side >= least for side in sides):
            return name
    return "mlp"


def _name(given: str, start: Path) -> str:
    """Returns a data set's name, a path in it as seen from a folder."""
    from ..data.images import ARRAY_SUFFIXES

    scheme, colon, rest = given.partition(":")
    path = Path(rest if colon and not Path(given).exists() else given)
    if not path.exists():
        if not colon and path.name != given:
            raise UserError(f"{given} is not there; expected a folder of images, .npy or .npz.")
        return given
    if not colon or path == Path(given):
        scheme = "folder" if path.is_dir() else "npz"
        if path.suffix.lower() in TEXTS:
            scheme = "smiles"
        elif path.is_file() and path.suffix.lower() not in ARRAY_SUFFIXES:
            raise UserError(
                f"{path} is not a folder, .npy or .npz, nor a file of molecules "
                f"({', '.join(TEXTS)}); expected one of these."
            )
    there = path if path.is_absolute() else Path(os.path.relpath(path, start))
    return f"{scheme}:{there.as_posix()}"
