"""The checkpoints that come with seviz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seviz.errors import UsageError

if TYPE_CHECKING:
    pass


def sample(name: str) -> Path:
    """Return the path of a sample checkpoint that comes with seviz.

    ``se_resnet_digits`` is in every installation; the CIFAR-10 samples are in the source tree.

    Raises:
        UsageError: If it is not here.

    >>> sample("se_resnet_digits").name
    'se_resnet_digits.pt'
    """
    package = Path(__file__).resolve().parents[1]
    places = [package / "samples", package.parent / "sample_checkpoints"]
    for place in places:
        if (place / f"{name}.pt").is_file():
            return place / f"{name}.pt"
    known = sorted({p.stem for place in places for p in place.glob("*.pt")})
    raise UsageError(
        f"expected a sample checkpoint ({', '.join(known) or 'none here'}), found {name!r}"
    )
