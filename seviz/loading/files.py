"""From a checkpoint file to weights and metadata, without running code from it."""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError
from seviz.loading.own import FORMAT_KEY, read_metadata


@dataclass(frozen=True, eq=False)
class CheckpointFile:
    """What a file holds.

    Attributes:
        weights: The state dict.
        metadata: seviz's own entries (``arch``, ``arch_args``, ``classes``, ``preprocessing``); empty
            for other files.
        sha256: Hash of the file.
    """

    weights: dict[str, Tensor]
    metadata: Mapping[str, Any]
    sha256: str


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a PyTorch file with ``weights_only=True``.

    Raises:
        CheckpointError: If there is no such file, it is damaged, it would run code, or it holds no
            state dict.
    """
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "nothing"
        raise CheckpointError(
            f"expected a checkpoint file, found {what} at {path}; give a file, timm:NAME or "
            "torchvision:NAME"
        )
    payload = _load(path)
    metadata: Mapping[str, Any] = {}
    weights = payload
    if isinstance(payload, Mapping) and isinstance(payload.get("state_dict"), Mapping):
        weights = payload["state_dict"]
        if FORMAT_KEY in payload:
            metadata = read_metadata(payload, path.name)
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointError(
            f"expected a state dict in {path.name}, found {type(weights).__name__}; save "
            "model.state_dict(), or a dict that has it under 'state_dict'"
        )
    other = [
        str(k) for k, v in weights.items() if not (isinstance(k, str) and isinstance(v, Tensor))
    ]
    if other:
        raise CheckpointError(
            f"expected only named tensors in the state dict of {path.name}, found something else under "
            f"{', '.join(other[:5])}; save model.state_dict(), or a dict that has it under 'state_dict'"
        )
    return CheckpointFile(dict(weights), metadata, _sha256(path))


def _load(path: Path) -> Any:
    intact = _check_archive(path)
    try:
        with warnings.catch_warnings():
            # PyTorch warns of foreign pickles before it refuses them, and of how sparse tensors load.
            warnings.simplefilter("ignore")
            return _unpickle(path)
    except MemoryError:
        raise
    except Exception as exc:  # what a damaged pickle makes the reader do is anybody's guess
        if "Unsupported global" in str(exc) or "GLOBAL" in str(exc):
            raise CheckpointError(
                f"expected plain tensors in {path.name}, found pickled objects that would need to run "
                "code; save model.state_dict() instead of the whole object"
            ) from exc
        if intact:
            raise CheckpointError(
                f"expected tensors saved by PyTorch, found a zip archive of something else in "
                f"{path.name} (TorchScript? NumPy?); save model.state_dict() with torch.save"
            ) from exc
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise CheckpointError(
            f"expected a PyTorch checkpoint, found {reason or 'a file that cannot be read'} in "
            f"{path.name} ({os.path.getsize(path):,} bytes); is it complete, and saved by torch.save?"
        ) from exc


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as exc:
        if "mmap" not in str(exc):
            raise
        # The legacy format cannot be mapped into memory.
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_archive(path: Path) -> bool:
    """Compare the checksums, which PyTorch does not do; return whether this is an intact zip archive.

    A flipped bit in a weight would otherwise go unnoticed.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            # torch.serialization.set_crc32_options(False) writes zeros.
            if any(member.CRC for member in archive.infolist()):
                damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    except MemoryError:
        raise
    except Exception as exc:
        raise CheckpointError(
            f"expected an intact checkpoint, found damage in {path.name} "
            f"({' '.join(str(exc).split())[:200]}); copy or download it again"
        ) from exc
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fill(model: nn.Module, weights: Mapping[str, Tensor], architecture: str) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: If names or shapes differ; the first of each are listed.
    """
    wanted = model.state_dict()
    # Batch-norm step counters do not take part in inference; old files have none.
    counters = {k for k in wanted if k.endswith("num_batches_tracked")}
    missing = [k for k in wanted if k not in weights and k not in counters]
    unexpected = [k for k in weights if k not in wanted]
    shapes = [
        f"{k} {tuple(v.shape)} instead of {tuple(wanted[k].shape)}"
        for k, v in weights.items()
        if k in wanted and v.shape != wanted[k].shape
    ]
    if missing or unexpected or shapes:
        parts = [
            f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for what, keys in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("of another shape", shapes),
            )
            if keys
        ]
        raise CheckpointError(
            f"expected the {len(wanted)} tensors of {architecture}, found {'; '.join(parts)}; "
            "check --arch and --arch-args"
        )
    kept = {k: wanted[k] for k in counters if k not in weights}
    try:
        model.load_state_dict({**kept, **weights}, strict=True)
    except RuntimeError as exc:
        raise CheckpointError(
            f"expected tensors that can be copied into {architecture}, found others "
            f"({' '.join(str(exc).split())[:300]}); save plain dense tensors on the CPU"
        ) from exc
