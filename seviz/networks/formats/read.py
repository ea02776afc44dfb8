"""From a checkpoint file to weights and what it says of them, without running code from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.archives import check_archive, members
from seviz.networks.formats.keras.files import is_keras, read_keras
from seviz.networks.formats.own import FORMAT_KEY, read_metadata
from seviz.networks.formats.payload import Payload, flatten
from seviz.networks.formats.pickles import read_pickle
from seviz.networks.formats.programs import exported_weights, run_program, scripted_weights
from seviz.results.files import file_sha256
from seviz.results.preprocessing import ASSUMED, Preprocessing
from seviz.results.spec import check_there

_OTHER_ARCHIVES = "TorchScript, torch.export, Keras and torch.save's archives are read"


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


def read_checkpoint(path: Path, *, unsafe: bool = False) -> CheckpointFile:
    """Read a checkpoint of whatever format; its content tells, not its extension.

    Args:
        path: The file.
        unsafe: Let the file run whatever code it names: whole pickled networks, exported programs.

    Raises:
        CheckpointError: If there is no such file, it is damaged, it would run code, or it holds no
            named tensors.
    """
    check_there(path)
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "no file of bytes"
        raise CheckpointError(
            f"expected a checkpoint file, found {what} at {path}; give a file, timm:NAME or "
            "torchvision:NAME"
        )
    intact = check_archive(path, path.name)
    try:
        return _read(path, intact, unsafe)
    except CheckpointError:
        raise
    except MemoryError as exc:
        raise CheckpointError(
            f"expected a checkpoint that fits into memory, found {path.name} "
            f"({os.path.getsize(path):,} bytes) asking for more; is it intact?"
        ) from exc
    except Exception as exc:  # what a damaged file makes a reader do is anybody's guess
        raise _unreadable(path, exc, intact) from exc


def _read(path: Path, is_archive: bool, unsafe: bool) -> CheckpointFile:
    if is_keras(path):
        return _keras(path)
    inside = members(path) if is_archive else frozenset()
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return _program(path, "TorchScript", unsafe)
    if any(name.startswith("models/") for name in inside) or "serialized_state_dict.pt" in inside:
        return _program(path, "torch.export", unsafe)
    if is_safetensors(path):
        return _safetensors(path)
    if is_archive and "data.pkl" not in inside:
        raise CheckpointError(
            f"expected a checkpoint, found a zip archive of something else in {path.name} (NumPy?); "
            f"{_OTHER_ARCHIVES}"
        )
    return _pickled(path, "torch.save" if is_archive else "torch.save, legacy format", unsafe)


def _pickled(path: Path, written: str, unsafe: bool) -> CheckpointFile:
    read = read_pickle(path, unsafe=unsafe)
    content = read.payload
    network = content if isinstance(content, nn.Module) else None
    if network is None and unsafe and isinstance(content, Mapping):
        # Whole networks in a dict: the average first, as their makers evaluate it.
        kept = (content.get(key) for key in ("ema", "model_ema", "model", "net", "network"))
        network = next((m for m in kept if isinstance(m, nn.Module)), None)
    if network is not None:
        return CheckpointFile(
            path.name,
            f"{written}, whole network",
            file_sha256(path),
            network=network,
            description=type(network).__qualname__,
            ran_code=True,
        )
    metadata: Mapping[str, Any] = {}
    if isinstance(content, Mapping) and FORMAT_KEY in content:
        metadata = read_metadata(content, path.name)
        content = content.get("state_dict")
    try:
        payload = flatten(content, path.name)
    except CheckpointError as exc:
        if not read.left_out:
            raise
        raise CheckpointError(
            f"expected named tensors in {path.name}, found objects of {', '.join(read.left_out[:3])}; "
            "save model.state_dict() instead, or give --unsafe-load if you trust whoever made the file"
        ) from exc
    _check_sizes(payload, path.name)
    notes = payload.notes
    if read.left_out:
        notes += (f"objects left out, their code is not run: {', '.join(read.left_out[:5])}",)
    return CheckpointFile(path.name, written, file_sha256(path), payload, None, metadata, notes)


def _keras(path: Path) -> CheckpointFile:
    read = read_keras(path)
    return CheckpointFile(
        path.name,
        "Keras",
        file_sha256(path),
        network=read.model,
        notes=read.notes,
        description=read.description,
        preprocessing=Preprocessing(input_size=read.input_size, origin=ASSUMED),
        num_classes=read.num_classes,
    )


def _program(path: Path, written: str, unsafe: bool) -> CheckpointFile:
    if unsafe:
        network = run_program(path, scripted=written == "TorchScript")
        return CheckpointFile(
            path.name,
            written,
            file_sha256(path),
            network=network,
            description=f"{written} program",
            ran_code=True,
        )
    read = scripted_weights if written == "TorchScript" else exported_weights
    payload = flatten(read(path), path.name)
    _check_sizes(payload, path.name)
    note = f"the weights of a {written} program were read; the program itself was not run"
    return CheckpointFile(path.name, written, file_sha256(path), payload, None, {}, (note,))


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors do: the length of a header, and the header."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and (start[8:] == b"{" or path.suffix == ".safetensors")


def _safetensors(path: Path) -> CheckpointFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as exc:
        raise CheckpointError(
            f"expected an intact safetensors file, found {' '.join(str(exc).split())[:150]} in "
            f"{path.name} ({path.stat().st_size:,} bytes); copy or download it again"
        ) from exc
    payload = flatten(tensors, path.name)
    payload = Payload(payload.tensors, facts, payload.averaged, payload.notes)
    return CheckpointFile(
        path.name, "safetensors", file_sha256(path), payload, None, {}, payload.notes
    )


def _check_sizes(payload: Payload, name: str) -> None:
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


def _unreadable(path: Path, exc: Exception, is_archive: bool) -> CheckpointError:
    reason = exc.strerror if isinstance(exc, OSError) else None
    what = "an archive" if is_archive else "a file"
    return CheckpointError(
        f"expected a checkpoint (torch.save, safetensors, torch.export, TorchScript, Keras), found "
        f"{reason or f'{what} that cannot be read'} in {path.name} ({os.path.getsize(path):,} bytes); is "
        "it complete?"
    )
