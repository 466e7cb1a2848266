"""What a comparison of families found: each number against the rows by other means."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.pages.aef import anchor_paragraph
from aebench.bench.pages.equal_cost import at_cost, at_equal_cost
from aebench.bench.pages.families import NOTHING_TO_TUNE, headline_of, largest_study
from aebench.bench.pages.found import MOST_WORDS, found_paragraph, short_text
from aebench.bench.pages.leads import tuning_gains
from aebench.bench.pages.methods import Method
from aebench.bench.pages.overview import build_overview
from aebench.bench.records.per_image import PerImage, key_of
from aebench.bench.records.results import write_results
from aebench.bench.tables.published import published_tables
from aebench.models.objectives.objective import OBJECTIVES
from scipy import stats

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, study_rows, table_rows, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "study_rows", "table_rows", "likelihood_rows")
)
NUMBER = r"(-?[\d.]+)"


def found_text(rows, arrays):
    """What was found, without its title and the line on how to read it."""
    return found_paragraph(rows, arrays).partition(".** ")[2].partition("\n\n")[0]


@pytest.fixture(scope="module")
def rows():
    return study_rows()


@pytest.fixture(scope="module")
def text(rows):
    return found_text(frame(rows), {})


def values(rows, objective, space, density, steps=10000, tuned=False):
    """Returns the FD of each seed's samples."""
    found = {
        row["seed"]: row["value"]
        for row in rows
        if (row["objective"], row["space"], row["density"]) == (objective, space, density)
        and (row["metric"], row["images"], row["steps"]) == ("fd", "sample", steps)
        and ("tuned" in row["variant"]) == tuned
    }
    return np.array([found[seed] for seed in sorted(found)])


def lead_of(rows, steps=10000, tuned=False):
    """Returns the differences of the best RAE to the best other, and of how many it is chosen."""
    names = [("vae", "unit"), ("vae", "logit"), ("wae-mmd", "unit"), ("ae", "unit")]
    names += [("aef-center", "logit"), ("aef-linear", "logit")]
    names += [("iwae", "logit")] if steps == 10000 else []
    raes = [("rae", "unit"), ("rae", "logit"), ("rae-l2", "unit")]
    if tuned:
        names = [name for name in names if name[0] in {*FACTORY["TUNED"], "ae"}]

    def samples(name):
        count = 1800 if name[0] == "iwae" else steps
        return values(rows, *name, "gmm-10", count, tuned and name[0] != "ae")

    best, rival = (min(own, key=lambda name: samples(name).mean()) for own in (raes, names))
    differences = samples(rival) - samples(best)
    return differences, len(raes) if differences.mean() > 0 else len(names), best, rival


def interval_of(differences, candidates):
    """Returns Bonferroni's interval of the mean."""
    level = 1 - 0.05 / candidates
    return stats.t.interval(
        level, len(differences) - 1, differences.mean(), stats.sem(differences)
    )


def test_the_short_text_says_the_same_in_sentences_for_newcomers(rows, text):
    told = short_text(frame(rows), {})
    differences, candidates, best, rival = lead_of(rows)
    low, high = interval_of(differences, candidates)
    sign = -1 if differences.mean() < 0 else 1
    edge = re.search(
        rf"autoencoder, {best[0]}[^,]*, has an FD {NUMBER} (below|above) its closest rival, "
        rf"{rival[0]}[^(]* \(95 % interval \[{NUMBER}, {NUMBER}\], [^(]*5 seeds\)",
        told,
    )
    assert edge and edge[2] == ("above" if sign < 0 else "below")
    ends = sorted((sign * low, sign * high))
    shown = [float(edge[at]) for at in (1, 3, 4)]
    assert shown == pytest.approx([abs(differences.mean()), *ends], abs=0.5)
    differences, _, best, rival = lead_of(rows, tuned=True)
    tuned = re.search(rf"or untunable, (\S+).*? (leads|trails) (\S+).*? by {NUMBER} ", told)
    assert (tuned[1], tuned[3]) == (best[0], rival[0])
    assert tuned[2] == ("leads" if differences.mean() > 0 else "trails")
    assert float(tuned[4]) == pytest.approx(abs(differences.mean()), abs=0.5)
    mixtures = re.search(r"^For (\d+) of (\d+) models at default settings", told)
    long = re.search(r"Gaussians surely improves (\d+) of (\d+) models", text)
    assert mixtures.groups() == long.groups()


