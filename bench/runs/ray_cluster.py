"""A Ray cluster to run on: found or started, and refused unless it is safe and shares all."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..interruption import check_stop
from ..records.code import evaluation_code, training_code
from ..records.provenance import versions
from .dispatch import threads, usable_cores

LOWEST = (2, 60)
GET = "`pip install aebench[ray]` gets a fitting one"
TOKENS = "https://docs.ray.io/en/latest/ray-security/token-auth.html"
ANSWER_SECONDS = 12.0
LOOK_SECONDS = 60.0
Seen = tuple[str, str, dict[str, str]]
STORE_BYTES = 100_000_000  # What travels is small; Ray would take a third of the memory.


class Cluster:
    """A connection to a Ray cluster.

    Args:
        address: ``auto`` or ``HOST:PORT``; without one a cluster of this machine's cores and GPUs
            is started for this command alone.
        gpu_share: The part of a GPU that a run takes.

    Raises:
        UserError: Ray is missing or too old, the cluster does not answer, or has no token.
    """

    def __init__(self, address: str | None, gpu_share: float | None) -> None:
        _check_installed()
        if gpu_share is not None and not 0 < gpu_share <= 1:
            raise UserError(f"'--gpu-share' is {gpu_share:g}; expected more than 0, at most 1.")
        self.address, self.gpu_share = address, gpu_share
        _be_quiet()
        if address is None:
            _start()
        else:
            address = _checked(address)
            _check_answer(address)
            _connect(address)

    def device(self, wanted: str) -> str:
        """Returns ``cpu`` or ``cuda``, the device of all runs.

        Raises:
            UserError: No node has the GPU or the cores that a run needs.
        """
        has_gpus = any(node["Resources"].get("GPU", 0) for node in _nodes())
        device = wanted
        if wanted == "auto":
            device = "cuda" if has_gpus or self.gpu_share is not None else "cpu"
        if device == "cpu" and self.gpu_share is not None:
            raise UserError("'--gpu-share' is for runs on GPUs; '--device' is 'cpu'.")
        needs = self.needs(device)
        asked = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"]}
        if not any(_fits(node["Resources"], asked) for node in _nodes()):
            told = " and ".join(f"{count:g} {kind}" for kind, count in asked.items() if count)
            raise UserError(
                f"A run needs {told} on one machine; no node of the Ray cluster has that."
            )
        return device

    def needs(self, device: str) -> dict[str, float]:
        """Returns what Ray keeps free for a run: a core for each thread, and its part of a GPU."""
        share = 1.0 if self.gpu_share is None else self.gpu_share
        return {"num_cpus": threads(), "num_gpus": share if device == "cuda" else 0}

    def check(self, out: Path) -> None:
        """Checks on every node that it asks for a token, has this code and shares the folder.

        Raises:
            UserError: One does not, or does not answer; nothing is left in the folder.
        """
        own = _code()
        with _probe(out) as probe:
            for node, found in _look_on_all(probe):
                where = f"Node {node} of the Ray cluster"
                if found is None:
                    raise UserError(f"{where} did not answer within {LOOK_SECONDS:g} seconds.")
                if isinstance(found, Exception):
                    lines = str(found).strip().splitlines() or [type(found).__name__]
                    raise UserError(f"{where} cannot carry out runs: {lines[-1]}")
                word, mode, code = found
                if mode != "token":
                    raise UserError(
                        f"{where} lets anybody in, who may then run programs there: it was "
                        f"started without RAY_AUTH_MODE=token ({TOKENS})."
                    )
                if word != probe.read_text():
                    raise UserError(
                        f"{where} does not see the folder '{out}', which all machines must share; "
                        "name another with --out."
                    )
                others = [name for name in code | own if code.get(name) != own.get(name)]
                if others:
                    told = ", ".join(f"{n} {code.get(n)} (here {own.get(n)})" for n in others)
                    raise UserError(f"{where} has other code: {told}. Install the same on all.")

    def leave(self) -> None:
        """Ends the connection, and the cluster if it was started here."""
        import ray

        ray.shutdown()


def _check_installed() -> None:
    try:
        found = version("ray")
    except PackageNotFoundError:
        raise UserError(f"'--engine' is 'ray', whose package is missing; {GET}.") from None
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) < LOWEST or major > LOWEST[0]:
        least = ".".join(map(str, LOWEST))
        raise UserError(
            f"Ray {found} is installed; expected at least {least}, before {LOWEST[0] + 1}. {GET}."
        )


def _be_quiet() -> None:
    """Keeps Ray's own lines off the terminal, and reports of its use at home."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = ".*"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"


