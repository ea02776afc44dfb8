"""The walls of the house: which part may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seviz

PACKAGE = Path(seviz.__file__).parent
HEAVY = {"torch", "torchvision", "timm"}
HALL = {
    "ablations",
    "audits",
    "blocks",
    "classes",
    "errors",
    "evaluation",
    "files",
    "merging",
    "places",
    "predictions",
    "preprocessing",
    "processors",
    "results",
    "schema",
    "sketch",
    "costs",
    "subjects",
    "text",
}
EAST = {"analysis", "figures", "report"}
# What each wing of the west may import, besides the hall.
WEST = {
    "models": set(),
    "loading": {"models"},
    "gates": set(),
    "data": set(),
    "speed": {"gates", "models"},
    "observe": {"gates", "speed"},
    "cost": {"gates", "models"},
    "request": {"loading"},
    "preparation": {"data", "gates", "loading", "observe", "request", "speed"},
    "ranks": {"observe"},
    "resuming": {"observe", "request"},
    "reuse": {"preparation"},
    "parts": {"data", "observe", "preparation", "ranks", "resuming"},
    "pipeline": {
        *("data", "loading", "observe", "parts", "preparation"),
        *("ranks", "request", "resuming", "speed"),
    },
    "ablation": {
        *("cost", "data", "gates", "loading", "observe", "preparation", "request", "speed"),
    },
    "folding": {"cost", "gates", "loading", "models"},
    "comparing": {"cost", "data", "loading", "pipeline", "preparation"},
    "slimming": {
        "ablation",
        "cost",
        "data",
        "folding",
        "gates",
        "loading",
        "pipeline",
        "preparation",
    },
    "auditing": {"cost", "gates", "loading"},
}


def imports(file: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports when it runs or is type-checked."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} has a relative import"
            assert node.module is not None
            if node.module == "seviz":
                yield from (f"seviz.{alias.name}" for alias in node.names)
            else:
                yield node.module


def wing(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [f for f in sorted(PACKAGE.rglob("*.py")) if f.parent != PACKAGE or f.name[:2] != "__"]


def ids(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_walls(file: Path) -> None:
    own = wing(file)
    used = {name.split(".")[1] for name in imports(file) if name.startswith("seviz.")} - {own}
    assert "cli" not in used, "nothing imports the command line"
    if own in HALL:
        assert used <= HALL
    elif own in EAST:
        assert used <= HALL | EAST
    elif own in WEST:
        assert used <= HALL | WEST[own]
    else:
        assert own in {"api", "cli"}


@pytest.mark.parametrize("file", [f for f in FILES if wing(f) in HALL | EAST], ids=ids)
def test_hall_and_east_wing_need_no_torch(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & HEAVY


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has loaded after running ``code``."""
    script = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


def test_import_of_the_package_is_light() -> None:
    assert not loaded_after("import seviz") & (HEAVY | {"numpy", "matplotlib", "pandas"})


def test_import_of_the_east_wing_needs_no_torch() -> None:
    assert (
        not loaded_after("import seviz.analysis, seviz.figures, seviz.report, seviz.results")
        & HEAVY
    )


def test_the_check_can_fail() -> None:
    assert "torch" in loaded_after("import seviz.gates")


def test_exported_names() -> None:
    assert seviz.__all__ == sorted(seviz.__all__)
    for name in seviz.__all__:
        assert getattr(seviz, name).__module__.startswith("seviz.")
    assert set(seviz.__all__) < set(dir(seviz))
    assert seviz.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seviz.nothing
