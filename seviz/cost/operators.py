"""The table of operators: how each one is counted.

The table is explicit. An operator that is not in it is not counted and shown as such, never taken for
zero. Names are ATen's, without overload and without the underscore of the in-place form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seviz.gates.graph import Op, Value

Counter = Callable[[Op], int]


@dataclass(frozen=True)
class Rule:
    """How an operator is counted.

    Attributes:
        kind: What its operations are: ``mac``, ``add`` (elements reduced), ``multiply``,
            ``elementwise``, ``norm``, ``pool``, ``move`` (memory but no arithmetic) or ``free`` (neither:
            another view of the same memory).
        count: Number of those operations, for the whole batch.
    """

    kind: str
    count: Counter


def _read(op: Op) -> int:
    """Return the elements of the first input."""
    return op.inputs[0].numel if op.inputs else 0


def _given(op: Op) -> int:
    """Return the elements of the first output: one operation for each."""
    return op.outputs[0].numel if op.outputs else 0


def _none(op: Op) -> int:
    return 0


def _product(first: int) -> Counter:
    """Count a matrix product whose factors are the arguments ``first`` and the next one.

    Each element of [..., m, n] is a sum over k products, [..., m, k] times [..., k, n].
    """

    def macs(op: Op) -> int:
        return op.outputs[0].numel * _argument(op, first).shape[-1]

    return macs


def _convolution(op: Op) -> int:
    """Count a convolution: outputs x (C_in / groups) x kernel; transposed, inputs in place of outputs.

    The weight is [C_out, C_in / groups, *kernel], transposed [C_in, C_out / groups, *kernel]: both
    ways, all its dimensions but the first are what each element is multiplied by.
    """
    weight = _argument(op, 1)
    transposed = op.name in {"convolution", "_convolution"} and bool(op.args[6])
    elements = _argument(op, 0).numel if transposed else op.outputs[0].numel
    return elements * math.prod(weight.shape[1:])


def _attention(op: Op) -> int:
    """Count query times key, and attention times value: [B, H, L, E], [B, H, S, E] and [B, H, S, F]."""
    query, key, value = (_argument(op, i).shape for i in range(3))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _window(op: Op) -> int:
    """Count the elements that a pooling reads, once for each window that holds them."""
    kernel = op.args[1]
    space = int(next(c for c in op.name if c.isdigit()))
    sides = [kernel] * space if isinstance(kernel, int) else list(kernel)
    return _given(op) * math.prod(sides if len(sides) == space else sides * space)


def _argument(op: Op, position: int) -> Value:
    value = op.args[position]
    assert isinstance(value, Value)
    return value


def _rules(kind: str, count: Counter, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), Rule(kind, count))


TABLE: Mapping[str, Rule] = {
    **_rules(
        "mac",
        _convolution,
        "convolution _convolution conv1d conv2d conv3d mkldnn_convolution cudnn_convolution "
        "miopen_convolution _conv_depthwise2d conv_depthwise3d",
    ),
    **_rules("mac", _product(0), "mm bmm matmul linear mkldnn_linear mv dot"),
    **_rules("mac", _product(1), "addmm baddbmm addmv"),
    **_rules(
        "mac",
        _attention,
        "_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_attention_math _scaled_dot_product_fused_attention_overrideable "
        "scaled_dot_product_attention",
    ),
    **_rules(
        "add",
        _read,
        "mean sum nansum amax amin max min logsumexp norm linalg_vector_norm var std var_mean "
        "std_mean median prod any all argmax argmin cumsum adaptive_avg_pool1d "
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d adaptive_avg_pool3d "
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
    ),
    **_rules("add", _window, "avg_pool1d avg_pool2d avg_pool3d"),
    **_rules(
        "pool",
        _window,
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices "
        "mkldnn_max_pool2d",
    ),
    **_rules("multiply", _given, "mul div addcmul true_divide multiply"),
    **_rules(
        "norm",
        _given,
        "native_batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit batch_norm "
        "cudnn_batch_norm miopen_batch_norm _batch_norm_with_update _batch_norm_no_update "
        "_batch_norm_impl_index native_layer_norm layer_norm native_group_norm group_norm "
        "_fused_rms_norm rms_norm",
    ),
    **_rules(
        "elementwise",
        _given,
        "add sub rsub neg abs square sqrt rsqrt pow exp expm1 log log1p log2 reciprocal sign relu "
        "relu6 leaky_relu _prelu_kernel prelu rrelu_with_noise elu celu selu gelu silu mish sigmoid "
        "log_sigmoid_forward hardsigmoid hardswish hardtanh hardshrink softshrink softplus tanh sin "
        "cos tan atan erf glu _softmax _safe_softmax softmax _log_softmax log_softmax clamp clamp_min "
        "clamp_max maximum minimum lerp threshold where masked_fill floor ceil round frac "
        "remainder fmod floor_divide eq ne gt ge lt le logical_and logical_or logical_not "
        "bitwise_and bitwise_or bitwise_not isnan addcdiv upsample_nearest1d upsample_nearest2d "
        "upsample_nearest3d _upsample_nearest_exact2d upsample_bilinear2d upsample_bicubic2d "
        "upsample_linear1d upsample_trilinear3d dropout native_dropout bernoulli _weight_norm_interface",
    ),
    **_rules(
        "move",
        _none,
        "clone contiguous copy _to_copy to cat stack repeat tile constant_pad_nd reflection_pad1d "
        "reflection_pad2d replication_pad1d replication_pad2d _unsafe_index index index_select "
        "index_put gather scatter embedding roll flip pixel_shuffle pixel_unshuffle channel_shuffle "
        "native_channel_shuffle im2col col2im tril triu repeat_interleave",
    ),
    **_rules(
        "free",
        _none,
        "view _unsafe_view reshape _reshape_alias view_as reshape_as unsqueeze squeeze expand "
        "expand_as permute transpose t movedim swapaxes flatten unflatten alias detach lift_fresh "
        "slice select split split_with_sizes chunk unbind narrow tensor_split unfold as_strided "
        "diagonal _conj empty empty_like empty_strided new_empty new_empty_strided zeros zeros_like "
        "new_zeros ones ones_like new_ones full full_like new_full fill zero arange linspace "
        "scalar_tensor eye _local_scalar_dense item is_same_size sym_size sym_numel sym_stride "
        "_assert_async _assert_tensor_metadata set meshgrid",
    ),
}
WINDOWED_POOL = frozenset(name for name, rule in TABLE.items() if rule.kind == "pool") | {
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
}


def is_constant(op: Op) -> bool:
    """Return whether an operator works on parameters alone."""
    return bool(op.inputs) and not op.activations


def moves_memory(op: Op) -> bool:
    """Return whether an operator reads and writes memory; views do not."""
    return op.name in TABLE and TABLE[op.name].kind != "free"


def stored(value: Value) -> int:
    """Return the elements that a tensor has in memory: what is expanded is there once.

    >>> stored(Value(shape=(2, 8, 4, 4), stride=(8, 1, 0, 0), floating=True))
    16
    """
    return math.prod(n for n, step in zip(value.shape, value.stride, strict=True) if step)


def elements_of_maps(op: Op) -> int:
    """Return the elements that an operator reads and writes, those of parameters left out."""
    written = op.outputs[:1] if TABLE[op.name].kind == "norm" else op.outputs
    read = op.inputs if is_constant(op) else op.activations
    return sum(map(stored, set(read))) + sum(map(stored, written))


def elements_of_parameters(op: Op) -> int:
    """Return the elements of the parameters that an operator reads beside its maps."""
    return 0 if is_constant(op) else sum(map(stored, set(op.parameters)))
