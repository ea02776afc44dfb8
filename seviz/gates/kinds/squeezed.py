"""The kinds of what multiplies a map by something squeezed: one table, the first row that fits.

Nothing is told by names of classes, modules or parameters: a row looks at which map is squeezed and how,
at the layers after that, at the range of the gate, and at the dimensions over which it varies.
"""

from __future__ import annotations

import math

from seviz.gates.kinds.base import SPREAD, Candidate, Kind, Row
from seviz.gates.kinds.branches import facts as branches_facts
from seviz.gates.kinds.branches import is_split_attention, selects_kernels
from seviz.gates.kinds.gathering import gathers_by_convolution, pools_by_attention, weighs_pixels
from seviz.gates.ops import AVERAGE, CONVOLUTION, MAXIMUM, SOFTMAX
from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import BY_KEY


def _varies_across_channels(seen: Candidate) -> bool:
    return 1 in seen.site.kept or len(seen.site.scaled.shape) < 4


def _is_gct(seen: Candidate) -> bool:
    """Norms of the channels, normalised over the channels, with a weight for each and no layer."""
    return (
        not seen.weights
        and seen.bounded
        and seen.has_parameters
        and seen.mixes_by_reducing
        and all(map(seen.is_pointwise_of_map, seen.sources))
        and (not seen.is_of_its_own_map or seen.squeeze == "norm")
    )


def _is_srm(seen: Candidate) -> bool:
    """Mean and spread of each channel, joined with weights of that channel alone."""
    return (
        len(seen.squeezes) > 1
        and (bool(seen.how & SPREAD) or len(seen.sources) > 1)
        and seen.map in seen.sources
        and all(map(seen.is_pointwise_of_map, seen.sources))
        and seen.how <= SPREAD | AVERAGE
        and seen.bounded
        and seen.has_parameters
        and all(shape[0] == seen.channels and shape[1] == 1 for shape in seen.weights)
    )


def _is_parameter_free(seen: Candidate) -> bool:
    return seen.is_of_its_own_map and not (seen.has_parameters or seen.mixes_by_reducing)


def _convolves_channels(seen: Candidate) -> bool:
    """Whether every layer is a convolution that slides over the channels."""
    return all(
        op.name in CONVOLUTION and max(op.inputs[0].shape[2:]) >= max(seen.channels, 2)
        for op, _ in seen.excitation.layers
    )


def _pools(seen: Candidate) -> bool:
    """Whether the gate is a bounded function of means and maxima of the map that it scales."""
    return seen.is_of_its_own_map and seen.bounded and seen.how <= AVERAGE | MAXIMUM


def _is_ese(seen: Candidate) -> bool:
    full = [shape for shape in seen.matrices if math.prod(shape) == seen.channels**2]
    return _pools(seen) and not seen.joins and len(full) == len(seen.matrices) == 1


def _is_cbam(seen: Candidate) -> bool:
    """Several squeezes of one map go through the same two layers, or are added before those."""
    return (
        len(seen.how) > 1
        and seen.how <= AVERAGE | MAXIMUM
        and seen.bounded
        and seen.map in seen.sources
        and all(map(seen.is_pointwise_of_map, seen.sources))
        and len(seen.matrices) == 2
        and not seen.joins
    )


