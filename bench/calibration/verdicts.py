"""What the calibration study says: verdicts on every score, and sentences made from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..comparison.significance import LEVEL, NORMAL_95
from .sets import LEVELS, PIXELWISE, UNDAMAGED, Damage

POWER = 0.8
SPEARMAN = 0.9  # four levels with one tie; any exchange gives 0.8 or less
# Scores of one family, and the damage that they are meant to see. Elsewhere they should stay
# still; only diversity may fall where images leave the real ones' surroundings.
FAMILIES = {
    "overall quality": (("fd", "fd_inf", "kid", "kid_full"), (*PIXELWISE, "dropped", "repeated")),
    "fidelity": (("precision", "density", "clipped_density", "prd_f1/8"), PIXELWISE),
    "diversity": (("recall", "coverage", "clipped_coverage", "prd_f8"), ("dropped", "repeated")),
    "memorisation": (("nn_ratio", "authpct"), ("memorised",)),
}
FAMILY = {score: family for family, (scores, _) in FAMILIES.items() for score in scores}
SEES = {score: sees for scores, sees in FAMILIES.values() for score in scores}
VERDICT_MEANING = {
    "right": "worse with every severity, and each is told from the floor",
    "late": "worse, but the mildest severities are not told from the floor",
    "uneven": "worse, but not in the order of the severities",
    "blind": "no severity is told from the floor",
    "WRONG WAY": "some severity looks better than real images",
    "still": "not seen to move, as it should",
    "moves": "gets worse under damage that the score is not meant to see",
    "flatters": "gets better under damage that the score is not meant to see",
    "falls too": "gets worse where diversity scores are free to",
    "undecided": "only the mildest severity was scored, and it is not told from the floor",
    "unknown": "neither the damaged set nor the floor has a standard error",
}
CLIPPED = ("clipped_density", "clipped_coverage")
FAILED = ("uneven", "blind", "WRONG WAY")
OFF_TARGET = ("moves", "flatters")
PLACE = {name: at for at, name in enumerate((UNDAMAGED, *LEVELS, *FAMILY))}


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Averages repeats and measures the distance of every level from the floor.

    The standard error of one repeat is the larger of the reported one (root mean square) and
    the standard deviation over repeats. Where none is reported, three repeats alone would decide:
    the deviation is then no smaller than that of all sets together. Where there are no repeats it
    is the reported one, times `spread_over_reported` where that is above 1. Level and floor are
    taken as independent, although they share their real images, so ``z`` is rather too small.

    A single share of exactly 0 or 1 shows no spread and has no standard error. The question is
    whether chance alone explains its distance from the floor. If so, both sets are alike and have
    the same error, so ``error`` takes the floor's for a level without one and the level's for a
    floor. A share near 0 or 1 varies less than others, so ``z`` is again rather too small.

    Args:
        rows: Lines of ``results.csv``.

    Returns:
        One line for each features, n, metric, kind and severity, with ``value``, ``stderr``,
        ``repeats``, ``floor``, ``worse`` (by how much, than the floor), its standard error
        ``error`` and ``z``, which is the one over the other; ``score`` and ``set`` are names for
        a reader.
    """
    keys = ["features", "n", "metric", "kind", "severity", "level", "better"]
    groups = rows.groupby(keys, sort=False)
    table: pd.DataFrame = groups.agg(
        value=("value", "mean"), spread=("value", "std"), repeats=("value", "count")
    )
    table["reported"] = groups["stderr"].agg(lambda s: float(np.sqrt(np.mean(s**2))))
    table = table.reset_index().sort_values(
        ["kind", "severity", "metric"],
        key=lambda column: column if column.name == "severity" else column.map(PLACE),
        kind="stable",
    )
    # With one repeat there is no spread to look at; what other N have shown stands in for it.
    ratios = table["metric"].map(spread_over_reported(table)).fillna(1.0).clip(lower=1.0)
    # fmax takes the spread where no standard error was reported.
    squares = table.assign(square=table["spread"] ** 2).groupby(["features", "n", "metric"])
    pooled = np.sqrt(squares["square"].transform("mean"))
    alone = table["reported"].isna()
    repeated = np.fmax(table["reported"], table["spread"])
    repeated = np.where(alone, np.fmax(repeated, pooled), repeated)
    one = np.where(table["repeats"] > 2, repeated, table["reported"] * ratios)
    table["stderr"] = one / np.sqrt(table["repeats"])
    floor = table.loc[table["kind"] == UNDAMAGED, [*keys[:3], "value", "stderr"]]
    floor = floor.rename(columns={"value": "floor", "stderr": "floor_stderr"})
    table = table.merge(floor, on=keys[:3], how="left")
    sign = np.where(table["better"] == "lower", 1.0, -1.0)
    table["worse"] = sign * (table["value"] - table["floor"])
    level, floors = table["stderr"], table["floor_stderr"]
    table["error"] = np.hypot(level.fillna(floors), floors.fillna(level))
    with np.errstate(divide="ignore", invalid="ignore"):
        table["z"] = np.where(table["worse"] == 0, 0.0, table["worse"] / table["error"])
    table["score"] = table["metric"] + " on " + table["features"]
    pairs = zip(table["kind"], table["severity"], strict=True)
    table["set"] = [str(Damage(kind, severity)) for kind, severity in pairs]
    return table


