"""Does the input fit the network? A few images, before the pass, tell; and if not, which way would.

Before the pass, since nobody wants to wait for numbers of images that the network cannot read. The images
are drawn over the whole source, since its first ones are mostly of one class; they are the same ones however
a pass is divided among processes, resumed or repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

from seviz.collect.fast import full_float32
from seviz.collect.observers.norm_inputs import NormInputs, memory
from seviz.collect.prepare import Prepared
from seviz.data import Batches, make_batches
from seviz.gates import evaluating
from seviz.results.input_fit import FEWEST, InputFit, Limits
from seviz.results.preprocessing import Preprocessing

# Norms that are looked at: in front of the first alone a size twice too large hardly shows.
NORMS = 6
# At most so many images, and no more than a sixteenth of a pass where that is enough.
MOST, SHARE = 128, 16
# Numbers of an image above which no larger size is tried; and above which one is, but only in need.
_LARGE, _SMALL = 3 * 256 * 256, 3 * 64 * 64
_SEED, _BATCH = 0, 32
# Images that are opened to learn whether all have one size.
_SIZED = 8

_NONE = "it has no batch norm whose input can be seen"

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
        name: What it is, in words.
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


def check_input(ready: Prepared) -> InputFit:
    """Return how well the images of a pass, as they will be prepared, fit the network.

    Costs the first layers for 128 images, a few times.

    Args:
        ready: The pass; its network is moved to the device of the pass.
    """
    if not any(memory(module) is not None for module in ready.loaded.model.modules()):
        return InputFit(unknown=_NONE)
    ready.loaded.model.to(ready.device)
    try:
        with evaluating(ready.loaded.model), full_float32(ready.device):
            return _Check(ready).result()
    except torch.OutOfMemoryError:
        return InputFit(unknown="the memory is not enough; give a smaller --batch-size")


def misfits(
    ready: Prepared, prepared: Preprocessing, *, images: int = MOST, norms: int = NORMS
) -> list[float]:
    """Return the misfit in front of each of the first norms, for images of a pass prepared in some way.

    Over all norms it tells networks apart that differ in what they compute and not in their weights.

    Args:
        ready: The pass; its network is moved to the device of the pass.
        prepared: How its images are prepared.
        images: At most so many.
        norms: At most so many.

    Returns:
        Nothing where the network has no batch norm.
    """
    model = ready.loaded.model.to(ready.device)
    seen = NormInputs(model, norms)
    with evaluating(model), full_float32(ready.device):
        for batch in _Drawn(ready, images).batches(prepared):
            seen.update(batch)
    return seen.compute()


class _Drawn:
    """Some images of a pass, the same ones at each call."""

    def __init__(self, ready: Prepared, images: int | None = None) -> None:
        self._ready = ready
        self._total = self._every(ready.loaded.preprocessing).total
        most = min(MOST, max(FEWEST, self._total // SHARE)) if images is None else images
        self.images = min(most, self._total)

    @property
    def classes(self) -> int:
        """Return of how many classes the images of the pass are."""
        return len(self._ready.match.table)

    def batches(self, prepared: Preprocessing) -> Iterator[Tensor]:
        """Yield them as they are prepared in some way."""
        for batch in self._every(prepared).only(range(self.images)):
            yield batch.images.to(self._ready.device)

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Return height and width, if a few images, from all over the source, have the same."""
        ready = self._ready
        chosen = np.flatnonzero(ready.match.row_of_folder[ready.source.labels] >= 0)
        sizes = set()
        for index in chosen[np.linspace(0, len(chosen) - 1, _SIZED).astype(int)]:
            try:
                image = ready.source.image(int(index))
            except Exception:  # whatever is wrong with it, the pass will tell
                continue
            sizes.add((image.height, image.width))
        return sizes.pop() if len(sizes) == 1 else None

    def _every(self, prepared: Preprocessing) -> Batches:
        ready, options = self._ready, self._ready.options
        return make_batches(
            ready.source,
            ready.match,
            prepared,
            batch_size=min(_BATCH, options.batch_size or _BATCH),
            workers=0,
            num_samples=options.num_samples,
            seed=_SEED,
        )


