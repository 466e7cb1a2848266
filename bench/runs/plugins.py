"""Plug-ins in one file of the user's own, in this process and in those of workers."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import get_args

from ...metrics.registry import Better, Metric
from ..errors import UserError
from ..interruption import Stopped
from ..records.code import code_digest


@dataclass(frozen=True)
class Plugin:
    """A Python file whose decorators register objectives, metrics and their like.

    Its code counts in digests as that of an installed module of the file's name does.

    Attributes:
        path: The file, absolute.
        digest: SHA-256 of its content in hexadecimal: all processes of a command load the same.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> Plugin:
        """Returns the plug-in in a file.

        Raises:
            UserError: There is no such file, or it is no Python file.
        """
        if path.suffix != ".py":
            raise UserError(f"Plug-in '{path}' does not end in .py; expected a Python file.")
        return cls(path.resolve(), hashlib.sha256(_content(path)).hexdigest())

    @property
    def module(self) -> str:
        """The name under which the file is imported."""
        return re.sub(r"\W", "_", self.path.stem)

    def load(self) -> None:
        """Imports the file; nothing happens where this process has it.

        Raises:
            UserError: It fails, registers nothing, a name that is taken or what is unfit, bears
                the name of an installed module, or has changed since the command began.
        """
        known = _LOADED.get(self.module)
        if known == self:
            return
        content = _content(self.path)
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise UserError(
                f"Plug-in '{self.path}' has changed since the command began; begin again."
            )
        if known is not None and known.path == self.path:
            raise UserError(
                f"Plug-in '{self.path}' has changed since this process loaded it; restart Python."
            )
        if known is not None or self._is_installed():
            raise UserError(
                f"Plug-in '{self.path}' would be module '{self.module}', which is there already; "
                "give the file another name."
            )
        before = _registered()
        self._execute(content)
        after = _registered()
        if len(after) == len(before):
            raise UserError(
                f"Plug-in '{self.path}' registers nothing; expected a decorator such as "
                '@OBJECTIVES.register("name") (docs/extending.md).'
            )
        for kind, name in sorted(after.keys() - before.keys()):
            if told := _unfit(kind, name, after[kind, name]):
                raise UserError(f"Plug-in '{self.path}' registers {kind} {told}.")
        _LOADED[self.module] = self
        code_digest([self.module], ())  # Kept from here on: of what was loaded, not of later code.

    def _is_installed(self) -> bool:
        spec = None
        if self.module not in sys.modules:
            spec = importlib.util.find_spec(self.module)
            if spec is None or (spec.origin and Path(spec.origin).resolve() == self.path):
                return False
        return True

    def _execute(self, content: bytes) -> None:
        spec = importlib.util.spec_from_file_location(self.module, self.path)
        if spec is None:  # Only where the ending is unknown, which `of` has refused.
            raise UserError(f"Plug-in '{self.path}' is no Python file.")
        sys.modules[self.module] = module = importlib.util.module_from_spec(spec)
        try:
            # Not by the loader: its file of byte code may be of an older text.
            exec(compile(content, self.path, "exec", dont_inherit=True), vars(module))
        except (Exception, SystemExit) as error:
            del sys.modules[self.module]
            raise UserError(self.failure(error)) from error

    def failure(self, error: BaseException) -> str:
        """Returns what went wrong in which line of the file."""
        own = self.lines_of(error)
        line = error.lineno if isinstance(error, SyntaxError) else own[-1] if own else None
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        if "relative import" in told:
            told += (
                "; a plug-in imports from aebench.models and aebench.metrics by their whole names"
            )
        where = f", line {line}" if line else ""
        return f"Plug-in '{self.path}'{where}: {type(error).__name__}: {told}"

    def lines_of(self, error: BaseException) -> list[int | None]:
        """Returns through which lines of the file an error came, the innermost last."""
        frames = traceback.extract_tb(error.__traceback__)
        return [frame.lineno for frame in frames if frame.filename == str(self.path)]


_LOADED: dict[str, Plugin] = {}
# How the project calls what is registered; of an objective more is asked, see `lacking`.
CALLS = {
    "backbone": ("image_shape", "latent_dim"),
    "space": ("image_shape", "alpha=...", "trainable=..."),
    "density": (),
    "extractor": ("resolution", "weights=...", "device=...", "download=..."),
    "autoencoder": (),
    "table": ("rows",),
    "plot": ("rows", "runs"),
}


def load_plugins(paths: Iterable[Path]) -> tuple[Plugin, ...]:
    """Imports the files that ``--plugin`` names.

    Raises:
        UserError: One cannot be used.
    """
    plugins = tuple(Plugin.of(path) for path in paths)
    for plugin in plugins:
        plugin.load()
    return plugins


def failure_of_plugin(error: BaseException) -> str:
    """Returns which line of which plug-in or package an error came from; empty where of none."""
    if isinstance(error, Stopped):
        return ""
    told = (p.failure(error) for p in _LOADED.values() if p.lines_of(error))
    return next(told, "") or _failure_of_package(error)


