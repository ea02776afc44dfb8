"""Preprocessing as training scripts and hubs write it down, in a checkpoint or beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from math import floor, isfinite
from typing import Any

from torch import Tensor, strided

from seviz.networks.formats.pickles import Array
from seviz.networks.written_text import MOST_TEXT, told_in
from seviz.results.preprocessing import CROP_MODES, Preprocessing, turned

_FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")
# What transformers calls Pillow's filters.
_RESAMPLE = dict(enumerate(("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")))
_SIZES = ("input_size", "img_size", "image_size", "imgsz", "input_resolution")
# What mean and standard deviation are called, and the two together; small.
_CONSTANTS = {
    name: (
        *(name, f"image_{name}", f"img_{name}", f"pixel_{name}", f"norm_{name}", f"{name}s"),
        *(f"normalize_{name}", f"dataset_{name}", f"data_{name}", f"rgb_{name}", f"input_{name}"),
    )
    for name in ("mean", "std")
}
_PAIRS = ("mean_std", "meanstd", "mean_and_std", "norm_stats", "norm_mean_std", "stats")
_NAMES = frozenset(name for known in _CONSTANTS.values() for name in known)
_CHANNELS = ("in_chans", "chans", "in_channels")
# What says that the network sees blue first: a word, a flag that is set, or one that is not.
_ORDERS = (
    *("channel_order", "channels_order", "color_order", "colour_order", "color_space"),
    *("colorspace", "color_mode", "image_mode", "input_space"),
)
_BLUE_FIRST, _RED_FIRST = ("bgr", "is_bgr", "use_bgr", "do_flip_channel_order"), ("to_rgb",)
# A tensor of more numbers is no mean per channel.
_MOST_NUMBERS = 4
_DEPTH = 4
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
    if parts.get("channel_order", known.channel_order) != known.channel_order:
        parts = {**{part: turned(getattr(known, part)) for part in _CONSTANTS}, **parts}
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
    for key, value in _opened(facts):
        before, _, last = key.rpartition(".")
        groups.setdefault(before, {})[last.lower()] = _plain(value)
    return groups


def _opened(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the facts, those in a text of JSON one by one: safetensors keep nothing but texts."""
    for key, value in facts.items():
        inner = _read_text(value) if isinstance(value, str) else value
        if isinstance(inner, Mapping) and not isinstance(value, Mapping):
            yield from ((f"{key}.{path}", leaf) for path, leaf in _flat(inner))
            continue
        if isinstance(inner, str):
            yield from ((f"{key}.{name}", told) for name, told in told_in(inner, _NAMES).items())
        yield key, inner


def _read_text(text: str) -> Any:
    if text[:1] not in ("{", "[", "(") or len(text) > MOST_TEXT:
        return text
    try:
        return json.loads(text) if text[:1] != "(" else json.loads(f"[{text[1:].rstrip()[:-1]}]")
    except (ValueError, RecursionError):
        return text


def _flat(node: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if not isinstance(value, Mapping):
            yield key, value
        elif depth < _DEPTH:
            yield from ((f"{key}.{path}", leaf) for path, leaf in _flat(value, depth + 1))


def constants_among(tensors: Mapping[str, Tensor], used: Set[str]) -> dict[str, Any]:
    """Return the means and deviations that a file keeps as tensors beside its weights.

    Args:
        tensors: Every tensor of the file.
        used: Names of the network's own.
    """
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in used
        and name.rpartition(".")[2].lower() in _NAMES
        and 0 < tensor.numel() <= _MOST_NUMBERS
    }


def _plain(value: Any) -> Any:
    """Return numbers, however they are kept, as numbers of Python or lists of them."""
    if isinstance(value, Array):
        return value.numbers if value.numbers is not None else value
    if isinstance(value, Tensor):
        is_short = (
            not value.is_meta and value.layout is strided and value.numel() <= 2 * _MOST_NUMBERS
        )
        return value.flatten().tolist() if is_short else value
    return value


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
    if mean is None or std is None:
        mean, std = _pair(group, channels)
    if mean is not None and std is not None:
        scale = 255 if max(*mean, *std) > 1 else 1  # of pixels as they are stored
        parts["mean"], parts["std"] = (tuple(v / scale for v in vs) for vs in (mean, std))
    elif size is None and not group.keys() >= _TIMMS and not _is_blue_first(group):
        return {}, frozenset()
    if _is_blue_first(group):
        parts["channel_order"] = "bgr"
    share = group.get("crop_pct")
    if share is not None and _is_number(share) and 0 < share <= 1:
        parts["crop_pct"] = float(share)
    if group.get("crop_mode") in CROP_MODES:
        parts["crop_mode"] = group["crop_mode"]
    filter_ = group.get("interpolation", _RESAMPLE.get(_hashable(group.get("resample"))))
    if isinstance(filter_, str) and filter_ in _FILTERS:
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
    channels = next((group[k] for k in _CHANNELS if isinstance(group.get(k), int)), known[0])
    for name in _SIZES:
        value = group.get(name)
        sides = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if isinstance(sides, list):  # of an array of floating-point numbers
            sides = [int(n) if isinstance(n, float) and n.is_integer() else n for n in sides]
        if isinstance(sides, int) and not isinstance(sides, bool):
            sides = [channels, sides, sides]
        elif isinstance(sides, list) and len(sides) == 2:
            sides = [channels, *sides]
        elif isinstance(sides, list) and len(sides) == 3 and _is_channels_last(sides):
            sides = [sides[2], *sides[:2]]
        if (
            isinstance(sides, list)
            and len(sides) == 3
            and all(
                isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 14 for n in sides
            )
        ):
            return sides[0], sides[1], sides[2]
    return None


def _is_blue_first(group: Mapping[str, Any]) -> bool:
    words = (group.get(name) for name in _ORDERS)
    return (
        any(isinstance(word, str) and word.lower() == "bgr" for word in words)
        or any(group.get(name) is True for name in _BLUE_FIRST)
        or any(group.get(name) is False for name in _RED_FIRST)
    )


def _constants(group: Mapping[str, Any], name: str, channels: int) -> tuple[float, ...] | None:
    value = next((group[known] for known in _CONSTANTS[name] if known in group), None)
    if _is_number(value) and (channels == 1 or any(size in group for size in _SIZES)):
        value = [value]
    return _numbers(value, name, channels)


def _pair(
    group: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return mean and deviation where one entry has both: ``(mean, std)``, or an array of two rows."""
    for known in _PAIRS:
        value = group.get(known)
        if not isinstance(value, Sequence) or isinstance(value, str):
            continue
        halves = [_plain(half) for half in value]
        if len(halves) == 2 * channels and all(map(_is_number, halves)):
            halves = [halves[:channels], halves[channels:]]
        if len(halves) == 2:
            mean, std = (
                _numbers(half, name, channels)
                for half, name in zip(halves, _CONSTANTS, strict=True)
            )
            if mean is not None and std is not None:
                return mean, std
    return None, None


def _numbers(value: Any, name: str, channels: int) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(_is_number, value)):
        return None
    numbers = tuple(float(v) for v in value)
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels or (name == "std" and min(numbers) <= 0):
        return None
    return numbers


def _is_channels_last(sides: Sequence[Any]) -> bool:
    """Return whether a size is written as height, width, channels; no image has hundreds of the latter."""
    return sides[2] in (1, 3, 4) and all(_is_number(n) and n > _MOST_NUMBERS for n in sides[:2])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int) else None
