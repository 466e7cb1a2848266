"""Runs over texts: trained, scored and searched like any other, and known again."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.errors import RunFailed
from aebench.bench.evaluation.evaluation import Item
from aebench.bench.evaluation.identity import evaluation_identity
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.evaluation.search_rows import Search
from aebench.bench.evaluation.text_outputs import TextOutputs
from aebench.bench.evaluation.texts import TextEvaluator
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.interruption import Stopped
from aebench.bench.optimisation import search
from aebench.bench.optimisation.candidates import Candidates
from aebench.bench.optimisation.search import _divide
from aebench.bench.runs import preflight
from aebench.bench.suites.config import Evaluation, Optimisation
from aebench.bench.suites.suite import load_suite
from aebench.metrics.strings import string_scores
from aebench.models import build, form

BASE = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))["run_columns"]()
SUITE = """
dataset = "expressions"
backbone = "grammar-gru"
backbone_options = {width = 0.2}
latent_dim = 8

[training]
steps = 20
batch_size = 50
validate_every = 10
train_images = 1000

[evaluation]
densities = ["prior", "gaussian"]
metrics = ["exact-strings", "symbols-right", "validity", "novelty", "expression-score"]
images = 60

[evaluation.optimisation]
trials = 2
rounds = 2
batch = 4
codes = 300
inducing = 20
steps = 10
decodes = 3

