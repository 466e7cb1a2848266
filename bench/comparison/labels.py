"""Words and order for tables and plots: objectives as rows, scores as columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..files.storage import canonical_json
from ..records.recipe import value_text
from ..records.results import Rows
from ..records.rows import TUNED

if TYPE_CHECKING:
    import pandas as pd

# Held-out real images in the place of generated ones: no methods, but what scores are read by.
REFERENCES = {
    "floor": "as they are",
    "blur": "with one pixel of blur",
    "noise": "with noise of 20 of 255 grey levels",
}
FLOOR = next(iter(REFERENCES))
# The order of Table 1 of the RAE paper, then its appendix, then the AEF paper; others follow.
ORDER = (
    *("vae", "cv-vae", "wae-mmd", "2svae", "rae-gp", "rae-l2", "rae-sn", "rae", "ae"),
    *("ae-l2", "rae-gp-l2", "rae-l2-sn", "rae-sn-gp", "rae-l2-sn-gp", "iwae", "vae-iaf"),
    *("aef-linear", "aef-linear-fixed", "aef-center", "aef-corner", "maf"),
)
# Title and column name of a score; others go by their own name.
SCORES = {
    "fd": ("Fréchet distance", "FD"),
    "fd_inf": ("Fréchet distance, extrapolated", "FD∞"),
    "kid": ("Kernel distance", "KID"),
    "kid_full": ("Kernel distance, all pairs", "KID (full sample)"),
    "prd_f8": ("PRD F_8 (recall)", "F_8"),
    "prd_f1/8": ("PRD F_1/8 (precision)", "F_1/8"),
    "precision": ("Precision", "precision"),
    "recall": ("Recall", "recall"),
    "density": ("Density", "density"),
    "coverage": ("Coverage", "coverage"),
    "clipped_density": ("Clipped density", "clipped density"),
    "clipped_coverage": ("Clipped coverage", "clipped coverage"),
    "bits_per_dim": ("Bits per dimension", "bits/dim"),
    "bits_per_dim_annealed": ("Bits per dimension, annealed", "bits/dim, annealed"),
    "log_prob": ("Log-likelihood", "log p(x)"),
    "log_prob_annealed": ("Log-likelihood, annealed", "log p(x), annealed"),
    "mse": ("Mean squared error", "mse"),
    "psnr": ("Peak signal-to-noise ratio", "psnr"),
    "ssim": ("Structural similarity", "ssim"),
    "ife": ("Inception feature error", "IFE"),
    "non_finite": ("Samples that were not finite", "not finite"),
    "exact_strings": ("Strings reconstructed exactly", "exact"),
    "symbols_right": ("Symbols reconstructed", "symbols"),
    "validity": ("Valid strings", "valid"),
    "single_validity": ("Valid at the first decoding", "valid at once"),
    "uniqueness": ("Unique strings", "unique"),
    "novelty": ("Novel strings", "novel"),
    "mean_score": ("Average score", "average score"),
    "best_1": ("Best score", "1st"),
    "best_2": ("Second best score", "2nd"),
    "best_3": ("Third best score", "3rd"),
    "training_share": ("Share of training strings", "in training data"),
    "surrogate_rmse": ("Error of the first surrogate", "surrogate RMSE"),
    "surrogate_log_likelihood": ("Log-likelihood of the first surrogate", "surrogate log p"),
    "fcd": ("Fréchet ChemNet distance", "FCD"),
}
TUNED_NOTE = (
    "tuned: the options of the best of the objective's trials on validation data, which have "
    "1,000 steps each where a suite sets no other number, however many the runs have. All other "
    "lines have default settings, but for options that they name: a paper's weights where it "
    "prints some for the same loss, else weights chosen here (docs/equal-care.md)."
)
ARROWS = {"lower": "↓", "higher": "↑", "closer": "→", "none": ""}


def objective_order(names: Iterable[str]) -> list[str]:
    """Returns names in the papers' row order, references first, unknown ones last by name."""
    known = {name: place for place, name in enumerate((*REFERENCES, *ORDER))}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def metric_title(name: str) -> str:
    """Returns the title of a score, its own name where there is none."""
    return SCORES.get(name, (name, name))[0]


