"""What pages say of the papers' claims: effects with intervals, decided by seeds or not at all."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.comparison.columns import with_places
from aebench.bench.comparison.significance import smallest_detectable
from aebench.bench.pages.aef import aef_effects
from aebench.bench.pages.claims import findings, reading
from aebench.bench.pages.effect_words import claim_verdict
from aebench.bench.pages.effects import Effect, claims_table, judge
from aebench.bench.records.per_image import PerImage, key_of
from aebench.bench.tables.wide import wide_tables
from scipy import stats

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "likelihood_rows")
)
OBJECTIVES = ("vae", "rae", "ae")


def effect_of(values, **columns):
    fields = {"claim": "RAE i", "comparison": "a instead of b", "where": "x", "unit": "FD"}
    return Effect(**fields | {"differences": dict(enumerate(values))} | columns)


def text_of(rows, arrays=None):
    own = frame(rows)
    return reading(own, findings(own, arrays or {}))


def arrays_of(rows, spread=1.0):
    """Log-likelihoods of 50 test images whose means are the rows' bits/dim."""
    noise = np.random.default_rng(5).normal(size=50)
    found = {}
    for row in rows:
        if row["metric"] == "bits_per_dim":
            nats = (8 - row["value"]) * 784 * np.log(2)
            values = (nats + spread * (noise - noise.mean())).astype(np.float32)
            images = np.arange(50, dtype=np.int32)
            found[key_of(frame([row]).iloc[0].to_dict())] = PerImage(images, values, row["kind"])
    return found


def verdicts_of(rows, claim, arrays=None):
    return {
        f.effect.comparison: (f.verdict, f.reason)
        for f in findings(frame(rows), arrays or {})
        if f.effect.claim == claim
    }


def values_of(rows, **columns):
    own = [r for r in rows if all(r[name] == value for name, value in columns.items())]
    return [row["value"] for row in sorted(own, key=lambda row: row["seed"])]


@pytest.mark.parametrize("seeds", [1, 3, 4])
def test_fewer_than_five_seeds_decide_no_claim(seeds):
    found = findings(frame(table_rows(objectives=OBJECTIVES, seeds=range(seeds))), {})
    assert len(found) == 3 + 1 + 1 + 1
    assert {f.verdict for f in found} == {"undecided"}
    assert {f.reason for f in found} == {f"{seeds} of 5 seeds"}
    text = text_of(table_rows(objectives=OBJECTIVES, seeds=range(seeds)))
    assert "This is undecided at 1000 steps" in text.replace("1,000", "1000")
    assert "This is supported" not in text and "This is contradicted" not in text


def test_the_effect_and_its_interval_are_those_of_the_paired_t_test():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6), noise=3.0)
    single, mixture = (
        values_of(rows, objective="ae", density=name) for name in ("gaussian", "gmm-10")
    )
    test = stats.ttest_rel(single, mixture)
    effects = [f.effect for f in findings(frame(rows), {})]
    [found] = [e for e in effects if e.comparison == "ae: gmm-10 instead of gaussian"]
    assert found.value == pytest.approx(np.mean(single) - np.mean(mixture))
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(test.pvalue)


def test_six_clear_seeds_support_a_claim_and_turned_around_contradict_it():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    found = verdicts_of(rows, "RAE i")
    assert len(found) == 3 and set(found.values()) == {("supported", "")}
    for row in rows:
        if row["objective"] == "ae" and row["density"] == "gmm-10":
            row["value"] += 100
    assert verdicts_of(rows, "RAE i")["ae: gmm-10 instead of gaussian"] == ("contradicted", "")
    text = text_of(rows)
    assert "Of 3 comparisons, 2 support it and 1 contradicts it (ae)." in text


def test_one_broken_seed_decides_nothing():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    for row in rows:
        if (row["objective"], row["density"], row["seed"]) == ("ae", "gmm-10", 0):
            row["value"] += 1000
    found = verdicts_of(rows, "RAE i")
    assert found["ae: gmm-10 instead of gaussian"] == ("undecided", "not separated")


def test_a_lost_seed_is_counted_and_leaves_too_few():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(5))
    for row in rows:
        if (row["objective"], row["density"], row["seed"]) == ("ae", "gmm-10", 0):
            row |= {"status": "failed", "value": None, "reason": "Images have nan values."}
    found = {
        f.effect.comparison: f for f in findings(frame(rows), {}) if f.effect.claim == "RAE i"
    }
    lost = found["ae: gmm-10 instead of gaussian"]
    assert lost.verdict == "undecided" and lost.effect.lost == "ae: 1 failed"


