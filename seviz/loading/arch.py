"""Architectures: from a name, or a factory of the user's own, to a network with random weights."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from seviz.errors import CheckpointError, UsageError
from seviz.models.registry import BUILDERS


def parse_arch_args(pairs: Sequence[str]) -> dict[str, Any]:
    """Return keyword arguments from ``k=v`` words; values are read as Python literals, else as text.

    Raises:
        UsageError: If a word has no ``=``.

    >>> parse_arch_args(["squeeze=false", "widths=(16,32)", "name=plain"])
    {'squeeze': False, 'widths': (16, 32), 'name': 'plain'}
    """
    parsed: dict[str, Any] = {}
    words = {"true": True, "false": False, "none": None}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(
                f"expected --arch-args as NAME=VALUE words, found {pair!r}; for example reduction=8"
            )
        try:
            parsed[key] = words.get(value.lower())
            if value.lower() not in words:
                parsed[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[key] = value
    return parsed


def build_architecture(name: str, arch_args: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: A registered name (``se_resnet20``), ``timm:NAME``, ``torchvision:NAME``,
            ``package.module:factory`` or ``file.py:factory``.
        arch_args: Keyword arguments for it.

    Raises:
        UsageError: If there is no such architecture.
        CheckpointError: If it raises, or gives something else than a network.
    """
    factory = _factory(name)
    try:
        model = factory(**arch_args)
    except Exception as exc:
        raise CheckpointError(
            f"expected --arch {name} to build a network, found {type(exc).__name__}: "
            f"{_first_line(exc)}; check --arch-args {dict(arch_args)}"
        ) from exc
    if not isinstance(model, nn.Module):
        raise CheckpointError(
            f"expected --arch {name} to return a torch.nn.Module, found {type(model).__name__}; "
            "name the function or class that builds the network"
        )
    return model


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILDERS:
        return BUILDERS[name]
    place, colon, attribute = name.rpartition(":")
    if place == "timm":
        import timm

        return lambda **kwargs: timm.create_model(attribute, **{"pretrained": False, **kwargs})
    if place == "torchvision":
        import torchvision

        return lambda **kwargs: torchvision.models.get_model(
            attribute, **{"weights": None, **kwargs}
        )
    if colon:
        return _users_own(name, place, attribute)
    close = difflib.get_close_matches(name, BUILDERS, n=3)
    hint = f"closest: {', '.join(close)}" if close else f"known: {', '.join(sorted(BUILDERS))}"
    raise UsageError(
        "expected a registered architecture, timm:NAME, torchvision:NAME, package.module:factory or "
        f"file.py:factory, found {name!r}; {hint}"
    )


def _users_own(name: str, place: str, attribute: str) -> Callable[..., Any]:
    """Import the user's factory; this runs the user's code because the user named it."""
    try:
        if place.endswith(".py"):
            path = Path(place)
            if not path.is_file():
                raise UsageError(f"expected a Python file for --arch, found none at {place}")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise UsageError(f"expected a Python file for --arch, found {place}")
            module = importlib.util.module_from_spec(spec)
            # Dataclasses and pickling look their module up by name.
            sys.modules.setdefault(path.stem, module)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except UsageError:
        raise
    except Exception as exc:
        raise CheckpointError(
            f"expected to import {place} for --arch, found {type(exc).__name__}: {_first_line(exc)}"
        ) from exc
    factory = getattr(module, attribute, None)
    if not callable(factory):
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        close = difflib.get_close_matches(attribute, known, n=3) or known[:5]
        raise UsageError(
            f"expected a function or class {attribute!r} in {place}, found none; "
            f"it has {', '.join(close) or 'nothing callable'}"
        )
    found: Callable[..., Any] = factory
    return found


def describe_architecture(name: str, arch_args: Mapping[str, Any]) -> str:
    """Return ``name(k=v, ...)``."""
    listed = ", ".join(f"{k}={v}" for k, v in arch_args.items())
    return f"{name}({listed})" if listed else name


def _first_line(exc: Exception) -> str:
    return next(iter(str(exc).strip().splitlines()), "no message")
