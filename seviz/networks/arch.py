"""Architectures: from a name, or a factory of the user's own, to a network with random weights."""

from __future__ import annotations

import ast
import difflib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from seviz.data.foreign import callable_in, import_code, said
from seviz.errors import CheckpointError, UsageError
from seviz.networks.architectures.registry import BUILDERS
from seviz.networks.importing import without_compiler
from seviz.networks.zoo import build_torchvision, check_zoo_name, is_zoo_name, zoo_names
from seviz.results.header import without_folders


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
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # a script that parses its arguments exits
        raise CheckpointError(
            f"expected --arch {name} to build a network, found {said(exc)}; check --arch-args "
            f"{dict(arch_args)}"
        ) from exc
    if not isinstance(model, nn.Module):
        raise CheckpointError(
            f"expected --arch {name} to return a torch.nn.Module, found {type(model).__name__}; "
            "name the function or class that builds the network"
        )
    return model


def is_known_name(name: str) -> bool:
    """Return whether building ``name`` runs no code but that of seviz and the zoos, offline."""
    return name in BUILDERS or (is_zoo_name(name) and name.count(":") == 1)


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILDERS:
        return BUILDERS[name]
    if is_zoo_name(name):
        return _from_zoo(name)
    place, _, attribute = name.rpartition(":")
    if place and attribute:
        return _users_own(name, place, attribute)
    of_zoos = [known for known in zoo_names() if known.partition(":")[2] == name]
    close = difflib.get_close_matches(name, BUILDERS, n=3)
    if name.endswith(".py"):
        hint = f"name what in it makes the network: {name}:NAME"
    elif of_zoos:
        hint = f"give {' or '.join(of_zoos)}"
    else:
        hint = f"closest: {', '.join(close)}" if close else f"known: {', '.join(sorted(BUILDERS))}"
    raise UsageError(
        "expected a registered architecture, timm:NAME, torchvision:NAME, package.module:factory or "
        f"file.py:factory, found {name!r}; {hint}"
    )


def _from_zoo(name: str) -> Callable[..., Any]:
    """Return what builds ``timm:NAME`` or ``torchvision:NAME``; the weights come from the file."""
    zoo, _, entry = name.partition(":")
    check_zoo_name(zoo, entry)
    if zoo == "timm":
        with without_compiler():
            import timm

        def build(pretrained: bool = False, checkpoint_path: str = "", **kwargs: Any) -> Any:
            return timm.create_model(entry, **kwargs)

        return build

    def build_other(pretrained: bool = False, weights: Any = None, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            # GoogLeNet and Inception tell that they will be initialised otherwise one day: they are filled.
            warnings.filterwarnings("ignore", "The default weight initialization", FutureWarning)
            return build_torchvision(entry, None, kwargs)

    return build_other


def takes(name: str, argument: str) -> bool:
    """Return whether an architecture takes a keyword argument."""
    return _takes(_factory(name), argument)


def _takes(factory: Callable[..., Any], argument: str) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == argument or p.kind is p.VAR_KEYWORD for p in parameters)


def _users_own(name: str, place: str, attribute: str) -> Callable[..., Any]:
    """Import the user's factory; this runs the user's code because the user named it."""
    return callable_in(import_code(place, f"--arch {name}", CheckpointError), place, attribute)


def describe_architecture(name: str, arch_args: Mapping[str, Any]) -> str:
    """Return ``name(k=v, ...)``; of a file, its name alone."""
    place, colon, attribute = name.rpartition(":")
    if place.endswith(".py"):
        name = f"{Path(place).name}{colon}{attribute}"
    listed = ", ".join(without_folders(f"{k}={v}" for k, v in arch_args.items()))
    return f"{name}({listed})" if listed else name
