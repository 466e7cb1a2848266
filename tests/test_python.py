"""The way in from Python: the same numbers as the command line's, in arrays and data frames."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
import types
import warnings
from pathlib import Path

import aebench.bench
import numpy as np
import pytest
import torch
from aebench.bench import RunFailed, UserError, evaluate, fit, results, run
from aebench.bench.cli.main import main
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.identity import weights_digest
from aebench.bench.files.checkpoint import load_checkpoint
from aebench.bench.interruption import Stopped
from aebench.bench.records.rows import COLUMNS
from aebench.bench.runs.runner import Run
from aebench.models.objectives.objective import OBJECTIVES
from PIL import Image

ROOT = Path(__file__).parent.parent
TINY = {"backbone": "tiny", "latent_dim": 3, "steps": 6, "batch_size": 20, "progress": False}
SUITE = {
    "dataset": "digits",
    "backbone": "tiny",
    "latent_dim": 3,
    "training": {"steps": 8, "batch_size": 20, "train_images": 100, "validate_every": 4},
    "evaluation": {
        **{"metrics": ["reconstruction"], "features": ["pixels"], "densities": ["gaussian"]},
        **{"images": 20, "sheet_images": 4},
    },
    "runs": [{"objective": ["ae", "vae"]}],
}


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.train[:300, 0].numpy()


@pytest.fixture(scope="module")
def model(digits):
    return fit("rae", digits, **TINY)


def test_the_import_loads_neither_torch_nor_pandas_and_the_version_is_the_projects():
    program = (
        "import sys, aebench.bench, aebench.metrics\n"
        "assert not {'torch', 'pandas', 'tqdm', 'pydantic'} & set(sys.modules)\n"
        "sys.stdout.write(aebench.bench.__version__)\n"
        "from aebench.bench import *\nassert run and results and fit and evaluate"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert done.stdout == project["version"]
    with pytest.raises(AttributeError, match=r"'aebench\.bench' has no attribute 'fitt'"):
        _ = aebench.bench.fitt


def test_fit_trains_and_scores_what_the_command_does_on_a_file_of_the_arrays(
    digits, model, tmp_path
):
    np.savez(tmp_path / "digits.npz", digits)
    suite = tmp_path / "one.toml"
    suite.write_text(
        'dataset = "npz:digits.npz"\nbackbone = "tiny"\nlatent_dim = 3\n'
        "[training]\nsteps = 6\nbatch_size = 20\n"
        '[evaluation]\nmetrics = ["reconstruction"]\ndensities = ["gaussian"]\nimages = 30\n'
        '[[runs]]\nobjective = "rae"\n',
        encoding="utf-8",
    )
    out = tmp_path / "out"
    assert main(["run", str(suite), "--out", str(out), "--workers", "1", "--quiet"]) == 0
    (checkpoint,) = out.glob("runs/*/checkpoint.safetensors")
    weights = load_checkpoint(checkpoint)[0]
    assert weights_digest(model.objective.state_dict()) == weights_digest(weights)
    rows = results(out)
    rows = rows[rows["objective"] == "rae"]
    found = model.scores
    assert len(found) == len(rows) > 3
    assert found["value"].tolist() == rows["value"].tolist()
    assert found["metric"].tolist() == rows["metric"].tolist()


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (8, 8, 1), (8, 8, 3), (3, 8, 8)])
def test_images_come_back_in_the_form_that_they_were_given_in(shape):
    images = np.random.default_rng(0).random((30, *shape))
    model = fit("ae", images, **TINY)
    codes = model.encode(images[:4])
    assert codes.shape == (4, 3) and codes.dtype == np.float32
    for made in (model.decode(codes), model.reconstruct(images[:4]), model.sample(4)):
        assert made.shape == (4, *shape) and made.dtype == np.uint8
    np.testing.assert_array_equal(model.decode(codes), model.reconstruct(images[:4]))
    np.testing.assert_array_equal(model.encode(torch.tensor(images[:4])), codes)
    assert model.reconstruct(images[:1]).shape == (1, *shape)


def test_vectors_and_given_parts_are_trained_on_and_have_no_picture():
    draw = np.random.default_rng(0)
    parts = {"train": draw.normal(size=(40, 5)), "test": draw.normal(size=(10, 5))}
    model = fit("vae", parts, backbone="mlp", steps=4, batch_size=10, progress=False)
    assert len(model.data.test) == 10 and model.objective.space.name == "real"
    assert model.encode(parts["test"]).shape == (10, 2)
    assert model.sample(3).shape == (3, 5) and model.sample(3).dtype == np.float32
    assert model._repr_png_() is None and "img" not in model._repr_html_()


def test_a_second_stage_is_sampled_and_reconstructed_through(digits):
    model = fit("2svae", digits, **TINY, evaluation={"second_stage_steps": 5})
    assert model.densities == ["second-stage"]
    direct = model.decode(model.encode(digits[:9]))
    assert (model.reconstruct(digits[:9]) != direct).any()
    assert model.sample(2).shape == (2, 8, 8)


def test_samples_repeat_under_a_seed_and_are_those_of_the_picture(model):
    first = model.sample(8)
    np.testing.assert_array_equal(first, model.sample(8))
    assert (first != model.sample(8, seed=1)).any()
    np.testing.assert_array_equal(model.sample(8, seed=1), model.sample(8, seed=1))
    picture = np.asarray(Image.open(io.BytesIO(model._repr_png_())))
    assert picture.shape == (3 * 8, 8 * 8)
    np.testing.assert_array_equal(np.concatenate([*first], axis=1), picture[-8:])
    np.testing.assert_array_equal(
        np.concatenate([*model.reconstruct(model.data.test[:8])], axis=1), picture[8:16]
    )


def test_a_model_shows_its_picture_and_scores_in_a_notebook(digits):
    model = fit("ae", digits, **TINY)
    shown = model._repr_html_()
    assert "width:512px;image-rendering:pixelated" in shown  # Eight digits of 8 pixels.
    assert shown.count("<img") == 1 and "data:image/png;base64," in shown
    assert "ae arrays d=3 s=0: 6 steps" in shown and "<script" not in shown
    for score in model.scores["metric"]:
        assert f"<td>{score}</td>" in shown
    assert {"train", "validation"} == set(model.history["split"])
    scored = model.score(metrics=["frechet"], features=["pixels"], densities=["gmm-10"])
    assert set(scored["metric"]) == {"fd"} and model.densities == ["gmm-10"]
    assert f"<td>{scored['density'].iloc[-1]}</td>" in model._repr_html_()


FEW = {**TINY, "batch_size": 5}
SCORED = {"likelihood_images": 2, "likelihood_samples": 2}
BAD = [
    (lambda x: fit("vea", x, **TINY), "Unknown objective 'vea'. Did you mean 'vae'"),
    (lambda x: fit("vae", x, latent_dim="a"), "'latent_dim' is 'a'; expected a whole number"),
    (lambda x: fit("vae", x, steps=[1, 2], backbone="tiny"), "stand for 2 runs; `run` takes"),
    (lambda x: fit("vae", x, seed=-1), "'seed' is -1; expected at least 0"),
    (lambda x: fit("vae", x, gamma=1), "key 'gamma' is unknown"),
    (lambda x: fit("vae", x, options={"gamma": 1}), "option of objective 'vae' 'gamma'"),
    (lambda x: fit("vae", x, device="tpu"), "'device' is 'tpu'; expected"),
    (lambda x: fit("vae", x[:2]), "holds 2 images; expected at least 3"),
    (lambda x: fit("vae", x * 1.0), "look like grey levels from 0 to 255"),
    (lambda x: fit("vae", "mnits"), "Unknown data set 'mnits'. Did you mean 'mnist'"),
    (lambda x: fit("gvae", "moses-mini"), "holds texts; `run` takes them"),
    (lambda x: fit("vae", [[1], [2, 3]]), "'images' is no array"),
    (lambda x: fit("vae", x.astype(str)), "expected an array of numbers"),
    (lambda x: fit("vae", x, evaluation={"metrics": ["fdd"]}), "Unknown metric 'fdd'"),
    (lambda x: fit("vae", x[:9], evaluation={"densities": ["gmm-10"]}), "takes at least"),
    (lambda x: fit("wae-mmd", x[:15], **FEW), "there is 1 validation image; give more images"),
    (
        lambda x: fit("ae", x[:15], **FEW, evaluation=SCORED),
        "noise of a likelihood that a density",
    ),
    (lambda x: fit("2svae", x[:21], **FEW), "'second-stage', which takes at least 20 training"),
    (lambda x: run("quik"), "Unknown suite 'quik'. Did you mean 'quick'"),
    (lambda x: run(Path("quick")), "'./quick' cannot be read"),
    (lambda x: run(SUITE), "'name' is ''; expected what to call the results by"),
    (lambda x: run(SUITE, name="quick"), "'quick', which is a packaged suite"),
    (lambda x: run({**SUITE, "epochs": 3}, name="a"), "key 'epochs' is unknown"),
    (lambda x: run(SUITE, name="a", only={"objectve": "ae"}), "'objectve'"),
    (lambda x: run(SUITE, name="a", seeds=["x"]), "seed"),
    (lambda x: run(SUITE, name="a", workers=0), "'workers' is 0; expected at least 1"),
    (lambda x: results("nowhere"), "No results folder at 'nowhere'"),
    (lambda x: evaluate(x, x[:1]), "'generated' holds 1 image; expected at least 2"),
    (lambda x: evaluate(x, x, metrics=["fidd"]), "Unknown metric 'fidd'"),
    (lambda x: evaluate(x, x, features="lite@64"), "Did you mean 'lite0@64'"),
    (lambda x: evaluate(x, x, seed=-1), "'seed' is -1; expected at least 0"),
    (lambda x: evaluate(x, x[:, :4]), "8x8"),
    (lambda x: evaluate("nowhere", x), "nowhere is not there"),
    (lambda x: evaluate(x, x, seed="a"), "'seed' is 'a'; expected a whole number"),
    (lambda x: evaluate(x, x, seed=0.5), "'seed' is 0.5; expected a whole number"),
    (lambda x: evaluate(x, x, metrics=[3]), "Unknown metric '3'"),
    (lambda x: evaluate(np.ma.masked_equal(x, 0), x), "'real' has masked values; fill them"),
    (lambda x: fit("vae", np.ma.masked_equal(x, 0)), "'images' has masked values"),
    (lambda x: fit("vae", x, options=3), "'options' is 3; expected a dictionary"),
    (lambda x: fit("vae", x, training=3), "'training' is 3; expected a dictionary"),
    (lambda x: fit("vae", x, dataset="mnist"), "'dataset' is no argument of `fit`; the second"),
    (lambda x: fit("vae", x, split="halves"), "'split' is 'halves'; expected one of: default"),
    (lambda x: fit("vae", Path("images")), "expected arrays, or the name of a data set such as '"),
    (lambda x: fit("vae", np.full((30, 4), 1e300)), "values that are larger than float32 can"),
    (lambda x: run(SUITE, name="a", seeds=[]), "'seeds' is []; expected several"),
    (lambda x: fit("vae", x, lr=0.1), "'lr' is unknown. It is called 'training.learning_rate'"),
    (lambda x: run(SUITE, name="a", seeds=5), "'seeds' is 5; expected several, such as [0, 1"),
    (lambda x: run(SUITE, name="a", settings=["b"]), "'settings' is ['b']; expected a diction"),
    (lambda x: run(SUITE, name="a", plugins="b.py"), "Plug-in 'b.py' cannot be read"),
    (lambda x: run(SUITE, name="a", settings={3: 1}), "'settings' has the key 3; expected text"),
    (lambda x: fit("ae", {0: x, 1: x}), "'images' has the key 0; expected text"),
    (lambda x: fit("ae", x, space="sequence", backbone="tiny"), "takes sequences and no images"),
]


@pytest.mark.parametrize(("call", "told"), BAD, ids=[told for _, told in BAD])
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(
    call, told, digits, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        call(digits)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_model_refuses_what_does_not_fit_it(model):
    with pytest.raises(UserError, match="'images' are 1x4x8 each; the model was trained on 1x8x8"):
        model.encode(np.zeros((2, 4, 8)))
    with pytest.raises(UserError, match=r"'images' has shape \(0, 8, 8\); expected images"):
        model.encode(np.zeros((0, 8, 8)))
    with pytest.raises(UserError, match=r"'codes' has shape \(2, 5\); expected \(N, 3\)"):
        model.decode(np.zeros((2, 5)))
    with pytest.raises(UserError, match="'density' is 'prior'; expected one of: gaussian"):
        model.sample(2, "prior")
    with pytest.raises(UserError, match="'codes' has values that are not finite"):
        model.decode(np.full((2, 3), np.nan))
    for count, told in ((0, "0; expected at least 1"), (1.5, "1.5; expected a whole number")):
        with pytest.raises(UserError, match=f"'count' is {told}"):
            model.sample(count)
    with pytest.raises(UserError, match="'seed' is -1; expected at least 0"):
        model.sample(2, seed=-1)
    with pytest.raises(TypeError, match="A fitted model is not copied; keep `model"):
        copy.deepcopy(model)
    with pytest.raises(UserError, match=r"key 'evaluation\.metric' is unknown"):
        model.score(metric=["frechet"])


def test_numbers_of_numpy_and_tuples_are_as_good_as_pythons(digits, model):
    other = {"latent_dim": np.int64(3), "steps": np.int32(6), "seed": np.uint8(0)}
    again = fit("rae", digits, **{**TINY, **other}, evaluation={"metrics": ("reconstruction",)})
    assert weights_digest(again.objective.state_dict()) == weights_digest(
        model.objective.state_dict()
    )


def test_the_split_that_is_asked_for_is_trained_on(digits):
    parts = [fit("ae", digits, **TINY, split=split).data for split in ("default", "aef")]
    assert [part.split for part in parts] == ["default, shuffled", "aef, shuffled"]
    assert not torch.equal(parts[0].train[:9], parts[1].train[:9])


def test_a_model_that_is_no_longer_in_use_leaves_neither_files_nor_a_warning(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit("ae", digits, **TINY)
        folder = model._request.out
        assert (folder / "runs").is_dir()
        del model
        gc.collect()
    assert not folder.exists()


def test_a_training_that_diverges_says_where(digits):
    with pytest.raises(RunFailed, match=r"Term '\w+' .* is (nan|inf)") as error:
        fit("vae", digits, **{**TINY, "learning_rate": 1e30})
    assert "\n" not in str(error.value)


def test_the_callers_threads_and_precision_stay_as_they_were(digits):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    try:
        fit("ae", digits, **TINY).sample(1)
        with pytest.raises(UserError):
            fit("nothing", digits, **TINY)
        assert torch.get_num_threads() == 2
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def test_a_dictionary_runs_as_its_file_does_and_a_second_call_does_nothing(
    suite_file, aebench, rows_in, tmp_path
):
    assert aebench(suite_file(), out=tmp_path / "file")[0] == 0
    title = {"title": "Small"}
    rows = run({**title, **SUITE}, name="small", out=tmp_path / "python", progress=False)
    assert rows_in(tmp_path / "file") == rows_in(tmp_path / "python")
    assert tuple(rows.columns) == (*COLUMNS, "settings")
    assert {"ae", "vae"} <= set(rows["objective"])
    again = run({**title, **SUITE}, name="small", out=tmp_path / "python", progress=False)
    assert again["date"].tolist() == rows["date"].tolist()


def test_run_returns_the_rows_asked_for_and_results_those_of_all_folders(tmp_path):
    out = tmp_path / "all"
    options = {"name": "a", "out": out / "a", "progress": False}
    first = run(SUITE, only={"objective": "ae"}, seeds=[0, 1], **options)
    assert set(first["objective"]) == {"ae"} and set(first["seed"]) == {0, 1}
    steps = run(SUITE, only={"objective": "ae"}, settings={"training.steps": 4}, **options)
    assert set(steps["steps"]) == {4} and set(results(out / "a")["steps"]) == {4, 8}
    run(SUITE, **{**options, "name": "b", "out": out / "b"})
    assert set(results(out)["suite"]) == {"a", "b"}
    assert len(results(out)) >= len(results(out / "a")) + 2
    (out / "a" / "runs" / first["run"].iloc[0] / "result.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"result\.json"):
        results(out / "a")


def test_no_plugins_may_be_given_as_none(tmp_path):
    suite = {**SUITE, "runs": [{"objective": "ae"}]}
    assert len(run(suite, name="a", out=tmp_path / "a", plugins=None, progress=False))


def test_a_run_that_fails_stops_no_other_and_is_told_in_one_line(tmp_path):
    out = tmp_path / "out"
    run(SUITE, name="a", out=out, only={"objective": "ae"}, progress=False)
    (checkpoint,) = out.glob("runs/*/checkpoint.safetensors")
    (checkpoint.parent / "result.json").unlink()
    (checkpoint.parent / "arrays.npz").unlink()
    (checkpoint.parent / "arrays.npz").mkdir()  # Cannot be replaced by a file.
    with pytest.raises(RunFailed, match="1 of 2 runs failed; the first: run 'ae digits") as error:
        run(SUITE, name="a", out=out, progress=False)
    assert "\n" not in str(error.value)
    with pytest.warns(UserWarning, match="unfinished"):
        assert "vae" in set(results(out)["objective"])


def test_a_diverged_run_is_a_row_and_no_error(tmp_path):
    rows = run(
        SUITE,
        **{"name": "a", "out": tmp_path / "out", "progress": False, "only": {"objective": "vae"}},
        settings={"training.learning_rate": 1e30},
    )
    assert set(rows[rows["objective"] == "vae"]["status"]) == {"diverged"}


def test_an_interrupted_call_says_so_and_the_same_call_goes_on(tmp_path, monkeypatch):
    from aebench.bench.cli.progress import Display

    def strike(self, event):
        os.kill(os.getpid(), signal.SIGINT)

    options = {"name": "a", "out": tmp_path / "out", "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(Display, "listen", strike)
        with pytest.raises(RunFailed, match="0 of 2 runs are whole; the same call goes on"):
            run(SUITE, **options)
    rows = run(SUITE, **options)
    assert {"ae", "vae"} <= set(rows["objective"])


def test_an_interrupted_call_tells_of_the_runs_that_failed_before(tmp_path, monkeypatch):
    def execute(self, report, watch=None):
        if self.config.objective == "ae":
            raise RunFailed("it broke")
        raise Stopped

    monkeypatch.setattr(Run, "execute", execute)
    with pytest.raises(RunFailed) as error:
        run(SUITE, name="a", out=tmp_path / "out", progress=False)
    assert str(error.value) == (
        "Stopped. 0 of 2 runs are whole; the same call goes on from here. "
        "1 of 2 runs failed; the first: run 'ae digits d=3 s=0': it broke"
    )


def test_a_thread_of_its_own_can_run_a_suite(tmp_path):
    found = []
    options = {"name": "a", "out": tmp_path / "out", "progress": False}
    only = {"objective": "ae"}
    thread = threading.Thread(target=lambda: found.append(run(SUITE, only=only, **options)))
    thread.start()
    thread.join()
    assert set(found[0]["objective"]) >= {"ae"}


@pytest.fixture
def of_a_cell(monkeypatch):
    """An objective whose class is in no file, as one of a notebook's cell."""
    OBJECTIVES.names()
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    cell = types.ModuleType("cell")
    monkeypatch.setitem(sys.modules, "cell", cell)
    exec(  # As IPython does.
        "from aebench.models import Objective, OBJECTIVES, squared_error\n"
        "@OBJECTIVES.register('mine')\n"
        "class Mine(Objective):\n"
        "    def terms(self, x, generator):\n"
        "        y = self.space(x)[0]\n"
        "        return {'distortion': squared_error(self.mean(self.code(y)), y)}\n",
        cell.__dict__,
    )
    return "mine"