class _Check:
    """The check of one pass."""

    def __init__(self, ready: Prepared) -> None:
        self._model, self._given = ready.loaded.model, ready.loaded.preprocessing
        self._drawn = _Drawn(ready)
        self._limits = Limits.of(self._drawn.images, self._drawn.classes, ready.found.outputs)

    def result(self) -> InputFit:
        """Return what was found."""
        if self._drawn.images < FEWEST:
            return _too_few(self._drawn.images)
        seen = NormInputs(self._model, NORMS)
        measured = self._fed(seen, self._drawn.batches(self._given))
        if not measured:
            return InputFit(unknown=_NONE)
        if not seen.is_trained:
            return InputFit(unknown="its batch norms have seen no images: it is not trained")
        if seen.images < FEWEST:  # some cannot be read
            return _too_few(seen.images)
        found = InputFit(seen.images, len(measured), measured[0], _mean(measured))
        return self._compared(replace(found, limit=self._limits.misfit))

    def _compared(self, fit: InputFit) -> InputFit:
        """Return the fit with the usual way that is clearly better, or with those that are as good."""
        limits = self._limits
        own, others = self._screened(self._given)
        constants = _best(Way("", self._given), own, others, limits)
        alike = [w.name for w, v in others if v <= max(limits.negligible, own / limits.clearly)]
        shaped, as_good = self._reshaped(fit, constants)
        if shaped is not None:
            return shaped
        if constants.name and fit.first > limits.negligible:
            return self._bettered(fit, constants, dict(others)[constants], own)
        return replace(fit, alike=(*alike, *as_good))

    def _reshaped(self, fit: InputFit, here: Way) -> tuple[InputFit | None, list[str]]:
        """Return the fit with another size or crop, if that is clearly better; else those as good."""
        limits, now = self._limits, fit.misfit
        as_good: list[str] = []
        for ways in _shapes(self._given, self._drawn.size, every=fit.verdict == "does not fit"):
            if ways and here.name and now == fit.misfit:
                now = self._measured(here.prepared, NORMS)
            if now <= limits.negligible:
                return None, as_good
            found: list[tuple[Way, float]] = []
            for way in ways:
                with suppress(Exception):  # a network that takes no other size
                    best = _best(way, *self._screened(way.prepared), limits)
                    found.append((best, self._measured(best.prepared, NORMS)))
            best, value = min(found, key=lambda f: f[1], default=(here, 1.0))
            if value < limits.clearly * now:
                return self._bettered(fit, best, value, now), []
            as_good += [
                w.name for w, v in found if v <= max(limits.negligible, now / limits.clearly)
            ]
        return None, as_good

    def _bettered(self, fit: InputFit, way: Way, misfit: float, than: float) -> InputFit:
        options = way.options(self._given)
        return replace(fit, better=way.name, options=options, better_misfit=misfit, than=than)

    def _screened(self, base: Preprocessing) -> tuple[float, list[tuple[Way, float]]]:
        """Return the misfit in front of the first norm, and that with each other of the usual constants.

        The images are read once: mean, deviation and order of the colours are put on afterwards.
        """
        channels = base.input_size[0]
        plain = replace(base, mean=(0.0,) * channels, std=(1.0,) * channels, channel_order="rgb")
        ways = [Way("", base), *_constants(base)]
        seen = {way: NormInputs(self._model, 1) for way in ways}
        for pixels in self._drawn.batches(plain):
            for way in ways:
                seen[way].update(_normalised(pixels, way.prepared))
        found = [(way, _mean(seen[way].compute())) for way in ways]
        return found[0][1], found[1:]

    def _measured(self, prepared: Preprocessing, norms: int) -> float:
        return _mean(self._fed(NormInputs(self._model, norms), self._drawn.batches(prepared)))

    def _fed(self, seen: NormInputs, batches: Iterable[Tensor]) -> list[float]:
        for batch in batches:
            seen.update(batch)
        return seen.compute()


