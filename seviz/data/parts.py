"""One batch of the user's own, taken apart: what goes into the network, and what labels it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seviz.errors import DataError

# What a dict calls its labels, and, where no name is a parameter of the network, its images.
LABELS = (
    *("label", "labels", "target", "targets", "y", "class", "classes", "class_id", "category"),
    *("fine_label", "coarse_label"),
)
IMAGES = (
    *("image", "images", "pixel_values", "img", "imgs", "x", "input", "inputs", "input_values"),
    *("input_features", "data", "pixels", "signal", "audio"),
)


@dataclass(frozen=True, eq=False)
class Parts:
    """One batch, taken apart.

    Attributes:
        args: What the network gets by position.
        kwargs: What it gets by name.
        labels: What goes with it; ``None`` where there is nothing.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    labels: Any


def take_apart(batch: Any, inputs: Any, parameters: Sequence[str]) -> Parts:
    """Return the inputs and the labels of a batch.

    Args:
        batch: A tensor or an array, a tuple or list that begins with the inputs, or a dict.
        inputs: As `Loader.inputs`.
        parameters: Names of the network's parameters.

    Raises:
        DataError: If it is no batch, or has not what is asked for.
    """
    if isinstance(batch, Mapping) or hasattr(batch, "keys"):
        return _from_names(dict(batch), inputs, parameters)
    if isinstance(batch, tuple | list) and not is_numbers(batch):
        return _from_places(tuple(batch), inputs)
    if inputs not in (None, 1):
        raise DataError(f"expected batches of several parts for inputs={inputs!r}, found one alone")
    if not hasattr(batch, "shape"):
        raise DataError(
            f"expected batches of tensors or arrays, (x, y) or dicts, found {kind_of(batch)}; change what "
            "the loader gives, or its collate_fn"
        )
    return Parts((batch,), {}, None)


def _from_places(batch: tuple[Any, ...], inputs: Any) -> Parts:
    count = len(batch)
    places = list(range(inputs)) if isinstance(inputs, int) else list(inputs or [0])
    if not all(isinstance(p, int) and 0 <= p < count for p in places):
        raise DataError(
            f"expected inputs={inputs!r} in each batch, found {count} parts without names; give their number "
            "or positions"
        )
    after = max(places) + 1
    return Parts(tuple(batch[p] for p in places), {}, batch[after] if after < count else None)


def _from_names(batch: dict[str, Any], inputs: Any, parameters: Sequence[str]) -> Parts:
    labels = next((batch[n] for n in LABELS if n in batch), None)
    if inputs is not None and not isinstance(inputs, int):
        missing = [n for n in inputs if n not in batch]
        if missing:
            raise DataError(
                f"expected {missing[0]!r} in each batch, as inputs= says, found {', '.join(batch)}"
            )
        named = {n: batch[n] for n in inputs}
        label = next((batch[n] for n in LABELS if n in batch and n not in named), None)
        if set(named) <= set(parameters):
            return Parts((), named, label)
        return Parts(tuple(named.values()), {}, label)
    # Networks that compute their own loss have a parameter for labels: it is left alone.
    named = {n: v for n, v in batch.items() if n in parameters and n not in LABELS}
    if named:
        return Parts((), named, labels)
    known = [n for n in IMAGES if n in batch]
    others = [n for n, v in batch.items() if n not in LABELS and hasattr(v, "shape")]
    found = known[:1] or (others if len(others) == 1 else [])
    if not found:
        raise DataError(
            f"expected images in each batch, found {', '.join(map(str, batch)) or 'an empty dict'}, none of "
            "which is a parameter of the network; name them with inputs="
        )
    return Parts((batch[found[0]],), {}, labels)


def is_numbers(batch: Sequence[Any]) -> bool:
    """Return whether a list holds numbers, and so is one batch and not several parts of one."""
    return bool(batch) and all(isinstance(v, int | float | np.generic) for v in batch)


def kind_of(value: Any) -> str:
    """Return what a value is, for messages."""
    return (
        f"{type(value).__name__} {str(value)[:40]!r}"
        if isinstance(value, str)
        else f"a {type(value).__name__}"
    )