def test_an_objective_of_a_cell_is_fitted_but_not_run_into_a_folder(of_a_cell, digits, tmp_path):
    assert fit(of_a_cell, digits, **TINY).sample(2).shape == (2, 8, 8)
    suite = {**SUITE, "runs": [{"objective": of_a_cell}]}
    with pytest.raises(UserError, match="'Mine' is defined in no file, so a later change"):
        run(suite, name="a", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arrays_score_as_files_of_them_do(digits, tmp_path, capsys):
    paths = [tmp_path / "real.npy", tmp_path / "generated.npy"]
    sets = [digits[:100], digits[100:180]]
    for path, images in zip(paths, sets, strict=True):
        np.save(path, images)
    given = ["--features", "pixels", "--metrics", "frechet,kernel", "--seed", "3", "--floor"]
    assert main(["evaluate", *map(str, paths), *given, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    options = {"features": "pixels", "metrics": ["frechet", "kernel"], "seed": 3, "floor": True}
    for pair in (sets, paths, [torch.tensor(sets[0]), sets[1][:, None]]):
        found = evaluate(*pair, **options)
        assert found["value"].tolist() == [s["value"] for s in record["scores"]]
        assert found["floor"].tolist() == [
            record["floor"]["scores"][s["metric"]] for s in record["scores"]
        ]
    assert set(found["n_real"]) == {100} and set(found["n_generated"]) == {80}
    assert set(found["features"]) == {"pixels:-"}


def test_stored_moments_take_the_place_of_real_images(digits, tmp_path):
    rows = digits[:100].reshape(100, -1) / 255
    np.savez(tmp_path / "m.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))
    found = evaluate(tmp_path / "m.npz", digits[100:200], features="pixels", metrics="frechet")
    whole = evaluate(digits[:100], digits[100:200], features="pixels", metrics="frechet")
    assert found["value"].tolist() == pytest.approx(whole["value"].tolist(), rel=1e-6)
    with pytest.raises(UserError, match="'floor' needs real images"):
        evaluate(tmp_path / "m.npz", digits[:9], features="pixels", floor=True)


def test_the_page_on_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert len(blocks) > 5 and len(names["rows"]) > 10
    named = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    columns = {name for line in named for name in re.findall(r"`(\w+)`", line)}
    assert columns == {*COLUMNS, "settings"}
