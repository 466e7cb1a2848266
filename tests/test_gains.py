"""Differences of log-likelihoods: direction, pairing, error and what an untrusted one does."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.gains import brackets_in, estimate_of, likelihood_gain, records_in
from aebench.bench.records.per_image import PerImage, key_of, write_per_image
from aebench.bench.records.results import write_results
from aebench.bench.tables.gains import gain_tables
from aebench.bench.tables.paired import compare_results
from scipy.stats import t

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row = FACTORY["frame"], FACTORY["make_row"]
IMAGES = 40


def likelihoods(name, values, kind="exact", metric="log_prob", **columns):
    """Returns the rows of a method with a row a seed, and the arrays of its single images.

    ``values`` has shape (seeds, images).
    """
    rows, arrays = [], {}
    for seed, own in enumerate(np.asarray(values, dtype=np.float32)):
        row = make_row(
            objective=name,
            seed=seed,
            images="test",
            metric=metric,
            value=float(own.mean(dtype=float)),
            stderr=float(own.std(ddof=1) / np.sqrt(len(own))),
            unit="nats per image",
            better="higher",
            kind=kind,
            model="native",
            space="logit",
            samples_k=None if kind == "exact" else 500,
            n_real=len(own),
            n_generated=None,
            features="",
            **columns,
        )
        rows.append(row)
        arrays[key_of(row)] = PerImage(np.arange(len(own), dtype=np.int32), own, kind)
    return rows, arrays


def gain(first, second, brackets=None):
    arrays = {**first[1], **second[1]}
    known = None if brackets is None else brackets_in(brackets)
    estimates = (estimate_of(records_in(frame(r)), arrays, known) for r, _ in (first, second))
    return likelihood_gain(*estimates)


@pytest.mark.parametrize(
    ("first", "second", "direction"),
    [
        ("exact", "exact", "="),
        ("lower bound", "exact", "≤"),
        ("exact", "lower bound", "≥"),
        ("lower bound", "lower bound", "?"),
    ],
)
def test_a_difference_says_what_its_kinds_allow(first, second, direction):
    found = gain(
        likelihoods("vae", np.ones((2, 9)), first), likelihoods("maf", 3 * np.ones((2, 9)), second)
    )
    assert (found.direction, found.value) == (direction, 2.0)
    assert found.text.startswith(f"{direction} +2")


def test_in_bits_an_upper_limit_becomes_a_lower_one():
    found = gain(
        likelihoods("vae", np.ones((2, 9)), "lower bound"),
        likelihoods("maf", 3 * np.ones((2, 9))),
    )
    bits = found.in_bits(784)
    assert bits.value == pytest.approx(-2 / (784 * np.log(2))) and bits.direction == "≥"


def test_a_bracket_gives_both_ends():
    first = likelihoods("vae", np.ones((1, 9)), "lower bound", "log_prob_annealed")
    second = likelihoods("maf", 3 * np.ones((1, 9)))
    row = first[0][0] | {"metric": "bracket_gap", "value": 0.5, "stderr": 0.25, "kind": ""}
    found = gain(first, second, frame([row]))
    assert found.direction == "to" and found.text.startswith("+1.50 to +2.00")
    assert found.half_width == pytest.approx(1.96 * 0.25, rel=1e-4)
    assert gain(first, second).direction == "≤"


def test_a_bracket_whose_gap_is_estimated_below_0_does_not_make_a_bound_exact():
    first = likelihoods("vae", np.ones((1, 9)), "lower bound", "log_prob_annealed")
    second = likelihoods("maf", 3 * np.ones((1, 9)))
    row = first[0][0] | {"metric": "bracket_gap", "value": -0.1, "stderr": 0.25, "kind": ""}
    found = gain(first, second, frame([row]))
    assert found.direction == "to" and found.below == 0.25


def test_few_images_have_students_interval_too():
    values = np.arange(6.0)
    found = gain(likelihoods("vae", [np.zeros(6)]), likelihoods("maf", [values]))
    error = values.std(ddof=1) / np.sqrt(6)
    assert found.half_width == pytest.approx(t.ppf(0.975, 5) * error, rel=1e-4)


def test_differences_are_paired_over_images_and_seeds():
    draw = np.random.default_rng(0)
    hard = 50 * draw.normal(size=IMAGES)
    moved = draw.normal(2.0, 1.0, size=(3, IMAGES))
    found = gain(likelihoods("vae", hard + np.zeros((3, 1))), likelihoods("maf", hard + moved))
    over_seeds = t.ppf(0.975, 2) * moved.mean(axis=1).std(ddof=1) / np.sqrt(3)
    over_images = t.ppf(0.975, IMAGES - 1) * moved.mean(axis=0).std(ddof=1) / np.sqrt(IMAGES)
    assert found.value == pytest.approx(moved.mean(), abs=1e-4)
    assert found.half_width == pytest.approx(np.hypot(over_seeds, over_images), rel=1e-3)
    assert (found.images, found.seeds, found.sign) == (IMAGES, (0, 1, 2), 1)


def test_pairs_are_the_images_that_both_were_scored_on():
    values = np.arange(IMAGES, dtype=float)
    few = likelihoods("vae", [values[:10]], "lower bound", "log_prob_annealed")
    found = gain(few, likelihoods("maf", [values + 1]))
    assert (found.images, found.value) == (10, 1.0)


def test_rows_alone_give_an_error_over_seeds_and_decide_nothing():
    draw = np.random.default_rng(1)
    first, second = (
        likelihoods(n, draw.normal(size=(3, 9)) + 90 * s)[0] for s, n in enumerate("ab")
    )
    found = gain((first, {}), (second, {}))
    assert found.images == 0 and found.half_width > 0 and found.sign == 0
    assert gain((first, {}), (likelihoods("b", np.ones((3, 4)))[0], {})) is None


def test_an_untrusted_estimate_enters_no_difference():
    first, second = (likelihoods(name, np.ones((2, 9))) for name in ("vae", "maf"))
    doubtful = [row | {"trusted": "no"} for row in first[0]]
    assert gain((doubtful, first[1]), second) is None
    one = [doubtful[0], first[0][1]]
    assert gain((one, first[1]), second).seeds == (1,)


def test_nats_and_bits_give_the_same_difference():
    first, second = (likelihoods(name, np.full((2, 9), v)) for name, v in (("a", 1.0), ("b", 4.0)))

    def bits(row):
        return row | {"metric": "bits_per_dim", "value": 8 - row["value"] / (784 * np.log(2))}

    found = gain((map(bits, first[0]), first[1]), (map(bits, second[0]), second[1]))
    assert found.value == pytest.approx(3.0)
    assert gain((map(bits, first[0]), {}), (map(bits, second[0]), {})).value == pytest.approx(3.0)


def test_the_table_of_gains_pairs_each_method_with_the_vae_of_its_space():
    draw = np.random.default_rng(2)
    hard = 50 * draw.normal(size=IMAGES)
    vae = likelihoods("vae", hard + draw.normal(size=(3, IMAGES)), "lower bound")
    maf = likelihoods("maf", hard + 9 + draw.normal(size=(3, IMAGES)))
    unit = likelihoods("ae", hard + np.zeros((3, 1)), "lower bound")
    rows = [*vae[0], *maf[0], *(row | {"space": "unit"} for row in unit[0])]
    [table] = gain_tables(frame(rows), {**vae[1], **maf[1], **unit[1]})
    assert table.title.startswith("Gains in log-likelihood over vae (logit) · fashion-mini, logit")
    [(label, cells)] = table.lines
    shown = dict(zip((name for _, name in table.columns), (c.text for c in cells), strict=True))
    assert label == "maf (logit)" and shown["nats"].startswith("≤ +8.89") and "±" in shown["nats"]
    assert shown["bits/dim"].startswith("≥ -0.01") and shown["images x seeds"] == "40 x 3"
    assert any(note.startswith("≤") for note in table.notes)
    [alone] = gain_tables(frame(rows), {})
    assert (
        dict(zip((n for _, n in alone.columns), (c.text for c in alone.lines[0][1]), strict=True))[
            "images x seeds"
        ]
        == "- x 3"
    )


def test_the_tightest_bound_with_its_bracket_stands_beside_the_bound_on_more_images():
    draw = np.random.default_rng(3)
    values = draw.normal(size=(2, IMAGES))
    vae = likelihoods("vae", values, "lower bound")
    tight = likelihoods("vae", values[:, :10] + 1, "lower bound", "log_prob_annealed")
    maf = likelihoods("maf", values + 9)
    gaps = [
        row | {"metric": "bracket_gap", "value": 0.5, "stderr": 0.0, "kind": "", "n_real": None}
        for row in tight[0]
    ]
    arrays = {**vae[1], **tight[1], **maf[1]}
    [table] = gain_tables(frame([*vae[0], *tight[0], *gaps, *maf[0]]), arrays)
    shown = [cell.text for cell in table.lines[0][1]]
    assert shown[2].startswith("≤ +9") and shown[4] == "40 x 2"
    assert shown[5].startswith("+7.5") and "to +8.0" in shown[5] and shown[6] == "10 x 2"


def test_the_table_of_gains_tells_what_is_known_of_its_reference_and_of_its_noise():
    unit = {"space": "unit"}
    rows = [row | unit for row in likelihoods("vae", -9 * np.ones((2, 9)), "lower bound")[0]]
    fitted = unit | {"model": "completed", "density": "gmm-10"}
    rows += [row | fitted for row in likelihoods("ae", 600 * np.ones((2, 9)), "lower bound")[0]]
    [table] = gain_tables(frame(rows), {})
    text = table.as_markdown()
    # Below 0 nats on the unit cube a model is worse than its uniform density.
    assert "The reference: worse than uniform noise over the pixels" in text
    assert "only completed models have theirs fitted" in text
    logit = [row | {"space": "logit", "value": row["value"] + 50} for row in rows]
    [table] = gain_tables(frame(logit), {})
    assert "reference:" not in table.as_markdown() and "theirs fitted" not in table.as_markdown()


@pytest.mark.parametrize(("kind", "verdict"), [("exact", "better"), ("lower bound", "different")])
def test_compare_pairs_images_and_calls_no_bound_better_than_another(tmp_path, kind, verdict):
    draw = np.random.default_rng(4)
    hard = 50 * draw.normal(size=IMAGES)
    for name, level in (("first", 0.0), ("second", 5.0)):
        rows, arrays = likelihoods("vae", hard + level + draw.normal(size=(6, IMAGES)), kind)
        (tmp_path / name / "arrays").mkdir(parents=True)
        write_results(tmp_path / name / "results.csv", frame(rows))
        write_per_image(tmp_path / name / "arrays" / "likelihoods.npz", arrays)
    table, _ = compare_results(tmp_path / "first", tmp_path / "second")
    [(_, cells)] = table.lines
    assert cells[-1].text == verdict
    sign = "=" if kind == "exact" else "?"
    assert cells[-2].text.startswith(f"{sign} +") and "±" in cells[-2].text
    assert any(note.startswith(f"{sign}:") for note in table.notes)
    # Images that are hard for both do not count: unpaired, the error would be above 10.
    assert float(cells[-2].text.rpartition("± ")[2]) < 1


def test_compare_takes_scores_that_no_real_images_belong_to(tmp_path):
    rows, _ = likelihoods("vae", np.ones((2, 9)), "lower bound", "log_prob_annealed")
    gaps = [row | {"metric": "bracket_gap", "kind": "", "n_real": None} for row in rows]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name / "results.csv", frame(rows + gaps))
    table, _ = compare_results(tmp_path / "first", tmp_path / "second")
    assert {cells[3].text for _, cells in table.lines} == {"log_prob_annealed", "bracket_gap"}


def test_the_difference_of_each_seed_is_that_over_the_images_that_both_have():
    draw = np.random.default_rng(8)
    few, many = draw.normal(size=(3, 10)), draw.normal(size=(3, IMAGES))
    found = gain(likelihoods("a", few), likelihoods("b", many))
    expected = (many[:, :10] - few).mean(axis=1)
    assert [found.by_seed[seed] for seed in range(3)] == pytest.approx(expected, abs=1e-6)
    over_images = (many[:, :10] - few).mean(axis=0)
    assert found.image_error == pytest.approx(over_images.std(ddof=1) / 10**0.5, abs=1e-6)
    bits = found.in_bits(784)
    scale = 1 / (784 * np.log(2))
    assert [bits.by_seed[s] for s in range(3)] == pytest.approx(-scale * expected, abs=1e-8)
    assert bits.image_error == pytest.approx(scale * found.image_error)


def test_likelihoods_of_unknown_images_are_no_pair_instead_of_an_error():
    rows, _ = likelihoods("a", np.ones((2, 9)))
    unknown = ([make_row(**row | {"n_real": None}) for row in rows], {})
    assert gain(unknown, unknown) is None and gain(unknown, (rows, {})) is None


def test_a_warning_of_one_gain_is_no_footnote_of_its_whole_column():
    draw = np.random.default_rng(5)
    values = 100 + draw.normal(size=(2, IMAGES))  # Better than noise over the pixels.
    methods = [likelihoods(n, values + at) for at, n in enumerate(("vae", "maf", "aef-center"))]
    warned = [row | {"reason": "odd"} for row in methods[1][0]]
    rows = [*methods[0][0], *warned, *methods[2][0]]
    arrays = {key: one for _, own in methods for key, one in own.items()}
    [table] = gain_tables(frame(rows), arrays)
    header = table.as_markdown().splitlines()[2]
    assert "nats" in header and "¹" not in header
