"""Where images come from, and how they reach a network: source -> match -> batches.

Knows no network: what it needs of one is its class names and its preprocessing. The names below are
imported when they are asked for, so that the table of sources costs the help nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seviz.data.base import Source as Source
    from seviz.data.batches import Batch as Batch
    from seviz.data.batches import Batches as Batches
    from seviz.data.batches import make_batches as make_batches
    from seviz.data.batches import none_readable as none_readable
    from seviz.data.keeping import KeptBatches as KeptBatches
    from seviz.data.matching import Match as Match
    from seviz.data.matching import match_classes as match_classes
    from seviz.data.sources import open_source as open_source
    from seviz.data.transforms import build_transform as build_transform

__all__ = [
    "Batch",
    "Batches",
    "KeptBatches",
    "Match",
    "Source",
    "build_transform",
    "make_batches",
    "match_classes",
    "none_readable",
    "open_source",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seviz.data import base, batches, keeping, matching, sources, transforms

    homes = (base, batches, keeping, matching, sources, transforms)
    return next(vars(home)[name] for home in homes if name in vars(home))
