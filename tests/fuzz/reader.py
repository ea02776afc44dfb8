"""What the harness knows of one reader of seviz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What a file says, by name: arrays, numbers, lists of names.
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """A way from a file into seviz.

    Attributes:
        name: What the format is called here.
        kind: What is read: checkpoint, result, table, image, data, class list.
        make: Writes a good file into a folder, and returns its path; what lies beside it stays whole.
        read: Reads it as seviz does; raises a `SevizError` for a file that is refused.
        judge: Reads it without seviz; raises anything for a file that it cannot read.
        document: For an archive of seviz: its JSON, which is damaged by itself.
        fits: Whether one entry of ours is that of the judge; to the last bit by default.
    """

    name: str
    kind: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Content]
    judge: Callable[[Path], Content] | None = None
    document: str = ""
    fits: Callable[[str, Any, Content], bool] | None = None


def differences(reader: Reader, found: Content, judged: Content) -> list[str]:
    """Return the names of what seviz read otherwise than the judge did."""
    fits = reader.fits or _is_same
    return [name for name, value in found.items() if not fits(name, value, judged)]


def _is_same(name: str, value: Any, judged: Content) -> bool:
    return name in judged and equal(value, judged[name])


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same; NaN is NaN."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        a, b = np.asarray(one), np.asarray(other)
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return bool(one == other)
