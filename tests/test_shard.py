"""Shares of a suite: every run once, on one folder, also by the text of the Slurm example."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.errors import RunFailed, UserError
from aebench.bench.runs import work
from aebench.bench.runs.runner import Run
from aebench.bench.suites.shard import Shard
from aebench.bench.suites.suite import load_suite

SLURM = Path(__file__).parents[1] / "examples" / "slurm"
SECONDS = 240


def _digests(told):
    return re.findall(r"^([0-9a-f]{16})  ", told, re.MULTILINE)


def _counts(told):
    return [(word, int(count)) for count, word in re.findall(r"(\d+) (trained|complete)", told)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24, 40])
def test_all_shards_together_are_every_run_once_and_differ_by_one_run_at_most(suite_file, count):
    configs = load_suite(suite_file(), seeds=list(range(12))).configs
    shares = [Shard(i, count).of(configs) for i in range(1, count + 1)]
    together = [config for share in shares for config in share]
    assert sorted(c.digest for c in together) == sorted(c.digest for c in configs)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    # The order of the suite's file decides nothing.
    for i, share in enumerate(shares, 1):
        assert Shard(i, count).of(configs[::-1]) == share[::-1]


@pytest.mark.parametrize("given", ["3/2", "0/2", "a/b", "1/0", "1", "-1/2", "1/2/3", " 1/2", ""])
def test_a_shard_that_is_none_is_one_line_and_exit_2_and_nothing_is_written(
    suite_file, tmp_path, capsys, given
):
    for more in ([], ["--dry-run"]):
        out = ["--out", str(tmp_path / "out")]
        assert main(["run", suite_file(), f"--shard={given}", *out, *more]) == 2
        told = capsys.readouterr()
        assert told.out == "" and told.err == (
            f"aebench: '--shard' is '{given}'; expected I/N with I from 1 to N, such as 2/8.\n"
        )
    assert not (tmp_path / "out").exists()


def test_a_dry_run_lists_the_share_of_what_only_and_set_leave(suite_file, tmp_path, capsys):
    words = ["--only", "objective=vae", "--set", "seed=[0,1,2]", "--device", "cpu"]

    def listed(*more):
        given = ["run", suite_file(), "--out", str(tmp_path / "out"), "--dry-run", *words, *more]
        assert main(given) == 0
        return _digests(capsys.readouterr().out)

    everything = listed()
    shares = [listed("--shard", f"{i}/2") for i in (1, 2)]
    assert len(everything) == 3 and [len(share) for share in shares] == [2, 1]
    assert sorted(shares[0] + shares[1]) == sorted(everything)
    assert not (tmp_path / "out").exists()


SCORED = ('metrics = ["reconstruction"]', 'metrics = ["frechet"]')


def test_shards_of_several_n_and_a_plain_run_leave_the_rows_of_one_run_and_train_each_once(
    suite_file, aebench, tmp_path, rows_in
):
    # The blocks ask for different metrics, and one reference serves both.
    block = (
        '[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\nobjective = "rae-l2"\n'
    )
    other = block + '[runs.evaluation]\nmetrics = ["precision-recall"]\n'
    suite = suite_file(SCORED, ("[[runs]]", other + "[[runs]]"))
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    whole = rows_in(tmp_path / "whole")
    assert any(name.startswith("floor-") for name in whole)
    trained = 0
    for words in (("--shard", "2/2"), ("--shard", "2/2"), ("--shard", "3/7"), ("--shard", "1/2")):
        code, told = aebench(suite, *words)
        assert code == 0
        trained += dict(_counts(told)).get("trained", 0)
        floors = {k: v for k, v in rows_in(tmp_path / "out").items() if k.startswith("floor-")}
        assert floors == {k: v for k, v in whole.items() if k.startswith("floor-")}
    assert trained == 3 and rows_in(tmp_path / "out") == whole
    code, told = aebench(suite, "--shard", "7/7")
    assert code == 0 and "suite 'small': no run in " in told
    assert dict(_counts(aebench(suite)[1])) == {"complete": 3}


def test_a_shard_needs_the_data_of_its_own_runs_alone(suite_file, aebench, tmp_path, rows_in):
    # The missing file comes first: it must not keep the floors of the digits from being written.
    elsewhere = f'[[runs]]\ndataset = "npz:{tmp_path / "elsewhere.npz"}"\nbackbone = "tiny"\n'
    elsewhere += 'latent_dim = 3\nobjective = "ae"\n'
    suite = suite_file(SCORED, ("[[runs]]", f"{elsewhere}[[runs]]"), ('["ae", "vae"]', '"ae"'))
    configs = load_suite(suite).configs
    (here,) = (i for i in (1, 2) if Shard(i, 2).of(configs)[0].dataset == "digits")
    code, told = aebench(suite, "--shard", f"{here}/2")
    assert code == 0 and told.count("\n") == 1 and "1 trained in" in told
    references = [rows for name, rows in rows_in(tmp_path / "out").items() if "floor" in name]
    assert len(references) == 3 and {r[0]["dataset"] for r in references} == {"digits"}


@pytest.mark.parametrize(("failing", "expected"), [(False, 2), (True, 1)])
def test_a_reference_that_cannot_be_scored_is_told_after_the_runs(
    suite_file, aebench, monkeypatch, failing, expected
):
    def refuse(requests, known):
        raise UserError("Output folder 'floor' cannot be written.")

    def fail(self, report, watch=None):
        raise RunFailed("it broke")

    monkeypatch.setattr(work, "write_floors", refuse)
    if failing:
        monkeypatch.setattr(Run, "execute", fail)
    code, told = aebench(suite_file(('["ae", "vae"]', '"ae"')))
    outcome = "1 failed" if failing else "1 trained"
    assert code == expected and told.startswith(f"aebench: suite 'small': {outcome} in ")
    assert told.endswith("\naebench: Output folder 'floor' cannot be written.\n")


@pytest.fixture
def cluster(tmp_path):
    """Returns the environment of a pretended cluster: array tasks are processes of this machine.

    ``sbatch`` starts every task of an array at once and a dependent job when all have ended.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    program = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"
    tools = {
        "aebench": f"exec '{sys.executable}' -c '{program}' \"$@\"",
        "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
        "sbatch": """
dependent= first= last=
while [[ $1 == --* ]]; do
    case $1 in
        --array=*) range=${1#*=}; first=${range%-*}; last=${range#*-};;
        --dependency=afterany:77) dependent=1;;
        --parsable) ;;
        *) exit 9;;
    esac
    shift
done
if [[ -n $dependent ]]; then bash "$@" >&2; echo 78; exit; fi
for (( task = first; task <= last; task++ )); do
    SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 bash "$@" 2>"$LOGS/$task" &
done
wait
echo '77;cluster'
""",
    }
    for name, text in tools.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LOGS": str(tmp_path), "OMP_NUM_THREADS": "1"}


