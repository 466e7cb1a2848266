"""A trained model at hand: codes, images, scores, and how it shows in a notebook."""

from __future__ import annotations

import base64
import html
import json
import shutil
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...metrics.features.quantisation import quantise
from ..cli.progress import Display
from ..data.dataset import Dataset
from ..data.npz import stored_images
from ..errors import RunFailed, UserError
from ..evaluation.artefacts import load_densities
from ..evaluation.identity import evaluation_identity, weights_digest
from ..evaluation.outputs import Outputs
from ..records.results import frame
from ..runs.directory import RunDirectory
from ..runs.dispatch import carry_out
from ..runs.preflight import check_evaluation, check_examples
from ..runs.request import Request
from ..runs.runner import Run
from .given import given_array, whole_number
from .session import computing, session
from .settings import one_run

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from ...models.objectives.objective import Objective
    from .given import Array

SHOWN = (
    *("images", "density", "metric", "value", "stderr", "unit", "better", "n_real"),
    *("n_generated", "features", "status", "reason"),
)
SHOWN_PIXELS = 512  # About the width of a picture in a notebook.


@dataclass(frozen=True, kw_only=True)
class InMemory(Request):
    """A run on data that are in memory.

    Attributes:
        data: The data.
    """

    data: Dataset

    def opened(self) -> Run:
        """Returns the run."""
        return Run(self, self.data)


