import io
import json
import runpy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.columns import with_places
from aebench.bench.comparison.labels import ORDER, axis_title
from aebench.bench.figures import curves as figures_curves
from aebench.bench.figures.all import write_figures
from aebench.bench.figures.canvas import (
    in_few_colours,
    look_of,
    new_figure,
    save_figure,
    tile,
    wrapped,
)
from aebench.bench.figures.images import denoising_plots, latent_plots
from aebench.bench.figures.methods import looks_of, shortened
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.figures.sheet import picture_sheets, run_strips
from aebench.bench.figures.sweep import latent_size_plots
from PIL import Image

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows", "write_runs")
)


def test_no_two_objectives_of_the_papers_look_alike_and_a_stranger_keeps_its_look():
    looks = {name: tuple(map(str, look_of(name).values())) for name in ORDER}
    assert all(looks[a] != looks[b] for a, b in combinations(ORDER, 2))
    greyscale = {name: look[1:] for name, look in looks.items()}
    assert all(greyscale[a] != greyscale[b] for a, b in combinations(ORDER, 2))
    assert look_of("mine") == look_of("mine") != look_of("yours")


def test_variants_of_an_objective_keep_its_colour_and_differ_without_colour():
    rows = [make_row(objective="vae", variant=f'{{"samples":{k}}}') for k in (2, 4, 8, 16)]
    looks = list(looks_of(with_places(frame([make_row(objective="vae"), *rows]))).values())
    assert looks[0] == look_of("vae") and {look["color"] for look in looks} == {looks[0]["color"]}
    shapes = [(look["marker"], str(look["linestyle"])) for look in looks]
    assert len(set(shapes)) == 5


def test_a_plot_names_only_the_settings_that_an_objective_varies():
    flows = '{{"noise_sigma":{},"prior_flow":"maf"}}'
    rows = [make_row(objective="vae", variant=flows.format(s)) for s in (0.25, 0.5)]
    placed = with_places(frame([*rows, make_row(objective="ae", variant='{"a":1}')]))
    assert set(shortened(placed)["method"]) == {
        "ae",
        "vae (noise_sigma=0.25)",
        "vae (noise_sigma=0.5)",
    }
    assert set(shortened(placed, without="noise_sigma")["method"]) == {"ae", "vae"}


def test_denoising_has_a_column_for_each_noise_and_a_line_for_each_objective(tmp_path):
    rows = []
    for sigma in (0.25, 0.5):
        row = make_row(objective="vae", variant=f'{{"noise_sigma":{sigma}}}')
        rows.append(row)
        folder = tmp_path / "runs" / row["run"]
        folder.mkdir(parents=True)
        strip = np.zeros((2, 3, 1, 8, 8), np.uint8)
        np.savez(folder / "arrays.npz", **{f"denoising_{sigma}": strip})
    [(name, figure)] = denoising_plots(frame(rows), RunFiles(tmp_path))
    assert name == "denoising"
    drawn = [axis.get_title() for axis in figure.axes if axis.images]
    assert drawn == ["0.25", "0.5"]


def test_a_long_name_is_broken_between_words_only():
    lines = wrapped("vae (posterior_flow=iaf, prior_flow=maf)", 1.5).splitlines()
    assert lines == ["vae", "(posterior_flow=iaf,", "prior_flow=maf)"]


def test_the_learning_rate_is_not_drawn_as_a_term_of_the_loss(tmp_path):
    row = make_row(objective="ae")
    write_runs(tmp_path, [row], arrays=False, log=False)
    lines = '{"step":1,"split":"train","learning_rate":0.5,"distortion":9}\n'
    lines += '{"step":1,"split":"validation","distortion":8}\n'
    (tmp_path / "runs" / row["run"] / "log.jsonl").write_text(lines)
    log = figures_curves._mean_log(frame([row]), RunFiles(tmp_path))
    assert set(log) == {("train", "distortion"), ("validation", "distortion")}


