"""Where a number comes from: code, versions, machine, date."""

from __future__ import annotations

import functools
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..files.storage import canonical_json

LIBRARIES = (
    *("aebench", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "timm"),
    *("rdkit", "botorch", "gpytorch", "fcd_torch", "diffusers"),  # Those of the extras.
)


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
    except (OSError, subprocess.SubprocessError):
        return ""


def device_name(device: str) -> str:
    """Returns a device in words: the GPU's name, or the processor architecture and cores."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
