"""Direction of imports, packaging, and the sizes of the published networks."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
import torch
from aebench.models.backbones.backbone import BACKBONES, count_parameters

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOPS = ("bench", "metrics", "models")
FILES = sorted(path for top in TOPS for path in (ROOT / top).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES}
MODULES = {name.removesuffix(".__init__") for name in MODULES}
PLUGINS = {"models/objectives", "metrics", "bench/data"}  # They grow by one file a plug-in.


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def storeys() -> dict[str, int]:
    """Returns the height of each folder, from the drawing in docs/architecture.md."""
    drawing = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    heights: dict[str, int] = {}
    for height, line in enumerate(reversed(drawing.strip().splitlines())):
        for folder in line.partition("  #")[0].split():
            assert folder not in heights, f"'{folder}' is drawn twice"
            heights[folder.rstrip("/")] = height
    return heights


def folder_of(module: str) -> str:
    """Returns the drawn folder that a module lies in; one at a top folder's root lies in that."""
    top, _, rest = module.partition(".")
    if module in ("models", "models.building"):  # What hands out the others' names.
        return "models/building.py"
    if module == "bench":
        return "bench/python"
    return f"{top}/{rest.partition('.')[0]}" if rest.count(".") or is_folder(module) else top


def is_folder(module: str) -> bool:
    return (ROOT / module.replace(".", "/")).is_dir() and "." in module


def imported(module: str, source: str, *, package: bool = False) -> set[str]:
    """Returns our modules that a source imports anywhere: lazily or for types alone too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ["aebench", *module.split(".")]
            above = above[: len(above) - node.level + package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("aebench.") for name in found if name.startswith("aebench.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in ours}


def back_edges(module: str, targets: set[str], heights: dict[str, int]) -> list[str]:
    """Returns the imports that do not go to a lower storey or stay in the folder."""
    own = folder_of(module)
    top = module.partition(".")[0]
    allowed = set(TOPS) if top == "bench" else {top}
    return [
        f"{module} -> {target}"
        for target in sorted(targets)
        if target.partition(".")[0] not in allowed
        or (folder_of(target) != own and heights[folder_of(target)] >= heights[own])
    ]


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Returns the nodes of one cycle, or an empty list."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        for following in sorted(graph.get(node, ())):
            if cycle := visit(following, [*path, node]):
                return cycle
        done.add(node)
        return []

    return next((cycle for node in sorted(graph) if (cycle := visit(node, []))), [])


def graph_of_imports() -> dict[str, set[str]]:
    return {
        name_of(path): imported(
            name_of(path), path.read_text(), package=path.name == "__init__.py"
        )
        for path in FILES
    }


def test_imports_go_down_the_drawn_storeys():
    heights = storeys()
    edges = [
        e for m, targets in graph_of_imports().items() for e in back_edges(m, targets, heights)
    ]
    assert edges == []


def test_a_planted_back_edge_is_seen_in_every_form_of_import():
    source = (
        "from . import table\nfrom .labels import c\nfrom ...metrics import prd\n"
        "import aebench.bench.files.storage\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ..tables.wide import g\n"
        "def j():\n    from ..cli import main\n"
    )
    targets = imported("bench.comparison.cells", source)
    assert targets == {
        *("bench.comparison.table", "bench.comparison.labels", "metrics.prd"),
        *("bench.files.storage", "bench.tables.wide", "bench.cli.main"),
    }
    assert back_edges("bench.comparison.cells", targets, storeys()) == [
        "bench.comparison.cells -> bench.cli.main",
        "bench.comparison.cells -> bench.tables.wide",
    ]
    upwards = imported("metrics.prd", "def f():\n    from ..bench import errors\n")
    assert back_edges("metrics.prd", upwards, storeys()) == ["metrics.prd -> bench.errors"]


def test_modules_do_not_import_each_other_in_a_cycle():
    graph = graph_of_imports()
    for name, lazy in {
        "models": "building",
        "models.flows": "flows",
        "bench.data": "dataset",
    }.items():
        assert any(target.startswith(f"{name}.") for target in graph[name]), lazy
        graph[name] = set()  # Public names, looked up on first use alone.
    assert sum(len(following & MODULES) for following in graph.values()) > len(FILES)
    assert cycle_in(graph) == []
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_every_folder_is_drawn_says_its_duty_in_a_line_and_stays_small():
    folders = {path.parent for path in FILES}
    drawn = {name for name in storeys() if not name.endswith(".py")}
    assert {folder.relative_to(ROOT).as_posix() for folder in folders} == drawn
    for folder in folders:
        duty = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert duty and "\n" not in duty and len(duty) > 20, folder
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        if folder.relative_to(ROOT).as_posix() not in PLUGINS:
            assert len(modules) <= 20, folder


def test_every_folder_with_code_is_packaged():
    tools = PROJECT["tool"]["setuptools"]
    outside = {"tests", "scripts", "docs", "results", "build", "examples"}
    tops = [p for p in ROOT.iterdir() if p.name not in outside and not p.name.startswith(".")]
    code = [path for top in tops for path in top.rglob("*.py")]
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in code}
    assert set(tools["packages"]) == {f"aebench.{folder}" for folder in folders}
    assert tools["package-dir"] == {f"aebench.{top}": top for top in TOPS}
    data = {
        path.parent.relative_to(ROOT)
        for top in TOPS
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    for folder in data:
        owner, inside = folder, ""
        while not (ROOT / owner / "__init__.py").exists():
            owner, inside = owner.parent, f"{owner.name}/{inside}"
        patterns = tools["package-data"][f"aebench.{'.'.join(owner.parts)}"]
        assert any(pattern.startswith(inside) for pattern in patterns), folder
    for top in TOPS:
        assert "py.typed" in tools["package-data"][f"aebench.{top}"]
    assert not (ROOT / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_code_raises_and_never_asserts_or_prints(path):
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}, line {getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), where
        called = node.func if isinstance(node, ast.Call) else None
        assert not (isinstance(called, ast.Name) and called.id == "print"), where


# RAE paper, 32x32 and 64x64: encoder, decoder, running statistics, the VAE's second head.
PUBLISHED = [
    ("rae-32", (1, 32, 32), 16, 11_083_408, 11_606_273, 5_376, 65_552),
    ("rae-32", (3, 32, 32), 128, 11_546_368, 18_954_499, 5_376, 524_416),
    ("rae-64", (3, 64, 64), 64, 18_267_200, 21_475_331, 5_632, 1_048_640),
    ("rae-32", (1, 32, 32), 2, 11_026_050, 10_688_769, 5_376, 8_194),
]


@pytest.mark.parametrize(
    ("name", "shape", "latent_dim", "encoder", "decoder", "statistics", "head"), PUBLISHED
)
def test_published_networks_have_the_published_sizes(
    name, shape, latent_dim, encoder, decoder, statistics, head
):
    with torch.device("meta"):
        backbone = BACKBONES.get(name)(shape, latent_dim)
        second_head = backbone.code_head()
    assert count_parameters(backbone.encoder) + count_parameters(backbone.code) == encoder
    assert count_parameters(backbone.decoder) + count_parameters(backbone.output) == decoder
    assert count_parameters(backbone) == encoder + decoder
    assert count_parameters(second_head) == head
    running = [b for n, b in backbone.named_buffers() if "running" in n]
    assert sum(buffer.numel() for buffer in running) == statistics
