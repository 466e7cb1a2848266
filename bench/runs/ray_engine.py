"""Runs on a Ray cluster, each as one task; rows, locks and exit codes are those of local workers.

Ray itself is imported by what connects to a cluster, and by nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFailed
from ..interruption import check_stop, stop_on_signals
from .asked import read_asked
from .dispatch import DETERMINISTIC, Deaths, Done, Event, Waiting, set_up_torch
from .ray_cluster import Cluster
from .workers import DIED, work

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle
    from ray.remote_function import RemoteFunction

    from .request import Request

LOGGER = logging.getLogger("aebench")
POLL_SECONDS = 0.2
STOP_SECONDS = 60.0
LOST = "lost"
LOST_NODES = 10


class Tasks:
    """Carries out runs as the tasks of a Ray cluster.

    A worker that dies costs what a local one does. A run whose node was lost goes on elsewhere as
    soon as its lock is free, since a node that Ray gave up may still compute.

    Args:
        cluster: Where.
        device: ``cpu`` or ``cuda``, that of all runs.
    """

    def __init__(self, cluster: Cluster, device: str) -> None:
        self.cluster = cluster
        self._needs = cluster.needs(device)

    def map(self, requests: Sequence[Request], listen: Callable[[Event], None]) -> Iterator[Done]:
        """Yields one `Done` for each request; a run held elsewhere is tried again later."""
        import ray

        told = _collector()
        task = self._task()
        lost = f"the machine it ran on was lost {LOST_NODES} times."
        waiting = Waiting(requests, {DIED: Deaths(), LOST: Deaths(LOST_NODES, lost)})
        flying: dict[ObjectRef, Request] = {}
        try:
            while waiting or flying:
                check_stop()
                while request := waiting.take():
                    absolute = replace(request, out=request.out.absolute())
                    flying[task.remote(absolute, Path.cwd(), told)] = request
                if not flying:
                    time.sleep(POLL_SECONDS)
                ended = ray.wait([*flying], timeout=POLL_SECONDS)[0] if flying else []
                _pass_on(told, listen, {r.config.digest for r in flying.values()})
                for reference in ended:
                    if done := waiting.settle(_end_of(reference, flying.pop(reference))):
                        yield done
        finally:
            _stop([*flying])
            self.cluster.leave()

    def _task(self) -> RemoteFunction:
        import ray

        # A process for each run on a GPU: one that is used again keeps memory of the GPU, which
        # Ray has given to another run by then. On a CPU processes are used again, as locally.
        calls = 1 if self._needs["num_gpus"] else 0
        return ray.remote(max_calls=calls, max_retries=0)(_serve).options(
            runtime_env={"env_vars": _environment()}, **self._needs
        )


class Told:
    """What workers have told since they were last asked: events, and lines for the terminal."""

    def __init__(self) -> None:
        self.all: list[Event | str] = []

    def tell(self, told: Event | str) -> None:
        """Adds one."""
        self.all.append(told)

    def take(self) -> list[Event | str]:
        """Returns all, once."""
        taken, self.all = self.all, []
        return taken


def _collector() -> ActorHandle:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Beside this command, so that it lives as long.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    collector = ray.remote(num_cpus=0, max_restarts=-1)(Told)
    return collector.options(scheduling_strategy=here).remote()


def _environment() -> dict[str, str]:
    """Returns what must be the same in a worker as in a process started from here.

    Empty where it is not set here, since Ray would set the count of threads to that of its CPUs,
    which changes the last digits of results.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("AEBENCH_")}
    exact = ("OMP_NUM_THREADS", DETERMINISTIC, "AEBENCH_EAGER")
    named = {name: os.environ.get(name, "") for name in exact}
    if os.environ.get("CUBLAS_WORKSPACE_CONFIG"):
        named["CUBLAS_WORKSPACE_CONFIG"] = os.environ["CUBLAS_WORKSPACE_CONFIG"]
    return own | named


def _serve(request: Request, folder: Path, told: ActorHandle) -> Done | Exception:
    """Carries out a run in a worker."""
    here = folder if folder.is_dir() else request.out
    with contextlib.suppress(OSError):
        os.chdir(here)  # Paths of a user's own data may be relative.
    if request.config.digest not in read_asked(request.out)[0]:
        where = f"the folder '{request.out}' of this command is not there"
        return Done(request, "failed", RunFailed(f"{where}; all machines must share it."))

    def tell(event: Event) -> None:
        told.tell.remote(event)

    LOGGER.handlers = [_Lines(told)]
    set_up_torch()
    with stop_on_signals():  # `ray.cancel` interrupts as SIGINT does.
        return work(request, tell)


class _Lines(logging.Handler):
    """Sends warnings to the terminal of the command."""

    def __init__(self, told: ActorHandle) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.tell.remote(record.getMessage())


def _pass_on(told: ActorHandle, listen: Callable[[Event], None], going_on: set[str]) -> None:
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError):  # It died and is started again; what it held is lost.
        for item in ray.get(told.take.remote()):
            if isinstance(item, str):
                LOGGER.warning("%s", item)
            elif item.digest in going_on:
                listen(item)


def _end_of(reference: ObjectRef, request: Request) -> Done:
    """Returns how a task ended.

    Raises:
        Exception: A bug, as the run met it.
    """
    import ray
    from ray import exceptions

    try:
        told: Done | Exception = ray.get(reference)
    except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError):
        return Done(request, DIED)
    except exceptions.NodeDiedError:
        return Done(request, LOST)
    except exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Done(request, "failed", RunFailed(f"Ray could not carry it out: {lines[-1]}"))
    if isinstance(told, Exception):
        raise told
    # A worker that was told to stop, and not from here, is one whose machine goes.
    return replace(told, request=request, outcome=told.outcome.replace("stopped", LOST))


def _stop(flying: Sequence[ObjectRef]) -> None:
    """Asks all tasks to stop, and waits until their runs have saved their states."""
    import ray

    for reference in flying:
        ray.cancel(reference)
    if flying:
        ray.wait([*flying], num_returns=len(flying), timeout=STOP_SECONDS)