def bottleneck(seen: Candidate) -> dict[str, int]:
    """Return the units of a bottleneck: how many numbers its first layer gives for one image."""
    out = seen.excitation.layers[0][0].outputs[0]
    return {"hidden": out.numel // out.shape[0]}


def _kernel(seen: Candidate) -> dict[str, int]:
    return {"kernel": max(math.prod(shape[2:]) for shape in seen.weights)}


def _two_layers(block: GateBlock) -> float:
    return (3 if block.shift else 2) * block.channels * block.facts["hidden"]


def _pixels(block: GateBlock) -> int:
    return math.prod(block.spatial)


# Not told by one multiplication: the finder sees several that share an excitation and a map.
DYNAMIC = "dynamic activation (several gates of one excitation on one map)"
_SOFTMAX = "softmax attention over branches or channels (selective kernel, split attention)"
_ECA = "ECA (convolution over channels)"
_ESE = "eSE (one fully connected layer)"
_CBAM = "CBAM channel attention (several squeezes)"
_GC = "global context gate (attention pooling)"
_GE = "parameter-free channel gate (gather-excite)"
_GATHER = "gather-excite (learned gather)"

SQUEEZED: tuple[Row, ...] = (
    # Several maps, weighed against each other.
    (
        selects_kernels,
        Kind(
            _SOFTMAX,
            mechanism=BY_KEY["sk"],
            facts=branches_facts,
            function="softmax",
            placement="inside",
            weights=lambda b: (b.channels + b.channels / b.facts["branches"]) * b.facts["hidden"],
            macs=lambda b: (b.channels + b.channels / b.facts["branches"]) * b.facts["hidden"],
        ),
    ),
    (
        is_split_attention,
        Kind(
            _SOFTMAX,
            mechanism=BY_KEY["split"],
            facts=branches_facts,
            function="softmax",
            placement="inside",
        ),
    ),
    (lambda seen: any(op.name in SOFTMAX for op in seen.excitation.ops), Kind(_SOFTMAX)),
    # No gate per channel.
    (
        lambda seen: seen.channel is None and not seen.weights,
        Kind("statistic scaling without weights (normalisation)"),
    ),
    (
        lambda seen: seen.channel is None and not _varies_across_channels(seen),
        Kind("spatial attention"),
    ),
    (lambda seen: seen.channel is None, Kind("attention along one axis (coordinate attention)")),
    # From here on there is one gate for each channel. First those without a layer that mixes channels.
    (
        _is_gct,
        Kind(
            "GCT (gated channel transformation)",
            mechanism=BY_KEY["gct"],
            squeeze="norm",
            weights=lambda b: 3 * b.channels,
            macs=lambda b: 0,
        ),
    ),
    (
        _is_srm,
        Kind(
            "SRM (style-based recalibration)",
            mechanism=BY_KEY["srm"],
            squeeze="mean + std",
            weights=lambda b: 2 * b.channels,
            macs=lambda b: 2 * b.channels,
        ),
    ),
    (
        lambda seen: not seen.weights and _pools(seen) and _is_parameter_free(seen),
        Kind(_GE, mechanism=BY_KEY["ge"], weights=lambda b: 0, macs=lambda b: 0),
    ),
    (
        lambda seen: not seen.weights and seen.bounded and seen.has_parameters,
        Kind("channel gate with weights per channel alone"),
    ),
    (lambda seen: not seen.weights and seen.excitation.bounded, Kind(_GE)),
    (lambda seen: not seen.weights, Kind("statistic scaling (GRN)")),
    # Layers over the channels, by how many squeezes lead to them.
    (
        lambda seen: _convolves_channels(seen) and _pools(seen),
        Kind(
            _ECA,
            mechanism=BY_KEY["eca"],
            facts=_kernel,
            weights=lambda b: b.facts["kernel"],
            macs=lambda b: b.facts["kernel"] * b.channels,
        ),
    ),
    (
        lambda seen: all(len(shape) == 3 and shape[:2] == (1, 1) for shape in seen.weights),
        Kind(_ECA),
    ),
    (
        _is_ese,
        Kind(
            _ESE,
            mechanism=BY_KEY["ese"],
            weights=lambda b: b.channels**2,
            macs=lambda b: b.channels**2,
        ),
    ),
    (_is_cbam, Kind(_CBAM, mechanism=BY_KEY["cbam"], facts=bottleneck, weights=_two_layers)),
    (
        lambda seen: len(seen.squeezes) > 1 and seen.is_of_its_own_map,
        Kind("channel gate from several squeezes"),
    ),
    (lambda seen: len(seen.squeezes) > 1, Kind("channel gate from several maps")),
    # One squeeze that is not a mean or a maximum.
    (
        pools_by_attention,
        Kind(
            _GC,
            mechanism=BY_KEY["gc"],
            facts=bottleneck,
            squeeze="attention pooling",
            gathers=True,
            weights=lambda b: _two_layers(b) + b.channels,
            macs=lambda b: _two_layers(b) + 2 * b.channels * _pixels(b),
        ),
    ),
    (lambda seen: seen.how == {"attention pooling"}, Kind(_GC)),
    (
        gathers_by_convolution,
        Kind(
            _GATHER,
            mechanism=BY_KEY["ge"],
            squeeze="convolution",
            gathers=True,
            weights=lambda b: b.channels * _pixels(b),
            macs=lambda b: b.channels * _pixels(b),
        ),
    ),
    (lambda seen: seen.how == {"convolution"}, Kind(_GATHER)),
    (
        weighs_pixels,
        Kind(
            "FCA (frequency channel attention)",
            mechanism=BY_KEY["fca"],
            facts=bottleneck,
            squeeze="weighted sum",
            gathers=True,
            weights=_two_layers,
            macs=_two_layers,
        ),
    ),
    (
        lambda seen: not seen.how <= AVERAGE | MAXIMUM,
        Kind("channel gate from {}", detail=lambda seen: ", ".join(sorted(seen.how))),
    ),
    # One mean or maximum.
    (
        lambda seen: not seen.excitation.bounded,
        Kind("unbounded channel gate ({})", detail=lambda seen: seen.excitation.gate),
    ),
    (
        lambda seen: not seen.is_of_its_own_map,
        Kind("cross gate (the squeezed tensor is not the one that is scaled)"),
    ),
    (lambda seen: len(seen.weights) == 1, Kind(_ESE)),
    (
        lambda seen: len(seen.weights) > 2,
        Kind("channel gate with {} fully connected layers", detail=lambda seen: len(seen.weights)),
    ),
    (
        lambda seen: True,
        Kind("SE", mechanism=BY_KEY["se"], facts=bottleneck, weights=_two_layers, macs=_two_layers),
    ),
)