def with_worse_raes(rows):
    """Returns rows where every regularised autoencoder's samples are behind."""
    return [
        row | {"value": row["value"] + 200}
        if (row["objective"][:3], row["images"], row["metric"]) == ("rae", "sample", "fd")
        else row
        for row in rows
    ]


@pytest.mark.parametrize(
    ("change", "chosen"), [(list, "3 variants"), (with_worse_raes, "7 rivals")]
)
def test_the_short_text_says_among_how_many_a_leads_interval_allows_for_the_choice(
    rows, change, chosen
):
    told = short_text(frame(change(rows)), {})
    assert re.search(rf"\(95 % interval \[.*?\], allowing for the choice among {chosen}, 5", told)
    assert re.search(r"or untunable, .*? by \d+ \(likewise \[", told)


def test_a_model_has_no_space_beside_its_name_where_its_objective_has_one_and_else_has_it(text):
    assert "(iwae, [" in text and "ae by" in text
    assert "(vae (logit), [" in text and "(rae (logit), [" in text
    assert not re.search(r"(?<![\w-])(vae|rae)(?![\w-]| \()", text)


def test_the_short_text_says_in_150_words_how_flows_compare_with_the_vae_and_what_is_open(rows):
    arrays = images_of(rows)
    told, long = (make(frame(rows), arrays) for make in (short_text, found_text))
    flows = re.search(r"In bits/dim against the VAE, aef-center loses at least .*?\]\.", long)[0]
    assert flows in told and len(told.split()) <= 150
    assert told.endswith("Still open: the published scale, colour and Inception features.")


def test_the_gain_of_the_mixture_stands_with_its_intervals_and_test_in_the_short_text(rows, text):
    gains = re.search(r"Gaussians surely .*?, gaining (.*?)\. In bits", text)[1]
    assert (
        f"(FD, lower is better) is {gains}: 95 % intervals, 5 seeds, Holm-corrected paired "
        "t-tests."
    ) in short_text(frame(rows), {})


def test_an_undecided_lead_says_to_newcomers_what_these_seeds_would_show():
    rows = study_rows(seeds=range(4), noise=30.0)
    shown = re.search(rf"undecided below {NUMBER}", found_text(frame(rows), {}))[1]
    assert (
        f"4 seeds). Undecided: these seeds would show a difference of {shown} in four of five "
        "cases."
    ) in short_text(frame(rows), {})


def test_a_model_whose_samples_the_mixture_surely_worsens_is_named_in_the_short_text(rows):
    worse = [
        row | {"value": row["value"] + 900}
        if (row["objective"], row["density"], row["metric"]) == ("ae", "gmm-10", "fd")
        else row
        for row in rows
    ]
    told = short_text(frame(worse), {})
    assert told.startswith("For 9 of 10 models at default settings")
    assert "one Gaussian and surely worse ones for 1 (ae)." in told


def test_it_has_at_most_150_words_and_says_what_is_open(text):
    assert 60 < len(text.split()) <= MOST_WORDS == 150
    assert text.endswith("Still open: the published scale, colour and Inception features.")


@pytest.mark.parametrize(
    ("suite", "scale", "open_still"),
    [
        ("rae-table1-fashion-mnist", "full", False),
        ("rae-table1-fashion-mnist", "medium", True),
        ("likelihood", "full", True),  # A budget of its own: 1,200 steps.
    ],
)
def test_the_published_scale_is_open_where_no_suite_with_a_published_protocol_ran_it(
    rows, suite, scale, open_still
):
    text = found_text(frame([row | {"suite": suite, "scale": scale} for row in rows]), {})
    assert ("Still open: the published scale" in text) == open_still
    assert text.endswith("colour and Inception features.")


