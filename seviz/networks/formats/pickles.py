"""PyTorch's pickled files, read without running code from them.

``weights_only=True`` admits tensors and plain containers; a few harmless types are added. Of any other
library's class the file gets an empty placeholder: its state is dropped, and nothing is imported. What
would run code (functions of Python itself, whole networks) is refused, and named.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import re
import sys
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from seviz.errors import CheckpointError
from seviz.networks.formats.archives import is_archive, is_stored, read_member
from seviz.networks.formats.opcodes import HarmfulPickleError, follow

# Whose classes make up networks: a file that holds them is a whole network, not weights.
_NETWORKS = ("torch.nn.", "torchvision.", "timm.", "torch.jit.", "torch.fx.")
# What would fetch or read further files. Other functions of PyTorch are left out like those of any library.
_LOADERS = ("torch.hub.", "torch.package.", "torch.serialization.", "torch.load.", "numpy.load.")
_SHOWN = 6
# The legacy format is several pickles on end: magic number, protocol, system, the object, its storages.
_PICKLES = 5
# What NumPy calls the types of plain numbers and text.
_PLAIN = re.compile(r"[?biufcU]\d{0,6}")
# A mean per channel is a few numbers; arrays of more are no facts.
_MOST_NUMBERS = 16


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
        CheckpointError: If the file would run code (the names are listed), or exhaust the memory or the
            stack. Whatever else the reader raises on a damaged file is left to the caller.
    """
    if unsafe:
        return Unpickled(_run(path))
    foreign = sorted(check_pickle(path, path.name) - _known_names())
    try:
        return _with_placeholders(path, foreign, _empty_dict)
    except Exception:
        if not foreign:
            raise
        return _with_placeholders(path, foreign, _empty_object)


def _run(path: Path) -> Any:
    """Read a file with whatever code it names.

    Raises:
        CheckpointError: If that code is not here, or not as it was.
    """
    try:
        return _load(path, weights_only=False)
    except ModuleNotFoundError as exc:
        raise CheckpointError(
            f"expected the code that {path.name} was written with, found no module {exc.name!r}; run seviz "
            "where it is, or give --import with its file or module"
        ) from exc
    except (ImportError, AttributeError) as exc:
        reason = next(iter(str(exc).strip().splitlines()), "no message")[:200]
        raise CheckpointError(
            f"expected the code that {path.name} was written with, found another version of it ({reason}); "
            "give --import with the one of then"
        ) from exc


def refusal(file_name: str, names: list[str]) -> CheckpointError:
    """Return the error for a file that would run code."""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    whole = any(name.startswith(_NETWORKS) for name in names)
    what = "a whole pickled network" if whole else "pickled objects"
    return CheckpointError(
        f"expected tensors in {file_name}, found {what} that would run code when read ({shown}); save "
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
        # The legacy format cannot be mapped into memory. Nor can compressed members, but PyTorch would.
        mapped = is_archive(path) and is_stored(path)
        return torch.load(path, map_location="cpu", weights_only=weights_only, mmap=mapped)


def check_pickle(source: Path | BinaryIO, name: str) -> frozenset[str]:
    """Return the dotted names of the classes and functions that a pickled file asks for.

    Reads the opcodes and runs none of them.

    Args:
        source: A file of ``torch.save``, zip or legacy.
        name: What to call it.

    Raises:
        CheckpointError: If it would run code, or exhaust the memory or the stack.
        Exception: If it is damaged.
    """
    names: set[str] = set()
    try:
        if is_archive(source):
            with zipfile.ZipFile(source) as archive:
                for member in archive.namelist():
                    # PyTorch looks its members up without regard to case.
                    if member.lower().rpartition("/")[2] == "data.pkl":
                        check_opcodes(io.BytesIO(read_member(archive, member)), name, names)
        else:
            with source.open("rb") if isinstance(source, Path) else nullcontext(source) as plain:
                for _ in range(_PICKLES):
                    check_opcodes(plain, name, names)
    finally:
        refused = sorted(n for n in names - _known_names() if _runs_code(n))
        if refused:
            raise refusal(name, refused)
    return frozenset(names)


def check_opcodes(file: BinaryIO, name: str, names: set[str] | None = None) -> None:
    """Follow one pickle to its end without running it.

    Args:
        file: Positioned at the pickle; left behind it.
        name: What to call the file.
        names: The dotted names that the pickle asks for are added.

    Raises:
        CheckpointError: If reading it would exhaust the memory or the stack.
        Exception: If it is damaged.
    """
    try:
        follow(file, set() if names is None else names)
    except HarmfulPickleError as exc:
        raise CheckpointError(
            f"expected tensors in {name}, found a pickle made to exhaust whatever reads it ({exc}); it was "
            "not read: get the file from a source you trust"
        ) from exc


def _runs_code(name: str) -> bool:
    """Whether a name belongs to Python itself, to a network, or to what reads further files."""
    module = name.partition(".")[0]
    # A module that Python 2 had under another name: subprocess.call was commands.call.
    known = {module, IMPORT_MAPPING.get(name.rpartition(".")[0], module)}
    return bool(known & sys.stdlib_module_names) or f"{name}.".startswith((*_NETWORKS, *_LOADERS))


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


def _as_nothing(*args: Any) -> None:
    """Stand for a type that is named and not called: the default of a defaultdict."""


class _Dtype:
    """Stands for NumPy's, which believes whatever its state says of where its fields lie."""

    def __init__(self, code: Any = "", *args: Any) -> None:
        self.code = code if isinstance(code, str) else ""
        self.order = ""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]

    @property
    def named(self) -> str:
        """Return what NumPy calls the type, with the order of its bytes."""
        return f"{self.order}{self.code}"


