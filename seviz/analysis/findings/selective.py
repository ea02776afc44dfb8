"""Which channels answer to one class: those whose gate differs most from that of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import MOVES, variance_parts
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.proportions import CONFIDENCE
from seviz.errors import UsageError
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.results.stats import Floats


@dataclass(frozen=True)
class SelectiveChannel:
    """How one channel tells a class from the others.

    Attributes:
        block: Name of the block.
        channel: Its index.
        class_name: The class.
        own: Mean gate of the class.
        everything: Mean gate of all classes, each weighing the same, as "all" in the figures.
        effect: Hedges' g, with an interval that holds for all channels looked at together.
    """

    block: str
    channel: int
    class_name: str
    own: float
    everything: float
    effect: Estimate


def selective_channels(
    record: Record, class_choice: ClassChoice | str, top: int = 10
) -> list[SelectiveChannel]:
    r"""Return, block by block, the channels whose gate differs most between one class and the others.

    With the mean m_k of the class, the mean m of the means of the K - 1 other classes, the standard
    deviation s within classes (pooled over all, divisor N - K) and Hedges' correction for small samples
    J = 1 - 3 / (4 (N - K) - 1):

        g = J (m_k - m) / s

    Its standard error is that of the difference of means, each class with its own variance, with the
    uncertainty of s: se^2 = J^2 (v_k / n_k + sum_j v_j / n_j / (K - 1)^2) / s^2 + g^2 / (2 (N - K)). The
    interval is g +- t se, with t of n_k - 1 degrees of freedom at the level 1 - 0.05 / M (Bonferroni)
    for the M channels of all blocks that were looked at: with 95 % confidence every one of these
    intervals holds, those of the most extreme channels too. Dead channels, whose standard deviation over
    all images is below 0.01, are not looked at.

    Args:
        record: Needs no single images.
        class_choice: A class, from `ClassTable.choose`, or its name.
        top: How many channels of each block, those of the largest effect first.

    Raises:
        UsageError: If the class is unknown or has no image, no other class has one, or ``top`` is not
            positive.
    """
    if top < 1:
        raise UsageError(f"expected at least 1 channel of each block, found {top}; ask for more")
    choice = (
        record.classes.choose([class_choice])[0] if isinstance(class_choice, str) else class_choice
    )
    if not record.count[choice.row] or np.count_nonzero(record.count) < 2:
        found = "the only one with images" if record.count[choice.row] else "one without images"
        raise UsageError(
            f"expected a class with images, and another to compare it with, found {choice.name!r}, "
            f"{found}; choose another class, or collect images of more"
        )
    if record.count.sum() == np.count_nonzero(record.count):
        return []
    looked = {b.name: _alive(record, b) for b in record.blocks}
    level = 1 - (1 - CONFIDENCE) / max(1, sum(map(len, looked.values())))
    return [
        row
        for block in record.blocks
        for row in _selective(record, block, choice, looked[block.name], level)[:top]
    ]


def _alive(record: Record, block: GateBlock) -> npt.NDArray[np.intp]:
    """Return the channels that move, and do so within classes, too."""
    parts = variance_parts(record.stats(block.name))
    moves = np.sqrt(parts.total / parts.images) >= MOVES
    return np.flatnonzero(moves & (parts.within.sum(axis=0) > 0))


def _selective(
    record: Record,
    block: GateBlock,
    choice: ClassChoice,
    looked: npt.NDArray[np.intp],
    level: float,
) -> list[SelectiveChannel]:
    parts = variance_parts(record.stats(block.name))
    own = int(np.count_nonzero(record.count[: choice.row]))
    free = parts.images - len(parts.count)
    means, within = parts.means[:, looked], parts.within[:, looked]
    others = np.arange(len(parts.count)) != own
    pooled = np.sqrt(within.sum(axis=0) / free)
    correction = 1 - 3 / (4 * free - 1)
    effect = correction * (means[own] - means[others].mean(axis=0)) / pooled
    error = _error(parts.count, within, own)
    far = None
    if error is not None:
        from scipy.special import stdtrit

        whole = np.sqrt((correction * error / pooled) ** 2 + effect**2 / (2 * free))
        far = whole * float(stdtrit(parts.count[own] - 1, (1 + level) / 2))
    order = np.argsort(-np.abs(effect), kind="stable")
    return [
        SelectiveChannel(
            block=block.name,
            channel=int(looked[i]),
            class_name=choice.name,
            own=float(means[own, i]),
            everything=float(means[:, i].mean()),
            effect=Estimate(float(effect[i]))
            if far is None
            else Estimate(float(effect[i]), float(effect[i] - far[i]), float(effect[i] + far[i])),
        )
        for i in order
    ]


def _error(count: Floats, within: Floats, own: int) -> Floats | None:
    """Return the standard error of the difference of means, [C]; none for a class of one image."""
    if count[own] < 2:
        return None
    # A class of one image has no variance of its own; that of all classes stands in.
    pooled = within.sum(axis=0) / (count.sum() - len(count))
    variance = np.where((count > 1)[:, None], within / np.maximum(count - 1, 1)[:, None], pooled)
    weight = np.full(len(count), 1 / (len(count) - 1) ** 2)
    weight[own] = 1.0
    return np.asarray(np.sqrt((weight / count) @ variance))
