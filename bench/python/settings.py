"""The settings of one run from the keys of a suite file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import UserError
from ..suites.config import Config
from ..suites.suite import load_suite


def plain(value: Any) -> Any:  # noqa: ANN401
    """Returns keys of a suite file as TOML has them: numpy's numbers and tuples among them."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def one_run(settings: Mapping[str, Any]) -> Config:
    """Returns the one run that the keys of a suite file stand for.

    Raises:
        UserError: A key is unknown, a value is of the wrong kind, or a list stands for several.
    """
    configs = load_suite({**plain(settings), "runs": [{}]}, name="fit").configs
    if len(configs) > 1:
        raise UserError(f"The settings stand for {len(configs)} runs; `run` takes a suite.")
    return configs[0]
