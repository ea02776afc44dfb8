"""Where the module of an ONNX node goes: the path that it had in the network that was exported.

PyTorch's older exporter writes scopes into the names of nodes (``/layer1/layer1.0/se/fc1/Conv``), its newer
one into their metadata, and both keep the names of most weights; Keras' and Paddle's name their layers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seviz.networks.formats.onnx.graph import Node

# What a name may hold in PyTorch, and stay readable.
_ODD = re.compile(r"[^\w\-]+")
# Names that the older exporter makes up for weights that it computed: onnx::Conv_302.
_MADE_UP = re.compile(r"onnx::|_output_\d|val_\d|node_|::|:dequantised")
_NUMBER = re.compile(r"[._]?\d*$")
# Endings of the names of weights, where they are more than one word.
_ENDINGS = re.compile(
    r"[._](weights?|bias(es)?|kernel|gamma|beta|scale|offset|mean|variance|moving_mean|moving_variance|"
    r"running_mean|running_var|[wb]_\d+(_\w+)?)(_\w+)?$"
)


def module_path(node: Node, number: int, weights: Sequence[str]) -> str:
    """Return the dotted path for the module of a node.

    Args:
        node: The node.
        number: Its place in the graph, for one without any name.
        weights: Names of the weights that it takes, the first one that has most to say.
    """
    kind = node.operator.rpartition(".")[2]
    for weight in weights:
        owner = _owner(weight)
        if owner:
            return owner
    if node.scopes:
        return node.scopes if weights else f"{node.scopes}.{kind}"
    scopes = scopes_of(node.name)
    if not scopes:
        return f"{kind}_{number}"
    *above, last = scopes
    plain = _NUMBER.sub("", last).lower()
    if weights and above and plain in (kind.lower(), f"{kind.lower()}2d", "biasadd", "matmul"):
        return ".".join(above)
    return ".".join(scopes)


def scopes_of(name: str) -> list[str]:
    """Return the parts of a scoped name, each once.

    >>> scopes_of("/layer1/layer1.0/se/fc1/Conv")
    ['layer1', '0', 'se', 'fc1', 'Conv']
    """
    parts: list[str] = []
    before = ""
    slashed = [p for p in name.split("/") if p]
    for part in slashed:
        rest = part[len(before) + 1 :] if before and part.startswith(f"{before}.") else None
        if rest is not None:  # a module list repeats where it is
            parts += rest.split(".")
        elif len(slashed) > 1:
            parts += part.split(".") if before else [part]
        else:
            parts.append(part.replace(".", "_"))  # Conv.12: one name
        before = part
    return [_ODD.sub("_", p) for p in parts if p]


def _owner(weight: str) -> str:
    """Return the module that a weight's name says it is of: ``se.fc1.weight``; else nothing."""
    if _MADE_UP.search(weight):
        return ""
    found = _ENDINGS.search(weight)
    if found is None:
        return ""
    owner = weight[: found.start()].replace("/", ".")
    return ".".join(_ODD.sub("_", part) for part in owner.split(".") if part)