def test_the_mixture_is_compared_with_the_density_that_the_table_beside_it_shows():
    rows = table_rows(objectives=("vae",), seeds=range(6))
    more = [r | {"density": "gaussian", "value": 1.0} for r in rows if r["density"] == "prior"]
    assert verdicts_of(rows + more, "RAE i") == {"vae: gmm-10 instead of prior": ("supported", "")}


def test_a_test_among_many_needs_more():
    noise = np.array([1.0, -1.0, 0.5, -0.5, 1.5, -1.5])  # Mean 0.
    weak, strong = effect_of(noise + 1.5), effect_of(noise + 5)
    p = stats.ttest_1samp(noise + 1.5, 0).pvalue
    assert weak.p_value == pytest.approx(p) and 0.005 < p < 0.05
    others = [effect_of(noise)] * 9
    assert [judge([effect])[0].verdict for effect in (weak, strong)] == ["supported"] * 2
    assert judge([weak, *others])[0].verdict == "undecided"
    assert judge([strong, *others])[0].verdict == "supported"


def test_an_effect_chosen_from_several_needs_as_much_more():
    values = [1.0, 2.0, 1.5, 2.5, 1.2, 1.8]
    one, many = effect_of(values), effect_of(values, candidates=7)
    assert many.p_value == pytest.approx(7 * one.p_value)


def test_the_detectable_effect_is_found_in_four_of_five_cases():
    draws = np.random.default_rng(3).normal(size=(20_000, 5))
    values = draws[0] / draws[0].std(ddof=1)
    shift = smallest_detectable(effect_of(values).error, len(values), 0.01)
    found = stats.ttest_1samp(draws + shift, 0, axis=1).pvalue < 0.01
    assert found.mean() == pytest.approx(0.8, abs=0.012)  # Three standard errors of the share.
    assert smallest_detectable(effect_of([1.0, 2.0]).error, 2, 0.01) is None


@pytest.mark.parametrize(
    ("below", "above", "higher", "lower"),
    [
        (0, 0, "supported", "contradicted"),
        (np.inf, 0, "undecided", "contradicted"),
        (0, np.inf, "supported", "undecided"),
        (np.inf, np.inf, "undecided", "undecided"),
        (0.5, 0.5, "supported", "contradicted"),
        (1.5, 0.5, "undecided", "contradicted"),
        (0.5, 1.5, "supported", "undecided"),
    ],
)
def test_a_bound_decides_only_on_its_own_side(below, above, higher, lower):
    values = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    for sign, verdict in ((1, higher), (-1, lower)):
        [found] = judge([effect_of(sign * values, below=below, above=above)])
        assert found.verdict == verdict
        assert found.reason == ("only a bound" if verdict == "undecided" else "")


def test_a_claim_is_contradicted_by_one_comparison_and_supported_by_all():
    good, bad = effect_of([1, 1.1, 0.9, 1, 1.2]), effect_of([-1, -1.1, -0.9, -1, -1.2])
    none = effect_of([1, -1, 1.5, -1.5, 0.1])
    assert claim_verdict(judge([good, good])) == "supported"
    assert claim_verdict(judge([good, none])) == "undecided"
    assert claim_verdict(judge([good, bad, none])) == "contradicted"


def test_the_error_over_test_images_widens_the_interval():
    values = [1.0, 1.2, 0.8, 1.1, 0.9]
    plain, wide = effect_of(values), effect_of(values, image_error=0.5)
    half = np.hypot(stats.t.ppf(0.975, 4) * stats.sem(values), stats.norm.ppf(0.975) * 0.5)
    assert wide.interval == pytest.approx((1 - half, 1 + half))
    assert plain.interval[0] > wide.interval[0] and wide.p_value > plain.p_value


def test_the_best_rae_has_to_be_ahead_of_every_other_way_to_sample():
    rows = table_rows(objectives=("rae", "rae-gp", "ae", "vae"), seeds=range(6))
    [(comparison, verdict)] = verdicts_of(rows, "RAE ii").items()
    assert comparison == "rae-gp with gmm-10 instead of ae with gmm-10"
    assert verdict == ("supported", "")
    for row in rows:
        if row["objective"] == "ae":
            row["value"] -= 10
    [(comparison, verdict)] = verdicts_of(rows, "RAE ii").items()
    assert comparison == "rae-gp with gmm-10 instead of ae with gmm-10"
    assert verdict == ("contradicted", "")


def test_a_close_autoencoder_is_within_a_tenth_of_the_rae():
    rows = table_rows(objectives=("rae", "ae"), seeds=range(6))
    assert set(verdicts_of(rows, "RAE iii").values()) == {("supported", "")}
    for row in rows:
        if row["objective"] == "ae":
            row["value"] *= 1.3
    assert set(verdicts_of(rows, "RAE iii").values()) == {("contradicted", "")}


