"""Metrics of texts: known answers, laws over all of them, and errors found by simulation."""

from __future__ import annotations

import random
import sys
import warnings

import numpy as np
import pytest
import torch
from aebench.bench.evaluation.metric_lookup import compute_scores, find_metric, metrics
from aebench.metrics import string_scores
from aebench.metrics.arrays import BadInput
from aebench.metrics.bigrams import bigram_distance
from aebench.metrics.memory import Memory, remembering
from aebench.metrics.rate import rate
from rdkit import Chem
from scipy import linalg
from sklearn.feature_extraction.text import CountVectorizer
from torch.distributions import Independent, Normal, kl_divergence

EXPRESSIONS = ["x", "x+1", "x+1", "sin(x)", "2*x", "x+", "", "3", "3", "3", "exp(x)/2", "x*x"]
MOLECULES = [
    "C",
    "CC",
    "OCC",
    "CCO",
    "C1CCCCC1",
    "c1ccccc1",
    "CCN",
    "C(",
    "",
    "CC(C)C",
    "CC",
    "F=",
]
OTHERS = {
    "expressions": ["1", "2", "x/3", "sin(x)", "3", "x", "x*x*x", "1+1"],
    "smiles": ["CCCC", "C=O", "C(O)C", "CCCl", "CNC", "C", "CS", "CBr"],
}
TASKS = {"expressions": EXPRESSIONS, "smiles": MOLECULES}
SYMBOLS = 20
OF_TEXTS = [
    n for n, m in metrics().items() if any(x.endswith(("_texts", "_symbols")) for x in m.needs)
]
OF_GENERATED = [name for name in OF_TEXTS if "generated_texts" in metrics()[name].needs]
# Which way round a metric's sets belong together, row by row.
PAIRS = ("real_texts", "reconstructed_texts"), ("real_symbols", "reconstructed_symbols")


def outputs(task, generated=None):
    generator = np.random.default_rng(0)
    texts = TASKS[task] if generated is None else generated
    return {
        "task": task,
        "generated_texts": tuple(texts),
        "training_texts": tuple(OTHERS[task]),
        "real_texts": tuple(OTHERS[task]),
        "reconstructed_texts": (*OTHERS[task][:3], *OTHERS[task][:2], *OTHERS[task][5:]),
        "real_symbols": generator.integers(0, 3, size=(SYMBOLS, 6)).astype(np.uint8),
        "reconstructed_symbols": generator.integers(0, 3, size=(SYMBOLS, 6)).astype(np.uint8),
        "padding": 2,
    }


def scores_of(name, given):
    assert set(metrics()[name].needs) <= set(given), "the law has nothing for a need"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return {score.metric: score for score in compute_scores(metrics()[name], given)}


def value_of(name, **given):
    (score,) = scores_of(name, outputs(given.get("task", "expressions")) | given).values()
    assert score.status == "ok", score
    return score.value


# Known answers


def test_shares_of_valid_distinct_and_new_expressions_are_counted_by_hand():
    assert value_of("validity") == pytest.approx(10 / 12)
    assert value_of("uniqueness") == pytest.approx(7 / 10)
    assert value_of("novelty") == pytest.approx(4 / 7)  # x, sin(x) and 3 were seen.


def test_shares_of_valid_distinct_and_new_molecules_are_counted_by_hand():
    assert value_of("validity", task="smiles") == pytest.approx(9 / 12)
    assert value_of("uniqueness", task="smiles") == pytest.approx(7 / 9)  # CC, and CCO is OCC.
    assert value_of("novelty", task="smiles") == pytest.approx(5 / 7)  # C and OCC were seen.


@pytest.mark.parametrize(
    ("task", "name"), [("expressions", "expression-score"), ("smiles", "penalised-logp")]
)
def test_the_mean_score_is_that_of_the_valid_texts(task, name):
    scores, valid = string_scores(TASKS[task], task)
    (score,) = scores_of(name, outputs(task)).values()
    assert score.metric == "mean_score" and 0 < valid.sum() < len(valid)
    assert score.value == pytest.approx(scores[valid].mean())
    assert score.stderr == pytest.approx(scores[valid].std(ddof=1) / valid.sum() ** 0.5)
    assert score.better == {"expressions": "lower", "smiles": "higher"}[task]


