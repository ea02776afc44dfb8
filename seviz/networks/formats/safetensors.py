"""Hugging Face's safetensors: a header of JSON, then numbers."""

from __future__ import annotations

from seviz.errors import CheckpointError
from seviz.networks.formats.archives import MOST_TENSORS, too_many_tensors
from seviz.networks.formats.file import CheckpointFile, Reader, Seen
from seviz.networks.formats.payload import Payload, flatten
from seviz.results.files import file_sha256


def is_safetensors(seen: Seen) -> bool:
    """Return whether a file begins as safetensors do: the length of a header, and the header."""
    start = seen.start[:9]
    return len(start) == 9 and (start[8:] == b"{" or seen.path.suffix == ".safetensors")


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    from safetensors import SafetensorError, safe_open

    path = seen.path
    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            names = file.keys()
            if len(names) > MOST_TENSORS:
                raise too_many_tensors(f"{len(names):,}", path.name)
            tensors = {name: file.get_tensor(name) for name in names}
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


SAFETENSORS = Reader("safetensors", is_safetensors, _read)
