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
    if "image_mean" in processor:
        facts |= {f"{_PROCESSOR}.{key}": value for key, value in _processed(processor).items()}
    return facts


def _processed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a processor of transformers in timm's words: it resizes to ``size``, then crops."""
    told = {
        key: config[key]
        for key in ("image_mean", "image_std", "resample", "crop_pct")
        if key in config
    }
    size, crop = (
        config[k] if isinstance(config.get(k), dict) else {} for k in ("size", "crop_size")
    )
    crop = crop if config.get("do_center_crop", bool(crop)) else {}
    final = crop or size
    edge = size.get("shortest_edge")
    if {"height", "width"} <= final.keys():
        told["input_size"] = [final["height"], final["width"]]
    elif isinstance(edge, int):
        told["input_size"] = [edge, edge]
    if "height" in size:
        told["crop_mode"] = "squash"
    before = edge if edge is not None else size.get("height")
    if crop and isinstance(before, int) and isinstance(crop.get("height"), int):
        told["crop_pct"] = crop["height"] / max(before, crop["height"])
    return told


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