def metric_short(name: str) -> str:
    """Returns the short column name of a score."""
    return SCORES.get(name, (name, name))[1]


def score_title(row: Mapping[Any, Any], of: str = "") -> str:
    """Returns the title of a row's score with the direction of better as an arrow."""
    title = f"{metric_title(row['metric'])} of {of}" if of else metric_title(row["metric"])
    return f"{title} {ARROWS.get(row['better'], '')}".strip()


def unit_note(row: Mapping[Any, Any]) -> str:
    """Returns the sentence of a caption on the unit of a row's score."""
    name = metric_short(row["metric"])
    return f"{name} in {row['unit']}." if row["unit"] else f"{name} has no unit."


def axis_title(metric: str, unit: str, better: str) -> str:
    """Returns an axis name with unit and direction, such as ``"FD (squared units; lower …)"``."""
    notes = [unit] if unit else []
    notes += [f"{better} is better"] if better in ("lower", "higher", "closer") else []
    return metric_title(metric) + (f"\n({'; '.join(notes)})" if notes else "")


def settings_of(variant: str) -> dict[str, Any]:
    """Returns the hyperparameters in a row's variant, or in any other column that holds JSON.

    Text that is no JSON object is kept whole, as a setting without a name.
    """
    try:
        settings = json.loads(variant or "{}")
    except (ValueError, RecursionError):
        return {"": variant}
    return settings if isinstance(settings, dict) else {"": variant}


def variant_of(settings: Mapping[str, Any]) -> str:
    """Returns settings as a row's variant: what ``settings_of`` reads."""
    if "" in settings:
        return str(settings[""])
    return canonical_json(settings) if settings else ""


def variant_text(variant: str) -> str:
    """Returns a row's variant as ``name=value, name=value``."""
    settings = settings_of(variant)
    texts = [
        f"{name}={value_text(value)}" if name else str(value)
        for name, value in sorted(settings.items())
        if name != TUNED
    ]
    return ", ".join(texts + [TUNED] * (TUNED in settings))


def is_tuned(variant: str) -> bool:
    """Returns whether a row's variant is one of settings that were tuned."""
    return TUNED in settings_of(variant)


def backbone_text(backbone: str) -> str:
    """Returns a backbone's name with its options as text, such as ``"rae-32 (width=0.125)"``."""
    name, brace, options = backbone.partition(" {")  # A path may have spaces.
    return f"{name} ({variant_text(f'{{{options}')})" if brace else name


def part_title(row: Mapping[Any, Any]) -> str:
    """Returns data set, backbone, latent size, suite and scale as they stand over a plot."""
    where = f"{row['dataset']}, {backbone_text(row['backbone'])}, d = {row['latent_dim']}"
    return f"{where} · {suite_title(row)}"


def suite_title(row: Mapping[Any, Any]) -> str:
    """Returns suite and scale as they stand in every title."""
    return f"{row['suite']} (scale: {row['scale']})"


def suite_titles(rows: Rows) -> list[str]:
    """Returns the titles of all suites and scales among rows, sorted."""
    pairs = rows[["suite", "scale"]].drop_duplicates().to_dict("records")
    return sorted(suite_title(row) for row in pairs)


def without_floor(rows: Rows) -> Rows:
    """Returns the rows of trained models, without those of references."""
    references = is_reference(rows)
    return rows[~references] if references.any() else rows.copy(deep=False)


def is_reference(rows: Rows) -> pd.Series[bool]:
    """Returns which rows score real images in the place of generated ones."""
    return rows["objective"].isin(REFERENCES)


def named(names: Sequence[str], most: int = 5) -> str:
    """Returns the first of names as a list."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
