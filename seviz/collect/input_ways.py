"""Usual ways to prepare images, among which the one that fits a network is looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from seviz.results.input_fit import Limits
from seviz.results.preprocessing import Preprocessing

# Numbers of an image above which no size is tried: to look at one would take as long as a pass.
_LARGE = 3 * 256 * 256

_IMAGENET = Preprocessing()
# Constants that networks are trained with: pixels 0 to 1, 0 to 255, -1 to 1; those of ImageNet and of
# CIFAR-10; ImageNet's mean alone taken off pixels 0 to 255, as Caffe's networks want it.
_CONSTANTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "pixels from 0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "pixels from 0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "pixels from -1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet's mean and std": (_IMAGENET.mean, _IMAGENET.std),
    "CIFAR-10's mean and std": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "ImageNet's mean off pixels from 0 to 255": (_IMAGENET.mean, (1 / 255,) * 3),
}


@dataclass(frozen=True)
class Way:
    """One way to prepare images.

    Attributes:
        name: What it is, in words; empty for the way that is taken.
        prepared: How.
    """

    name: str
    prepared: Preprocessing

    def options(self, given: Preprocessing) -> str:
        """Return the options that turn the given way into this one."""
        mine = self.prepared
        words = []
        if mine.input_size != given.input_size:
            words.append(f"--input-size {_numbers(mine.input_size)}")
        if mine.crop_pct != given.crop_pct and mine.input_size == given.input_size:
            words.append(f"--crop-pct {mine.crop_pct:g}")
        if mine.crop_mode != given.crop_mode:
            words.append(f"--crop-mode {mine.crop_mode}")
        if mine.channel_order != given.channel_order:
            words.append(f"--channel-order {mine.channel_order}")
        if (mine.mean, mine.std) != (given.mean, given.std):
            words.append(f"--mean {_numbers(mine.mean)} --std {_numbers(mine.std)}")
        return " ".join(words)


def other_constants(base: Preprocessing, *, every: bool = True) -> list[Way]:
    """Return the usual constants and orders of colours, those of ``base`` left out.

    Args:
        base: What is taken.
        every: Whether other constants in another order are wanted too.
    """
    channels = base.input_size[0]
    ways = []
    other = {"rgb": "bgr", "bgr": "rgb"}[base.channel_order]
    if channels >= 3:
        name = other.upper()
        ways = [
            Way(name, base.changed(channel_order=other)),
            Way(f"{name}, mean and std as they are", replace(base, channel_order=other)),
        ]
    for name, (mean, std) in _CONSTANTS.items():
        colours = Preprocessing((3, *base.input_size[1:]), mean, std).for_channels(channels)
        for order in ("rgb", "bgr") if channels >= 3 and every else (base.channel_order,):
            ordered = colours.changed(channel_order=order)
            constants = replace(base, mean=ordered.mean, std=ordered.std, channel_order=order)
            said = name if order == "rgb" else f"{name}, BGR"
            ways.append(Way(said, constants))
    distinct: dict[Preprocessing, Way] = {}
    for way in ways:
        distinct.setdefault(way.prepared, way)
    distinct.pop(base, None)
    return list(distinct.values())


def other_shapes(
    base: Preprocessing, own: tuple[int, int] | None, *, every: bool
) -> list[list[Way]]:
    """Return other sizes, and, if every one is wanted, other crops after them.

    Args:
        base: What is taken.
        own: Height and width of the images, if all have one.
        every: Whether every one is wanted.
    """
    channels, _, _ = base.input_size

    def sized(size: tuple[int, int], name: str) -> list[Way]:
        if size == base.input_size[1:] or channels * prod(size) > _LARGE:
            return []
        changed = replace(base, input_size=(channels, *size), crop_pct=1.0)
        return [Way(f"{in_pixels(size)}{name}", changed)]

    first = sized(own, ", the size of the images") if own is not None else []
    for size in twofold(base):
        first += sized(size, "")
    distinct = {way.prepared: way for way in reversed(first)}
    first = list(distinct.values())
    if not every:
        return [first]
    whole, more = replace(base, crop_pct=1.0), []
    if base.crop_mode == "squash":
        more.append(Way("not stretched", replace(whole, crop_mode="center")))
    else:
        more.append(Way("stretched", replace(whole, crop_mode="squash")))
    if base.crop_pct < 1:
        more.append(Way("no margin cropped", whole))
    else:
        more.append(Way("a margin of an eighth cropped", replace(base, crop_pct=0.875)))
    return [first, more]


def twofold(base: Preprocessing) -> list[tuple[int, int]]:
    """Return half and twice the height and width that are taken.

    >>> twofold(Preprocessing((3, 32, 48)))
    [(16, 24), (64, 96)]
    """
    _, height, width = base.input_size
    sizes = (height // 2, width // 2), (2 * height, 2 * width)
    return [size for size in sizes if min(size) > 0]


def in_pixels(size: tuple[int, int]) -> str:
    """Return a size in words.

    >>> in_pixels((16, 24))
    '16 x 24 pixels'
    """
    return f"{size[0]} x {size[1]} pixels"


def best_of(
    own: tuple[Way, float], others: list[tuple[Way, float]], limits: Limits
) -> tuple[Way, float]:
    """Return the way whose constants fit clearly better, one that keeps the order of colours if it can.

    Args:
        own: What is taken otherwise, and its misfit.
        others: Ways with other constants, and theirs.
        limits: What is clear.
    """
    base, here = own
    order = base.prepared.channel_order
    found = min(others, key=lambda other: other[1], default=own)
    least = found[1]
    if here <= limits.negligible or least >= limits.clearly * here:
        return own
    same = [other for other in others if other[0].prepared.channel_order == order]
    kept = min(same, key=lambda other: other[1], default=found)
    as_good = kept[1] <= max(limits.negligible, least / limits.clearly) and kept[1] < here
    way, value = kept if as_good else found
    return (way if not base.name else Way(f"{base.name}, {way.name}", way.prepared)), value


class Normalising:
    """Puts mean, deviation and order of the colours on pixels.

    Args:
        prepared: Which.
        device: Where the pixels are.
    """

    def __init__(self, prepared: Preprocessing, device: torch.device) -> None:
        self._turned = prepared.channel_order == "bgr"
        std = torch.tensor(prepared.std, dtype=torch.float64)
        # Made on the host: nothing waits for the device.
        self._scale, self._shift = (
            values.float().view(1, -1, 1, 1).to(device, non_blocking=True)
            for values in (1 / std, -torch.tensor(prepared.mean, dtype=torch.float64) / std)
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return RGB pixels 0 to 1 [N, C, H, W] as the network gets them."""
        if self._turned and pixels.shape[1] >= 3:
            pixels = torch.cat([pixels[:, :3].flip(1), pixels[:, 3:]], 1)
        return torch.addcmul(self._shift, pixels, self._scale)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{v:.4g}" for v in values)
