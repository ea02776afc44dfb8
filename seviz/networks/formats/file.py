"""What a file of weights is seen to be, how one kind is read, and what reading gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.payload import Payload
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing

# Of a file's beginning, what readers are recognised by.
START = 64


@dataclass(frozen=True)
class Seen:
    """What can be seen of a file without reading it.

    Attributes:
        path: Where it is.
        start: Its first bytes.
        is_archive: Whether it is an intact zip archive.
        inside: Names of the members of that archive, without its top folder.
    """

    path: Path
    start: bytes
    is_archive: bool = False
    inside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        title: What people call it.
        recognises: Tells whether a file is of this kind, by its content.
        read: Reads it; given whether the file may run code that it holds.
    """

    title: str
    recognises: Callable[[Seen], bool]
    read: Callable[[Seen, bool], CheckpointFile]


@dataclass(frozen=True, eq=False)
class CheckpointFile:
    """What a file holds.

    Attributes:
        name: Name of the file, without its folder.
        format: How it was written, for people.
        sha256: Hash of the file.
        payload: Its tensors; None where it holds a network ready to run.
        network: That network.
        metadata: seviz's own entries (``arch``, ``arch_args``, ``classes``, ``preprocessing``); empty
            for other files.
        notes: What was left out.
        description: What that network is, for people.
        ran_code: Whether the file was allowed to run code.
        preprocessing: What the file says of the network's input, besides ``metadata``.
        num_classes: Outputs of that network, where they are known.
        classes: What they are called, where the file tells.
    """

    name: str
    format: str
    sha256: str
    payload: Payload | None = None
    network: nn.Module | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    description: str = ""
    ran_code: bool = False
    preprocessing: Preprocessing | None = None
    num_classes: int | None = None
    classes: ClassTable | None = None


def check_sizes(payload: Payload, name: str) -> None:
    """Refuse tensors that claim more numbers than the file holds: they would fill the memory."""
    for key, tensor in payload.tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            continue
        held = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > held:
            raise CheckpointError(
                f"expected {tensor.numel():,} numbers in {key} of {name}, found {held:,} bytes; save "
                "plain contiguous tensors"
            )
