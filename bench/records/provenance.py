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
PACKAGES = ("bench", "models", "metrics")


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
    """Returns the git commit of this code, ``+`` appended if its checkout has changed sources.

    An installed copy, which is in no checkout, has the commit of the working folder's, if that
    holds the same sources. Empty where there is none.
    """
    code = Path(__file__).resolve().parents[2]
    try:
        root = code
        if not _is_tracked(code):
            root = Path(_git(Path(), "rev-parse", "--show-toplevel"))
            if not _is_tracked(root) or _sources(root) != _sources(code):
                return ""
        changed = _git(root, "status", "--porcelain", "--", *PACKAGES)
        return _git(root, "rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def device_name(device: str) -> str:
    """Returns a device in words: the GPU's name, or the processor architecture and cores."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def _is_tracked(root: Path) -> bool:
    try:
        return bool(_git(root, "ls-files", "--", *PACKAGES))
    except subprocess.CalledProcessError:  # It is in no checkout.
        return False


def _sources(root: Path) -> dict[Path, bytes]:
    files = (file for package in PACKAGES for file in (root / package).rglob("*.py"))
    return {file.relative_to(root): file.read_bytes() for file in files}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
