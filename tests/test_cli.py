from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from aebench.bench.cli import progress
from aebench.bench.cli.main import COMMANDS, main
from aebench.bench.cli.progress import Display
from aebench.bench.errors import RunFailed
from aebench.bench.interruption import Stopped
from aebench.bench.runs.dispatch import Done, Event, carry_out
from aebench.bench.runs.request import Request
from aebench.bench.suites.command import folder_name
from aebench.bench.suites.suite import load_suite

HEAVY = ("torch", "sklearn", "matplotlib", "pandas", "scipy", "torchvision", "timm")


def _imported(arguments):
    script = (
        "import sys\nfrom aebench.bench.cli.main import main\ntry:\n"
        f"    code = main({arguments!r})\nexcept SystemExit as error:\n    code = error.code\n"
        f"sys.stderr.write('loaded: ' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["list", "suites"], 0),
        (["list", "nonsense"], 2),
        (["run"], 2),
        (["run", "quikc"], 2),
        (["run", "quick", "--set", "training.step=3"], 2),
    ],
)
def test_the_command_starts_without_heavy_imports(arguments, code):
    found, _, told = _imported(arguments)
    assert found == code
    assert told.rpartition("loaded: ")[2] == ""


def test_every_command_explains_itself(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"aebench {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run", "tune"])
def test_the_help_names_the_folder_of_a_scale(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    told = re.sub(r"\s+", " ", capsys.readouterr().out)
    found = re.search(r"default: (\S+), at another scale than full (\S+)", told)
    at_full, at_another = found.groups()
    for scale, text in (("full", at_full), ("smoke", at_another)):
        folder = folder_name("families-fashion-mnist", scale)
        shown = text.replace("SUITE", "families-fashion-mnist").replace("SCALE", scale)
        assert shown == f"results/{folder}"


@pytest.mark.parametrize("kind", ["objectives", "backbones", "datasets", "densities", "metrics"])
def test_each_kind_is_listed_with_a_summary(kind, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(len(line.split(None, 1)) == 2 for line in lines)


def test_lists_say_of_likelihoods_and_sizes_what_the_classes_do(capsys):
    listed = {}
    for kind in ("objectives", "backbones"):
        assert main(["list", kind]) == 0
        listed |= (line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert listed["aef-linear"].endswith("a linear map of it; bound on the likelihood")
    assert listed["rae"].endswith("; no likelihood of its own")
    assert listed["aef-small"].endswith("; takes 28x28, 32x32, 64x64, 128x128")
    assert listed["aef-big"].endswith("; takes 32x32, 64x64")


def test_metrics_are_listed_with_what_they_compute_their_unit_and_direction(capsys):
    assert main(["list", "metrics"]) == 0
    listed = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert listed["psnr"].startswith("Averages over images the peak signal-to-noise ratio")
    assert listed["psnr"].endswith("; unit: dB; better: higher")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "objective=vea"], "Unknown objective 'vea'. Did you mean 'vae'? Known: "),
        (["--only", "dataset=digist"], "Unknown data set 'digist'. Did you mean 'digits'?"),
        (["--only", "backbone=tinny"], "Unknown backbone 'tinny'. Did you mean 'tiny'?"),
        (["--only", "objectiv=ae"], "Unknown factor of --only 'objectiv'."),
        (["--only", "objective"], "'--only' is 'objective'; expected KEY=VALUE."),
        (["--only", "latent_dim=x"], "has no run that matches latent_dim=x; --dry-run without"),
        (["--only", "objective=vae", "seed=99"], "has no run that matches objective=vae, seed=99"),
        (["--only", "objective=vae", "objective=ae"], "gives 'objective' as 'vae' and as 'ae'"),
        (["--set", "training.steps=5", "training.steps=6"], "gives 'training.steps' as '5' and"),
        (["--set", "evaluation.metrics=['frechett']"], "Unknown metric 'frechett'. Did you mean"),
        (["--set", "evaluation.densities=['gausian']"], "Unknown density 'gausian'. Did you mean"),
        (["--set", "evaluation.densities=['gmm-0']"], "gmm-0"),
        (["--set", "evaluation.features=['pixel']"], "'pixel'"),
        (["--set", "evaluation.interpolation=cubic"], "'cubic'; expected one of: spherical"),
        (
            ["--set", 'evaluation.metrics=["frechet", "prd", "frechet"]'],
            "'evaluation.metrics' has 'frechet' twice; expected it once",
        ),
        (
            ["--set", "training.step=3"],
            "key '--set training.step' is unknown. Did you mean 'steps'?",
        ),
        (["--set", "training.steps=many"], "key '--set training.steps' is 'many'; expected a wh"),
        (["--set", "training.steps"], "'--set' is 'training.steps'; expected KEY=VALUE."),
        (["--set", "=3"], "'--set' is '=3'; expected KEY=VALUE."),
        (["--set", "split=halves"], "halves"),
        (["--set", "space=polar"], "'polar'"),
        (["--set", "latent_dim=0"], "key '--set latent_dim' is 0; expected at least 1."),
        (["--set", "latent_dim=1000000"], "'latent_dim' is 1000000; expected at most the 64"),
        (["--set", "training.batch_size=101"], "'training.batch_size' is 101; expected at most"),
        (
            ["--set", 'evaluation.densities=["gmm-101"]'],
            "'gmm-101', which takes at least 101 training examples; there are 100.",
        ),
        (
            ["--set", "training.learning_rate=-1"],
            "training.learning_rate' is -1; expected a positive",
        ),
        (["--seeds", "0,x"], "'--seeds' is '0,x'; expected whole numbers such as 0,1,2."),
        (["--seeds", ""], "'--seeds' is ''; expected whole numbers"),
        (["--seeds", "-1"], "'--seeds' is '-1'; expected whole numbers"),
        (["--workers", "0"], "'--workers' is 0; expected at least 1."),
    ],
)
def test_bad_input_is_one_line_and_exit_2_and_nothing_is_written_also_in_a_dry_run(
    suite_file, aebench, tmp_path, arguments, message
):
    code, told = aebench(suite_file(), *arguments)
    assert code == 2
    assert message in told
    assert told.startswith("aebench: ") and told.count("\n") == 1
    assert aebench(suite_file(), *arguments, "--dry-run") == (code, told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("latent_dim = 3", "latent_dim = 3\noptions = {bta = 1.0}"), "'bta'"),
        (("latent_dim = 3", "latent_dim = 3\nbackbone_options = {widht = 1.0}"), "'widht'"),
        (("steps = 8", 'steps = "8"'), "key 'training.steps' is '8'; expected a whole number"),
        (("steps = 8", "steps = "), "is not valid TOML"),
    ],
)
def test_a_bad_suite_file_is_one_line_and_exit_2(suite_file, aebench, tmp_path, change, message):
    code, told = aebench(suite_file(change))
    assert code == 2 and message in told
    assert told.startswith("aebench: ") and told.count("\n") == 1
    assert aebench(suite_file(change), "--dry-run") == (code, told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("backbone_options.batch_norm=False", "is 'False'; expected true or false"),
        ("backbone_options.width=abc", "is 'abc'; expected a number"),
        ("options.beta=abc", "is 'abc'; expected a number"),
        ("options.beta=true", "is True; expected a number"),
        ("options.samples=1.5", "is 1.5; expected a whole number"),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(suite_file, aebench, given, message):
    code, told = aebench(suite_file(), "--only", "objective=vae", "--set", given, "--dry-run")
    assert code == 2 and f"'{given.partition('=')[0]}' {message}" in told


def test_a_whole_number_is_taken_where_an_option_is_a_real_one(suite_file, aebench):
    words = ["--only", "objective=aef-linear", "space=logit", "--set", "options.decoder_rho=0"]
    assert aebench(suite_file(), *words, "--dry-run")[0] == 0


def test_a_gpu_that_is_not_there_is_told(suite_file, tmp_path, capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "out"
    assert main(["run", suite_file(), "--out", str(out), "--device", "cuda"]) == 2
    assert capsys.readouterr().err == (
        "aebench: '--device' is 'cuda', but torch sees no GPU here; use --device cpu.\n"
    )
    assert not out.exists()


def test_an_output_folder_that_cannot_be_written_is_told(suite_file, aebench, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        code, told = aebench(suite_file(), out=out)
        assert code == 2 and f"Output folder '{out}' cannot be written" in told
        assert told.count("\n") == 1
    assert file.read_text() == "mine"


def test_a_read_only_output_folder_is_told(suite_file, aebench, tmp_path, monkeypatch):
    monkeypatch.setattr("aebench.bench.cli.words.os.access", lambda path, mode: False)
    code, told = aebench(suite_file())
    assert code == 2 and "cannot be written; name another with --out" in told


def test_a_dry_run_lists_the_runs_and_writes_nothing(suite_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", suite_file(), "--out", str(out), "--dry-run", "--seeds", "0,1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1] == "4 runs, 32 steps, 640 examples, scale full"
    assert not out.exists()


def test_long_work_off_a_terminal_writes_a_line_now_and_then_with_the_time_left(
    suite_file, tmp_path, capsys
):
    configs = load_suite(suite_file(), settings={"training.steps": 100}).configs
    requests = [Request(c, tmp_path, "cpu", rerun_stale=False) for c in configs]
    seconds = [0.0]
    digest = configs[0].digest

    def told(at, *events, quiet=False):
        seconds[0] = at
        for event in events:
            display.listen(event)
        return capsys.readouterr().err

    def step(number):
        return Event(digest, "training", number, 1.0, 10.0)

    display = Display(requests, quiet=False, clock=lambda: seconds[0])
    assert told(10, step(5)) == ""
    # 10 steps took 20 seconds: 185 take 370.
    assert told(30, step(15), step(15)) == (
        f"aebench: 0 of 2 runs ended, 15 of 200 steps; now {configs[0].label}: step 15 of 100; "
        "about 6 min left.\n"
    )
    assert told(329, step(90)) == ""
    display.finish(Done(requests[0], "trained"))
    assert told(331, Event(configs[1].digest, "pictures")) == (
        f"aebench: 1 of 2 runs ended, 100 of 200 steps; now {configs[1].label}: pictures; "
        "about 6 min left.\n"
    )
    display = Display(requests, quiet=True, clock=lambda: seconds[0])
    assert told(1000, step(50)) == ""


def test_the_time_left_is_told_by_the_pace_of_the_steps_that_were_taken_here(
    suite_file, tmp_path, capsys, monkeypatch
):
    given = {"training.steps": 10_000}
    configs = load_suite(suite_file(), settings=given, seeds=[0, 1]).configs
    requests = [Request(c, tmp_path, "cpu", rerun_stale=False) for c in configs]
    seconds = [0.0]
    display = Display(requests, quiet=False, clock=lambda: seconds[0])

    def told(at, number):
        seconds[0] = at
        display.listen(Event(configs[2].digest, "training", number, 1.0, 10.0))
        return capsys.readouterr().err

    display.finish(Done(requests[0], "complete"))
    display.finish(Done(requests[1], "failed", RunFailed("it broke")))
    # The third goes on from a saved state: one step is no pace yet.
    assert told(40, 9010).endswith(f"; now {configs[2].label}: step 9010 of 10000.\n")
    # 600 steps in 600 seconds; 390 of this run and 10000 of the last are left.
    assert told(640, 9610).endswith("; about 173 min left.\n")
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    with Display(requests, quiet=False) as shown:
        shown.finish(Done(requests[0], "complete"))
        shown.listen(Event(configs[2].digest, "training", 9010, 1.0, 10.0))
        state = shown.bar.format_dict
    assert (state["n"], state["initial"], state["rate"]) == (19_010, 19_010, None)


def test_a_run_goes_on_where_nobody_reads_its_progress_any_more(suite_file, tmp_path, monkeypatch):
    requests = [Request(c, tmp_path, "cpu") for c in load_suite(suite_file()).configs]
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    for bar in (False, True):
        monkeypatch.setattr(progress, "in_notebook", lambda bar=bar: bar)
        reader, writer = os.pipe()
        piped = io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True)
        monkeypatch.setattr(sys, "stderr", piped)
        with Display(requests, quiet=False) as display:
            os.close(reader)
            display.bar.mininterval = 0
            done = carry_out(requests[bar], display.listen)
            assert (done.outcome, done.error) == ("trained", None)
            display.finish(done)
        piped.close()


def test_short_work_is_silent_off_a_terminal(suite_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 1e6)  # Short, however busy the machine.
    suite = suite_file(('["ae", "vae"]', '"ae"'))
    code = main(["run", suite, "--out", str(tmp_path / "out"), "--device", "cpu"])
    told = capsys.readouterr().err
    assert code == 0 and told.count("\n") == 1 and "1 trained in" in told


def test_an_objective_dropped_in_runs_under_the_settings_of_the_suite(
    suite_file, aebench, tmp_path, rows_in
):
    from aebench.models.objectives.objective import OBJECTIVES, Objective, squared_error

    class Mine(Objective):
        """A trivial objective."""

        def terms(self, x, generator):
            y = self.space(x)[0]
            return {"mine": squared_error(y, self.mean(self.code(y)))}

    OBJECTIVES.names()
    OBJECTIVES.register("mine")(Mine)
    try:
        code, _ = aebench(suite_file(), "--only", "objective=mine")
    finally:
        del OBJECTIVES._entries["mine"]
    assert code == 0
    ((name, rows),) = rows_in(tmp_path / "out").items()
    assert rows and {r["objective"] for r in rows} == {"mine"}
    assert '"mine"' in (tmp_path / "out" / "runs" / name / "log.jsonl").read_text()


def test_running_out_of_memory_is_one_line_that_names_the_run(suite_file, aebench, monkeypatch):
    import torch
    from aebench.bench.runs.runner import Run

    def full(self, report, watch=None):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nMore lines")

    monkeypatch.setattr(Run, "execute", full)
    code, told = aebench(suite_file(('["ae", "vae"]', '"ae"')))
    assert code == 1 and "run 'ae digits d=3 s=0': out of memory on cpu; use a smaller" in told


def test_a_stop_tells_which_runs_failed_and_does_not_count_them_as_whole(
    suite_file, aebench, monkeypatch
):
    from aebench.bench.runs.runner import Run

    def execute(self, report, watch=None):
        if self.config.objective == "ae":
            raise RunFailed("it broke")
        raise Stopped

    monkeypatch.setattr(Run, "execute", execute)
    code, told = aebench(suite_file())
    assert code == 1 and told == (
        "aebench: run 'ae digits d=3 s=0': it broke\n"
        "aebench: Stopped. 0 of 2 runs are whole; the same command goes on from here.\n"
    )


def _aebench(*arguments, **options):
    script = "import sys; from aebench.bench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, **options)


@pytest.fixture
def two_sets(tmp_path):
    """Returns the paths of two files of vectors."""
    for name in ("real", "generated"):
        np.save(tmp_path / name, np.random.default_rng(len(name)).normal(size=(60, 3)))
    return [str(tmp_path / "real.npy"), str(tmp_path / "generated.npy")]


@pytest.mark.parametrize(
    ("encoding", "limit", "error"),
    [
        ("ascii", "FDinf", "+- s.e."),
        ("cp1252", "FDinf", "± s.e."),
        ("utf-8", "FD∞", "± s.e."),
    ],
)
def test_scores_are_written_in_the_signs_that_an_encoding_has(
    encoding, limit, error, two_sets, monkeypatch, capsys
):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["evaluate", *two_sets]) == 0
    sys.stdout.flush()
    told = written.getvalue().decode(encoding)
    assert limit in told and error in told
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_and_a_closed_output_end_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = _aebench("list", "objectives", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
    script = f"'{sys.executable}' -c 'from aebench.bench.cli.main import main; "
    script += 'raise SystemExit(main(["list", "suites"]))'
    done = subprocess.run(["bash", "-c", script + "' >&-"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "quick", "--set", "training.lr=1"], "It is called 'learning_rate' here."),
        (["run", "quick", "--set", "training.epochs=1"], "It is called 'steps' here."),
        (["run", "quick", "--set", "z_dim=1"], "It is called 'latent_dim' here."),
        (["evaluate", "a", "b", "--metrics", "fid"], "Here it is 'frechet' with Inception"),
        (["evaluate", "a", "b", "--metrics", "KID"], "Here it is 'kernel' with Inception"),
        (["evaluate", "a", "b", "--seed", "-1"], "'--seed' is -1; expected 0 or more."),
        (["run", "quick", "--seeds=-1"], "'--seeds' is '-1'; expected whole numbers"),
        (
            ["run", "quick", "--set", 'evaluation.metrics=["fid"]', "--dry-run"],
            "Unknown metric 'fid'. Here it is 'frechet'",
        ),
    ],
)
def test_a_name_from_elsewhere_and_a_negative_seed_are_answered_with_ours(arguments, told, capsys):
    assert main(arguments) == 2
    found = capsys.readouterr().err
    assert told in found and found.count("\n") == 1
