"""The table of ONNX's operators that networks of convolutions are made of."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from seviz.networks.formats.onnx import elementwise as e
from seviz.networks.formats.onnx import layers, quantised, resize, shapes


@dataclass(frozen=True)
class Operator:
    """How an operator is computed, and what its inputs are.

    Attributes:
        function: Takes the inputs in ONNX's order, and the attributes by name.
        roles: What weights among the inputs are called, input by input.
        sizes: Inputs that are no tensors to compute with: sizes, axes, factors.
        kept: Inputs that are tensors even where they hold one number alone.
        counted: Inputs that training counts and does not learn.
        on_sizes: Whether the function takes sizes (NumPy arrays) in place of tensors.
        versioned: Whether it has to know the opset.
        many: Whether it returns as many values as it has outputs.
    """

    function: Callable[..., Any]
    roles: tuple[str, ...] = ()
    sizes: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()
    counted: frozenset[int] = frozenset()
    on_sizes: bool = False
    versioned: bool = False
    many: bool = False

    @functools.cached_property
    def attributes(self) -> frozenset[str] | None:
        """Return the attributes that it takes; ``None`` where it takes any."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except ValueError:  # one of PyTorch's own
            return frozenset()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _layer(function: Callable[..., Any], *roles: str, counted: Sequence[int] = ()) -> Operator:
    weights = frozenset(i for i, role in enumerate(roles) if role)
    return Operator(function, roles, kept=weights, counted=frozenset(counted))


def _plain(function: Callable[..., Any], *sizes: int, **how: Any) -> Operator:
    return Operator(function, sizes=frozenset(sizes), **how)


def _sized(function: Callable[..., Any], *sizes: int, **how: Any) -> Operator:
    return Operator(function, sizes=frozenset(sizes), on_sizes=True, **how)


