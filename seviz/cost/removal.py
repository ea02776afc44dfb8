"""What a network no longer needs when the gates of some blocks are constants."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from torch import nn

from seviz.cost.attribution import split, used_parameters
from seviz.cost.counting import Counts
from seviz.gates import Trace, unwrap


class Removal:
    """Parameters and MACs that go with the gates of any blocks of one network.

    They are counted on the recorded pass, with the map passing the multiplication unscaled: what is then
    needed by nothing else goes. An excitation that two blocks share goes with the second of them. A shift
    that an excitation gives as well as the gate is a constant, too.

    Args:
        model: The network.
        trace: What `seviz.gates.trace` found in it.

    >>> from seviz.gates import trace
    >>> from seviz.networks.architectures.registry import build
    >>> model = build("se_resnet20", reduction=8)
    >>> Removal(model, trace(model, (3, 32, 32))).of(["SE_4_2", "SE_4_3"])
    (2048, 2048)
    """

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self._trace = trace
        self._sizes = {name: p.numel() for name, p in unwrap(model).named_parameters()}
        graph = trace.own_size
        self.params = sum(self._sizes.values())
        self.macs = Counts(graph, graph.ops).macs
        self.se_params, _ = self._gone(trace)

    def of(self, names: Collection[str]) -> tuple[int, int]:
        """Return parameters, and MACs for one image, that go with these blocks.

        Raises:
            CheckpointError: If a block cannot be found in the pass on images of the given size.
        """
        chosen = tuple(t for t in self._trace.blocks if t.block.name in names)
        return self._gone(replace(self._trace, blocks=chosen))

    def _gone(self, trace: Trace) -> tuple[int, int]:
        parts = split(trace)
        own = used_parameters(parts.se) - used_parameters(parts.rest)
        params = sum(size for name, size in self._sizes.items() if name in own)
        return params, Counts(parts.graph, parts.se).macs
