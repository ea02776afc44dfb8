"""From a checkpoint file to weights and what it says of them, without running code from it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from seviz.errors import CheckpointError
from seviz.networks.formats.archives import check_archive, members
from seviz.networks.formats.file import START, CheckpointFile, Seen
from seviz.networks.formats.foreign import foreign_format
from seviz.networks.formats.keras import KERAS
from seviz.networks.formats.onnx import ONNX
from seviz.networks.formats.programs import EXPORTED, TORCHSCRIPT
from seviz.networks.formats.safetensors import SAFETENSORS
from seviz.networks.formats.tflite import TFLITE
from seviz.networks.formats.torch_save import TORCH_SAVE
from seviz.results.spec import check_there

# Every kind of file that is read; the first that recognises a file reads it.
READERS = (KERAS, TFLITE, TORCHSCRIPT, EXPORTED, SAFETENSORS, ONNX, TORCH_SAVE)
# As hubs name the parts of large weights: model-00001-of-00002.safetensors.
_SHARD = re.compile(r"-(\d{4,6})-of-(\d{4,6})\.\w+$", re.ASCII)
TITLES = ", ".join(reader.title for reader in READERS)


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
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CheckpointError(
            f"expected a file name in UTF-8, which PyTorch and the other readers open alone, found {path}; "
            "rename the file, or its folder"
        ) from None
    shard = _SHARD.search(path.name)
    if shard is not None and int(shard[2]) > 1:
        raise CheckpointError(
            f"expected weights in one file, found {path.name}, part {int(shard[1])} of {int(shard[2])}; load "
            "all parts with their library and save one file"
        )
    seen = Seen(path, b"")
    try:
        seen = _look_at(path)
        reader = next((reader for reader in READERS if reader.recognises(seen)), None)
        if reader is None:
            _refuse_others(seen)
            reader = TORCH_SAVE  # old pickles begin with anything
        return reader.read(seen, unsafe)
    except CheckpointError:
        raise
    except MemoryError as exc:
        raise CheckpointError(
            f"expected a checkpoint that fits into memory, found {path.name} "
            f"({os.path.getsize(path):,} bytes) asking for more; is it intact?"
        ) from exc
    except Exception as exc:  # what a damaged file makes a reader do is anybody's guess
        raise _unreadable(seen, exc) from exc


def _look_at(path: Path) -> Seen:
    with path.open("rb") as file:
        start = file.read(START)
    if not check_archive(path, path.name):
        return Seen(path, start)
    return Seen(path, start, True, members(path))


def _refuse_others(seen: Seen) -> None:
    """Raise where the file is known to be of another kind."""
    name = foreign_format(seen)
    if name is not None:
        raise CheckpointError(
            f"expected a checkpoint ({TITLES}), found a file of another format, {name}, in "
            f"{seen.path.name}; give the weights that it was made from"
        )
    if seen.is_archive:
        raise CheckpointError(
            f"expected a checkpoint ({TITLES}), found a zip archive of something else in "
            f"{seen.path.name} (NumPy?); give the weights themselves"
        )


def _unreadable(seen: Seen, exc: Exception) -> CheckpointError:
    reason = exc.strerror if isinstance(exc, OSError) else None
    what = "an archive" if seen.is_archive else "a file"
    size = os.path.getsize(seen.path)
    return CheckpointError(
        f"expected a checkpoint ({TITLES}), found {reason or f'{what} that cannot be read'} in "
        f"{seen.path.name} ({size:,} bytes); is it complete?"
    )