OPERATORS: Mapping[str, Operator] = {
    # Layers with weights.
    "BatchNormalization": _layer(
        layers.batch_norm, "", "weight", "bias", "running_mean", "running_var", counted=(3, 4)
    ),
    "Conv": _layer(layers.conv, "", "weight", "bias"),
    "ConvTranspose": _layer(layers.conv_transpose, "", "weight", "bias"),
    "Gemm": _layer(layers.gemm, "", "weight", "bias"),
    "GroupNormalization": _layer(layers.group_norm, "", "weight", "bias"),
    "InstanceNormalization": _layer(layers.instance_norm, "", "weight", "bias"),
    "LayerNormalization": _layer(layers.layer_norm, "", "weight", "bias"),
    "MatMul": Operator(layers.matmul, ("weight", "weight"), kept=frozenset({0, 1})),
    "PRelu": _layer(layers.prelu, "", "weight"),
    # Pooling and other layers without.
    "AveragePool": _plain(layers.average_pool),
    "Einsum": _plain(layers.einsum),
    "GlobalAveragePool": _plain(layers.global_average_pool),
    "GlobalMaxPool": _plain(layers.global_max_pool),
    "LRN": _plain(layers.local_response_norm),
    "LogSoftmax": _plain(layers.log_softmax, versioned=True),
    "LpNormalization": _plain(layers.lp_norm),
    "MaxPool": _plain(layers.max_pool),
    "Softmax": _plain(layers.softmax, versioned=True),
    # Functions of single numbers.
    **{name: _plain(function) for name, function in e.SINGLE.items()},
    "Abs": _sized(e.absolute),
    "Cast": _sized(e.cast),
    "CastLike": _sized(e.cast_like),
    "Ceil": _sized(e.ceil),
    "Celu": _plain(e.celu),
    "Clip": _sized(e.clip, 1, 2),
    "Dropout": _sized(e.identity, 1, 2),
    "Elu": _plain(e.elu),
    "Floor": _sized(e.floor),
    "Gelu": _plain(e.gelu),
    "HardSigmoid": _plain(e.hard_sigmoid),
    "Identity": _sized(e.identity),
    "LeakyRelu": _plain(e.leaky_relu),
    "Neg": _sized(e.negative),
    "Not": _sized(e.negation),
    "Selu": _plain(e.selu),
    "Sqrt": _sized(e.sqrt),
    "Swish": _plain(e.swish),
    "ThresholdedRelu": _plain(e.thresholded_relu),
    # Of two or more.
    "Add": _sized(e.add, roles=("bias", "bias")),
    "And": _sized(e.both),
    "Div": _sized(e.div),
    "Equal": _sized(e.equal),
    "Greater": _sized(e.greater),
    "GreaterOrEqual": _sized(e.greater_or_equal),
    "Less": _sized(e.less),
    "LessOrEqual": _sized(e.less_or_equal),
    "Max": _sized(e.maximum),
    "Mean": _plain(e.mean),
    "Min": _sized(e.minimum),
    "Mod": _sized(e.modulo),
    "Mul": _sized(e.mul),
    "Or": _sized(e.either),
    "Pow": _sized(e.power, 1),
    "Sub": _sized(e.sub, roles=("bias", "bias")),
    "Sum": _sized(e.total),
    "Where": _sized(e.where),
    # Moving numbers about.
    "Concat": _sized(shapes.concat),
    "ConstantOfShape": _sized(shapes.constant_of_shape, 0),
    "DepthToSpace": _plain(shapes.depth_to_space),
    "Expand": _sized(shapes.expand, 1),
    "Flatten": _plain(shapes.flatten),
    "Gather": _sized(shapes.gather, 1, roles=("weight",), kept=frozenset({0})),
    "Pad": _plain(shapes.pad, 1, 2, 3),
    "Range": _sized(shapes.range_, 0, 1, 2),
    "Reshape": _sized(shapes.reshape, 1),
    "Resize": _plain(resize.resize, 1, 2, 3, versioned=True),
    "Shape": _sized(shapes.shape_of),
    "Size": _sized(shapes.size_of),
    "Slice": _sized(shapes.slice_, 1, 2, 3, 4),
    "SpaceToDepth": _plain(shapes.space_to_depth),
    "Split": _sized(shapes.split, 1, many=True),
    "Squeeze": _sized(shapes.squeeze, 1),
    "Tile": _sized(shapes.tile, 1),
    "Transpose": _sized(shapes.transpose),
    "Unsqueeze": _sized(shapes.unsqueeze, 1),
    "Upsample": _plain(resize.upsample, 1),
    # Reductions.
    **{name: _sized(function, 1) for name, function in shapes.REDUCTIONS.items()},
    "ArgMax": _plain(shapes.arg_max),
    "ArgMin": _plain(shapes.arg_min),
    "TopK": _plain(shapes.top_k, 1, many=True),
    # Quantised numbers, which are computed with as the numbers that they stand for.
    "DequantizeLinear": _sized(quantised.dequantize, 1, 2),
    "DequantizeInput": _plain(quantised.dequantize_input, 1, 2),
    "QuantizeLinear": _sized(quantised.quantize, 1, 2),
    # Names of other domains for the same.
    "com.microsoft.Gelu": _plain(F.gelu),
    "com.microsoft.QuickGelu": _plain(e.swish),
}


@dataclass(frozen=True, eq=False)
class Bound:
    """A function some of whose inputs are known.

    Attributes:
        function: The function of an operator.
    """

    function: Callable[..., Any]

    def __call__(
        self, *given: Any, constants: Sequence[tuple[int, Any]] = (), **attributes: Any
    ) -> Any:
        """Compute the operator.

        Args:
            *given: Its inputs, nothing where one is known.
            constants: Positions of those that are known, and those.
            **attributes: What else it takes.
        """
        taken = list(given)
        for position, value in constants:
            taken[position] = value
        return self.function(*taken, **attributes)


FUNCTIONS: Mapping[str, Bound] = {name: Bound(row.function) for name, row in OPERATORS.items()}
