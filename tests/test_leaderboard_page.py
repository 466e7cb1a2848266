"""The page of the leaderboard: its study, its boards, its cards, its pictures, and its size."""

from __future__ import annotations

import base64
import io
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.significance import paired_p_values, unseparated_groups
from aebench.bench.leaderboard import page as page_module
from aebench.bench.leaderboard.boards import board_key
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.leaderboard.commands import Commands
from aebench.bench.leaderboard.pictures import Pictures
from aebench.bench.leaderboard.study import family_of, opening_of
from aebench.bench.records.results import write_results
from aebench.bench.suites.suite import load_suite
from aebench.bench.tables.boards import SHARED, board_entries, board_tables
from PIL import Image
from scipy import stats

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows, study_rows, write_runs = (
    FACTORY[name]
    for name in (
        *("frame", "make_row", "table_rows", "likelihood_rows", "study_rows", "write_runs"),
    )
)
content_of = runpy.run_path(str(Path(__file__).with_name("shown.py")))["content_of"]
GOLDEN = Path(__file__).parent / "golden" / "schema-1" / "results"


def built(folder, rows, **files):
    """Returns the content of the page over rows of one suite."""
    write_runs(folder / "suite", rows, **{"log": False, "arrays": False} | files)
    return content_of(build_leaderboard([folder / "suite"], folder)[2])


def board_of(content, of, score="Fréchet distance ↓"):
    return next(b for b in content["boards"] if (b["score"], b["of"]) == (score, of))


@pytest.fixture(scope="module")
def study():
    return frame(study_rows())


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    rows = table_rows(objectives=("vae", "rae", "ae"), seeds=range(6))
    return built(tmp_path_factory.mktemp("quick"), rows, log=True, arrays=True)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_entries_are_listed_by_mean_best_first_and_those_without_one_last(better):
    rows = table_rows(better=better)
    rows.append(make_row(objective="rae-sn", status="diverged", metric="loss", images="test"))
    entries = [e for e in board_entries(frame(rows)) if e["place"] == "Rec"]
    means = [entry["mean"] for entry in entries]
    assert means[-1] is None and None not in means[:-1]
    assert means[:-1] == sorted(means[:-1], reverse=better == "higher")


def test_a_group_of_neighbours_holds_no_two_that_the_seeds_separate():
    rows = [r for r in table_rows(seeds=range(6)) if r["images"] == "reconstruction"]
    rows = [r for r in rows if r["objective"] != "floor"]
    entries = board_entries(frame(rows))
    values = {e["objective"]: {} for e in entries}
    for row in rows:
        values[row["objective"]][row["seed"]] = row["value"]
    groups = {}
    for entry in entries:
        groups.setdefault(entry["group"], []).append(entry["objective"])
    assert list(groups) == list(range(len(groups))) and len(groups) > 1
    # Five methods make ten pairs, the least p-value of which is multiplied by ten.
    for own in groups.values():
        pairs = [(values[a], values[b]) for a in own for b in own if a < b]
        assert all(10 * p >= 0.05 for p in paired_p_values(pairs))


def test_groups_end_where_one_is_ahead_whichever_stands_first():
    assert unseparated_groups("abc", {"a": set(), "b": {"a"}, "c": set()}) == [0, 1, 1]
    assert unseparated_groups("abc", {"a": {"c"}, "b": set(), "c": set()}) == [0, 0, 1]
    assert unseparated_groups("ab", {}) == [0, 0]


def test_ranks_that_neighbours_share_stand_once_in_markdown():
    [table] = board_tables(board_entries(frame([make_row(objective=o) for o in "abc"])))
    ranks = [label for label, _ in table.lines]
    assert ranks == ["1 to 3", SHARED, SHARED]


def test_a_lone_entry_has_no_rank(tmp_path):
    content = built(tmp_path, [make_row(objective="rae")])
    [board] = content["boards"]
    assert len(board["rows"]) == 1 and "rank" not in board["rows"][0]


