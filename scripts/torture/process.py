"""Commands in forked processes that are hit by a signal, and what each was doing just then.

The libraries are imported once, here, before the first fork; a child then starts in
milliseconds, calls the command line's own entry point, and is a whole process to kill.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import mmap
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before the libraries load: no thread may be running at a fork.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

import torch  # noqa: E402
from aebench.bench.cli import main as cli  # noqa: E402
from aebench.bench.evaluation import evaluation, outputs  # noqa: E402
from aebench.bench.evaluation import identity as evaluation_identity  # noqa: E402
from aebench.bench.evaluation import record as evaluation_record  # noqa: E402
from aebench.bench.figures import canvas as figures  # noqa: E402
from aebench.bench.pages import report  # noqa: E402
from aebench.bench.records.provenance import commit, versions  # noqa: E402
from aebench.bench.runs import directory, floor, preflight, runner  # noqa: E402
from aebench.bench.suites.suite import load_suite  # noqa: E402
from aebench.bench.training import state as training_state  # noqa: E402
from aebench.bench.training import trainer  # noqa: E402

PHASES = (
    "starting",
    "training",
    "checkpointing",
    "fitting densities",
    "evaluating",
    "writing results",
    "reporting",
)
POLL_SECONDS = 0.001
_MARK = mmap.mmap(-1, 1)  # Shared with the children: what the one now running is doing.
IMPORTED = (
    "torch._dynamo",
    "scipy.linalg",
    "sklearn.datasets",
    "sklearn.mixture",
    "sklearn.neighbors",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    *(f"aebench.bench.cli.{name}" for name in ("progress", "report", "run")),
    *(f"aebench.bench.{name}" for name in ("evaluation.artefacts", "leaderboard.build")),
)


@dataclass(frozen=True)
class End:
    """How a process ended.

    Attributes:
        phase: What it was doing when it was hit or ended.
        hit: Whether the signal was sent while it was alive.
        code: Exit code, or minus the number of the signal that killed it.
        told: What it wrote on stderr.
        seconds: Processor time that it took.
    """

    phase: str
    hit: bool
    code: int
    told: str
    seconds: float


def prepare(suite: Path) -> None:
    """Imports and remembers what every command needs anew, and marks the phases; once.

    No thread may run at a fork, so nothing is trained, and no library starts more than one.
    """
    torch.set_num_threads(1)
    for name in IMPORTED:
        importlib.import_module(name)
    commit(), versions()
    configs = load_suite(str(suite)).configs
    preflight.check_suite(configs)
    evaluation_identity.evaluation_identity(configs[0].evaluation, "")
    figures.save_figure(Path(tempfile.mkdtemp()), "warm", figures.new_figure(2, 2)[0])
    _wrap(trainer.Trainer, "run", "training")
    _wrap(training_state.SavedStates, "write", "checkpointing")
    _wrap(directory.RunDirectory, "save_training", "checkpointing")
    _wrap(outputs.Outputs, "density", "fitting densities")
    _wrap(evaluation.Evaluator, "compute", "evaluating")
    _wrap(evaluation_record.EvaluationRecord, "write", "writing results")
    _wrap(runner, "save_artefacts", "writing results")
    _wrap(directory.RunDirectory, "write_rows", "writing results")
    _wrap(floor, "write_atomically", "writing results")
    _wrap(report, "build_report", "reporting")
    gc.freeze()


def carry_out(
    arguments: Sequence[str], log: Path, seconds: float | None = None, number: int = 0
) -> End:
    """Runs one command in a forked process and sends it a signal after some time.

    Args:
        arguments: The command line.
        log: File for its stderr.
        seconds: Processor time after which to send the signal, so that a busy machine changes
            nothing; never if None.
        number: The signal.
    """
    _MARK[0] = 0
    log.write_text("", encoding="utf-8")
    process = os.fork()
    if process == 0:
        _child(arguments, log)
    hit, phase, status = False, "", None
    while status is None:
        done, found, usage = os.wait4(process, os.WNOHANG)
        if done:
            status = found
        elif _MARK[0] and not hit and _is_due(process, seconds):
            phase, hit = PHASES[max(_MARK[0] - 1, 0)], True
            os.kill(process, number)
        else:
            time.sleep(POLL_SECONDS)
    code = os.waitstatus_to_exitcode(status)
    last = PHASES[max(_MARK[0] - 1, 0)]
    lived = usage.ru_utime + usage.ru_stime
    # A process that SIGKILL hits stays what it was; one that was told to stop goes on a bit.
    phase = last if not hit or number == signal.SIGKILL else phase
    return End(phase, hit and code != 0, code, log.read_text(encoding="utf-8"), lived)


def _is_due(process: int, seconds: float | None) -> bool:
    if seconds is None:
        return False
    taken = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]
    return int(taken) >= seconds * 1e9


def _child(arguments: Sequence[str], log: Path) -> None:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with log.open("w", encoding="utf-8") as stream, Path(os.devnull).open("w") as nothing:
            os.dup2(stream.fileno(), 2)
            os.dup2(nothing.fileno(), 1)
            sys.stderr, sys.stdout = stream, nothing
            _MARK[0] = 1  # From here on it can be struck.
            with contextlib.suppress(SystemExit):
                code = cli.main(arguments)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _wrap(owner: Any, name: str, phase: str) -> None:  # noqa: ANN401
    function: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(function)
    def marked(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        with _marked(PHASES.index(phase) + 1):
            return function(*arguments, **options)

    setattr(owner, name, marked)


@contextlib.contextmanager
def _marked(value: int) -> Iterator[None]:
    before = _MARK[0]
    _MARK[0] = value
    try:
        yield
    finally:
        _MARK[0] = before
