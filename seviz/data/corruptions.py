"""Images made worse in known ways and degrees, before the network's own preprocessing.

Definitions and severities are those of ImageNet-C (Hendrycks and Dietterich, Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations, ICLR 2019), for pixels on the scale 0..255. There they
are applied to images of 224 x 224 that are then saved as JPEG of quality 85; here to the images as they
are stored, of any size, and nothing is saved: noise and blur of a few pixels do less to a large photograph.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from seviz.data.base import Source
from seviz.data.depth import Depth
from seviz.data.transforms import to_mode
from seviz.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.float64]
SEVERITIES = (1, 2, 3, 4, 5)
SEED = 20190327
_WHITE = 255.0


def brightness(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Raise the value (of hue, saturation, value) by ``amount`` of the scale; hue and saturation stay.

    >>> brightness(np.array([[[100.0, 50.0, 0.0]]]), 0.2, np.random.default_rng(0)).round(1).tolist()
    [[[151.0, 75.5, 0.0]]]
    """
    value = pixels if pixels.ndim == 2 else pixels.max(axis=2, keepdims=True)
    raised = np.minimum(value + _WHITE * amount, _WHITE)
    # With hue and saturation kept, colours go with the value; black has neither, and becomes grey.
    return np.asarray(
        np.where(value > 0, pixels * (raised / np.where(value > 0, value, 1)), raised)
    )


def contrast(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Draw each channel towards its mean over the image; ``amount`` of the differences is left."""
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return np.asarray((pixels - mean) * amount + mean)


def noise(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise whose standard deviation is ``amount`` of the scale."""
    return pixels + rng.normal(scale=_WHITE * amount, size=pixels.shape)


def blur(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Blur with a Gaussian whose standard deviation is ``amount`` pixels; edges are repeated."""
    from scipy.ndimage import gaussian_filter

    sigma = (amount, amount, 0)[: pixels.ndim]
    blurred: Pixels = gaussian_filter(pixels, sigma, mode="nearest", truncate=4.0)
    return blurred


def jpeg(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Save as JPEG of quality ``amount``, and open again."""
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(_in_bytes(pixels)).save(file, "JPEG", quality=int(amount))
        return np.asarray(Image.open(file), np.float64)


@dataclass(frozen=True)
class Corruption:
    """A way of making images worse.

    Attributes:
        apply: Takes pixels [H, W] or [H, W, 3] on 0..255, how much, and random numbers of the image's own.
        amounts: How much at severity 1 to 5.
    """

    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    amounts: tuple[float, ...]


# To add one, add a row.
CORRUPTIONS = {
    "brightness": Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "noise": Corruption(noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": Corruption(blur, (1, 2, 3, 4, 6)),
    "jpeg": Corruption(jpeg, (25, 18, 15, 10, 7)),
}


def corrupt(image: Image, name: str, severity: int, key: int = 0) -> Image:
    """Return an image of 8 bits made worse, in its size and mode; opacity stays.

    Args:
        image: An image of mode L, RGB or RGBA; others become RGB.
        name: Of `CORRUPTIONS`.
        severity: 1 to 5; 0 leaves the image as it is.
        key: Tells images apart, so that each has noise of its own, the same in each pass.

    Raises:
        UsageError: If there is no such corruption or severity.
        DataError: If pixels have more than 8 bits, and it is not known what they mean.
    """
    from PIL.Image import fromarray

    check_corruption(name, severity)
    if severity == 0:
        return image
    opacity = image.getchannel("A") if image.mode == "RGBA" else None
    plain = image if image.mode == "L" else to_mode(image, "RGB")
    kind = CORRUPTIONS[name]
    # The same at every severity: noise grows, and is no other noise.
    rng = np.random.default_rng((SEED, key))
    pixels = kind.apply(np.asarray(plain, np.float64), kind.amounts[severity - 1], rng)
    made = fromarray(_in_bytes(pixels))
    if opacity is not None:
        made.putalpha(opacity)
    return made


def check_corruption(name: str, severity: int) -> None:
    """Refuse what is no corruption.

    Raises:
        UsageError: If there is none of this name, or of this severity.
    """
    if name not in CORRUPTIONS:
        raise UsageError(
            f"expected --corrupt as any of {', '.join(CORRUPTIONS)}, found {name!r}; give one of them"
        )
    if severity != 0 and severity not in SEVERITIES:
        raise UsageError(
            f"expected --severity from 1 to {SEVERITIES[-1]} (0: images as they are), found {severity}; "
            "give one of them"
        )


def _in_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(pixels), 0, _WHITE).astype(np.uint8)


@dataclass(frozen=True, eq=False, kw_only=True)
class CorruptedSource(Source):
    """The images of a source, made worse.

    Attributes:
        of: The source.
        corruption: Name in `CORRUPTIONS`.
        severity: 0 to 5.
    """

    of: Source
    corruption: str
    severity: int
    _depth: Depth = field(default_factory=Depth, repr=False)

    # Work for several processes, wherever the pixels lie.
    in_memory: ClassVar[bool] = False

    def image(self, index: int) -> Image:
        """Return one image, made worse; of more than 8 bits, in 8.

        Raises:
            Exception: Whatever the source raises.
        """
        image, _ = self._depth.reduce(self.of, self.of.image(index))
        return corrupt(image, self.corruption, self.severity, index)

    def image_name(self, index: int) -> str:
        """Return the name in the source: it is the same image."""
        return self.of.image_name(index)

    def fingerprint(
        self, indices: npt.NDArray[np.int64] | None = None, *, times: bool = False
    ) -> str:
        """Return a SHA-256 over that of the source and what is done to it."""
        own = repr(
            (self.of.fingerprint(indices, times=times), self.corruption, self.severity, SEED)
        )
        return hashlib.sha256(own.encode()).hexdigest()


def corrupted(source: Source, name: str, severity: int) -> CorruptedSource:
    """Return a source whose images are those of another, made worse.

    Args:
        source: The images; labels and names stay.
        name: Of `CORRUPTIONS`.
        severity: 1 to 5; 0 leaves them as they are.

    Raises:
        UsageError: If there is no such corruption or severity.

    >>> from seviz.data.sources import open_source
    >>> corrupted(open_source("digits"), "blur", 3).name
    'digits with blur 3'
    """
    check_corruption(name, severity)
    return CorruptedSource(
        name=f"{source.name} with {name} {severity}",
        split=source.split,
        folders=source.folders,
        labels=source.labels,
        notes=source.notes,
        labelled=source.labelled,
        of=source,
        corruption=name,
        severity=severity,
    )
