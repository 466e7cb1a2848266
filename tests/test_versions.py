"""Results and checkpoints of every schema so far; golden/schema-<N> was written by that one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.evaluation import artefacts
from aebench.bench.evaluation import identity as evaluation_identity
from aebench.bench.files import checkpoint
from aebench.bench.files.checkpoint import load_checkpoint, save_checkpoint
from aebench.bench.files.storage import canonical_json
from aebench.bench.records.encoding import checksum, decode_result
from aebench.bench.records.recipe import recipe_of
from aebench.bench.records.results import read_results, records_of
from aebench.bench.records.rows import SCHEMA
from aebench.bench.runs import runner
from aebench.bench.training.state import SavedStates
from aebench.bench.training.trainer import Trainer

pytestmark = pytest.mark.sensitive
GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(GOLDEN.glob("schema-*"))
WHOLE, HALF = "6af1dce43fb040c9", "1bbd0bcb22e7d59d"
TOO_OLD = 0


@pytest.fixture(params=VERSIONS, ids=[path.name for path in VERSIONS])
def golden(request, tmp_path):
    """Returns suite and results folder of a version, in a copy."""
    copy = shutil.copytree(request.param, tmp_path / "golden")
    return str(copy / "suite.toml"), copy / "results"


def _codes(monkeypatch, out):
    """Takes today's code for that which wrote the folder."""
    _, record = load_checkpoint(out / "runs" / WHOLE / "checkpoint.safetensors")
    fitted = load_checkpoint(out / "runs" / WHOLE / "densities.safetensors")[1]
    monkeypatch.setattr(runner, "training_code", lambda *parts: record["training_code"])
    code = fitted["identity"]["code"]
    monkeypatch.setattr(evaluation_identity, "evaluation_code", lambda parts, likelihoods: code)
    monkeypatch.setattr(artefacts, "figure_code", lambda module: fitted["sheet"][-1])


def _values(path):
    rows, _ = decode_result(path.read_text(encoding="utf-8"))
    return {(r["metric"], r["images"], r["density"]): r["value"] for r in rows}


def test_there_is_a_golden_folder_of_todays_schema():
    assert f"schema-{SCHEMA}" in [path.name for path in VERSIONS]


def test_a_run_of_a_version_is_complete_and_stays_as_it_is(golden, aebench, monkeypatch):
    suite, out = golden
    _codes(monkeypatch, out)
    files = [p for p in (out / "runs" / WHOLE).iterdir() if p.is_file()]
    before = {path: path.read_bytes() for path in files}
    code, told = aebench(suite, "--seeds", "0", out=out)
    assert code == 0 and "1 complete" in told
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_of_a_version_is_evaluated_again_by_todays_code_and_not_trained(
    golden, aebench, monkeypatch
):
    suite, out = golden
    result = out / "runs" / WHOLE / "result.json"
    before = _values(result)
    monkeypatch.setattr(Trainer, "run", lambda self, watch: pytest.fail("it was trained again"))
    # Whatever today's code is, here it is not that which wrote the folder.
    monkeypatch.setattr(runner, "training_code", lambda *parts: "other")
    monkeypatch.setattr(evaluation_identity, "evaluation_code", lambda parts, likelihoods: "other")
    code, told = aebench(suite, "--seeds", "0", out=out)
    assert code == 0 and "1 stale" in told and "--rerun-stale" in told
    after = _values(result)
    assert {name: after[name] for name in before} == pytest.approx(before, rel=1e-3)


def test_a_training_of_a_version_goes_on_from_its_state(golden, aebench, monkeypatch):
    suite, out = golden
    _codes(monkeypatch, out)
    steps = []
    step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", lambda self: (steps.append(self.step), step(self)))
    assert aebench(suite, "--seeds", "1", out=out)[0] == 0
    assert steps == [5, 6, 7]


def test_a_report_of_a_version_has_its_rows(golden, capsys):
    _, out = golden
    before = records_of(read_results(out).rows)
    assert main(["report", str(out)]) == 0
    capsys.readouterr()
    again = read_results(out)
    assert records_of(again.rows) == before and len(before) > 5
    assert again.table_is_sound and (out / "README.md").is_file()
    shutil.rmtree(out / "runs")
    assert records_of(read_results(out).rows) == before


