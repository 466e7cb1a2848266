"""Features of image sets, cached by content: extracted once, whoever asks again."""

from __future__ import annotations

import hashlib
import itertools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.storage import canonical_json, write_atomically
from ..records.code import METRICS, NO_CODE, code_digest, is_as_first_read

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ...metrics.extractor import Extractor

VARIABLE = "AEBENCH_CACHE"
_CALLS = itertools.count()


def cache_folder() -> Path:
    """Returns the folder of cached features, below ``AEBENCH_CACHE`` or the platform's cache."""
    import platformdirs

    root = os.environ.get(VARIABLE, "")
    return Path(root or platformdirs.user_cache_dir("aebench")).expanduser() / "features"


def extract(
    images: torch.Tensor,
    extractor: Extractor,
    cache_dir: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> torch.Tensor:
    """Returns the features of images, from the cache where the same were extracted before.

    The key is the content of the images with their shape, the extractor's identity and code, and
    the kind of device. A cached file that is damaged is computed and written again; a cache that
    cannot be written is a warning. Nothing is cached where no file has the extractor's code, as in
    a notebook, or the file is another than when it was read first, as after a reload.

    Args:
        images: uint8, shape (N, C, H, W), on any device.
        extractor: What turns them into vectors.
        cache_dir: Folder of the cache; the default is ``cache_folder()``.
        progress: Called with a count of images whenever so many more are done.

    Returns:
        float32, shape (N, F), on the extractor's device.
    """
    import torch

    if not _code_of(extractor):
        return extractor(images, progress)
    folder = cache_folder() if cache_dir is None else cache_dir
    key = content_key(images, extractor)
    path = folder / f"{key}.safetensors"
    cached = _read(path, key)
    if cached is not None:
        if progress is not None:
            progress(len(images))
        return torch.from_numpy(cached).to(extractor.device)
    features = extractor(images, progress)
    try:
        _write(path, key, features.cpu().numpy(), extractor.identity)
    except OSError as error:
        warnings.warn(f"Features are not cached: {error}", stacklevel=2)
    return features


def content_key(images: torch.Tensor, extractor: Extractor) -> str:
    """Returns the SHA-256 in hex of images, extractor and device kind.

    It is another for each call where the extractor's code is not known.
    """
    code = _code_of(extractor) or f"call {next(_CALLS)}"
    about = [code, extractor.identity, extractor.device.type, str(images.dtype), *images.shape]
    digest = hashlib.sha256(canonical_json(about).encode())
    for block in images.split(4096):
        digest.update(block.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _code_of(extractor: Extractor) -> str:
    """Returns the digest of an extractor's code; empty where no file is sure to have it."""
    modules = {kind.__module__ for kind in type(extractor).__mro__}
    others = [name for name in modules if name.partition(".")[0] not in ("aebench", *NO_CODE)]
    return code_digest(modules, [METRICS]) if all(map(is_as_first_read, others)) else ""


def _write(path: Path, key: str, features: np.ndarray, identity: str) -> None:
    from safetensors.numpy import save

    about = {"key": key, "identity": identity, "sha256": _checksum(features)}
    write_atomically(path, save({"features": features}, metadata=about))


def _read(path: Path, key: str) -> np.ndarray | None:
    """Returns cached features, or ``None`` where there are none or they are damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            features: np.ndarray = file.get_tensor("features")
    except (SafetensorError, OSError, ValueError, KeyError):
        return None
    whole = about.get("key") == key and about.get("sha256") == _checksum(features)
    return features if whole else None


def _checksum(features: np.ndarray) -> str:
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()
