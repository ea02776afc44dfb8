"""How many images go through each part of a network at a time: as many as its maps have room in the cache.

The first layers have large maps and few weights, the last ones small maps and many weights. So the first
ones are run for a few images, until their results are a batch for the next ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seviz.collect.fast.program.nodes import Nodes, Slot

# Where the system does not tell. Half of a cache is left to weights, and to others.
_USUAL = 16 << 20
_PART = 2
_MOST = 1024


@dataclass(frozen=True)
class Segment:
    """A part of a network.

    Attributes:
        start: Place of its first operator.
        stop: Place behind its last one.
        images: How many go through it at a time.
        takes: What it needs of the part before it; the batch at first.
    """

    start: int
    stop: int
    images: int
    takes: Slot


def segments(given: Nodes, cache_size: int | None = None) -> list[Segment]:
    """Cut a network where one map is all that goes on.

    Args:
        given: The network.
        cache_size: Bytes; what this machine has by default.
    """
    room = (cache_size or last_cache()) // _PART
    live = _live(given)
    at_a_time = [_images(given, slots, room) for slots in live]
    cuts = _cuts(given)
    ends = [*(place for place, _ in cuts), len(given.todo)]
    starts = [0, *(place for place, _ in cuts)]
    takes = [given.images, *(slot for _, slot in cuts)]
    found: list[Segment] = []
    smallest = _MOST
    # From the end: a part never takes more images at a time than the next.
    for start, stop, slot in reversed(list(zip(starts, ends, takes, strict=True))):
        smallest = min([smallest, *at_a_time[start:stop]])
        if found and found[-1].images == smallest:
            found[-1] = Segment(start, found[-1].stop, smallest, slot)
        else:
            found.append(Segment(start, stop, smallest, slot))
    return found[::-1]


def _images(given: Nodes, slots: set[Slot], room: int) -> int:
    """Return how many images' maps have room, as a power of two."""
    numbers = sum(math.prod(given.shape(s)[1:]) for s in slots if s in given.batched)
    fit = room // max(4 * numbers, 1)
    return min(_MOST, 1 << max(fit.bit_length() - 1, 0))


def _live(given: Nodes) -> list[set[Slot]]:
    """Return for each operator the maps that lie in memory while it runs, each once."""
    last: dict[Slot, int] = {}
    for place, node in enumerate(given.todo):
        for slot in (*node.inputs, *node.outputs):
            last[given.bases[slot]] = place
    last[given.bases[given.result]] = len(given.todo)
    found: list[set[Slot]] = []
    alive: set[Slot] = {given.bases[given.images]}
    for place, node in enumerate(given.todo):
        alive |= {given.bases[s] for s in node.outputs}
        found.append({s for s in alive if s not in given.constants})
        alive -= {s for s in alive if last.get(s, -1) <= place}
    return found


def _cuts(given: Nodes) -> list[tuple[int, Slot]]:
    """Return the places before which one slot of all images is all that later operators take."""
    last: dict[Slot, int] = {given.result: len(given.todo)}
    for place, node in enumerate(given.todo):
        for slot in node.inputs:
            last[slot] = max(place, last.get(slot, 0))
    found = []
    alive: set[Slot] = {given.images}
    for place, node in enumerate(given.todo):
        alive |= set(node.outputs)
        alive = {s for s in alive if last.get(s, -1) > place}
        if len(alive) == 1 and place + 1 < len(given.todo):
            (slot,) = alive
            if slot in given.batched:
                found.append((place + 1, slot))
    return found


@cache
def last_cache() -> int:
    """Return the size of the last level of cache in bytes."""
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            text = file.read_text(encoding="ascii").strip()
            sizes.append(int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0))
        except (OSError, ValueError):
            continue
    return max(sizes) or 2 * _USUAL
