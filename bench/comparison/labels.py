"""Words and order for tables and plots: objectives as rows, scores as columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..files.storage import canonical_json

if TYPE_CHECKING:
    import pandas as pd

# The order of Table 1 of the RAE paper, then its appendix, then the AEF paper; others follow.
ORDER = (
    *("floor", "vae", "cv-vae", "wae-mmd", "2svae", "rae-gp", "rae-l2", "rae-sn", "rae", "ae"),
    *("ae-l2", "rae-gp-l2", "rae-l2-sn", "rae-sn-gp", "rae-l2-sn-gp", "iwae", "vae-iaf"),
    *("aef-linear", "aef-linear-fixed", "aef-center", "aef-corner", "maf"),
)
METRIC_TITLES = {
    "fd": "Fréchet distance",
    "fd_inf": "Fréchet distance, extrapolated",
    "kid": "Kernel distance",
    "kid_full": "Kernel distance, all pairs",
    "prd_f8": "PRD F_8 (recall)",
    "prd_f1/8": "PRD F_1/8 (precision)",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "bits_per_dim": "Bits per dimension",
    "log_prob": "Log-likelihood",
    "mse": "Mean squared error",
    "psnr": "Peak signal-to-noise ratio",
    "ssim": "Structural similarity",
    "ife": "Inception feature error",
}
SHORT = {
    "fd": "FD",
    "fd_inf": "FD∞",
    "kid": "KID",
    "kid_full": "KID (full sample)",
    "bits_per_dim": "bits/dim",
    "prd_f8": "F_8",
    "prd_f1/8": "F_1/8",
    "log_prob": "log p(x)",
    "ife": "IFE",
}
ARROWS = {"lower": "↓", "higher": "↑", "closer": "→", "none": ""}


def objective_order(names: Iterable[str]) -> list[str]:
    """Returns names in the papers' row order, unknown ones last and alphabetical."""
    known = {name: place for place, name in enumerate(ORDER)}
    return sorted(set(names), key=lambda name: (known.get(name, len(ORDER)), name))


def metric_title(name: str) -> str:
    """Returns the title of a score, its own name where there is none."""
    return METRIC_TITLES.get(name, name)


def metric_short(name: str) -> str:
    """Returns the short column name of a score."""
    return SHORT.get(name, name)


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
    return ", ".join(
        f"{name}={_value_text(value)}" if name else str(value)
        for name, value in sorted(settings_of(variant).items())
    )


def backbone_text(backbone: str) -> str:
    """Returns a backbone's name with its options as text, such as ``"rae-32 (width=0.125)"``."""
    name, _, options = backbone.partition(" ")
    return f"{name} ({variant_text(options)})" if options else name


def part_title(row: Mapping[Any, Any]) -> str:
    """Returns data set, backbone, latent size, suite and scale as they stand over a plot."""
    where = f"{row['dataset']}, {backbone_text(row['backbone'])}, d = {row['latent_dim']}"
    return f"{where} · {suite_title(row)}"


def suite_title(row: Mapping[Any, Any]) -> str:
    """Returns suite and scale as they stand in every title."""
    return f"{row['suite']} (scale: {row['scale']})"


def suite_titles(rows: pd.DataFrame) -> str:
    """Returns the titles of all suites and scales among rows."""
    pairs = rows[["suite", "scale"]].drop_duplicates().to_dict("records")
    return ", ".join(sorted({suite_title(row) for row in pairs}))


def _value_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