def test_the_lead_its_interval_and_what_could_have_been_told_follow_from_the_rows(rows, text):
    differences, candidates, best, rival = lead_of(rows)
    low, high = interval_of(differences, candidates)
    found = re.search(
        rf"the best RAE, (\S+).*?, (leads|trails) (\S+).*? by {NUMBER} "
        r"\(95 % interval \[(.*?)\](.*?)\)",
        text,
    )
    assert (found[1], found[3]) == (best[0], rival[0])
    assert (found[2], float(found[4])) == ("leads", round(differences.mean()))
    assert [float(end) for end in found[5].split(", ")] == [round(low), round(high)]
    assert (low <= 0 <= high) == ("undecided below" in found[6])


def test_a_regularised_autoencoder_that_is_behind_trails_by_a_difference_above_0(rows):
    worse = with_worse_raes(rows)
    differences, candidates, best, rival = lead_of(worse)
    low, high = interval_of(-differences, candidates)
    told = found_text(frame(worse), {})
    found = re.search(r"best RAE, (\S+).*?, trails (\S+) by (\d+) \(95 % interval (.*?)\)", told)
    assert (found[1], found[2]) == (best[0], rival[0])
    assert float(found[3]) == round(-differences.mean()) > 0
    assert found[4] == f"[{low:.0f}, {high:.0f}]"


def test_an_undecided_lead_names_what_so_many_seeds_tell_in_four_of_five_cases():
    rows = study_rows(seeds=range(4), noise=30.0)
    text = found_text(frame(rows), {})
    differences, candidates, _, _ = lead_of(rows)
    low, high = interval_of(differences, candidates)
    assert low < 0 < high
    shown = float(re.search(rf"undecided below {NUMBER}", text)[1])
    error, freedom = stats.sem(differences), len(differences) - 1
    limit = stats.t.ppf(1 - 0.05 / candidates / 2, freedom)
    assert stats.nct.sf(limit, freedom, shown / error) == pytest.approx(0.8, abs=0.01)


def test_the_lead_with_equal_tuning_keeps_what_has_nothing_to_tune_as_published(rows, text):
    differences, _, best, rival = lead_of(rows, tuned=True)
    assert rival[0] == "ae"
    told = r"Among (\d+) tuned or untunable models, (\S+ \S+) leads (\S+) by "
    found = re.search(told + NUMBER, text)
    # Both VAEs, both RAEs, the L2 one, WAE and AE; not the flows and IWAE, which could be tuned.
    assert found.groups()[:3] == ("7", f"{best[0]} ({best[1]})", rival[0])
    assert float(found[4]) == pytest.approx(differences.mean(), abs=0.5)


def test_what_has_nothing_to_tune_is_what_the_objectives_say():
    found = {
        (name, not kind.in_space(space).tunable)
        for name, kind in OBJECTIVES.items()
        if kind.__module__.startswith("aebench.")
        for space in kind.spaces
    }
    assert {name for name, untunable in found if untunable} == set(NOTHING_TO_TUNE)
    assert not {(name, False) for name in NOTHING_TO_TUNE} & found


def test_what_tuning_gives_is_paired_with_the_published_setting(rows, text):
    names = [name for name in FACTORY["STUDY"] if name[0] in FACTORY["TUNED"]]
    gains = [
        (values(rows, *n, "gmm-10") - values(rows, *n, "gmm-10", tuned=True)).mean() for n in names
    ]
    found = re.search(
        rf"Tuning surely improves (\d) of {len(names)} models, gaining {NUMBER} ", text
    )
    assert float(found[2]) == pytest.approx(min(gains), abs=0.5)


@pytest.mark.parametrize("kept", [("rae",), ("vae",)])
def test_no_lead_with_equal_tuning_is_told_where_one_side_was_not_tuned(rows, kept):
    left = [
        row
        for row in rows
        if (row["objective"] in kept or "tuned" not in row["variant"]) and row["objective"] != "ae"
    ]
    text = found_text(frame(left), {})
    assert "Tuning surely improves" in text and "untunable" not in text
    assert "untunable" not in short_text(frame(left), {})


