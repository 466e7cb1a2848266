"""fashion-mini: 12,000 images of Fashion-MNIST, shipped with the package.

Cut by ``scripts/cut_fashion_mini.py``. Fashion-MNIST is copyright 2017 Zalando SE, MIT licence,
see ``assets/LICENSE-fashion-mnist``.

References:
    Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms
    (Xiao et al., 2017), arXiv 1708.07747
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files.arrays import read_arrays
from .dataset import Source, register
from .source import Content, Part

if TYPE_CHECKING:
    import numpy as np

DIGEST = "cd7561b883ac24691fdaadaf51979ba1a2a125840ccec2595af273fd73a1598e"
PATH = Path(__file__).parent / "assets" / "fashion-mini.npz"


class FashionMini(Source):
    """9,000 / 1,000 / 2,000 images of Fashion-MNIST, shipped with the package."""

    name = "fashion-mini"
    image_shape = (1, 28, 28)
    advice = "Comes with the package; install it again if it is broken."

    def __init__(self, path: Path = PATH) -> None:
        self._path = path

    def read(self) -> Content:
        """Returns the content of the shipped file; its validation images end the training."""
        import numpy as np

        arrays = read_arrays(self._path)
        found = content_digest(arrays)
        if found != DIGEST:
            raise UserError(f"{self._path} holds content {found}; expected {DIGEST}.")

        def both(kind: str) -> np.ndarray:
            return np.concatenate([arrays[f"train_{kind}"], arrays[f"validation_{kind}"]])

        train = Part(both("images")[:, None], both("labels"))
        test = Part(arrays["test_images"][:, None], arrays["test_labels"])
        return Content(train, test, held_out=len(arrays["validation_labels"]))

    def where(self) -> str:
        """Returns the shipped file."""
        return str(self._path)


def content_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of names, types, shapes and bytes of the arrays, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


register(FashionMini())
