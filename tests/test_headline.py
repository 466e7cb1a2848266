"""The headline's marks and last line, recomputed from the rows by other means."""

from __future__ import annotations

import csv
import json
import math
import random
import runpy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.table import Cell, Table
from aebench.bench.leaderboard.page import as_html
from aebench.bench.records.results import read_results, write_results
from aebench.bench.suites.config import Tuning
from aebench.bench.tables.headline import SHOWN, headline_tables
from aebench.bench.tables.wide import wide_tables
from scipy import optimize, stats

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, study_rows = (FACTORY[name] for name in ("frame", "make_row", "study_rows"))
RESULTS = Path(__file__).parent.parent / "results"
STUDY = RESULTS / "families-fashion-mnist-medium"
REFERENCES = ("floor", "blur", "noise")
OWN = ("second-stage", "prior", "gaussian")
FITTED = "cv-vae"  # Sampled from one Gaussian in the RAE paper, although it has a prior.


def folders():
    """Returns the committed comparisons of families."""
    return sorted(path.parent for path in RESULTS.glob("families-*/results.csv"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder of rows in the shape of the study: five seeds, three counts of steps, tuned."""
    folder = tmp_path_factory.mktemp("study")
    write_results(folder / "results.csv", frame(study_rows()))
    return folder


def label_of(row, spaces):
    """Returns a method's name as the tables have it."""
    options = json.loads(row["variant"] or "{}")
    tuned = ["tuned"] if options.pop("tuned", False) else []
    shown = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in sorted(options.items())
    ]
    notes = [", ".join(shown + tuned), row["space"] if spaces > 1 else ""]
    text = "; ".join(note for note in notes if note)
    return f"{row['objective']} ({text})" if text else row["objective"]


def values_of(folder):
    """Returns, from the CSV alone: score, method and seed of the longest trainings' values."""
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["objective"] not in REFERENCES]
    spaces = len({row["space"] for row in rows})
    steps, found, kinds, order = {}, {}, {}, {}
    likely = set()  # With a likelihood of their own: no other stands for it, trusted or not.
    for row in rows:
        name = label_of(row, spaces)
        steps[name] = max(steps.get(name, 0), int(row["steps"]))
        if row["metric"] == "bits_per_dim" and row["model"] == "native" and row["value"]:
            likely.add(name)
    for row in rows:
        name = label_of(row, spaces)
        good = row["status"] == "ok" and row["trusted"] != "no"
        if int(row["steps"]) < steps[name] or not good:
            continue
        seed, value = int(row["seed"]), float(row["value"])
        if row["metric"] == "fd" and row["images"] == "reconstruction":
            found.setdefault("FD rec", {}).setdefault(name, {})[seed] = value
        if row["images"] == "sample" and row["density"] in (*OWN, "gmm-10"):
            key = (row["metric"], name, row["density"])
            found.setdefault("samples", {}).setdefault(key, {})[seed] = value
        if row["metric"] == "bits_per_dim" and row["space"] == "logit":
            if row["model"] != "native" and name in likely:
                continue
            rank = (row["model"] != "native", -int(row["samples_k"] or 0), row["density"])
            seeds = found.setdefault("bits/dim", {}).setdefault(name, {})
            if rank <= order.get((name, seed), rank):
                seeds[seed], order[name, seed] = value, rank
                kinds[name] = row["kind"]
    return by_column(found), kinds


def by_column(found):
    samples = found.pop("samples")
    names = sorted({name for _, name, _ in samples})
    better = {}
    for name in names:
        order = OWN[::-1] if name.split()[0] == FITTED else OWN
        densities = [d for d in order if ("fd", name, d) in samples][:1]
        densities += ["gmm-10"] * (("fd", name, "gmm-10") in samples)
        means = {d: np.mean(list(samples["fd", name, d].values())) for d in densities}
        for density in densities:
            column = "FD GMM-10" if density == "gmm-10" else "FD own"
            found.setdefault(column, {})[name] = samples["fd", name, density]
        if means:
            better[name] = min(means, key=means.get)
    for metric, column in (("prd_f8", "F_8"), ("prd_f1/8", "F_1/8")):
        for name, density in better.items():
            if (metric, name, density) in samples:
                found.setdefault(column, {})[name] = samples[metric, name, density]
    return found


def marks_of(seeds, lower, bounds):
    """Marks by the rules in words: paired t-tests against the best, Holm, five shared seeds."""
    shared = sorted(set.intersection(*(set(own) for own in seeds.values())))
    if len(shared) < 5 or len(seeds) < 2:
        return {}
    table = {name: np.array([own[s] for s in shared]) for name, own in seeds.items()}
    best = min(table, key=lambda name: table[name].mean() * (1 if lower else -1))
    p = {
        n: stats.ttest_1samp(own - table[best], 0).pvalue for n, own in table.items() if n != best
    }
    rejected = set()
    for step, name in enumerate(sorted(p, key=p.get)):
        if p[name] * (len(p) - step) >= 0.05:
            break
        rejected.add(name)
    tied = [name for name in p if name not in rejected or name in bounds]
    if not tied:
        return {best: "best"}
    return {} if len(tied) == len(p) else dict.fromkeys([best, *tied], "tie")


