"""ImageNet downsampled to 32x32, from its .npz files."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..files.arrays import read_arrays
from .dataset import FolderSource, register
from .places import absent_files
from .source import Content, Part

TEST = "val_data.npz"


class ImageNet32(FolderSource):
    """1,281,167 + 50,000 colour images of 32x32; the official validation file is the test.

    Read from a folder ``imagenet-32/`` with ``train_data_batch_1.npz`` .. and
    ``val_data.npz``, as published (arrays ``data`` (N, 3072) and ``labels`` (N,)). The split
    ``aef`` holds out 1 %.

    References:
        A Downsampled Variant of ImageNet (Chrabaszcz et al., 2017), arXiv 1707.08819
    """

    name = "imagenet-32"
    image_shape = (3, 32, 32)
    alpha = 0.05
    advice = (
        "Download the 32x32 .npz files from image-net.org (an account is needed) "
        "into a folder imagenet-32/ in AEBENCH_DATA"
    )

    def __init__(
        self,
        batches: int = 10,
        held_out: int = 10_000,
        counts: tuple[int, int] = (1_281_167, 50_000),
    ) -> None:
        self._batches = [f"train_data_batch_{i}.npz" for i in range(1, batches + 1)]
        self._held_out, self._counts = held_out, counts
        folders = (self.name, "Imagenet32_train_npz", "ImageNet32")
        self.folders = folders

    def _missing(self, folder: Path) -> list[str]:
        return absent_files(folder, [*self._batches, TEST])

    def _read_from(self, folder: Path) -> Content:
        import numpy as np

        parts = [_read_batch(folder / name) for name in self._batches]
        test = _read_batch(folder / TEST)
        found = sum(len(part.images) for part in parts), len(test.images)
        for kind, count, expected in zip(("training", "test"), found, self._counts, strict=True):
            if count != expected:
                raise UserError(f"{folder} holds {count} {kind} images; expected {expected}.")
        images = np.concatenate([part.images for part in parts])
        train = Part(images, np.concatenate([part.labels for part in parts]))
        return Content(train, test, held_out=self._held_out, aef_fraction=0.01)


def _read_batch(path: Path) -> Part:
    import numpy as np

    arrays = read_arrays(path)
    data, labels = arrays.get("data"), arrays.get("labels")
    if data is None or data.dtype != np.uint8 or data.shape[1:] != (3 * 32 * 32,):
        found = "nothing" if data is None else f"{data.dtype} {data.shape}"
        raise UserError(f"{path}: 'data' is {found}; expected uint8 (N, 3072).")
    if labels is None or labels.dtype.kind not in "iu" or labels.shape != data.shape[:1]:
        found = "nothing" if labels is None else f"{labels.dtype} {labels.shape}"
        raise UserError(f"{path}: 'labels' is {found}; expected integers ({len(data)},).")
    return Part(data.reshape(-1, 3, 32, 32), labels.astype(np.int64) - 1)


register(ImageNet32())