def _failure_of_package(error: BaseException) -> str:
    """Returns in which line an installed package failed, or that it cannot be loaded at all."""
    told = f"{type(error).__name__}: {error}"
    entries = (e for d in distributions() for e in d.entry_points if _is_ours(e))
    packages = {e.module.partition(".")[0] for e in entries}
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = [(str(frame.f_globals.get("__name__")), line) for frame, line in frames]
    if own := [line for line in lines if line[0].partition(".")[0] in packages - {"aebench"}]:
        return f"Module '{own[-1][0]}', line {own[-1][1]}: {told}"
    points = (frame.f_locals.get("self") for frame, _ in frames)
    absent = (p.module for p in points if isinstance(p, EntryPoint) and _is_ours(p))
    return next((f"Module '{name}' cannot be loaded: {told}" for name in absent), "")


def _is_ours(point: EntryPoint) -> bool:
    return point.group.startswith("aebench.")


def _unfit(kind: str, name: str, entry: object) -> str:
    """Returns why what was registered cannot be used, in words; empty where it can."""
    from ...metrics.extractor import Extractor
    from ...models.backbones.backbone import Backbone
    from ...models.densities.density import Density
    from ...models.objectives.objective import Objective
    from ...models.spaces.space import Space
    from ..data.dataset import Source
    from .objective_form import lacking

    if not re.fullmatch(r"\w[\w.+@-]*", name):
        return f"{name!r}; expected a name of letters, digits and any of _ . + @ -"
    own = getattr(entry, "__name__", type(entry).__name__)
    bases: dict[str, type] = {
        "objective": Objective,
        "backbone": Backbone,
        "space": Space,
        "density": Density,
        "extractor": Extractor,
    }
    base = bases.get(kind)
    if base and not (isinstance(entry, type) and issubclass(entry, base)):
        return f"'{name}' by '{own}'; expected a class that inherits from {base.__name__}"
    if base and (absent := sorted(getattr(entry, "__abstractmethods__", ()))):
        return f"'{name}' by '{own}', which lacks {', '.join(absent)}; expected it defined"
    if kind == "data set" and not isinstance(entry, Source):
        return f"'{name}' by '{own}'; expected an object of a class that inherits from Source"
    takes = ("K",) if kind == "density" and name.endswith("-K") else CALLS.get(kind)
    if takes is not None and (told := _uncallable(entry, takes)):
        return f"'{name}' by '{own}'; expected a call {own}({', '.join(takes)}) to work: {told}"
    if isinstance(entry, type) and issubclass(entry, Objective) and (told := lacking(entry)):
        return f"'{name}': {told.rstrip('.')}"
    return _unfit_metric(entry) if isinstance(entry, Metric) else ""


def _unfit_metric(metric: Metric) -> str:
    """Returns why a metric cannot be used, in words; empty where it can."""
    from ..evaluation.metric_lookup import metrics

    if metric.better not in get_args(Better):
        known = ", ".join(get_args(Better))
        return f"'{metric.name}' with better='{metric.better}'; expected one of: {known}"
    # What the project's metrics ask for is what runs have.
    ours = (m for m in metrics().values() if m.function.__module__.startswith("aebench."))
    outputs = {need for own in ours for need in own.needs}
    if absent := [need for need in metric.needs if need not in outputs]:
        return (
            f"'{metric.name}', which asks for '{absent[0]}'; expected some of "
            f"{', '.join(sorted(outputs))}; give parameters of your own a default"
        )
    return ""


def _uncallable(entry: object, takes: tuple[str, ...]) -> str:
    """Returns why something cannot be called with arguments of these names; empty where it can."""
    given = [word for word in takes if "=" not in word]
    named = {word.partition("=")[0]: None for word in takes if "=" in word}
    try:
        inspect.signature(entry).bind(*given, **named)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Plug-in '{path}' cannot be read: {error.strerror}.") from error


def _registered() -> dict[tuple[str, str], object]:
    """Returns all that is registered, by kind and name."""
    from ...metrics.extractor import EXTRACTORS, scan_extractors
    from ...models.backbones.backbone import BACKBONES
    from ...models.backbones.pretrained import AUTOENCODERS
    from ...models.densities.density import DENSITIES
    from ...models.objectives.objective import OBJECTIVES
    from ...models.spaces.space import SPACES
    from ..comparison.plot import PLOTS
    from ..comparison.table import TABLES
    from ..data.dataset import DATASETS
    from ..evaluation.metric_lookup import metrics

    scan_extractors()
    kinds: dict[str, Iterable[tuple[str, object]]] = {
        r.kind: r.items()
        for r in (
            *(OBJECTIVES, BACKBONES, AUTOENCODERS, SPACES, DENSITIES),
            *(DATASETS, TABLES, PLOTS),
        )
    }
    kinds |= {"metric": metrics().items(), "extractor": EXTRACTORS.items()}
    return {(kind, name): entry for kind, entries in kinds.items() for name, entry in entries}
