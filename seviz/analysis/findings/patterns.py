"""How alike the mean gates of the classes are: their correlation, and their common factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.class_share import STILL, VarianceParts
from seviz.results.stats import Floats


@dataclass(frozen=True, eq=False)
class Correlation:
    r"""Mean over pairs of classes of Pearson's correlation of their mean gates over channels.

    With m_k centred over channels and scaled to length 1, u_k, and K classes:

        r = (|sum_k u_k|^2 - K) / (K (K - 1))

    Classes whose mean gates are equal in all channels (standard deviation below 1e-6) have no
    correlation and are left out; with fewer than two others there is none.

    Attributes:
        value: The mean, or ``None``.
        slope: Gradient of the value by the mean gates of each class, [K, C]; 0 without a value.
    """

    value: float | None
    slope: Floats

    @classmethod
    def of(cls, means: Floats) -> Correlation:
        """Compute from the mean gates of each class, [K, C]."""
        slope = np.zeros_like(means)
        centred = means - means.mean(axis=1, keepdims=True)
        length = np.sqrt((centred**2).sum(axis=1))
        varied = np.flatnonzero(length >= STILL * np.sqrt(means.shape[1]))
        classes = len(varied)
        if classes < 2:
            return cls(None, slope)
        unit = centred[varied] / length[varied, None]
        together = unit.sum(axis=0)
        pairs = classes * (classes - 1)
        value = float((together @ together - classes) / pairs)
        along = unit @ together
        slope[varied] = 2 / pairs * (together - along[:, None] * unit) / length[varied, None]
        return cls(min(1.0, max(-1.0, value)), slope)


@dataclass(frozen=True, eq=False)
class ScaleOnly:
    r"""The part of the difference between classes that is a factor common to all channels.

    With the mean gates m_k of class k, m of all images, p_k the share of images in class k, and
    d_k = m_k - m: if each class only scaled one profile, m_k = a_k m, all d_k would lie along m. The
    part that does, by least squares with a_k = m_k . m / |m|^2, is

        share = sum_k p_k (d_k . m)^2 / |m|^2  /  sum_k p_k |d_k|^2

    The line goes through 0, because a scale does: where m is the same in all channels, a common shift
    is a common factor, too. By chance alone, differences that favour no direction give 1 / C.

    Attributes:
        value: The share, 0..1; ``None`` where classes do not differ (root mean square of d below
            1e-6) or all gates are 0.
        lowest: Smallest a_k; 1 is the profile of all images.
        highest: Largest a_k.
        profile: m / |m|, [C].
        apart: d_k, [K, C].
        slope: sum_j p_j (d_j . v) d_j / |m| with v the profile: how the share's numerator turns with
            it, [C].
        size: sum_k p_k |d_k|^2.
    """

    value: float | None
    lowest: float
    highest: float
    profile: Floats
    apart: Floats
    slope: Floats
    size: float

    @classmethod
    def of(cls, parts: VarianceParts) -> ScaleOnly:
        """Compute from the parts of a block's variance."""
        weight = parts.count / parts.images
        apart = parts.means - parts.mean
        length = float(np.sqrt(parts.mean @ parts.mean))
        size = float(weight @ (apart**2).sum(axis=1))
        nothing = np.zeros_like(parts.mean)
        if len(weight) < 2 or not length or size < STILL**2 * parts.mean.size:
            return cls(None, 1.0, 1.0, nothing, apart, nothing, size)
        profile = parts.mean / length
        along = apart @ profile
        factors = 1 + along / length
        return cls(
            value=min(1.0, float(weight @ along**2) / size),
            lowest=float(factors.min()),
            highest=float(factors.max()),
            profile=profile,
            apart=apart,
            slope=(weight * along) @ apart / length,
            size=size,
        )

    def influence(
        self,
        residual: npt.NDArray[np.float32],
        rows: npt.NDArray[np.int64],
        product: npt.NDArray[np.float32],
    ) -> Floats:
        """Return the influence of each image on the share, [n].

        Args:
            residual: Gates less the mean of their class, [n, C].
            rows: Class of each image, [n].
            product: residual . d of its class, [n].
        """
        if self.value is None:
            return np.zeros(len(rows))
        along = residual @ self.profile
        turned = residual @ self.slope - (self.slope @ self.profile) * along
        own = (self.apart @ self.profile)[rows]
        return np.asarray(2 * (own * along + turned - self.value * product) / self.size)
