"""seviz's own checkpoint: a state dict with everything needed to use it, readable by plain PyTorch."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError, UsageError
from seviz.networks.folds import Fold, read_folds
from seviz.results.files import written_whole
from seviz.results.preprocessing import CHANNEL_ORDERS, CROP_MODES, Preprocessing

# Written is the lowest version that says all: without folded blocks, and with preprocessing that every
# seviz knows, that is 1.
FORMAT_VERSION, _WITH_FOLDS, _PLAIN = 3, 2, 1
FORMAT_KEY = "seviz_format"
# Parts of preprocessing that every seviz knows.
_FIRST_PARTS = ("input_size", "mean", "std", "interpolation", "crop_pct", "origin")
# The arguments of a network are widths, depths and sizes of images: they add up to less than so many
# times the largest number in the shapes of its tensors, and that of a small image.
_ROOM, _SMALL = 16, 2048


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    folds: Sequence[Fold] = (),
    folded_from: Mapping[str, str] | None = None,
) -> Path:
    """Write weights and metadata to ``path``; the file appears whole or not at all.

    Args:
        path: File to write, usually ``*.pt``.
        model: The network; its state dict is saved on the CPU.
        arch: Registered architecture name, ``timm:NAME`` or ``torchvision:NAME``; or a factory of
            your own (``package.module:factory``), which is to be named again as ``arch`` of
            `seviz.load`: a file alone does not get code to run.
        arch_args: Keyword arguments of that architecture.
        classes: Class names in the order of the logits.
        preprocessing: What the network expects of its input.
        folds: SE blocks of the architecture that were folded away.
        folded_from: ``name`` and ``sha256`` of the network before.

    Returns:
        The path written.

    Raises:
        UsageError: If the metadata could not be read back without running code: NumPy's numbers,
            objects of classes of one's own.
    """
    target = Path(path)
    prepared, is_new = _prepared(preprocessing)
    metadata = {
        FORMAT_KEY: FORMAT_VERSION if is_new else _WITH_FOLDS if folds else _PLAIN,
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "classes": [str(c) for c in classes] if classes is not None else None,
        "preprocessing": prepared,
    }
    if folds:
        metadata["folded"] = [fold.to_dict() for fold in folds]
        metadata["folded_from"] = dict(folded_from or {})
    _check_plain(metadata)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Given a path, torch.save would write its name into the archive: no two files would be alike.
    with written_whole(target, durable=True) as temporary, temporary.open("wb") as file:
        torch.save({**metadata, "state_dict": weights}, file)
    return target


def _prepared(preprocessing: Preprocessing | None) -> tuple[dict[str, Any] | None, bool]:
    """Return what is written of the preprocessing, and whether it has a part that came with version 3."""
    if preprocessing is None:
        return None, False
    values = preprocessing.to_dict()
    plain = Preprocessing().to_dict()
    kept = {k: v for k, v in values.items() if k in _FIRST_PARTS or v != plain[k]}
    return kept, len(kept) > len(_FIRST_PARTS)


def _check_plain(metadata: Mapping[str, Any]) -> None:
    stream = io.BytesIO()
    try:
        torch.save(dict(metadata), stream)
        stream.seek(0)
        torch.load(stream, weights_only=True)
    except Exception as exc:
        raise UsageError(
            "expected arch_args and preprocessing of plain numbers, text, lists, tuples and dicts, "
            f"found {metadata['arch_args']} and {metadata['preprocessing']}; convert NumPy's numbers "
            "with int() and float()"
        ) from exc


def read_metadata(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return seviz's own entries of a checkpoint, checked.

    Args:
        payload: What the file holds.
        name: Name of the file, for messages.

    Raises:
        CheckpointError: If a newer seviz wrote it, or an entry is not what `save_checkpoint` writes.
    """
    version = payload[FORMAT_KEY]
    if not isinstance(version, int):
        raise _malformed(FORMAT_KEY, "a number", version, name)
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"expected a seviz checkpoint of format {FORMAT_VERSION} or older, found {version} in "
            f"{name}; update seviz"
        )
    metadata = {k: payload.get(k) for k in ("arch", "arch_args", "classes", "preprocessing")}
    arch, arch_args, classes, preprocessing = metadata.values()
    if not isinstance(arch, str | None):
        raise _malformed("arch", "a name", arch, name)
    if arch_args is not None and not _is_dict(arch_args):
        raise _malformed("arch_args", "a dict of named values", arch_args, name)
    if classes is not None and not _is_list(classes, str | int):
        raise _malformed("classes", "a list of names", classes, name)
    if preprocessing is not None and not _is_preprocessing(preprocessing):
        raise _malformed("preprocessing", "the fields of seviz.Preprocessing", preprocessing, name)
    origin = payload.get("folded_from")
    if origin is not None and not (_is_dict(origin) and _is_list([*origin.values(), ""], str)):
        raise _malformed("folded_from", "a name and a sha256", origin, name)
    metadata["folded"] = read_folds(payload.get("folded"), name)
    metadata["folded_from"] = origin
    return metadata


def check_arguments(
    arch_args: Mapping[str, Any], shapes: Iterable[Sequence[int]], name: str
) -> None:
    """Check that a file asks for no larger network than it holds: building that would take for ever.

    Args:
        arch_args: The arguments that the file names.
        shapes: The shapes of its tensors.
        name: Name of the file, for messages.

    Raises:
        CheckpointError: If its numbers are far above those of the tensors.
    """
    counted = [max(shape, default=0) for shape in shapes]
    most = _ROOM * max(_SMALL, len(counted), *counted)
    if any(asked > most for asked in accumulate(_numbers(arch_args))):
        raise _malformed("arch_args", f"numbers that fit {len(counted)} tensors", arch_args, name)


def _numbers(value: object, depth: int = 0) -> Iterator[int]:
    """Yield the numbers in nested lists, and one for anything else, so that nothing is for free."""
    yield abs(value) if isinstance(value, int) else 1
    if isinstance(value, Mapping | list | tuple) and depth < 4:
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(part, depth + 1)


def _malformed(key: str, wanted: str, found: object, name: str) -> CheckpointError:
    shown = " ".join(repr(found).split())[:100]
    return CheckpointError(
        f"expected {wanted} under {key!r}, found {shown} in {name}; write the file with "
        "seviz.save_checkpoint"
    )


def _is_dict(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) for k in value)


def _is_list(value: object, kind: Any) -> bool:
    return (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(v, kind) for v in value)
    )


def _are_constants(mean: object, std: object) -> bool:
    if not (_is_list(mean, int | float) and _is_list(std, int | float)):
        return False
    values: Any = (*mean, *std)  # type: ignore[misc]
    return all(map(isfinite, values)) and min(std, default=0) > 0  # type: ignore[call-overload]


def _is_preprocessing(value: object) -> bool:
    if not _is_dict(value):
        return False
    try:
        read = Preprocessing.from_dict(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    if not _is_list(read.input_size, int) or min(read.input_size, default=0) <= 0:
        return False
    image = len(read.input_size) == 3
    return (
        (_are_constants(read.mean, read.std) if image else read.mean == read.std == ())
        and isinstance(read.interpolation, str)
        and isinstance(read.crop_pct, int | float)
        and 0 < read.crop_pct < inf
        and isinstance(read.origin, str)
        and read.crop_mode in CROP_MODES
        and read.channel_order in CHANNEL_ORDERS
        and all(w == () or _is_list(w, str) for w in (read.assumed, read.given))
    )