def _as_schema(path, schema):
    """Writes a checkpoint again as another version would."""
    tensors, record = load_checkpoint(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", schema)
        del record["schema"]
        save_checkpoint(path, tensors, record)


@pytest.mark.parametrize("schema", [0, checkpoint.SCHEMA + 1])
@pytest.mark.parametrize(
    ("run", "seed", "name"),
    [(WHOLE, "0", "checkpoint.safetensors"), (HALF, "1", "state.safetensors")],
)
def test_a_checkpoint_of_another_version_is_refused_with_what_helps_and_kept(
    golden, aebench, run, seed, name, schema
):
    suite, out = golden
    path = out / "runs" / run / name
    _as_schema(path, schema)
    before = path.read_bytes()
    code, told = aebench(suite, "--seeds", seed, out=out)
    assert code == 2 and f"checkpoint schema {schema}; expected {checkpoint.SCHEMA}" in told
    assert "Remove it to train the run again" in told
    assert ("pip install --upgrade aebench" in told) == (schema > checkpoint.SCHEMA)
    assert path.read_bytes() == before
    path.unlink()
    assert aebench(suite, "--seeds", seed, out=out)[0] == 0


def _rows_as_schema(path, schema):
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = [{**row, "schema": schema} for row in document["rows"]]
    document |= {"schema": schema, "rows": rows, "checksum": checksum(rows)}
    path.write_text(json.dumps(document), encoding="utf-8")


def test_rows_of_a_newer_version_are_refused_with_what_helps_and_kept(golden, aebench):
    suite, out = golden
    path = out / "runs" / WHOLE / "result.json"
    _rows_as_schema(path, SCHEMA + 1)
    before = path.read_bytes()
    code, told = aebench(suite, "--seeds", "0", out=out)
    assert code == 2 and f"schema {SCHEMA + 1}; this version reads schema {SCHEMA}" in told
    assert "pip install --upgrade aebench" in told
    assert path.read_bytes() == before


def test_rows_of_a_version_too_old_to_read_are_made_anew_from_the_checkpoint(
    golden, aebench, monkeypatch
):
    suite, out = golden
    _codes(monkeypatch, out)
    path = out / "runs" / WHOLE / "result.json"
    before = _values(path)
    _rows_as_schema(path, TOO_OLD)
    record = out / "runs" / WHOLE / "evaluation.json"
    document = json.loads(record.read_text(encoding="utf-8"))
    del document["checksum"]
    document["schema"] = TOO_OLD
    digest = hashlib.sha256(canonical_json(document).encode()).hexdigest()
    record.write_text(json.dumps({**document, "checksum": digest}), encoding="utf-8")
    code, told = aebench(suite, "--seeds", "0", out=out)
    assert code == 0 and "1 evaluated" in told
    assert _values(path) == pytest.approx(before, rel=1e-3)
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert {row["schema"] for row in rows} == {SCHEMA}


@pytest.mark.parametrize("schema", [TOO_OLD, SCHEMA + 1])
def test_a_report_leaves_a_table_of_another_version_as_it_is_and_says_what_helps(golden, schema):
    _, out = golden
    for path in (out / "runs").glob("*/result.json"):
        _rows_as_schema(path, schema)
    table = out / "results.csv"
    text = table.read_text(encoding="utf-8").splitlines(keepends=True)
    rest = [f"{schema},{line.partition(',')[2]}" for line in text[2:]]
    changed = [text[0], text[1], *rest]
    table.write_text("".join(changed), encoding="utf-8")
    results = read_results(out)
    assert len(results.rows) == 1 and not results.table_is_sound
    told = [w for w in results.warnings if f"schema {schema}; this version reads" in w]
    assert len(told) == len(text) - 2 + len(list((out / "runs").glob("*/result.json")))
    assert all("`aebench run`" in warning for warning in told)
    newer = schema > SCHEMA
    assert all(("pip install --upgrade aebench" in warning) == newer for warning in told)


def test_rows_of_a_version_are_read_as_rows_of_today(golden):
    _, out = golden
    rows = read_results(out).rows
    assert set(rows["schema"]) == {SCHEMA}
    trained = rows[rows["objective"] == "ae"]
    assert set(trained["recipe"]) == {recipe_of(_settings_of_the_suite())}
    assert set(rows["trusted"]) == {""}


def _settings_of_the_suite():
    """Returns what the suite beside the golden rows says, written out by hand."""
    training = {"steps": 8, "batch_size": 20, "train_images": 100, "validate_every": 4}
    training |= {"learning_rate": 1e-3, "plateau_patience": 5, "plateau_threshold": 1e-4}
    training |= {"gradient_clip": 0.0, "noise_sigma": 0.0, "selection": "best validation loss"}
    evaluation = {"likelihood_validation_images": 500, "annealing_steps": 50}
    evaluation |= {"annealing_chains": 8, "second_stage_steps": 0, "interpolation": "spherical"}
    return {
        **{"dataset": "digits", "split": "default", "backbone": "mlp", "objective": "ae"},
        **{"backbone_options": {"hidden": 8}, "options": {}, "latent_dim": 3, "space": "unit"},
        **{"training": training, "evaluation": evaluation},
    }


def test_a_state_of_a_version_is_read_with_its_identity(golden):
    _, out = golden
    folder = out / "runs" / HALF
    identity = load_checkpoint(folder / "state.safetensors")[1]["identity"]
    ((tensors, record),) = SavedStates(folder, identity).read()
    assert record["step"] == 5
    assert {"noise", "sums", "first_bad"} <= tensors.keys()