def shown_of(seeds, lower):
    """The last line by another route: the shift of a noncentral t with a power of 0.8."""
    shared = sorted(set.intersection(*(set(own) for own in seeds.values())))
    if len(shared) < 5:
        return None
    table = {name: np.array([own[s] for s in shared]) for name, own in seeds.items()}
    best = min(table, key=lambda name: table[name].mean() * (1 if lower else -1))
    errors = [stats.sem(own - table[best]) for name, own in table.items() if name != best]
    freedom, level = len(shared) - 1, 0.05 / len(errors)
    limit = stats.t.ppf(1 - level / 2, freedom)
    shift = optimize.brentq(lambda d: stats.nct.sf(limit, freedom, d) - 0.8, 0, 20 * limit)
    return shift * float(np.median(errors))


def check(folder):
    rows = read_results(folder).rows
    seen = set()
    for table in headline_tables(rows):
        columns, kinds = values_of(folder)
        for at, (_, name) in enumerate(table.columns):
            stem = name.rstrip(" ↓↑")
            if stem not in columns:
                continue
            seeds, lower = columns[stem], "↓" in name
            bounds = {n for n, kind in kinds.items() if kind == "lower bound"}
            cells = {label: own[at] for label, own in table.lines}
            marks = {label: cell.mark for label, cell in cells.items() if cell.mark}
            assert marks == marks_of(seeds, lower, bounds if stem == "bits/dim" else ()), stem
            for method, own in seeds.items():
                assert cells[method].value == pytest.approx(np.mean(list(own.values())))
            expected = shown_of(seeds, lower)
            assert cells[SHOWN].value == (expected and pytest.approx(expected, rel=1e-4))
            seen |= {stem} | set(marks.values())
    return seen


@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.name)
def test_every_mark_and_mean_of_committed_headlines_follows_from_the_committed_rows(folder):
    check(folder)


def test_every_mark_and_mean_of_a_study_follows_from_its_rows(study):
    columns = {"FD rec", "FD own", "FD GMM-10", "F_8", "F_1/8", "bits/dim"}
    assert check(study) == columns | {"best", "tie"}


def test_reconstructions_of_every_model_of_the_headline_are_better_than_blurred_images():
    [table] = headline_tables(read_results(STUDY).rows)
    cells = {label: own[0] for label, own in table.lines}
    blur = cells["blur"].value
    models = {label for label in cells if label not in (*REFERENCES, SHOWN)}
    assert len(models) > 10
    assert {label for label in models if cells[label].value >= blur} == set()


def test_references_stand_on_top_without_a_mark_and_who_loses_to_one_has_a_footnote(study):
    [table] = headline_tables(read_results(study).rows)
    labels = [label for label, _ in table.lines]
    assert labels[:3] == list(REFERENCES) and labels[-1] == SHOWN
    assert not any(cell.mark for _, cells in table.lines[:3] for cell in cells)
    own = next(at for at, (_, name) in enumerate(table.columns) if "own" in name)
    blur = dict(table.lines)["blur"][own].value
    for label, cells in table.lines[3:-1]:
        warned = any("pixel of blur" in warning for warning in cells[own].warnings)
        assert warned == (cells[own].value is not None and cells[own].value > blur), label
    assert "worse than real images with one pixel of blur" in table.as_markdown()


def test_the_largest_count_of_steps_is_shown_and_others_have_tables_of_their_own(study):
    rows = read_results(study).rows
    [table] = headline_tables(rows)
    at = [name for _, name in table.columns].index("steps")
    assert {cells[at].text for _, cells in table.lines[3:-1]} == {"10,000", "1,800"}
    assert any(note == "Steps: 10,000, but iwae (logit) 1,800." for note in table.notes)
    names = {t.name: t for t in wide_tables(rows)}
    assert {"fd", "fd-steps-3000", "fd-steps-1000"} <= set(names)
    assert "3,000 steps" in names["fd-steps-3000"].title
    lines = {name: {label for label, _ in table.lines} for name, table in names.items()}
    assert "iwae (logit)" in lines["fd"] and "iwae (logit)" not in lines["fd-steps-3000"]
    assert not any("steps=" in label for own in lines.values() for label in own)
    means = [dict(names[n].lines)["rae (unit)"][0].value for n in ("fd-steps-1000", "fd")]
    assert means[0] > means[1] + 100


def test_an_exact_likelihood_and_a_bound_have_their_signs(study):
    [table] = headline_tables(read_results(study).rows)
    at = next(i for i, (_, name) in enumerate(table.columns) if "bits" in name)
    texts = {label: cells[at].text for label, cells in table.lines}
    assert texts["aef-center (logit)"].startswith("= ")
    assert texts["vae (logit)"].startswith("≤ ")
    assert texts["rae (logit)"].startswith("c ≤ ")
    assert texts["rae (unit)"] == "-"