def test_what_tuning_gives_is_taken_against_the_options_that_the_suite_set():
    def method(name, variant):
        return Method(name, "vae", variant, "unit")

    published = {
        method("vae", ""): {0: 10.0, 1: 12.0},
        method("vae (samples=8)", '{"samples":8}'): {0: 50.0, 1: 51.0},
    }
    tuned = {
        method("vae (beta=2, tuned)", '{"beta":2,"tuned":true}'): {0: 9.0, 1: 10.0},
        method("vae (beta=2, samples=8, tuned)", '{"beta":2,"samples":8,"tuned":true}'): {
            0: 45.0,
            1: 47.0,
        },
    }
    gains = {gain.comparison: gain.differences for gain in tuning_gains(published, tuned)}
    assert gains == {"vae:": {0: 1.0, 1: 2.0}, "vae (samples=8):": {0: 5.0, 1: 4.0}}
    alike = {**published, method("vae (other)", ""): {0: 1.0, 1: 1.0}}
    assert "vae:" not in {gain.comparison for gain in tuning_gains(alike, tuned)}


def test_only_models_that_were_trained_again_are_said_to_be_tuned(rows):
    left = [row for row in rows if (row["objective"], "tuned" in row["variant"]) != ("rae", True)]
    assert "Among models tuned and trained again or untunable" in short_text(frame(left), {})
    told = found_paragraph(frame(left), {})
    assert "Among 5 tuned or untunable models, rae-l2 leads" in told
    assert "the others were not trained again" in told and "tuning changed" not in told


def test_the_lead_at_few_and_at_many_steps_is_among_those_that_have_both(rows, text):
    ends = [lead_of(rows, 1000)[0].mean(), lead_of(rows)[0].mean()]
    found = re.search(
        rf"Of such models, .* leads \S+ by {NUMBER} .*? after the fewest steps, and .*? by "
        rf"{NUMBER} \(.*? after the most\.",
        text,
    )
    assert [float(n) for n in found.groups()] == [pytest.approx(end, abs=0.5) for end in ends]
    falls = {
        name: values(rows, *name, "gmm-10", 1000) - values(rows, *name, "gmm-10")
        for name in (n for n in FACTORY["STUDY"] if n[0] != "iwae")
    }
    means = [fall.mean() for fall in falls.values()]
    found = re.search(rf"models \(5 seeds\) gain {NUMBER} .*? to {NUMBER} \(", text)
    shown = [float(number) for number in found.groups()]
    assert shown == [pytest.approx(end, abs=0.5) for end in (min(means), max(means))]


def with_worse_tuning(rows):
    """Returns rows whose one model, wae-mmd, has worse samples at its tuned settings."""
    return [
        row | {"value": row["value"] + 60 * (row["objective"] == "wae-mmd")}
        if "tuned" in row["variant"] and row["images"] == "sample" and row["metric"] == "fd"
        else row
        for row in rows
    ]


def test_a_range_over_all_models_says_so_where_not_all_are_surely_better(rows):
    text = found_text(frame(with_worse_tuning(rows)), {})
    assert re.search(r"improves 5 of 6 models[^;]*; gains of all: -\d+ \(wae-mmd", text)
    assert "Gaussians surely improves 10 of 10 models, gaining" in text


def test_a_rival_that_is_close_since_tuning_made_it_worse_is_said_to_be_so(rows):
    # WAE, far ahead at default settings, is made worse by tuning and stays the closest rival.
    moved = [
        row | {"value": row["value"] - (60 if "tuned" in row["variant"] else 120)}
        if (row["objective"], row["images"], row["metric"]) == ("wae-mmd", "sample", "fd")
        else row
        for row in rows
    ]
    before, after = (values(moved, "wae-mmd", "unit", "gmm-10", tuned=t).mean() for t in (0, 1))
    assert after > before
    assert "trails wae-mmd, which tuning worsened on average, by" in short_text(frame(moved), {})
    told = re.search(
        rf"Tuning worsened the mean FD of the closest rival .* from {NUMBER} to {NUMBER}\.",
        found_paragraph(frame(moved), {}),
    )
    assert [float(n) for n in told.groups()] == pytest.approx([before, after], abs=0.06)
    assert "tuning worsened" not in short_text(frame(rows), {})
    assert "Tuning worsened" not in found_paragraph(frame(rows), {})


