"""The calibration study: damage that is what it says, verdicts, and a run that can resume."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from aebench.bench.calibration import study as calibration
from aebench.bench.calibration.report import write_report
from aebench.bench.calibration.sets import Damage, Pools
from aebench.bench.calibration.study import SMOKE, run
from aebench.bench.calibration.verdicts import (
    clipped_reading,
    comparisons,
    judge,
    reading,
    scoreboard,
    spearman,
    summarise,
    threshold,
    verdicts,
)
from aebench.bench.data.dataset import load_dataset
from aebench.bench.errors import UserError
from aebench.bench.files.csv_cells import csv_text
from aebench.bench.files.written import read_list
from aebench.metrics.damage import PrincipalComponents, add_noise, blur
from scipy.stats import norm

pytestmark = pytest.mark.sensitive


@pytest.fixture(scope="module")
def pools() -> Pools:
    return Pools(load_dataset("fashion-mini"), 400, 200, seed=0)


def test_blur_keeps_flat_images_and_spreads_a_point_as_its_gaussian():
    images = torch.full((1, 1, 15, 15), 7, dtype=torch.uint8)
    assert torch.equal(blur(images, 1.0), images)
    point = torch.zeros_like(images)
    point[0, 0, 7, 7] = 255
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2 / 0.8**2)
    expected = 255 * np.outer(weights, weights) / weights.sum() ** 2
    blurred = blur(point, 0.8)[0, 0, 3:12, 3:12]
    np.testing.assert_allclose(blurred, expected, atol=0.5001)


def test_noise_has_the_deviation_asked_for_and_repeats_under_its_generator():
    images = torch.full((50, 1, 20, 20), 128, dtype=torch.uint8)
    noisy = [add_noise(images, 5, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*noisy)
    assert float(noisy[0].float().std()) == pytest.approx(5, rel=0.03)


def test_all_components_give_the_images_back_and_fewer_lose_more(pools):
    images = pools.images["real"]
    components = PrincipalComponents(images)
    assert torch.equal(components.project(images, 784), images)
    errors = [(components.project(images, k).float() - images).square().mean() for k in (64, 8)]
    assert 0 < errors[0] < errors[1]


def test_pools_share_no_image_and_dropped_classes_are_gone(pools):
    data = load_dataset("fashion-mini")
    train = {image.numpy().tobytes() for image in pools.images["train"]}
    clean = {image.numpy().tobytes() for image in pools.images["clean"]}
    assert not train & clean
    assert len(data.train) > len(train | clean)
    rows = pools.select(Damage("dropped", 2), 100, 1)["clean"]
    assert set(pools.labels[rows]) == set(range(10)) - set(pools.dropped[:3])


def test_memorised_rows_come_from_the_training_images_and_repeats_are_disjoint(pools):
    first, second = (pools.select(Damage("memorised", 2), 100, repeat) for repeat in (0, 1))
    assert len(first["train"]) == len(first["clean"]) == 50
    assert not set(first["train"]) & set(second["train"])
    repeated = pools.select(Damage("repeated", 3), 100, 1)["clean"]
    assert len(repeated) == 100
    assert len(set(repeated)) == 5


def test_too_few_images_for_the_study_are_an_error_that_names_the_split():
    with pytest.raises(UserError, match=r"Split 'train' of 'fashion-mini' has fewer than"):
        Pools(load_dataset("fashion-mini"), 9000, 100, seed=0)


@pytest.mark.parametrize(
    ("metric", "kind", "z", "rho", "verdict"),
    [
        ("fd", "blur", (4, 9, 20), 1.0, "right"),
        ("fd", "blur", (1, 9, 20), 1.0, "late"),
        ("fd", "blur", (9, 4, 20), 0.8, "uneven"),
        ("fd", "blur", (9, 4, 1), 0.2, "uneven"),
        ("fd", "blur", (1, 2, 1), 0.8, "blind"),
        ("density", "blur", (-4, 2, 9), 0.8, "WRONG WAY"),
        ("precision", "dropped", (0, 1, -2), 0.2, "still"),
        ("precision", "dropped", (0, 1, 4), 0.8, "moves"),
        ("nn_ratio", "noise", (0, 1, -4), 0.0, "flatters"),
        ("recall", "blur", (4, 9, 20), 1.0, "falls too"),
        ("fd", "blur", (4, np.nan, 20), 1.0, "unknown"),
        ("fd", "blur", (1,), 1.0, "undecided"),
    ],
)
def test_verdicts_follow_from_order_and_distance(metric, kind, z, rho, verdict):
    assert judge(metric, kind, np.array(z, dtype=float), rho, 3.0) == verdict


def test_a_tie_at_the_bottom_is_still_monotone_and_an_exchange_is_not():
    assert spearman(np.array([0.0, 1, 2, 2])) == pytest.approx(0.949, abs=1e-3)
    assert spearman(np.array([0.0, 2, 1, 3])) == pytest.approx(0.8)
    assert spearman(np.zeros(4)) == 0.0


def test_distance_from_the_floor_is_positive_where_a_higher_score_is_better_and_it_falls():
    base = {"features": "pixels:-", "n": 100, "metric": "recall", "better": "higher"}
    floor = base | {"kind": "none", "severity": 0, "level": 0.0, "value": 0.9, "stderr": 0.03}
    level = base | {"kind": "dropped", "severity": 1, "level": 1.0, "value": 0.4, "stderr": 0.04}
    summary = summarise(pd.DataFrame([floor, level]))
    assert summary["z"].tolist() == pytest.approx([0.0, 10.0])
    assert summary["set"].tolist() == ["floor", "dropped 1"]
    assert verdicts(summary)["verdict"].tolist() == ["right"]


def test_the_spread_over_repeats_replaces_a_smaller_reported_error():
    base = {"features": "-", "n": 9, "metric": "fd", "better": "lower", "stderr": 0.1}
    base |= {"kind": "none", "severity": 0, "level": 0.0}
    rows = pd.DataFrame([base | {"value": value} for value in (1.0, 2.0, 3.0)])
    assert summarise(rows)["stderr"].item() == pytest.approx(1 / 3**0.5)


def test_an_error_that_repeats_show_to_be_too_small_is_enlarged_where_there_are_none():
    base = {"features": "-", "metric": "precision", "better": "higher", "stderr": 0.5}
    base |= {"kind": "none", "severity": 0, "level": 0.0}
    rows = [base | {"n": 9, "value": value} for value in (1.0, 2.0, 3.0)]
    summary = summarise(pd.DataFrame([*rows, base | {"n": 99, "value": 2.0, "stderr": 0.1}]))
    assert summary["stderr"].iloc[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("lacking", ["level", "floor"])
def test_a_set_without_spread_is_told_from_the_floor_by_the_error_of_the_other(lacking):
    base = {"features": "-", "n": 100, "metric": "recall", "better": "higher"}
    errors = {"floor": 0.03, "level": 0.03} | {lacking: np.nan}
    floor = base | {"kind": "none", "severity": 0, "level": 0.0, "value": 0.9}
    level = base | {"kind": "repeated", "severity": 1, "level": 2.0, "value": 0.0}
    rows = [floor | {"stderr": errors["floor"]}, level | {"stderr": errors["level"]}]
    summary = summarise(pd.DataFrame(rows))
    # Were both sets alike, their difference would have the root of two times the error of one.
    assert summary["z"].iloc[1] == pytest.approx(0.9 / (0.03 * 2**0.5))
    assert summary["stderr"].isna().sum() == 1
    assert verdicts(summary)["verdict"].tolist() == ["right"]


def test_undamaged_sets_are_told_from_the_floor_in_one_study_of_twenty():
    draws = np.random.default_rng(0)
    base = {"features": "-", "metric": "fd", "better": "lower", "stderr": 1.0, "n": 9}
    lines = [base | {"kind": "none", "severity": 0, "level": 0.0, "value": 0.0}]
    for at, kind in enumerate(("blur", "noise", "pca", "dropped")):
        for severity in (1, 2, 3):
            lines.append(base | {"kind": kind, "severity": severity, "level": 1.0, "value": at})
    summary = summarise(pd.DataFrame(lines))
    assert comparisons(summary) == 12
    limit = threshold(summary)
    assert limit == pytest.approx(norm.isf(0.025 / 12))
    named = (np.abs(draws.normal(size=(20_000, 12))) >= limit).any(axis=1).mean()
    assert named == pytest.approx(0.05, abs=0.005)


def test_the_detectable_worsening_is_told_from_the_floor_in_four_of_five_cases():
    base = {"features": "-", "metric": "fd", "better": "lower", "stderr": 3.0, "n": 9}
    floor = base | {"kind": "none", "severity": 0, "level": 0.0, "value": 1.0}
    level = base | {"kind": "blur", "severity": 1, "level": 1.0, "value": 2.0, "stderr": 4.0}
    summary = summarise(pd.DataFrame([floor, level]))
    [found] = verdicts(summary).to_dict("records")
    assert found["worse"] == 1.0
    assert found["half_width"] == pytest.approx(5 * norm.ppf(0.975))
    told = norm.sf(threshold(summary), loc=found["detectable"] / 5)
    assert told == pytest.approx(0.8)


def test_three_repeats_alone_borrow_the_spread_of_all_sets():
    base = {"features": "-", "n": 9, "metric": "fd", "better": "lower", "stderr": np.nan}
    rows = []
    for severity, values in enumerate(((1.0, 2.0, 3.0), (9.0, 9.0, 9.0))):
        kind = "blur" if severity else "none"
        own = base | {"kind": kind, "severity": severity, "level": float(severity)}
        rows += [own | {"value": value} for value in values]
    errors = summarise(pd.DataFrame(rows))["stderr"]
    # Deviations 1 and 0, together the root of a half; the mean of three has a root of 3 less.
    assert errors.tolist() == pytest.approx([1 / 3**0.5, 0.5**0.5 / 3**0.5])


def test_a_score_of_one_n_alone_is_said_to_be_so():
    lines = [("a", 100), ("a", 600), ("b", 600)]
    judged = pd.DataFrame(lines, columns=["score", "n"]).assign(
        metric="fd", kind="blur", meant=True, verdict="right", z=9.0
    )
    text = reading(judged, {})[0]
    assert "b (9 at N = 600 alone)" in text and "a (9)" in text


def test_the_study_sees_memorised_images_resumes_and_writes_its_reading(tmp_path, monkeypatch):
    rows = run(SMOKE, tmp_path, cache_dir=tmp_path / "cache")
    copies = [r for r in rows if r["metric"] == "nn_ratio" and r["kind"] == "memorised"]
    assert float(copies[-1]["value"]) == 0.0
    assert float(copies[-1]["level"]) == 1.0

    path = tmp_path / "results.csv"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if ",repeated,3," not in line]
    path.write_text("\n".join(kept) + "\n")
    scored = []
    original = calibration._score
    monkeypatch.setattr(calibration, "_score", lambda *given: scored.append(1) or original(*given))
    again = run(SMOKE, tmp_path, cache_dir=tmp_path / "cache")
    assert len(scored) == 3
    values = [
        {(r["kind"], r["level"], r["n"], r["metric"], r["value"]) for r in rs}
        for rs in (rows, again)
    ]
    assert values[0] == values[1]

    write_report(SMOKE, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "**memorised** is seen at every N by " in text
    assert "| nn_ratio on pixels " in text
    assert (tmp_path / "plots" / "separation-100.png").stat().st_size > 10_000
    assert (tmp_path / "tables" / "verdicts-100.md").is_file()
    assert (tmp_path / "tables" / "effects-100.md").is_file()
    assert "tables/verdicts-100.md" in read_list(tmp_path)


def test_a_report_without_results_is_an_error(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        write_report(SMOKE, tmp_path)


def test_a_text_in_the_place_of_a_number_is_an_error_and_so_are_two_studies(tmp_path):
    line = dict.fromkeys(calibration.FIELDS, "1")
    for second, text in ((line | {"value": "x"}, "text for a number"), ({"study": "2"}, "of one")):
        rows = [line.values(), (line | second).values()]
        (tmp_path / "results.csv").write_text(csv_text([calibration.FIELDS, *rows]))
        with pytest.raises(UserError, match=text):
            write_report(SMOKE, tmp_path)


def test_the_sentence_on_a_clipped_score_follows_from_its_verdicts():
    cases = {
        ("clipped_density", "noise"): ("right", "right"),
        ("clipped_density", "blur"): ("late", "right"),
        ("clipped_density", "pca"): ("blind", "right"),
        ("density", "noise"): ("right", "WRONG WAY"),
    }
    lines = [
        (metric, f"{metric} on pixels", kind, n, verdict, True)
        for (metric, kind), found in cases.items()
        for n, verdict in zip((100, 600), found, strict=True)
    ]
    columns = ["metric", "score", "kind", "n", "verdict", "meant"]
    [line] = clipped_reading(pd.DataFrame(lines, columns=columns))
    assert line == (
        "**clipped_density on pixels** can be believed at every N for noise. Where the damage is "
        "strong, it can be believed for blur. It is right in 4 of 6 cases, wrong or blind in 1, "
        "and moves in 0 that it is not meant to see; density on pixels is right in 1 of 2 cases, "
        "wrong or blind in 1, and moves in 0 that it is not meant to see."
    )


def test_a_clipped_score_that_sees_nothing_is_said_to_see_no_damage_and_nothing_more():
    columns = ["metric", "score", "kind", "n", "verdict", "meant"]
    blind = ("clipped_density", "clipped_density on pixels", "noise", 9, "blind", True)
    [line] = clipped_reading(pd.DataFrame([blind], columns=columns))
    assert line.startswith(
        "**clipped_density on pixels** can be believed at every N for no damage. It is right in 0 "
    )


def test_a_score_that_is_right_wherever_it_is_meant_to_be_has_the_best_credit_there_is():
    columns = ["metric", "score", "kind", "n", "verdict", "meant"]
    kinds = {"dropped": "right", "repeated": "right", "blur": "still", "noise": "falls too"}
    lines = [("recall", "recall", k, 9, word, word == "right") for k, word in kinds.items()]
    [line] = scoreboard(pd.DataFrame(lines, columns=columns)).to_dict("records")
    assert line["credit"] == line["best credit"] == 0.5
