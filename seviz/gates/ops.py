"""ATen operators by what they do to a gate on its way from the squeeze to the multiplication.

Names are overload packets without the trailing underscore of the in-place form. The table is closed:
an operator that is in none of the sets counts as elementwise if it keeps the number of elements.
"""

from __future__ import annotations

MULTIPLY = frozenset({"mul", "addcmul"})

# Reductions over dimensions given as the second argument.
REDUCE = frozenset(
    [
        "mean",
        "sum",
        "nansum",
        "amax",
        "amin",
        "max",
        "min",
        "logsumexp",
        "norm",
        "linalg_vector_norm",
        "var",
        "std",
        "median",
    ]
) | {"var_mean", "std_mean"}
# Pooling over the trailing dimensions; a squeeze only where it leaves one element in each.
POOL = frozenset(
    f"{kind}_pool{n}d" for kind in ("adaptive_avg", "avg", "adaptive_max", "max") for n in (1, 2, 3)
) | {
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "mkldnn_max_pool2d",
}
AVERAGE = frozenset({"mean", "sum"}) | {p for p in POOL if "avg" in p}
MAXIMUM = frozenset({"amax", "max"}) | {p for p in POOL if "max" in p}

# The same numbers in another shape, order, type or multiplicity.
VIEW = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "unsqueeze",
        "squeeze",
        "expand",
        "permute",
        "transpose",
        "t",
        "flatten",
        "unflatten",
        "clone",
        "contiguous",
        "alias",
        "detach",
        "_to_copy",
        "to",
        "movedim",
        "view_as",
        "expand_as",
        "reshape_as",
        "lift_fresh",
        "_reshape_alias",
        "swapaxes",
        "dropout",
        "native_dropout",
    ]
)
# As above, but every number may come out several times.
REPEAT = frozenset(
    ["repeat", "tile", "upsample_nearest2d", "upsample_bilinear2d", "_upsample_nearest_exact2d"]
)
# Some of the numbers.
SELECT = frozenset(
    [
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "unbind",
        "narrow",
        "tensor_split",
        "index_select",
    ]
)
STRUCTURE = VIEW | REPEAT | SELECT

CONVOLUTION = frozenset(
    [
        "convolution",
        "conv1d",
        "conv2d",
        "conv3d",
        "_convolution",
        "mkldnn_convolution",
        "_conv_depthwise2d",
    ]
)
LINEAR = CONVOLUTION | {
    "addmm",
    "mm",
    "bmm",
    "baddbmm",
    "linear",
    "matmul",
    "mkldnn_linear",
    "addmv",
    "mv",
}
JOIN = frozenset({"cat", "stack"})
NORM = frozenset(
    [
        "native_batch_norm",
        "_native_batch_norm_legit_no_training",
        "_native_batch_norm_legit",
        "batch_norm",
        "cudnn_batch_norm",
        "miopen_batch_norm",
        "_batch_norm_with_update",
        "_batch_norm_no_update",
        "_batch_norm_impl_index",
        "native_layer_norm",
        "layer_norm",
        "native_group_norm",
        "group_norm",
    ]
)
SOFTMAX = frozenset({"softmax", "_softmax", "_safe_softmax"})
ATTENTION = frozenset(
    f"_scaled_dot_product_{how}"
    for how in (
        "flash_attention",
        "flash_attention_for_cpu",
        "efficient_attention",
        "cudnn_attention",
        "attention_math",
        "fused_attention_overrideable",
    )
) | {"scaled_dot_product_attention"}
