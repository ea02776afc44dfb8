"""What ``torch.save`` writes: a pickle, in a zip archive or, formerly, alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from seviz.errors import CheckpointError
from seviz.networks.formats.file import CheckpointFile, Reader, Seen, check_sizes
from seviz.networks.formats.own import FORMAT_KEY, read_metadata
from seviz.networks.formats.payload import flatten
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
    notes = payload.notes
    if read.left_out:
        notes += (f"objects left out, their code is not run: {', '.join(read.left_out[:5])}",)
    return CheckpointFile(path.name, written, file_sha256(path), payload, None, metadata, notes)


def _is_ours(seen: Seen) -> bool:
    return "data.pkl" in seen.inside or seen.start[:1] == b"\x80"  # of a pickle, protocol 2 and up


TORCH_SAVE = Reader("torch.save", _is_ours, _read)