[[runs]]
objective = "vae"
"""


@pytest.fixture(scope="module")
def expressions():
    return load_dataset("expressions")


@pytest.fixture(scope="module")
def finished(suite_in, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    suite = suite_in(out, text=SUITE)
    words = ("--device", "cpu", "--workers", "1", "--quiet")
    assert main(["run", suite, "--out", str(out), *words]) == 0
    (folder,) = (out / "runs").iterdir()
    return suite, folder


def rows_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))["rows"]


def test_a_run_over_texts_is_whole_and_a_second_one_does_nothing(finished, aebench):
    suite, folder = finished
    rows = {(r["images"], r["density"], r["metric"]): r for r in rows_of(folder)}
    assert {r["space"] for r in rows.values()} == {"sequence"}
    assert {("reconstruction", "", "exact_strings"), ("reconstruction", "", "symbols_right")} <= (
        rows.keys()
    )
    for density in ("prior", "gaussian"):
        assert rows["sample", density, "validity"]["n_generated"] == 60
    for way in ("bayesian", "random"):
        assert rows["sample", way, "validity"]["n_generated"] == 2 * 2 * 4
        assert rows["sample", way, "best_1"]["better"] == "lower"
    before = (folder / "result.json").read_bytes()
    code, told = aebench(suite, out=folder.parents[1])
    assert code == 0 and "1 complete" in told
    assert (folder / "result.json").read_bytes() == before


def test_the_best_strings_in_the_arrays_have_the_scores_of_the_rows(finished):
    _, folder = finished
    rows = {(r["density"], r["metric"]): r["value"] for r in rows_of(folder)}
    grammar = form("expressions-grammar")
    with np.load(folder / "arrays.npz") as arrays:
        for way in ("bayesian", "random"):
            texts = [grammar.text(row) for row in arrays[f"best_{way}"].tolist()]
            told = [rows[way, f"best_{place + 1}"] for place in range(len(texts))]
            assert told == pytest.approx(string_scores(texts, "expressions")[0].tolist())
            assert told == pytest.approx(arrays[f"best_{way}_scores"].tolist())


def test_the_first_surrogate_of_each_trial_is_judged_in_the_rows(finished):
    _, folder = finished
    rows = {(r["density"], r["metric"]): r for r in rows_of(folder)}
    files = sorted((folder / "search").glob("bayesian-*.safetensors"))
    firsts = [load_checkpoint(path)[1]["rounds"][0] for path in files]
    assert len(firsts) == 2
    for name, better in (("rmse", "lower"), ("log_likelihood", "higher")):
        row = rows["bayesian", f"surrogate_{name}"]
        assert row["value"] == pytest.approx(sum(first[name] for first in firsts) / 2)
        assert row["better"] == better and row["stderr"] > 0
        assert ("random", f"surrogate_{name}") not in rows


def test_more_trials_score_nothing_anew_but_the_search(
    finished, suite_file, aebench, tmp_path, monkeypatch
):
    computed, compute = [], TextEvaluator.compute
    monkeypatch.setattr(
        TextEvaluator,
        "compute",
        lambda self, item: (computed.append((item.metric, item.density)), compute(self, item))[1],
    )
    _, whole = finished
    shutil.copytree(whole.parents[1], tmp_path / "out")
    code, told = aebench(suite_file(("trials = 2", "trials = 3"), text=SUITE))
    assert code == 0, told
    folder = tmp_path / "out" / "runs" / whole.name
    assert computed == [("optimisation", "bayesian"), ("optimisation", "random")]
    rows = {(r["density"], r["metric"]): r for r in rows_of(folder)}
    assert rows["bayesian", "validity"]["n_generated"] == 3 * 2 * 4
    with np.load(folder / "arrays.npz") as arrays:
        assert arrays["best_random_scores"][0] == pytest.approx(rows["random", "best_1"]["value"])


def test_a_search_that_fails_leaves_the_other_rows_of_its_run(
    suite_file, aebench, tmp_path, monkeypatch
):
    def fail(*arguments):
        raise RunFailed("Half of the pairs of latent codes are equal.")

    monkeypatch.setattr(search, "fit_surrogate", fail)
    code, told = aebench(suite_file(text=SUITE))
    assert code == 0, told
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    rows = {(r["images"], r["density"], r["metric"]): r for r in rows_of(folder)}
    for name in ("validity", "mean_score", "best_1"):
        row = rows["sample", "bayesian", name]
        assert (row["status"], row["value"]) == ("failed", None) and "are equal" in row["reason"]
        assert rows["sample", "random", name]["status"] == "ok"
    assert rows["reconstruction", "", "exact_strings"]["status"] == "ok"
    with np.load(folder / "arrays.npz") as arrays:
        assert "best_random" in arrays and "best_bayesian" not in arrays


def test_scores_that_a_search_lacks_say_why(monkeypatch):
    from types import SimpleNamespace

    # Two valid candidates of one score: none is better than the worst, and there is no second.
    same = Candidates(
        codes=torch.zeros(2, 1),
        texts=("x", "x"),
        valid=torch.tensor([True, True]),
        single_valid=torch.tensor([True, True]),
        scores=torch.tensor([1.0, 1.0], dtype=torch.float64),
        known=torch.tensor([False, False]),
    )
    outputs = SimpleNamespace(form=form("expressions-grammar"))
    searched = Search(outputs, Path("run"), {"weights": "", "data": ""})
    monkeypatch.setattr(searched, "candidates", lambda way, report: (same,))
    found = {score.metric: score for score in searched.scores("random", lambda told: None)}
    assert found["best_1"].value == 1.0
    assert "better than the worst" in found["mean_score"].reason
    assert "distinct scores" in found["best_2"].reason


def test_sheets_of_texts_hold_the_test_texts_and_the_samples_that_were_scored(
    finished, expressions
):
    _, folder = finished
    with np.load(folder / "arrays.npz") as arrays:
        shown = arrays["texts_test"]
        assert (shown == expressions.test[: len(shown), 0, 0].numpy()).all()
        assert arrays["texts_interpolation"].shape[1:] == (6, 15)
        assert {"texts_sample_prior", "texts_sample_gaussian", "texts_neighbours"} <= {*arrays}
    assert not (folder / "samples.png").exists()


RULES = [
    ("S", "S+T"), ("S", "S*T"), ("S", "S/T"), ("S", "T"), ("T", "(S)"), ("T", "sS)"),
    ("T", "eS)"), ("T", "x"), ("T", "1"), ("T", "2"), ("T", "3"), ("Nothing", ""),
]  # fmt: skip


def decoded_by_hand(logits):
    """Returns the productions of each text, chosen one by one; 11 is nothing."""
    found = []
    for scores in logits.numpy():
        stack, text = ["S"], []
        for step in scores:
            left = stack.pop() if stack else "Nothing"
            allowed = [rule for rule, (side, _) in enumerate(RULES) if side == left]
            text.append(max(allowed, key=lambda rule: step[rule]))
            stack += [s for s in reversed(RULES[text[-1]][1]) if s in "ST"]
        found.append([11] * 15 if stack else text)
    return found


@pytest.fixture(scope="module")
def linear(expressions):
    """Returns the outputs of an autoencoder that gives some texts back; others never end."""
    data = dataclasses.replace(expressions, train=expressions.train[:1000])
    model = build(
        "vae", backbone="grammar-gru", image_shape=(1, 15, 12), latent_dim=14,
        form="expressions-grammar", backbone_options={"width": 0.2},
    )  # fmt: skip
    vectors = model.space.prepare(data.train, None).flatten(1)
    mean = vectors.mean(0)
    # The principal components, the one with the least variance first.
    axes = torch.linalg.svd(vectors - mean, full_matrices=False)[2][:14].flip(0)

    def decode(z):
        logits = (z @ axes + mean).view(-1, 1, 15, 12)
        logits[z[:, -1] > 0.8, :, :, 4] = 9.0  # The production of another pair of brackets.
        return logits

    model.encode, model.decode = lambda x: (x.flatten(1) - mean) @ axes.T, decode
    return TextOutputs(model, data, Evaluation(images=60, densities=()), 0)


def test_scores_of_reconstructions_and_the_rate_are_those_counted_by_hand(linear, tmp_path):
    model, stored = linear.objective, linear.data.test[:60]
    record = EvaluationRecord(tmp_path / "evaluation.json", {"weights": "", "data": ""})
    evaluator = TextEvaluator(linear, BASE, linear.settings, record, "cpu")

    def score(images, metric):
        [row] = evaluator.compute(Item(images, metric))
        return row["value"]

    with torch.no_grad():
        x = model.space.prepare(stored, None)
        found = decoded_by_hand(model.decode(model.encode(x))[:, 0])
        mean, log_sigma = model.posterior(x)
    exact, shares = 0, []
    for text, row in zip(found, stored[:, 0, 0].tolist(), strict=True):
        exact += text == row
        places = [(a, b) for a, b in zip(text, row, strict=True) if not a == b == 11]
        shares.append(sum(a == b for a, b in places) / len(places))
    assert 0 < exact < 60 and any(text == [11] * 15 for text in found)
    assert score("reconstruction", "exact-strings") == pytest.approx(exact / 60)
    assert score("reconstruction", "symbols-right") == pytest.approx(sum(shares) / 60)
    posterior = torch.distributions.Normal(mean.double(), log_sigma.double().exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert score("test", "rate") == pytest.approx(float(kl.sum(1).mean()), rel=1e-5)


def test_neighbours_of_the_first_test_text_are_one_deviation_off_where_codes_vary_most(
    linear, monkeypatch
):
    model, prepare = linear.objective, linear.objective.space.prepare
    first = model.encode(prepare(linear.data.test[:1], None))[0].numpy()
    deviations = model.encode(prepare(linear.data.train, None)).numpy().std(0, ddof=1)
    moved = [first]
    for place in sorted(range(14), key=lambda place: -deviations[place])[:12]:
        moved.append(first.copy())
        moved[-1][place] += deviations[place]
    seen, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda z: (seen.append(z), decode(z))[1])
    shown = linear.sheet()["texts_neighbours"]
    codes = seen[-1]
    np.testing.assert_allclose(codes.numpy(), np.array(moved), rtol=0, atol=1e-5)
    assert shown.tolist() == decoded_by_hand(decode(codes)[:, 0])


def test_a_stopped_search_goes_on_with_the_same_rows(finished, aebench, tmp_path, rows_in):
    suite, folder = finished
    written = search.SavedRounds.write
    with pytest.MonkeyPatch.context() as patch:

        def stop(self, candidates):
            written(self, candidates)
            raise Stopped

        patch.setattr(search.SavedRounds, "write", stop)
        assert aebench(suite, out=tmp_path / "stopped")[0] != 0
    assert aebench(suite, out=tmp_path / "stopped")[0] == 0
    assert rows_in(tmp_path / "stopped") == rows_in(folder.parents[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('dataset = "expressions"', 'dataset = "digits"'), "'digits' has none"),
        (("steps = 20", "steps = 20\nnoise_sigma = 0.1"), "strings take no noise"),
        (
            ("images = 60", "images = 60\ntemperatures = [0.85]"),
            "'evaluation.temperatures' is [0.85]",
        ),
        (('objective = "vae"', 'objective = "maf"'), "in which"),
        (('"expressions"', '"expressions-characters"'), "expected 'character-gru' for"),
        (('"grammar-gru"', '"character-gru"'), "expected 'grammar-gru' for 'expressions'"),
    ],
)
def test_what_does_not_suit_texts_is_one_line(suite_file, aebench, change, said):
    changes = [change]
    if "digits" in change[1]:
        changes.append(
            ('backbone = "grammar-gru"\nbackbone_options = {width = 0.2}', 'backbone = "mlp"')
        )
    code, told = aebench(suite_file(*changes, text=SUITE))
    assert code == 2 and said in told and "Traceback" not in told


def test_the_guides_commands_give_every_model_of_molecules_the_backbone_of_its_form():
    guide = (Path(__file__).parent.parent / "docs" / "structured.md").read_text(encoding="utf-8")
    commands = re.findall(
        r"aebench run (\S+) --set dataset=(zinc\S+) --only backbone=(\S+)", guide
    )
    found = [
        (config.dataset, config.backbone, config.objective, config.scale)
        for suite, dataset, backbone in commands
        for config in load_suite(
            suite, settings={"dataset": dataset}, only={"backbone": backbone}, seeds=[0]
        ).configs
        if config.space == "sequence-released"
    ]
    grammar, characters = ("zinc250k", "grammar-gru"), ("zinc250k-characters", "character-gru")
    assert found == [
        *((*grammar, objective, "full") for objective in ("vae", "rae", "rae-l2")),
        (*characters, "vae", "full"),
    ]


def test_a_missing_package_is_told_before_the_training(suite_file, aebench, tmp_path, monkeypatch):
    def missing(texts, task):
        raise ImportError("rdkit is not installed; get it with: pip install aebench[structured]")

    monkeypatch.setattr(preflight, "string_scores", missing)
    code, told = aebench(suite_file(text=SUITE))
    assert code == 2 and "aebench[structured]" in told
    assert not (tmp_path / "out" / "runs").exists()


def test_codes_too_few_for_the_surrogate_are_told_before_the_training(
    suite_file, aebench, tmp_path
):
    # A tenth judges the surrogate, rounded down: of 22 codes 20 are left, of 21 only 19.
    small = ("batch_size = 50", "batch_size = 10")
    enough = suite_file(("train_images = 1000", "train_images = 22"), small, text=SUITE)
    [config] = load_suite(enough).configs
    preflight.check_suite([config])
    for count, fitted in ((22, 20), (21, 19)):
        assert len(_divide(count, config.evaluation.optimisation, 0, "any")[1]) == fitted
    few = suite_file(("train_images = 1000", "train_images = 21"), small, text=SUITE)
    code, told = aebench(few)
    assert code == 2 and "inducing' is 20; expected at most 19, the training strings of 21" in told
    assert not (tmp_path / "out" / "runs").exists()


def test_a_molecule_without_a_score_is_named_before_the_training(suite_file, aebench, tmp_path):
    pytest.importorskip("rdkit")
    path = tmp_path / "own.smi"
    path.write_text("\n".join(["C" * n for n in range(1, 70)] + ["C1CC"]), encoding="utf-8")
    changes = [
        ('dataset = "expressions"', f'dataset = "smiles:{path}"'),
        ('"expression-score"', '"penalised-logp"'),
    ]
    code, told = aebench(suite_file(*changes, text=SUITE))
    assert code == 2 and f"{path}, line 70: rdkit rejects 'C1CC'." in told
    assert not (tmp_path / "out" / "runs").exists()


def test_settings_without_a_search_leave_no_trace_in_records():
    assert "optimisation" not in Evaluation().record()
    assert "optimisation" in Evaluation(optimisation=Optimisation(trials=1)).record()


def test_the_code_of_texts_counts_for_texts_alone():
    images = evaluation_identity(Evaluation(), "data")["code"]
    texts = evaluation_identity(Evaluation(metrics=("validity",)), "data")["code"]
    searched = evaluation_identity(Evaluation(optimisation=Optimisation(trials=1)), "data")["code"]
    assert images != texts == searched
