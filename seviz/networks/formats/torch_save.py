"""What ``torch.save`` writes: a pickle, in a zip archive or, formerly, alone."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.file import CheckpointFile, Reader, Seen, check_sizes
from seviz.networks.formats.own import FORMAT_KEY, read_metadata
from seviz.networks.formats.payload import Payload, flatten
from seviz.networks.formats.pickles import read_pickle
from seviz.results.files import file_sha256


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    path, written = seen.path, "torch.save" if seen.is_archive else "torch.save, legacy format"
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
    check_sizes(payload, path.name)
    if seen.is_archive:
        _check_members(payload, seen)
    notes = payload.notes
    if read.left_out:
        notes += (f"objects left out, their code is not run: {', '.join(read.left_out[:5])}",)
    return CheckpointFile(path.name, written, file_sha256(path), payload, None, metadata, notes)


def _check_members(payload: Payload, seen: Seen) -> None:
    """Refuse numbers that are not what stands in the archive as a whole.

    PyTorch maps as many bytes into memory as the pickle asks for: of a member that is longer or shorter, part
    of itself or of the next one.
    """
    with zipfile.ZipFile(seen.path) as archive:
        there = Counter(m.file_size for m in archive.infolist() if "/data/" in m.filename)
    plain = (t for t in payload.tensors.values() if t.layout is torch.strided and not t.is_meta)
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in plain)}
    strange = Counter(size for size in storages.values() if size) - there
    if strange:
        raise CheckpointError(
            f"expected tensors as long as their parts of the archive in {seen.path.name}, found "
            f"{strange.total()} that are not, of {min(strange):,} bytes for one; copy or download it again"
        )


def _is_ours(seen: Seen) -> bool:
    return "data.pkl" in seen.inside or seen.start[:1] == b"\x80"  # of a pickle, protocol 2 and up


TORCH_SAVE = Reader("torch.save", _is_ours, _read)
