"""Does the input fit the network? A few images, before the pass, tell; and if not, which way would.

Before the pass, since nobody wants to wait for numbers of images that the network cannot read. The images
are drawn over the whole source, since its first ones are mostly of one class; they are the same ones however
a pass is divided among processes, resumed or repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from seviz.collect.fast import full_float32
from seviz.collect.input_ways import (
    Normalising,
    Way,
    best_of,
    in_pixels,
    other_constants,
    other_shapes,
    twofold,
)
from seviz.collect.observers.norm_inputs import NormInputs, first_norms, is_new, memory
from seviz.collect.placing import in_its_place
from seviz.collect.prepared import Prepared
from seviz.collect.streaming import Stream
from seviz.data import Batches, make_batches
from seviz.gates import evaluating
from seviz.networks.forms import other_form
from seviz.networks.given import fed
from seviz.results.input_fit import ENOUGH, FEWEST, InputFit, Limits, OtherNetwork
from seviz.results.preprocessing import Preprocessing

# Norms that are looked at: in front of the first alone a size twice too large hardly shows.
NORMS = 6
# At most so many images, and no more than a sixteenth of a pass where that is enough.
MOST, SHARE = 128, 16
_ALL = 10_000
_SEED, _BATCH = 0, 32
# Images that are opened to learn whether all have one size.
_SIZED = 8

_SIZES = "half or twice the size"
_NONE = "it has no batch norm whose input can be seen"


def check_input(ready: Prepared) -> InputFit:
    """Return how well the images of a pass, as they will be prepared, fit the network.

    Costs the first layers for 128 images, a few times.

    Args:
        ready: The pass; its network is moved to the device of the pass.
    """
    norms = [module for module in ready.loaded.model.modules() if memory(module) is not None]
    if not norms:
        return InputFit(unknown=_NONE)
    if all(map(is_new, norms)):
        return InputFit(unknown="its batch norms have seen no images: it is not trained")
    try:
        with (
            in_its_place(ready.loaded),
            evaluating(ready.loaded.model),
            full_float32(ready.device),
        ):
            ready.loaded.model.to(ready.device)
            if isinstance(ready.source, Stream):
                return _of_loader(ready, ready.source)
            return replace(_Check(ready).result(), other=_of_the_other(ready))
    except torch.OutOfMemoryError:
        return InputFit(unknown="the memory is not enough; give a smaller --batch-size")
    except Exception as exc:  # a check ends no pass: whatever is wrong with it, that will tell
        reason = " ".join(str(exc).split())[:100]
        return InputFit(unknown=f"{type(exc).__name__}: {reason}")


def _of_the_other(ready: Prepared) -> OtherNetwork | None:
    """Return how the images fit the other network, where the weights fit two and nobody said which."""
    found = other_form(ready.loaded)
    if found is None:
        return None
    option, model = found
    prepared = ready.loaded.preprocessing
    of_the_other = replace(ready, loaded=replace(ready.loaded, model=model))
    values = [misfits(one, prepared, norms=_ALL) for one in (of_the_other, ready)]
    drawn = _Drawn(ready, MOST)
    chance = drawn.limits(drawn.images).negligible
    there, here = map(_mean, values)
    return OtherNetwork(option, there, here, chance) if all(values) else None


def _of_loader(ready: Prepared, stream: Stream) -> InputFit:
    """Return how well the first batch of a loader fits: it comes prepared, so no other way is tried."""
    parts = stream.parts
    images, _ = fed(parts, ready.loaded.model, stream.loader.output)
    if not isinstance(images, Tensor):
        return InputFit(unknown="it takes several inputs")
    if len(images) < FEWEST:
        return _too_few(len(images))
    seen = NormInputs(ready.loaded.model, NORMS)
    with torch.inference_mode():
        for begin in range(0, min(len(images), MOST), _BATCH):
            seen.update(images[begin : min(begin + _BATCH, MOST)].to(ready.device))
    found = seen.compute()
    if not found:
        return InputFit(unknown=_NONE)
    count = min(len(images), MOST)
    classes = len({str(label) for label in parts.labels[:count]}) if parts.labels is not None else 1
    limits = Limits.of(count, classes, ready.found.outputs)
    return InputFit(count, len(found), found[0], _mean(found), limit=limits.misfit)


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
        assert not isinstance(ready.source, Stream), "of a loader there is no drawing"
        self._ready, self._source = ready, ready.source
        self._total = self._every(ready.loaded.preprocessing).total
        most = min(MOST, max(ENOUGH, self._total // SHARE)) if images is None else images
        self.images = min(most, self._total)

    def limits(self, images: int) -> Limits:
        """Return what is a misfit of so many of them."""
        return Limits.of(images, len(self._ready.match.table), self._ready.found.outputs)

    def batches(self, prepared: Preprocessing) -> Iterator[Tensor]:
        """Yield them as they are prepared in some way."""
        for batch in self._every(prepared).only(range(self.images)):
            yield batch.images.to(self._ready.device, non_blocking=True)

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Return height and width, if a few images, from all over the source, have the same."""
        ready = self._ready
        chosen = np.flatnonzero(ready.match.row_of_folder[self._source.labels] >= 0)
        sizes = set()
        for index in chosen[np.linspace(0, len(chosen) - 1, _SIZED).astype(int)]:
            try:
                image = self._source.image(int(index))
            except Exception:  # whatever is wrong with it, the pass will tell
                continue
            sizes.add((image.height, image.width))
        return sizes.pop() if len(sizes) == 1 else None

    def _every(self, prepared: Preprocessing) -> Batches:
        ready, options = self._ready, self._ready.options
        return make_batches(
            self._source,
            ready.match,
            prepared,
            batch_size=min(_BATCH, options.batch_size or _BATCH),
            workers=0,
            num_samples=options.num_samples,
            seed=_SEED,
            pin_memory=ready.device.type == "cuda",
        )


