"""Scores of generated images against real ones, from arrays or from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli.words import chosen_device
from ..data.stored_moments import read_moments
from ..errors import UserError
from ..evaluation.moment_scores import evaluate_moments
from ..evaluation.sets import evaluate as evaluate_sets
from ..evaluation.usual_names import find_named_metric
from .given import given_set, whole_number
from .session import session

if TYPE_CHECKING:
    import pandas as pd

    from .given import Array

SHOWN = ("metric", "value", "stderr", "better", "unit", "status", "reason")
CONDITIONS = ("features", "resize", "quantisation")


def evaluate(
    real: Array | str | Path,
    generated: Array | str | Path,
    *,
    metrics: Iterable[str] = (),
    features: str | None = None,
    weights: str | Path | None = None,
    download: bool = False,
    device: str = "auto",
    seed: int = 0,
    floor: bool = False,
) -> pd.DataFrame:
    """Scores generated images against real ones, as ``aebench evaluate`` does.

    Args:
        real: Images as uint8 or as floats in [0, 1], of shape (N, H, W), (N, C, H, W) or
            (N, H, W, C), or features as floats (N, F); a folder or a file of either; or a file
            of the moments ``mu`` and ``sigma`` of features, for the Fréchet distance alone.
        generated: The same of the generated images, but no moments.
        metrics: Names of metrics; all that apply when not given.
        features: Name of the extractor, see ``aebench list features``; ``lite0@64`` for images.
        weights: Weights file of the extractor, instead of the usual places.
        download: Whether missing weights may be fetched.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: Seed of random subsets and clusterings.
        floor: Whether real images are scored against other real ones, too: the column ``floor``.

    Returns:
        One line a score: ``metric, value, stderr, better, unit, status, reason``, and what it
        was made under: ``n_real, n_generated, features, resize, quantisation``.

    Raises:
        UserError: What was given cannot be scored.
    """
    seed = whole_number(seed, "seed", 0)
    names = [metrics] if isinstance(metrics, str) else [str(name) for name in metrics or ()]
    chosen: dict[str, Any] = {
        "names": names,
        "features": features,
        "weights": None if weights is None else Path(weights),
        "download": download,
        "device": chosen_device(device),
    }
    with session():
        for name in names:
            find_named_metric(name)
        given = given_set(generated, "generated")
        stored = read_moments(Path(real)) if isinstance(real, str | Path) else None
        if stored is None or not isinstance(real, str | Path):
            chosen |= {"seed": seed, "floor": floor}
            return _table(evaluate_sets(given_set(real, "real"), given, **chosen))
        if floor:
            raise UserError(f"'floor' needs real images; {real} holds moments.")
        return _table(evaluate_moments(Path(real), stored, given, **chosen))


def _table(record: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame([{name: s[name] for name in SHOWN} for s in record["scores"]])
    if "floor" in record:
        rows.insert(3, "floor", [record["floor"]["scores"].get(m) for m in rows["metric"]])
    rows["n_real"], rows["n_generated"] = record["real"]["count"], record["generated"]["count"]
    for name in CONDITIONS:
        rows[name] = record[name]
    return rows
