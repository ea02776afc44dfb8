"""How much each image of the sample does to each number of a block.

The influence of an image of class k is the change of a number per unit of weight that the image gets
among all images, where classes keep their sizes. With r the image's gate less the mean of its class,
d_k = m_k - m, t_c the variance of a channel and w_ck that within class k (all divisor n):

    variance between classes    2 d_k r
    variance within classes     r^2 - w_ck
    eta^2                       ((1 - eta^2) 2 d_k r - eta^2 (r^2 - w_ck)) / t_c

Squares are too even when measured from a mean that they are part of: (n_k - 1) / (n_k - 2) makes up for
that, so that the error is the delete-one jackknife's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import VarianceParts
from seviz.analysis.findings.patterns import Correlation, ScaleOnly
from seviz.results.stats import SATURATED_HIGH, SATURATED_LOW, BlockStats, Floats

Gates = npt.NDArray[np.floating]


def influences(
    gates: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    stats: BlockStats,
    parts: VarianceParts,
    correlation: Correlation,
    scale: ScaleOnly,
) -> tuple[dict[str, Floats], Floats]:
    """Return the influence of each image on each number, and on each channel's standard deviation.

    Args:
        gates: Gates of the sample, [n, C].
        rows: Class of each image among those that have images, [n].
        stats: The block's statistics.
        parts: The same, apart.
        correlation: Of the classes' mean gates.
        scale: Their common factor.

    Returns:
        Influences [n] by the name of the number in `BlockFindings`, and those on the standard deviation
        of each channel, [n, C].
    """
    images, channels = parts.images, gates.shape[1]
    residual = gates - parts.means.astype(np.float32)[rows]
    product = residual * (parts.means - parts.mean).astype(np.float32)[rows]
    square = residual**2
    own = parts.within / parts.count[:, None]
    variance, inside = parts.total / images, parts.within.sum(axis=0) / images
    fuller = ((parts.count - 1) / np.maximum(parts.count - 2, 1))[rows]
    moving = max(1, int(parts.moving.sum()))

    def summed(by_product: Floats, by_square: Floats) -> Floats:
        """Return sum_c 2 d r x_c + (r^2 - w) y_c of each image, for columns x, y of [C, q]."""
        uneven = square @ by_square - (own @ by_square)[rows]
        return np.asarray(2 * (product @ by_product) + fuller[:, None] * uneven)

    # Of what does not move nothing can be said: such channels count in no mean.
    per_variance = _inverse(variance, parts.moving) / moving
    per_spread = _inverse(np.sqrt(variance), parts.moving) / (2 * channels)
    per_within = _inverse(np.sqrt(inside), parts.moving & (inside > 0)) / (2 * channels)
    zero = np.zeros(channels)
    share, spread, within = summed(
        np.stack([(1 - parts.eta) * per_variance, per_spread, zero], axis=1),
        np.stack([-parts.eta * per_variance, per_spread, per_within], axis=1),
    ).T
    seen = stats.seen
    found = {
        "class_share": share,
        "spread": spread,
        "within": within,
        "correlation": np.einsum("nc,nc->n", residual, correlation.slope.astype(np.float32)[rows])
        * (images / parts.count)[rows],
        "scale_only": scale.influence(residual, rows, product.sum(axis=1)),
        "high": _beyond(gates > SATURATED_HIGH, stats.high[seen], parts, rows),
        "low": _beyond(gates < SATURATED_LOW, stats.low[seen], parts, rows),
    }
    uneven = (square - own.astype(np.float32)[rows]) * fuller.astype(np.float32)[:, None]
    return found, (2 * product + uneven) * (channels * per_spread).astype(np.float32)


def _inverse(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(np.where(where, 1 / np.where(where, values, 1), 0))


def _beyond(
    found: npt.NDArray[np.bool_],
    count: npt.NDArray[np.int32],
    parts: VarianceParts,
    rows: npt.NDArray[np.int64],
) -> Floats:
    """Return each image's share of gates beyond a threshold, less that of its class."""
    return np.asarray(found.mean(axis=1) - (count.mean(axis=1) / parts.count)[rows])
