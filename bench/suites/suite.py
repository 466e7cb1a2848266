"""Suite files: TOML in, a list of run configurations out."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...models.registry import unknown_name
from ..errors import UserError
from .config import (
    OWN_BUDGET,
    Config,
    Evaluation,
    Optimisation,
    Training,
    Tuning,
    comes_with_weights,
)
from .schema import FACTORS, SCALES, check, refusal
from .suite_files import beside, is_file, read_suite, sized
from .trials import Trials

NAMES = ("dataset", "split", "backbone", "objective", "space")
WIDTHS = {"smoke": 1 / 16, "small": 1 / 4, "medium": 1 / 2, "full": 1.0}
MOST_RUNS = 10_000
Values = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """A named set of runs.

    Attributes:
        name: The file's stem.
        scale: The scale in force.
        configs: The runs.
        own_budget: Whether it follows no published protocol and is at its full scale.
    """

    name: str
    scale: str
    configs: tuple[Config, ...]
    own_budget: bool = False

    @property
    def label(self) -> str:
        """The scale as rows and titles say it."""
        return OWN_BUDGET if self.own_budget else self.scale


def load_suite(
    suite: str | Mapping[str, Any],
    *,
    name: str = "",
    settings: Values | None = None,
    only: dict[str, str] | None = None,
    seeds: list[int] | None = None,
) -> Suite:
    """Reads a suite and expands it into runs.

    Args:
        suite: Name of a packaged suite, path of a TOML file, or a dictionary of its keys.
        name: Name of a dictionary.
        settings: Values from the command line by dotted key, such as ``training.steps``.
        only: Patterns by factor; a run is kept if all match. A name without wildcards that no
            run of the suite has, such as another objective, is run under the settings of the
            suite's first block.
        seeds: Seeds in the place of the suite's own.

    Raises:
        UserError: A key is unknown, a value has the wrong type, or nothing is left to run.
    """
    found = read_suite(suite, name)
    content, source = found.content, found.source
    check(content, source)
    if isinstance(suite, str) and is_file(suite):
        content = beside(content, found.folder)
    given = dict(settings or {})
    if given.get("scale") == OWN_BUDGET and content.get("budget"):
        given["scale"] = "full"
    chosen = _merged(*(_nested(key, value) for key, value in given.items()))
    check(chosen, source, "--set ")
    if chosen.get("tuned"):  # A path from where the command was given, not from the suite.
        chosen["tuned"] = str(Path(chosen["tuned"]).absolute())
    only = only or {}
    for factor in only:
        if factor not in FACTORS:
            raise UserError(unknown_name("factor of --only", factor, list(FACTORS)))
    scale = _scale_of(content, chosen, source)
    own_budget = scale == "full" and bool(content.get("budget"))
    width = {"width": WIDTHS[scale]} if "scales" in content else {}
    preset = content.get("scales", {}).get(scale, {})
    seed = {} if seeds is None else {"seed": seeds}
    under, over = _merged(width, content), _merged(preset, chosen, seed)
    listed, key = content["runs"], "runs"
    if "runs" in preset:
        under, over = _merged(under, preset), _merged(chosen, seed)
        listed, key = preset["runs"], f"scales.{scale}.runs"
    expansion = _Expansion(source, key, found.name, scale, under, over, own_budget)
    configs = _matching(expansion, listed, only)
    for config in configs:
        try:
            config.check_given()
        except ValueError as error:
            raise UserError(f"{source}: {error}.") from error
    return Suite(found.name, scale, _unique(_tuned(configs, found.folder), source), own_budget)


def _matching(expansion: _Expansion, listed: list[Values], only: dict[str, str]) -> list[Config]:
    """Returns the runs that match, those of a name that no block has under the first block.

    A seed or a latent size that no run has is no such name: its run would be another recipe.

    Raises:
        UserError: Nothing is left to run.
    """
    configs = list(expansion.of(listed))
    found = [config for config in configs if _matches(config, only)]
    exact = {k: v for k, v in only.items() if k in NAMES and not set(v) & set("*?[")}
    new = any(v not in {getattr(config, k) for config in configs} for k, v in exact.items())
    if new and not found:
        adopted = expansion.of([_adopted(listed[0], exact)])
        found = [config for config in adopted if _matches(config, only)]
    if not found:
        patterns = ", ".join(f"{k}={v}" for k, v in only.items())
        raise UserError(
            f"{expansion.source} has no run that matches {patterns}; --dry-run without --only "
            "lists all, --seeds takes other seeds, --set other sizes."
        )
    return found


@dataclass(frozen=True)
class _Expansion:
    """Turns checked [[runs]] into configs.

    Attributes:
        source: What an error names.
        key: Where the blocks are in the suite's file.
        suite: Name of the suite.
        scale: The scale in force.
        under: What a block changes.
        over: What changes every block.
        own_budget: Whether the suite follows no published protocol and is at its full scale.
    """

    source: str
    key: str
    suite: str
    scale: str
    under: Values
    over: Values
    own_budget: bool

    def of(self, blocks: list[Values]) -> list[Config]:
        """Returns the runs of all blocks, in their order."""
        found: list[Config] = []
        for index, block in enumerate(blocks):
            try:
                found += self._runs(index, _merged(self.under, block, self.over), len(found))
            except ValidationError as error:
                raise refusal(error, self.source, f"{self.key}[{index}].") from error
        return found

    def _runs(self, index: int, settings: Values, before: int) -> list[Config]:
        factors = {key: settings.get(key, getattr(Config, key, None)) for key in FACTORS}
        tables = [settings.get("training", {}), factors, settings.get("options", {})]
        count = math.prod(len(_listed(v)) for table in tables for v in table.values())
        if before + count > MOST_RUNS:
            raise UserError(
                f"{self.source}: up to '{self.key}[{index}]' it stands for {before + count} runs; "
                f"expected at most {MOST_RUNS}."
            )
        width = float(settings.get("width", 1.0))
        narrow = {} if width == 1.0 else {"width": width}
        scored = settings.get("evaluation", {})
        search = Optimisation(**scored.get("optimisation", {}))
        evaluation = Evaluation(**{**scored, "optimisation": search})
        tuning = Tuning(**settings.get("tuning", {}))
        size = settings.get("data", {}).get("size", 0)
        return [
            Config(
                suite=self.suite,
                scale=self.scale,
                own_budget=self.own_budget,
                options=options,
                backbone_options=({} if comes_with_weights(str(values["backbone"])) else narrow)
                | settings.get("backbone_options", {}),
                training=training,
                evaluation=evaluation,
                tuning=tuning,
                tuned=settings.get("tuned", ""),
                **values | {"dataset": sized(values["dataset"], size, self.source)},
            )
            for training in [Training(**each) for each in _combinations(tables[0])]
            for values in _combinations(factors)
            for options in _combinations(tables[2])
        ]


def _scale_of(content: Values, chosen: Values, source: str) -> str:
    own = content.get("scale", "full")
    known = [scale for scale in SCALES if scale == own or scale in content.get("scales", {})]
    scale = str(chosen.get("scale", own))
    if scale not in known:
        raise UserError(f"{source} has no scale '{scale}'; expected one of: {', '.join(known)}.")
    return scale


def _merged(*layers: Values) -> Values:
    """Returns one table: later values replace earlier ones, tables in it are merged."""
    found: Values = {}
    for key, value in itertools.chain.from_iterable(layer.items() for layer in layers):
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found


def _nested(key: str, value: Any) -> Values:  # noqa: ANN401
    """Returns the tables that a dotted key stands for."""
    top, dot, rest = key.partition(".")
    return {top: _nested(rest, value) if dot else value}


def _adopted(block: Values, exact: dict[str, str]) -> Values:
    """Returns a block with other names."""
    # Another objective would not know the options of the block's own.
    kept = {k: v for k, v in block.items() if k != "options" or "objective" not in exact}
    return {**kept, **exact}


def _unique(configs: list[Config], source: str) -> tuple[Config, ...]:
    unique: dict[str, Config] = {}
    for config in configs:
        if unique.setdefault(config.digest, config).evaluation != config.evaluation:
            raise UserError(
                f"{source}: run '{config.label}' is in two [[runs]] tables with different "
                "evaluations; expected one."
            )
    return tuple(unique.values())


def _tuned(configs: list[Config], folder: Path) -> list[Config]:
    """Returns runs with the options of their best trials; default ones where none is better."""
    read = {file: Trials.read(folder / file) for file in {c.tuned for c in configs} if file}

    def resolved(config: Config) -> Config:
        options = read[config.tuned].best_options(config)
        kept = Path(config.tuned).name if options else ""
        return replace(config, options={**config.options, **options}, tuned=kept)

    return [resolved(config) if config.tuned else config for config in configs]


def _matches(config: Config, only: dict[str, str]) -> bool:
    return all(fnmatch.fnmatchcase(str(getattr(config, k)), v) for k, v in only.items())


def _combinations(table: Values) -> Iterator[Values]:
    """Yields a table for each combination of the values that its lists hold."""
    for values in itertools.product(*map(_listed, table.values())):
        yield dict(zip(table, values, strict=True))


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]