def test_likelihoods_carry_their_direction_on_boards_and_beside_other_scores(tmp_path):
    rows = likelihood_rows(levels={"vae": 4.0, "aef-center": 4.5, "ae": 5.0})
    rows += [
        r
        | {"metric": "fd", "images": "sample", "density": "prior", "kind": "", "model": ""}
        | {"samples_k": None, "trusted": "", "unit": ""}
        for r in rows
    ]
    content = built(tmp_path, rows)
    [bits] = [b for b in content["boards"] if b["of"] == "test images, logit space"]
    assert {row["name"].split(" ")[0]: row["sign"] for row in bits["rows"]} == {
        "vae": "≤",
        "aef-center": "=",
    }
    cards = content["cards"]
    shown = {
        row["name"].split(" ")[0]: cards[row["card"]]["likelihood"]
        for row in board_of(content, "samples, prior")["rows"]
    }
    assert {name: own["sign"] for name, own in shown.items()} == {
        "vae": "≤",
        "aef-center": "=",
        "ae": "c ≤",
    }
    values = [r["value"] for r in rows if r["objective"] == "vae" and r["kind"]]
    assert shown["vae"]["mean"] == pytest.approx(np.mean(values), rel=1e-5)


def test_two_likelihoods_of_one_card_are_told_apart_by_the_density_of_the_completed(tmp_path):
    rows = likelihood_rows(levels={"vae": 4.0, "iwae": 4.1})
    rows += likelihood_rows(levels={"vae": 4.2}, model="completed", density="gmm-10")
    [board] = built(tmp_path, rows)["boards"]
    own = [row for row in board["rows"] if row["name"].startswith("vae")]
    assert len(own) == 2 and len({row["card"] for row in own}) == 1
    found = [(row.get("model"), row.get("density")) for row in own]
    assert found == [(None, None), ("completed", "gmm-10")]


def test_the_sentence_and_the_chart_are_those_of_the_rows(study):
    runs = frame(study_rows())
    models = {run: type("Model", (), {"key": run}) for run in runs["run"]}
    opening = opening_of(study, models)
    points = {point["name"]: point for point in opening.points}
    own = study[(study["metric"] == "fd") & (study["steps"].isin([10000, 1800]))]
    own = own[~own["variant"].str.contains("tuned") & (own["images"] == "sample")]
    best = {}
    for (objective, space, _), of in own.groupby(["objective", "space", "density"]):
        best.setdefault((objective, space), []).append(float(of["value"].mean()))
    means = {f"{o} ({s})": min(found) for (o, s), found in best.items()}
    assert {name: point["mean"] for name, point in points.items()} == pytest.approx(
        means, rel=1e-5
    )
    assert list(points) == sorted(means, key=means.get)
    least = min(means, key=means.get)
    assert (
        f"samples of {least} come closest to real images: FD {means[least]:.0f} ± "
        in opening.sentence
    )
    seconds = own[(own["objective"] == "iwae")]["compute_seconds"].mean()
    assert points["iwae (logit)"]["seconds"] == pytest.approx(seconds, abs=0.05)
    assert len(opening.table.lines) == len(points)
    assert "Real images score" in " ".join(opening.notes)


@pytest.mark.parametrize(
    ("seeds", "decided"),
    [
        (
            range(2),
            "2 seeds. Nothing is said of its rank: all rows share only 2 of the 5 seeds needed.",
        ),
        (range(6), "which put it ahead of all 4 others."),
    ],
)
def test_the_sentence_says_what_the_seeds_decide(seeds, decided):
    rows = table_rows(seeds=seeds, noise=0.001)
    rows = [row | {"value": row["value"] + (row["objective"] == "vae")} for row in rows]
    models = {row["run"]: type("Model", (), {"key": row["run"]}) for row in rows}
    sentence = opening_of(frame(rows), models).sentence
    assert "samples of rae-gp come closest" in sentence and sentence.endswith(decided)


def test_the_sentence_is_corrected_for_the_comparisons_with_the_best_alone():
    rows = table_rows(objectives=("rae", "ae", "vae", "wae-mmd"), seeds=range(5))
    shape = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    p_values = {"ae": 0.04, "vae": 0.02, "wae-mmd": 0.012}
    for row in rows:
        row["value"] = 30.0
        if row["objective"] in p_values:  # One more on average, with the p-value against "rae".
            error = 1 / stats.t.isf(p_values[row["objective"]] / 2, 4)
            scale = error * 5**0.5 / shape.std(ddof=1)
            row["value"] += 1 + scale * shape[row["seed"]]
    models = {row["run"]: type("Model", (), {"key": row["run"]}) for row in rows}
    # By Holm's rule 0.036, 0.04 and 0.04; over all six pairs none would be below 0.05.
    sentence = opening_of(frame(rows), models).sentence
    assert "samples of rae come closest" in sentence and sentence.endswith("of all 3 others.")
    assert sentence.startswith("Among models at default settings on fashion-mini")


