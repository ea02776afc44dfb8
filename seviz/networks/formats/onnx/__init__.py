"""ONNX models: run as PyTorch networks, whoever exported them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from seviz.errors import CheckpointError, printable
from seviz.networks.formats.file import CheckpointFile, Reader, Seen
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.networks.formats.onnx.branches import straight
from seviz.networks.formats.onnx.convert import converted
from seviz.networks.formats.onnx.described import (
    UNKNOWN_SIZES,
    Images,
    classes_of,
    facts_of,
    images_of,
    outputs_of,
    preprocessing_of,
)
from seviz.networks.formats.onnx.graph import GraphValue, Node, OnnxGraph, read_graph
from seviz.networks.formats.onnx.proto import is_onnx
from seviz.networks.formats.onnx.quantised import NOT_ROUNDED, rewritten
from seviz.networks.formats.onnx.trial import first_run
from seviz.networks.formats.onnx.write import write
from seviz.results.files import file_sha256

ONNX_SUFFIX = ".onnx"
# Element types of a narrow network, by their numbers in a file.
_NARROW = {10: "float16", 11: "float64", 16: "bfloat16"}
# What the network's own input is called where images have to be turned first.
_IMAGES = "images [N, C, H, W]"


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    path = seen.path
    graph, images, network, quantised, notes = _opened(path)
    height, width = images.size
    if height is not None and width is not None:
        sizes = [(height, width)]
    else:
        sizes = list(dict.fromkeys((height or h, width or w) for h, w in UNKNOWN_SIZES))
    size, outputs = first_run(network, images.channels, sizes, images.batch, path.name)
    network.num_classes, network.source = outputs, path.absolute()
    facts = facts_of(graph.metadata)
    preprocessing, more = preprocessing_of(images, size, facts)
    classes = classes_of(facts, outputs)
    return CheckpointFile(
        path.name,
        "ONNX",
        _sha256(path, graph),
        network=network,
        metadata={"classes": classes} if classes is not None else {},
        notes=(*_notes(graph, images, preprocessing.input_size, quantised), *notes, *more),
        description=_description(graph),
        preprocessing=preprocessing,
        num_classes=outputs,
    )


def _opened(path: Path) -> tuple[OnnxGraph, Images, GraphNetwork, bool, tuple[str, ...]]:
    graph = read_graph(path)
    images = images_of(graph)
    graph, quantised = rewritten(straight(graph, _shape(images)))
    names, notes = outputs_of(graph)
    return graph, images, _network(graph, images, names), quantised, notes


def _shape(images: Images) -> tuple[int, ...]:
    """Return the shape of two images as the graph takes them, of a size that it runs on."""
    height, width = (own or usual for own, usual in zip(images.size, UNKNOWN_SIZES[0], strict=True))
    batch = images.batch or 2
    if images.channels_last:
        return batch, height, width, images.channels
    return batch, images.channels, height, width


def write_edited(network: GraphNetwork, sha256: str, target: Path) -> Path:
    """Write a changed network as the ONNX model that it was read from, changed the same way.

    Args:
        network: The network; its ``edits`` and its weights tell what was changed.
        sha256: Of the file that it was read from.
        target: File to write; appears whole or not at all.

    Raises:
        CheckpointError: If that file is not there any more, or has changed; or if what was changed is
            written in it in a way that has no place for the change.
    """
    source = network.source
    if source is None or not source.is_file():
        raise CheckpointError(
            f"expected the ONNX model that the network was read from, found none at {source}; put it back, "
            "or write a .pt2"
        )
    graph, _, before, _, _ = _opened(source)
    if _sha256(source, graph) != sha256:
        raise CheckpointError(
            f"expected {source.name} as it was when it was read, found another file there; put it back, or "
            "write a .pt2"
        )
    return write(source, before, network, target)


def _network(graph: OnnxGraph, images: Images, outputs: tuple[str, ...]) -> GraphNetwork:
    """Return the network; it takes images [N, C, H, W], and returns [N, outputs] of a classifier."""
    before: tuple[Node, ...] = ()
    if images.channels_last:
        turn = {"perm": [0, 2, 3, 1]}
        before = (Node("Transpose", (_IMAGES,), (images.name,), turn, "channels_last"),)
        graph = replace(graph, inputs=(GraphValue(_IMAGES, 1, None),))
    declared = {v.name: v.shape for v in graph.outputs}
    shape = declared[outputs[0]]
    if len(outputs) == 1 and shape is not None and len(shape) == 4 and shape[2:] == (1, 1):
        flat = f"{outputs[0]} [N, C]"
        last = Node("Flatten", (outputs[0],), (flat,), {"axis": 1}, "flatten_outputs")
        graph, outputs = replace(graph, nodes=(*graph.nodes, last)), (flat,)
    return converted(graph, before=before, outputs=outputs).network


def _notes(
    graph: OnnxGraph, images: Images, size: tuple[int, ...], quantised: bool
) -> tuple[str, ...]:
    notes = []
    if quantised:
        notes.append(NOT_ROUNDED)
    kinds = {_NARROW[v.type] for v in graph.inputs if v.type in _NARROW}
    if kinds:
        notes.append(f"computed in float32, not {', '.join(sorted(kinds))} as in the file")
    if None in images.size:
        shown = "x".join(map(str, size[1:]))
        notes.append(
            f"the ONNX model takes images of any size; {shown} is assumed: give --input-size if it was "
            "trained otherwise"
        )
    return tuple(notes)


def _description(graph: OnnxGraph) -> str:
    by = f" by {printable(graph.producer)[:60]}" if graph.producer.strip() else ""
    return f"ONNX opset {graph.opset}{by}, {len(graph.nodes)} operators"


def _sha256(path: Path, graph: OnnxGraph) -> str:
    """Return the hash of a file, with that of its weights where those lie beside it."""
    hashes = [file_sha256(file) for file in (path, *graph.external)]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


ONNX = Reader("ONNX", is_onnx, _read)
