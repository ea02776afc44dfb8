"""Preprocessing as training scripts and hubs write it down, in a checkpoint or beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor, isfinite
from typing import Any

from seviz.results.preprocessing import CROP_MODES, Preprocessing

_FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")
# What transformers calls Pillow's filters.
_RESAMPLE = dict(enumerate(("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")))
_SIZES = ("input_size", "img_size", "image_size")
# timm's train.py has all of these among its arguments. One that is None means what the network's own
# configuration says, as timm's `resolve_data_config` reads them.
_TIMMS = frozenset({"mean", "std", "img_size", "crop_pct", "interpolation"})
# torchvision's references/classification/train.py has these; it normalises with ImageNet's constants.
_TORCHVISIONS = frozenset({"val_crop_size", "val_resize_size", "interpolation"})
_IMAGENETS = Preprocessing()


def written(facts: Mapping[str, Any], known: Preprocessing) -> Preprocessing | None:
    """Return what is written of the preprocessing, or ``None`` if nothing is.

    Args:
        facts: What the file says beside its tensors, and what lies beside the file, by dotted path.
        known: What holds for the parts that are not written.

    >>> facts = {"args.mean": [0.5], "args.std": [0.5], "args.img_size": 64}
    >>> prepared = written(facts, Preprocessing(crop_pct=1.0))
    >>> prepared.input_size, prepared.mean, prepared.origin
    ((3, 64, 64), (0.5, 0.5, 0.5), "the checkpoint's args")
    """
    found = [
        (len(parts), name, parts, settled)
        for name, group in _groups(facts).items()
        for parts, settled in [_read(group, known)]
        if parts or settled
    ]
    if not found:
        return None
    _, name, parts, settled = max(found, key=lambda f: f[0])
    told = {*parts, *({"crop_pct"} if "input_size" in parts else ()), *settled}
    return replace(
        known,
        **parts,
        origin=_origin(name, known, told),
        assumed=tuple(a for a in known.assumed if a not in told),
    )


def _origin(name: str, known: Preprocessing, told: set[str]) -> str:
    if [a for a in known.assumed if a not in told]:
        return known.origin  # whose the rest is
    beside, json, _ = name.partition(".json")
    return f"{beside}.json" if json else f"the checkpoint's {name or 'own entries'}"


def _groups(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts by what stands before the last part of their names."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in facts.items():
        before, _, last = key.rpartition(".")
        groups.setdefault(before, {})[last] = value
    return groups


def _read(group: Mapping[str, Any], known: Preprocessing) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the parts that a group of facts tells, and those that it leaves to the network's own."""
    parts: dict[str, Any] = {}
    if group.keys() >= _TORCHVISIONS:
        return _torchvisions(group), frozenset()
    size = _size(group, known.input_size)
    if size is not None:
        parts["input_size"] = size
    channels = (size or known.input_size)[0]
    mean, std = (_constants(group, name, channels) for name in ("mean", "std"))
    if mean is not None and std is not None:
        scale = 255 if max(*mean, *std) > 1 else 1  # of pixels as they are stored
        parts["mean"], parts["std"] = (tuple(v / scale for v in vs) for vs in (mean, std))
    elif size is None and not group.keys() >= _TIMMS:
        return {}, frozenset()
    share = group.get("crop_pct")
    if share is not None and _is_number(share) and 0 < share <= 1:
        parts["crop_pct"] = float(share)
    if group.get("crop_mode") in CROP_MODES:
        parts["crop_mode"] = group["crop_mode"]
    filter_ = group.get("interpolation", _RESAMPLE.get(_hashable(group.get("resample"))))
    if filter_ in _FILTERS:
        parts["interpolation"] = filter_
    if size is not None and size[1:] != known.input_size[1:] and "crop_pct" not in parts:
        parts |= {} if group.keys() >= _TIMMS else {"crop_pct": 1.0}
    if group.keys() >= _TIMMS:
        return parts, frozenset(known.assumed)
    return parts, frozenset()


def _torchvisions(group: Mapping[str, Any]) -> dict[str, Any]:
    crop, resize = group["val_crop_size"], group["val_resize_size"]
    if not (isinstance(crop, int) and isinstance(resize, int) and 0 < crop <= resize):
        return {}
    filter_ = group["interpolation"]
    return {
        "input_size": (3, crop, crop),
        "mean": _IMAGENETS.mean,
        "std": _IMAGENETS.std,
        "crop_pct": crop_share(crop, resize),
        "interpolation": filter_ if filter_ in _FILTERS else "bilinear",
    }


def crop_share(crop: int, resize: int) -> float:
    """Return the share whose ``floor(crop / share)`` is ``resize`` again, in floating point as well.

    >>> crop_share(224, 256)
    0.875
    """
    share = crop / resize
    return share if floor(crop / share) == resize else crop / (resize + 0.5)


def _size(group: Mapping[str, Any], known: tuple[int, ...]) -> tuple[int, ...] | None:
    channels = next(
        (group[k] for k in ("in_chans", "chans", "in_channels") if isinstance(group.get(k), int)),
        known[0],
    )
    for name in _SIZES:
        value = group.get(name)
        sides = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if isinstance(sides, int) and not isinstance(sides, bool):
            sides = [channels, sides, sides]
        elif isinstance(sides, list) and len(sides) == 2:
            sides = [channels, *sides]
        if (
            isinstance(sides, list)
            and len(sides) == 3
            and all(
                isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 14 for n in sides
            )
        ):
            return sides[0], sides[1], sides[2]
    return None


def _constants(group: Mapping[str, Any], name: str, channels: int) -> tuple[float, ...] | None:
    value = group.get(name, group.get(f"image_{name}"))
    if _is_number(value) and (channels == 1 or any(size in group for size in _SIZES)):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(_is_number, value)):
        return None
    numbers = tuple(float(v) for v in value)
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels or (name == "std" and min(numbers) <= 0):
        return None
    return numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int) else None
