"""The weights inside exported programs (torch.export, TorchScript), read without running the program.

Loading such a file with PyTorch evaluates what is in it: pickles, symbolic expressions, operators by
name. The weights lie beside the program under the names that they had in the network, and that is all
the recogniser needs.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from seviz.errors import CheckpointError
from seviz.networks.formats.archives import check_archive, read_member
from seviz.networks.formats.file import CheckpointFile, Reader, Seen, check_sizes
from seviz.networks.formats.payload import flatten
from seviz.networks.formats.pickles import check_opcodes, check_pickle
from seviz.results.files import file_sha256

# torch's own numbers for its types (c10/core/ScalarType.h), which torch.export writes.
_NUMBERED = {
    0: torch.uint8,
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
_STORAGES = {
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "BoolStorage": torch.bool,
    "BFloat16Storage": torch.bfloat16,
}


def exported_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a ``.pt2`` file.

    Raises:
        CheckpointError: If the file keeps its weights in a way that would have to be unpickled.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for name in names:
            if name.endswith("_weights_config.json"):
                return _listed(archive, name, path)
        for name in names:  # before PyTorch 2.9: the state dict as torch.save writes it
            if name.endswith(("serialized_state_dict.pt", "data/weights/model.pt")):
                inner = io.BytesIO(read_member(archive, name))
                check_archive(inner, path.name)
                check_pickle(inner, path.name)
                inner.seek(0)
                return dict(torch.load(inner, map_location="cpu", weights_only=True))
    raise CheckpointError(
        f"expected the weights of an exported program in {path.name}, found none in a place that "
        "PyTorch 2.6 and newer use; save model.state_dict() beside it"
    )


def _listed(archive: zipfile.ZipFile, config: str, path: Path) -> dict[str, Tensor]:
    folder = config.rpartition("/")[0]
    tensors = {}
    read = cache(partial(read_member, archive))  # several tensors may share one
    for name, entry in json.loads(read_member(archive, config))["config"].items():
        if entry["use_pickle"]:
            raise CheckpointError(
                f"expected plain weights in {path.name}, found {name} as a pickle; save "
                "model.state_dict() beside it, or give --unsafe-load if you trust whoever made the file"
            )
        meta = entry["tensor_meta"]
        sizes, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
        flat = _flat(read(f"{folder}/{entry['path_name']}"), _NUMBERED[meta["dtype"]])
        tensors[name] = _strided(flat, sizes, strides, meta["storage_offset"]["as_int"])
    return tensors


def scripted_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a TorchScript file."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.count("/") <= 1 and n.endswith("data.pkl")]
        content = io.BytesIO(read_member(archive, name))
        check_opcodes(content, path.name)
        content.seek(0)
        root = _ScriptReader(content, archive, name.rpartition("/")[0]).load()
    return dict(_tensors(root))


class _Scripted:
    """A scripted module or object: what was stored, and none of its methods."""

    def __init__(self, *args: Any) -> None:
        self.stored: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.stored = state if isinstance(state, dict) else {}


class _ScriptReader(pickle.Unpickler):
    """Reads TorchScript's own pickle; of its names only tensors and scripted modules mean anything."""

    def __init__(self, content: BinaryIO, archive: zipfile.ZipFile, folder: str) -> None:
        self._folder = f"{folder}/" if folder else ""
        self._read = cache(partial(read_member, archive))
        super().__init__(content)

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Scripted
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuilt
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":
            return _ignored
        raise pickle.UnpicklingError(f"{module}.{name} is nothing that TorchScript writes")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("expected a storage")
        return _flat(self._read(f"{self._folder}data/{key}"), dtype)


def _ignored(*args: Any) -> list[Any]:
    return []


def _rebuilt(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> Tensor:
    return _strided(storage, size, stride, offset)


def _flat(content: bytes, dtype: torch.dtype) -> Tensor:
    if not content:
        return torch.empty(0, dtype=dtype)
    with warnings.catch_warnings():
        # The weights are copied into a network, and never written to here.
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(content, dtype=dtype)


def _strided(flat: Tensor, size: Any, stride: Any, offset: int) -> Tensor:
    return torch.as_strided(flat, tuple(size), tuple(stride), offset)


def _tensors(module: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    if not isinstance(module, _Scripted):
        return
    for name, value in module.stored.items():
        if isinstance(value, Tensor):
            yield f"{path}{name}", value
        else:
            yield from _tensors(value, f"{path}{name}.")


def run_program(path: Path, *, scripted: bool) -> torch.nn.Module:
    """Load the program itself, which may run code from the file; only on the user's word."""
    load: Callable[..., Any] = torch.jit.load if scripted else torch.export.load
    loaded = load(str(path))
    module: torch.nn.Module = loaded if scripted else loaded.module()
    return module


def _is_scripted(seen: Seen) -> bool:
    inside = seen.inside
    return "constants.pkl" in inside and any(name.startswith("code/") for name in inside)


def _is_exported(seen: Seen) -> bool:
    inside = seen.inside
    named = "serialized_state_dict.pt" in inside
    return named or any(name.startswith("models/") for name in inside)


def _read(seen: Seen, unsafe: bool, written: str) -> CheckpointFile:
    path = seen.path
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
    check_sizes(payload, path.name)
    note = f"the weights of a {written} program were read; the program itself was not run"
    return CheckpointFile(path.name, written, file_sha256(path), payload, None, {}, (note,))


def _reader(title: str, recognises: Callable[[Seen], bool]) -> Reader:
    return Reader(title, recognises, partial(_read, written=title))


TORCHSCRIPT = _reader("TorchScript", _is_scripted)
EXPORTED = _reader("torch.export", _is_exported)
