"""Modules under the names that they had when each top folder was flat, for this release."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Moved(MetaPathFinder, Loader):
    """Finds ``package.old`` as the module that it is now, and warns of the old name.

    Args:
        package: The package whose modules moved, such as ``"aebench.models"``.
        prefixes: For each folder the prefix that its modules' names had.
        renamed: For each old name that no prefix explains the new one below the package.
    """

    def __init__(
        self, package: str, prefixes: Mapping[str, str], renamed: Mapping[str, str]
    ) -> None:
        self.package, self.prefixes, self.renamed = package, prefixes, renamed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns a spec for an old name; none for any other, which stays not found.

        A name that the package itself hands out is no module's: importing that would hide it.
        """
        parent, _, old = name.rpartition(".")
        public = getattr(sys.modules.get(parent), "__all__", ())
        if parent != self.package or old in public or self._present(old) is None:
            return None
        return ModuleSpec(name, self)

    def exec_module(self, module: ModuleType) -> None:
        """Puts the moved module in the place of the empty one."""
        present = self._present(module.__name__.rpartition(".")[2])
        warnings.warn(
            f"'{module.__name__}' is now '{present}'; the old name goes with the next release.",
            DeprecationWarning,
            stacklevel=2,
        )
        sys.modules[module.__name__] = importlib.import_module(str(present))

    def _present(self, old: str) -> str | None:
        places = [self.renamed[old]] if old in self.renamed else []
        for folder, prefix in self.prefixes.items():
            places += [f"{folder}.{old}", f"{folder}.{old.removeprefix(prefix)}"]
        found = (f"{self.package}.{place}" for place in places)
        return next((name for name in found if importlib.util.find_spec(name)), None)