def test_interpolations_are_compared_within_one_space():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    other = [row | {"space": "logit", "run": row["run"][::-1]} for row in rows]
    rows += [row for row in other if row["objective"] == "vae"]
    [comparison] = verdicts_of(rows, "RAE iv")
    assert comparison.endswith("instead of vae (unit)")


def test_interpolations_of_faces_on_which_the_paper_claims_no_lead_decide_nothing():
    # Its Table 1 has 47.00 for RAE-GP and 45.98 for RAE-L2 on CelebA, and 44.49 for the VAE.
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    faces = table_rows(objectives=OBJECTIVES, seeds=range(6), dataset="celeba")
    for row in faces:
        row["value"] += 100 * (row["objective"] == "rae")
    assert verdicts_of(faces, "RAE iv") == {}
    assert verdicts_of(rows + faces, "RAE iv") == {"rae instead of vae": ("supported", "")}
    assert "on CelebA" in text_of(rows + faces)


def test_more_monte_carlo_samples_are_compared_where_the_suite_has_them():
    rows = [make_row(objective="vae", seed=s, value=30.0 + s % 2) for s in range(6)]
    more = {"objective": "vae", "variant": '{"samples":10}'}
    both = rows + [make_row(**more, seed=s, value=25.0 + s % 2 / 2) for s in range(6)]
    assert not verdicts_of(rows, "RAE v")
    assert set(verdicts_of(both, "RAE v").values()) == {("supported", "")}
    other = make_row(objective="vae", variant='{"beta":2.0,"samples":20}', value=1.0)
    assert verdicts_of([*both, other], "RAE v").keys() == verdicts_of(both, "RAE v").keys()


def test_samples_that_beat_the_reconstructions_decide_nothing_and_are_named():
    rows = table_rows(objectives=("vae", "rae"), seeds=range(6))
    for row in rows:  # Uniform grey: its reconstructions are no better than any samples.
        if row["objective"] == "rae":
            row["value"] = {"": 120.0, "gaussian": 110.0, "gmm-10": 100.0}[row["density"]]
            row["value"] += row["seed"] / 10
    reason = "the better one beats its own reconstructions"
    assert verdicts_of(rows, "RAE i")["rae: gmm-10 instead of gaussian"] == ("undecided", reason)
    text = text_of(rows)
    assert "reconstructions of real images: rae with gaussian and rae with gmm-10." in text


def test_a_model_that_loses_to_noise_is_said_so():
    text = text_of(likelihood_rows(levels={"vae": 8.7, "aef-center": 4.0}))
    assert "vae has 8 bits/dim or more, which is no better than uniform noise." in text
    assert "aef-center has" not in text


def test_the_gain_over_the_vae_has_its_sign_and_its_direction():
    rows = likelihood_rows(seeds=(0,), levels={"vae": 5.0, "aef-center": 4.0, "aef-linear": 4.0})
    for row in rows:
        row["value"] = {"vae": 5.0, "aef-center": 4.25, "aef-linear": 4.5}[row["objective"]]
    effects = aef_effects(with_places(frame(rows)), arrays_of(rows))
    found = {e.comparison.partition(" ")[0]: e for e in effects}
    center, linear = found["aef-center"], found["aef-linear"]
    assert center.value == pytest.approx(0.75, abs=1e-6)
    # The VAE's own bound may hide a better likelihood, and so may the other flow's.
    assert (center.below, center.above) == (np.inf, 0)
    assert linear.value == pytest.approx(0.5, abs=1e-6)
    assert (linear.below, linear.above) == (np.inf, np.inf)
    text = claims_table(judge([center, linear])).as_markdown()
    assert "≤ +0.750" in text and "? +0.500" in text


def test_the_error_of_a_gain_is_that_over_seeds_and_test_images():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 4.4, "aef-center": 4.39})
    arrays = arrays_of(rows)
    for at, (key, kept) in enumerate(arrays.items()):  # Another spread over images for each.
        moved = kept.values + np.float32(20 * (at < 6)) * np.sin(np.arange(50), dtype=np.float32)
        moved += np.float32(kept.values.mean(dtype=float) - moved.mean(dtype=float))
        arrays[key] = dataclasses.replace(kept, values=moved)
    [effect] = aef_effects(with_places(frame(rows)), arrays)
    both = {
        k: [a.values.astype(float) for key, a in arrays.items() if key.kind == k]
        for k in ("exact", "lower bound")
    }
    gaps = (np.array(both["exact"]) - np.array(both["lower bound"])) / (784 * np.log(2))
    seeds = stats.t.ppf(0.975, 5) * stats.sem(gaps.mean(axis=1))
    images = stats.t.ppf(0.975, 49) * stats.sem(gaps.mean(axis=0))
    half = np.hypot(seeds, images)
    assert effect.interval == pytest.approx((gaps.mean() - half, gaps.mean() + half), rel=1e-4)