def test_reconstructed_texts_count_where_they_are_whole():
    real, other = ("x", "x+1", "1", "2"), ("x", "x+2", "2", "2")
    assert value_of("exact-strings", real_texts=real, reconstructed_texts=other) == 0.5


@pytest.mark.parametrize(
    ("real", "reconstructed", "share"),
    [
        ([0, 1, 0, 2, 2, 2], [0, 1, 0, 2, 2, 2], 1),
        ([0, 1, 0, 2, 2, 2], [0, 0, 0, 2, 2, 2], 2 / 3),
        ([0, 1, 0, 2, 2, 2], [0, 1, 0, 1, 2, 2], 3 / 4),  # One too many is a fault.
        ([0, 1, 0, 1, 2, 2], [0, 1, 0, 2, 2, 2], 3 / 4),  # One too few as well.
        ([0, 1, 0, 2, 2, 2], [2, 2, 2, 2, 2, 2], 0),
        ([2, 2, 2, 2, 2, 2], [2, 2, 2, 2, 2, 2], 1),
    ],
)
def test_right_symbols_are_counted_as_far_as_the_longer_text_reaches(real, reconstructed, share):
    given = {"real_symbols": np.array([real]), "reconstructed_symbols": np.array([reconstructed])}
    assert value_of("symbols-right", **given) == pytest.approx(share)


@pytest.fixture
def drawn_molecules():
    """Returns 24 small molecules, half of them in one set and half in the other."""
    molecules = ["C" * n + end for n in range(1, 7) for end in ("O", "N", "F", "Cl")]
    return molecules[::2], molecules[1::2]


def test_the_frechet_chemnet_distance_is_that_of_its_package(drawn_molecules):
    real, generated = drawn_molecules
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fcd_torch import FCD

        expected = FCD()(real, generated)
    found = value_of("fcd", task="smiles", real_texts=real, generated_texts=[*generated, "C("])
    assert found == pytest.approx(expected, rel=1e-4) and found > 0.1


# Laws over the registry


def test_there_are_metrics_of_texts_to_hold_to_the_laws():
    assert len(OF_GENERATED) >= 5 and len(OF_TEXTS) >= 7


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", OF_TEXTS)
def test_the_order_of_texts_decides_no_score(name, task):
    given = outputs(task)
    expected = scores_of(name, given)
    for seed in range(3):
        moved = dict(given)
        for names in (*PAIRS, ("generated_texts",), ("training_texts",)):
            order = np.random.default_rng(seed).permutation(len(given[names[0]]))
            for each in names:
                array = given[each]
                moved[each] = array[order] if "symbols" in each else tuple(array[i] for i in order)
        for key, score in scores_of(name, moved).items():
            assert score.status == expected[key].status
            for found, known in (
                (score.value, expected[key].value),
                (score.stderr, expected[key].stderr),
            ):
                assert found == (
                    known and pytest.approx(known, rel=1e-4 if name == "fcd" else 1e-9)
                )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", OF_GENERATED)
@pytest.mark.parametrize("kind", ["all invalid", "all equal", "one", "themselves"])
def test_every_edge_has_a_finite_score_or_a_reason_and_no_error_of_zero(name, task, kind):
    one = OTHERS[task][0]
    generated = {
        "all invalid": ["x+", "", "C("],
        "all equal": [one] * 6,
        "one": [one],
        "themselves": OTHERS[task],
    }
    for score in scores_of(name, outputs(task, generated[kind])).values():
        assert score.status in ("ok", "not applicable")
        assert (score.value is not None and np.isfinite(score.value)) == (score.status == "ok")
        assert score.reason or score.status == "ok"
        assert score.stderr is None or 1e-9 < score.stderr < np.inf


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", OF_TEXTS)
def test_no_texts_at_all_are_refused_in_one_line(name, task):
    given = outputs(task)
    empty = {k: v[:0] for k, v in given.items() if k.endswith(("_texts", "_symbols"))}
    try:
        scores = scores_of(name, given | empty)
    except ValueError as error:
        assert "expected" in str(error) and "\n" not in str(error)
        return
    # A metric of the other task has nothing to do with these texts.
    assert all("scores" in score.reason for score in scores.values())


