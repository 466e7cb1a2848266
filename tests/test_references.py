"""Real images, whole, blurred and noisy, in the place of generated ones: scored, never ranked."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import torch
from aebench.bench.comparison.labels import REFERENCES
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.pages.claims import findings, reading
from aebench.bench.pages.staleness import staleness
from aebench.bench.regression.trained import compare_trained
from aebench.bench.runs import runner
from aebench.bench.tables.boards import board_entries, board_tables
from aebench.bench.tables.cost import cost_tables
from aebench.bench.tables.paired import paired_scores, with_methods
from aebench.bench.tables.pivot import grid_tables
from aebench.bench.tables.wide import wide_tables
from aebench.metrics import frechet_distance
from aebench.metrics.damage import add_noise, blur
from aebench.models.streams import stream

FACTORY = runpy.run_path(str(Path(__file__).parent / "row_factory.py"))
make_row, table_rows, frame = (FACTORY[n] for n in ("make_row", "table_rows", "frame"))
likelihood_rows = FACTORY["likelihood_rows"]
ONE = ('["ae", "vae"]', '"ae"')
LEVELS = {"blur": 33.0, "noise": 41.5}


def damaged(**columns):
    """Returns the rows of damaged real images, as a run writes them."""
    return [
        make_row(
            objective=name, backbone="", backbone_hash="", latent_dim=0, run=name * 4,
            **{"value": value, **columns},
        )
        for name, value in LEVELS.items()
    ]  # fmt: skip


def rows_by_name(out):
    found = {}
    for path in (out / "runs").glob("floor-*/result.json"):
        for row in json.loads(path.read_text())["rows"]:
            found.setdefault(row["objective"], {})[row["metric"]] = row
    return found


def test_held_out_images_are_scored_whole_blurred_and_noisy(suite_file, aebench, tmp_path):
    metrics = ('["reconstruction"]', '["frechet", "kernel", "reconstruction"]')
    suite = suite_file(ONE, metrics)
    assert aebench(suite)[0] == 0
    found, data = rows_by_name(tmp_path / "out"), runner.dataset("digits", "default")
    assert set(found) == set(REFERENCES)
    held = data.validation[:20]
    sets = {
        "floor": held,
        "blur": blur(held, 1.0),
        "noise": add_noise(held, 20, stream(0, "reference/noise")),
    }
    real = data.test[:20].flatten(1).float().numpy() / 255
    for name, images in sets.items():
        generated = images.flatten(1).float().numpy() / 255
        expected = frechet_distance(real=real, generated=generated)
        row = found[name]["fd"]
        assert row["value"] == pytest.approx(expected, rel=1e-3)
        assert (row["n_real"], row["n_generated"], row["status"]) == (20, 20, "ok")
        # What compares pairs of an image and its reconstruction has nothing to compare here.
        assert {"fd", "kid_full"} <= set(found[name]) and "mse" not in found[name]
    assert len({row["fd"]["recipe"] for row in found.values()}) == 3
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("runs/floor-*/result.json")}
    assert aebench(suite)[0] == 0
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_a_part_of_a_suite_keeps_the_references_of_the_whole(suite_file, aebench, tmp_path):
    block = 'dataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\n'
    less = 'evaluation = {metrics = ["frechet"], likelihood_samples = 9}\n'
    suite = suite_file(
        ('["ae", "vae"]\n', f'"ae"\n[[runs]]\n{block}objective = "vae"\n{less}'),
        ('["reconstruction"]', '["frechet", "kernel"]'),
    )
    assert aebench(suite)[0] == 0
    files = {p: p.read_bytes() for p in (tmp_path / "out").glob("runs/floor-*/result.json")}
    assert {"fd", "kid_full"} <= set(rows_by_name(tmp_path / "out")["floor"])
    assert aebench(suite, "--only", "objective=vae")[0] == 0
    assert len(files) == 3 and files == {path: path.read_bytes() for path in files}


def test_damage_of_other_code_is_scored_again(suite_file, aebench, tmp_path, monkeypatch):
    from aebench.bench.runs import floor

    suite = suite_file(ONE, ('["reconstruction"]', '["frechet"]'))
    aebench(suite)
    before = rows_by_name(tmp_path / "out")
    monkeypatch.setattr(floor, "code_digest", lambda *names: "another")
    monkeypatch.setattr(floor, "BLUR", 2.0)
    aebench(suite)
    after = rows_by_name(tmp_path / "out")
    assert before["floor"] == after["floor"]
    assert before["blur"]["fd"]["value"] < after["blur"]["fd"]["value"]
    assert before["noise"]["fd"]["value"] == after["noise"]["fd"]["value"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 2)])
def test_images_smaller_than_the_blur_reaches_are_blurred_as_far_as_they_go(shape):
    images = torch.arange(2 * 3 * shape[0] * shape[1]).reshape(2, 3, *shape).to(torch.uint8)
    blurred = blur(images, 1.0)
    assert blurred.shape == images.shape
    level = torch.full_like(images, 77)
    assert torch.equal(blur(level, 1.0), level)


def test_the_lines_of_real_images_come_first_and_carry_neither_mark_nor_seeds():
    rows = table_rows(seeds=range(6)) + damaged()
    (table,) = wide_tables(frame(rows))
    assert [label for label, _ in table.lines][:4] == ["floor", "blur", "noise", "vae"]
    cells = {label: own for label, own in table.lines}
    assert cells["blur"][0].text == "33.00 (1)" and cells["noise"][0].text == "41.50 (1)"
    for name in REFERENCES:
        assert {cell.mark for cell in cells[name]} == {""}
        assert not any(cell.warnings for cell in cells[name])
    assert (
        "floor, blur, noise: held-out real images as they are, with one pixel of blur, with noise "
        "of 20 of 255 grey levels."
    ) in table.notes


def test_a_mean_that_is_worse_than_damaged_real_images_has_a_footnote():
    rows = table_rows(noise=0) + damaged()
    (table,) = wide_tables(frame(rows))
    names = [name for _, name in table.columns]
    cells = {(label, n): c for label, own in table.lines for n, c in zip(names, own, strict=True)}
    blurred, noisy = (f"worse than real images {REFERENCES[name]}" for name in LEVELS)
    # Means: rae 31 and 40 (prior: + 9), vae 40 and 50 (+ 10), with the mixture + 2.
    assert cells["rae", "Rec"].warnings == ()
    assert cells["rae", "GMM-10"].warnings == ()
    assert cells["rae", "N(0,I) / N"].warnings == (blurred,)
    assert cells["vae", "Rec"].warnings == (blurred,)
    assert cells["vae", "N(0,I) / N"].warnings == (blurred, noisy)
    text = table.as_markdown()
    assert "40.00 ± 0.00 (3) ¹" in text and f"¹ {blurred}. ² {noisy}." in text


def test_where_a_higher_score_is_better_a_lower_one_loses():
    more = {"metric": "prd_f8", "unit": "share", "better": "higher"}
    rows = [
        *(make_row(objective="floor", run="f" * 16, value=0.99, **more),),
        *damaged(value=0.5, **more),
        make_row(objective="vae", value=0.4, **more),
        make_row(objective="ae", value=0.6, **more),
    ]
    (table,) = wide_tables(frame(rows))
    assert {label: len(own[0].warnings) for label, own in table.lines} == {
        **dict.fromkeys(REFERENCES, 0),
        **{"vae": 2, "ae": 0},
    }


def test_tables_over_latent_sizes_and_at_equal_cost_have_the_lines_of_real_images():
    floor = make_row(objective="floor", latent_dim=0, backbone_hash="", value=0.8, run="f" * 16)
    trained = [
        row | {"backbone_hash": f"{size:064d}"}
        for size in (2, 8)
        for row in table_rows(latent_dim=size)
        if row["objective"] != "floor"
    ]
    rows = [floor, *damaged(), *trained, *likelihood_rows(sizes=(2, 8))]
    tables = {table.name: table for table in grid_tables(frame(rows))}
    labels = [label for label, _ in tables["grid-fd"].lines]
    assert labels[:4] == ["floor", "blur", "noise", "vae (unit)"]
    assert not set(REFERENCES) & {label for label, _ in tables["grid-bits_per_dim"].lines}
    costs = {"vae": 10.0, "ae": 10.5, "rae": 40.0}
    priced = [r | {"compute_seconds": costs.get(r["objective"], 80.0)} for r in table_rows()]
    (table,) = cost_tables(frame(priced + damaged()))
    lines = dict(table.lines)
    assert list(lines)[:4] == ["floor", "blur", "noise", "vae"]
    assert [cell.text for cell in lines["noise"][:4]] == ["-", "-", "-", "41.50 (1)"]
    assert [len(lines[name][3].warnings) for name in ("vae", "rae")] == [1, 0]


def test_real_images_are_no_methods_to_boards_claims_and_checks(tmp_path):
    rows = table_rows(seeds=range(6), metrics=("fd", "kid")) + likelihood_rows(seeds=range(6))
    more = rows + damaged()
    boards = [board_entries(frame(own)) for own in (rows, more)]
    alone, beside = ([{**e, "references": ""} for e in entries] for entries in boards)
    assert alone == beside
    assert findings(frame(more), {}) == findings(frame(rows), {})
    told = [reading(frame(own), findings(frame(own), {})) for own in (rows, more)]
    assert told[0] == told[1]
    files = RunFiles(tmp_path)
    assert staleness(tmp_path, frame(more), files) == staleness(tmp_path, frame(rows), files)
    p_values = []
    for own in (rows, more):
        moved = [row | {"value": row["value"] + 0.1 * row["seed"]} for row in own]
        pair = with_methods([frame(own), frame(moved)])
        p_values.append({s.row["method"]: s.p_value for s in paired_scores(*pair)})
    assert all(p_values[1][name] == 1.0 for name in REFERENCES)
    assert {n: p for n, p in p_values[1].items() if n not in LEVELS} == p_values[0]


def test_a_board_says_what_real_images_have_at_its_counts_and_a_board_of_other_counts_does_not():
    rows = table_rows() + damaged() + likelihood_rows()
    rows += [make_row(objective="ae", n_real=50, n_generated=50, suite="other")]
    tables = {t.title: t.as_markdown() for t in board_tables(board_entries(frame(rows)))}
    told = re.compile(
        r"not ranked: floor \(as they are\) 0\.8\S*, blur \(with one pixel of blur\) 33\S*, noise "
        r"\(with noise of 20 of 255 grey levels\) 41\.5\d*\."
    )
    assert len(tables) > 4
    for title, text in tables.items():
        assert bool(told.search(text)) == ("Fréchet" in title and "other" not in title), title


def test_a_check_holds_damaged_images_to_their_value_as_it_does_the_floor():
    rows = table_rows(seeds=range(3))
    before = frame(rows + damaged())
    assert [s.sight.name for s in compare_trained(before, before).changes if s.exact]
    for name, value in LEVELS.items():
        moved = [r | {"value": 1.1 * value} if r["objective"] == name else r for r in damaged()]
        (worse,) = [c for c in compare_trained(before, frame(rows + moved)).changes if c.is_worse]
        assert name in worse.sight.name and worse.exact
    old = compare_trained(frame(rows), before)
    assert not old.missing and len(old.unknown) == 2


def test_rows_of_an_older_run_have_the_floor_alone_and_no_sentence_on_it():
    (table,) = wide_tables(frame(table_rows()))
    assert [label for label, _ in table.lines][:2] == ["floor", "vae"]
    assert not any("real images" in note for note in table.notes)
    assert not any(cell.warnings for _, own in table.lines for cell in own)