def test_a_flow_is_compared_with_the_vae_of_its_own_settings():
    rows = likelihood_rows(seeds=(0,), levels={"vae": 5.0, "aef-center": 4.0})
    rows += [row | {"variant": '{"precision":"bfloat16"}', "run": ""} for row in rows]
    rows = [make_row(**row | {"recipe": ""}) for row in rows]
    found = {e.comparison for e in aef_effects(with_places(frame(rows)), arrays_of(rows))}
    low = "(precision=bfloat16)"
    assert found == {f"aef-center {low} instead of vae {low}", "aef-center instead of vae"}


def test_a_gain_that_is_at_most_small_contradicts_a_striking_one():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 4.4, "aef-center": 4.39})
    comparison = "aef-center instead of vae"
    found = verdicts_of(rows, "AEF i", arrays_of(rows))
    assert found == {comparison: ("contradicted", "")}
    missing = verdicts_of(rows, "AEF i")  # Nothing is known of the error over test images.
    assert missing == {comparison: ("undecided", "single images were not kept")}
    rows = likelihood_rows(seeds=range(6), levels={"vae": 5.4, "aef-center": 4.39})
    found = verdicts_of(rows, "AEF i", arrays_of(rows))
    assert found == {comparison: ("undecided", "only a bound")}


def test_failed_diverged_and_untrusted_runs_are_counted_by_name():
    rows = table_rows(objectives=("vae", "ae"), seeds=(0, 1, 2))
    assert "No run diverged, and no score failed." in text_of(rows)
    for row in rows:
        if row["objective"] == "ae" and row["images"] == "sample" and row["seed"] < 2:
            row |= {"status": "failed", "value": None, "reason": "Images have nan values."}
    text = text_of(rows)
    assert "No run diverged" not in text and "2 runs have scores that failed: ae (2)." in text
    rows.append(make_row(objective="rae", status="diverged", images="test", metric="loss"))
    rows += likelihood_rows(seeds=(0, 1, 2), levels={"vae-iaf": 4.0}, trusted="no")
    text = text_of(rows)
    assert "No run diverged" not in text
    assert "1 run diverged: rae (unit) (1)." in text or "1 run diverged: rae (1)." in text
    assert "2 runs have scores that failed: ae" in text and "(2)." in text
    assert "3 runs have estimates that are not trusted: vae-iaf" in text


def test_the_steps_of_a_comparison_are_those_of_its_two_methods():
    objectives = ("vae", "rae", "ae", "wae-mmd")
    rows = table_rows(objectives=objectives)
    rows += likelihood_rows(sizes=(16,), levels={"vae": 4.0, "aef-center": 4.1, "aef-corner": 4.2})
    short = {"vae": 700, "aef-corner": 300}
    rows = [row | {"steps": short.get(row["objective"], 1000), "recipe": ""} for row in rows]
    found = [f.effect for f in findings(frame([make_row(**row) for row in rows]), {})]
    assert {"RAE i", "RAE ii", "RAE iii", "AEF i"} <= {effect.claim for effect in found}
    for effect in found:
        words = set(re.findall(r"[a-z-]+", effect.comparison))
        compared = words & {*objectives, "aef-center", "aef-corner"}
        steps = {short.get(name, 1000) for name in compared}
        ends = " to ".join(f"{count:,}" for count in sorted(steps))
        assert compared and effect.training == f"{ends} steps (own budget)", effect.comparison


def test_an_untrusted_estimate_is_never_the_lowest_and_enters_no_claim():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 5.0, "aef-center": 4.9})
    rows += likelihood_rows(seeds=range(6), levels={"aef-linear": 1.0}, trusted="no")
    text = text_of(rows)
    assert "of aef-center." in text and "of aef-linear." not in text
    found = [f for f in findings(frame(rows), arrays_of(rows)) if f.effect.claim == "AEF i"]
    assert [f.effect.comparison for f in found] == [
        "aef-center instead of vae",
        "aef-linear instead of vae",
    ]
    assert not found[1].effect.differences and found[1].effect.lost == "aef-linear: 6 untrusted"
    assert (found[1].verdict, found[1].reason) == ("undecided", "0 of 5 seeds")
    assert "nan" not in claims_table(found).as_markdown()


