"""PyTorch's pickled files, read without running code from them.

``weights_only=True`` admits tensors and plain containers; a few harmless types are added. Of any other
library's class the file gets an empty placeholder: its state is dropped, and nothing is imported. What
would run code (functions of Python itself, whole networks) is refused, and named.
"""

from __future__ import annotations

import argparse
import pathlib
import pickletools
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from seviz.errors import CheckpointError

# Whose classes make up networks: a file that holds them is a whole network, not weights.
_NETWORKS = ("torch.nn.", "torchvision.", "timm.", "torch.jit.", "torch.fx.")
_SHOWN = 6
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclass(frozen=True, eq=False)
class Unpickled:
    """What a pickle held.

    Attributes:
        payload: Its object.
        left_out: Classes that were read as empty placeholders.
    """

    payload: Any
    left_out: tuple[str, ...] = ()


def read_pickle(path: Path, *, unsafe: bool = False) -> Unpickled:
    """Read a file of ``torch.save``, zip or legacy, on the CPU.

    Args:
        path: The file.
        unsafe: Let the file run whatever code it names.

    Raises:
        CheckpointError: If the file would run code; the names are listed. Whatever else the reader
            raises on a damaged file is left to the caller.
    """
    if unsafe:
        return Unpickled(_load(path, weights_only=False))
    foreign = sorted(set(global_names(path)) - _known_names())
    refused = [name for name in foreign if _runs_code(name)]
    if refused:
        raise refusal(path, refused)
    try:
        return _with_placeholders(path, foreign, _empty_dict)
    except Exception:
        if not foreign:
            raise
        return _with_placeholders(path, foreign, _empty_object)


def refusal(path: Path, names: list[str]) -> CheckpointError:
    """Return the error for a file that would run code."""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    whole = any(name.startswith(_NETWORKS) for name in names)
    what = "a whole pickled network" if whole else "pickled objects"
    return CheckpointError(
        f"expected tensors in {path.name}, found {what} that would run code when read ({shown}); save "
        "model.state_dict() instead, or give --unsafe-load if you trust whoever made the file"
    )


def _with_placeholders(
    path: Path, foreign: list[str], stand_in: Callable[[str], Callable[..., Any]]
) -> Unpickled:
    harmless: list[Any] = [*_harmless(), *((stand_in(name), name) for name in foreign)]
    with torch.serialization.safe_globals(harmless):
        return Unpickled(_load(path, weights_only=True), tuple(foreign))


def _load(path: Path, *, weights_only: bool) -> Any:
    with warnings.catch_warnings():
        # PyTorch warns of foreign pickles before it refuses them, and of how sparse tensors load.
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
        except RuntimeError as exc:
            if "mmap" not in str(exc):
                raise
            # The legacy format cannot be mapped into memory.
            return torch.load(path, map_location="cpu", weights_only=weights_only)


def global_names(path: Path) -> Iterator[str]:
    """Yield the dotted names of the classes and functions that a pickled file asks for.

    Reads the opcodes and runs none of them. Stops at what is no pickle.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name == "data.pkl" or name.endswith("/data.pkl"):
                    with archive.open(name) as file:
                        yield from _names_in(file)  # type: ignore[arg-type]
        return
    with path.open("rb") as file:
        # The legacy format is several pickles on end: magic number, protocol, system, the object.
        for _ in range(4):
            yield from _names_in(file)


def _names_in(file: BinaryIO) -> Iterator[str]:
    words: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in {"GLOBAL", "INST"}:
                module, _, name = str(argument).partition(" ")
                # Python 2's names of what protocol 2 writes.
                yield f"{_PYTHON_2.get(module, module)}.{name}"
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(words[-2:])
            elif isinstance(argument, str):
                words.append(argument)
    except Exception:  # no pickle, or a damaged one: the reader will say so
        return


def _runs_code(name: str) -> bool:
    """Whether a name is a function of Python itself, or belongs to a network."""
    return name.partition(".")[0] in sys.stdlib_module_names or f"{name}.".startswith(_NETWORKS)


def _empty_dict(name: str) -> Callable[..., Any]:
    """Return a class that stands for any other: making one gives a dict, which can be filled."""

    class Placeholder:
        __doc__ = name

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            # The reader fills nothing but plain dicts, and keeps attributes apart from items.
            return OrderedDict()

    return Placeholder


def _empty_object(name: str) -> Callable[..., Any]:
    """Return a class that stands for any other, and ignores whatever state it is given."""

    class Placeholder:
        __doc__ = name

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return object.__new__(cls)

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def __setstate__(self, state: Any) -> None: ...

    return Placeholder


def _as_dict(*args: Any) -> OrderedDict[Any, Any]:
    """Stand for defaultdict, whose default is a function."""
    return OrderedDict()


def _as_list(*args: Any) -> list[Any]:
    """Stand for deque, to which the reader would not append."""
    return []


def _known_names() -> frozenset[str]:
    from torch._weights_only_unpickler import _get_allowed_globals

    return frozenset(_get_allowed_globals()) | {name for _, name in _harmless()}


@cache
def _harmless() -> tuple[tuple[Any, str], ...]:
    """Return the types that are admitted besides PyTorch's own, each with its name in a pickle."""
    from numpy._core import multiarray

    kinds: dict[str, Any] = {
        "argparse.Namespace": argparse.Namespace,
        "collections.defaultdict": _as_dict,
        "collections.deque": _as_list,
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        **{
            f"builtins.{t.__name__}": t
            for t in (bool, dict, float, frozenset, int, list, str, tuple)
        },
        **{
            f"{k.__module__}.{k.__name__}": k
            for k in map(type, map(np.dtype, np.sctypeDict.values()))
        },
        **{f"numpy.{k.__name__}": k for k in np.sctypeDict.values()},
    }
    # The module moved in NumPy 2, and old files keep its old name.
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        kinds[f"{module}._reconstruct"] = multiarray._reconstruct
        kinds[f"{module}.scalar"] = multiarray.scalar
    # A path of the other system cannot be made here, but its name can be kept.
    for module in ("pathlib", "pathlib._local"):
        for system in ("Posix", "Windows"):
            pure = getattr(pathlib, f"Pure{system}Path")
            kinds[f"{module}.{system}Path"] = kinds[f"{module}.Pure{system}Path"] = pure
    return tuple((kind, name) for name, kind in kinds.items())
