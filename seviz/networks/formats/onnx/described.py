"""What an ONNX file says of its images and its outputs, beside computing them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seviz.errors import CheckpointError, printable
from seviz.networks.class_names import classes_in
from seviz.networks.formats.onnx.graph import GraphValue, OnnxGraph
from seviz.networks.written import written
from seviz.results.preprocessing import ASSUMED, Preprocessing

# Channels of images: grey, colours, colours and opacity.
_CHANNELS = (1, 3, 4)
# Types of whole numbers, which images have before they are prepared.
_WHOLE = frozenset({2, 3, 4, 5, 6, 7})
# Height and width where the file leaves them free: what classifiers take, then what readers of text do.
UNKNOWN_SIZES = ((224, 224), (48, 320), (32, 320), (32, 100), (299, 299), (512, 512), (64, 64))
# Longer texts than this are no settings.
_LONGEST = 4 << 20
# What is called the output that counts, where there are several.
_COUNTS = ("logits", "output", "prob", "probs", "softmax", "scores")


@dataclass(frozen=True)
class Images:
    """How a network takes images.

    Attributes:
        name: Of the input.
        channels: Of an image.
        size: Height and width; nothing where they are free.
        channels_last: Whether they are [N, H, W, C].
        whole: Whether they are whole numbers, 0 to 255.
        batch: How many images it takes at once; nothing where that is free.
    """

    name: str
    channels: int
    size: tuple[int | None, int | None]
    channels_last: bool
    whole: bool
    batch: int | None


def images_of(graph: OnnxGraph) -> Images:
    """Return how a network takes images.

    Raises:
        CheckpointError: If it does not take images alone.
    """
    fit = [v for v in graph.inputs if v.shape is not None and len(v.shape) == 4]
    if len(graph.inputs) != 1 or len(fit) != 1:
        shown = ", ".join(map(_shown, graph.inputs[:4])) or "none"
        raise CheckpointError(
            f"expected one input of images [N, C, H, W] in {graph.name}, found {shown}; give a network that "
            "takes images alone"
        )
    (value,) = fit
    assert value.shape is not None
    batch, *rest = value.shape
    last = _turned(graph, value) or (
        rest[2] in _CHANNELS and (rest[0] not in _CHANNELS or (rest[0] == 1 and rest[2] == 3))
    )
    channels, height, width = (rest[2], rest[0], rest[1]) if last else rest
    if channels is None:
        channels = _taken(graph, value)
    return Images(value.name, channels, (height, width), bool(last), value.type in _WHOLE, batch)


def _turned(graph: OnnxGraph, value: GraphValue) -> bool:
    """Return whether the first thing that is done is to put channels in front."""
    uses = [node for node in graph.nodes if value.name in node.inputs]
    orders = [list(n.attributes.get("perm", ())) for n in uses if n.operator == "Transpose"]
    return len(uses) > 0 and orders == [[0, 3, 1, 2]] * len(uses)


def _taken(graph: OnnxGraph, value: GraphValue) -> int:
    """Return the channels that the first convolution takes."""
    for node in graph.nodes:
        if node.operator == "Conv" and len(node.inputs) > 1 and node.inputs[1] in graph.numbers:
            weight = graph.numbers[node.inputs[1]]
            found = (
                weight.shape[1] * int(node.attributes.get("group", 1)) if weight.ndim == 4 else 0
            )
            if found in _CHANNELS:
                return int(found)
            break
    return 3


def _shown(value: GraphValue) -> str:
    sizes = (
        "?" if value.shape is None else "x".join("?" if n is None else str(n) for n in value.shape)
    )
    return f"{printable(value.name)[:60]} {sizes}"


def outputs_of(graph: OnnxGraph) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the outputs that the network returns, and remarks.

    Of several one that is [N, classes] counts, or has a name that says so; else all are returned.
    """
    names = tuple(v.name for v in graph.outputs)
    if len(names) == 1:
        return names, ()
    classes = [v.name for v in graph.outputs if v.shape is not None and len(v.shape) == 2]
    called = [n for n in names if n.lower() in _COUNTS]
    for found in (classes, called):
        if len(found) == 1:
            left = ", ".join(printable(n)[:40] for n in names if n != found[0])[:200]
            note = f"of {len(names)} outputs {printable(found[0])[:40]} counts; left out: {left}"
            return (found[0],), (note,)
    return names, ()


def facts_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a file says beside its graph: values that are JSON, or Python's own way of writing them."""
    facts: dict[str, Any] = {}
    for key, text in metadata.items():
        value: Any = text
        if len(text) <= _LONGEST and text[:1] in '[{(-0123456789"':
            for read in (json.loads, ast.literal_eval):
                try:
                    value = read(text)
                    break
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    continue
        facts[key] = value
    # As its most common exporter calls the size of images.
    if "imgsz" in facts and "input_size" not in facts:
        facts["input_size"] = facts["imgsz"]
    return facts


def preprocessing_of(
    images: Images, size: Sequence[int], facts: Mapping[str, Any]
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return how images are prepared, and remarks: as the file says it, else assumed.

    Args:
        images: How the network takes them.
        size: Height and width.
        facts: What the file says.
    """
    told = None not in images.size
    known = replace(Preprocessing(), origin="ImageNet's").for_channels(images.channels)
    known = replace(
        known,
        input_size=(images.channels, *size),
        crop_pct=known.crop_pct if tuple(size) == (224, 224) else 1.0,
        assumed=tuple(a for a in ASSUMED if a != "input_size" or not told),
    )
    notes: tuple[str, ...] = ()
    if images.whole:
        known = replace(
            known,
            mean=(0.0,) * images.channels,
            std=(1 / 255,) * images.channels,
            origin="the network's own type of images",
            assumed=tuple(a for a in known.assumed if a not in ("mean", "std")),
        )
        notes = ("the network takes whole numbers: it is given pixels from 0 to 255",)
    found = written(facts, known) or known
    if told and found.input_size != known.input_size:
        found = replace(found, input_size=known.input_size)
    return found, notes


def classes_of(facts: Mapping[str, Any], outputs: int | None) -> list[str] | None:
    """Return the names of the outputs, where the file has as many."""
    table = classes_in(facts, outputs)
    return table.labels if table is not None else None
