"""How an image file becomes the tensor that a network was trained to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# What `Preprocessing.origin` says where nobody told.
ASSUMED = "ImageNet's, assumed"


@dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop, scaling to [0, 1], then ``(x - mean) / std`` per channel.

    Attributes:
        input_size: Channels, height and width of the tensor, in that order.
        mean: Per-channel mean on the scale 0..1.
        std: Per-channel standard deviation on the scale 0..1.
        interpolation: Resampling filter: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``.
        crop_pct: Share of the resized image's side that the centre crop keeps; the shorter side is
            resized to ``floor(size / crop_pct)`` first, as timm does.
        origin: Where these values come from, for the reader of a record.
    """

    input_size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    origin: str = "default"

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
        return cls(**fields)

    def describe(self) -> str:
        """Return one line for people.

        >>> print(Preprocessing().describe())
        3x224x224, bicubic, crop 0.875, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (default)
        """
        size = "x".join(map(str, self.input_size))
        mean, std = (" ".join(f"{v:.4g}" for v in vs) for vs in (self.mean, self.std))
        return (
            f"{size}, {self.interpolation}, crop {self.crop_pct:g}, mean {mean}, std {std} "
            f"({self.origin})"
        )
