"""Autoencoders saved by the library diffusers, read from a folder on this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WEIGHTS = "diffusion_pytorch_model.safetensors"
# How the codes are called in what each class's `encode` returns.
CODES: dict[str, Callable[[Any], Tensor]] = {
    "AutoencoderKL": lambda found: found.latent_dist.mode(),
    "AutoencoderDC": lambda found: found.latent,
    "AutoencoderTiny": lambda found: found.latents,
}
# All of them take and give pixels so.
INPUT_RANGE = (-1.0, 1.0)
TROUBLES = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")


class DiffusersAutoencoder(nn.Module):
    """Encoder and decoder of a diffusers model as maps from tensors to tensors.

    Codes are those of the model itself, the posterior's mode for AutoencoderKL; a pipeline's
    scaling factor is not applied.

    Args:
        model: The library's model.
        kind: Its class.
    """

    def __init__(self, model: nn.Module, kind: str) -> None:
        super().__init__()
        self.model = model
        self.kind = kind
        self.channels = int(self._model.config["in_channels"])

    def encode(self, images: Tensor) -> Tensor:
        """Returns codes (B, c, h, w) of images (B, C, H, W) in [-1, 1]."""
        return CODES[self.kind](self._model.encode(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Returns images (B, C, H, W), about in [-1, 1], of codes (B, c, h, w)."""
        return self._model.decode(codes).sample

    def extra_repr(self) -> str:
        """Shows the model's settings, so that they are part of the structural hash."""
        settings = {k: v for k, v in self._model.config.items() if not k.startswith("_")}
        return json.dumps(settings, sort_keys=True, default=str)

    @property
    def _model(self) -> Any:  # noqa: ANN401
        return self.model


def read_diffusers(folder: Path) -> DiffusersAutoencoder:
    """Reads an autoencoder from a folder, without network and without pickle.

    Raises:
        ValueError: The folder, its class or its weights cannot be used, or diffusers is missing.
    """
    kind = _class_of(folder)
    _check_weights(folder)
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(
            f"Folder '{folder}' is read by diffusers, which is not here ({error}); "
            "install it with: pip install 'aebench[diffusers]'"
        ) from error
    told = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()  # What counts of it is raised below.
    try:
        model, found = getattr(diffusers, kind).from_pretrained(
            str(folder.resolve()),
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            torch_dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        # Another package's failure, of whatever type.
        raise ValueError(f"Folder '{folder}' cannot be read: {_first_line(error)}") from error
    finally:
        diffusers.utils.logging.set_verbosity(told)
    # The library itself would fill what is missing with random numbers and go on.
    for trouble in TROUBLES:
        if names := list(found.get(trouble, [])):
            raise ValueError(
                f"The weights in '{folder}' do not fit its config.json: {len(names)} "
                f"{trouble.replace('_', ' ')}, the first '{names[0]}'."
            )
    return DiffusersAutoencoder(model, kind)


def _class_of(folder: Path) -> str:
    path = folder / "config.json"
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder '{folder}'; expected one that diffusers saved, on this machine."
        )
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' does not name the class of a diffusers model ({_first_line(error)}); "
            "expected a folder written by save_pretrained."
        ) from error
    if kind not in CODES:
        raise ValueError(f"'{path}' is of a '{kind}'; expected one of: {', '.join(CODES)}.")
    return str(kind)


def _check_weights(folder: Path) -> None:
    """Raises ValueError unless there are weights as safetensors, in one file or in parts."""
    if (folder / WEIGHTS).is_file() or (folder / f"{WEIGHTS}.index.json").is_file():
        return
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".ckpt"))
    why = f"it holds '{pickled[0]}', a pickle, which is not read; " if pickled else ""
    raise ValueError(
        f"Folder '{folder}' has no '{WEIGHTS}': {why}expected safetensors, as "
        "model.save_pretrained(FOLDER) writes them."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
