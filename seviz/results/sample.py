"""Which images are kept singly: a uniform random sample that depends on nothing but the images.

A bottom-k sketch (Cohen and Kaplan, PODC 2007): each image has a fixed random number, its key, and the
images with the smallest keys are kept. So neither the order of a pass nor its batches matter, and the
samples of two parts make the sample of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.blocks import GateBlock

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

PREFIX = "sample/"
INDEX, ROW = f"{PREFIX}index", f"{PREFIX}row"
MOST_IMAGES, FEWEST_IMAGES = 2048, 512
# float16 serves while rounding adds less than that to a channel's variance over images, on average over
# the channels that vary at all (standard deviation of 1e-6 or more).
ROUNDING = 0.0025
VARIES = 1e-6
# Of gates in float16; blocks that need float32 take twice that, as all of them do during the pass.
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class SampledGates:
    """The gates of one block for single images.

    Attributes:
        rows: Row of each image's class, int64 [n].
        gates: float16 or float32 [n, C].
    """

    rows: Integers
    gates: npt.NDArray[np.floating[Any]]


def capacity(blocks: Sequence[GateBlock]) -> int:
    """Return the images kept at most: 2,048, fewer where 64 MB would not hold them, at least 512."""
    width = sum(b.channels for b in blocks)
    return max(FEWEST_IMAGES, min(MOST_IMAGES, MOST_BYTES // (2 * max(width, 1))))


def image_keys(indices: Integers) -> npt.NDArray[np.uint64]:
    """Return the key of each image: splitmix64 (Steele, Lea and Flood, OOPSLA 2014) of its position.

    Args:
        indices: Position of each image in its source, int64 [N], not negative.

    >>> hex(image_keys(np.array([0]))[0])
    '0xe220a8397b1dcdaf'
    """
    z = indices.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def smallest(keys: npt.NDArray[np.uint64], most: int) -> npt.NDArray[np.intp]:
    """Return the positions of the ``most`` smallest keys, ascending; of equal keys the first."""
    if len(keys) <= most:
        return np.arange(len(keys))
    return np.sort(np.argsort(keys, kind="stable")[:most])


def key_order(indices: Integers, rows: Integers) -> npt.NDArray[np.intp]:
    """Return images in the order of their keys, which is that of a sample: its first images are one, too.

    Equal keys, of images that two sources count alike, go by the row of the class.
    """
    return np.lexsort((rows, image_keys(indices)))


def merge_samples(
    a: Mapping[str, Array], b: Mapping[str, Array], blocks: Sequence[GateBlock]
) -> dict[str, Array]:
    """Return the sample of two parts of a source; none if a part has none.

    An image that is in both parts counts twice, as it does in the sums.
    """
    if INDEX not in a or INDEX not in b:
        return {}
    names = [INDEX, ROW, *(sample_name(block.name) for block in blocks)]
    both = {n: np.concatenate([a[n], b[n]]) for n in names}
    kept = key_order(both[INDEX], both[ROW])[: capacity(blocks)]
    return {n: array[kept] for n, array in both.items()}


def sample_name(block: str) -> str:
    """Return the name of the array that holds a block's gates for single images."""
    return f"sample/{block}"


def packed(gates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
    """Return gates [n, C] in float16 where that keeps what varies, else as they are.

    Gates near 1 have steps of 0.0005 in float16, and those above 65,504 have no place in it.
    """
    with np.errstate(over="ignore"):
        half = gates.astype(np.float16)
    if not len(gates) or not np.isfinite(half).all():
        return gates if len(gates) else half
    lost = (half.astype(np.float32) - gates).var(axis=0, dtype=np.float64)
    variance = gates.var(axis=0, dtype=np.float64)
    varies = variance >= VARIES**2
    added = lost[varies] / variance[varies]
    return half if not added.size or added.mean() < ROUNDING else gates
