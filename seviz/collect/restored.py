"""What was kept of a pass is checked before the pass goes on: it comes from a file, and becomes a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from torch import Tensor

from seviz.collect.observers import EachPrediction, KeptState, MergedObserver
from seviz.results.checking import DamageError, Facts, Form, check_arrays
from seviz.results.record import TOP
from seviz.results.stats import Array

_GROWING = tuple(np.dtype(kind) for kind in (np.int32, np.int64, np.float32))
# How far above 1 a probability may come out.
_ABOVE_ONE = 1e-3


def form_of(tensor: Tensor, tried: int) -> Form:
    """Return the form of an array that may take the place of a tensor.

    Args:
        tensor: What is there before the first image. One that holds nothing grows with the images, and may
            take another type with the first of them.
        tried: Images read so far.
    """
    if tensor.numel():
        return Form((tensor.cpu().numpy().dtype,), tuple(tensor.shape))
    shape = tuple(n if n > 1 else None for n in tensor.shape)
    return Form(_GROWING, shape, most=max(tried, TOP))


def check_restored(kept: Mapping[str, KeptState], facts: Facts) -> None:
    """Check the state of a pass as the record that it would give now.

    Args:
        kept: What holds the state.
        facts: What the record must fit.

    Raises:
        DamageError: If no pass can have left this behind.
    """
    arrays: dict[str, Array] = {}
    try:
        for holder in kept.values():
            if isinstance(holder, EachPrediction):
                _check_each(holder.compute(), facts)
            elif hasattr(holder, "compute"):  # else it keeps what is no array of the record
                arrays |= cast(MergedObserver, holder).compute()
    except (DamageError, MemoryError):
        raise
    except Exception as exc:  # an observer that was given something else
        raise DamageError(f"damage ({exc})") from exc
    if "count" not in arrays and "confusion" in arrays:
        arrays["count"] = arrays["confusion"].sum(axis=1)
    if arrays:
        check_arrays(arrays, facts)


def _check_each(found: Mapping[str, Array], facts: Facts) -> None:
    """Check the predictions of single images, as `EachPrediction` gives them."""
    index, row, predicted, top, probability = (
        found[name] for name in ("index", "row", "predicted", "top", "probability")
    )
    if any(len(array) != facts.images for array in found.values()):
        raise DamageError(f"predictions of {len(index)} images instead of {facts.images}")
    if not len(index):
        return
    outputs = facts.outputs or 0
    inside = (
        _within(index, 0, np.inf)
        and _within(row, 0, facts.rows)
        and _within(predicted, 0, outputs)
        and _within(top, 0, outputs)
        and top.shape == probability.shape
        and _within(probability, -_ABOVE_ONE, 1 + _ABOVE_ONE)
    )
    if not inside:
        raise DamageError("predictions of images or classes that there are not")


def _within(array: Array, low: float, end: Any) -> bool:
    return bool(((array >= low) & (array < end)).all())