def _start() -> None:
    """Starts a cluster that listens on the loopback alone, with a token that nobody else has."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Else Ray takes the outer address.
    cores = usable_cores()
    _connect("local", num_cpus=cores, include_dashboard=False, object_store_memory=STORE_BYTES)


def _checked(address: str) -> str:
    """Returns the address of a cluster that may be connected to.

    Raises:
        UserError: Nothing listens there, or this command has no token.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    host, colon, port = address.rpartition(":")
    if address != "auto" and not (host and colon and port.isdecimal() and int(port) < 2**16):
        raise UserError(f"'--address' is '{address}'; expected 'auto' or HOST:PORT.")
    mode = os.environ.get("RAY_AUTH_MODE") or "not set"
    if mode != "token":
        raise UserError(
            f"RAY_AUTH_MODE is {mode}; expected 'token', here and where the cluster at "
            f"'{address}' is started; else anybody may run programs there ({TOKENS})."
        )
    own = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not os.environ.get("RAY_AUTH_TOKEN") and not own.is_file():
        raise UserError(
            f"There is no token for the Ray cluster at '{address}': RAY_AUTH_TOKEN is not set and "
            f"'{own}' is not there. Take the one that the cluster was started with ({TOKENS})."
        )
    if host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except OSError as error:
            raise UserError(
                f"No Ray cluster answers at '{address}': {error.strerror or error}."
            ) from error
    return address


def _check_answer(address: str) -> None:
    """Connects in a process that can be ended, since Ray itself would try for minutes.

    Raises:
        UserError: There is no cluster, or it is of another version or has another token.
    """
    code = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
    try:
        subprocess.run(
            [sys.executable, "-c", code, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"No Ray cluster answered at '{address}' within {ANSWER_SECONDS:g} seconds, or it has "
            "another token."
        ) from None
    except subprocess.CalledProcessError as error:
        check_stop()
        told = " ".join(error.stderr.rpartition("Error: ")[2].split())
        raise UserError(f"The Ray cluster at '{address}' cannot be used: {told}") from None


def _connect(address: str, **settings: int) -> None:
    import ray

    before = signal.getsignal(signal.SIGTERM)
    ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **settings)
    signal.signal(signal.SIGTERM, before)  # Ray has put its own in place.


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _fits(resources: dict[str, float], asked: dict[str, float]) -> bool:
    return all(resources.get(kind, 0) >= count for kind, count in asked.items())


@contextlib.contextmanager
def _probe(out: Path) -> Iterator[Path]:
    """Leaves a file with a word in a folder for as long as the block lasts."""
    folders = [path for path in (out, *out.parents) if not path.exists()]
    out.mkdir(parents=True, exist_ok=True)
    probe = out.absolute() / f".ray-{secrets.token_hex(8)}"
    try:
        probe.write_text(secrets.token_hex(16))
        yield probe
    finally:
        probe.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Another command has begun to write there.
            for folder in folders:
                folder.rmdir()


def _look_on_all(probe: Path) -> Iterator[tuple[str, Seen | Exception | None]]:
    """Yields for each node its address and what it sees, an error, or none without an answer."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    asked = {}
    for node in _nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[look.options(scheduling_strategy=there).remote(probe)] = node
    answered = ray.wait([*asked], num_returns=len(asked), timeout=LOOK_SECONDS)[0]
    for reference, node in asked.items():
        try:
            yield node["NodeManagerAddress"], ray.get(reference) if reference in answered else None
        except RayError as error:
            if node["NodeID"] in {n["NodeID"] for n in _nodes()}:
                yield node["NodeManagerAddress"], error


def _look(probe: Path) -> Seen:
    """Returns what a node sees: the word in the probe, how it lets in, and its code."""
    word = probe.read_text() if probe.is_file() else ""
    return word, os.environ.get("RAY_AUTH_MODE", ""), _code()


def _code() -> dict[str, str]:
    """Returns digests of the code and versions of the libraries, builds for a GPU aside."""
    found = {name: text.partition("+")[0] for name, text in json.loads(versions()).items()}
    digests = {"training": training_code(), "evaluation": evaluation_code((), likelihoods=True)}
    return found | digests
