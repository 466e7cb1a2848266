"""Fréchet ChemNet distance between molecules, where ``fcd_torch`` is installed."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import BadInput
from .frechet import frechet
from .memory import remembered
from .molecules import canonical_smiles
from .registry import Estimate, Scores, register
from .strings import check_texts, find_task

PACKAGE = "fcd_torch"
WEIGHTS = "ChemNet_v0.13_pretrained.pt"
DIGEST = "a36658cc7c94d3c728eacd7ed2d2f104753bb2fde742c2817daefe9533a28080"
LENGTH, ROWS = 350, 256


@register("fcd", unit=f"squared feature units of ChemNet {DIGEST[:8]}", better="lower")
def fcd(*, real_texts: Sequence[str], generated_texts: Sequence[str], task: str) -> Scores:
    """Scores the Fréchet distance of ChemNet's 512 features of valid molecules.

    Distance and standard error are those of the metric ``frechet``. The weights are those in
    the package ``fcd_torch``, whose SHA-256 begins with the digits in the unit; no others pass.

    References:
        Fréchet ChemNet Distance (Preuer et al., 2018), arXiv:1803.09518.

    Raises:
        BadInput: There are no texts, no such task, or other weights.
        MissingPackage: rdkit is not installed.
    """
    find_task(task)
    if task != "smiles":
        return {"fcd": _not_applicable(f"scores smiles, not {task}")}
    if importlib.util.find_spec(PACKAGE) is None:
        return {"fcd": _not_applicable(f"needs a package: pip install {PACKAGE}")}
    check_texts(real_texts=real_texts, generated_texts=generated_texts)
    real, generated = (_molecules(texts) for texts in (real_texts, generated_texts))
    if min(len(real), len(generated)) < 2:
        return {"fcd": _not_applicable("fewer than 2 valid molecules")}
    content = np.frombuffer("\n".join(real).encode(), dtype=np.uint8)
    features = remembered(lambda: _features(real), "ChemNet", content)
    score = frechet(real=features, generated=_features(generated))
    return {"fcd": score["fd"]}


def _not_applicable(reason: str) -> Estimate:
    return Estimate(float("nan"), None, reason)


def _molecules(texts: Sequence[str]) -> list[str]:
    written = {text: canonical_smiles(text) for text in dict.fromkeys(texts)}
    return [smiles for text in texts if (smiles := written[text]) is not None]


def _features(molecules: list[str]) -> np.ndarray[Any, Any]:
    """Returns ChemNet's features of canonical SMILES, float32 (N, 512)."""
    import torch
    from fcd_torch.utils import get_one_hot

    distinct = list(dict.fromkeys(molecules))
    place = {smiles: at for at, smiles in enumerate(distinct)}
    parts = []
    for start in range(0, len(distinct), ROWS):
        hot = np.stack([get_one_hot(s, LENGTH) for s in distinct[start : start + ROWS]])
        # As the package has it: symbols are 1/35, not 1.
        inputs = torch.from_numpy(hot / hot.shape[2]).float().transpose(1, 2)
        with torch.no_grad():
            parts.append(_network()(inputs).numpy())
    return np.concatenate(parts)[[place[smiles] for smiles in molecules]]


@functools.cache
def _network() -> Any:  # noqa: ANN401
    import fcd_torch

    path = Path(fcd_torch.__file__).with_name(WEIGHTS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != DIGEST:
        raise BadInput(
            f"Weights '{WEIGHTS}' of {PACKAGE} have SHA-256 {digest[:12]}; expected {DIGEST[:12]}."
        )
    return fcd_torch.FCD(canonize=False).model
