"""What each operator of TFLite becomes: a table from its name to a rule.

A rule reads options and constants of one operator, and returns the step that runs it; activations and
rounding that belong to the operator are added by `seviz.networks.formats.tflite.network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seviz.networks.formats.graph_network import Step
from seviz.networks.formats.tflite import arithmetic, shaping, windows
from seviz.networks.formats.tflite.rounding import looked_up, rounded, rounded_up
from seviz.networks.formats.tflite.rules_layers import LAYERS
from seviz.networks.formats.tflite.rules_shaping import SHAPING
from seviz.networks.formats.tflite.use import Rule, Use


def _identity(x: Any) -> Any:
    return x


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **arithmetic.UNARY,
    **arithmetic.BINARY,
    "ADD_N": arithmetic.add_all,
    "BATCH_MATMUL": arithmetic.matrix_product,
    "FULLY_CONNECTED": arithmetic.fully_connected,
    "L2_NORMALIZATION": arithmetic.normalised,
    "LOG_SOFTMAX": arithmetic.log_softmax,
    "PRELU": arithmetic.prelu,
    "SOFTMAX": arithmetic.softmax,
    "reduce": arithmetic.reduce,
    "BATCH_TO_SPACE_ND": shaping.batch_to_space,
    "BROADCAST_TO": shaping.broadcast,
    "CONCATENATION": shaping.concatenate,
    "DEPTH_TO_SPACE": shaping.depth_to_space,
    "GATHER": shaping.gather,
    "PACK": shaping.stack,
    "RESHAPE": shaping.reshape,
    "SPACE_TO_BATCH_ND": shaping.space_to_batch,
    "SPACE_TO_DEPTH": shaping.space_to_depth,
    "SPLIT": shaping.split,
    "TILE": shaping.tile,
    "TRANSPOSE": shaping.transpose,
    "UNPACK": shaping.unstack,
    "cut": shaping.cut,
    "pad": shaping.pad,
    "AVERAGE_POOL_2D": windows.average_pool,
    "MAX_POOL_2D": windows.max_pool,
    "TRANSPOSE_CONV": windows.transposed_convolution,
    "convolution": windows.convolution,
    "global average": windows.global_average,
    "resize": windows.resize,
    "identity": _identity,
    "looked up": looked_up,
    "rounding": rounded,
    "rounding up": rounded_up,
}


def _same_numbers(use: Use) -> Step:
    return use.step("identity", (use.value(0),))


RULES: Mapping[str, Rule] = {
    **LAYERS,
    **SHAPING,
    "CAST": _same_numbers,
    "DEQUANTIZE": _same_numbers,
    "QUANTIZE": _same_numbers,
}

# What only moves numbers, or takes some of them: what was rounded is rounded.
MOVES = frozenset(
    [
        *(
            "BATCH_TO_SPACE_ND",
            "DEPTH_TO_SPACE",
            "EXPAND_DIMS",
            "GATHER",
            "MAX_POOL_2D",
            "PAD",
            "RESHAPE",
        ),
        *(
            "RESIZE_NEAREST_NEIGHBOR",
            "SLICE",
            "SPACE_TO_BATCH_ND",
            "SPACE_TO_DEPTH",
            "SPLIT",
            "SQUEEZE",
        ),
        *("STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK"),
    ]
)