def test_seconds_are_rounded_once_in_the_table_of_the_chart():
    rows = [row | {"compute_seconds": 363.473} for row in study_rows(seeds=range(2))]
    models = {row["run"]: type("Model", (), {"key": row["run"]}) for row in rows}
    opening = opening_of(frame(rows), models)
    [at] = [i for i, (_, name) in enumerate(opening.table.columns) if name.endswith(" s")]
    assert {cells[at].text for _, cells in opening.table.lines} == {"363"}
    assert {f"{point['seconds']:.0f}" for point in opening.points} == {"363"}


def test_rows_that_compare_no_families_open_with_how_much_there_is(tmp_path):
    write_runs(tmp_path / "s", [make_row(objective="rae")], arrays=False, log=False)
    text = build_leaderboard([tmp_path / "s"], tmp_path)[2].read_text()
    assert "<h1>1 entry on 1 board</h1>" in text and '<div id="chart">' not in text


def test_families_follow_from_the_names_of_objectives():
    names = ("vae", "cv-vae", "2svae", "iwae", "GVAE", "aef-linear", "wae-mmd", "rae-l2", "ae")
    found = [family_of(name) for name in names]
    assert found[:5] == ["variational"] * 5 and found[7:] == ["regularised"] * 2
    assert found[5:7] == ["autoencoding flow", "Wasserstein"]
    assert {family_of(name) for name in ("maf", "", "<b>", "\u202eeav")} == {"other"}


