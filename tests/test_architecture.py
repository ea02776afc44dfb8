"""The walls of the house: which part may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import seviz

PACKAGE = Path(seviz.__file__).parent
HEAVY = {"torch", "torchvision", "timm"}
# What each part may import; all may import `errors`. The hall, `results`, imports nothing else, the views
# (tables, figures, report) never what needs torch, and what needs torch never a view.
MAY = {
    "errors": set(),
    "results": set(),
    "analysis": {"results"},
    "tables": {"results", "analysis"},
    "figures": {"results", "analysis", "tables"},
    "report": {"results", "analysis", "tables", "figures"},
    "data": {"results"},
    "gates": {"results"},
    "networks": {"results", "gates", "data"},
    "cost": {"results", "networks", "gates", "data"},
    "collect": {"results", "cost", "networks", "gates", "data"},
    "pruning": {"results", "collect", "cost", "networks", "gates", "data", "analysis"},
}
TOP = {*MAY, "api", "cli"}
VIEWS = {"results", "analysis", "tables", "figures", "report", "errors"}
# Modules that are named by what a file or a user says, not by seviz.
FOREIGN = {"seviz/data/foreign.py", "seviz/networks/formats/keras/config.py"}


def imports(tree: ast.AST, name: str) -> Iterator[str]:
    """Yield the dotted name of everything that is imported when a file runs or is type-checked.

    What is imported by name counts as well, and the name must be written out there.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            assert node.module is not None
            if node.module != "seviz":
                yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and name not in FOREIGN:
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"import_module", "__import__"}:
                (what,) = node.args
                assert isinstance(what, ast.Constant), f"{name} imports what cannot be read off"
                yield str(what.value)


def tree(file: Path) -> tuple[ast.AST, str]:
    return ast.parse(file.read_text(encoding="utf-8")), f"seviz/{file.relative_to(PACKAGE)}"


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [f for f in sorted(PACKAGE.rglob("*.py")) if f.parent != PACKAGE or f.name[:2] != "__"]


@cache
def imported() -> dict[Path, set[str]]:
    """Return what each file imports, read once."""
    return {f: set(imports(*tree(f))) for f in FILES}


def wrong(own: str, names: set[str]) -> set[str]:
    """Return the parts that a file of a part must not import, and does."""
    used = {name.split(".")[1] for name in names if name.startswith("seviz.")} - {own, "errors"}
    if own == "cli":
        return set()
    if own == "api":
        return used & {"cli"}
    return used - MAY[own]


def test_the_top_is_small() -> None:
    entries = {p.name for p in PACKAGE.iterdir() if p.name not in {"__pycache__", "samples"}}
    assert len(entries) - len({"__init__.py", "__main__.py"}) <= 15
    assert {part(f) for f in FILES} == TOP


def test_walls() -> None:
    found = {f"{f.relative_to(PACKAGE)}": wrong(part(f), names) for f, names in imported().items()}
    assert not {f: w for f, w in found.items() if w}


def test_the_views_need_no_torch() -> None:
    heavy = {
        f: {name.split(".")[0] for name in names} & HEAVY
        for f, names in imported().items()
        if part(f) in VIEWS
    }
    assert not {f: h for f, h in heavy.items() if h}


@pytest.mark.parametrize(
    "code",
    [
        "from seviz.report import write_report",
        "import seviz.figures",
        "def f():\n    from seviz import tables",
        "import importlib\nimportlib.import_module('seviz.report.build')",
        "__import__('seviz.figures')",
    ],
)
def test_a_hole_in_the_wall_is_seen(code: str) -> None:
    assert wrong("results", set(imports(ast.parse(code), "x.py")))


def test_a_computed_import_is_refused() -> None:
    with pytest.raises(AssertionError, match="cannot be read off"):
        list(imports(ast.parse("import_module(name)"), "x.py"))


def above(name: str) -> list[str]:
    """Return the packages that a module is in."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def test_there_is_no_circle() -> None:
    """Files that import one another, at whatever time, cannot be read one by one."""
    modules = {
        f"seviz.{f.relative_to(PACKAGE).with_suffix('').as_posix()}".replace("/", "."): f
        for f in FILES
    }
    modules = {name.removesuffix(".__init__"): f for name, f in modules.items()}
    edges = {
        name: {n for n in imported()[f] if n in modules and n != name}
        for name, f in modules.items()
    }
    # A package is run before what is in it. "from package import module" asks for the module; that the
    # package is there before either, inside of it, is no circle.
    for name, found in edges.items():
        found |= {p for n in found for p in above(n) if p in modules}
        found -= {n for n in found if name == n or name.startswith(f"{n}.")}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has loaded after running ``code``."""
    script = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


def test_import_of_the_package_is_light() -> None:
    assert not loaded_after("import seviz") & (HEAVY | {"numpy", "matplotlib", "pandas"})


def test_import_of_the_views_needs_no_torch() -> None:
    parts = ", ".join(f"seviz.{name}" for name in sorted(VIEWS))
    assert not loaded_after(f"import {parts}") & HEAVY


def test_the_check_can_fail() -> None:
    assert "torch" in loaded_after("import seviz.gates")


def test_exported_names() -> None:
    assert seviz.__all__ == sorted(seviz.__all__)
    for name in seviz.__all__:
        assert getattr(seviz, name).__module__.startswith("seviz")
    assert set(seviz.__all__) < set(dir(seviz))
    assert seviz.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seviz.nothing


def test_the_package_travels_by_its_name() -> None:
    """Ray, Dask and Spark pickle the modules that a function uses."""
    import pickle

    import seviz.collect.run

    for module in (seviz, sys.modules["seviz.collect"]):
        assert pickle.loads(pickle.dumps(module)) is module


def test_a_package_named_like_a_function_is_that_function() -> None:
    import inspect

    import seviz.collect.run

    function = seviz.collect.run.collect
    assert inspect.signature(seviz.collect) == inspect.signature(function)
    with pytest.raises(TypeError, match="required positional argument"):
        seviz.collect()  # type: ignore[call-arg]
