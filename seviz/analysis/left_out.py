"""How sure a correlation over pairs of classes is: classes are left out in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.profiles import student
from seviz.analysis.proportions import CONFIDENCE

# Parts of the classes that are left out in turn.
GROUPS = 20
_ONE = 0.9999  # artanh is infinite at 1


def class_parts(classes: int) -> npt.NDArray[np.intp]:
    """Return the part of each class; neighbours in a list may be alike and go to different parts, [K]."""
    return np.arange(classes) % min(GROUPS, max(classes, 1))


def correlation_interval(value: float, left: Sequence[float | None]) -> Estimate:
    r"""Return a correlation over pairs of classes with its 95 % interval.

    Pairs of classes are not independent of one another, classes are: the classes are left out in g parts,
    one after the other (the grouped jackknife; Quenouille, 1956), on Fisher's scale z = artanh r:

        se^2 = (g - 1) / g sum_i (z_i - mean z)^2,  z +- t se with g - 1 degrees of freedom

    Args:
        value: The correlation of all classes.
        left: That without each part; ``None`` where it is undefined.
    """
    known = np.array([r for r in left if r is not None])
    if len(known) < 3:
        return Estimate(value)
    z = np.arctanh(np.clip(known, -_ONE, _ONE))
    error = math.sqrt((len(z) - 1) / len(z) * float(((z - z.mean()) ** 2).sum()))
    reach = student((1 + CONFIDENCE) / 2, len(z) - 1) * error
    middle = math.atanh(min(max(value, -_ONE), _ONE))
    return Estimate(value, math.tanh(middle - reach), math.tanh(middle + reach))
