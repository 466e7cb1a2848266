"""One registry class for everything that is chosen by name."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownName(ValueError):
    """A name that no plug-in has registered; the message has the near match and the list."""


class Registry(Generic[T]):
    """Named plug-ins of one kind, found by a scan of a folder and of entry points.

    A plug-in is one file in the folder or beside it in the folder's parent, or a module of
    another distribution that an entry point names; importing it registers the name.

    Args:
        kind: The word for an error message, such as ``"objective"``.
        folder: The package to scan, such as ``"aebench.models.objectives"``.
        group: The group of entry points to load, such as ``"aebench.models"``.

    Example:
        >>> colours = Registry("colour", folder="aebench.models.spaces", group="colours")
        >>> @colours.register("red")
        ... class Red: ...
        >>> colours.get("rad")
        Traceback (most recent call last):
        ...
        aebench.models.registry.UnknownName: Unknown colour 'rad'. Did you mean 'red'? Known: red.
    """

    def __init__(self, kind: str, *, folder: str, group: str) -> None:
        self.kind = kind
        self._folder = folder
        self._group = group
        self._entries: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that files its target under ``name``.

        Raises:
            ValueError: The name is taken by something defined elsewhere.
        """

        def file(entry: T) -> T:
            known = self._entries.get(name)
            if known is not None and _origin(known) != _origin(entry):
                raise ValueError(
                    f"{self.kind.capitalize()} '{name}' is registered twice: "
                    f"by {_origin(known)} and by {_origin(entry)}."
                )
            self._entries[name] = entry
            return entry

        return file

    def get(self, name: str) -> T:
        """Returns the entry called ``name``.

        Raises:
            UnknownName: No entry has that name.
        """
        self._scan()
        if name not in self._entries:
            raise UnknownName(unknown_name(self.kind, name, sorted(self._entries)))
        return self._entries[name]

    def names(self) -> list[str]:
        """Returns all registered names, sorted."""
        self._scan()
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """Yields name and entry, sorted by name."""
        return ((name, self._entries[name]) for name in self.names())

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True  # before the imports, which may look a name up themselves
        try:
            self._import_plugins()
        except BaseException:
            self._scanned = False
            raise

    def _import_plugins(self) -> None:
        for package in (self._folder, self._folder.rpartition(".")[0]):
            for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
                if not module.ispkg:
                    importlib.import_module(f"{package}.{module.name}")
        for entry_point in entry_points(group=self._group):
            entry_point.load()


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """Returns the one-line message for a name that is not among the known ones."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown {kind} '{name}'.{hint} Known: {', '.join(known)}."


def _origin(entry: object) -> str:
    module = getattr(entry, "__module__", type(entry).__module__)
    return f"{module}.{getattr(entry, '__qualname__', type(entry).__qualname__)}"