def _submit(suite, out, cluster):
    command = ["bash", str(SLURM / "submit.sh"), suite, str(out), "2", "--seeds", "0,1"]
    done = subprocess.run(
        [*command, "--device", "cpu", "--quiet"],
        env=cluster,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr


def test_the_slurm_example_asks_for_each_share_of_a_suite_once_and_then_for_the_report(
    tmp_path, cluster
):
    (tmp_path / "bin" / "aebench").write_text('#!/bin/bash\necho "$@" >> "$LOGS/asked"\n')
    _submit("quick", tmp_path / "out", cluster)
    *shares, last = (tmp_path / "asked").read_text().splitlines()
    words = "--workers 1 --seeds 0,1 --device cpu --quiet"
    assert sorted(shares) == [
        f"run quick --out {tmp_path / 'out'} --shard {share} {words}" for share in ("1/2", "2/2")
    ]
    assert last == f"report {tmp_path / 'out'}"


@pytest.mark.long
def test_the_slurm_example_carries_out_every_run_once_and_reports(
    suite_file, aebench, tmp_path, rows_in, cluster
):
    suite, out = suite_file(SCORED), tmp_path / "out"
    _submit(suite, out, cluster)
    logs = [(tmp_path / task).read_text() for task in "12"]
    assert [_counts(told) for told in logs] == [[("trained", 2)], [("trained", 2)]]
    assert (out / "results.csv").is_file() and (out / "README.md").is_file()
    whole = tmp_path / "whole"
    assert aebench(suite, "--seeds", "0,1", out=whole)[0] == 0
    assert rows_in(out) == rows_in(whole)
    assert not list(out.rglob("*.part"))


@pytest.mark.long
def test_a_plain_run_does_what_a_shard_that_was_killed_left(
    suite_file, aebench, tmp_path, rows_in, cluster
):
    suite, out = suite_file(("steps = 8", "steps = 3000")), tmp_path / "out"
    script = ["bash", str(SLURM / "shard.sbatch"), suite, str(out), "1", "--device", "cpu"]
    task = {"SLURM_ARRAY_TASK_ID": "1", "AEBENCH_SAVE_SECONDS": "0.05"}
    # `exec` all the way down: the process of the script becomes that of the run.
    shard = subprocess.Popen(script, env={**cluster, **task}, stderr=subprocess.PIPE)
    end = time.monotonic() + SECONDS
    while not list(out.glob("runs/*/state.safetensors")) and time.monotonic() < end:
        time.sleep(0.01)
    shard.send_signal(signal.SIGKILL)
    shard.communicate()
    assert shard.returncode == -signal.SIGKILL
    assert aebench(suite)[0] == 0
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    assert rows_in(out) == rows_in(tmp_path / "whole")
    assert not [*out.rglob("*.part"), *out.rglob("state.*")]
