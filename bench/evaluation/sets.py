"""Scores two sets of images from anywhere: reads, extracts, and asks every metric."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .given_features import features_of

if TYPE_CHECKING:
    import numpy as np

    from ..data.images import GivenSet
    from .metric_lookup import Score

DEFAULT_FEATURES = "lite0@64"
GOALS = {"coverage_expected"}
PERFECT = "what coverage a perfect model is expected to reach at these counts"
FLOOR = 1  # The floor's stream of random numbers.
PAIRED = {"images", "reconstructions"}
LARGEST = 1e15  # Of features: metrics take powers of them, some in float32.


def evaluate(
    real: Path | GivenSet,
    generated: Path | GivenSet,
    *,
    names: list[str],
    features: str | None = None,
    weights: Path | None = None,
    download: bool = False,
    device: str = "auto",
    seed: int = 0,
    floor: bool = False,
) -> dict[str, Any]:
    """Scores the images of one set against those of another.

    Args:
        real: Folder or array file of the real images, or of their features; or what was read.
        generated: The same of the generated images.
        names: Metrics; none for all that apply.
        features: Name of the extractor; none for the default.
        weights: Weights file of the extractor, instead of the usual places.
        download: Whether missing weights may be fetched.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: Seed of random subsets and clusterings, and of the floor's draw.
        floor: Whether to score real images against other real ones, too.

    Returns:
        The scores with their conditions, as JSON has them.

    Raises:
        UserError: What was given cannot be scored.
    """
    from ..data.images import read_set

    asked = {"real": real, "generated": generated}
    given = {n: read_set(one) if isinstance(one, Path) else one for n, one in asked.items()}
    paths = {name: found.path for name, found in given.items()}
    check_pair(given)
    pairs, conditions = make_pairs(given, names)
    notes = {name: found.note for name, found in given.items()}
    # Each set is given up as its copy is made: two of them may fill the memory.
    sets = {name: in_order(name, given.pop(name).items) for name in tuple(given)}
    if features is None and sets["real"].ndim == 4:
        features = DEFAULT_FEATURES
    check_channels(paths, sets, features)
    outputs, how, published = features_of(sets, paths["real"], features, weights, device, download)
    outputs, conditions = outputs | pairs, conditions | how
    scores = score(outputs, names, seed)
    conditions |= floor_of(outputs, names, seed) if floor else {}
    return {
        "real": describe(paths["real"], sets["real"], notes["real"]),
        "generated": describe(paths["generated"], sets["generated"], notes["generated"]),
        **conditions,
        "seed": seed,
        "scores": [{**asdict(s), "label": label(s.metric, published)} for s in scores],
    }


def check_pair(given: dict[str, GivenSet]) -> None:
    """Checks that two sets can be compared; grey and colour of one size can.

    Raises:
        UserError: Images against features, images of different sizes, or values whose range
            cannot be right.
    """
    from ..data.ranges import check_ranges

    paths = {name: found.path for name, found in given.items()}
    sets = {name: found.items for name, found in given.items()}
    real, generated = sets["real"], sets["generated"]
    if real.ndim != generated.ndim:
        kinds = {n: "features" if sets[n].ndim == 2 else "images" for n in sets}
        raise UserError(
            f"{paths['real']} holds {kinds['real']} and {paths['generated']} "
            f"{kinds['generated']}; expected the same."
        )
    if real.ndim == 4 and real.shape[2:] != generated.shape[2:]:
        sizes = {n: "x".join(map(str, sets[n].shape[2:])) for n in sets}
        raise UserError(
            f"{paths['real']} holds images of {sizes['real']} pixels and {paths['generated']} "
            f"of {sizes['generated']}; expected one size."
        )
    if real.ndim == 4:
        check_ranges({str(paths[name]): items for name, items in sets.items()})


def check_channels(
    paths: dict[str, Path], sets: dict[str, np.ndarray], features: str | None
) -> None:
    """Checks that grey images stand against grey ones where features tell colour apart.

    Raises:
        UserError: One set is grey and one in colour.
    """
    from ...metrics.extractor import EXTRACTORS

    extractor = EXTRACTORS.get(str(features).partition("@")[0])
    if sets["real"].ndim != 4 or extractor is None or extractor.channels is not None:
        return
    kinds = {name: "grey" if s.shape[1] == 1 else "colour" for name, s in sets.items()}
    if kinds["real"] != kinds["generated"]:
        raise UserError(
            f"{paths['real']} holds {kinds['real']} images and {paths['generated']} "
            f"{kinds['generated']} ones, of which '{features}' makes features of other sizes; "
            f"expected one kind. Convert one set, or use --features {DEFAULT_FEATURES}, which "
            "takes both."
        )


def in_order(name: str, items: np.ndarray) -> np.ndarray:
    """Returns a set's rows in the order of their content, so that no other decides a score.

    Raises:
        UserError: A row of features is not finite, where the message counts rows as they were
            given, or a feature is so large that its powers are not.
    """
    import numpy as np

    from ...metrics.arrays import check_finite
    from ..data.order import content_order

    try:
        check_finite(name, items)
    except ValueError as error:
        raise UserError(str(error)) from error
    largest = float(np.abs(items).max(initial=0)) if items.ndim == 2 else 0.0
    if largest > LARGEST:
        raise UserError(
            f"'{name}' has features up to {largest:.3g}; expected at most {LARGEST:g}."
        )
    return items[content_order(items)]


def make_pairs(
    given: dict[str, GivenSet], names: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns images and their reconstructions, float32 in [0, 1], and how they were paired.

    Both are empty unless one of the named metrics needs pairs.

    Raises:
        UserError: It does, and the sets do not pair.
    """
    from .metric_lookup import find_metric
    from .pairs import paired

    if not any(PAIRED.intersection(find_metric(name).needs) for name in names):
        return {}, {}
    first, second, how = paired(given["real"], given["generated"])
    arrays = {"images": first, "reconstructions": second}
    return {n: a.astype("float32") / 255 for n, a in arrays.items()}, {"pairs": how}