def threshold(summary: pd.DataFrame) -> float:
    """Returns how many standard errors tell a set from the floor, Bonferroni-corrected.

    With that, all distances of a study of undamaged sets together name one in 5 % of cases.

    Args:
        summary: What `summarise` gave; each damaged set with a distance is a comparison.
    """
    from scipy.special import ndtri

    return float(-ndtri(LEVEL / 2 / max(1, comparisons(summary))))


def comparisons(summary: pd.DataFrame) -> int:
    """Returns how many distances from the floor a study has."""
    return int(np.isfinite(summary.loc[summary["kind"] != UNDAMAGED, "z"]).sum())


def verdicts(summary: pd.DataFrame) -> pd.DataFrame:
    """Judges every score under every kind of damage.

    Returns:
        One line for each score, n and kind with ``verdict``, Spearman's ``rho`` of score and
        severity (floor included; positive is worse), and of the mildest severity ``worse``, the
        ``half_width`` of its 95 % interval, ``repeats``, ``z`` and ``detectable``, the smallest
        worsening that would be told from the floor in 4 of 5 cases.
    """
    from scipy.special import ndtri

    lines = []
    limit = threshold(summary)
    damaged = summary[summary["kind"] != UNDAMAGED].sort_values("severity", kind="stable")
    for key, own in damaged.groupby(["score", "metric", "features", "n", "kind"], sort=False):
        z = own["z"].to_numpy(float)
        rho = spearman(np.array([0.0, *own["worse"]]))
        mildest = own.iloc[0]
        sizes = np.array([NORMAL_95, limit + ndtri(POWER)]) * mildest["error"]
        effect = (float(mildest["worse"]), *map(float, sizes), int(mildest["repeats"]))
        verdict = judge(str(key[1]), str(key[4]), z, rho, limit)
        lines.append((*key, verdict, rho, float(z[0]), *effect))
    columns = ["score", "metric", "features", "n", "kind", "verdict", "rho", "z"]
    columns += ["worse", "half_width", "detectable", "repeats"]
    judged = pd.DataFrame(lines, columns=columns)
    pairs = zip(judged["metric"], judged["kind"], strict=True)
    return judged.assign(meant=[kind in SEES[metric] for metric, kind in pairs])


def judge(metric: str, kind: str, z: np.ndarray, rho: float, limit: float) -> str:
    """Returns the verdict, a key of `VERDICT_MEANING`, from the distances at growing severity.

    Args:
        metric: The score.
        kind: The kind of damage.
        z: Distances from the floor in standard errors, positive is worse.
        rho: Spearman's correlation of score and severity.
        limit: The distance that tells a set from the floor.
    """
    if not np.isfinite(z).all():
        return "unknown"
    worse, better = z >= limit, z <= -limit
    if kind not in SEES[metric]:
        if better.any():
            return "flatters"
        if not worse.any():
            return "still"
        return "falls too" if FAMILY[metric] == "diversity" and kind in PIXELWISE else "moves"
    if better.any():
        return "WRONG WAY"
    if not worse.any():
        return "blind" if len(z) > 1 else "undecided"  # stronger damage was not scored
    first = int(worse.argmax())
    if not worse[first:].all() or (first == 0 and rho < SPEARMAN):
        return "uneven"
    return "right" if first == 0 else "late"


