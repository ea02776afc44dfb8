"""A folder as a hub gives it: the weights, and the configuration that lies beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seviz.errors import CheckpointError
from seviz.networks.formats.foreign import foreign_folder

# The names that timm and transformers give to weights, the one read first where there are several.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".tar", ".keras", ".h5")
_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
# What processors of transformers are known by, the flag of those that give blue first, and their two sizes.
_KINDS = frozenset({"image_processor_type", "feature_extractor_type"})
_FLIPS, _SIDES, _WHOLE_FROM = "do_flip_channel_order", ("size", "crop_size"), 384
# Configurations are a few kilobytes, a thousand class names among them.
_MOST_BYTES = 4 << 20
_DEPTH = 4


def weights_in(folder: Path) -> Path:
    """Return the file of a folder that holds the weights.

    Raises:
        CheckpointError: If there is none, or more than one and none has a hub's name.
    """
    there = sorted(p for p in folder.iterdir() if p.is_file())
    for name in _WEIGHTS:
        if folder / name in there:
            return folder / name
    if any(p.name.endswith(".index.json") for p in there):
        raise CheckpointError(
            f"expected weights in one file in the folder {folder.name}, found shards; load them with "
            "their library and save one file"
        )
    fit = [p for p in there if p.suffix in _SUFFIXES]
    fit = fit or [p for p in there if p.suffix == ".onnx"]
    if len(fit) == 1:
        return fit[0]
    if not fit and (title := foreign_folder([p.name for p in folder.iterdir()])) is not None:
        raise CheckpointError(
            f"expected a checkpoint, found a folder of another format, {title}, in {folder.name}; give the "
            "weights that it was made from"
        )
    found = f" ({', '.join(p.name for p in fit[:5])})" if fit else " without one"
    raise CheckpointError(
        f"expected a checkpoint file, or a folder with one ({' or '.join(_WEIGHTS)}), found a folder at "
        f"{folder}{found}; name the file"
    )


def facts_beside(weights: Path) -> dict[str, Any]:
    """Return what a hub's configuration beside a file of weights says, by dotted path.

    Only one that is about a network of images counts: with timm's ``architecture`` or
    ``pretrained_cfg``, or transformers' ``image_mean``.
    """
    config, processor = (_json(weights.parent / name) for name in (_CONFIG, _PROCESSOR))
    facts: dict[str, Any] = {}
    if "architecture" in config or "pretrained_cfg" in config:
        facts = {f"{_CONFIG}.{key}": value for key, value in _flat(config).items()}
    if "image_mean" in processor or _KINDS.intersection(processor):
        facts |= {f"{_PROCESSOR}.{key}": value for key, value in _processed(processor).items()}
    return facts


def _processed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a processor of transformers in timm's words: it resizes to ``size``, then crops."""
    told = {key: config[key] for key in ("resample", "crop_pct", _FLIPS) if key in config}
    told |= _normalised(config)
    share = config.get("crop_pct")
    sizes = [_sides(config.get(key), keeps=key == "size" and share is not None) for key in _SIDES]
    size, crop = sizes
    crop = crop if config.get("do_center_crop", bool(crop)) else {}
    final = crop or size
    edge = size.get("shortest_edge")
    if {"height", "width"} <= final.keys():
        told["input_size"] = [final["height"], final["width"]]
    elif isinstance(edge, int):
        told["input_size"] = [edge, edge]
    # ConvNeXt's takes the whole image from this size on.
    if "height" in size or (isinstance(edge, int) and share is not None and edge >= _WHOLE_FROM):
        told["crop_mode"] = "squash"
        told.pop("crop_pct", None)
    before = edge if edge is not None else size.get("height")
    if crop and isinstance(before, int) and isinstance(crop.get("height"), int):
        told["crop_pct"] = crop["height"] / max(before, crop["height"])
    return told


def _sides(value: Any, *, keeps: bool) -> Mapping[str, Any]:
    """Return a size as the newer files have it; an older one has a number for a square.

    Args:
        value: What the file has.
        keeps: Whether a number is the shorter side, so that the image keeps its shape.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return {"shortest_edge": value} if keeps else {"height": value, "width": value}
    return value if isinstance(value, dict) else {}


def _normalised(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return mean and deviation on the scale of 0 to 1.

    A pixel p of 0 to 255 becomes ``(p * rescale_factor - mean) / std``, with 1 taken from the product where
    ``rescale_offset`` says so; each step may be left out. EfficientNet's divides by the deviation twice where
    it says ``include_top``.
    """
    mean, std = config.get("image_mean"), config.get("image_std")
    if not config.get("do_normalize", mean is not None):
        mean, std = [0.0], [1.0]
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    offset = 1.0 if config.get("rescale_offset") and config.get("do_rescale", True) else 0.0
    lists = [v for v in (mean, std) if isinstance(v, list) and all(map(_is_number, v))]
    if not (_is_number(factor) and factor > 0 and len(lists) == 2):
        return {} if mean is None else {"image_mean": mean, "image_std": std}
    scale, power = round(255 * factor, 9), 2 if config.get("include_top") else 1
    return {
        "image_mean": [(m + offset) / scale for m in lists[0]],
        "image_std": [s**power / scale for s in lists[1]],
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _flat(node: Mapping[str, Any], path: str = "", depth: int = 0) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for key, value in node.items():
        if not isinstance(value, dict):
            facts[f"{path}{key}"] = value
        elif depth < _DEPTH:
            facts |= _flat(value, f"{path}{key}.", depth + 1)
    return facts
