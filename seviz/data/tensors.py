"""Tensors in files of ``torch.save``: images and their labels, and nothing that could run code."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SUFFIXES = (".pt", ".pth")
# All that tensors in plain containers ask for. PyTorch would let more pass, `bytearray` among it, by which
# a few bytes fill the memory.
_NAMES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch \w{1,20}Storage"
    r"|torch\.storage UntypedStorage"
)
_OTHER_NAMES = {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
# Of the pickle, which holds shapes and text but no numbers of tensors.
_MOST_BYTES = 2**26
# What (x, y) is called.
_PLACES = ("images", "labels")


def read_tensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of a file, by name.

    Args:
        path: A file of ``torch.save``: a tensor, ``(images, labels)``, or a dict of tensors and lists of
            text or numbers.

    Raises:
        ValueError: If it holds other objects, or none of these.
        Exception: If it is damaged.
    """
    import torch

    _check(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not mapped: PyTorch then believes where its storages lie, also of one that is missing or longer.
        content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, tuple | list) and len(content) <= len(_PLACES):
        content = dict(zip(_PLACES, content, strict=False))
    elif not isinstance(content, Mapping):
        content = {_PLACES[0]: content}
    arrays = {str(name): _array(value) for name, value in content.items()}
    # A tensor may repeat what is stored (a stride of 0): such a one may claim any size.
    if sum(a.nbytes for a in arrays.values() if a is not None) > 2 * path.stat().st_size:
        raise ValueError("tensors larger than their file")
    return {name: array for name, array in arrays.items() if array is not None}


def _array(value: Any) -> npt.NDArray[np.generic] | None:
    """Return a tensor or a list as an array; what is neither is none."""
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach()
        return np.asarray(value.float() if value.dtype == torch.bfloat16 else value)
    plain = isinstance(value, list | tuple) and {type(v) for v in value} in ({str}, {int})
    return np.array(value) if plain else None


def _check(path: Path) -> None:
    """Refuse what is no intact archive of tensors alone, before anything is made of it."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("no file that torch.save writes today")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # PyTorch looks its members up without regard to case, and finds the first of two.
        if len({m.filename.lower() for m in members}) < len(members):
            raise ValueError("two members of one name")
        if any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise ValueError("compressed members")
        pickles = [m for m in members if m.filename.lower().rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_BYTES:
            raise ValueError("no file that torch.save writes today")
        if damaged := archive.testzip():
            raise ValueError(f"a wrong checksum of {damaged}")
        for opcode, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if opcode.name in _OTHER_NAMES or (
                opcode.name == "GLOBAL" and not _NAMES.fullmatch(str(argument))
            ):
                raise ValueError(f"Python objects ({str(argument or opcode.name)[:80]})")