def spearman(values: np.ndarray) -> float:
    """Returns Spearman's rank correlation of values with their place; 0 where all are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    if (ranks == ranks[0]).all():
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def spread_over_reported(summary: pd.DataFrame) -> dict[str, float]:
    """Returns for each score the spread over disjoint repeats over its reported standard error.

    Root mean squares over all sets and features with at least three repeats; 1 where the
    reported standard error is right, above 1 where it is too small.
    """
    known = summary[(summary["repeats"] > 2) & summary["reported"].notna()]
    return {
        str(metric): float(np.sqrt((own["spread"] ** 2).sum() / (own["reported"] ** 2).sum()))
        for metric, own in known.groupby("metric")
        if (own["reported"] ** 2).sum() > 0
    }


def scoreboard(judged: pd.DataFrame) -> pd.DataFrame:
    """Counts verdicts of every score, over kinds of damage and N, by family, the best first.

    Returns:
        One line for each score with its ``family``, the count of cases that it is ``meant`` to
        see with how many are ``right``, ``late`` and ``failed``, movements ``off`` target,
        ``credit``: right ones, half the late ones and minus the failed and off-target ones, over
        all cases, and ``best credit``, where all that are meant are right and none is off.
    """
    words = judged["verdict"]
    counted = judged.assign(
        right=judged["meant"] & (words == "right"),
        late=judged["meant"] & (words == "late"),
        failed=words.isin(FAILED),
        off=words.isin(OFF_TARGET),
    )
    groups = counted.groupby(["metric", "score"], sort=False)
    table = groups[["meant", "right", "late", "failed", "off"]].sum().reset_index()
    credit = table["right"] + table["late"] / 2 - table["failed"] - table["off"]
    cases = groups.size().to_numpy()
    table = table.assign(**{"credit": credit / cases, "best credit": table["meant"] / cases})
    table.insert(0, "family", table.pop("metric").map(FAMILY))
    families = [own for _, own in table.groupby("family", sort=False)]
    return pd.concat(
        [own.sort_values("credit", ascending=False, kind="stable") for own in families]
    )


def pivot(rows: pd.DataFrame, line: str, column: str, values: str) -> pd.DataFrame:
    """Returns values by line and column, both in the order in which they come in ``rows``."""
    table = rows.pivot(index=line, columns=column, values=values)
    return table.loc[rows[line].unique(), rows[column].unique()]


def reading(judged: pd.DataFrame, ratios: Mapping[str, float]) -> list[str]:
    """Returns sentences, computed from the verdicts, that say which score to believe."""
    lines = []
    for kind in LEVELS:
        own = judged[(judged["kind"] == kind) & judged["meant"]].sort_values("n", kind="stable")
        groups = own.groupby("score", sort=False)
        sure = [(g["z"].iloc[0], s, g) for s, g in groups if (g["verdict"] == "right").all()]
        sure.sort(key=lambda entry: entry[:2], reverse=True)
        names = ", ".join(f"{s} ({z:.0f}{_only(g, own)})" for z, s, g in sure)
        lines.append(f"**{kind}** is seen at every N by {names or 'no score'}.")
    lines += clipped_reading(judged)
    better = judged[judged["verdict"].isin(["WRONG WAY", "flatters"])]
    worse = judged[judged["verdict"] == "moves"]
    lines.append(f"**Flattered**, better under some damage than on real images:{_cases(better)}")
    lines.append(f"**Not specific**, worse under damage of another kind:{_cases(worse)}")
    known = ", ".join(f"{m} {r:.2f}" for m, r in sorted(ratios.items(), key=lambda i: -i[1]))
    lines.append(
        "**Standard errors**: the spread over disjoint repeats, divided by the reported standard "
        f"error, which is too small where this is above 1: {known or 'not measured'}."
    )
    return lines


def clipped_reading(judged: pd.DataFrame) -> list[str]:
    """Returns a sentence for each clipped score: when to believe it, beside what it replaces."""
    lines = []
    for score, own in judged[judged["metric"].isin(CLIPPED)].groupby("score", sort=False):
        meant = own[own["meant"]].groupby("kind", sort=False)["verdict"].agg(set)
        sure = [str(k) for k, words in meant.items() if words == {"right"}]
        partly = [str(k) for k, words in meant.items() if {"late"} <= words <= {"right", "late"}]
        name = str(score).removeprefix("clipped_")
        plain = judged[judged["score"] == name]
        beside = f"; {name} is {_tally(plain)}" if len(plain) else ""
        strong = f"Where the damage is strong, it can be believed for {', '.join(partly)}. "
        lines.append(
            f"**{score}** can be believed at every N for {', '.join(sure) or 'no damage'}. "
            f"{strong if partly else ''}It is {_tally(own)}{beside}."
        )
    return lines


def _tally(judged: pd.DataFrame) -> str:
    """Returns how one score fared over kinds of damage and N."""
    own = scoreboard(judged).iloc[0]
    return (
        f"right in {own['right']} of {own['meant']} cases, wrong or blind in {own['failed']}, "
        f"and moves in {own['off']} that it is not meant to see"
    )


def _only(judged: pd.DataFrame, others: pd.DataFrame) -> str:
    """Returns at which N a score was computed, where others were computed at more."""
    sizes = sorted(set(judged["n"]))
    if sizes == sorted(set(others["n"])):
        return ""
    return f" at N = {' and '.join(f'{n:,}' for n in sizes)} alone"


def _cases(judged: pd.DataFrame) -> str:
    """Names scores, each on a line of its own, with the damage and the N of the cases given."""
    lines = []
    for score, own in judged.sort_values("n", kind="stable").groupby("score"):
        kinds = own.groupby("kind", sort=False)["n"].agg(lambda n: ", ".join(f"{v:,}" for v in n))
        told = ", ".join(f"{kind} (N = {counts})" for kind, counts in kinds.items())
        lines.append(f"\n  - {score} under {told}.")
    return "".join(lines) or " no score."