def test_a_tile_keeps_each_image_in_its_place():
    images = np.zeros((4, 1, 2, 3), np.uint8)
    images[:, 0] = np.arange(4, dtype=np.uint8)[:, None, None] * 10
    picture = tile(images, 2, 2, gap=1)
    assert picture.shape == (5, 7, 3)
    assert [int(picture[y, x, 0]) for y, x in ((0, 0), (0, 4), (3, 0), (3, 4))] == [0, 10, 20, 30]
    assert picture[2, 0, 0] == 255 and picture[0, 3, 0] == 255


def test_colour_images_keep_their_channels_in_order():
    image = np.zeros((1, 3, 2, 2), np.uint8)
    image[0, 0] = 200
    assert tile(image, 1)[0, 0].tolist() == [200, 0, 0]


def test_interpolations_show_both_ends_of_the_first_pair():
    paths = np.zeros((2, 11, 1, 2, 2), np.uint8)
    paths[0, :] = (np.arange(11, dtype=np.uint8) * 10)[:, None, None, None]
    paths[1] = 255
    strip = run_strips({"interpolation": paths}, "vae")["interpolations"]
    assert strip[0, ::3, 0].tolist() == [0, 20, 40, 60, 80, 100]
    assert run_strips({"interpolation": paths[:0]}, "vae") == {}