def test_a_rough_estimate_beside_the_one_shown_makes_no_seed_of_a_claim_untrusted():
    rows = likelihood_rows(seeds=(0, 1), levels={"vae": 5.0, "aef-center": 4.9})
    own = [row for row in rows if row["objective"] == "vae"]
    few = [row | {"samples_k": 32, "value": 5.2, "trusted": "no"} for row in own]
    own[1]["trusted"] = "no"
    [effect] = aef_effects(with_places(frame([*rows, *few])), arrays_of(rows))
    assert list(effect.differences) == [0] and effect.lost == "vae: 1 untrusted"


def test_a_likelihood_gain_says_how_many_of_its_seeds_compare_two_devices():
    rows = likelihood_rows(seeds=range(3), levels={"vae": 5.0, "aef-center": 4.9})
    for row in rows:
        if row["objective"] == "vae" and row["seed"] > 0:
            row |= {"device": "NVIDIA H100"}
    [effect] = aef_effects(with_places(frame(rows)), arrays_of(rows))
    assert len(effect.differences) == 3 and effect.lost == "2 on two devices"


@pytest.mark.parametrize(("lowest", "other"), [("gmm-10", "prior"), ("prior", "gmm-10")])
def test_the_lowest_completed_likelihood_may_be_of_a_model_that_has_its_own(lowest, other):
    own = likelihood_rows(levels={"vae": 4.6, "iwae": 4.7})
    rows = own + likelihood_rows(levels={"ae": 4.5}, space="logit")
    rows += likelihood_rows(levels={"vae": 4.3}, model="completed", density=other)
    best = likelihood_rows(levels={"vae": 4.2}, model="completed", density=lowest)
    text = text_of(rows + best)
    means = [np.mean([r["value"] for r in of if r["objective"] == "vae"]) for of in (own, best)]
    assert f"of models as trained is ≤ {means[0]:.2f} over 3 seeds, of vae." in text
    assert f"after training is ≤ {means[1]:.2f} over 3 seeds, of vae with {lowest}." in text


def test_the_counts_of_seeds_are_those_of_each_method():
    rows = table_rows(objectives=("vae",), seeds=(0, 1, 2))
    rows += table_rows(objectives=("ae",), seeds=(0,))[1:]
    assert "with 1 to 3 seeds each" in text_of(rows)


def test_the_lowest_samples_are_named_with_what_the_seeds_say_of_them():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    text = text_of(rows)
    assert "over 6 seeds, of rae with gmm-10." in text
    assert "Paired tests separate it from all 5 others." in text
    text = text_of(table_rows(objectives=OBJECTIVES))
    assert "Nothing is said of its rank: all rows share only 3 of the 5 seeds needed." in text


def test_annealed_checks_that_are_not_trusted_are_counted_and_enter_no_summary():
    rows = likelihood_rows(seeds=(0, 1, 2), levels={"vae": 5.0})
    gains = [r | {"metric": "log_prob_gain_from_annealing", "kind": ""} for r in rows]
    for row, value in zip(gains, (0.25, -0.75, -80.0), strict=True):
        row |= {"value": value, "trusted": "no" if value < -1 else "yes"}
    gaps = [r | {"metric": "bracket_gap", "value": 1.5, "kind": ""} for r in rows]
    text = text_of([*rows, *gains, *gaps])
    assert "bounds of 3 models. It can be trusted for 2 of them." in text
    assert "by -0.750 to 0.250 nats" in text
    assert "1.50 nats in the median and 1.50 at most" in text
    assert "Annealing" not in text_of(rows)


def test_the_table_shows_each_comparison_with_interval_seeds_share_and_verdict():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    found = findings(frame(rows), {})
    table = claims_table(found)
    assert len(table.lines) == len(found)
    text = table.as_markdown()
    assert f"Holm-corrected for {len(found)} comparisons" in text
    assert "supported" in text and " to +" in text


def test_the_table_says_by_what_the_p_value_of_a_chosen_comparison_is_multiplied():
    values = [1.0, 2.0, 1.5, 2.5, 1.2, 1.8]
    own = [effect_of(values, claim="RAE ii", candidates=count) for count in (21, 15)]
    told = claims_table(judge([*own, effect_of(values)])).as_markdown()
    assert "is multiplied by their number (RAE ii: 15 and 21)" in told
    assert "multiplied" not in claims_table(judge([effect_of(values)])).as_markdown()


