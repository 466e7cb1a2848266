"""Cuts fashion-mini from the four files of Fashion-MNIST.

Of each of the ten classes 900 images for training, 100 for validation (both from the training
file) and 200 for the test (from the test file), drawn by a stated seed. Run it from the
repository with the full set installed (``aebench data fashion-mnist``):

    python scripts/cut_fashion_mini.py bench/data/assets/fashion-mini.npz
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from aebench.bench.data.dataset import find_source
from aebench.bench.data.fashion_mini import content_digest
from aebench.bench.data.source import Part

SEED = 20200
PER_CLASS = {"train": 900, "validation": 100, "test": 200}


def draw(labels: np.ndarray, counts: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Returns, for each count, the shuffled indices of that many images of every class."""
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    cuts = np.cumsum([0, *counts])
    parts = [
        np.concatenate([indices[start:stop] for indices in by_class])
        for start, stop in itertools.pairwise(cuts)
    ]
    return [rng.permutation(part) for part in parts]


def cut(train: Part, test: Part, seed: int = SEED) -> dict[str, np.ndarray]:
    """Returns images (N, 28, 28), labels (N,) and the indices in the files, for each split."""
    if train.labels is None or test.labels is None:
        raise ValueError("The full set has no labels; expected one a image.")
    rng = np.random.default_rng(seed)
    kept = draw(train.labels, [PER_CLASS["train"], PER_CLASS["validation"]], rng)
    kept += draw(test.labels, [PER_CLASS["test"]], rng)
    arrays = {}
    for (split, part), index in zip(
        (("train", train), ("validation", train), ("test", test)), kept, strict=True
    ):
        chosen = part.take(index)
        if chosen.labels is None:
            raise ValueError(f"Split '{split}' has no labels.")
        arrays[f"{split}_images"] = chosen.images[:, 0]
        arrays[f"{split}_labels"] = chosen.labels.astype(np.uint8)
        arrays[f"{split}_indices"] = index.astype(np.uint16)
    return arrays


def main() -> None:
    """Writes the file named on the command line and prints the digest of its content."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} OUTPUT.npz")
    content = find_source("fashion-mnist").read()
    arrays = cut(content.train, content.test)
    path = Path(sys.argv[1])
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size} bytes, content {content_digest(arrays)}")


if __name__ == "__main__":
    main()