def test_a_model_that_tuning_surely_worsens_is_named(rows):
    worse = with_worse_tuning(rows)
    tuned = values(worse, "wae-mmd", "unit", "gmm-10", tuned=True)
    loss = tuned - values(worse, "wae-mmd", "unit", "gmm-10")
    assert 6 * stats.ttest_1samp(loss, 0).pvalue < 0.05
    text = found_text(frame(worse), {})
    assert "improves 5 of 6 models and surely worsens 1 (wae-mmd); gains of all" in text
    assert "worsens" not in found_text(frame(rows), {})


def test_pairs_of_a_published_and_a_tuned_run_on_two_devices_are_counted(rows):
    elsewhere = [
        row | {"device": "NVIDIA H100"} if row["seed"] > 1 and not row["variant"] else row
        for row in rows
    ]
    told = found_paragraph(frame(elsewhere), {})
    # 6 models, each with 3 of its 5 seeds elsewhere.
    assert "18 of the 30 pairs of runs behind what tuning gives compare two devices.*" in told
    assert "two devices" not in found_paragraph(frame(rows), {})


def test_a_name_that_holds_another_one_keeps_its_space(rows, text):
    _, _, best, rival = lead_of(rows)
    assert (best, rival[0]) == (("rae", "unit"), "ae")
    assert "the best RAE, rae (unit), leads ae by" in text


def test_samples_that_get_worse_with_steps_are_told_as_a_negative_gain(rows):
    turned = [
        row | {"value": row["value"] + 900}
        if (row["objective"], row["steps"], row["metric"]) == ("ae", 10000, "fd")
        else row
        for row in rows
    ]
    text = found_text(frame(turned), {})
    assert re.search(r"steps, 9 models \(5 seeds\) gain -\d+ \(ae", text) and "falls" not in text


def test_own_samples_of_a_model_without_a_density_are_not_said_to_be_from_its_own(rows):
    assert "own density" not in short_text(frame(rows), {})


def test_of_likelihoods_that_move_with_steps_only_exact_ones_are_told(rows, text):
    arrays = images_of(rows)
    own = {}
    for row in frame(rows).to_dict("records"):
        if (row["objective"], row["metric"]) == ("aef-center", "bits_per_dim"):
            kept = arrays[key_of(row)]
            noise = np.random.default_rng(row["steps"]).normal(0, 100, len(kept.values))
            nats = kept.values + noise - noise.mean()
            arrays[key_of(row)] = PerImage(kept.images, nats, kept.kind, "yes")
            own[row["steps"], row["seed"]] = nats / 784 / np.log(2)
    told = found_text(frame(rows), arrays)
    moves = re.search(
        rf"gain [^.]*\), in bits/dim {NUMBER} \(aef-center, \[{NUMBER}, {NUMBER}\]\)\.", told
    )
    gains = np.array([own[10000, seed] - own[1000, seed] for seed in range(5)])
    over_seeds = stats.sem(gains.mean(axis=1)) * stats.t.ppf(0.975, 4)
    count = gains.shape[1]
    over_images = stats.sem(gains.mean(axis=0)) * stats.t.ppf(0.975, count - 1)
    half = np.hypot(over_seeds, over_images)
    shown = [float(moves[at]) for at in (1, 2, 3)]
    expected = [gains.mean(), gains.mean() - half, gains.mean() + half]
    assert shown == pytest.approx(expected, abs=6e-4)
    assert half > 1.05 * over_seeds
    assert not re.search(r"models \(5 seeds\) gain [^.]*bits/dim", text)