def test_the_sheet_has_a_block_for_each_kind_and_repeats_to_the_byte(tmp_path):
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,))
    write_runs(tmp_path, rows, arrays=FACTORY["SHEET"], log=False)
    first, second = (
        save_figure(tmp_path / name, *plot)
        for name in ("a", "b")
        for plot in picture_sheets(frame(rows), RunFiles(tmp_path))
    )
    assert [path.name for path in first] == ["sheet.png"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    width, height = Image.open(first[0]).size
    assert width > 3 * height / 2


def test_every_kind_of_plot_is_written_from_saved_arrays(tmp_path):
    rows = table_rows(objectives=("ae",), seeds=(0,))
    for beta in (0.1, 1.0, 10.0):
        variant = f'{{"beta":{beta}}}'
        rows += [make_row(objective="vae", variant=variant, suite="sweep", seed=s) for s in (0, 1)]
    rows += likelihood_rows(seeds=(0, 1), sizes=(2, 8), levels={"vae": 4.0}, suite="sizes")
    write_runs(tmp_path, [row for row in rows if row["suite"] == "quick"])
    names = {
        path.stem
        for path in write_figures(frame(rows), RunFiles(tmp_path), tmp_path / "plots")
        if path.stat().st_size > 1000
    }
    kinds = ("sheet", "prd-densities", "prd-objectives", "neighbours", "latent", "temperature")
    for kind in (*kinds, "grid", "denoising", "training", "fd-by-beta", "bits_per_dim-sizes"):
        assert any(name.startswith(kind) for name in names), kind


def test_precision_and_recall_are_drawn_along_the_axes_that_name_them(tmp_path):
    rows = [make_row(objective="ae", seed=seed) for seed in (0, 1)]
    # Saved as precision, then recall: these samples are good and miss most modes.
    precision, recall = np.linspace(0.6, 0.9, 50), np.linspace(0.2, 0.05, 50)
    for row, share in zip(rows, (0.9, 1.1), strict=True):
        folder = tmp_path / "runs" / row["run"]
        folder.mkdir(parents=True)
        np.savez(folder / "arrays.npz", prd_gaussian=share * np.stack([precision, recall]))
    figures = dict(figures_curves.prd_plots(frame(rows), RunFiles(tmp_path)))
    assert len(figures) == 2
    for figure in figures.values():
        axis = figure.axes[0]
        assert axis.get_xlabel().startswith("recall")
        assert axis.get_ylabel().startswith("precision")
        [line], [band] = axis.lines, axis.patches
        near = 2e-3  # Arrays for figures are kept in half precision.
        assert line.get_xdata() == pytest.approx(recall, rel=near)
        assert line.get_ydata() == pytest.approx(precision, rel=near)
        corners = band.get_xy()
        assert corners.max(0) == pytest.approx([1.1 * 0.2, 1.1 * 0.9], rel=near)
        assert corners.min(0) == pytest.approx([0.9 * 0.05, 0.9 * 0.6], rel=near)


def test_bits_per_dim_by_size_are_labelled_with_their_kind_and_say_what_is_left_out(tmp_path):
    levels = {"vae": 4.0, "aef-center": 4.5, "ae": 5.0}
    rows = likelihood_rows(sizes=(2, 8), levels=levels)
    rows[0]["trusted"] = "no"
    [(_, figure)] = latent_size_plots(frame(rows), RunFiles(tmp_path))
    labels = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {text.replace("\n", " ") for text in labels} == {
        *("vae (logit), bits/dim ≤", "aef-center (logit), bits/dim =", "ae (unit), bits/dim c ≤")
    }
    title = figure.get_suptitle().replace("\n", " ")
    assert "1 estimate is not trusted and not drawn." in title


def test_a_broken_array_file_is_named_and_the_others_are_drawn(tmp_path):
    rows = table_rows(objectives=("vae", "ae"), seeds=(0,))
    write_runs(tmp_path, rows, log=False)
    broken = tmp_path / "runs" / rows[1]["run"] / "arrays.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    runs = RunFiles(tmp_path)
    assert len([*picture_sheets(frame(rows), runs)]) == 1
    assert len(runs.warnings) == 1 and str(broken) in runs.warnings[0]


def test_a_broken_array_file_leaves_the_committed_pictures_of_its_run(tmp_path):
    row = make_row(objective="vae")
    write_runs(tmp_path, [row])
    run = row["run"]
    (committed,) = RunFiles(tmp_path).figures.gather([run])
    before = committed.read_bytes()
    broken = tmp_path / "runs" / run / "arrays.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    runs = RunFiles(tmp_path)
    assert runs.arrays(run) and runs.log(run)
    assert runs.figures.gather([run]) == [committed] and committed.read_bytes() == before
    (told,) = runs.warnings
    assert str(broken) in told and "remove it, and `aebench run` draws it again" in told


def test_pickled_arrays_are_refused(tmp_path):
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    np.savez(folder / "arrays.npz", test=np.array([{"code": 1}], dtype=object))
    runs = RunFiles(tmp_path)
    assert runs.arrays("r") == {} and "holds Python objects" in runs.warnings[0]


def test_a_cut_log_line_is_named_and_the_others_are_kept(tmp_path):
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text('{"step": 0, "rate": 1.0}\n{"step": 1, "ra')
    runs = RunFiles(tmp_path)
    assert runs.log("r") == [{"step": 0, "split": "train", "rate": 1.0}]
    assert "half-written" in runs.warnings[0]


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_an_axis_names_the_unit_and_the_direction(better):
    assert axis_title("fd", "squared units", better).endswith(
        f"(squared units; {better} is better)"
    )


def test_a_figure_has_the_same_bytes_each_time(tmp_path):
    from matplotlib.figure import Figure

    for name in "ab":
        figure = Figure()
        figure.subplots().plot([0, 1])
        save_figure(tmp_path, name, figure)
    for ending in ("png", "pdf"):
        one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
        assert one == two


def test_a_name_that_looks_like_mathematics_is_shown_and_log_axes_keep_their_powers(tmp_path):
    figure, axes = new_figure(3, 2)
    axes[0, 0].plot([1, 1e6], [1, 1e6], label=r"$\frac$")
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_title(r"50 $ and $\frac$")
    axes[0, 0].legend()
    for path in save_figure(tmp_path, "a", figure):
        assert path.stat().st_size > 1000
    ticks = [text for text in axes[0, 0].get_yticklabels() if text.get_text()]
    assert ticks and all(text.get_parse_math() for text in ticks)
    assert not axes[0, 0].title.get_parse_math()


def test_a_picture_in_256_colours_has_its_size_resolution_and_look():
    values = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.stack([values, values, values // 2], -1)).save(
        stream, "PNG", dpi=(150, 150)
    )
    few = Image.open(io.BytesIO(in_few_colours(stream.getvalue())))
    assert few.size == (64, 64) and few.mode == "P"
    assert few.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    shown = np.asarray(few.convert("RGB")).astype(int)
    assert np.abs(shown[..., 0] - values).max() <= 2
    assert np.abs(shown[..., 2] - values // 2).max() <= 2


def test_a_picture_without_colours_keeps_each_of_its_greys():
    values = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64) * 37 % 256
    stream = io.BytesIO()
    Image.fromarray(np.stack([values.astype(np.uint8)] * 3, -1)).save(stream, "PNG")
    grey = Image.open(io.BytesIO(in_few_colours(stream.getvalue())))
    assert grey.mode == "L"
    assert np.array_equal(np.asarray(grey), values)


@pytest.mark.parametrize(("classes", "palette"), [(10, "tab10"), (11, "viridis")])
def test_codes_of_each_class_have_one_colour_and_the_title_says_so(tmp_path, classes, palette):
    rows = [make_row(objective="ae", latent_dim=2)]
    folder = write_runs(tmp_path, rows, arrays=False) / "runs" / rows[0]["run"]
    codes = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    labels = 3 * (np.arange(60) % classes)
    np.savez(folder / "arrays.npz", codes2d=codes, labels=labels)
    [(_, figure)] = latent_plots(frame(rows), RunFiles(tmp_path))
    points = figure.axes[0].collections[0]
    points.update_scalarmappable()
    shown = [tuple(colour[:3]) for colour in points.get_facecolors()]
    pairs = set(zip(labels.tolist(), shown, strict=True))
    assert len(pairs) == len(set(shown)) == classes
    assert points.get_cmap().name == palette
    assert figure.get_suptitle().endswith("; colours: classes")


def test_codes_that_are_all_one_point_are_drawn_without_contours(tmp_path):
    rows = [make_row(objective="ae", latent_dim=2)]
    arrays = {"codes2d": np.ones((50, 2), dtype=np.float32)}
    folder = write_runs(tmp_path, rows, arrays=False) / "runs" / rows[0]["run"]
    np.savez(folder / "arrays.npz", **arrays)
    [(_, figure)] = latent_plots(frame(rows), RunFiles(tmp_path))
    drawn = {axis.get_title(): len(axis.collections) for axis in figure.axes}
    assert sorted(drawn.values()) == [1, 2]  # The prior, which is of the model, has contours.


def test_what_training_only_watches_is_named_as_no_term_and_not_in_nats(tmp_path):
    rows = [make_row(objective="aef-linear")]
    folder = write_runs(tmp_path, rows, arrays=False, log=False) / "runs" / rows[0]["run"]
    terms = {name: 1.0 for name in ("distortion", "rate", "bits")}
    entries = [
        {"step": step, "split": split, **terms, **more}
        for step in (100, 200)
        for split, more in (("train", {}), ("validation", {"loss": 3.0, "core_rms": 0.5}))
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    [(_, figure)] = figures_curves.training_plots(frame(rows), RunFiles(tmp_path))
    shown = [axis for axis in figure.axes if axis.get_visible()]
    titles = [axis.get_title().replace("\n", " ") for axis in shown]
    named = "core_rms (no term: not in nats)"
    assert titles == ["distortion", "loss", "rate", "bits", named]
    assert "nats per image" in shown[0].get_ylabel() and not shown[4].get_ylabel()


@pytest.mark.parametrize(("last", "drawn"), [(401, 400), (424, 400), (426, 426), (500, 500)])
def test_a_last_mean_of_a_few_training_steps_is_not_drawn(tmp_path, last, drawn):
    rows = [make_row(objective="ae")]
    folder = write_runs(tmp_path, rows, arrays=False, log=False) / "runs" / rows[0]["run"]
    entries = [
        {"step": step, "split": split, "distortion": 9.0}
        for step in (100, 200, 300, 400, last)
        for split in ("train", "validation")
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    [(_, figure)] = figures_curves.training_plots(frame(rows), RunFiles(tmp_path))
    ends = {line.get_linewidth(): line.get_xdata()[-1] for line in figure.axes[0].lines}
    assert ends == {0.5: drawn, 1.2: last}


@pytest.mark.parametrize(("space", "scored"), [("unit", "image"), ("sequence", "string")])
def test_the_terms_of_training_are_nats_of_what_was_scored(tmp_path, space, scored):
    rows = [make_row(objective="vae", space=space)]
    write_runs(tmp_path, rows, arrays=False)
    [(_, figure)] = figures_curves.training_plots(frame(rows), RunFiles(tmp_path))
    assert f"nats per {scored}" in figure.axes[0].get_ylabel()