def test_seconds_are_named_by_the_device_that_they_are_of():
    for devices, header in (
        (("cpu (x86_64, 1 threads)",), "CPU s"),
        (("NVIDIA H100",), "GPU s"),
    ):
        rows = [row | {"device": devices[0]} for row in study_rows(seeds=range(2))]
        [table] = headline_tables(frame(rows))
        assert header in [name for _, name in table.columns]


def test_seconds_of_two_devices_are_not_averaged_and_those_of_most_methods_are_shown():
    rows = study_rows(seeds=range(3))
    devices = {0: ("cpu", 300.0), 1: ("NVIDIA H100", 12.0), 2: ("NVIDIA H100", 14.0)}

    def on(row):
        device, seconds = devices[row["seed"]]
        return row | {"device": device, "compute_seconds": seconds}

    def costs(own):
        [table] = headline_tables(frame(own))
        [at] = [i for i, (_, name) in enumerate(table.columns) if name.endswith("PU s")]
        told = " ".join(table.notes)
        values = {
            cells[at].text for label, cells in table.lines if label not in (*REFERENCES, SHOWN)
        }
        return table.columns[at][1], values - {"-"}, told

    mixed = [row if row["objective"] in REFERENCES else on(row) for row in rows]
    name, values, told = costs(mixed)
    assert (name, values) == ("CPU s", {"300"})
    assert "Seconds are those of the runs on cpu, 1 of each model." in told
    # Where one objective lacks a run on the CPU, the GPU's are those that all have.
    lacking = [r for r in mixed if not (r["objective"] == "rae" and r["seed"] == 0)]
    assert costs(lacking)[:2] == ("GPU s", {"13"})


def test_a_suite_without_a_mixture_has_no_headline():
    rows = [row for row in study_rows(seeds=range(2)) if row["density"] != "gmm-10"]
    assert list(headline_tables(frame(rows))) == []


@pytest.mark.parametrize(
    ("images", "told"), [(1000, "; likelihoods of 1000 test images"), (10000, "")]
)
def test_a_caption_says_of_how_many_other_images_its_likelihoods_are(images, told):
    rows = [
        row | {"n_real": images} if row["metric"] == "bits_per_dim" else row
        for row in study_rows(seeds=range(2))
    ]
    [headline] = headline_tables(frame(rows))
    wide = next(table for table in wide_tables(frame(rows)) if table.name.startswith("fd"))
    for table in (headline, wide):
        assert f"Images: 10000 real, 10000 scored{told}." in " ".join(table.notes)


def test_the_order_of_rows_changes_nothing(study):
    mixed = study_rows()
    random.Random(3).shuffle(mixed)
    [first], [second] = (
        list(headline_tables(own)) for own in (read_results(study).rows, frame(mixed))
    )
    assert first.as_csv() == second.as_csv()
    assert first.as_markdown() == second.as_markdown()


def test_a_table_as_html_has_the_caption_and_the_groups_of_its_markdown():
    cut = Cell("0.9 [0.8, 1]", 0.9, 0.2, "2", cut=True)
    columns = (("n_real=50", "Rec"), ("n_real=500", "Rec"))
    lines = (("vae (tuned)", (cut, cut)),)
    table = Table("x", "Title", ("Note.",), "objective", columns, lines, ("Split.",))
    text = as_html(table)
    assert "tuned: the options of the best of" in text and "[a, b]: that interval" in text
    assert "n_real=50: Rec" in text and "n_real=500: Rec" in text


def test_lines_that_are_not_tuned_are_said_to_have_defaults_of_which_not_all_are_a_papers():
    table = Table("x", "Title", (), "objective", (("", "FD"),), (("vae (tuned)", (Cell("1"),)),))
    text = table.as_markdown()
    assert "All other lines have default settings" in text and "published" not in text
    assert "else weights chosen here (docs/equal-care.md)." in text


def test_a_tuned_line_says_how_many_steps_its_trials_have_unless_a_suite_says_otherwise():
    table = Table("x", "Title", (), "objective", (("", "FD"),), (("vae (tuned)", (Cell("1"),)),))
    told = f"{Tuning().steps:,} steps each where a suite sets no other number"
    assert told in table.as_markdown()


def test_the_table_as_html_has_every_text_escaped_and_its_marks(study):
    rows = [make_row(**{**row, "backbone": "<b>"}) for row in study_rows(seeds=range(5))]
    [table] = headline_tables(frame(rows))
    hostile = type(table)(**{**vars(table), "title": "<script>", "corner": "<i>"})
    text = as_html(hostile)
    assert "<script>" not in text and "&lt;script&gt;" in text and "&lt;i&gt;" in text
    assert "<em>" in text and text.count("<tr>") == len(table.lines) + 1


def test_unlike_methods_are_never_one_line(study):
    [table] = headline_tables(read_results(study).rows)
    labels = [label for label, _ in table.lines]
    assert all(a != b for a, b in combinations(labels, 2))
    assert not math.isnan(sum(c.value or 0 for _, cells in table.lines for c in cells))
