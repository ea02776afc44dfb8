"""How nearly the gates of a block are the same for every image: stripes, drawn as images by channels."""

from __future__ import annotations

import numpy as np

from seviz.analysis.class_share import VarianceParts
from seviz.analysis.findings.estimates import Drawn, Estimate
from seviz.results.stats import Floats


def between_channels(
    parts: VarianceParts, drawn: Drawn | None = None, gates: Floats | None = None
) -> Estimate | None:
    r"""Return how much of the variance of a block's gates lies between its channels.

    With the gate s_ic of image i in channel c, its mean m_c over images, and their mean m:

        between = mean_c (m_c - m)^2
        within  = mean_c mean_i (s_ic - m_c)^2
        share   = between / (between + within)

    Drawn as images by channels, gates with a share of 1 are stripes: the same for every image. The
    interval is that of `Drawn`, from the influence of an image of class k,

        2 mean_c (m_c - m) (s_ic - m_kc)                                on between,
        mean_c ((s_ic - m_c)^2 - mean_{j in k} (s_jc - m_c)^2)          on within.

    Args:
        parts: The variance of the block.
        drawn: The images that the interval is made from.
        gates: Their gates, [n, C].
    """
    between = float(((parts.mean - parts.mean.mean()) ** 2).mean())
    within = float((parts.total / parts.images).mean())
    whole = between + within
    if whole < np.finfo(np.float32).eps ** 2:
        return None
    share = between / whole
    if drawn is None or gates is None:
        return Estimate(share)
    own = gates - parts.means[drawn.rows]
    on_between = 2 * (own * (parts.mean - parts.mean.mean())).mean(axis=1)
    class_square = (parts.within / parts.count[:, None] + (parts.means - parts.mean) ** 2).mean(
        axis=1
    )
    on_within = ((gates - parts.mean) ** 2).mean(axis=1) - class_square[drawn.rows]
    influence = (within * on_between - between * on_within) / whole**2
    return drawn.interval(share, influence, (0.0, 1.0))
