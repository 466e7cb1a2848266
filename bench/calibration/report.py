"""Tables, plots and reading of a calibration study, from ``results.csv`` alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.dataset import load_dataset
from ..errors import UserError
from ..files.storage import canonical_json, write_atomically
from ..records.provenance import device_name, versions
from .figures import draw_all, draw_images
from .sets import LEVELS, UNDAMAGED, Pools, all_damages
from .sets import MEANING as DAMAGE
from .study import OPTIONS, Size, Study
from .verdicts import DIVERSITY, MEANING, SCORES, reading, scoreboard, short, summarise, verdicts

if TYPE_CHECKING:
    import pandas as pd


def write_report(study: Study, out: Path) -> None:
    """Writes ``tables/``, ``plots/`` and ``README.md`` beside ``results.csv``.

    Raises:
        UserError: There are no results, or those of several studies.
    """
    import pandas as pd

    path = out / "results.csv"
    if not path.is_file():
        raise UserError(f"'{path}' does not exist; expected the scores of a calibration study.")
    rows = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if rows["study"].nunique() != 1:
        raise UserError(f"'{path}' has {rows['study'].nunique()} studies; expected one.")
    rows = rows[rows["value"].notna()]
    summary = summarise(rows)
    judged = verdicts(summary)
    tables = [*_response_tables(summary), *_verdict_tables(judged)]
    for name, text in tables:
        write_atomically(out / "tables" / f"{name}.md", text)
    plots = draw_all(summary, out / "plots")
    largest = max(s.n * s.repeats for s in study.sizes)
    pools = Pools(load_dataset(study.dataset), largest, study.training, study.seed)
    plots += draw_images(pools, out / "plots")
    write_atomically(out / "README.md", _readme(study, rows, judged, summary, path, plots))


def _response_tables(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the scores, a file for each extractor and N: a line a set, a column a score."""
    tables = []
    for (features, n), own in summary.groupby(["features", "n"], sort=False):
        scores = [m for m in SCORES if m in set(own["metric"])]
        arrows = own.drop_duplicates("metric").set_index("metric")["better"].to_dict()
        heads = [f"{m} {'↓' if arrows[m] == 'lower' else '↑'}" for m in scores]
        lines = []
        for kind in (UNDAMAGED, *LEVELS):
            part = own[own["kind"] == kind]
            for severity in sorted(part["severity"].unique()):
                line = part[part["severity"] == severity].set_index("metric")
                label = "floor" if kind == UNDAMAGED else f"{kind} {line['level'].iloc[0]:g}"
                cells = [_cell(line.loc[m]) if m in line.index else "" for m in scores]
                lines.append([label, *cells])
        title = f"# Scores on {features}, N = {n:,}\n\nValue ± standard error. Arrows: better.\n\n"
        name = f"scores-{short(str(features))}-{n}"
        tables.append((name, title + _markdown(["set", *heads], lines)))
    return tables


def _cell(line: pd.Series) -> str:
    value, error = float(line["value"]), float(line["stderr"])
    return f"{value:.4g}" if error != error else f"{value:.4g} ± {error:.2g}"