def _too_few(images: int) -> InputFit:
    said = f"{images} image{'s' * (images != 1)} of {FEWEST} that it needs"
    return InputFit(images=images, unknown=said)


def _constants(base: Preprocessing) -> list[Way]:
    """Return the usual constants and orders of colours, those of ``base`` left out."""
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
        for order in ("rgb", "bgr") if channels >= 3 else ("rgb",):
            ordered = colours.changed(channel_order=order)
            constants = replace(base, mean=ordered.mean, std=ordered.std, channel_order=order)
            said = name if order == "rgb" else f"{name}, BGR"
            ways.append(Way(said, constants))
    distinct: dict[Preprocessing, Way] = {}
    for way in ways:
        distinct.setdefault(way.prepared, way)
    distinct.pop(base, None)
    return list(distinct.values())


def _best(base: Way, own: float, others: list[tuple[Way, float]], limits: Limits) -> Way:
    """Return the way whose constants fit clearly better, one that keeps the order of colours if it can.

    Args:
        base: What is taken otherwise.
        own: Its misfit.
        others: Ways with other constants and their misfits.
        limits: What is clear.
    """
    order = base.prepared.channel_order
    best, least = min(others, key=lambda found: found[1], default=(base, own))
    if own <= limits.negligible or least >= limits.clearly * own:
        return base
    same = [found for found in others if found[0].prepared.channel_order == order]
    kept, value = min(same, key=lambda found: found[1], default=(best, least))
    as_good = value <= max(limits.negligible, least / limits.clearly) and value < own
    chosen = kept if as_good else best
    return chosen if not base.name else Way(f"{base.name}, {chosen.name}", chosen.prepared)


def _shapes(base: Preprocessing, own: tuple[int, int] | None, *, every: bool) -> list[list[Way]]:
    """Return other sizes, and, if every one is wanted, the larger ones and other crops after them."""
    channels, height, width = base.input_size

    def sized(size: tuple[int, int], name: str) -> list[Way]:
        if size == (height, width) or min(size) < 1 or channels * prod(size) > _LARGE:
            return []
        changed = replace(base, input_size=(channels, *size), crop_pct=1.0)
        return [Way(f"{size[0]} x {size[1]} pixels{name}", changed)]

    first = sized(own, ", the size of the images") if own is not None else []
    first += sized((height // 2, width // 2), "")
    double = sized((2 * height, 2 * width), "")
    more = double if channels * height * width > _SMALL else []
    first += [] if more else double
    distinct = {way.prepared: way for way in reversed(first)}
    first = list(distinct.values())
    if not every:
        return [first]
    whole = replace(base, crop_pct=1.0)
    if base.crop_mode == "squash":
        more.append(Way("not stretched", replace(whole, crop_mode="center")))
    else:
        more.append(Way("stretched", replace(whole, crop_mode="squash")))
    if base.crop_pct < 1:
        more.append(Way("no margin cropped", whole))
    else:
        more.append(Way("a margin of an eighth cropped", replace(base, crop_pct=0.875)))
    return [first, more]


def _normalised(pixels: Tensor, prepared: Preprocessing) -> Tensor:
    """Return RGB pixels 0..1 [N, C, H, W] with mean, deviation and order of the colours."""
    order = list(range(pixels.shape[1]))
    if prepared.channel_order == "bgr" and len(order) >= 3:
        order[:3] = order[2::-1]
    mean, std = (
        torch.tensor(values, dtype=pixels.dtype, device=pixels.device).view(1, -1, 1, 1)
        for values in (prepared.mean, prepared.std)
    )
    return (pixels[:, order] - mean) / std


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{v:.4g}" for v in values)
