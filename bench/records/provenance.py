"""Where a number comes from: code, versions, machine, date."""

from __future__ import annotations

import ast
import functools
import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from ..files.storage import canonical_json

LIBRARIES = ("aebench", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "timm")


def now() -> str:
    """Returns the UTC date and time to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def versions() -> str:
    """Returns the versions of Python and the libraries as canonical JSON."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return canonical_json(found)


@functools.cache
def commit() -> str:
    """Returns the git commit of the working folder, ``+`` appended if the tree has changes.

    Empty where the folder is not a checkout of this project.
    """
    try:
        top = Path(_git("rev-parse", "--show-toplevel"))
        if not (top / "bench" / "records" / "rows.py").is_file():
            return ""
        changed = _git("status", "--porcelain", "--", "bench", "models", "metrics")
        return _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def device_name(device: str) -> str:
    """Returns a device in words: the GPU's name, or the processor architecture and cores."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def code_digest(modules: Iterable[str]) -> str:
    """Returns 16 hex digits of what modules and those of ours they use say, comments aside.

    Args:
        modules: Names of imported modules; what their globals refer to is followed as long as
            it belongs to the packages of the named modules or to aebench's models and metrics.
    """
    digest = hashlib.sha256()
    for name in sorted(_reach(modules)):
        digest.update(f"{name}:{_meaning(name)}".encode())
    return digest.hexdigest()[:16]


def _reach(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [m for m in modules if m in sys.modules]
    ours = ("aebench.models", "aebench.metrics", *waiting)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for value in vars(sys.modules[name]).values():
            origin = value.__name__ if isinstance(value, ModuleType) else _origin(value)
            if origin in sys.modules and origin.startswith(ours):
                waiting.append(origin)
    return found


def _origin(value: object) -> str:
    origin = getattr(value, "__module__", None)
    return origin if isinstance(origin, str) else ""


@functools.cache
def _meaning(module: str) -> str:
    path = getattr(sys.modules[module], "__file__", None)
    if path is None:
        return ""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
