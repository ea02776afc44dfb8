"""Gates in a few numbers per block, for a logger that draws them over a training."""

from __future__ import annotations

import numpy as np

from seviz.analysis.class_share import MOVES, class_share, variance_parts
from seviz.analysis.findings.blocks import FEWEST_IMAGES
from seviz.results.record import Record


def gate_numbers(record: Record) -> dict[str, float]:
    """Return the numbers of each block, by ``block/number``, and top-1 where predictions were scored.

    ``mean`` is the mean gate over images and channels; ``spread`` the mean over channels of the
    standard deviation over images; ``class_share`` the part of the variance that lies between classes, where
    it means something; ``dead`` the share of channels whose standard deviation over images is below 0.01, as
    in `seviz.findings`, and like there of ten images at least; ``saturated`` the share of gates below 0.05 or
    above 0.95.

    Args:
        record: Of any pass.

    Raises:
        DataError: If the record holds no image.
    """
    images = int(record.count.sum())
    found: dict[str, float] = {}
    for share in class_share(record):
        stats = record.stats(share.block)
        low, high = (np.asarray(a).sum(axis=0, dtype=np.int64) for a in (stats.low, stats.high))
        parts = variance_parts(stats)
        dead = float((np.sqrt(parts.total / images) < MOVES).mean())
        numbers = {
            "mean": float(np.asarray(stats.sum).sum() / (images * low.size)),
            "spread": share.spread,
            "class_share": share.share,
            "dead": dead if images >= FEWEST_IMAGES else None,
            "saturated": float((low + high).sum() / (images * low.size)),
        }
        found |= {f"{share.block}/{n}": v for n, v in numbers.items() if v is not None}
    if record.top1 is not None:
        found["top1"] = record.top1
    return found
