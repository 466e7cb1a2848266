"""Suite files: TOML in, a list of run configurations out."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ...models.registry import unknown_name
from ..errors import UserError
from .config import Config, Evaluation, Training
from .suite_files import read_suite_file
from .suite_tables import FACTORS, check, refusal

WIDTHS = {"smoke": 1 / 16, "small": 1 / 4, "full": 1.0}
MOST_RUNS = 10_000
Values = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """A named set of runs.

    Attributes:
        name: The file's stem.
        title: One line for tables.
        description: What the suite shows.
        paper: The table or figure of a paper that it regenerates, empty if none.
        scale: The scale in force.
        configs: The runs.
    """

    name: str
    title: str
    description: str
    paper: str
    scale: str
    configs: tuple[Config, ...]


def load_suite(
    suite: str,
    *,
    settings: Values | None = None,
    only: dict[str, str] | None = None,
    seeds: list[int] | None = None,
) -> Suite:
    """Reads a suite and expands it into runs.

    Args:
        suite: Name of a packaged suite or path of a TOML file.
        settings: Values from the command line by dotted key, such as ``training.steps``.
        only: Patterns by factor; a run is kept if all match. A name without wildcards that the
            suite does not list is run under the settings of the suite's first block.
        seeds: Seeds in the place of the suite's own.

    Raises:
        UserError: A key is unknown, a value has the wrong type, or nothing is left to run.
    """
    name, content = read_suite_file(suite)
    source = f"Suite '{suite}'"
    check(content, source)
    chosen = _as_tables(settings or {})
    check(chosen, source, "--set ")
    only = only or {}
    for key in only:
        if key not in FACTORS:
            raise UserError(unknown_name("factor of --only", key, list(FACTORS)))
    reader = _Reader(source, name, content, chosen, {} if seeds is None else {"seed": seeds})
    configs = [config for config in reader.configs() if _matches(config, only)]
    if not configs and only:
        adopted = reader.adopt({k: v for k, v in only.items() if not set(v) & set("*?[")})
        configs = [config for config in adopted if _matches(config, only)]
    if not configs:
        patterns = ", ".join(f"{k}={v}" for k, v in only.items())
        raise UserError(f"{source} has no run that matches {patterns}; try --dry-run.")
    texts = {key: content.get(key, "") for key in ("title", "description", "paper")}
    return Suite(name=name, scale=reader.scale, configs=_unique(configs, source), **texts)


class _Reader:
    """Expands the checked content of a suite."""

    def __init__(
        self, source: str, name: str, content: Values, chosen: Values, seeds: Values
    ) -> None:
        self.source, self.name, self.content = source, name, content
        self.scale = str(chosen.get("scale", content.get("scale", "full")))
        self.preset = content.get("scales", {}).get(self.scale, {})
        self.over = (self.preset, chosen, seeds)

    def configs(self) -> list[Config]:
        """Returns the runs of all blocks, in the order of the file."""
        found: list[Config] = []
        for index, block in enumerate(self.content["runs"]):
            found += self._expand(index, block, MOST_RUNS - len(found))
        return found

    def adopt(self, factors: dict[str, str]) -> list[Config]:
        """Returns the runs of the first block with other values of some factors."""
        block = {**self.content["runs"][0], **{k: _parsed(k, v) for k, v in factors.items()}}
        if "objective" in factors:  # Its options belong to the objective that is replaced.
            block.pop("options", None)
        return self._expand(0, block, MOST_RUNS)

    def _expand(self, index: int, block: Values, room: int) -> list[Config]:
        merged: Values = {"training": {}, "evaluation": {}, "options": {}, "backbone_options": {}}
        for layer in (self.content, block, *self.over):
            for key, value in layer.items():
                both = key in ("training", "evaluation")
                merged[key] = {**merged[key], **value} if both else value
        factors = {key: merged.get(key, getattr(Config, key, None)) for key in FACTORS}
        tables = [merged["training"], factors, merged["options"]]
        count = math.prod(len(_listed(v)) for table in tables for v in table.values())
        if count > room:
            raise UserError(
                f"{self.source}: 'runs[{index}]' stands for {count} runs; "
                f"expected at most {MOST_RUNS} in the whole suite."
            )
        own_width = WIDTHS[self.scale] if "scales" in self.content else 1.0
        width = float(self.preset.get("width", own_width))
        narrow = {} if width == 1.0 else {"width": width}
        try:
            evaluation = Evaluation(**merged["evaluation"])
            trainings = [Training(**training) for training in _combinations(tables[0])]
            return [
                Config(
                    suite=self.name,
                    scale=self.scale,
                    options=options,
                    backbone_options=narrow | merged["backbone_options"],
                    training=training,
                    evaluation=evaluation,
                    **values,
                )
                for training in trainings
                for values in _combinations(factors)
                for options in _combinations(merged["options"])
            ]
        except ValidationError as error:
            raise refusal(error, self.source, f"runs[{index}].") from error


def _as_tables(settings: Values) -> Values:
    """Returns values by dotted key as tables: ``training.steps`` is a key of ``training``."""
    tables: Values = {}
    # Dotted keys first: a plain "training" that is no table then stays, and is refused.
    for key in sorted(settings, key=lambda key: "." not in key):
        table, dot, name = key.partition(".")
        if dot:
            tables.setdefault(table, {})[name] = settings[key]
        else:
            tables[key] = settings[key]
    return tables


def _unique(configs: list[Config], source: str) -> tuple[Config, ...]:
    unique: dict[str, Config] = {}
    for config in configs:
        if unique.setdefault(config.digest, config).evaluation != config.evaluation:
            raise UserError(
                f"{source}: run '{config.label}' is in two [[runs]] tables with different "
                "evaluations; expected one."
            )
    return tuple(unique.values())


def _matches(config: Config, only: dict[str, str]) -> bool:
    return all(fnmatch.fnmatchcase(str(getattr(config, k)), v) for k, v in only.items())


def _combinations(table: Values) -> Iterator[Values]:
    """Yields a table for each combination of the values that its lists hold."""
    for values in itertools.product(*map(_listed, table.values())):
        yield dict(zip(table, values, strict=True))


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def _parsed(key: str, value: str) -> int | str:
    number = key in ("latent_dim", "seed") and value.isdecimal() and len(value) <= 10
    return int(value) if number else value
