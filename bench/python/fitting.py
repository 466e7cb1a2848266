"""One objective, trained on an array of images as a suite's run is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cli.init import backbone_for
from ..cli.words import chosen_device
from ..data.dataset import Dataset, load_dataset
from ..data.npz import GivenArrays, renamed
from ..data.splits import check_split
from ..errors import UserError
from ..runs.preflight import check_evaluation, check_examples
from .fitted import Fitted, InMemory
from .given import dictionary, given_array
from .session import session
from .settings import one_run

if TYPE_CHECKING:
    from .given import Array

MOST_BATCH, MOST_SCORED = 100, 1000
LATENTS = {"real": 2, "unit": 16}
# Keys of a suite file that `fit` decides.
DECIDED = {
    "dataset": "the second argument is the data",
    "data": "name images in another size 'folder:PATH@32'",
    "runs": "`run` takes several",
    "scale": "say `steps`",
    "scales": "say `steps`",
}


def fit(
    objective: str,
    images: Array | Mapping[str, Array] | str,
    *,
    latent_dim: int | None = None,
    backbone: str = "",
    steps: int = 1000,
    batch_size: int | None = None,
    learning_rate: float = 1e-3,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,  # noqa: ANN401
) -> Fitted:
    """Trains one objective and scores its reconstructions.

    It is what ``aebench run`` would train on a file of the same arrays, to the last digit. A
    tenth of the images each is held out to validate and to test unless parts are given.

    Args:
        objective: Its name, see ``aebench list objectives``.
        images: Images as uint8 or as floats in [0, 1], of shape (N, H, W), (N, C, H, W) or
            (N, H, W, C), or vectors as floats (N, D); a dictionary of such arrays, ``train`` and
            ``test`` and perhaps ``validation``; or the name of a data set.
        latent_dim: Size of the code; 16 when not given, for vectors 2.
        backbone: Name of the networks; by the images' shape when not given.
        steps: Optimiser steps.
        batch_size: Images in a batch; 100, or all where there are fewer, when not given.
        learning_rate: Adam's initial rate.
        seed: Seed of weights, batches, noise and samples.
        options: Options of the objective, such as ``{"beta": 2.0}``.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Whether a bar is shown, on a terminal and in a notebook.
        **settings: Any other key of a suite file: ``space``, ``width``, ``backbone_options``,
            ``training``, ``evaluation``, ...

    Returns:
        The trained model.

    Raises:
        UserError: Something given cannot be used.
        RunFailed: The training diverged, or memory does not suffice.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).random((40, 8, 8))
        >>> model = fit("ae", images, backbone="tiny", latent_dim=2, steps=4, progress=False)
        >>> model.encode(images[:5]).shape
        (5, 2)
    """
    for key in DECIDED.keys() & settings.keys():
        raise UserError(f"'{key}' is no argument of `fit`; {DECIDED[key]}.")
    with session():
        data = given_data(images, settings.get("split", "default"))
        asked: dict[str, Any] = {"objective": objective, "seed": seed, **settings}
        asked["dataset"] = data.name
        asked["backbone"] = backbone or backbone_for(data.image_shape)
        size = LATENTS["real" if data.default_space == "real" else "unit"]
        asked["latent_dim"] = size if latent_dim is None else latent_dim
        asked["options"] = dictionary(options, "options")
        batch = min(MOST_BATCH, len(data.train)) if batch_size is None else batch_size
        training = {"steps": steps, "batch_size": batch, "learning_rate": learning_rate}
        asked["training"] = {**training, **dictionary(settings.get("training"), "training")}
        own = dictionary(settings.get("evaluation"), "evaluation")
        asked["evaluation"] = {**usual_evaluation(data), **own}
        config = one_run(asked)
        check_evaluation(config.evaluation, pictured=data.default_space == "unit")
        check_examples(config, data)
        device = chosen_device(device)
        request = InMemory(config, Path(mkdtemp(prefix="aebench-")), device, data=data)
        return Fitted(request, asked, shape_of(images, data), progress=progress)


def given_data(images: Array | Mapping[str, Array] | str, split: str = "default") -> Dataset:
    """Returns a data set from arrays, or by its name.

    Raises:
        UserError: They cannot be used, or the set holds texts.
    """
    check_split(split)
    if isinstance(images, Path):
        raise UserError(
            f"'images' is the path '{images}'; expected arrays, or the name of a data set such as "
            f"'folder:{images}'."
        )
    if isinstance(images, str):
        data = load_dataset(images, split)
    else:
        given = images if isinstance(images, Mapping) else {"images": images}
        arrays = dictionary(given, "images")
        data = GivenArrays({n: given_array(one, n) for n, one in arrays.items()}).load(split)
    if data.form:
        raise UserError(f"Data set '{data.name}' holds texts; `run` takes them, `fit` does not.")
    return data


def shape_of(images: Array | Mapping[str, Array] | str, data: Dataset) -> tuple[int, ...]:
    """Returns the shape in which single images were given; of a named set only that of vectors."""
    if isinstance(images, str):
        *row, size = data.image_shape
        return (size,) if data.default_space == "real" and row == [1, 1] else ()
    if isinstance(images, Mapping):
        arrays = renamed(dict(images))
        known = [arrays[name] for name in ("train", "images") if name in arrays]
        images = next(iter(known or arrays.values()))
    return np.shape(given_array(images, "images"))[1:]


def usual_evaluation(data: Dataset) -> dict[str, Any]:
    """Returns what is scored where nothing else is asked for: little, so that it is quick."""
    return {
        "densities": ["prior", "gaussian", "second-stage"],
        "metrics": ["reconstruction"],
        "images": max(2, min(MOST_SCORED, len(data.test))),
        "second_stage_steps": 1000,
    }
