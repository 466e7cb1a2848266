"""Which code a number depends on: decided here alone, by folders and imports."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

TRAINING = "aebench.bench.training"
EVALUATION = "aebench.bench.evaluation"
LIKELIHOOD = "aebench.bench.likelihood"
OPTIMISATION = "aebench.bench.optimisation"
TEXTS = "aebench.bench.data.texts"
MODELS = "aebench.models"
METRICS = "aebench.metrics"
# Digests made before the code moved into folders have no such mark.
SCHEME = "2-"
NO_CODE = ("torch", "builtins", "abc")  # What others wrote is told by its version.
LATER_FIELDS = ("type_params",)  # Of syntax that Python 3.11 does not have.


def training_code(*parts: object) -> str:
    """Returns the digest of the code that trains objects: their classes and all of ``training``.

    Args:
        parts: The objective, its backbone and its space. One that was given names the module
            that made it as its ``origin``, which counts too.
    """
    folder = importlib.import_module(TRAINING).__path__
    own = [f"{TRAINING}.{module.name}" for module in pkgutil.iter_modules(folder)]
    classes = [kind.__module__ for part in parts for kind in type(part).__mro__]
    roots = [*own, f"{MODELS}.building", *classes]
    roots += [origin for part in parts if (origin := getattr(part, "origin", ""))]
    return SCHEME + code_digest(roots, (TRAINING, MODELS, METRICS))


def evaluation_code(parts: Iterable[str], *, likelihoods: bool) -> str:
    """Returns the digest of the code that scores.

    Args:
        parts: The modules of the metrics, extractors and densities that are registered.
        likelihoods: Whether log-likelihoods are among the scores.
    """
    folders = [EVALUATION, METRICS, MODELS, OPTIMISATION, *([LIKELIHOOD] if likelihoods else [])]
    return code_digest([f"{EVALUATION}.evaluation", *parts], folders)


def search_code() -> str:
    """Returns the digest of the code that searches latent spaces for strings and decodes these."""
    roots = [f"{EVALUATION}.search_rows", f"{EVALUATION}.text_outputs", TEXTS]
    return code_digest(roots, (OPTIMISATION, METRICS, MODELS))


def figure_code(module: str) -> str:
    """Returns the digest of the code that saves arrays for figures."""
    return code_digest([module], (EVALUATION, METRICS, MODELS))


def code_digest(modules: Iterable[str], folders: Sequence[str]) -> str:
    """Returns 16 hex digits of what modules and those that they import say, comments aside.

    Args:
        modules: Names of modules; those of torch and of Python itself are left out.
        folders: The packages within which imports are followed; a module of another package
            is followed within its own.
    """
    roots = [m for m in modules if m.partition(".")[0] not in NO_CODE]
    outside = {m.partition(".")[0] for m in roots} - {"aebench"}
    digest = hashlib.sha256()
    for name in sorted(_reach(roots, (*folders, *outside))):
        digest.update(f"{name}:{_read(name)[1]}".encode())
    return digest.hexdigest()[:16]


def is_as_first_read(module: str) -> bool:
    """Returns whether a module has a file, and it says what it said when it was read first."""
    return bool(source_of(module)) and _read.__wrapped__(module) == _read(module)


def source_of(module: str) -> str:
    """Returns the source text of a module; empty where there is none."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None:
        spec = importlib.util.find_spec(module) if module not in sys.modules else None
        path = spec.origin if spec is not None and spec.has_location else None
    if not path or not path.endswith(".py"):
        return ""
    return importlib.util.decode_source(Path(path).read_bytes())  # As Python decodes it.


def _reach(roots: Iterable[str], folders: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [m for m in _read(name)[0] if _within(m, folders)]
    return found


def _within(module: str, folders: Sequence[str]) -> bool:
    return any(module == folder or module.startswith(f"{folder}.") for folder in folders)


@functools.cache
def _read(module: str) -> tuple[tuple[str, ...], str]:
    """Returns what a module imports of ours or its own package, and the digest of its code."""
    tree = ast.parse(source_of(module))
    imports = tuple(sorted(_imports(module, tree)))
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return imports, hashlib.sha256(syntax_text(tree).encode()).hexdigest()


def syntax_text(node: object) -> str:
    """Returns a syntax tree as text, the same under every Python: as Python 3.11 dumps it.

    Later ones dump further fields, which are empty where nothing new is written, or leave out
    empty ones, so that the same code would seem another on another machine.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(syntax_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.JoinedStr):  # Python 3.12 ends some with an empty text.
        fields["values"] = [part for part in node.values if getattr(part, "value", None) != ""]
    kept = [
        f"{name}={syntax_text(value)}"
        for name, value in fields.items()
        if not (value is None and getattr(type(node), name, ...) is None)
        and (value or name not in LATER_FIELDS)
    ]
    return f"{type(node).__name__}({', '.join(kept)})"


def _imports(module: str, tree: ast.Module) -> set[str]:
    ours = ("aebench", module.partition(".")[0])
    loaded = sys.modules.get(module)
    is_package = hasattr(loaded, "__path__")
    package = module if is_package else module.rpartition(".")[0]
    package = getattr(loaded, "__package__", None) or package  # Of a script, too: `python -m`.
    found: set[str] = set()
    for node in ast.walk(tree):
        pairs: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            pairs = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            pairs = [(base, alias.name) for alias in node.names]
        found |= {_home(*pair) for pair in pairs if pair[0].partition(".")[0] in ours}
    return found


def _home(base: str, name: str) -> str:
    """Returns the module, by its present name, that defines a name imported from ``base``.

    A package may hand on what its modules define: then the defining module counts, and not all
    that the package could hand on.
    """
    module = importlib.import_module(base)
    value = getattr(module, name, None) if name else None
    if isinstance(value, ModuleType):
        return value.__name__
    if not name or not hasattr(module, "__path__"):
        return module.__name__
    return f"{base}.{name}" if value is None else str(getattr(value, "__module__", base))
