"""Code of the user's own, run because the user named it: ``file.py`` or ``package.module``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seviz.errors import SevizError, UsageError


def import_code(place: str, option: str, error: type[SevizError]) -> ModuleType:
    """Run a file, or import a module.

    Args:
        place: ``file.py`` or ``package.module``.
        option: What the user named it with, for messages.
        error: Raised where it cannot be imported.

    Raises:
        UsageError: If there is no such file.
        SevizError: The error, if the code fails.
    """
    try:
        return _run_file(Path(place), option) if place.endswith(".py") else _import(place)
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as exc:
        raise error(
            f"expected to import {place} for {option}, found {said(exc)}; check that it can be imported "
            "from this folder"
        ) from exc


def said(exc: BaseException) -> str:
    """Return what somebody else's code raised, in a line; and that it meant to end the program, if it did.

    >>> said(ValueError("no disk"))
    'ValueError: no disk'
    >>> said(SystemExit(3))
    'code that ends the program (SystemExit: 3)'
    """
    reason = next(iter(str(exc).strip().splitlines()), "no message")[:300]
    told = f"{type(exc).__name__}: {reason}"
    return told if isinstance(exc, Exception) else f"code that ends the program ({told})"


def callable_in(module: ModuleType, place: str, attribute: str) -> Callable[..., Any]:
    """Return a function or class of a module.

    Raises:
        UsageError: If there is none of this name; the closest are listed.
    """
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        close = difflib.get_close_matches(attribute, known, n=3) or known[:5]
        raise UsageError(
            f"expected a function or class {attribute!r} in {place}, found none; "
            f"it has {', '.join(close) or 'nothing callable'}"
        )
    function: Callable[..., Any] = found
    return function


def _run_file(path: Path, option: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(
            f"expected a Python file for {option}, found none at {path}; check its name"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"expected a Python file for {option}, found {path}")
    module = importlib.util.module_from_spec(spec)
    _look_in(path.parent)
    # Dataclasses and pickling look their module up by name.
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if sys.modules[path.stem] is module:
            del sys.modules[path.stem]
        raise
    return module


def _import(name: str) -> ModuleType:
    _look_in(Path())
    return importlib.import_module(name)


def _look_in(folder: Path) -> None:
    """Let imports find what lies in a folder, after everything that is installed."""
    place = os.path.abspath(folder)
    if place not in sys.path:
        sys.path.append(place)
