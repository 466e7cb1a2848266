"""Where suite files are, and TOML read from them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...models.registry import unknown_name
from ..errors import UserError

TOML = ".toml"
NAME = re.compile(r"\w[\w.-]*")
PLACED = frozenset({"dataset", "backbone"})
MOST_PIXELS = 4096  # On a side, as of images that are read.


def suite_names() -> list[str]:
    """Returns the names of the packaged suites."""
    folder = files("aebench.bench.suites")
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith("toml")
    )


def suite_folder(suite: str) -> Path:
    """Returns the folder of a packaged suite or of a suite file: where its other files lie."""
    if is_file(suite):
        return Path(suite).parent
    return Path(str(files("aebench.bench.suites")))


def is_file(suite: str) -> bool:
    """Says whether a suite is given by the path of its file; packaged names come first."""
    if "/" in suite or suite.lower().endswith(TOML):
        return True
    return suite not in suite_names() and Path(suite).is_file()


def beside(content: Any, folder: Path) -> Any:  # noqa: ANN401
    """Returns a suite's content with relative paths in it taken from its own folder.

    These are data sets such as ``folder:PATH`` and backbones ``diffusers:FOLDER``.
    """
    if isinstance(content, list):
        return [beside(part, folder) for part in content]
    if not isinstance(content, dict):
        return content
    found = {key: beside(value, folder) for key, value in content.items()}
    for key in PLACED & found.keys():
        names = found[key]
        one = isinstance(names, str)
        placed = [_placed(name, folder) for name in ([names] if one else names)]
        found[key] = placed[0] if one else placed
    return found


def _placed(name: str, folder: Path) -> str:
    scheme, colon, path = name.partition(":")
    if not (colon and path) or scheme == "module":
        return name
    return f"{scheme}:{Path(path).expanduser() if path.startswith('~/') else folder / path}"


def sized(dataset: str, size: int, source: str) -> str:
    """Returns the name of a data set whose images are brought to a size; 0 leaves them.

    Raises:
        UserError: The data set has images of a size of its own.
    """
    if not size:
        return dataset
    if not dataset.startswith("folder:"):
        raise UserError(
            f"{source}: 'data.size' is {size} and the data set '{dataset}'; expected folder:PATH, "
            "whose images alone are resized."
        )
    if size > MOST_PIXELS:
        raise UserError(f"{source}: 'data.size' is {size}; expected at most {MOST_PIXELS} pixels.")
    return f"{dataset}@{size}"


@dataclass(frozen=True)
class Given:
    """A suite as it was given, not yet checked.

    Attributes:
        name: What its results are called by.
        content: Its keys.
        source: What an error calls it.
        folder: Where the files lie that it names by relative paths.
    """

    name: str
    content: dict[str, Any]
    source: str
    folder: Path


def read_suite(suite: str | Mapping[str, Any], name: str = "") -> Given:
    """Returns a packaged suite, a TOML file, or a dictionary of a suite file's keys.

    Args:
        suite: Its name, its path, or its content.
        name: Name of a dictionary.

    Raises:
        UserError: There is no such suite, it cannot be read, or the name is none.
    """
    if isinstance(suite, str):
        name, content = read_suite_file(suite)
        return Given(name, content, f"Suite '{suite}'", suite_folder(suite))
    if not NAME.fullmatch(name):
        raise UserError(
            f"'name' is '{name}'; expected what to call the results by: letters, digits, '_', "
            "'-' and '.'."
        )
    if name in suite_names():
        raise UserError(f"'name' is '{name}', which is a packaged suite; expected another.")
    return Given(name, dict(suite), f"Suite '{name}'", Path())


def suite_name(file: str) -> str:
    """Returns what the results of a suite's file are called by.

    Raises:
        UserError: That cannot be the name of a folder everywhere.
    """
    path = Path(file)
    name = path.stem if path.suffix.lower() == TOML else path.name
    if not NAME.fullmatch(name):
        raise UserError(
            f"Suite file '{file}' is called '{name}'; expected a name of letters, digits, '_', "
            "'-' and '.'."
        )
    return name


def read_suite_file(suite: str) -> tuple[str, dict[str, Any]]:
    """Returns name and parsed content of a packaged suite or of a TOML file.

    Raises:
        UserError: There is no such suite, or the file is not readable TOML.
    """
    path = Path(suite)
    try:
        if is_file(suite):
            # Some editors begin a file with a byte-order mark.
            return suite_name(suite), tomllib.loads(path.read_text(encoding="utf-8-sig"))
        if suite not in suite_names():
            raise UserError(unknown_name("suite", suite, suite_names()))
        text = (files("aebench.bench.suites") / f"{suite}.toml").read_text(encoding="utf-8")
        return suite, tomllib.loads(text)
    except OSError as error:
        raise UserError(f"Suite file '{suite}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"Suite file '{suite}' is not valid TOML: {error}") from error
