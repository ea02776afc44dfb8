"""How the arrays of two records make those of their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seviz.blocks import SEBlock
from seviz.sketch import Array, merge_samples

SAMPLE = "sample/"


def merge_arrays(
    a: Mapping[str, Array], b: Mapping[str, Array], blocks: Sequence[SEBlock]
) -> dict[str, Array]:
    """Return the arrays of the whole; what only one part has, such as calibration, is left out."""
    both = [name for name in a if name in b and not name.startswith(SAMPLE)]
    return {name: _merge(name, a[name], b[name]) for name in both} | merge_samples(a, b, blocks)


def _merge(name: str, a: Array, b: Array) -> Array:
    if name.endswith("/minimum"):
        return np.asarray(np.minimum(a, b))
    if name.endswith("/maximum"):
        return np.asarray(np.maximum(a, b))
    return np.asarray(a + b)
