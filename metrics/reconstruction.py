"""Reconstruction errors on images in [0, 1], or on vectors, averaged over images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .arrays import BadInput, Features, Floats, check_finite, to_numpy
from .registry import Estimate, register

IMAGES_PER_BLOCK = 1024
NO_IMAGES = Estimate(float("nan"), None, "needs images, not vectors")


@register("reconstruction", unit="intensity, squared in mse and sse", better="lower")
def reconstruction(*, images: Features, reconstructions: Features) -> dict[str, Estimate]:
    """Averages four errors over images in [0, 1], shape (N, C, H, W), or vectors, shape (N, D).

    ``mse`` and ``mae`` are per value; ``sse`` is the sum of squares of an image, and ``l2`` its
    square root before averaging, as in RAE's code.
    """
    squares = squared_errors(images, reconstructions)
    absolute = [abs(d).mean(axis=1) for d in _differences(images, reconstructions)]
    sums = squares * to_numpy(images)[0].size
    return {
        "mse": Estimate.of_mean(squares),
        "sse": Estimate.of_mean(sums),
        "l2": Estimate.of_mean(np.sqrt(sums)),
        "mae": Estimate.of_mean(np.concatenate(absolute)),
    }


@register("psnr", unit="dB", better="higher")
def psnr(*, images: Features, reconstructions: Features) -> dict[str, Estimate]:
    """Averages over images the peak signal-to-noise ratio ``-10 log10 MSE``, with peak 1.

    Infinite where an image is reproduced exactly. Vectors have no peak.
    """
    if to_numpy(images).ndim == 2:
        return {"psnr": NO_IMAGES}
    with np.errstate(divide="ignore"):
        values = -10.0 * np.log10(squared_errors(images, reconstructions))
    exact = int(np.isinf(values).sum())
    if exact:
        return {"psnr": Estimate(float("inf"), None, f"{exact} images reproduced exactly")}
    return {"psnr": Estimate.of_mean(values)}


@register("ssim", unit="similarity", better="higher")
def ssim(*, images: Features, reconstructions: Features) -> dict[str, Estimate]:
    """Averages over images the structural similarity, with a Gaussian window of sigma 1.5.

    References:
        Image Quality Assessment: From Error Visibility to Structural Similarity
        (Wang et al., 2004); computed by torchmetrics, peak 1.

    Raises:
        BadInput: Wrong shapes, images outside [0, 1], or images smaller than 11 pixels.
    """
    left, right = _check_images(images, reconstructions)
    if left.ndim == 2:
        return {"ssim": NO_IMAGES}
    if left.ndim != 4 or min(left.shape[2:]) < 11:
        raise BadInput(f"'images' has shape {left.shape}; expected (N, C, H, W), H and W from 11.")
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as similarity

    values = []
    for start in range(0, len(left), IMAGES_PER_BLOCK):
        block = slice(start, start + IMAGES_PER_BLOCK)
        target, output = (torch.from_numpy(a[block].astype(np.float32)) for a in (left, right))
        scores: Any = similarity(output, target, data_range=1.0, reduction="none")
        values.append(scores.double().numpy().reshape(-1))
    return {"ssim": Estimate.of_mean(np.concatenate(values))}


def squared_errors(images: Features, reconstructions: Features) -> Floats:
    """Computes the mean squared error of each image, shape (N,).

    Args:
        images: Images in [0, 1], shape (N, ...), or any vectors, shape (N, D).
        reconstructions: Their reconstructions, same shape, any finite values.

    Raises:
        BadInput: The shapes differ, values are not finite or images are not in [0, 1].

    Example:
        >>> squared_errors(np.zeros((1, 1, 2, 2)), np.full((1, 1, 2, 2), 0.5)).tolist()
        [0.25]
    """
    errors = [(d * d).mean(axis=1) for d in _differences(images, reconstructions)]
    return np.concatenate(errors)


def _differences(images: Features, reconstructions: Features) -> Iterator[Floats]:
    left, right = _check_images(images, reconstructions)
    for start in range(0, len(left), IMAGES_PER_BLOCK):
        block = slice(start, start + IMAGES_PER_BLOCK)
        difference = right[block].astype(np.float64) - left[block]
        yield difference.reshape(len(difference), -1)


def _check_images(images: Features, reconstructions: Features) -> tuple[Any, Any]:
    left, right = to_numpy(images), to_numpy(reconstructions)
    if left.shape != right.shape or left.ndim < 2 or left.size == 0:
        raise BadInput(
            f"'images' has shape {left.shape} and 'reconstructions' {right.shape}; "
            "expected the same, (N, C, H, W)."
        )
    for name, array in (("images", left), ("reconstructions", right)):
        if array.dtype.kind != "f":
            raise BadInput(f"'{name}' has type {array.dtype}; expected floats in [0, 1].")
        check_finite(name, array)
    low, high = float(left.min()), float(left.max())
    if left.ndim > 2 and (low < 0.0 or high > 1.0):
        guess = (
            " They look like 0 to 255: divide by 255."
            if low >= 0.0 and 2.0 < high <= 256.0
            else ""
        )
        raise BadInput(f"'images' spans {low:g} to {high:g}; expected [0, 1].{guess}")
    return left, right
