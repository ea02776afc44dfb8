"""Numbers packed for the page: unsigned integers, in planes of bytes, deflated, in base64.

The page takes them apart with the browser's own inflater, so that a thousand classes fit into a file
that can be sent.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.results.stats import Floats

LEVELS = 65535
# What the gates of all blocks may take, before base64: four bytes for each class and channel.
GATE_BYTES = 3_750_000
_BYTES_EACH = 4

Words = npt.NDArray[np.uint16]
Unsigned = npt.NDArray[np.unsignedinteger[Any]]


def quantised(values: Floats, low: float, high: float) -> Words:
    """Return values as 16-bit steps of the range ``low`` to ``high``; what is outside is clipped.

    >>> quantised(np.array([0.0, 0.5, 1.0]), 0, 1).tolist()
    [0, 32768, 65535]
    """
    room = (high - low) or 1.0
    steps = np.rint((values - low) / room * LEVELS)
    return np.clip(steps, 0, LEVELS).astype(np.uint16)


def packed(parts: Sequence[Unsigned]) -> str:
    """Return arrays of one type, one after the other, as text.

    All low bytes come first, then the next ones: alike bytes side by side deflate better.
    """
    joined = np.concatenate([part.ravel() for part in parts])
    little = joined.astype(joined.dtype.newbyteorder("<"), copy=False)
    planes = little.view(np.uint8).reshape(-1, joined.dtype.itemsize).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)).decode()


def text_packed(text: str) -> str:
    """Return a text deflated, in base64."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def counts_packed(counts: npt.NDArray[np.int64]) -> tuple[str, int]:
    """Return counts as text, and the bytes that each takes."""
    width = 2 if counts.max(initial=0) <= LEVELS else 4
    return packed([counts.astype(np.uint16 if width == 2 else np.uint32)]), width


def channels_per_block(classes: int, blocks: int) -> int:
    """Return how many channels of each block there is room for, with every class on each.

    >>> channels_per_block(1000, 16)
    58
    """
    return max(2, GATE_BYTES // (_BYTES_EACH * max(classes, 1) * max(blocks, 1)))


def script_json(values: Any) -> str:
    r"""Return JSON that nothing in a script element can end or leave.

    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
