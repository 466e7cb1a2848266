"""The settings of one run from the keys of a suite file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from ..suites.config import Config
from ..suites.suite import load_suite


def one_run(settings: Mapping[str, Any]) -> Config:
    """Returns the one run that the keys of a suite file stand for.

    Raises:
        UserError: A key is unknown, a value is of the wrong kind, or a list stands for several.
    """
    configs = load_suite({**settings, "runs": [{}]}, name="fit").configs
    if len(configs) > 1:
        raise UserError(f"The settings stand for {len(configs)} runs; `run` takes a suite.")
    return configs[0]
