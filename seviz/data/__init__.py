"""Where images come from, and how they reach a network: source -> match -> batches.

Knows no network: what it needs of one is its class names and its preprocessing.
"""

from seviz.data.base import Source
from seviz.data.batches import Batch, Batches, make_batches, none_readable
from seviz.data.keeping import KeptBatches
from seviz.data.matching import Match, match_classes
from seviz.data.sources import open_source
from seviz.data.transforms import build_transform

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