def _verdict_tables(judged: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the verdicts, a file for each N: a line a score, a column a kind of damage."""
    tables = []
    for n, own in judged.groupby("n", sort=True):
        title = f"# Verdicts at N = {n:,}\n\n{_legend()}\n\n"
        tables.append((f"verdicts-{n}", title + _verdict_table(own)))
    return tables


def _verdict_table(own: pd.DataFrame) -> str:
    kinds = [k for k in LEVELS if k in set(own["kind"])]
    keyed = own.set_index(["metric", "features", "kind"]).to_dict("index")
    lines = []
    for metric in SCORES:
        for features in dict.fromkeys(own["features"]):
            cells = [keyed.get((metric, features, kind)) for kind in kinds]
            if any(cells):
                texts = [
                    f"{c['verdict']} ({c['z_first']:.1f}; {c['rho']:.2f})" if c else ""
                    for c in cells
                ]
                lines.append([metric, short(features), *texts])
    return _markdown(["score", "features", *kinds], lines)


def _scoreboard(judged: pd.DataFrame) -> str:
    lines = [
        [str(v) for v in (*line[:2], short(str(line[2])), *line[3:-1], f"{line[-1]:.2f}")]
        for line in scoreboard(judged).itertuples(index=False, name=None)
    ]
    counts = ["meant to see", "right", "late", "failed", "moved off target", "credit"]
    return _markdown(["family", "score", "features", *counts], lines)


def _legend() -> str:
    words = "; ".join(f"*{word}*: {text}" for word, text in MEANING.items())
    return (
        "In brackets: standard errors between the mildest severity and the floor (positive is "
        "worse), then Spearman's correlation of score and severity. Where one severity was "
        f"scored the correlation says nothing. {words}."
    )


def _readme(
    study: Study,
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    summary: pd.DataFrame,
    path: Path,
    plots: list[Path],
) -> str:
    most = judged.groupby("n").size()
    n = int(most[most == most.max()].index.max())
    findings = "\n".join(f"- {line}" for line in reading(judged, summary))
    damage = "\n".join(
        f"- **{k}** {', '.join(f'{v:g}' for v in LEVELS[k])}: {DAMAGE[k]}." for k in LEVELS
    )
    sizes = "\n".join(f"- {_describe(size)}" for size in study.sizes)
    pictures = "\n".join(
        f"![{p.stem}](plots/{p.name})" for p in plots if p.suffix == ".png" and p.stem != "images"
    )
    missing = _missing(study, rows)
    absent = f"\n\n**Not computed yet**: {'; '.join(missing)}." if missing else ""
    return f"""# Which metric to believe on {study.dataset}

Real images against other real images that were damaged by degrees; every sample metric was
asked whether it notices. Written by `python scripts/calibrate.py`; every sentence of the reading
is computed from [results.csv](results.csv).

## Reading

{findings}

Diversity scores ({", ".join(DIVERSITY)}) also fall where images leave the real ones' surroundings
(blur, noise, few components); that is no error, but it means that they do not measure diversity
alone. In brackets after a name: how many standard errors the mildest severity is from the floor
at the smallest N.

## Scoreboard

Cases are kinds of damage at all N. *Credit*: right ones, half the late ones, minus those failed
and those off target, over all cases.

{_scoreboard(judged)}

## Verdicts at N = {n:,}

{_legend()}

{_verdict_table(judged[judged["n"] == n])}

Other N and all values: [tables/](tables/).

## Plots

![images](plots/images.png)
{pictures}

## How

The floor is undamaged training images against as many test images. All sets of one N are equally
large; damage is done to the same training images, rounded to bytes. The memorisation metrics see
the training images that *memorised* copies, and validation images as held-out; copied images are
no part of the test images. Classes are left out in the order {_classes(study)}.

{damage}

{sizes}{absent}

Left out: reconstruction errors, feature error for denoising and latent diagnostics, which do not
compare sets of images; extractors that need a download; KID over random subsets at N = 1,000 or
less, where a subset is the whole set; the mid and strong severities, repetition and memorisation
at the largest N. PRD averages {OPTIONS["runs"]} clusterings and KID {OPTIONS["subsets"]} subsets,
fewer than the defaults, to save time. FD where N does not exceed the number of features has no
standard error of its own; its spread over repeats stands in. Reported standard errors of
neighbour metrics take the balls as given: where there are no repeats they are multiplied by the
ratio in the last point of the reading, if it is above 1.

## Provenance

{_provenance(study, rows, path)}
"""


def _missing(study: Study, rows: pd.DataFrame) -> list[str]:
    """Names the sets of each extractor and N that the study wants and that are not there."""
    columns = (rows["features"].map(short), rows["n"], rows["kind"], rows["severity"])
    there = set(zip(*columns, strict=True))
    texts = []
    for features in study.extractors:
        for size in study.sizes:
            wanted = [d for d in all_damages() if size.wants(d)]
            gone = [d for d in wanted if (features, size.n, d.kind, d.severity) not in there]
            if gone:
                texts.append(f"{len(gone)} of {len(wanted)} sets on {features} at N = {size.n:,}")
    return texts


def _describe(size: Size) -> str:
    once = f" ({', '.join(size.once)} in the first only)" if size.once else ""
    kinds = "all damage" if len(size.kinds) == len(LEVELS) else ", ".join(size.kinds)
    severities = ", ".join(str(s) for s in size.severities if s)
    return (
        f"N = {size.n:,}: {', '.join(size.metrics)}; {size.repeats} disjoint repeat(s){once}; "
        f"{kinds} at severity {severities}."
    )


def _classes(study: Study) -> str:
    from .sets import class_order

    return ", ".join(map(str, class_order(study.seed)))


def _provenance(study: Study, rows: pd.DataFrame, path: Path) -> str:
    settings = hashlib.sha256(canonical_json([asdict(study), LEVELS, OPTIONS]).encode())
    entries = {
        "study (settings and metric code)": rows["study"].iloc[0],
        "settings": settings.hexdigest()[:12],
        "results.csv (SHA-256)": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        "commit": ", ".join(sorted({str(c) for c in rows["commit"].fillna("unknown")})),
        "date": f"{rows['date'].min()} to {rows['date'].max()}",
        "seed": study.seed,
        "features": ", ".join(dict.fromkeys(rows["features"])),
        "data": f"{study.dataset}, {load_dataset(study.dataset).digest[:16]}",
        "device": device_name("cpu"),
        "scores": len(rows),
        "seconds of metrics": f"{_seconds(rows):.0f} (CPU)",
        **json.loads(versions()),
    }
    return _markdown(["what", "value"], [[k, str(v)] for k, v in entries.items()])


def _seconds(rows: pd.DataFrame) -> float:
    """Sums the time of metrics, each of which stands in the line of every score."""
    family = rows["metric"].map(lambda m: str(m).removesuffix("_full")).replace(FAMILY)
    keys = [rows[c] for c in ("features", "n", "repeat", "kind", "severity")]
    return float(rows["seconds"].groupby([*keys, family]).max().sum())


FAMILY = {
    "prd_f1/8": "prd_f8",
    "recall": "precision",
    "coverage": "density",
    "authpct": "nn_ratio",
}


def _markdown(header: list[str], lines: list[list[str]]) -> str:
    ruled = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in ruled) + "\n"
