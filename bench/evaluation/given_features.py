"""Features of sets of images from anywhere, and the extractors that make them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, one_line

if TYPE_CHECKING:
    import numpy as np

    from ...metrics.extractor import Extractor

UNKNOWN = {"features": "given:-", "resize": "unknown", "quantisation": "unknown"}


def features_of(
    sets: dict[str, np.ndarray],
    path: Path,
    name: str | None,
    weights: Path | None,
    device: str,
    download: bool,
) -> tuple[dict[str, Any], dict[str, str], bool]:
    """Returns the features of sets of images, or those that were given.

    Args:
        sets: Images of shape (N, C, H, W), or features of shape (N, F).
        path: Where one of them is, for an error.
        name: Name of the extractor; none where features were given.
        weights: Weights file of the extractor, instead of the usual places.
        device: ``auto``, ``cpu`` or ``cuda``.
        download: Whether missing weights may be fetched.

    Returns:
        The features; what decides a score beside the images: features, resize, quantisation;
        and whether the extractor is the published one of the FID.

    Raises:
        UserError: Features were given and an extractor named, or it cannot be used.
    """
    if next(iter(sets.values())).ndim == 2:
        if name is not None:
            raise UserError(f"{path} holds features, not images; leave out '--features'.")
        return dict(sets), UNKNOWN, False
    extractor = choose_extractor(str(name), weights, device, download)
    found = extract_all(sets, extractor)
    conditions = {
        "features": extractor.identity,
        "resize": extractor.resize,
        "quantisation": "8 bits, floats rounded to nearest",
    }
    return found, conditions, bool(getattr(extractor, "published", False))


def choose_extractor(name: str, weights: Path | None, device: str, download: bool) -> Extractor:
    """Returns the extractor with its weights found.

    Raises:
        UserError: No such extractor, its weights or libraries are missing, or there is no GPU.
    """
    import torch

    from ...metrics.extractor import MissingWeights, UnknownExtractor, build_extractor

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("'--device' is cuda, but torch sees no GPU; expected cpu or auto.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        extractor = build_extractor(name, weights=weights, device=device, download=download)
        _ = extractor.identity
        if weights is not None and extractor.weights_path is None:
            raise UserError(f"Extractor '{name}' has no weights; leave out '--weights'.")
    except (MissingWeights, UnknownExtractor, OSError) as error:
        raise UserError(str(error)) from None
    check_libraries(extractor)
    return extractor


def extract_all(sets: dict[str, np.ndarray], extractor: Extractor) -> dict[str, Any]:
    """Returns the features of each set, with one progress bar on stderr.

    Raises:
        UserError: The weights do not fit the network.
    """
    import torch
    from tqdm import tqdm

    from ...metrics.devices import lacks_memory
    from .features import extract

    total = sum(len(images) for images in sets.values())
    with tqdm(total=total, unit="image", desc=extractor.name, disable=None, leave=False) as bar:
        try:
            return {
                name: extract(torch.from_numpy(images), extractor, progress=bar.update)
                for name, images in sets.items()
            }
        except (ValueError, FileNotFoundError) as error:
            raise UserError(str(error)) from error
        except (TypeError, AttributeError, LookupError, RuntimeError) as error:
            if type(extractor).__module__.startswith("aebench.") or lacks_memory(error):
                raise
            raise UserError(
                f"Extractor '{extractor.name}' gives no tensor of shape (B, F): {error}."
            ) from error


def check_libraries(extractor: Extractor) -> None:
    """Checks before the long work that an extractor's network can be built.

    Raises:
        UserError: torchvision was built for another torch, as where torch is for CPUs alone and
            torchvision came from PyPI.
    """
    from ...metrics.extractor import NetworkExtractor

    if not isinstance(extractor, NetworkExtractor):
        return
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"torchvision {version('torchvision')} does not work with torch {version('torch')} "
            f"({one_line(error):.80}), and '{extractor.name}' needs it. Install both from one "
            "place, as https://pytorch.org/get-started/locally says."
        ) from error
