"""How an image file becomes the tensor that a network was trained to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

CROP_MODES = ("center", "squash", "border")
CHANNEL_ORDERS = ("rgb", "bgr")

# Parts that may have to be assumed: what they are called, and the option that gives them.
_ASSUMABLE = {
    "mean": ("mean", "--mean"),
    "std": ("std", "--std"),
    "input_size": ("size", "--input-size"),
    "crop_pct": ("crop", "--crop-pct"),
    "crop_mode": ("crop mode", "--crop-mode"),
}
# What is assumed where nobody told anything.
ASSUMED = ("mean", "std", "input_size", "crop_pct")
# Where tensors are prepared that come from a loader of the user's.
ELSEWHERE = "as it comes"
# Dimensions of an image: channels, height, width.
_IMAGE = 3
# More than any spectrum has.
_MOST_CHANNELS = 1 << 16
_UNSAID = "default"
# How an older seviz wrote that all was assumed.
_OLD_ASSUMED = "ImageNet's, assumed"


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop, scaling to [0, 1], then ``(x - mean) / std`` per channel.

    Two are equal if they make the same tensors, whoever told their values.

    Attributes:
        input_size: Channels, height and width of the tensor, in that order; of what is no image channels and
            length, or channels, depth, height and width.
        mean: Per-channel mean on the scale 0..1, in the order of the tensor's channels.
        std: Per-channel standard deviation on the scale 0..1, in the same order.
        interpolation: Resampling filter: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``.
        crop_pct: Share of the resized image's side that the crop keeps: images are resized for
            ``floor(size / crop_pct)`` first, as timm does.
        origin: Where these values come from, for the reader of a record.
        crop_mode: timm's words. ``center`` resizes the shorter side and cuts the centre out; ``squash``
            resizes both sides, so that the whole image is stretched to the crop; ``border`` resizes the
            longer side and fills the rest with the mean.
        channel_order: ``rgb``, or ``bgr`` as OpenCV reads images.
        assumed: Parts that neither the file nor the user told.
        given: Parts that the user told.
    """

    input_size: tuple[int, ...] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    origin: str = field(default=_UNSAID, compare=False)
    crop_mode: str = "center"
    channel_order: str = "rgb"
    assumed: tuple[str, ...] = field(default=(), compare=False)
    given: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that `from_dict` reads.

        >>> Preprocessing.from_dict(Preprocessing(crop_pct=1.0).to_dict()).crop_pct
        1.0
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Build from `to_dict`'s output; lists become tuples."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if fields.get("origin") == _OLD_ASSUMED:
            fields |= {"origin": "ImageNet's", "assumed": ASSUMED}
        return cls(**fields)

    @classmethod
    def elsewhere(cls, size: tuple[int, ...], inputs: str = "") -> Preprocessing:
        """Return that of images that come as tensors: nothing is known of it, and nothing done to them.

        Args:
            size: Size of the tensor of one image.
            inputs: Sizes of all inputs as text, where there are several.

        >>> print(Preprocessing.elsewhere((1, 32, 32)).describe())
        1x32x32, as it comes
        """
        return cls(size, (), (), "", 1.0, f"{inputs}, {ELSEWHERE}" if inputs else ELSEWHERE)

    @property
    def is_elsewhere(self) -> bool:
        """Return whether images came as tensors, so that nothing is known of how they were prepared."""
        return not self.mean

    def changed(self, **parts: Any) -> Preprocessing:
        """Return this with the parts that the user gives; ``None`` keeps a part.

        What is not given follows what is: another number of channels takes means and deviations along,
        another order turns them round, and another height or width takes the whole image, since the
        share to crop belonged to the old size. What is no image is not prepared.

        >>> Preprocessing().changed(input_size=(1, 32, 32)).crop_pct
        1.0
        """
        given = {name: value for name, value in parts.items() if value is not None}
        if not given:
            return self
        base = self
        settled = set(given)
        size = given.get("input_size")
        if size is not None:
            given["input_size"] = size = tuple(size)
            if len(size) != _IMAGE:
                return Preprocessing.elsewhere(size)
            base = base.for_channels(size[0])
            if size[1:] != self.input_size[1:]:
                base = replace(base, crop_pct=1.0)
            settled.add("crop_pct")
        if given.get("channel_order", base.channel_order) != base.channel_order:
            base = replace(base, mean=turned(base.mean), std=turned(base.std))
        for name in ("mean", "std"):
            if name in given:
                given[name] = tuple(given[name])
        return replace(
            base,
            **given,
            assumed=tuple(name for name in base.assumed if name not in settled),
            # In one order, in whichever it was said: records are told apart by it.
            given=tuple(sorted({*base.given, *given})),
        )

    def for_channels(self, channels: int | None) -> Preprocessing:
        """Return this for another number of channels: each gets the average of the known ones.

        A fourth channel, opacity, leaves the three colours as they are.
        """
        if channels is None or channels == self.input_size[0]:
            return self
        size = (channels, *self.input_size[1:])
        if len(self.mean) == len(self.std) <= 1:
            return replace(self, input_size=size)
        constants = []
        for values in (self.mean, self.std):
            average = sum(values) / len(values)
            more = channels - len(values)
            kept = values if channels == 4 and more > 0 else ()
            # Of very many, which a file may claim, one stands for all.
            count = channels - len(kept) if channels <= _MOST_CHANNELS else 1
            constants.append(kept + (average,) * count)
        return replace(
            self,
            input_size=size,
            mean=constants[0],
            std=constants[1],
            origin=f"{self.origin}, averaged over its channels",
        )

    @property
    def told_by(self) -> str:
        """Return who told the values, in a few words.

        >>> Preprocessing(origin="ImageNet's", assumed=ASSUMED).changed(mean=(0, 0, 0)).told_by
        "ImageNet's std, size and crop assumed; mean given"
        """
        settled = {*self.given, *self._by_size}
        if self.given and set(ASSUMED) <= settled:
            return "given"
        default = replace(Preprocessing(), **{name: getattr(self, name) for name in settled})
        # Made by hand, as a script does before it saves a checkpoint: nobody called it after an origin.
        if self.origin == _UNSAID and self != default:
            return "given"
        said = self.origin
        if self.assumed:
            parts = "," if self.assumed == ASSUMED else f" {_listed(self.assumed)}"
            said = f"{self.origin}{parts} assumed"
        return f"{said}; {_listed(self.given)} given" if self.given else said

    @property
    def _by_size(self) -> tuple[str, ...]:
        return ("crop_pct",) if "input_size" in self.given else ()

    @property
    def remark(self) -> str | None:
        """Return what a user should know of what was assumed, and how to give it; ``None`` for nothing.

        >>> print(Preprocessing(origin="timm's", assumed=("crop_pct",)).remark[50:])
        prepared; timm's crop is assumed: give --crop-pct if it was trained otherwise
        """
        if not self.assumed:
            return None
        every = "" if len(self.assumed) >= len(ASSUMED) else "all of "
        options = ", ".join(_ASSUMABLE[name][1] for name in self.assumed)
        verb = "is" if len(self.assumed) == 1 else "are"
        return (
            f"the checkpoint does not say {every}how images were prepared; {self.origin} "
            f"{_listed(self.assumed)} {verb} assumed: give {options} if it was trained otherwise"
        )

    def describe(self) -> str:
        """Return one line for people.

        >>> print(Preprocessing().describe())
        3x224x224, bicubic, crop 0.875, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (default)
        """
        size = "x".join(map(str, self.input_size))
        if self.is_elsewhere:
            return self.origin if ", " in self.origin else f"{size}, {self.origin}"
        mean, std = (" ".join(f"{v:.4g}" for v in vs) for vs in (self.mean, self.std))
        mode = "" if self.crop_mode == "center" else f" {self.crop_mode}"
        order = "" if self.channel_order == "rgb" else f"{self.channel_order.upper()}, "
        return (
            f"{size}, {order}{self.interpolation}, crop {self.crop_pct:g}{mode}, mean {mean}, std {std} "
            f"({self.told_by})"
        )


def turned(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return what belongs to red, green, blue for blue, green, red; opacity stays the last.

    >>> turned((1, 2, 3, 4))
    (3, 2, 1, 4)
    """
    return values[2::-1] + values[3:] if len(values) >= 3 else values


def _listed(names: tuple[str, ...]) -> str:
    words = [_ASSUMABLE[n][0] if n in _ASSUMABLE else n.replace("_", " ") for n in names]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