@pytest.mark.parametrize("task", TASKS)
def test_all_invalid_texts_are_no_share_of_anything(task):
    given = outputs(task, ["x+", "", "C("])
    assert scores_of("validity", given)["validity"].value == 0
    for name in ("uniqueness", "novelty"):
        assert scores_of(name, given)[name].reason == "no text is valid"
    own = {"expressions": "expression-score", "smiles": "penalised-logp"}[task]
    assert scores_of(own, given)["mean_score"].reason == "no text is valid"


@pytest.mark.parametrize("task", TASKS)
def test_texts_of_the_training_are_valid_distinct_and_not_new(task):
    given = outputs(task, OTHERS[task])
    assert [scores_of(n, given)[n].value for n in ("validity", "uniqueness", "novelty")] == [
        1,
        1,
        0,
    ]
    assert scores_of("uniqueness", outputs(task, [OTHERS[task][0]] * 5))["uniqueness"].value == 0.2


def test_texts_reconstructed_as_themselves_are_right_throughout():
    given = outputs("smiles")
    for real, reconstructed in PAIRS:
        given[reconstructed] = given[real]
    assert scores_of("exact-strings", given)["exact_strings"].value == 1
    assert scores_of("symbols-right", given)["symbols_right"].value == 1


def test_a_metric_of_one_task_does_not_apply_to_the_other():
    for name, task in (("expression-score", "smiles"), ("penalised-logp", "expressions")):
        score = scores_of(name, outputs(task))[name]
        assert score.status == "not applicable" and score.reason.endswith(f"not {task}")
    assert (
        scores_of("fcd", outputs("expressions"))["fcd"].reason == "scores smiles, not expressions"
    )


@pytest.mark.parametrize("name", OF_GENERATED)
def test_an_unknown_task_is_refused(name):
    with pytest.raises(ValueError, match="'task' is 'words'; expected expressions or smiles"):
        scores_of(name, outputs("smiles") | {"task": "words"})


def test_pairs_of_unequal_number_or_type_are_refused():
    given = outputs("smiles")
    with pytest.raises(ValueError, match="'real_texts' has 8 texts and 'reconstructed_texts' 7"):
        scores_of("exact-strings", given | {"reconstructed_texts": OTHERS["smiles"][1:]})
    with pytest.raises(ValueError, match=r"'real_symbols' has shape \(20, 6\) and"):
        scores_of("symbols-right", given | {"reconstructed_symbols": np.zeros((20, 5), int)})
    with pytest.raises(ValueError, match="'real_symbols' has type float64; expected integers"):
        scores_of("symbols-right", given | {"real_symbols": np.zeros((20, 6))})


# What is missing


