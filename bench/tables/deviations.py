"""Known deviations between the RAE paper's published numbers and rows of ours, as notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..comparison.labels import backbone_text, settings_of
from ..records.results import SETTINGS, Rows
from .protocol import published_runs, published_share

WHOLE = "100 %"
RELEASED_SUITE = "-released"  # How the name ends of a suite with the released code's settings.
LATENT_DIMS = {"mnist": 16, "cifar10": 128, "celeba": 64}
BACKBONES = ("rae-32", "rae-64")
FILE_ORDER = (
    "published with validation images that overlap the training images",
    "published with batches in file order, never shuffled",
)
SAMPLED = "published reconstructions decode a random code of each image; ours decode its mean"
SECOND_STAGE = "published reconstructions draw the second stage's code; ours take its mean"
NOISY = "published reconstructions are of images with noise; ours are of the images"
INPUT = "published encoder sees pixels in [0, 1]; in unit space ours sees them in [-1, 1]"
STABILISER = "the released code's Adam adds 1e-7 to its denominator; ours adds 1e-8"
GREYSCALE = "published reference statistics may be of greyscale or training images"
# Data set, objective, images and density that a note is for; empty where it is for all.
PUBLISHED = (
    *((name, "", "", "", text) for name in ("mnist", "cifar10") for text in FILE_ORDER),
    ("", "vae", "reconstruction", "", SAMPLED),
    ("", "cv-vae", "reconstruction", "", SAMPLED),
    ("", "2svae", "reconstruction", "", SECOND_STAGE),
    ("", "", "", "gaussian", "published Gaussian may lack the codes' mean; ours has it"),
    ("", "", "", "gmm-10", "published mixture may be a Dirichlet-process one; ours is plain"),
    ("", "", "", "", "published pixels were truncated to 8 bits; ours are rounded"),
    ("", "", "", "", STABILISER),
    ("cifar10", "", "", "", GREYSCALE),
    ("celeba", "", "", "", INPUT),
    ("celeba", "wae-mmd", "reconstruction", "", NOISY),
    ("celeba", "cv-vae", "", "", "released network is half as wide as the others"),
)
RELEASED = {
    "penalty": "as released: a gradient penalty that is not the Jacobian's norm",
    "l2_kernels": "as released: weight decay on some decoder kernels only",
}
OURS = {
    "rae-gp": (
        "penalty",
        "ours penalises the Jacobian's norm with weight 0.0001 chosen here, "
        "the released code another quantity",
    ),
    "rae-l2": ("l2_kernels", "ours decays all decoder kernels, the released code only some"),
    "ae-l2": ("l2_kernels", "ours decays all decoder kernels, the released code only some"),
}
NO_PENALTY = "released with penalty weight 0; the weight of the paper is lost"
ONE_BUDGET = "one learning rate and budget for all; the released code has one for each objective"


def is_comparable(variant: str) -> bool:
    """Returns whether a row's settings are the defaults, or those of the released code."""
    return all(value == "released" for value in settings_of(variant).values())


def other_setting(dataset: str, row: Mapping[Any, Any]) -> str:
    """Returns why a row's value is not for the published setting at all, empty if it is."""
    expected = LATENT_DIMS[dataset]
    if row["latent_dim"] == expected:
        return ""
    return f"other latent size: {row['latent_dim']}; published: {expected}"


def other_training(dataset: str, rows: Rows) -> str:
    """Returns why rows are not of the published network and training, empty if they are."""
    if rows["backbone"].iloc[0] not in BACKBONES:
        return "other network"
    share = _share(dataset, rows)
    if not share:
        return "share of the published training not on record"
    return "" if share == WHOLE else "other share of the published training"


def deviations(dataset: str, objective: str, density: str, rows: Rows) -> list[str]:
    """Returns what is known to differ between a published value and the rows beside it.

    Args:
        dataset: Our name of the paper's data set.
        objective: Our name of the objective.
        density: Our name of the density; empty where none is involved.
        rows: Rows of ours of one method that were scored alike, a row a seed.
    """
    row = rows.iloc[0].to_dict()
    notes = [f"scale {row['scale']}"] if row["scale"] != "full" else []
    if row["backbone"] not in BACKBONES:
        notes.append(f"other network: {backbone_text(row['backbone'])}")
    if (share := _share(dataset, rows)) not in ("", WHOLE):
        notes.append(f"{share} of the published training, by examples seen")
    if images := settings_of(row[SETTINGS]).get("training", {}).get("train_images"):
        notes.append(f"trained on the first {images:,} images alone")
    if row["space"] != "unit":
        notes.append(f"{row['space']} space")
    settings = settings_of(row["variant"])
    notes += [RELEASED[name] for name in settings if name in RELEASED]
    setting, ours = OURS.get(objective, ("", ""))
    if setting and setting not in settings:
        notes.append(ours)
    if dataset == "cifar10" and objective == "rae-gp":
        notes.append(NO_PENALTY)
    if not str(row["suite"]).endswith(RELEASED_SUITE):
        notes.append(ONE_BUDGET)
    place = (dataset, objective, row["images"], density)
    for *wanted, note in PUBLISHED:
        if all(name in ("", own) for name, own in zip(wanted, place, strict=True)):
            notes.append(note)
    return notes


def _share(dataset: str, rows: Rows) -> str:
    """Returns the share of the training of the paper's Table 1 on a data set that rows ran."""
    released = str(rows["suite"].iloc[0]).endswith(RELEASED_SUITE)
    suite = f"rae-table1-{dataset}{RELEASED_SUITE * released}"
    return published_share(rows, published_runs(suite))
