"""Many channels at once, for a page to show any of them: spread by class, images at either end, companions.

What `seviz.channel` says of one channel, from the sample of single images in a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.channel import quantile
from seviz.analysis.findings.estimates import FEWEST
from seviz.results.record import Record
from seviz.results.sample import INDEX
from seviz.results.stats import Floats

Ints = npt.NDArray[np.int64]
# Of each channel: images at either end, and channels that move with it.
ENDS, COMPANIONS = 6, 6
# Of more channels than that nobody waits for what each has to do with each.
MOST_COMPARED = 4096
# Images of each class from which on quartiles say something.
FEWEST_OF_CLASS = 8
# A channel whose standard deviation is below that does not move, as in `seviz.channel`.
_STILL = 1e-6


@dataclass(frozen=True, eq=False)
class BlockOverview:
    """Some channels of one block.

    Attributes:
        channels: Their indices, [c].
        quartiles: First quartile, median and third quartile of the gate by class, over the images of the
            sample, [3, classes, c]; ``None`` where a class has too few there.
        largest: Positions in the source of the images with the largest gate, the largest first, [c, k].
        largest_gates: Their gates.
        smallest: Those with the smallest gate, the smallest first, [c, k].
        smallest_gates: Their gates.
        companions: For each channel those that are known to move with it, the closest first: block,
            channel, Pearson's correlation.
    """

    channels: Ints
    quartiles: Floats | None
    largest: Ints
    largest_gates: Floats
    smallest: Ints
    smallest_gates: Floats
    companions: tuple[tuple[tuple[str, int, float], ...], ...]


def channel_overview(
    record: Record, channels: Mapping[str, Sequence[int]], rows: Sequence[int]
) -> dict[str, BlockOverview]:
    """Return what the sample of a record says of channels, by block.

    Args:
        record: Gates; one without single images has nothing to say.
        channels: By block, the channels to look at. Companions are looked for among all of these.
        rows: Rows of the classes that quartiles are wanted of.
    """
    kept = {name: record.sample(name) for name in channels}
    sampled = {name: one for name, one in kept.items() if one is not None and len(one.rows)}
    if not sampled or not rows:
        return {}
    of = next(iter(sampled.values())).rows
    positions = record.arrays[INDEX].astype(np.int64)
    # Of equal gates the image that comes first in the source.
    first = np.argsort(positions, kind="stable")
    gates = {
        name: one.gates[first][:, list(channels[name])].astype(np.float32)
        for name, one in sampled.items()
    }
    of, positions = of[first], positions[first]
    together = _companions(gates, channels)
    few = min(int((of == row).sum()) for row in rows) < FEWEST_OF_CLASS
    found = {}
    for name, own in gates.items():
        up = np.argsort(-own, axis=0, kind="stable")[:ENDS].T
        down = np.argsort(own, axis=0, kind="stable")[:ENDS].T
        at = np.arange(own.shape[1])[:, None]
        quartiles = None
        if not few:
            by_class = [np.quantile(own[of == row], (0.25, 0.5, 0.75), axis=0) for row in rows]
            quartiles = np.stack(by_class, axis=1).astype(np.float64)
        found[name] = BlockOverview(
            channels=np.asarray(channels[name], np.int64),
            quartiles=quartiles,
            largest=positions[up],
            largest_gates=own[up, at].astype(np.float64),
            smallest=positions[down],
            smallest_gates=own[down, at].astype(np.float64),
            companions=together[name],
        )
    return found


def _companions(
    gates: Mapping[str, npt.NDArray[np.float32]], channels: Mapping[str, Sequence[int]]
) -> dict[str, tuple[tuple[tuple[str, int, float], ...], ...]]:
    """Return, by block and channel, the channels that are known to move with it."""
    names = [(block, int(channel)) for block in gates for channel in channels[block]]
    images = len(next(iter(gates.values())))
    none = {block: ((),) * own.shape[1] for block, own in gates.items()}
    if images <= FEWEST or len(names) > MOST_COMPARED:
        return none
    every = np.concatenate(list(gates.values()), axis=1)
    spread = every.std(axis=0, dtype=np.float64)
    moves = spread >= _STILL
    every = every - every.mean(axis=0, dtype=np.float64).astype(np.float32)
    every /= np.where(moves, spread, 1.0).astype(np.float32) * np.float32(images**0.5)
    every[:, ~moves] = 0.0
    # Known is what all channels that are looked at together leave little chance for (Fisher's z).
    least = np.tanh(quantile(max(int(moves.sum()) - 1, 1)) / (images - FEWEST) ** 0.5)
    start, found = 0, {}
    for block, own in gates.items():
        width = own.shape[1]
        close = np.clip(every[:, start : start + width].T @ every, -1.0, 1.0)
        close[np.arange(width), start + np.arange(width)] = 0.0
        few = min(COMPANIONS, close.shape[1])
        best = np.argpartition(-np.abs(close), few - 1, axis=1)[:, :few]
        rows = []
        for i in range(width):
            order = best[i][np.lexsort((best[i], -np.abs(close[i, best[i]])))]
            rows.append(
                tuple((*names[j], float(close[i, j])) for j in order if abs(close[i, j]) > least)
            )
        found[block] = tuple(rows)
        start += width
    return found
