"""Figures over steps and cost, and the picture of samples, against rows and arrays."""

from __future__ import annotations

import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.figures.canvas import as_pixels, save_figure
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.figures.samples import sample_pictures
from aebench.bench.figures.steps import cost_plots, steps_plots
from PIL import Image
from scipy import stats

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, study_rows, table_rows, write_runs, picture_arrays = (
    FACTORY[name]
    for name in ("frame", "make_row", "study_rows", "table_rows", "write_runs", "picture_arrays")
)


def drawn(axis):
    """Returns the points of each line with bars, and the height of each horizontal line."""
    lines = {bars.get_label(): bars.lines[0].get_xydata() for bars in axis.containers}
    flat = {
        line.get_label(): line.get_ydata()[0] for line in axis.lines if len(line.get_xdata()) == 2
    }
    return lines, {name: y for name, y in flat.items() if not name.startswith("_")}


def panels(figure):
    return {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}


@pytest.fixture(scope="module")
def rows():
    return study_rows()


def test_a_line_has_a_point_for_each_count_of_steps_at_the_mean_over_seeds(rows, tmp_path):
    [(name, figure)] = steps_plots(frame(rows), RunFiles(tmp_path))
    axes = panels(figure)
    assert name == "steps"
    assert list(axes) == ["samples of the better density", "reconstructions", "bits/dim, logit"]
    lines, flat = drawn(axes["reconstructions"])
    assert set(flat) == {"floor", "blur", "noise"} and flat["blur"] == 829.0
    assert not any("iwae" in name or "tuned" in name for name in lines)
    own = [
        [
            r["value"]
            for r in rows
            if (r["objective"], r["space"]) == ("vae", "unit")
            and (r["images"], r["metric"], r["steps"]) == ("reconstruction", "fd", steps)
            and not r["variant"]
        ]
        for steps in (1000, 3000, 10000)
    ]
    points = lines["vae (unit)"]
    assert points[:, 0] == pytest.approx([1000, 3000, 10000])
    assert points[:, 1] == pytest.approx([np.mean(values) for values in own])
    [bars] = [c for c in axes["reconstructions"].containers if c.get_label() == "vae (unit)"]
    segments = bars.lines[2][0].get_segments()
    low, high = stats.t.interval(0.95, 4, np.mean(own[0]), stats.sem(own[0]))
    assert segments[0][:, 1] == pytest.approx([low, high])


def test_samples_are_those_of_the_better_density(rows, tmp_path):
    [(_, figure)] = steps_plots(frame(rows), RunFiles(tmp_path))
    lines, _ = drawn(panels(figure)["samples of the better density"])
    mixture = [
        r["value"]
        for r in rows
        if (r["objective"], r["density"]) == ("ae", "gmm-10")
        and (r["metric"], r["steps"]) == ("fd", 10000)
    ]
    assert lines["ae (unit)"][-1, 1] == pytest.approx(np.mean(mixture))


def test_cost_has_the_seconds_of_each_count_and_of_an_objective_of_one_count(rows, tmp_path):
    [(name, figure)] = cost_plots(frame(rows), RunFiles(tmp_path))
    axis = panels(figure)["reconstructions"]
    lines, _ = drawn(axis)
    assert name == "cost" and axis.get_xlabel() == "CPU seconds of one training"
    assert lines["vae (unit)"][:, 0] == pytest.approx([25, 75, 250])
    assert lines["iwae (logit), bits/dim ≤"][:, 0] == pytest.approx([252])


