"""ONNX's Resize, of which PyTorch knows the common forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seviz.networks.formats.onnx.shapes import whole_numbers


def resize(
    x: Tensor,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
    opset: int = 11,
    **unused: Any,
) -> Tensor:
    """Return a map of another size.

    Args:
        x: [N, C, H, W].
        roi: Of no meaning without ``tf_crop_and_resize``.
        scales: Factor of each axis, or nothing.
        sizes: Size of each axis, or nothing.
        mode: ``nearest``, ``linear`` or ``cubic``.
        coordinate_transformation_mode: How a pixel's place is told from its number.
        nearest_mode: How places are rounded.
        cubic_coeff_a: Of the cubic filter.
        antialias: Whether a filter is stretched where the map shrinks.
        axes: Those that are named by scales and sizes; all by default.
        keep_aspect_ratio_policy: ``stretch``.
        opset: Version of ONNX's operators.
        unused: Attributes without meaning here.

    Raises:
        NotImplementedError: For a form that networks do not have.
    """
    if opset < 11:  # two inputs, and pixels told by their corners
        scales, coordinate_transformation_mode, nearest_mode = roi, "asymmetric", "floor"
    rank = x.dim()
    along = [a % rank for a in axes] if axes is not None else list(range(rank))
    given = whole_numbers(sizes) if sizes is not None else []
    if given:
        target = [given[along.index(a)] if a in along else x.shape[a] for a in range(rank)]
        factors = [t / s for t, s in zip(target, x.shape, strict=True)]
    else:
        told = [float(f) for f in whole_numbers(scales)]
        factors = [told[along.index(a)] if a in along else 1.0 for a in range(rank)]
        target = [s if f == 1 else int(s * f) for s, f in zip(x.shape, factors, strict=True)]
    if factors[:2] != [1, 1] or keep_aspect_ratio_policy != "stretch":
        raise NotImplementedError("a Resize of other axes than height and width")
    size = target[2:]
    filters = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
    filter_, how = filters[mode], coordinate_transformation_mode
    if how == "pytorch_half_pixel" and all(n > 1 for n in size):
        how = "half_pixel"
    if filter_ == "nearest":
        doubles = all(f == int(f) for f in factors)
        plain = (how, nearest_mode) == ("asymmetric", "floor")
        same = how == "half_pixel" and nearest_mode.startswith("round_prefer")
        if rank == 4 and (plain or (doubles and same)):
            return F.interpolate(x, size, mode="nearest")
    elif rank == 4 and (mode == "linear" or cubic_coeff_a == -0.75):
        if how == "half_pixel":
            return F.interpolate(
                x, size, mode=filter_, align_corners=False, antialias=bool(antialias)
            )
        if how == "align_corners" and not antialias:
            return F.interpolate(x, size, mode=filter_, align_corners=True)
    if mode == "cubic" or antialias or how == "tf_crop_and_resize":
        raise NotImplementedError(f"a Resize of mode {mode} with {how}")
    for axis in range(2, rank):
        if target[axis] != x.shape[axis]:
            places = _places(x, axis, target[axis], factors[axis], how)
            x = _picked(x, axis, places, nearest_mode if mode == "nearest" else None)
    return x


def _places(x: Tensor, axis: int, size: int, factor: float, how: str) -> Tensor:
    """Return for each pixel of the result where it lies in the map."""
    number = torch.arange(size, dtype=torch.float64, device=x.device)
    if how == "asymmetric":
        return number / factor
    if how == "align_corners":
        return number * ((x.shape[axis] - 1) / max(size - 1, 1))
    if how == "half_pixel_symmetric":
        shift = x.shape[axis] / 2 * (1 - size / (factor * x.shape[axis]))
        return shift + (number + 0.5) / factor - 0.5
    return (number + 0.5) / factor - 0.5 if size > 1 or how == "half_pixel" else number * 0


def _picked(x: Tensor, axis: int, places: Tensor, rounding: str | None) -> Tensor:
    last = x.shape[axis] - 1
    if rounding is not None:
        rounded = {
            "floor": places.floor(),
            "ceil": places.ceil(),
            "round_prefer_floor": (places - 0.5).ceil(),
            "round_prefer_ceil": (places + 0.5).floor(),
        }[rounding]
        return x.index_select(axis, rounded.clamp(0, last).long())
    places = places.clamp(0, last)
    below = places.floor()
    share = (places - below).to(x.dtype).reshape(-1, *[1] * (x.dim() - axis - 1))
    lower = x.index_select(axis, below.long())
    upper = x.index_select(axis, (below + 1).clamp(max=last).long())
    return lower * (1 - share) + upper * share


def upsample(x: Tensor, scales: Any = None, *, mode: str = "nearest", **attributes: Any) -> Tensor:
    """Return a larger map, as Resize of opset 10 does."""
    scales = attributes.get("scales", scales)
    return resize(x, scales, mode=mode.replace("bilinear", "linear"), opset=10)
