"""What the site takes from code, schema and results, as Markdown in the place of a fence.

A page asks for it by a fence of the language ``{generated}``, a name and perhaps an argument.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from aebench.bench.cli.list import first_line, listed, ranges_in_words
from aebench.bench.cli.main import build_parser
from aebench.bench.comparison.table import markdown_text
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.pages.overview import PAPERS
from aebench.models import OBJECTIVES
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
SCHEMA = ROOT / "docs" / "suite.schema.json"
HELP_WIDTH = "88"
Keys = dict[str, dict[str, Any]]
KIND_WORDS = {"object": "table", "string": "text", "integer": "whole number"}
CHOICES = ("backbones", "densities", "features", "datasets", "suites")
FENCE = re.compile(r"^```\{generated\} (.+)\n```$", re.MULTILINE)


def objectives() -> str:
    """Returns a table of all objectives, and what each takes."""
    rows, sections = [], []
    told = dict(listed("objectives"))
    for name, kind in OBJECTIVES.items():
        papers = references([kind, *kind.__mro__[1:], inspect.getmodule(kind)])
        rows.append((f"[`{name}`](#objective-{name})", plain(told[name]), papers))
        tuned = ranges_in_words(kind, kind.default_space)
        sections += [f"(objective-{name})=", f"## {name}", f"Tuned, in the space {tuned}."]
        sections.append(documented("class", f"{path_of(kind)}({signature_of(kind)})"))
    return "\n\n".join([table(("name", "what it minimises", "source"), rows), *sections])


def scores() -> str:
    """Returns a table of all metrics, and what each computes."""
    rows, sections = [], []
    for name, metric in metrics().items():
        function = metric.function
        papers = references([function, *functions_beside(function)])
        shown = f"[`{name}`](#metric-{name})"
        rows.append((shown, plain(first_line(function)), metric.unit, metric.better, papers))
        sections += [f"(metric-{name})=", f"## {name}"]
        sections.append(documented("function", path_of(function)))
    header = ("name", "what it does", "unit", "better", "source")
    return "\n\n".join([table(header, rows), *sections])


def choices() -> str:
    """Returns tables of what else a suite names, as `aebench list` has it."""
    parts = []
    for kind in CHOICES:
        rows = [(f"`{name}`", plain(told)) for name, told in listed(kind)]
        parts += [f"## {kind.capitalize()}", table(("name", "what"), rows)]
    return "\n\n".join(parts)


def commands() -> str:
    """Returns each command's own help."""
    before, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), HELP_WIDTH
    try:
        parser = build_parser()
        (group,) = (action for action in parser._actions if action.choices)
        found = dict(group.choices or {})
        return "\n\n".join(
            f"## aebench {name}\n\n```text\n{own.format_help()}```" for name, own in found.items()
        )
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)


def suite_schema() -> str:
    """Returns tables of a suite file's keys: of the file, of a run, of a scale, of each part."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    tables = {name: own["properties"] for name, own in schema["$defs"].items()}
    told = {name: own.get("description", "") for name, own in schema["$defs"].items()}
    run = tables["Runs"]
    parts = ["### The file", without(schema["properties"], run)]
    parts += ["(suite-runs)=", "### `[[runs]]`", told["Runs"], keys_of(run)]
    more = without(tables["Scaled"], run)
    names = ", ".join(f"`{name}`" for name in tables["Scales"])
    parts += ["(suite-scales)=", "### `[scales.NAME]`", f"{told['Scaled']} NAME: {names}."]
    parts += ["The keys of `[[runs]]`, and", more]
    for path, name in tables_below(run, tables):
        parts += [f"(suite-{name.lower()})=", f"### `[{path}]`", told[name], keys_of(tables[name])]
    return "\n\n".join(parts)


def tables_below(keys: Keys, tables: dict[str, Keys], above: str = "") -> list[tuple[str, str]]:
    """Returns the path and the name of each table that keys lead to, in the order of the keys."""
    found: list[tuple[str, str]] = []
    for key, own in keys.items():
        if name := own.get("$ref", "").rpartition("/")[2]:
            path = f"{above}{key}"
            found += [(path, name), *tables_below(tables[name], tables, f"{path}.")]
    return found


def claims() -> str:
    """Returns what the committed rows say of the papers' claims, as the overview has it."""
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    begin, end = page.index(PAPERS), page.index("\n## ")
    lines = [
        f"- [{path.parent.parent.name}](/{path.relative_to(ROOT).as_posix()})"
        for path in sorted(RESULTS.glob("*/tables/claims.md"))
    ]
    return "\n\n".join([page[begin:end].strip(), "## Every comparison", "\n".join(lines)])


def public(module: str) -> str:
    """Returns the documentation of the names that a module exports."""
    exported = importlib.import_module(module)
    parts = []
    for name in sorted(getattr(exported, "__all__", ())):
        entry = getattr(exported, name)
        kind = "class" if inspect.isclass(entry) else "function" if callable(entry) else ""
        path = f"{module}.{name}"
        parts.append(documented(kind, path) if kind else f"`{path}`: {plain(first_line(entry))}")
    return "\n\n".join(parts)


