"""Direction of imports, packaging, and the sizes of the published networks."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from aebench.models.backbone import BACKBONES, count_parameters

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("bench", "metrics", "models")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))
ALLOWED = {"bench": set(FOLDERS), "metrics": {"metrics"}, "models": {"models"}}


def statements(node: ast.AST, *, everywhere: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yields imports: all of them, or those that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif everywhere:
            yield from statements(child, everywhere=True)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from statements(other, everywhere=False)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(child, everywhere=False)


def targets(folder: str, statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yields what a statement imports of ours, as ``folder.module`` or ``folder``."""
    if isinstance(statement, ast.Import):
        dotted = [alias.name for alias in statement.names]
    else:
        parents = {0: [], 1: ["aebench", folder], 2: ["aebench"]}[statement.level]
        base = ".".join([*parents, *([statement.module] if statement.module else [])])
        dotted = [f"{base}.{alias.name}" for alias in statement.names]
    for name in dotted:
        if name.startswith("aebench."):
            yield ".".join(name.split(".")[1:3])


def imports(path: Path, *, everywhere: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    folder = path.parent.name
    found = (targets(folder, s) for s in statements(tree, everywhere=everywhere))
    return {target for group in found for target in group}


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_go_from_bench_to_models_and_metrics_only(path):
    folders = {target.split(".")[0] for target in imports(path, everywhere=True)}
    assert folders <= ALLOWED[path.parent.name]


def test_the_walk_sees_imports_of_every_form():
    source = (
        "from . import a\nfrom .b import c\nfrom ..models import d\nimport aebench.metrics.e\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .f import g\n"
        "try:\n    from .h import i\nexcept ImportError:\n    def j():\n        from .k import l\n"
    )

    def seen(everywhere: bool) -> set[str]:
        found = statements(ast.parse(source), everywhere=everywhere)
        return {target for statement in found for target in targets("bench", statement)}

    at_import = {"bench.a", "bench.b", "models.d", "metrics.e", "bench.h"}
    assert seen(False) == at_import
    assert seen(True) == at_import | {"bench.f", "bench.k"}


def test_modules_do_not_import_each_other_in_a_cycle():
    graph = {f"{path.parent.name}.{path.stem}": imports(path, everywhere=False) for path in FILES}
    edges = sum(len(following & set(graph)) for following in graph.values())
    assert edges > len(FILES)
    assert cycle_in(graph) == []
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_every_folder_with_code_is_packaged_and_flat():
    tools = PROJECT["tool"]["setuptools"]
    outside = {"tests", "scripts", "docs", "results", "build", "examples"}
    tops = [p for p in ROOT.iterdir() if p.name not in outside and not p.name.startswith(".")]
    code = [
        path for top in tops for path in top.rglob("*.py") if "site-packages" not in path.parts
    ]
    assert {str(path.parent.relative_to(ROOT)) for path in code} == set(FOLDERS)
    assert set(tools["packages"]) == {f"aebench.{folder}" for folder in FOLDERS}
    assert tools["package-dir"] == {f"aebench.{folder}": folder for folder in FOLDERS}
    for folder in FOLDERS:
        assert "py.typed" in tools["package-data"][f"aebench.{folder}"]
        assert (ROOT / folder / "py.typed").exists()
    assert not (ROOT / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
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
