"""Where large arrays are computed: here, with NumPy, or on a device that someone who has one lends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seviz.results import Array


@dataclass(frozen=True)
class Place:
    """A module with the array functions that NumPy and torch name alike, and the way to it and back.

    What borrows a place imports no torch itself, and computes the same numbers wherever it is.

    Attributes:
        xp: The module: ``numpy``, or ``torch``.
        put: Takes an array of the host there.
        take: Takes an array from there to the host.
        full: Exceptions that say that there is no memory left there.
    """

    xp: Any
    put: Callable[[Array], Any]
    take: Callable[[Any], Array]
    full: tuple[type[Exception], ...] = ()


HOST = Place(np, np.asarray, np.asarray)