class Fitted:
    """A trained model. In a notebook it shows its pictures and its scores.

    Images that it returns are rounded to 8 bits, as they are scored, and have the form of those
    that it was trained on: (N, H, W), (N, C, H, W) or (N, H, W, C); vectors are floats (N, D).

    Args:
        request: The run. Its folder is removed when the model is no longer in use.
        settings: The keys of a suite file that it stands for.
        shape: The form of a single image; empty for (C, H, W).
        progress: Whether a bar is shown.

    Attributes:
        objective: The trained `Objective`, a torch module.
        data: The data set, split.

    Raises:
        RunFailed: The training diverged, or memory does not suffice.
    """

    def __init__(
        self,
        request: InMemory,
        settings: Mapping[str, Any],
        shape: tuple[int, ...],
        *,
        progress: bool,
    ) -> None:
        self.data = request.data
        weakref.finalize(self, shutil.rmtree, request.out, ignore_errors=True)
        self._settings, self._shape = dict(settings), shape
        self._progress = progress
        self._carry_out(request)

    def __reduce__(self) -> Any:  # noqa: ANN401
        """Refuses to be copied or pickled: the files are removed with the one that made them.

        Raises:
            TypeError: Always.
        """
        raise TypeError("A fitted model is not copied; keep `model.objective.state_dict()`.")

    def encode(self, images: Array) -> np.ndarray[Any, Any]:
        """Returns codes, float32 (N, L), of images as uint8 or as floats in [0, 1].

        Noise in space ``logit`` is that of the test images, by their place in the array.
        """
        with session():
            return self._outputs.encode(self._stored(images), "test").numpy()

    def decode(self, codes: Array) -> np.ndarray[Any, Any]:
        """Returns the mean images of codes (N, L).

        Raises:
            UserError: The codes are of another size, or not finite.
            RunFailed: Images are not finite.
        """
        given = given_array(codes, "codes")
        size = self.objective.code_dim
        if given.ndim != 2 or given.shape[1] != size:
            raise UserError(f"'codes' has shape {given.shape}; expected (N, {size}).")
        with np.errstate(over="ignore"):
            given = given.astype(np.float32)
        if not np.isfinite(given).all():
            raise UserError("'codes' has values that are not finite in float32.")
        with computing("Codes"):
            return self._laid_out(self._outputs.decode(torch.from_numpy(given)))

    def reconstruct(self, images: Array) -> np.ndarray[Any, Any]:
        """Returns images through encoder and decoder, and a second stage if there is one.

        Raises:
            UserError: The images are not of the form of those trained on.
            RunFailed: Reconstructions are not finite.
        """
        with computing("Reconstructions"):
            stored = self._stored(images)
            made = self._outputs_on(replace(self.data, test=stored), len(stored))
            found = made.test_reconstructions
            return self._laid_out(found if made.are_vectors else quantise(found))

    def sample(
        self, count: int, density: str = "", seed: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Returns images decoded from draws of a density.

        Args:
            count: How many.
            density: One of `densities`; the first of them when not given.
            seed: Of the draw; that of the training when not given.

        Raises:
            UserError: The density is none of the model's.
            RunFailed: Samples are not finite.
        """
        known = self.densities
        name = density or next(iter(known), "")
        if name not in known:
            raise UserError(
                f"'density' is '{name}'; expected one of: {', '.join(known) or 'none'}. "
                "`fit` takes others by evaluation={'densities': [...]}."
            )
        count = whole_number(count, "count", 1)
        seed = None if seed is None else whole_number(seed, "seed", 0)
        with computing(f"Density '{name}'"):
            self._outputs.density(name)
            made = self._outputs_on(self.data, count, seed)
            return self._laid_out(made.sample(name, count))

    @property
    def densities(self) -> list[str]:
        """Names of the densities that samples can be drawn from."""
        return self._outputs.densities

    @property
    def scores(self) -> pd.DataFrame:
        """The scores so far: a line each, with unit, direction, counts and features."""
        return frame(self._directory.rows())[list(SHOWN)]

    def score(self, **evaluation: Any) -> pd.DataFrame:  # noqa: ANN401
        """Scores the model anew, as a suite file's ``[evaluation]`` says, and returns `scores`.

        Args:
            **evaluation: Its keys, such as ``metrics``, ``features``, ``densities``, ``images``.

        Raises:
            UserError: A key or a name is unknown, or a metric's weights are missing.
        """
        asked = {**self._settings["evaluation"], **evaluation}
        config = one_run({**self._settings, "evaluation": asked})
        with session():
            check_evaluation(config.evaluation, pictured=self._outputs.are_pictures)
            check_examples(config, self.data)
            self._carry_out(replace(self._request, config=config))
        self._settings["evaluation"] = asked
        return self.scores

    @property
    def history(self) -> pd.DataFrame:
        """The training's log: a line for each validation and each part (train, validation)."""
        import pandas as pd

        lines = (self._request.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])

    def _repr_png_(self) -> bytes | None:
        """Returns test images, their reconstructions and samples, a row each; none of vectors."""
        path = self._request.folder / "samples.png"
        return path.read_bytes() if path.is_file() else None

    def _repr_html_(self) -> str:
        picture = self._repr_png_()
        rows = ["test images", "reconstructions", *(f"samples, {d}" for d in self.densities)]
        shown = _image(picture, ", ".join(rows)) if picture else ""
        table = self.scores.drop(columns=["status", "n_real", "n_generated"])
        return (
            f"<p>{html.escape(repr(self))}</p>"
            + (f"<p>{shown}<br>From above: {', '.join(rows)}.</p>" if picture else "")
            + table.to_html(index=False)
        )

    def __repr__(self) -> str:
        training = self._training
        return (
            f"{self._request.config.label}: {training.steps} steps in {training.seconds:.1f} s, "
            f"validation loss {float(training.best_loss):.4g} at step {training.best_step}"
        )

    def _carry_out(self, request: InMemory) -> None:
        with Display([request], quiet=not self._progress) as display:
            done = carry_out(request, display.listen)
            display.finish(done)
        if done.error is not None:
            raise done.error
        directory = RunDirectory(request.folder)
        weights, training = directory.training()
        if training is None or training.diverged:
            raise RunFailed(training.diverged if training else "The run left no weights.")
        self._request, self._directory, self._training = request, directory, training
        objective = request.opened().objective
        objective.load_state_dict(weights)
        self.objective: Objective = objective.eval()
        settings = request.config.evaluation
        identity = evaluation_identity(settings, self.data.digest, weights_digest(weights))
        fitted = load_densities(request.folder, identity)
        own = self.data.train[: request.config.training.train_images or None]
        seed = request.config.seed
        self._outputs = Outputs(objective, replace(self.data, train=own), settings, seed, fitted)

    def _outputs_on(self, data: Dataset, count: int, seed: int | None = None) -> Outputs:
        config = self._request.config
        settings = replace(config.evaluation, images=max(2, count))
        chosen = config.seed if seed is None else seed
        return Outputs(self.objective, data, settings, chosen, self._outputs.fitted)

    def _stored(self, images: Array) -> Tensor:
        given, shape = given_array(images, "images"), self.data.image_shape
        if not len(given):
            raise UserError(f"'images' has shape {given.shape}; expected images.")
        # Values without bounds are read as vectors, in whatever form they come.
        flat = self._outputs.are_vectors and prod(given.shape[1:]) == prod(shape)
        if flat:
            given = given.reshape(len(given), prod(shape))
        stored = stored_images(given, "'images'")
        if flat:
            stored = stored.reshape(-1, *shape)
        if stored.shape[1:] != shape:
            raise UserError(
                f"'images' are {'x'.join(map(str, stored.shape[1:]))} each; the model was trained "
                f"on {'x'.join(map(str, shape))}."
            )
        return torch.from_numpy(np.require(stored, requirements=("C", "W")))

    def _laid_out(self, images: Tensor) -> np.ndarray[Any, Any]:
        """Returns images (N, C, H, W) in the form of those that were given."""
        channels, height, width = self.data.image_shape
        if len(self._shape) in (1, 2):
            return images.reshape(-1, *self._shape).numpy()
        if self._shape == (height, width, channels) != (channels, height, width):
            return images.permute(0, 2, 3, 1).contiguous().numpy()
        return images.numpy()


def _image(picture: bytes, alternative: str) -> str:
    """Returns a PNG picture as HTML; a small one is enlarged by a whole factor."""
    width = int.from_bytes(picture[16:20], "big")  # Where every PNG file has it.
    shown = width * max(1, SHOWN_PIXELS // width)
    text = base64.b64encode(picture).decode()
    return (
        f'<img src="data:image/png;base64,{text}" alt="{alternative}" '
        f'style="width:{shown}px;image-rendering:pixelated">'
    )
