"""Where suite files are, and TOML read from them."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...models.registry import unknown_name
from ..errors import UserError

NAME = re.compile(r"\w[\w.-]*")


def suite_names() -> list[str]:
    """Returns the names of the packaged suites."""
    folder = files("aebench.bench.suites")
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith("toml")
    )


def suite_folder(suite: str) -> Path:
    """Returns the folder of a packaged suite or of a suite file: where its other files lie."""
    if suite.endswith(".toml") or "/" in suite:
        return Path(suite).parent
    return Path(str(files("aebench.bench.suites")))


def read_suite_file(suite: str) -> tuple[str, dict[str, Any]]:
    """Returns name and parsed content of a packaged suite or of a TOML file.

    Raises:
        UserError: There is no such suite, or the file is not readable TOML.
    """
    path = Path(suite)
    try:
        if suite.endswith(".toml") or "/" in suite:
            if not NAME.fullmatch(path.stem):
                raise UserError(
                    f"Suite file '{suite}' is called '{path.stem}'; expected a name of letters, "
                    "digits, '_', '-' and '.'."
                )
            return path.stem, tomllib.loads(path.read_text(encoding="utf-8"))
        if suite not in suite_names():
            raise UserError(unknown_name("suite", suite, suite_names()))
        text = (files("aebench.bench.suites") / f"{suite}.toml").read_text(encoding="utf-8")
        return suite, tomllib.loads(text)
    except OSError as error:
        raise UserError(f"Suite file '{suite}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"Suite file '{suite}' is not valid TOML: {error}") from error