def test_the_gain_of_the_mixture_runs_from_the_smallest_to_the_largest(rows, text):
    own = {"rae": "gaussian", "rae-l2": "gaussian", "ae": "gaussian"}
    gains = []
    for name in FACTORY["STUDY"]:
        steps = 1800 if name[0] == "iwae" else 10000
        density = own.get(name[0], "prior")
        gains.append(values(rows, *name, density, steps) - values(rows, *name, "gmm-10", steps))
    surely = sum(stats.t.interval(0.95, 4, g.mean(), stats.sem(g))[0] > 0 for g in gains)
    assert f"surely improves {surely} of {len(gains)} models" in text
    found = re.search(rf"Gaussians .*? models, gaining {NUMBER} .*? to {NUMBER} \(", text)
    means = [gain.mean() for gain in gains]
    shown = [float(number) for number in found.groups()]
    assert shown == [pytest.approx(end, abs=0.5) for end in (min(means), max(means))]


def images_of(rows):
    """Returns for each likelihood in logit space those of single images, with its mean."""
    found = {}
    for row in frame(rows).to_dict("records"):
        if row["metric"] == "bits_per_dim":
            nats = np.random.default_rng(0).normal(0, 300, row["n_real"])
            nats += (8 - row["value"]) * 784 * np.log(2) - nats.mean()
            found[key_of(row)] = PerImage(np.arange(len(nats)), nats, row["kind"], "yes")
    return found


def test_an_exact_flow_against_a_bound_loses_at_least_so_much_and_two_bounds_say_nothing(rows):
    text = found_text(frame(rows), images_of(rows))
    assert re.search(r"aef-center loses at least 0\.0\d+ \[", text)
    assert "aef-linear has only a bound." in text


def test_too_few_seeds_make_nothing_sure_and_no_likelihood_decided():
    rows = frame(study_rows(seeds=range(3)))
    text = found_text(rows, {})
    assert "surely improves 0 of 10 models (3 of the 5 seeds needed)" in text
    assert "aef-center is undecided (3 of 5 seeds)" in text
    assert short_text(rows, {}).startswith(
        "For 0 of 10 models (3 of the 5 seeds needed) at default"
    )


def test_samples_that_beat_their_models_own_reconstructions_are_not_surely_better(rows):
    worse = [
        row | {"value": row["value"] + 400}
        if (row["objective"], row["images"], row["metric"]) == ("ae", "reconstruction", "fd")
        else row
        for row in rows
    ]
    for told, count in ((rows, 10), (worse, 9)):
        assert f"Gaussians surely improves {count} of 10 models" in found_text(frame(told), {})


def test_a_difference_of_likelihoods_without_single_images_is_undecided(rows):
    assert "aef-center is undecided (single images were not kept)" in found_text(frame(rows), {})


def test_at_equal_cost_a_score_lies_on_the_line_between_its_neighbours(rows):
    scores = at_equal_cost(largest_study(frame(rows)).rows, "rae (unit)")
    [aef] = [seeds for method, seeds in scores.mixture.items() if method.objective == "aef-center"]
    ends = [values(rows, "aef-center", "logit", "gmm-10", steps) for steps in (3000, 10000)]
    share = np.log(210 / 90) / np.log(300 / 90)
    expected = (1 - share) * ends[0] + share * ends[1]
    assert [aef[seed] for seed in sorted(aef)] == pytest.approx(list(expected))
    [plain] = [s for method, s in scores.mixture.items() if method.objective == "ae"]
    assert plain == dict(enumerate(values(rows, "ae", "unit", "gmm-10")))


def test_at_equal_cost_another_pair_is_named_and_a_dearer_model_admitted(rows, text):
    assert "; at equal CPU seconds by 25 [" in text
    slower = [
        row | {"compute_seconds": 10 * row["compute_seconds"]} if row["objective"] == "ae" else row
        for row in rows
    ]
    other = found_text(frame(slower), {})
    assert re.search(r"at equal CPU seconds rae \(unit\) leads (?!ae)\S+ by \d+ [([]", other)
    assert "if it took at most 25 % more, else it is left out" in found_paragraph(frame(rows), {})


def test_seconds_of_two_machines_or_unknown_ones_are_no_common_cost(rows):
    frames = [
        frame([row | {"device": f"cpu {row['objective']} {row['steps']}"} for row in rows]),
        frame([row | {"compute_seconds": None} for row in rows]),
        frame([row for row in rows if row["steps"] in (0, 10000)]),
    ]
    for own in frames:
        assert at_equal_cost(largest_study(own).rows, "rae (unit)") is None
        assert "at equal" not in found_text(own, {})