def test_seeds_that_two_methods_have_on_two_devices_are_counted():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    for row in rows:
        if row["objective"] == "ae" and row["seed"] > 1:
            row |= {"device": "NVIDIA H100"}
    lines = claims_table(findings(frame(rows), {})).lines
    seeds = {(claim, cells[0].text): cells[6].text for claim, cells in lines}
    [across] = [text for (claim, _), text in seeds.items() if claim == "RAE iii"]
    assert across == "6, 4 on two devices"
    assert {text for (claim, _), text in seeds.items() if claim == "RAE i"} == {"6"}


def test_a_mean_over_fewer_seeds_than_there_are_says_so():
    rows = table_rows(objectives=("ae", "vae"), seeds=range(4))
    rows = [r for r in rows if not (r["objective"] == "ae" and r["seed"] == 3)]
    for row in rows:
        row["value"] -= 20 * (row["objective"] == "ae")
    assert "over 3 of 4 seeds, of ae with gmm-10." in text_of(rows)


def test_interpolations_are_compared_with_the_vae_of_the_same_settings():
    rows = table_rows(objectives=("rae", "vae"), seeds=range(5))[1:]
    low = [r | {"variant": '{"precision":"bfloat16"}', "run": "", "recipe": ""} for r in rows]
    found = verdicts_of([*rows, *(make_row(**row) for row in low)], "RAE iv")
    text = "(precision=bfloat16)"
    assert found.keys() == {"rae instead of vae", f"rae {text} instead of vae {text}"}


def test_bounds_beside_an_exact_best_may_be_better_and_that_is_said():
    both = likelihood_rows(levels={"vae": 4.6, "aef-center": 4.3})
    exact = likelihood_rows(levels={"aef-corner": 4.6, "aef-center": 4.3})
    sentence = "Others have bounds only, and their true values may be lower."
    assert sentence in text_of(both) and sentence not in text_of(exact)


@pytest.mark.parametrize(
    ("suite", "steps", "sentence", "training"),
    [
        (  # Its file says 50,000 steps of 100 images at the published scale.
            *("rae-table1-mnist", 800),
            "Counted in examples seen, steps times batch size, this is 0.8 % of the published "
            "training as the suite's full scale has it.",
            "800 steps (0.8 % of published, by examples seen)",
        ),
        ("quick", 900, "This is a budget of its own, since", "900 steps (own budget)"),
        ("somebodys-own", 900, "Runs of somebodys-own (scale: small) had 900", "900 steps"),
    ],
)
def test_pages_say_the_share_of_the_published_training_or_the_budget(
    suite, steps, sentence, training
):
    own = {"suite": suite, "dataset": "mnist-32", "steps": steps}
    rows = frame(table_rows(objectives=OBJECTIVES, **own))
    rows = rows.assign(settings='{"training":{"batch_size":50}}')
    judged = findings(rows, {})
    text = reading(rows, judged)
    assert sentence in text and f"This is undecided at {training}." in text
    assert {f.effect.training for f in judged} == {training}
    if suite == "somebodys-own":
        assert "published" not in text and "budget" not in text


def test_floor_rows_alone_are_no_runs_that_went_well():
    text = text_of(table_rows(objectives=()))
    assert text == "There are only floor rows: no objective has been scored yet."


def test_each_effect_of_the_mixture_is_a_difference_of_two_cells_of_the_table_beside_it():
    rows = table_rows(seeds=range(6))
    rows += [r | {"density": "gaussian", "value": 1.0} for r in rows if r["density"] == "prior"]
    rows += [r | {"density": "second-stage"} for r in rows if r["density"] == "prior"][:6]
    [table] = wide_tables(frame(rows))
    names = [name for _, name in table.columns]
    cells = {m: dict(zip(names, line, strict=True)) for m, line in table.lines}
    found = [f.effect for f in findings(frame(rows), {}) if f.effect.claim == "RAE i"]
    assert len(found) == 5
    for effect in found:
        line = cells[effect.comparison.partition(":")[0]]
        shown = line["N(0,I) / N"].value - line["GMM-10"].value
        assert effect.value == pytest.approx(shown)


def test_the_lowest_samples_of_the_page_are_the_lowest_cell_of_the_table():
    rows = table_rows(seeds=range(6))
    [table] = wide_tables(frame(rows))
    columns = [
        at for at, (_, name) in enumerate(table.columns) if name in ("N(0,I) / N", "GMM-10")
    ]
    lowest = min(
        (line[at] for m, line in table.lines for at in columns if m != "floor"),
        key=lambda cell: cell.value,
    )
    assert f"of samples is {lowest.text.partition(' ')[0]} over 6 seeds" in text_of(rows)


