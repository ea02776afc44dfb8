"""Networks that put mean and deviation on their images themselves: it must not be done twice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

# Attributes of modules that do it: torchvision's and kornia's `Normalize`, wrappers of one's own, detectors.
_PAIRS = (
    *(("mean", "std"), ("image_mean", "image_std"), ("pixel_mean", "pixel_std")),
    *(("norm_mean", "norm_std"), ("img_mean", "img_std")),
)


def own_constants(
    model: nn.Module, channels: int
) -> tuple[str, tuple[float, ...], tuple[float, ...]] | None:
    """Return the module that normalises a network's images, and its mean and deviation.

    Args:
        model: The network.
        channels: Channels of its images.
    """
    for name, module in model.named_modules():
        for names in _PAIRS:
            mean, std = (_numbers(getattr(module, own, None), channels) for own in names)
            if mean is not None and std is not None and min(std) > 0:
                return name or type(module).__name__, mean, std
    return None


def _numbers(value: Any, channels: int) -> tuple[float, ...] | None:
    if isinstance(value, Tensor):
        if value.is_meta or value.numel() not in (1, channels):
            return None
        value = value.flatten().tolist()
    if not isinstance(value, list | tuple) or len(value) not in (1, channels):
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return None
    return tuple(float(v) for v in value)