def test_what_costs_more_than_the_budget_at_its_fewest_steps_is_left_out():
    assert at_cost({100.0: {0: 1.0}}, 79.0) == {}
    assert at_cost({100.0: {0: 1.0}}, 81.0) == {0: 1.0}


def test_one_seed_or_one_objective_or_no_mixture_finds_nothing(rows):
    assert found_text(frame(study_rows(seeds=range(1))), {}) == ""
    assert found_text(frame(likelihood_rows()), {}) == ""
    assert found_text(frame(table_rows(objectives=("rae",))), {}) == ""
    assert found_text(frame([row for row in rows if row["density"] != "gmm-10"]), {}) == ""


def test_a_suite_that_varies_the_steps_speaks_to_the_comparison_that_it_belongs_to(rows, text):
    apart = [
        row | {"suite": "families-steps"}
        if 0 < row["steps"] < 10000 and row["steps"] != 1800
        else row
        for row in rows
    ]
    assert found_text(frame(apart), {}) == text
    [table] = headline_of(frame(apart))
    assert "families-fashion-mnist " in table.title


def test_pages_over_all_results_open_with_what_was_found_and_the_headline(rows, text, tmp_path):
    write_results(tmp_path / "study" / "results.csv", frame(rows))
    write_results(tmp_path / "other" / "results.csv", frame(table_rows(suite="other")))
    folders = [tmp_path / "other", tmp_path / "study"]
    [page] = build_overview(folders, tmp_path)
    opening = page.read_text(encoding="utf-8").partition("| suite |")[0]
    assert text in opening
    assert "Samples, likelihood and cost · fashion-mnist" in opening
    _, board, html = build_leaderboard(folders, tmp_path)
    assert board.read_text(encoding="utf-8").startswith("**Samples, likelihood and cost")
    assert "smallest difference that could be shown" in html.read_text(encoding="utf-8")


def test_what_was_found_names_its_data_set_and_size_of_codes_among_several(rows):
    larger = {"backbone_hash": "c" * 64, "latent_dim": 32}
    others = [row | larger | {"run": row["run"][::-1]} for row in rows if row["steps"] == 3000]
    told = found_paragraph(frame([*others, *rows]), {})
    assert told.startswith("**What we found on fashion-mnist, d = 16.** Over 5 seeds")


def anchor_rows(value, **columns):
    own = {"samples_k": 32, "n_real": 10000, "dataset": "fashion-mnist", "stderr": 0.002}
    own |= {"variant": '{"posterior_flow":"iaf","prior_flow":"maf"}'}
    found = likelihood_rows(seeds=(0, 1), sizes=(2,), levels={"vae": 0.0}, **own)
    return [r | {"value": value + 0.002 * r["seed"]} | columns for r in found]


@pytest.mark.parametrize(("value", "where"), [(4.67, "inside"), (4.5, "outside")])
def test_the_printed_likelihood_stands_beside_a_like_estimate_of_ours(value, where):
    sentence = anchor_paragraph(frame(anchor_rows(value)), {})
    assert "prints 4.673 bits/dim for vae" in sentence and "d = 2, K = 32" in sentence
    assert f"is {value + 0.001:.3f} ±" in sentence and "2 seeds and 10,000" in sentence
    assert f"lies {where} [" in sentence
    seeds = np.array([value, value + 0.002])
    half = stats.t.ppf(0.975, 1) * seeds.std(ddof=1) * np.sqrt(1 + 1 / 2)
    half = np.hypot(half, 1.959964 * 0.002)
    assert f"[{seeds.mean() - half:.3f}, {seeds.mean() + half:.3f}]" in sentence


def test_the_printed_likelihood_is_a_line_of_the_table_of_published_values():
    [table] = published_tables(frame(anchor_rows(4.67)), {})
    [line] = [cells for label, cells in table.lines if label.startswith("the authors' notebook")]
    assert (line[0].value, line[3].text) == (4.673, "yes")
    assert line[2].text == "-0.002"


