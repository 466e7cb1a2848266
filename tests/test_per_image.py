"""Log-likelihoods of single images: kept with runs, and with what is committed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aebench.bench.errors import UserError
from aebench.bench.records.per_image import (
    PerImage,
    ScoreKey,
    gather_per_image,
    key_of,
    of_row,
    read_per_image,
    read_those_of,
    write_per_image,
)

VAE = ScoreKey("a1", "", "log_prob", "lower bound", "native", 100, 3)
BRACKET = ScoreKey("a1", "gmm-10", "bracket", "", "completed", 4, 2)
MAF = ScoreKey("b2", "", "log_prob", "exact", "native", None, 3)
IMAGES = np.arange(3, dtype=np.int32)
SCORES = {
    VAE: PerImage(IMAGES, np.float32([-1.5, 2.25, 1e3]), "lower bound", "no"),
    BRACKET: PerImage(IMAGES[:2], np.float32([1, 2]), "bracket", "yes", np.float32([3, 4])),
    MAF: PerImage(IMAGES, np.float32([7, 8, 9]), "exact"),
}
FILE = "likelihoods.npz"
LIKELIHOODS = """images = 20
likelihood_images = 5
likelihood_samples = 6
likelihood_validation_images = 4
annealing_images = 2
annealing_steps = 2
annealing_chains = 2
"""


def as_lists(scores: dict[ScoreKey, PerImage]) -> Any:
    return {
        key: (
            score.images.tolist(),
            score.values.tolist(),
            score.kind,
            score.trusted,
            None if score.upper is None else score.upper.tolist(),
        )
        for key, score in scores.items()
    }


def test_what_is_written_is_read_whatever_the_order_and_in_the_same_bytes(tmp_path):
    write_per_image(tmp_path / "arrays" / FILE, SCORES)
    assert as_lists(read_per_image(tmp_path)) == as_lists(SCORES)
    other = tmp_path / "other.npz"
    write_per_image(other, dict(reversed(SCORES.items())))
    assert other.read_bytes() == (tmp_path / "arrays" / FILE).read_bytes()
    assert not write_per_image(other, SCORES)


def test_a_run_that_has_rows_takes_the_place_of_all_that_was_committed_of_it(tmp_path):
    write_per_image(tmp_path / "arrays" / FILE, SCORES)
    newer = {VAE: PerImage(IMAGES, np.float32([4, 5, 6]), "lower bound", "yes")}
    write_per_image(tmp_path / "runs" / "a1" / FILE, newer)
    assert as_lists(read_per_image(tmp_path)) == as_lists(SCORES)  # It has no rows yet.
    (tmp_path / "runs" / "a1" / "result.json").touch()
    assert as_lists(read_per_image(tmp_path)) == as_lists(newer | {MAF: SCORES[MAF]})


def test_what_was_gathered_is_the_same_without_the_runs_and_only_of_runs_with_rows(tmp_path):
    for run in ("a1", "b2", "gone"):
        own = {key._replace(run=run): score for key, score in SCORES.items()}
        write_per_image(tmp_path / "runs" / run / FILE, own)
    (path,) = gather_per_image(tmp_path, ["a1", "b2"], read_per_image(tmp_path))
    before = path.read_bytes()
    kept = {key: v for key, v in as_lists(read_per_image(tmp_path)).items() if key.run != "gone"}
    shutil.rmtree(tmp_path / "runs")
    assert as_lists(read_per_image(tmp_path)) == kept
    assert gather_per_image(tmp_path, ["a1", "b2"], read_per_image(tmp_path)) == [path]
    assert path.read_bytes() == before
    assert gather_per_image(tmp_path, [], {}) == []
    assert not path.exists()


def test_images_that_scores_share_are_kept_once(tmp_path):
    images = np.arange(500, dtype=np.int32)
    noise = np.random.default_rng(0).normal(-1700, 300, (40, 500)).astype(np.float32)
    many = {
        VAE._replace(run=f"run{i}", n_images=500): PerImage(images, values, "lower bound", "yes")
        for i, values in enumerate(noise)
    }
    write_per_image(tmp_path / FILE, many)
    assert (tmp_path / FILE).stat().st_size < 4 * noise.size + 4 * 500 + 4000


def row(**changes: Any) -> dict[str, Any]:
    shared = {"run": "a1", "density": "", "model": "native", "status": "ok", "n_generated": None}
    own = {"metric": "log_prob", "kind": "lower bound", "samples_k": 100, "n_real": 3}
    return {**shared, **own, "value": 1000.75 / 3, **changes}


def test_a_row_finds_the_arrays_that_it_is_the_mean_of_also_in_bits():
    assert of_row(row(), SCORES) is SCORES[VAE]
    bits = {"metric": "bits_per_dim", "image_shape": "1x2x2"}
    assert key_of(row(**bits, value=5.0)) == VAE
    value = 8 - 1000.75 / 3 / (4 * np.log(2))
    assert of_row(row(**bits, value=value), SCORES) is SCORES[VAE]
    ends = {"metric": "bracket_gap", "kind": "", "model": "completed", "density": "gmm-10"}
    counts = {"samples_k": 4.0, "n_real": float("nan"), "n_generated": 2}
    assert of_row(row(**ends, **counts, value=2.0), SCORES) is SCORES[BRACKET]


def test_arrays_of_another_evaluation_do_not_speak_for_a_row():
    assert of_row(row(value=330.0), SCORES) is None
    in_bits = row(metric="bits_per_dim", image_shape="1x2x2", value=8 - 330.0 / (4 * np.log(2)))
    assert of_row(in_bits, SCORES) is None
    assert of_row(row(n_real=4), SCORES) is None
    assert of_row(row(samples_k=200), SCORES) is None
    assert key_of(row(metric="ess_below_10")) is None
    assert key_of(row(status="failed", value=None)) is None


def test_of_a_run_in_two_folders_the_arrays_of_its_row_count_in_any_order(tmp_path):
    older = {VAE: PerImage(IMAGES, np.float32([4, 5, 6]), "lower bound", "yes")}
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder, scores in zip(folders, (older, SCORES), strict=True):
        write_per_image(folder / "arrays" / FILE, scores)
    for order in (folders, folders[::-1]):
        assert as_lists(read_those_of(order, [row()])) == as_lists({VAE: SCORES[VAE]})


@pytest.mark.parametrize("damage", ["short", "swapped"])
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "arrays" / FILE
    write_per_image(path, SCORES)
    with np.load(path) as stored:
        arrays = dict(stored)
    if damage == "short":
        arrays["values"] = arrays["values"][:-1]
    else:
        arrays["index"], arrays["values"] = arrays["values"], arrays["index"]
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"likelihoods.npz is damaged .*`aebench run` again"):
        read_per_image(tmp_path)


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = json.loads((folder / "result.json").read_text(encoding="utf-8"))["rows"]
    return [row for row in rows if key_of(row)]


def test_a_run_keeps_what_its_rows_are_means_of_and_computes_it_again_once_lost(
    suite_file, aebench, tmp_path
):
    suite = suite_file(('["ae", "vae"]', '"vae"'), ("images = 20\n", LIKELIHOODS))
    assert aebench(suite)[0] == 0
    out = tmp_path / "out"
    (folder,) = [p for p in (out / "runs").iterdir() if not p.name.startswith("floor")]
    kept = read_per_image(out)
    rows = _rows(folder)
    assert {row["metric"] for row in rows} >= {"log_prob", "bits_per_dim", "bracket_gap"}
    assert {key_of(row) for row in rows} == set(kept)
    for one in rows:
        arrays = of_row(one, kept)
        assert arrays is not None
        if one["metric"] == "bracket_gap":
            assert arrays.upper is not None
            gap = float((arrays.upper - arrays.values).mean(dtype=float))
            assert gap == pytest.approx(one["value"], abs=1e-3)
    before = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(before[:100])
    code, told = aebench(suite)
    assert code == 0 and "1 evaluated" in told
    assert (folder / FILE).read_bytes() == before
