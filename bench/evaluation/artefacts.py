"""What a run leaves beside its rows: fitted densities, arrays for figures, a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.densities.density import Density, build_density
from ..files.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint
from ..files.storage import write_atomically
from ..records.code import figure_code
from .evaluation import CURVE
from .figure_arrays import figure_arrays

if TYPE_CHECKING:
    from torch import Tensor

    from .outputs import Outputs


def save_artefacts(
    folder: Path, outputs: Outputs, identity: dict[str, Any], curves: dict[str, Tensor]
) -> None:
    """Writes ``densities.safetensors``, ``arrays.npz`` and ``samples.png``, each atomically.

    Vectors and texts have no picture.

    Args:
        folder: The run's directory.
        outputs: What the run produces.
        identity: What the evaluation depends on.
        curves: Further arrays by name, for ``arrays.npz``.
    """
    tensors = {
        f"{name}/{key}": value
        for name, density in outputs.fitted.items()
        for key, value in density.state().items()
    }
    sheet = {} if outputs.are_vectors else outputs.sheet()
    write_atomically(folder / "arrays.npz", _npz(sheet | figure_arrays(outputs) | curves))
    if outputs.are_pictures:
        write_atomically(folder / "samples.png", _png(_grid(sheet)))
    record = {"identity": identity, "sheet": _shown(outputs)}
    save_checkpoint(folder / "densities.safetensors", tensors, record)


def has_artefacts(folder: Path, outputs: Outputs, identity: dict[str, Any]) -> bool:
    """Returns whether all files are there and show what is asked for."""
    names = ("arrays.npz", "samples.png") if outputs.are_pictures else ("arrays.npz",)
    if not all((folder / name).is_file() for name in names):
        return False
    try:
        record = load_checkpoint(folder / "densities.safetensors")[1]
    except BadCheckpoint:
        return False
    return record.get("identity") == identity and record.get("sheet") == _shown(outputs)


def _shown(outputs: Outputs) -> list[Any]:
    settings = outputs.settings
    code = figure_code(figure_arrays.__module__)
    curves = CURVE in settings.metrics
    return [settings.sheet_images, list(settings.temperatures), outputs.densities, curves, code]


def load_densities(folder: Path, identity: dict[str, Any]) -> dict[str, Density]:
    """Returns densities fitted earlier, if code, data and weights are still the same.

    A file that cannot be used means that there are none: they are fitted again.
    """
    try:
        tensors, record = load_checkpoint(folder / "densities.safetensors")
    except BadCheckpoint:
        return {}
    if record.get("identity") != identity:
        return {}
    try:
        return _fitted(tensors)
    except (ValueError, KeyError, IndexError, TypeError, RuntimeError):
        return {}


def _fitted(tensors: dict[str, Tensor]) -> dict[str, Density]:
    fitted: dict[str, Density] = {}
    for name in {key.partition("/")[0] for key in tensors}:
        fitted[name] = build_density(name)
        start = f"{name}/"
        state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        fitted[name].load_state(state)
    return fitted


def _npz(arrays: dict[str, Tensor]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{k: v.numpy() for k, v in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def _grid(sheet: dict[str, Tensor]) -> Tensor:
    import torch

    shown = ("test", "reconstruction", "sample_")
    rows = [images for name, images in sheet.items() if name.startswith(shown)]
    count = min(len(row) for row in rows)
    return torch.cat([torch.cat(list(row[:count]), dim=2) for row in rows], dim=1)


def _png(image: Tensor) -> bytes:
    from PIL import Image

    pixels = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