def pixels_of(shown):
    data = base64.b64decode(shown["source"].removeprefix("data:image/png;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert picture.shape[:2] == (shown["height"], shown["width"])
    return picture


@pytest.mark.parametrize(("channels", "side", "shown"), [(1, 28, 8), (3, 32, 8), (3, 128, 4)])
def test_a_strip_holds_the_images_pixel_by_pixel(channels, side, shown):
    images = np.random.default_rng(0).integers(0, 256, (9, channels, side, side)).astype(np.uint8)
    files = type("Files", (), {"arrays": lambda self, run: {"test": images}})()
    pictures = Pictures()
    name = pictures.add([("run", files)], "fashion-mini", "test")
    picture = pixels_of(pictures.found[name])
    opaque = picture[..., 3] == 255
    assert opaque.sum() == shown * side * side and set(np.unique(picture[..., 3])) == {0, 255}
    lines = picture[opaque.any(axis=1)]
    wide = int(opaque[0].sum()) // side
    whole = [
        lines[row * side : (row + 1) * side, column * (side + 1) : column * (side + 1) + side, :3]
        for row in range(shown // wide)
        for column in range(wide)
    ]
    expected = np.broadcast_to(np.moveaxis(images[:shown], 1, -1), (shown, side, side, 3))
    assert np.array_equal(np.stack(whole), expected)


def test_each_row_shows_what_its_own_score_is_of(quick, tmp_path):
    arrays = FACTORY["picture_arrays"](make_row(objective="vae"), 0)
    for of, name in {
        "reconstructions": "reconstruction",
        "samples, GMM-10": "sample_gmm-10",
        "samples, prior": "sample_prior",
        "interpolations": "interpolation",
    }.items():
        row = next(r for r in board_of(quick, of)["rows"] if r["name"] == "vae")
        first = pixels_of(quick["pictures"][row["picture"]])[:28, :28, 0]
        saved = arrays[name][0, 0] if name == "interpolation" else arrays[name][0]
        assert np.array_equal(first, saved[0])


def test_a_card_says_how_its_model_was_made(quick):
    row = next(r for r in board_of(quick, "reconstructions")["rows"] if r["name"] == "rae")
    card = quick["cards"][row["card"]]
    assert [run[0] for run in card["runs"]] == list(range(6))
    captions = [caption for caption, key in card["pictures"] if key in quick["pictures"]]
    assert captions[:2] == ["test images", "their reconstructions"]
    assert captions[-1] == "interpolation" and "samples, gmm-10" in captions
    [(term, splits)] = card["curves"]
    assert term == "distortion" and set(splits) == {"train", "validation"}
    assert splits["validation"][0] == [0, 222.0] and splits["validation"][-1] == [450, 42.0]
    facts = {title: dict(quick["facts"][at] for at in own) for title, own in card["facts"]}
    assert facts["Model"]["objective"] == "rae" and facts["Model"]["latent size"] == "16"
    assert list(facts) == ["Model", "Training", "Provenance"]


def test_the_command_of_a_card_lists_its_runs():
    suite = load_suite("quick")
    config = next(c for c in suite.configs if c.objective == "rae-l2")
    rows = [{"suite": "quick", "scale": suite.label, "run": config.digest, "seed": config.seed}]
    words = shlex.split(Commands().of(rows))
    assert words[:3] == ["aebench", "run", "quick"]
    at = words.index("--only")
    only = dict(word.split("=") for word in words[at + 1 : words.index("--seeds")])
    seeds = [int(seed) for seed in words[-1].split(",")]
    scale = words[words.index("--set") + 1].partition("=")[2]
    again = load_suite("quick", settings={"scale": scale}, only=only, seeds=seeds)
    assert [c.digest for c in again.configs] == [config.digest]


@pytest.mark.parametrize(
    "changes", [{"suite": "of my own"}, {"scale": "no such scale"}, {"run": "0" * 16}]
)
def test_runs_that_no_packaged_suite_lists_have_no_command(changes):
    suite = load_suite("quick")
    config = suite.configs[0]
    row = {"suite": "quick", "scale": suite.label, "run": config.digest, "seed": config.seed}
    assert Commands().of([row]) and Commands().of([row | changes]) == ""


def test_a_link_to_a_board_or_card_does_not_depend_on_other_rows(tmp_path):
    rows = table_rows(objectives=("vae", "rae"), seeds=(0, 1))
    few = built(tmp_path / "few", rows)
    more = built(tmp_path / "more", rows + table_rows(objectives=("ae",), seeds=(0, 1)))
    assert {b["key"] for b in few["boards"]} <= {b["key"] for b in more["boards"]}
    assert set(few["cards"]) < set(more["cards"])
    one, two = board_entries(frame(table_rows(objectives=("vae",), seeds=(0,))))[:2]
    assert board_key(one) != board_key(two)


def test_pictures_beyond_the_size_of_a_page_are_left_out_the_last_first(tmp_path, monkeypatch):
    rows = table_rows(objectives=("vae", "rae", "ae"), seeds=(0,))
    write_runs(tmp_path / "suite", rows, log=False)
    path = build_leaderboard([tmp_path / "suite"], tmp_path)[2]
    whole, size = content_of(path), path.stat().st_size
    assert whole["left_out"] == 0
    monkeypatch.setattr(page_module, "LARGEST", size - 20_000)
    path = build_leaderboard([tmp_path / "suite"], tmp_path)[2]
    less = content_of(path)
    assert path.stat().st_size <= size - 20_000
    gone = len(whole["pictures"]) - len(less["pictures"])
    assert less["left_out"] == gone > 0
    rows = [row for board in less["boards"] for row in board["rows"]]
    cards = [key for card in less["cards"].values() for _, key in card["pictures"]]
    shown = less["pictures"]
    assert sum(r["picture"] in shown for r in rows) / len(rows) > sum(
        key in shown for key in cards
    ) / len(cards)


def test_results_of_an_older_version_have_boards_and_cards(tmp_path):
    content = content_of(build_leaderboard([GOLDEN], tmp_path)[2])
    assert content["boards"] and content["cards"]
    assert content["first"] in {board["key"] for board in content["boards"]}


def test_five_hundred_methods_are_listed_without_ranks(tmp_path):
    rows = [make_row(variant=f'{{"beta":{i}}}', value=float(i)) for i in range(500)]
    (tmp_path / "s").mkdir()
    write_results(tmp_path / "s" / "results.csv", frame(rows))
    [board] = content_of(build_leaderboard([tmp_path / "s"], tmp_path)[2])["boards"]
    assert len(board["rows"]) == 500 and "500 entries" in board["unranked"]
    assert not any("rank" in row for row in board["rows"])