def test_methods_whose_samples_were_drawn_again_are_named_with_the_share():
    rows = table_rows(objectives=("ae", "vae"))
    share = {"metric": "non_finite", "images": "sample", "density": "gmm-10"}
    for objective, value in (("ae", 0.0), ("vae", 0.025)):
        rows.append(make_row(objective=objective, value=value, **share))
    sentence = "not finite and were drawn again: vae with gmm-10 (up to 2.5 %)."
    assert sentence in text_of(rows)
    assert "drawn again" not in text_of([row for row in rows if row["value"] != 0.025])


@pytest.mark.parametrize(("gap", "verdict"), [(2.0, "supported"), (600.0, "undecided")])
def test_a_bracket_bounds_a_gain_from_both_sides_and_can_support_it(gap, verdict):
    # A gain of 1.01 bits/dim of 784 is 549 nats: more than one gap, less than the other.
    rows = likelihood_rows(seeds=range(6), levels={"vae": 5.4, "aef-center": 4.39})
    arrays, more = arrays_of(rows), []
    for row in rows:
        if row["objective"] == "vae":
            nats = (8 - row["value"]) * 784 * np.log(2)
            own = {"unit": "nats per image", "n_real": 50}
            annealed = (
                row | own | {"metric": "log_prob_annealed", "value": nats, "better": "higher"}
            )
            values = np.full(50, nats, np.float32)
            key = key_of(frame([annealed]).iloc[0].to_dict())
            arrays[key] = PerImage(np.arange(50, dtype=np.int32), values, "lower bound")
            bracket = {"metric": "bracket_gap", "value": gap, "stderr": 0.1, "better": "lower"}
            more += [annealed, row | own | bracket | {"kind": "", "n_real": None}]
    [effect] = aef_effects(with_places(frame([*rows, *more])), arrays)
    assert effect.below == pytest.approx(gap / (784 * np.log(2))) and effect.above == 0
    found = verdicts_of([*rows, *more], "AEF i", arrays)
    assert [verdict for verdict, _ in found.values()] == [verdict]


def annealed_rows(rows, gap=2.0, images=50, seeds=range(6)):
    """The VAE's annealed bounds on some images, with the gap of their bracket."""
    found = []
    for row in rows:
        if row["objective"] == "vae" and row["seed"] in seeds:
            own = row | {"unit": "nats per image", "better": "higher", "n_real": images}
            nats = (8 - row["value"]) * 784 * np.log(2)
            found.append(own | {"metric": "log_prob_annealed", "value": nats})
            bracket = {"metric": "bracket_gap", "value": gap, "stderr": 0.1, "better": "lower"}
            found.append(own | bracket | {"kind": "", "n_real": None})
    return found


def test_annealing_that_pairs_with_nothing_leaves_the_gain_to_the_bounds():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 4.4, "aef-center": 4.39})
    [bounds] = aef_effects(with_places(frame(rows)), {})
    # On a tenth of the test images, and single images were not kept.
    more = annealed_rows(rows, images=100)
    [effect] = aef_effects(with_places(frame([*rows, *more])), {})
    assert len(effect.differences) == 6 and effect == bounds
    # Annealing of one seed of six does not take the others' place.
    arrays = arrays_of(rows)
    [bounds] = aef_effects(with_places(frame(rows)), arrays)
    more = annealed_rows(rows, images=1000, seeds=[0])
    [effect] = aef_effects(with_places(frame([*rows, *more])), arrays)
    assert effect.differences == bounds.differences


def test_the_interval_of_an_effect_reaches_over_all_that_it_may_be():
    values = [0.1, 0.2, 0.3]
    low, high = effect_of(values).interval
    wide = effect_of(values, below=1.0, above=2.0).interval
    assert wide == pytest.approx((low - 1.0, high + 2.0))
    assert effect_of(values, below=np.inf).interval == pytest.approx((low, high))


def test_annealing_that_cannot_say_that_it_is_trusted_gives_no_upper_end():
    rows = likelihood_rows(seeds=range(6), levels={"vae": 4.4, "aef-center": 4.39})
    old = [row | {"trusted": ""} for row in annealed_rows(rows, images=1000)]
    [effect] = aef_effects(with_places(frame([*rows, *old])), {})
    [bounds] = aef_effects(with_places(frame(rows)), {})
    assert effect.differences == bounds.differences and effect.below == np.inf


def test_tuned_regularised_autoencoders_are_compared_with_tuned_rivals():
    settings = {
        "rae": ("", '{"beta":0.1,"tuned":true}'),
        "cv-vae": ("", '{"beta":0.04,"sigma":0.05,"tuned":true}'),
    }
    rows = [
        make_row(objective=name, variant=variant, seed=seed, images="interpolation", value=9.0)
        for name, variants in settings.items()
        for variant in variants
        for seed in range(5)
    ]
    own = [f.effect.comparison for f in findings(frame(rows), {}) if f.effect.claim == "RAE iv"]
    assert sorted(own) == [
        "rae (beta=0.1, tuned) instead of cv-vae (beta=0.04, sigma=0.05, tuned)",
        "rae instead of cv-vae",
    ]