@pytest.mark.parametrize(
    "other",
    [
        {"samples_k": 500},
        {"variant": ""},
        {"latent_dim": 8},
        {"objective": "aef-linear"},
        {"space": "unit"},
    ],
)
def test_no_other_model_or_estimate_stands_beside_the_printed_one(other):
    rows = [make_row(**{**row, **other, "recipe": "", "run": ""}) for row in anchor_rows(4.67)]
    assert anchor_paragraph(frame(rows), {}) == ""


def test_an_untrusted_estimate_takes_its_error_from_single_images():
    rows = frame(anchor_rows(4.67, trusted="no", stderr=None))
    draw = np.random.default_rng(0)
    arrays, errors = {}, []
    for row in rows.to_dict("records"):
        nats = draw.normal(0, 300, row["n_real"])
        nats += (8 - row["value"]) * 784 * np.log(2) - nats.mean()
        errors.append(nats.std(ddof=1) / np.sqrt(len(nats)) / 784 / np.log(2))
        arrays[key_of(row)] = PerImage(np.arange(len(nats)), nats, "lower bound", "no")
    sentence = anchor_paragraph(rows, arrays)
    half = np.hypot(stats.t.ppf(0.975, 1) * 0.001, 1.959964 * np.mean(errors))
    assert f"is 4.671 ± {half:.3f} here" in sentence
    assert "neither is trusted as a likelihood" in sentence
    ours, notes = notebook_line(rows, arrays)
    assert ours.half_width == pytest.approx(half)
    assert "; with so few samples neither is trusted as a likelihood" in notes
    # Its † would say that it has no interval and enters no difference; here it has both.
    assert not any("Not trusted" in warning for warning in ours.warnings)


def test_untrusted_estimates_are_said_to_be_so_at_the_number_and_bracket_no_printed_value():
    good, bad = anchor_rows(4.67, ess_median=2.14)
    told = anchor_paragraph(frame([good, bad | {"trusted": "no"}]), {})
    number = r"4\.671 ± [\d.]+ here \(1 of 2 seeds untrusted, median effective sample size 2\.1\)"
    assert re.search(number, told)
    assert "an interval is given for this comparison alone." in told
    assert "lies inside" not in told and "lies outside" not in told
    assert "untrusted" not in anchor_paragraph(frame([good, bad]), {})


@pytest.mark.parametrize("clip", [0, 200.0])
def test_how_the_printed_estimate_and_ours_were_come_by_is_said_beside_both(clip):
    settings = f'{{"training":{{"gradient_clip":{clip}}}}}'
    rows = frame(anchor_rows(4.67, split="aef")).assign(settings=settings)
    published = (
        "samples from the encoder's q(z|x) itself, no clipping of gradients, a split of the "
        "images without a seed"
    )
    ours = "samples from a proposal that was chosen on validation images, "
    ours += "gradients clipped at a norm of 200, " if clip else ""
    ours += "the split 'aef', weights of the best validation loss"
    sentence, (_, notes) = anchor_paragraph(rows, {}), notebook_line(rows, {})
    assert "The same estimate" not in sentence
    assert f"Published: {published}. Ours: {ours}." in sentence
    assert f"published: {published}; ours: {ours}" in notes


def notebook_line(rows, arrays):
    """Returns our cell and the notes of the line for the notebook's printed likelihood."""
    [table] = published_tables(rows, arrays)
    [line] = [cells for label, cells in table.lines if label.startswith("the authors' notebook")]
    return line[1], line[4].text


def test_an_interval_without_single_images_is_said_to_be_over_seeds_alone():
    rows = frame(anchor_rows(4.67, trusted="no", stderr=None))
    ours, notes = notebook_line(rows, {})
    assert ours.half_width == pytest.approx(stats.t.ppf(0.975, 1) * 0.001)
    assert notes.endswith("single images were not kept: ± and interval are over seeds alone")
    assert "not kept" not in notebook_line(frame(anchor_rows(4.67)), {})[1]
