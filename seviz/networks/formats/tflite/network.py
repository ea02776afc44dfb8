"""A TFLite graph as a PyTorch network that takes images as PyTorch has them."""

from __future__ import annotations

from torch import Tensor

from seviz.errors import CheckpointError
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.networks.formats.tflite.layout import MAP, held
from seviz.networks.formats.tflite.rules import FUNCTIONS
from seviz.networks.formats.tflite.schema import GraphEntry
from seviz.networks.formats.tflite.steps import steps_of
from seviz.networks.formats.tflite.use import Source, value_name


class TFLiteNetwork(GraphNetwork):
    """Runs a TFLite graph on images [N, C, H, W].

    Args:
        graph: What the file says.
        name: Its name, for messages.

    Raises:
        CheckpointError: If it does not take images, or has operators that are not known.
    """

    def __init__(self, graph: GraphEntry, name: str) -> None:
        _check_input(graph, name)
        source = Source(graph, name, {t: o for o in graph.operators for t in o.outputs})
        steps = steps_of(source)
        shape = graph.tensors[graph.outputs[0]].shape
        super().__init__(
            steps,
            [value_name(graph.inputs[0])],
            [value_name(t) for t in graph.outputs],
            source.parameters,
            source.constants,
            FUNCTIONS,
            name=name,
            num_classes=shape[-1] if len(graph.outputs) == 1 and set(shape[1:-1]) <= {1} else None,
        )
        self.channels_first = channels_first(graph)

    def forward(self, images: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the graph returns: [N, outputs] of a classifier, else maps [N, C, H, W]."""
        found = super().forward(held(images) if self.channels_first else images, *others)
        results = found if isinstance(found, tuple) else (found,)
        rows = tuple(
            r.flatten(1) if r.dim() == MAP and r.shape[2:] == (1, 1) else r for r in results
        )
        return rows if len(rows) > 1 else rows[0]


def channels_first(graph: GraphEntry) -> bool:
    """Return whether the file's images are [N, C, H, W], as in what was converted from PyTorch."""
    _, first, _, last = graph.tensors[graph.inputs[0]].shape
    return last not in (1, 3, 4) and first in (1, 3, 4)


def image_size(graph: GraphEntry) -> tuple[int, int, int]:
    """Return channels, height and width of the file's images."""
    _, *sides = graph.tensors[graph.inputs[0]].shape
    channels, height, width = sides if channels_first(graph) else (sides[2], *sides[:2])
    return channels, height, width


def _check_input(graph: GraphEntry, name: str) -> None:
    shapes = [graph.tensors[t].shape for t in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != MAP or min(shapes[0]) < 1 or not graph.outputs:
        shown = ", ".join(str(list(shape)) for shape in shapes[:5]) or "none"
        raise CheckpointError(
            f"expected a network that takes images of a fixed size in the TFLite file {name}, found inputs "
            f"of shape {shown}; convert it with one input [1, height, width, channels]"
        )