class Array(_Dtype):
    """Stands for an array of NumPy's: no weight, so its content is dropped, but for texts and a few numbers.

    Attributes:
        texts: What a one-dimensional array of texts holds, as class names are kept; else ``None``.
        numbers: What an array of a few numbers holds, as means are kept, in one row; else ``None``.
    """

    texts: list[str] | None = None
    numbers: list[float] | None = None

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            self.texts = _texts(*state[1:3], state[4])
            self.numbers = _numbers(*state[1:3], state[4])


def _numbers(shape: Any, dtype: Any, content: Any) -> list[float] | None:
    if not (isinstance(shape, tuple) and isinstance(dtype, _Dtype) and isinstance(content, bytes)):
        return None
    kind = re.fullmatch(r"[iu][1248]|f[248]", dtype.code)
    each = int(kind[0][1:]) if kind is not None else 0
    if not each or len(content) % each or not 0 < len(content) // each <= _MOST_NUMBERS:
        return None
    return [float(value) for value in np.frombuffer(content, dtype.named)]


def _texts(shape: Any, dtype: Any, content: Any) -> list[str] | None:
    if not (isinstance(shape, tuple) and len(shape) == 1 and isinstance(dtype, _Dtype)):
        return None
    if isinstance(content, list):  # of objects
        return list(content) if all(isinstance(value, str) for value in content) else None
    kind = re.fullmatch(r"([US])(\d{1,4})", dtype.code)
    if kind is None or not isinstance(content, bytes):
        return None
    each = int(kind[2]) * (4 if kind[1] == "U" else 1)
    if not each or shape[0] * each != len(content):  # or the shape would claim more than there is
        return None
    values = np.frombuffer(content, dtype.named).tolist()
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]


def _scalar(dtype: Any, content: Any = b"") -> Any:
    """Return a number or a text of NumPy's as one of Python's."""
    if not (isinstance(dtype, _Dtype) and _PLAIN.fullmatch(dtype.code)):
        return None
    return np.frombuffer(content, dtype.named, 1)[0].item()


def _known_names() -> frozenset[str]:
    from torch._weights_only_unpickler import _get_allowed_globals

    return frozenset(_get_allowed_globals()) | {name for _, name in _harmless()}


@cache
def _harmless() -> tuple[tuple[Any, str], ...]:
    """Return the types that are admitted besides PyTorch's own, each with its name in a pickle."""
    kinds: dict[str, Any] = {
        "argparse.Namespace": argparse.Namespace,
        "collections.defaultdict": _as_dict,
        "collections.deque": _as_list,
        "builtins.frozenset": frozenset,
        "numpy.ndarray": Array,
        "numpy.dtype": _Dtype,
        **{
            f"builtins.{t.__name__}": _as_nothing
            for t in (bool, dict, float, int, list, str, tuple)
        },
        **{
            f"{k.__module__}.{k.__name__}": _as_nothing
            for k in map(type, map(np.dtype, np.sctypeDict.values()))
        },
        **{f"numpy.{k.__name__}": _as_nothing for k in np.sctypeDict.values()},
    }
    # The module moved in NumPy 2, and old files keep its old name.
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        kinds[f"{module}._reconstruct"] = Array
        kinds[f"{module}.scalar"] = _scalar
    # A path of the other system cannot be made here, but its name can be kept.
    for module in ("pathlib", "pathlib._local"):
        for system in ("Posix", "Windows"):
            pure = getattr(pathlib, f"Pure{system}Path")
            kinds[f"{module}.{system}Path"] = kinds[f"{module}.Pure{system}Path"] = pure
    return tuple((kind, name) for name, kind in kinds.items())
