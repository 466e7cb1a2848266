"""What a model's own samples are drawn from: in tables, claims, sentences and pictures alike."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.figures.samples import sample_pictures
from aebench.bench.figures.sheet import run_strips
from aebench.bench.leaderboard.pictures import array_of
from aebench.bench.pages.claims import findings
from aebench.bench.tables.headline import headline_tables
from aebench.bench.tables.wide import wide_tables

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, write_runs = (FACTORY[name] for name in ("frame", "make_row", "write_runs"))
# RAE paper, Table 1, column N: N(0, I) for VAE and WAE, one fitted Gaussian for the CV-VAE.
LEVELS = {"": 50.0, "prior": 90.0, "gaussian": 70.0, "gmm-10": 60.0}
DRAWN_FROM = {"cv-vae": "gaussian", "vae": "prior", "wae-mmd": "prior"}
IMAGES = ("reconstruction", "sample", "sample", "sample")


def rows_of(densities=tuple(LEVELS), seeds=range(6)):
    """Returns rows of three models that were all sampled from their prior and from a Gaussian."""
    return [
        make_row(objective=name, seed=seed, images=images, density=density, value=value)
        for name in DRAWN_FROM
        for seed in seeds
        for images, density in zip(IMAGES, LEVELS, strict=True)
        if density in densities
        for value in [LEVELS[density] + seed % 3 / 10]
    ]


def column_of(table, name):
    at = next(at for at, (_, own) in enumerate(table.columns) if own.startswith(name))
    return {label: cells[at].value for label, cells in table.lines if label in DRAWN_FROM}


def test_a_cv_vaes_own_samples_are_of_one_fitted_gaussian_although_it_has_a_prior():
    expected = {name: LEVELS[own] + 0.1 for name, own in DRAWN_FROM.items()}
    [wide], [headline] = wide_tables(frame(rows_of())), headline_tables(frame(rows_of()))
    assert column_of(wide, "N(0,I)") == pytest.approx(expected)
    assert column_of(headline, "FD own") == pytest.approx(expected)
    for table in (wide, headline):
        assert "for cv-vae as in the RAE paper" in table.as_markdown()


def test_what_a_mixture_gives_a_cv_vae_is_its_gain_over_one_gaussian():
    found = {f.effect.comparison: f.effect.value for f in findings(frame(rows_of()), {})}
    assert found["cv-vae: gmm-10 instead of gaussian"] == pytest.approx(10)
    assert found["vae: gmm-10 instead of prior"] == pytest.approx(30)
    assert "cv-vae: gmm-10 instead of prior" not in found


def test_a_cv_vae_without_samples_of_a_gaussian_has_those_of_its_prior():
    [table] = wide_tables(frame(rows_of(densities=("", "prior", "gmm-10"))))
    assert column_of(table, "N(0,I)")["cv-vae"] == pytest.approx(90.1)


def test_pictures_of_own_samples_are_of_what_the_column_of_own_samples_scores(tmp_path):
    rows = rows_of(seeds=(0,))
    write_runs(tmp_path, rows, log=False)
    levels = {"prior": 40, "gaussian": 80, "gmm-10": 160}
    saved = {
        f"sample_{name}": np.full((12, 1, 28, 28), level, np.uint8)
        for name, level in levels.items()
    }
    for folder in (tmp_path / "runs").iterdir():
        np.savez(folder / "arrays.npz", **saved)
    [(_, figure)] = sample_pictures(frame(rows), RunFiles(tmp_path))
    picture = figure.axes[0].images[0].get_array()
    height = picture.shape[0] // len(DRAWN_FROM)
    # Lines stand in the papers' order, own samples at the left.
    for at, name in enumerate(("vae", "cv-vae", "wae-mmd")):
        assert picture[at * height + height // 2, 10, 0] == levels[DRAWN_FROM[name]], name
        strip = run_strips(saved, name)["samples, N(0,I) / N"]
        assert strip[5, 5, 0] == levels[DRAWN_FROM[name]], name
        entry = {"images": "test", "density": "", "objective": f"{name} (unit)"}
        assert array_of(entry, saved) == f"sample_{DRAWN_FROM[name]}"
