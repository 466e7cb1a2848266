"""What the calibration study says: verdicts on every score, and sentences made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .sets import LEVELS, UNDAMAGED

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 3.0  # standard errors between a level and the floor
SPEARMAN = 0.9  # four levels with one tie; any exchange gives 0.8 or less
OVERALL = ("fd", "fd_inf", "kid", "kid_full")
FIDELITY = ("precision", "density", "prd_f1/8")
DIVERSITY = ("recall", "coverage", "prd_f8")
MEMORY = ("nn_ratio", "authpct")
SCORES = (*OVERALL, *FIDELITY, *DIVERSITY, *MEMORY)
PIXEL_DAMAGE, FEWER = ("blur", "noise", "pca"), ("dropped", "repeated")
# What a score is meant to see. In the other cases it should stay still, but for those below.
SEES = {
    **dict.fromkeys(OVERALL, (*PIXEL_DAMAGE, *FEWER)),
    **dict.fromkeys(FIDELITY, PIXEL_DAMAGE),
    **dict.fromkeys(DIVERSITY, FEWER),
    **dict.fromkeys(MEMORY, ("memorised",)),
}
FAMILIES = {
    "overall quality": OVERALL,
    "fidelity": FIDELITY,
    "diversity": DIVERSITY,
    "memorisation": MEMORY,
}
CREDIT = {"right": 1.0, "late": 0.5}  # of a case that a score is meant to see
MEANING = {
    "right": f"monotone, and every severity is {THRESHOLD:g} standard errors from the floor",
    "late": "the right direction, but the mildest severities are not told from the floor "
    "(said as well where only the mildest was scored)",
    "uneven": "told from the floor, but the order of the severities is wrong",
    "blind": "no severity is told from the floor",
    "WRONG WAY": "some severity looks significantly better than real images",
    "still": "does not move, as it should",
    "moves": "gets worse under damage that the score is not meant to see",
    "flatters": "gets better under damage that the score is not meant to see",
    "falls too": "gets worse where diversity scores are free to",
    "unknown": "no standard error",
}


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Averages repeats and measures the distance of every level from the floor.

    The standard error of one repeat is the larger of the reported one (root mean square) and
    the standard deviation over repeats. Where there are no repeats it is the reported one, times
    `spread_over_reported` where that is above 1. Level and floor are taken as independent,
    although they share their real images, so ``z`` is rather too small.

    Args:
        rows: Lines of ``results.csv``.

    Returns:
        One line for each features, n, metric, kind and severity, with ``value``, ``stderr``,
        ``repeats``, ``floor`` and ``z``: standard errors above the floor, positive is worse.
    """
    keys = ["features", "n", "metric", "kind", "severity", "level", "better"]
    groups = rows.groupby(keys, sort=False)
    table = groups["value"].agg(value="mean", spread="std", repeats="count").reset_index()
    reported = groups["stderr"].agg(lambda s: float(np.sqrt(np.mean(s**2)))).to_numpy()
    table["reported"] = reported
    ratios = table["metric"].map(spread_over_reported(table)).fillna(1.0).clip(lower=1.0)
    repeated = np.fmax(reported, table["spread"])
    one = np.where(table["repeats"] > 2, repeated, reported * ratios)
    table["stderr"] = one / np.sqrt(table["repeats"])
    floor = table[table["kind"] == UNDAMAGED].set_index(["features", "n", "metric"])
    base = floor.loc[pd_index(table)]
    table["floor"] = base["value"].to_numpy()
    error = np.hypot(table["stderr"], base["stderr"].to_numpy())
    sign = np.where(table["better"] == "lower", 1.0, -1.0)
    worse = sign * (table["value"] - table["floor"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table["z"] = np.where(worse == 0, 0.0, worse / error)
    return table


def pd_index(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Returns features, n and metric of each line, the key of its floor."""
    return list(table[["features", "n", "metric"]].itertuples(index=False, name=None))


def verdicts(summary: pd.DataFrame) -> pd.DataFrame:
    """Judges every score under every kind of damage.

    Returns:
        One line for each features, n, metric and kind with ``verdict``, Spearman's ``rho`` of
        score and severity (floor included; positive is worse), ``z_first`` and ``z_last``.
    """
    import pandas as pd

    lines = []
    damaged = summary[summary["kind"] != UNDAMAGED]
    for key, own in damaged.groupby(["features", "n", "metric", "kind"], sort=False):
        features, n, metric, kind = key
        own = own.sort_values("severity")
        z = own["z"].to_numpy(float)
        sign = 1.0 if own["better"].iloc[0] == "lower" else -1.0
        worse = np.array([0.0, *(sign * (own["value"] - own["floor"]))])
        rho = spearman(worse)
        verdict = judge(str(metric), str(kind), z, rho)
        if verdict == "blind" and len(z) == 1:
            verdict = "late"  # stronger damage was not scored
        first, last = float(z[0]), float(z[-1])
        lines.append((features, n, metric, kind, len(z), verdict, rho, first, last))
    columns = ["features", "n", "metric", "kind", "levels", "verdict", "rho", "z_first", "z_last"]
    return pd.DataFrame(lines, columns=columns)


def judge(metric: str, kind: str, z: np.ndarray, rho: float) -> str:
    """Returns the verdict, a key of `MEANING`, from the distances at growing severity."""
    if not np.isfinite(z).all():
        return "unknown"
    worse, better = z >= THRESHOLD, z <= -THRESHOLD
    if kind not in SEES.get(metric, LEVELS):
        if better.any():
            return "flatters"
        if not worse.any():
            return "still"
        return "falls too" if metric in DIVERSITY and kind in PIXEL_DAMAGE else "moves"
    if better.any():
        return "WRONG WAY"
    if not worse.any():
        return "blind"
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


def reading(judged: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Returns sentences, computed from the verdicts, that say which score to believe."""
    lines = [_best(scoreboard(judged)), *(_advice(judged, kind) for kind in LEVELS)]
    lines += [_wrong(judged), _false_alarms(judged), _errors(summary)]
    return [line for line in lines if line]


def scoreboard(judged: pd.DataFrame) -> pd.DataFrame:
    """Counts verdicts of every score, over kinds of damage and N, the best first.

    Returns:
        One line for each metric and features: ``family``, the count of ``cases`` that it is
        meant to see with how many are ``right``, ``late`` and ``failed``, ``off_target``
        movements where it is not meant to see anything, and ``credit``: right ones, half the
        late ones and minus the failed and off-target ones, over all cases.
    """
    import pandas as pd

    lines = []
    for (metric, features), own in judged.groupby(["metric", "features"], sort=False):
        meant = np.array([kind in SEES.get(str(metric), ()) for kind in own["kind"]], dtype=bool)
        words = own["verdict"][meant]
        right, late = int((words == "right").sum()), int((words == "late").sum())
        failed = int(words.isin(["uneven", "blind", "WRONG WAY"]).sum())
        off = int(own["verdict"].isin(["moves", "flatters"]).sum())
        credit = (right + CREDIT["late"] * late - failed - off) / len(own)
        family = next((f for f, names in FAMILIES.items() if metric in names), "other")
        lines.append(
            (family, metric, features, int(meant.sum()), right, late, failed, off, credit)
        )
    columns = ["family", "metric", "features", "cases", "right", "late", "failed", "off_target"]
    table = pd.DataFrame(lines, columns=[*columns, "credit"])
    return table.sort_values("credit", ascending=False, kind="stable")


def _best(board: pd.DataFrame) -> str:
    """Names the score of each family with the most credit."""
    parts = []
    for family in FAMILIES:
        own = board[board["family"] == family]
        if own.empty:
            continue
        top = own.iloc[0]
        parts.append(
            f"{family}: {top['metric']} on {short(top['features'])} (right in {top['right']}, "
            f"late in {top['late']} of {top['cases']} cases, {top['off_target']} off target)"
        )
    return f"**Best of each family**: {'; '.join(parts)}."


def _advice(judged: pd.DataFrame, kind: str) -> str:
    """Names the scores that see one kind of damage at all sizes, the most sensitive first."""
    meant = np.array([kind in SEES.get(str(m), ()) for m in judged["metric"]], dtype=bool)
    own = judged[(judged["kind"] == kind) & meant]
    if own.empty:
        return f"**{kind}**: not measured."
    good, partly, bad = [], [], []
    for (metric, features), group in own.groupby(["metric", "features"]):
        name = f"{metric} on {short(str(features))}"
        small = group.sort_values("n").iloc[0]
        z = float(small["z_first"])
        if (group["verdict"] == "right").all():
            good.append((-z, f"{name} ({z:.0f})"))
        elif set(group["verdict"]) <= {"right", "late"}:
            partly.append((-z, name))
        else:
            words = "/".join(dict.fromkeys(group["verdict"]))
            bad.append((-z, f"{name} ({words})"))
    parts = [
        ("right at every N, most sensitive first", good),
        ("only from a higher severity or a larger N", partly),
        ("not to be believed", bad),
    ]
    text = "; ".join(f"{head}: {', '.join(n for _, n in sorted(p))}" for head, p in parts if p)
    return f"**{kind}**: {text}."


def _wrong(judged: pd.DataFrame) -> str:
    own = judged[judged["verdict"].isin(["WRONG WAY", "flatters"])]
    if own.empty:
        return "**Flattered**: no score calls any damaged set better than real images."
    return f"**Flattered**: some damaged sets look better than real images to {_cases(own)}."


def _false_alarms(judged: pd.DataFrame) -> str:
    own = judged[judged["verdict"] == "moves"]
    if own.empty:
        return "**Not specific**: no score moves under damage that it is not meant to see."
    return f"**Not specific**: gets worse under damage of another kind: {_cases(own)}."


def _cases(own: pd.DataFrame) -> str:
    cases = []
    for (metric, features), group in own.groupby(["metric", "features"], sort=True):
        kinds = []
        for kind, same in group.groupby("kind", sort=False):
            sizes = ", ".join(f"{n:,}" for n in sorted(same["n"]))
            kinds.append(f"{kind} at N = {sizes}")
        cases.append(f"{metric} on {short(str(features))} ({'; '.join(kinds)})")
    return "; ".join(cases)


def _errors(summary: pd.DataFrame) -> str:
    ratios = spread_over_reported(summary)
    if not ratios:
        return ""
    text = ", ".join(f"{m} {r:.2f}" for m, r in sorted(ratios.items(), key=lambda i: -i[1]))
    return (
        "**Standard errors**: spread over disjoint repeats over the reported standard error "
        f"(1 is right, above 1 the reported one is too small): {text}."
    )


def short(features: str) -> str:
    """Returns the extractor's name without the digest of its weights."""
    return features.partition(":")[0]
