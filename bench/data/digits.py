"""scikit-learn's digits: 1,797 grey images of 8x8, for tests."""

from __future__ import annotations

from .dataset import Source, register
from .source import Content, Part

SHUFFLE_SEED = 0
TRAIN, VALIDATION, TEST = 1_200, 300, 297


class Digits(Source):
    """The 1,797 grey digits of 8x8 of scikit-learn, values 0..16 scaled to 0..255 and rounded.

    They are sorted by writer, so they are shuffled by a fixed seed before the first 1,200 go
    to training, the next 300 to validation and the last 297 to the test. The split ``aef``
    draws its tenth from the first 1,500.
    """

    name = "digits"
    image_shape = (1, 8, 8)

    def read(self) -> Content:
        """Returns the shuffled images with their labels."""
        import numpy as np
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        order = np.random.default_rng(SHUFFLE_SEED).permutation(len(pixels))
        everything = Part(pixels, bunch.target).take(order)
        train = everything.take(slice(TRAIN + VALIDATION))
        test = everything.take(slice(TRAIN + VALIDATION, TRAIN + VALIDATION + TEST))
        return Content(train, test, held_out=VALIDATION)

    def where(self) -> str:
        """Returns whose copy it is."""
        return "scikit-learn"


register(Digits())
