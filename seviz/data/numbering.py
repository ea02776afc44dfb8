"""Folders that are taken for a network's outputs by their place, in the orders of training scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

from seviz.data.base import Source
from seviz.data.levels import level_of_count
from seviz.errors import DataError
from seviz.results.classes import ClassTable

Order = Literal["sorted", "natural"]
_READERS = {"sorted": "torchvision's and Keras' readers", "natural": "timm's readers"}
# How much better the other order must score to be proposed, in standard errors; and on how many images.
_ERRORS, _LEAST = 4.0, 10


def in_order(names: Sequence[str], order: Order) -> list[str]:
    """Return folders in the order in which they are numbered.

    Args:
        names: Their names.
        order: ``sorted`` compares characters, as torchvision's and Keras' readers do; ``natural`` numbers by
            their value and letters without case, as timm's readers do.

    >>> in_order(["c10", "c2", "C1"], "sorted"), in_order(["c10", "c2", "C1"], "natural")
    (['C1', 'c10', 'c2'], ['C1', 'c2', 'c10'])
    """
    return sorted(names, key=_natural) if order == "natural" else sorted(names)


def other_order(names: Sequence[str], order: Order) -> tuple[Order, list[str]] | None:
    """Return the other order, if it numbers these folders differently."""
    other: Order = "natural" if order == "sorted" else "sorted"
    ordered = in_order(names, other)
    return None if ordered == in_order(names, order) else (other, ordered)


def numbered_folders(
    source: Source, outputs: int | None, order: Order, heads: Sequence[str] = ()
) -> tuple[Sequence[str], ClassTable, tuple[str, ...]]:
    """Return a class for each folder, by its place.

    Args:
        source: The images.
        outputs: How many outputs the network has.
        order: How the folders are numbered.
        heads: Names of its outputs, where it gives several.

    Returns:
        The name of each folder of the source, the classes, and remarks.

    Raises:
        DataError: If there are not as many folders as outputs, or no folders at all.
    """
    folders: Sequence[str] = source.folders
    if heads:
        raise DataError(
            f"expected a network with one output of scores for --labels {order}, found "
            f"{', '.join(heads)}; take one of them with --head"
        )
    if outputs is None:
        raise DataError(
            f"expected a network with one output of scores for --labels {order}, found one that returns "
            "something else (several tensors, or maps); its folders cannot be numbered, leave --labels out"
        )
    if not source.labelled:
        raise DataError(
            f"expected folders for --labels {order}, found images without classes in {source.name}; "
            "leave --labels out"
        )
    level = level_of_count(folders, outputs) if any("/" in f for f in folders) else None
    folders = level or folders
    names = in_order(list(dict.fromkeys(folders)), order)
    if len(names) != outputs:
        raise DataError(
            f"expected as many folders as the network has outputs ({outputs}) for --labels {order}, found "
            f"{len(names)}; a missing folder would shift the labels of all that follow"
        )
    notes = [
        f"the network's outputs are taken for the folders in {order} order, as --labels {order} says"
    ]
    if level is not None:
        is_outer = level[0] == source.folders[0].partition("/")[0]
        notes.append(
            f"folders lie in folders: the {'outer' if is_outer else 'inner'} ones, {outputs} as the outputs, "
            f"are the classes ({', '.join(names[:5])}{', ...' * (len(names) > 5)})"
        )
    other = other_order(names, order)
    if other is not None:
        place = next(i for i, (a, b) in enumerate(zip(names, other[1], strict=True)) if a != b)
        notes.append(
            f"{other[0]} order numbers these folders differently (output {place} is {names[place]}, there "
            f"{other[1][place]}): {_READERS[other[0]]} number so; --labels {other[0]} takes that order"
        )
    return folders, ClassTable.from_labels(names), tuple(notes)


def better_order(confusion: npt.NDArray[np.int64], names: Sequence[str], labels: str) -> str | None:
    """Return a remark where the answers speak for the other order.

    Args:
        confusion: Images by folder and answer, int64 [rows, outputs or more].
        names: The folder of each row.
        labels: What ``--labels`` said.

    >>> names = [f"c{i}" for i in (1, 10, 2)]
    >>> better_order(np.array([[9, 0, 0], [0, 0, 9], [0, 9, 0]]), names, "sorted")
    'top-1 is 33.3 % with the folders in sorted order and 100.0 % in natural: give --labels natural'
    """
    order: Order = "natural" if labels == "natural" else "sorted"
    other = other_order(names, order) if labels in ("sorted", "natural") else None
    images = int(confusion.sum())
    if other is None or images < _LEAST:
        return None
    own = in_order(names, order)
    rows = {name: row for row, name in enumerate(names)}
    now, then = (
        sum(int(confusion[rows[name], place]) for place, name in enumerate(order_of)) / images
        for order_of in (own, other[1])
    )
    if then - now <= _ERRORS * max(then * (1 - then) / images, 0.25 / images) ** 0.5:
        return None
    return (
        f"top-1 is {100 * now:.1f} % with the folders in {order} order and {100 * then:.1f} % in "
        f"{other[0]}: give --labels {other[0]}"
    )


def _natural(name: str) -> list[str | int | Decimal]:
    # Text and numbers take turns, beginning with text, so that only like is compared with like. Python makes
    # no int of thousands of digits.
    parts = re.split(r"(\d+)", name.lower())
    return [(int(p) if len(p) < 1000 else Decimal(p)) if p.isdecimal() else p for p in parts]