@dataclass(frozen=True)
class _Looked:
    """What was found in front of the norms for images that are prepared in some way.

    Attributes:
        images: Images that were looked at.
        misfits: Misfit in front of each of the first norms.
        best: The way with those of the usual constants that fit clearly better in front of the first norm;
            else the way itself.
        value: Its misfit there.
        alike: Names of ways with others of the usual constants that fit about as well.
    """

    images: int
    misfits: list[float]
    best: Way
    value: float
    alike: list[str]


class _Check:
    """The check of one pass."""

    def __init__(self, ready: Prepared) -> None:
        self._model, self._given = ready.loaded.model, ready.loaded.preprocessing
        self._device = ready.device
        self._drawn = _Drawn(ready)
        self._limits = self._drawn.limits(self._drawn.images)
        self._norms: Sequence[nn.Module] | None = None

    def result(self) -> InputFit:
        """Return what was found."""
        if self._drawn.images < FEWEST:
            return _too_few(self._drawn.images)
        seen = self._looked(Way("", self._given))
        if seen is None:
            return InputFit(unknown=_NONE)
        if seen.images < FEWEST:  # some cannot be read
            return _too_few(seen.images)
        fit = InputFit(seen.images, len(seen.misfits), seen.misfits[0], _mean(seen.misfits))
        return self._compared(replace(fit, limit=self._limits.misfit), seen)

    def _compared(self, fit: InputFit, seen: _Looked) -> InputFit:
        """Return the fit with the usual way that is clearly better, or with those that are as good."""
        shaped, as_good = self._reshaped(fit, seen.best)
        if shaped is not None:
            return shaped
        if seen.best.name:
            return self._bettered(fit, seen.best, seen.value, fit.first)
        return replace(fit, alike=(*seen.alike, *as_good) if fit.verdict == "fits" else ())

    def _reshaped(self, fit: InputFit, here: Way) -> tuple[InputFit | None, list[str]]:
        """Return the fit with another size or crop, if that is clearly better; else those as good."""
        limits = self._limits
        now = self._misfit(here.prepared) if here.name else fit.misfit
        if now <= limits.negligible:  # no size could be better, nor told from this one
            return None, [_SIZES]
        as_good: list[str] = []
        tried: set[tuple[int, ...]] = set()
        gross = fit.verdict == "does not fit"
        for ways in other_shapes(self._given, self._drawn.size, every=gross):
            found: list[tuple[Way, float]] = []
            for way in ways:
                with suppress(Exception):  # a network that takes no other size
                    found.append(self._shaped(way))
            chosen, value = min(found, key=lambda f: f[1], default=(here, 1.0))
            if value < limits.clearly * now:
                return self._bettered(fit, chosen, value, now), []
            as_good += _alike(now, found, limits)
            tried.update(way.prepared.input_size[1:] for way, _ in found)
        # Too large to be tried, or nothing that this network takes: what was not seen is not told apart.
        unseen = [in_pixels(size) for size in twofold(self._given) if size not in tried]
        return None, as_good + [f"{size} (not tried)" for size in unseen]

    def _shaped(self, way: Way) -> tuple[Way, float]:
        """Return the way with the constants that fit best, and its misfit."""
        seen = self._looked(way)
        assert seen is not None
        best = seen.best
        return best, _mean(seen.misfits) if best is way else self._misfit(best.prepared)

    def _bettered(self, fit: InputFit, way: Way, misfit: float, than: float) -> InputFit:
        options = way.options(self._given)
        return replace(fit, better=way.name, options=options, better_misfit=misfit, than=than)

    def _looked(self, way: Way) -> _Looked | None:
        """Return what is found for images as they are prepared, and with other constants.

        Where the constants fit, the others are tried on the first images alone: they can be no better, and
        to learn which are as good is not worth a pass.

        Returns:
            ``None`` where no norm is met.
        """
        limits, base = self._limits, way.prepared
        channels = base.input_size[0]
        plain = replace(base, mean=(0.0,) * channels, std=(1.0,) * channels, channel_order="rgb")
        normalised = Normalising(base, self._device)
        seen, few = None, []
        for pixels in self._drawn.batches(plain):
            if seen is None:
                few = [pixels]
                if self._norms is None:
                    self._norms = first_norms(self._model, normalised(pixels[:1]))
                seen = NormInputs(self._model, NORMS, self._norms)
            seen.update(normalised(pixels))
        misfits = seen.compute() if seen is not None else []
        if seen is None or not misfits:
            return None
        if misfits[0] <= limits.negligible:
            own, *others = self._screened([way, *other_constants(base, every=False)], few)
            alike = _alike(own[1], others, limits)
            return _Looked(seen.images, misfits, way, misfits[0], alike)
        ways = [way, *other_constants(base)]
        own, *others = self._screened(ways, self._drawn.batches(plain))
        best, value = best_of(own, others, limits)
        return _Looked(seen.images, misfits, best, value, _alike(own[1], others, limits))

    def _screened(self, ways: list[Way], pixels: Iterable[Tensor]) -> list[tuple[Way, float]]:
        """Return the misfit in front of the first norm of ways that differ in their constants.

        The images are read once: mean, deviation and order of the colours are put on afterwards.
        """
        made = [Normalising(way.prepared, self._device) for way in ways]
        seen = [NormInputs(self._model, 1, self._norms) for _ in ways]
        for batch in pixels:
            for normalised, inputs in zip(made, seen, strict=True):
                inputs.update(normalised(batch))
        return [(way, _mean(inputs.compute())) for way, inputs in zip(ways, seen, strict=True)]

    def _misfit(self, prepared: Preprocessing) -> float:
        seen = NormInputs(self._model, NORMS, self._norms)
        for batch in self._drawn.batches(prepared):
            seen.update(batch)
        return _mean(seen.compute())


def _too_few(images: int) -> InputFit:
    said = f"{images} image{'s' * (images != 1)} of {FEWEST} that it needs"
    return InputFit(images=images, unknown=said)


def _alike(own: float, others: list[tuple[Way, float]], limits: Limits) -> list[str]:
    """Return the names of other ways that are not clearly worse, and would be no alarm."""
    most = min(limits.misfit, max(limits.negligible, own / limits.clearly))
    return [way.name for way, value in others if value <= most]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