KINDS: dict[str, Callable[..., str]] = {
    own.__name__: own
    for own in (objectives, scores, choices, commands, suite_schema, claims, public)
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(' '.join(c.split()) for c in line)} |" for line in lines)


def plain(text: str) -> str:
    """Returns a docstring's text as Markdown: what is between backticks stays code."""
    parts = re.split(r"(``.*?``|`.*?`)", text)
    return "".join(
        part if at % 2 else markdown_text(f".{part}.")[1:-1] for at, part in enumerate(parts)
    )


def references(places: Iterable[object]) -> str:
    """Returns the references of the first docstring that has some, on one line."""
    for place in places:
        text = inspect.cleandoc(getattr(place, "__doc__", None) or "")
        if found := re.search(r"^References:\n((?:[ ]+.*\n?|\n)+)", text, re.MULTILINE):
            return plain(" ".join(textwrap.dedent(found.group(1)).split()))
    return "-"


def functions_beside(function: Callable[..., object]) -> list[object]:
    """Returns a metric's module and the functions defined in it that are no metrics themselves."""
    module = inspect.getmodule(function)
    scored = [metric.function for metric in metrics().values()]
    own = [f for _, f in inspect.getmembers(module, inspect.isfunction) if f not in scored]
    return [module, *(f for f in own if f.__module__ == function.__module__)]


def path_of(entry: Any) -> str:  # noqa: ANN401
    """Returns where a class or function is defined, with its name."""
    return f"{entry.__module__}.{entry.__qualname__}"


def signature_of(kind: type) -> str:
    """Returns what a class takes, with the options of those that it hands the rest on to."""
    found: dict[str, str] = {}
    for own in (own for own in kind.__mro__ if "__init__" in vars(own)):
        parameters = list(inspect.signature(vars(own)["__init__"]).parameters.values())
        named = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        found |= {p.name: f"{p.name}={p.default!r}" for p in named if p.name not in found}
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return ", ".join(["backbone", "space", "*", *found.values()])


def documented(kind: str, path: str) -> str:
    """Returns the directive that takes in a docstring."""
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}\n```"


def keys_of(keys: Keys) -> str:
    """Returns a table of a schema's keys."""
    rows = [
        (f"`{key}`", kind_of(own), default_of(own), own.get("description", ""))
        for key, own in keys.items()
    ]
    return table(("key", "kind", "default", "meaning"), rows)


def without(keys: Keys, others: Keys) -> str:
    """Returns a table of those keys that others do not have."""
    return keys_of({key: own for key, own in keys.items() if key not in others})


def kind_of(schema: dict[str, Any]) -> str:
    """Returns in words what values a key takes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[table](#suite-{name.lower()})"
    if several := schema.get("anyOf", schema.get("oneOf")):
        one, *more = several
        listed = len(more) == 1 and more[0].get("items") == one
        return f"{kind_of(one)}, or a list" if listed else " or ".join(map(kind_of, several))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    ends = [f"{sign} {schema[key]:,}" for key, sign in signs.items() if key in schema]
    kind = KIND_WORDS.get(schema.get("type", ""), schema.get("type", "any value"))
    return " ".join([kind, " and ".join(ends)]).strip()


def default_of(schema: dict[str, Any]) -> str:
    """Returns the default of a key, empty where there is none to show."""
    return f"`{json.dumps(schema['default'])}`" if schema.get("default") is not None else ""


def take_in(app: Sphinx, name: str, source: list[str]) -> None:
    """Puts what is generated into the place of each fence that asks for it.

    Raises:
        ExtensionError: Nothing of that name is generated.
    """

    def made(fence: re.Match[str]) -> str:
        kind, *given = fence[1].split()
        if kind not in KINDS:
            raise ExtensionError(f"'{kind}' is not generated; expected {', '.join(KINDS)}.")
        return KINDS[kind](*given)

    source[0] = FENCE.sub(made, source[0])


def open_results(app: Sphinx, name: str, source: list[str]) -> None:
    """Gives a page that a report wrote a title, and makes text of its links to folders.

    Tables and trials that a page links to stand in no list of pages.
    """
    if not name.startswith("results/"):
        return
    text = re.sub(r"\[([^\]]+)\]\([\w./-]+/\)", r"\1", source[0])
    if "/tables/" in name:
        text = re.sub(r"\A\*\*(.*)\*\*$", r"# \1", text, count=1, flags=re.MULTILINE)
    elif not text.startswith("# "):
        text = f"# {name.rpartition('/')[2].capitalize()}\n\n{text}"
    if "/tables/" in name or name.endswith("/tuning"):
        text = f"---\norphan: true\n---\n\n{text}"
    source[0] = text


def setup(app: Sphinx) -> dict[str, bool]:
    """Lets Sphinx read pages through the functions above."""
    app.connect("source-read", take_in)
    app.connect("source-read", open_results)
    return {"parallel_read_safe": True}
