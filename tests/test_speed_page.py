import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "scripts" / "speed"
RATIO = {
    "peer": "a peer",
    "work": "step",
    "ours_seconds": 0.001,
    "peer_seconds": 2.0,
    "note": "",
}


@pytest.fixture
def call(monkeypatch):
    """Returns a function that runs one of the scripts in this process."""

    def run(name, *arguments):
        monkeypatch.syspath_prepend(str(SCRIPTS))
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")

    return run


@pytest.fixture
def page(tmp_path, call):
    def write(*ratios, gpu=None):
        record = {
            "machine": {"cpu": "a processor", "cores": 2},
            "versions": {"torch": "2.11", "prdc": None},
            "commit": "0123456789ab",
            "date": "2026-01-01T00:00:00Z",
            "ratios": [{**RATIO, **ratio} for ratio in ratios],
        }
        (tmp_path / "ratios.json").write_text(json.dumps(record))
        if gpu:
            (tmp_path / "gpu.json").write_text(json.dumps(gpu))
        call("page", tmp_path)
        assert (tmp_path / "ratios.png").stat().st_size > 1000
        return (tmp_path / "README.md").read_text()

    return write


def test_what_was_measured_is_told_in_words_and_not_by_the_name_of_its_benchmark(page):
    record = json.loads((SCRIPTS.parents[1] / "results" / "speed" / "ratios.json").read_text())
    text = page(*record["ratios"])
    first = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert len(first) > len(record["ratios"])
    assert not [name for name in first if "[" in name or "_" in name]
    start = next(line for line in text.splitlines() if "`aebench --help`" in line)
    assert start.endswith(" | - | - |")


def test_the_page_says_what_is_reached_and_what_is_unmeasured(page):
    text = page(
        {"benchmark": "prd", "ratio": 1.49, "note": "a caveat"},
        {"benchmark": "neighbours", "ratio": 3.0},
        {"benchmark": "start", "ratio": 7.0},
    )
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    prd = "a peer | step | 1 ms | 2 s | 1.49 | 1.5 | no |"
    assert rows["| PRD, 20 clusters, 10 runs"].endswith(prd)
    assert rows["| k-NN metrics, one k"].endswith("3.00 | 3 | yes |")
    assert rows["| start"].endswith("7.00 | - | - |")
    assert "unmeasured | 1.6 | - |" in rows["| training step of rae-l2, pythae's networks"]
    assert "- a caveat." in text
    assert "Nothing here was measured" in text
    assert all(
        line.endswith("| unmeasured |") for line in text.splitlines() if "steps/s |" in line
    )


def test_the_page_shows_what_a_gpu_did(page):
    step = {
        "backbone": "rae-32",
        "objective": "vae",
        "precision": "bfloat16",
        "steps": "replayed",
        "steps_per_second": 400.0,
        "share_of_matrix_rate": 0.37,
    }
    linear = {**step, "backbone": "aef-small", "objective": "aef-linear", "steps_per_second": 3100}
    gpu = {
        "device": "a GPU",
        "scale": "full",
        "commit": "0123456789ab",
        "date": "2026-01-01T00:00:00Z",
        "matrix_tflops": {"bfloat16": 790.0},
        "steps": [step, linear],
        "several": [{"processes": 4, "steps_per_second": 7000.0}],
        "frechet": {"ratio": 31.0},
        "profile": [{"operation": "a kernel", "share": 0.5}],
    }
    text = page({"benchmark": "prd", "ratio": 2.0}, gpu=gpu)
    assert "| 35 % of the matrix rate | 37% to 37% |" in text
    assert "| 3,000 steps/s | 3,100 steps/s |" in text
    assert "| 6,000 steps/s | 7,000 steps/s by 4 processes |" in text
    assert "| 30 times | 31 times |" in text
    assert "| vae | rae-32 | bfloat16 | replayed | 400 | 37% |" in text
    assert "790 TFLOP/s in bfloat16" in text and "a kernel 50%" in text
    assert "| 8 times | unmeasured |" in text


@pytest.mark.long
def test_the_gpu_script_measures_every_part_where_there_is_no_gpu(tmp_path):
    command = [sys.executable, str(SCRIPTS / "gpu.py"), str(tmp_path), "--device", "cpu"]
    command += ["--scale", "smoke", "--seconds", "0.05"]
    subprocess.run(command, check=True, capture_output=True)
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert len({s["objective"] for s in record["steps"] if s["backbone"] == "rae-32"}) == 10
    assert all(s["steps_per_second"] > 0 for s in record["steps"])
    assert [s["processes"] for s in record["several"]] == [2, 4, 8]
    assert record["frechet"]["relative_difference"] < 1e-6
    assert record["profile"]


def test_the_gpu_script_says_that_there_is_no_gpu(tmp_path, call, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as end:
        call("gpu", tmp_path)
    assert end.value.code == 2 and "torch sees no GPU here" in capsys.readouterr().err
