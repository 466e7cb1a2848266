"""Suite files: TOML in, a list of run configurations out."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import math
import typing
from typing import Any

from ...models.registry import unknown_name
from ..errors import UserError
from .config import Config, Evaluation, Training
from .suite_files import read_suite_file
from .suite_files import suite_names as suite_names

SCALES = ("smoke", "small", "full")
WIDTHS = {"smoke": 1 / 16, "small": 1 / 4, "full": 1.0}
FACTORS = ("dataset", "split", "backbone", "objective", "space", "latent_dim", "seed")
TOP = ("title", "description", "paper", "scale", "scales", "runs", "training", "evaluation")
BLOCK = (*FACTORS, "options", "backbone_options", "training", "evaluation")
PRESET = ("training", "evaluation", "width", *FACTORS)
MOST_RUNS = 10_000
KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple[str, ...]: "a list of text",
    tuple[float, ...]: "a list of numbers",
}
TYPES: dict[str, type] = {"latent_dim": int, "seed": int}


@dataclasses.dataclass(frozen=True)
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
    settings: dict[str, Any] | None = None,
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
    reader = _Reader(suite, content, dict(settings or {}), dict(only or {}), seeds)
    configs = reader.configs(name)
    if not configs:
        patterns = ", ".join(f"{k}={v}" for k, v in (only or {}).items())
        raise UserError(f"Suite '{suite}' has no run that matches {patterns}; try --dry-run.")
    return Suite(
        name=name,
        title=reader.text("title"),
        description=reader.text("description"),
        paper=reader.text("paper"),
        scale=reader.scale,
        configs=tuple(configs),
    )


class _Reader:
    """Checks one suite's content, key by key, while expanding it."""

    def __init__(
        self,
        source: str,
        content: dict[str, Any],
        settings: dict[str, Any],
        only: dict[str, str],
        seeds: list[int] | None,
    ) -> None:
        self.source, self.content = source, content
        self.only, self.seeds = only, seeds
        self._known("", content, TOP)
        self.scale = self._scale(settings.pop("scale", content.get("scale", "full")))
        scales = self._table("scales", content.get("scales", {}))
        self._known("scales", scales, SCALES)
        self.preset = self._table(f"scales.{self.scale}", scales.get(self.scale, {}))
        self._known(f"scales.{self.scale}", self.preset, PRESET)
        self.settings = self._settings(settings)
        unknown = set(only) - set(FACTORS)
        if unknown:
            raise UserError(unknown_name("factor of --only", min(unknown), list(FACTORS)))

    def text(self, key: str) -> str:
        value = self.content.get(key, "")
        return value if isinstance(value, str) else self._wrong(key, value, "text")

    def configs(self, name: str) -> list[Config]:
        blocks: Any = self.content.get("runs")
        if not isinstance(blocks, list) or not blocks:
            self._wrong("runs", blocks, "at least one [[runs]] table")
        found: list[Config] = []
        for i, block in enumerate(blocks):
            found += self._expand(name, f"runs[{i}]", block)
            self._few("runs", [found])
        kept = [c for c in found if self._matches(c)]
        if not kept and self.only:
            exact = {k: v for k, v in self.only.items() if not set(v) & set("*?[")}
            adopted = {**blocks[0], **{k: [_parsed(k, v)] for k, v in exact.items()}}
            if "objective" in exact:
                adopted.pop("options", None)
            kept = [c for c in self._expand(name, "runs[0]", adopted) if self._matches(c)]
        return self._unique(kept)

    def _unique(self, configs: list[Config]) -> list[Config]:
        unique: dict[str, Config] = {}
        for config in configs:
            if unique.setdefault(config.digest, config).evaluation != config.evaluation:
                raise UserError(
                    f"Suite '{self.source}': run '{config.label}' is in two [[runs]] tables with "
                    "different evaluations; expected one."
                )
        return list(unique.values())

    def _expand(self, name: str, where: str, block: dict[str, Any]) -> list[Config]:
        self._known(where, self._table(where, block), BLOCK)
        factors = {key: self._factor(where, key, block) for key in FACTORS}
        options = self._sweep(f"{where}.options", block.get("options", {}))
        backbone_options = dict(
            self._table(f"{where}.backbone_options", block.get("backbone_options", {}))
        )
        width = self.preset.get("width", WIDTHS[self.scale] if "scales" in self.content else 1.0)
        width = self._typed(f"scales.{self.scale}.width", width, float)
        if width != 1.0:
            backbone_options.setdefault("width", width)
        training = self._section(Training, "training", where, block)
        evaluation = self._section(Evaluation, "evaluation", where, block)
        self._few(where, [*factors.values(), options])
        return [
            self._config(
                where,
                suite=name,
                scale=self.scale,
                options=chosen,
                backbone_options=backbone_options,
                training=training,
                evaluation=evaluation,
                **dict(zip(factors, values, strict=True)),
            )
            for values in itertools.product(*factors.values())
            for chosen in options
        ]

    def _config(self, where: str, **values: Any) -> Config:  # noqa: ANN401
        try:
            return Config(**values)
        except ValueError as error:
            raise UserError(f"Suite '{self.source}', {where}: {error}") from error

    def _factor(self, where: str, key: str, block: dict[str, Any]) -> list[Any]:
        if key == "seed" and self.seeds is not None:
            return list(self.seeds)
        defaults = {"split": "default", "space": "", "seed": 0}
        value = block.get(key, defaults.get(key))
        value = self.settings.get(key, self.preset.get(key, value))
        values = value if isinstance(value, list) else [value]
        wanted = TYPES.get(key, str)
        for item in values:
            if not isinstance(item, wanted) or isinstance(item, bool):
                kind = "a whole number" if wanted is int else "text"
                self._wrong(f"{where}.{key}", item, f"{kind} or a list of them")
        return values or self._wrong(f"{where}.{key}", value, "at least one value")

    def _sweep(self, where: str, options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        table = self._table(where, options)
        lists = [v if isinstance(v, list) else [v] for v in table.values()]
        self._few(where, lists)
        return [dict(zip(table, values, strict=True)) for values in itertools.product(*lists)]

    def _few(self, where: str, lists: list[list[Any]]) -> None:
        count = math.prod(map(len, lists))
        if count > MOST_RUNS:
            self._wrong(where, f"{count} runs", f"at most {MOST_RUNS}")

    def _section(self, kind: type, key: str, where: str, block: dict[str, Any]) -> Any:  # noqa: ANN401
        layers = {
            key: self.content.get(key, {}),
            f"{where}.{key}": block.get(key, {}),
            f"scales.{self.scale}.{key}": self.preset.get(key, {}),
            f"--set {key}": {
                name.partition(".")[2]: value
                for name, value in self.settings.items()
                if name.startswith(f"{key}.")
            },
        }
        merged: dict[str, Any] = {}
        hints = typing.get_type_hints(kind)
        for origin, layer in layers.items():
            self._known(origin, self._table(origin, layer), tuple(hints))
            for name, value in layer.items():
                merged[name] = self._typed(f"{origin}.{name}", value, hints[name])
        try:
            return kind(**merged)
        except ValueError as error:
            raise UserError(f"Suite '{self.source}': {error}") from error

    def _typed(self, key: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401
        from typeguard import TypeCheckError, check_type

        if typing.get_origin(wanted) is tuple and isinstance(value, list):
            value = tuple(value)
        if wanted is int and isinstance(value, bool):
            self._wrong(key, value, KINDS[int])
        try:
            return check_type(
                float(value) if wanted is float and _is_int(value) else value, wanted
            )
        except (TypeCheckError, OverflowError):
            return self._wrong(key, value, KINDS[wanted])

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        known = [*FACTORS, "scale"]
        known += [f"training.{f.name}" for f in dataclasses.fields(Training)]
        known += [f"evaluation.{f.name}" for f in dataclasses.fields(Evaluation)]
        for key in settings:
            if key not in known:
                raise UserError(unknown_name("key of --set", key, known))
        return settings

    def _matches(self, config: Config) -> bool:
        return all(fnmatch.fnmatchcase(str(getattr(config, k)), v) for k, v in self.only.items())

    def _scale(self, value: Any) -> str:  # noqa: ANN401
        return value if value in SCALES else self._wrong("scale", value, "smoke, small or full")

    def _table(self, key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
        return value if isinstance(value, dict) else self._wrong(key, value, "a table")

    def _known(self, where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                dotted = f"{where}.{key}" if where else key
                hint = unknown_name("key", key, list(known)).partition(".")[2]
                raise UserError(f"Suite '{self.source}': key '{dotted}' is unknown.{hint}")

    def _wrong(self, key: str, value: Any, expected: str) -> Any:  # noqa: ANN401
        raise UserError(f"Suite '{self.source}': key '{key}' is {value!r}; expected {expected}.")


def _parsed(key: str, value: str) -> int | str:
    number = TYPES.get(key) is int and value.isdecimal() and len(value) <= 10
    return int(value) if number else value


def _is_int(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int) and not isinstance(value, bool)