def with_tuned_interpolations(levels):
    """Returns interpolations at default and at tuned settings, a RAE's at a level each."""
    settings = ({"variant": ""}, {"variant": '{"beta":0.1,"tuned":true}'})
    rng = np.random.default_rng(7)
    return [
        make_row(objective=name, seed=seed, images="interpolation", value=value, **own)
        for own, level in zip(settings, levels, strict=True)
        for name, mean in (("rae", level), ("vae", 100.0), ("cv-vae", 100.0))
        for seed, value in enumerate(mean + rng.normal(size=6))
    ]


def test_a_claim_that_default_settings_alone_contradict_is_said_to_be_so():
    rows = with_tuned_interpolations((120.0, 100.0))
    judged = [f for f in findings(frame(rows), {}) if f.effect.claim == "RAE iv"]
    both = "contradicted at default settings, undecided at tuned settings"
    assert claim_verdict(judged) == both
    text = text_of(rows)
    assert f"This is {both}, at 1,000 steps" in text
    assert "Of 2 comparisons at default settings, 0 support it and 2 contradict it." in text
    assert "Of 2 comparisons at tuned settings, 0 support it and 0 contradict it." in text


def test_a_claim_on_which_default_and_tuned_settings_agree_has_one_verdict_and_one_count():
    text = text_of(with_tuned_interpolations((120.0, 120.0)))
    assert "This is contradicted at 1,000 steps" in text
    assert "Of 4 comparisons, 0 support it and 4 contradict it." in text


def test_models_that_contradict_a_claim_beside_others_that_do_not_are_named():
    rows = table_rows(objectives=OBJECTIVES, seeds=range(6))
    for row in rows:
        row["value"] += 100 * (row["objective"] == "ae" and row["density"] == "gmm-10")
    [sentence] = [line for line in text_of(rows).splitlines() if line.startswith("- RAE i says")]
    assert sentence.endswith("2 support it and 1 contradicts it (ae).")


def flow_rows(levels, seeds=range(6), **columns):
    """Returns Fréchet distances of samples from priors and mixtures, and of reconstructions."""
    rng = np.random.default_rng(11)
    places = (("reconstruction", "", 50.0), ("sample", "prior", 0.0), ("sample", "gmm-10", -20.0))
    return [
        make_row(
            **{"objective": name, "space": "logit", "seed": seed, "images": images},
            **{"density": density, "value": (apart if not density else level + apart) + noise},
            **columns,
        )
        for name, level in levels.items()
        for images, density, apart in places
        for seed, noise in enumerate(rng.normal(size=len(seeds)))
    ]


def test_the_claim_on_samples_of_flows_is_judged_by_those_of_each_prior_paired_by_seed():
    rows = flow_rows({"vae": 300.0, "aef-center": 350.0, "aef-linear": 200.0, "iwae": 100.0})
    found = [f for f in findings(frame(rows), {}) if f.effect.claim == "AEF ii"]
    verdicts = {f.effect.comparison: f.verdict for f in found}
    assert verdicts == {
        "aef-center with prior instead of vae with prior": "contradicted",
        "aef-linear with prior instead of vae with prior": "supported",
    }
    for finding in found:
        name = finding.effect.comparison.partition(" ")[0]
        ours, its = (
            np.array(values_of(rows, objective=o, density="prior")) for o in (name, "vae")
        )
        assert finding.effect.differences == pytest.approx(dict(enumerate(its - ours)))
    text = text_of(rows)
    assert re.search(
        r"AEF ii says that samples .* above all at small d\. This is contradicted", text
    )
    assert "1 supports it and 1 contradicts it (aef-center with prior)." in text


def test_samples_of_a_flow_are_compared_within_one_size_of_codes_and_one_space():
    small = flow_rows({"vae": 300.0, "aef-center": 200.0}, latent_dim=2)
    large = flow_rows({"vae": 300.0, "aef-center": 500.0}, latent_dim=8)
    best = [row | {"space": "unit", "run": "", "recipe": ""} for row in flow_rows({"vae": 90.0})]
    rows = small + large + [make_row(**row | {"latent_dim": 2}) for row in best]
    found = [f for f in findings(frame(rows), {}) if f.effect.claim == "AEF ii"]
    assert {f.effect.where.partition("latent_dim=")[2]: f.verdict for f in found} == {
        "2)": "supported",
        "8)": "contradicted",
    }