def score(outputs: dict[str, Any], names: list[str], seed: int) -> list[Score]:
    """Computes the named metrics, or all that take two sets of features.

    A metric that refuses is a row that says why; the others are scored all the same.

    Raises:
        UserError: All of them refuse.
    """
    from .metric_lookup import compute_scores, find_metric, metrics, not_applicable

    chosen = [find_metric(name) for name in dict.fromkeys(names)]
    chosen = chosen or [m for m in metrics().values() if set(m.needs) == {"real", "generated"}]
    scores: list[Score] = []
    for metric in chosen:
        try:
            own = compute_scores(metric, outputs, {"seed": seed})
            if taken := {s.metric for s in own} & {s.metric for s in scores}:
                raise ValueError(f"another metric has a score '{min(taken)}', too")
            scores += own
        except (ValueError, OSError, ImportError) as error:
            scores.append(not_applicable(metric, str(error)))
    if not any(s.status == "ok" for s in scores):
        raise UserError(f"No metric applies; '{scores[0].metric}': {scores[0].reason}")
    return [replace(s, better="none", reason=PERFECT) if s.metric in GOALS else s for s in scores]


def floor_of(outputs: dict[str, Any], names: list[str], seed: int) -> dict[str, Any]:
    """Returns the scores of real images held against the other real ones, and how many are.

    As many are drawn as there are generated ones, but no more than half. What a score says of
    them it says of a perfect model, up to the counts.

    Raises:
        UserError: There are too few real images, or no metric applies to them.
    """
    import numpy as np

    from .metric_lookup import find_metric

    over_sets = [name for name in names if set(find_metric(name).needs) == {"real", "generated"}]
    if names and not over_sets:
        raise UserError(f"'--floor' is for metrics of two sets; '{names[0]}' is of pairs.")
    real = outputs["real"]
    count = min(len(outputs["generated"]), len(real) // 2)
    if count < 2:
        raise UserError(f"'--floor' parts the {len(real)} real images in two; expected 4 or more.")
    order = np.random.default_rng([seed, FLOOR]).permutation(len(real))
    drawn, others = np.sort(order[:count]), np.sort(order[count:])
    found = score({"real": real[others], "generated": real[drawn]}, over_sets, seed)
    values = {s.metric: s.value for s in found}
    return {"floor": {"count": count, "against": len(others), "scores": values}}


def label(score_name: str, published: bool) -> str:
    """Returns the score's name for a reader: FID only for the published Inception weights."""
    names = {"fd": "FID", "fd_inf": "FID∞"} if published else {"fd": "FD", "fd_inf": "FD∞"}
    return names.get(score_name, score_name)


def describe(path: Path, items: np.ndarray, note: str) -> dict[str, Any]:
    """Returns path, count and shape of a set, and what was passed over, if anything was."""
    shape = "x".join(map(str, items.shape[1:]))
    told = {"note": note} if note else {}
    return {"path": str(path), "count": len(items), "shape": shape, **told}
