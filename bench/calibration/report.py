"""Tables, plots and page of a calibration study, from ``results.csv`` and its images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ..comparison.labels import ARROWS
from ..comparison.table import Cell, Table, text_table, write_table
from ..data.dataset import load_dataset
from ..errors import UserError
from ..files.storage import write_atomically
from ..files.written import update_list
from ..records.provenance import device_name, versions
from .figures import draw_all, draw_images
from .sets import DAMAGE_MEANING, LEVELS, all_damages
from .study import OPTIONS, Study, read
from .verdicts import (
    FAMILIES,
    POWER,
    VERDICT_MEANING,
    comparisons,
    pivot,
    reading,
    scoreboard,
    spread_over_reported,
    summarise,
    threshold,
    verdicts,
)

PAGE = Path(__file__).parent / "assets" / "page.md"
NUMBERS = ["severity", "level", "n", "repeat", "value", "stderr", "seconds"]
# Each metric has one of these, and every score of a metric carries the metric's whole time.
TIMED = (
    *("fd", "fd_inf", "kid_full", "precision", "density", "prd_f8", "nn_ratio"),
    *("clipped_density", "clipped_coverage"),
)
LEGEND = (
    "In brackets: standard errors between the mildest severity and the floor (positive is "
    "worse), then Spearman's correlation of score and severity, which says nothing where one "
    "severity was scored.",
    *(f"{word}: {text}." for word, text in VERDICT_MEANING.items()),
)


def write_report(study: Study, out: Path) -> None:
    """Writes ``tables/``, ``plots/`` and ``README.md`` beside ``results.csv``.

    Raises:
        UserError: There are no results, or those of several studies.
    """
    path = out / "results.csv"
    if not path.is_file():
        raise UserError(f"'{path}' does not exist; expected the scores of a calibration study.")
    rows = pd.DataFrame(read(path))
    if rows.empty or rows["study"].nunique() != 1:
        raise UserError(f"'{path}' does not hold the scores of one study; expected just one.")
    try:
        rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric)
    except ValueError as error:
        raise UserError(f"'{path}' holds a text for a number: {error}.") from error
    rows = rows[rows["value"].notna()]
    summary = summarise(rows.assign(features=rows["features"].str.partition(":")[0]))
    judged = verdicts(summary)
    tables = [_response_table(own) for _, own in summary.groupby(["features", "n"], sort=False)]
    for _, own in judged.groupby("n"):
        tables += [_verdict_table(own), _effect_table(own)]
    written = [path for table in tables for path in write_table(out / "tables", table)]
    plots = draw_images(study.pools(), out / "plots") + draw_all(summary, out / "plots")
    facts = _facts(study, rows, hashlib.sha256(path.read_bytes()).hexdigest())
    write_atomically(out / "README.md", _page(study, facts, judged, summary, plots))
    update_list(out, [*written, *plots])


def _response_table(summary: pd.DataFrame) -> Table:
    """Returns the scores of one extractor and N: a line a set, a column a score."""
    features, n = summary[["features", "n"]].iloc[0]
    cells = pd.Series(
        Cell(f"{value:.4g}" + ("" if pd.isna(error) else f" ± {error:.2g}"), value)
        for value, error in zip(summary["value"], summary["stderr"], strict=True)
    ).set_axis(summary.index)
    arrows = summary["metric"] + " " + summary["better"].map(ARROWS)
    rows = pivot(summary.assign(arrows=arrows, cell=cells), "set", "arrows", "cell").fillna("")
    notes = ("Value ± standard error.", "The arrow says which direction is better.")
    title = f"Scores on {features}, N = {n:,}"
    header = ["set", *rows.columns]
    return text_table(f"scores-{features}-{n}", title, header, rows.itertuples(), notes)


def _verdict_table(judged: pd.DataFrame) -> Table:
    """Returns the verdicts at one N: a line a score, a column a kind of damage."""
    n = judged["n"].iloc[0]
    cells = [
        f"{verdict} ({z:.1f}; {rho:.2f})"
        for verdict, z, rho in judged[["verdict", "z", "rho"]].itertuples(index=False)
    ]
    rows = pivot(judged.assign(cell=cells), "score", "kind", "cell").fillna("")
    title = f"Verdicts at N = {n:,}"
    return text_table(f"verdicts-{n}", title, ["score", *rows.columns], rows.itertuples(), LEGEND)


def _effect_table(judged: pd.DataFrame) -> Table:
    """Returns by how much the mildest severity is worse than the floor: a line a score."""
    n = judged["n"].iloc[0]
    names = ["worse", "half_width", "detectable"]
    cells = pd.Series(
        Cell(f"{worse:+.3g} ± {half:.2g} ({least:.2g})", worse, half)
        for worse, half, least in judged[names].itertuples(index=False)
    ).set_axis(judged.index)
    rows = pivot(judged.assign(cell=cells), "score", "kind", "cell").fillna("")
    repeats = " or ".join(str(count) for count in sorted(set(judged["repeats"])))
    notes = (
        "Mildest severity minus floor, in the score's unit; positive is worse.",
        f"± is the half-width of its 95 % interval, from {repeats} disjoint repeats.",
        "In brackets: the smallest worsening that would be told from the floor in "
        f"{100 * POWER:.0f} % of cases.",
    )
    header = ["score", *rows.columns]
    title = f"Effect of the mildest severity at N = {n:,}"
    return text_table(f"effects-{n}", title, header, rows.itertuples(), notes)


def _facts(study: Study, rows: pd.DataFrame, digest: str) -> dict[str, str]:
    """Returns where the scores and this page come from, and how much is still to do."""
    done = rows[["features", "n", "kind", "severity"]].drop_duplicates()
    wanted = sum(size.wants(damage) for size in study.sizes for damage in all_damages())
    return {
        "sets scored": f"{len(done)} of {wanted * len(study.extractors)}",
        "study (settings and metric code)": rows["study"].iloc[0],
        "settings": study.settings(),
        "results.csv (SHA-256)": digest[:16],
        "commit": ", ".join(sorted({c or "unknown" for c in rows["commit"]})),
        "date": f"{rows['date'].min()} to {rows['date'].max()}",
        "seed": str(study.seed),
        "features": ", ".join(dict.fromkeys(rows["features"])),
        "data": f"{study.dataset}, {load_dataset(study.dataset).digest[:16]}",
        "scores": str(len(rows)),
        "seconds of metrics": f"{rows.loc[rows['metric'].isin(TIMED), 'seconds'].sum():.0f} (CPU)",
        "this page was written on": device_name("cpu"),
        "with": ", ".join(f"{k} {v}" for k, v in json.loads(versions()).items()),
    }


def _page(
    study: Study,
    facts: Mapping[str, str],
    judged: pd.DataFrame,
    summary: pd.DataFrame,
    plots: list[Path],
) -> str:
    most = judged.groupby("n").size()
    n = int(most[most == most.max()].index.max())
    sizes = pd.DataFrame([asdict(size) for size in study.sizes])
    listed = sizes.map(lambda v: ", ".join(map(str, v)) if isinstance(v, tuple) else f"{v:,}")
    levels = {kind: ", ".join(f"{level:g}" for level in own) for kind, own in LEVELS.items()}
    return PAGE.read_text(encoding="utf-8").format(
        dataset=study.dataset,
        threshold=f"{threshold(summary):.1f}",
        comparisons=f"{comparisons(summary):,}",
        reading=_bullets(reading(judged, spread_over_reported(summary))),
        diversity=", ".join(FAMILIES["diversity"][0]),
        scoreboard=scoreboard(judged).to_markdown(index=False, floatfmt=".2f"),
        verdicts=_verdict_table(judged[judged["n"] == n]).as_markdown().rstrip(),
        pictures="\n".join(f"![{p.stem}](plots/{p.name})" for p in plots if p.suffix == ".png"),
        dropped=", ".join(map(str, study.pools().dropped)),
        damage=_bullets(f"**{k}** {levels[k]}: {DAMAGE_MEANING[k]}." for k in LEVELS),
        sizes=listed.to_markdown(index=False),
        options=OPTIONS,
        provenance=_bullets(f"{name}: {value}" for name, value in facts.items()),
    )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
