"""Networks of TensorFlow Lite, read from their flatbuffer and run by PyTorch."""

from __future__ import annotations

from seviz.errors import printable
from seviz.networks.formats.file import CheckpointFile, Reader, Seen
from seviz.networks.formats.tflite.check import check_shapes
from seviz.networks.formats.tflite.images import preprocessing_of
from seviz.networks.formats.tflite.labels import classes_packed
from seviz.networks.formats.tflite.network import TFLiteNetwork
from seviz.networks.formats.tflite.schema import GraphEntry, read_graph
from seviz.networks.imagenet import WITH_BACKGROUND, imagenet_with_background
from seviz.results.files import file_sha256

_MAGIC = b"TFL3"


def is_tflite(seen: Seen) -> bool:
    """Return whether a file is a TFLite network."""
    return seen.start[4:8] == _MAGIC


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    path = seen.path
    graph = read_graph(path.read_bytes(), path.name)
    network = TFLiteNetwork(graph, path.name)
    check_shapes(network, graph, path.name)
    notes = list(_notes(graph))
    classes = None
    if network.num_classes == WITH_BACKGROUND:
        classes = imagenet_with_background()
        notes.append(
            f"{WITH_BACKGROUND:,} outputs are taken for background and the classes of ImageNet; "
            "--class-names names others"
        )
    packed = classes_packed(path, network.num_classes)
    if packed is not None:
        classes, source = packed
        notes = [
            *_notes(graph),
            f"the classes are named by {printable(source)}, packed into the file",
        ]
    return CheckpointFile(
        path.name,
        "TFLite",
        file_sha256(path),
        network=network,
        notes=tuple(notes),
        description=f"TFLite network of {len(graph.operators)} operators",
        preprocessing=preprocessing_of(graph),
        num_classes=network.num_classes,
        classes=classes,
    )


def _notes(graph: GraphEntry) -> list[str]:
    """Return what a reader of its numbers should know of how a quantised network is run."""
    whole = {"INT8", "UINT8", "INT16", "INT4"}
    made = {t for o in graph.operators for t in o.outputs}
    maps = {graph.tensors[t].kind for t in made if graph.tensors[t].quantised is not None} & whole
    weights = {t.kind for t in graph.tensors if t.numbers is not None and t.quantised} & whole
    halves = any(t.numbers is not None and t.kind == "FLOAT16" for t in graph.tensors)
    if maps:
        kinds = ", ".join(sorted(kind.lower() for kind in maps))
        return [
            f"quantised ({kinds}): computed in float32 on the numbers that its bits stand for, each map "
            "rounded to its steps and kept in its range; the TFLite interpreter rounds some sums otherwise, "
            "so single numbers may differ by a step"
        ]
    if weights:
        kinds = ", ".join(sorted(kind.lower() for kind in weights))
        return [
            f"weights of {kinds} are the numbers that they stand for, and maps are float32; the TFLite "
            "interpreter rounds the maps before each layer"
        ]
    return ["weights saved as float16 were widened to float32"] if halves else []


TFLITE = Reader("TFLite", is_tflite, _read)