@pytest.mark.parametrize("name", ["validity", "uniqueness", "novelty", "penalised-logp"])
def test_molecules_are_refused_without_rdkit_and_expressions_are_not(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(
        ValueError, match=r"Molecules need rdkit.*: pip install aebench\[structured\]"
    ):
        scores_of(name, outputs("smiles"))
    scores_of(name, outputs("expressions"))


def test_without_its_package_the_chemnet_distance_does_not_apply(monkeypatch):
    monkeypatch.setattr("aebench.metrics.fcd.PACKAGE", "no_such_package")
    score = scores_of("fcd", outputs("smiles"))["fcd"]
    assert score.status == "not applicable"
    assert score.reason == "needs a package: pip install no_such_package"


def test_other_weights_than_the_known_ones_are_refused(monkeypatch, drawn_molecules):
    from aebench.metrics.fcd import _network

    _network.cache_clear()
    monkeypatch.setattr("aebench.metrics.fcd.DIGEST", "0" * 64)
    with pytest.raises(ValueError, match="have SHA-256 a36658cc7c94; expected 000000000000"):
        value_of("fcd", task="smiles", real_texts=drawn_molecules[0])


# What is computed once, and errors


def test_training_texts_are_read_once_for_all_densities(monkeypatch):
    read = []
    original = Chem.MolFromSmiles
    monkeypatch.setattr(Chem, "MolFromSmiles", lambda text: read.append(text) or original(text))
    with remembering(Memory(4)):
        values = [scores_of("novelty", outputs("smiles"))["novelty"] for _ in range(3)]
        assert values[0] == values[1] == values[2]
        assert read.count("C=O") == 1
        moved = outputs("smiles") | {"training_texts": ("CC", "C=O")}
        assert scores_of("novelty", moved)["novelty"].value == pytest.approx(6 / 7)


@pytest.mark.parametrize("name", ["validity", "uniqueness", "novelty", "expression-score"])
def test_standard_errors_are_the_spread_over_repeated_draws(name):
    generator = random.Random(0)
    kinds = [f"x+{a}*{b}{c}" for a in "123x" for b in "123x" for c in ("", "+1", "+2", "+x", "+")]
    weights = [1 / (1 + i) for i in range(len(kinds))]
    given = outputs("expressions") | {"training_texts": tuple(kinds[::3])}
    draws = [
        next(iter(scores_of(name, given | {"generated_texts": texts}).values()))
        for texts in (generator.choices(kinds, weights, k=60) for _ in range(300))
    ]
    spread = np.std([score.value for score in draws])
    claimed = np.sqrt(np.mean([(score.stderr or 0.0) ** 2 for score in draws]))
    assert spread == pytest.approx(claimed, rel=0.25), (spread, claimed)


def test_what_a_metric_needs_and_is_called_stays_as_suites_ask():
    assert find_metric("fcd").needs == ("real_texts", "generated_texts", "task")
    assert find_metric("symbols-right").better == "higher"


def test_the_rate_is_the_mean_kl_of_the_encoder_to_the_prior():
    generator = np.random.default_rng(0)
    mean, log_sigma = generator.normal(size=(2, 50, 3))
    inner = Independent(Normal(torch.from_numpy(mean), torch.from_numpy(log_sigma).exp()), 1)
    outer = Independent(Normal(torch.zeros(3).double(), torch.ones(3).double()), 1)
    wanted = kl_divergence(inner, outer).numpy()
    found = rate(posterior_mean=mean, posterior_log_sigma=log_sigma)["rate"]
    assert found.value == pytest.approx(wanted.mean(), rel=1e-12)
    assert found.stderr == pytest.approx(wanted.std(ddof=1) / 50**0.5, rel=1e-12)
    with pytest.raises(ValueError, match="log_sigma"):
        rate(posterior_mean=mean, posterior_log_sigma=log_sigma[:, :2])


@pytest.mark.parametrize("task", list(TASKS))
def test_bigrams_are_those_of_scikit_learn_and_their_distance_that_of_scipy(task):
    texts = TASKS[task] * 4, OTHERS[task] * 3
    marked = [[f"\2{text}\3" for text in own] for own in texts]
    vectoriser = CountVectorizer(analyzer="char", ngram_range=(2, 2), lowercase=False)
    vectoriser.fit([*marked[0], *marked[1]])
    real, generated = (vectoriser.transform(own).toarray().astype(float) for own in marked)
    covs = np.cov(real.T), np.cov(generated.T)
    root = linalg.sqrtm(covs[0] @ covs[1] + 1e-12 * np.eye(len(covs[0])))
    shift = ((real.mean(0) - generated.mean(0)) ** 2).sum()
    wanted = shift + np.trace(covs[0]) + np.trace(covs[1]) - 2 * np.trace(root).real
    found = bigram_distance(real_texts=texts[0], generated_texts=texts[1])
    # The 1e-12 is for the root of a singular matrix: each eigenvalue 0 becomes one of 1e-6.
    assert found.value == pytest.approx(wanted, abs=2e-6 * len(root))
    mirrored = bigram_distance(real_texts=texts[1][::-1], generated_texts=texts[0][::-1])
    assert mirrored.value == pytest.approx(found.value, abs=1e-9)


def test_bigrams_tell_the_order_of_characters_and_what_is_written_most():
    own = [*OTHERS["expressions"], "sin(x)*2"] * 9
    turned = bigram_distance(real_texts=own, generated_texts=[text[::-1] for text in own])
    more = bigram_distance(real_texts=own, generated_texts=["x"] * len(own))
    assert turned.value > 1 and more.value > 1
    assert bigram_distance(real_texts=own, generated_texts=own).value == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadInput, match="'generated_texts' holds no texts"):
        bigram_distance(real_texts=own, generated_texts=[])