@pytest.mark.parametrize("plots", [steps_plots, cost_plots])
def test_labels_say_what_kind_a_likelihood_is_and_the_title_what_is_left_out(plots, tmp_path):
    rows = [
        row | {"trusted": "no"} if row["kind"] and (row["objective"], seed) == ("vae", 2) else row
        for row in study_rows()
        for seed in [row["seed"]]
    ]
    [(_, figure)] = plots(frame(rows), RunFiles(tmp_path))
    lines, _ = drawn(panels(figure)["bits/dim, logit"])
    signs = {"vae": "≤", "aef-linear": "≤", "aef-center": "=", "rae": "c ≤"}
    assert {f"{name} (logit), bits/dim {sign}" for name, sign in signs.items()} <= set(lines)
    title = figure.get_suptitle().replace("\n", " ")
    assert "bits/dim: = exact, ≤ from a lower bound on the likelihood, c completed" in title
    assert "3 estimates are not trusted and not drawn." in title


def test_without_two_counts_or_without_seconds_nothing_is_drawn(rows, tmp_path):
    files = RunFiles(tmp_path)
    one = frame([row for row in rows if row["steps"] in (0, 10000)])
    assert list(steps_plots(one, files)) == [] and list(cost_plots(one, files)) == []
    unknown = frame([row | {"compute_seconds": None} for row in rows])
    assert len(list(steps_plots(unknown, files))) == 1
    assert list(cost_plots(unknown, files)) == []


@pytest.mark.parametrize("other", [{"metric": "mse"}, {"space": "sequence-released"}])
@pytest.mark.parametrize("plots", [steps_plots, cost_plots])
def test_of_two_counts_without_fd_or_of_strings_nothing_is_drawn(rows, plots, other, tmp_path):
    others = frame([row | other for row in rows if row["metric"] == "fd"])
    assert list(plots(others, RunFiles(tmp_path))) == []


def test_the_picture_shows_samples_of_each_objective_pixel_by_pixel(tmp_path):
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,))
    write_runs(tmp_path, rows, log=False)
    [(name, figure)] = sample_pictures(frame(rows), RunFiles(tmp_path))
    assert name == "samples"
    paths = save_figure(tmp_path, name, figure)
    picture = np.asarray(Image.open(io.BytesIO(paths[0].read_bytes())).convert("L")).astype(int)
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert {"test images", "vae", "ae"} <= texts
    saved = picture_arrays(next(row for row in rows if row["objective"] == "ae"))
    for kind in ("sample_prior", "sample_gmm-10"):
        image = as_pixels(saved[kind])[2][..., 0].repeat(2, axis=0).repeat(2, axis=1).astype(int)
        assert is_in(image, picture), kind


def is_in(image, picture):
    """Returns whether a picture holds an image, to the grey level that 256 colours keep."""
    height, width = image.shape
    windows = np.lib.stride_tricks.sliding_window_view(picture, (height, width))
    probe = np.abs(windows[:, :, ::9, ::9] - image[::9, ::9]).max(axis=(2, 3))
    return any(np.abs(windows[y, x] - image).max() < 9 for y, x in np.argwhere(probe < 9))


def test_tuned_settings_and_runs_without_samples_have_no_line_in_the_picture(tmp_path):
    rows = table_rows(objectives=("vae", "rae"), seeds=(0,))
    rows += [
        make_row(**{**row, "variant": '{"tuned":true}', "run": "", "recipe": ""})
        for row in rows
        if row["objective"] == "rae"
    ]
    write_runs(tmp_path, rows, log=False)
    [(_, figure)] = sample_pictures(frame(rows), RunFiles(tmp_path))
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert "rae" in texts and not any("tuned" in text for text in texts)
    write_runs(tmp_path / "none", rows, arrays=("test",), log=False)
    assert list(sample_pictures(frame(rows), RunFiles(tmp_path / "none"))) == []


def test_a_kind_of_samples_that_no_method_has_takes_no_place_in_the_picture(tmp_path):
    rows = table_rows(objectives=("vae", "rae"), seeds=(0,))
    write_runs(tmp_path, rows, arrays=("test", "sample_prior"), log=False)
    [(_, figure)] = sample_pictures(frame(rows), RunFiles(tmp_path))
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert "samples of its own density" in texts
    assert not any("mixture" in text for text in texts)
