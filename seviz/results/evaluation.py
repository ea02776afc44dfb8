"""What a network answered: how often each class was taken for which. Needs NumPy, never torch.

Made from a record, from a table of predictions or from a plain matrix; metrics and figures of confusion
need nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError, UsageError
from seviz.results.notebook import Shown
from seviz.results.record import TOP, Record
from seviz.results.stats import Array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy, by class and by bin of confidence.

    Bin b of B holds the confidences above b/B, up to and including (b + 1)/B.

    Attributes:
        count: Images, int64 [K, B].
        confidence: Sum of the confidences, float64 [K, B].
        correct: Images whose predicted class is the true one, int64 [K, B].
    """

    count: Ints
    confidence: Floats
    correct: Ints


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """True against predicted classes of one set of images.

    Attributes:
        labels: The K classes that are evaluated, no two alike.
        counts: int64 [K, K + O]: row the true class, column the predicted one.
        others: Names of the O last columns: classes that were predicted but are not evaluated.
        top5: Images of each class that is among the five largest outputs, int64 [K], where it is known and
            there are more than five.
        calibration: Confidence against accuracy, where it is known.
        subject: What was evaluated on what, for people.
        missing: Classes of the network that have no images in the data.
        extra: Classes of the data that are not the network's.
        partial: Whether the pass was interrupted.

    >>> two = Evaluation(("cat", "dog"), np.array([[8, 2], [1, 9]]))
    >>> two.support.tolist(), two.correct.tolist()
    ([10, 10], [8, 9])
    """

    labels: tuple[str, ...]
    counts: Ints
    others: tuple[str, ...] = ()
    top5: Ints | None = None
    calibration: Calibration | None = None
    subject: str = ""
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    partial: bool = False

    def __post_init__(self) -> None:
        """Check the counts, and take them as int64.

        Raises:
            DataError: If shape and labels do not fit, two labels are alike, or a count is not a count.
        """
        counts = np.asarray(self.counts)
        names = (*self.labels, *self.others)
        expected = (len(self.labels), len(names))
        if counts.shape != expected or not self.labels:
            raise DataError(
                f"expected counts of shape {expected}, one row per class, found {counts.shape}; give "
                "each row and column its label"
            )
        if counts.dtype.kind not in "iu" or (counts < 0).any():
            raise DataError(
                f"expected counts of images, found negative numbers or {counts.dtype}; give the matrix "
                "before any normalisation"
            )
        if len(set(names)) < len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise DataError(f"expected one label per class, found {twice!r} twice; rename one")
        object.__setattr__(self, "counts", counts.astype(np.int64))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns of ``counts``, [K + O]."""
        return (*self.labels, *self.others)

    @property
    def matrix(self) -> Ints:
        """Return the counts among the evaluated classes, [K, K]."""
        return self.counts[:, : len(self.labels)]

    @property
    def elsewhere(self) -> Ints:
        """Return how many images of each class were taken for a class that is not evaluated, [K]."""
        return np.asarray(self.counts[:, len(self.labels) :].sum(axis=1))

    @property
    def support(self) -> Ints:
        """Return the images of each class, [K]."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def correct(self) -> Ints:
        """Return the images of each class that were predicted as such, [K]."""
        return np.asarray(self.counts.diagonal())

    @property
    def images(self) -> int:
        """Return the number of images."""
        return int(self.counts.sum())

    @classmethod
    def of_record(cls, record: Record) -> Evaluation:
        """Take the predictions out of a record.

        The classes that have images are evaluated; the network's other outputs are ``others``.

        Raises:
            DataError: If its classes are not the network's, so that no prediction was scored.
        """
        header, arrays = record.header, record.arrays
        if "confusion" not in arrays:
            raise DataError(
                f"expected a record with predictions, found the folders of {header.source!r} as classes of "
                "their own; collect it with folders named after the network's classes"
            )
        confusion = np.asarray(arrays["confusion"], np.int64)
        own, outputs = [c.index for c in record.classes.classes], confusion.shape[1]
        rest = [i for i in range(outputs) if i not in set(own)]
        # The header lists the missing classes in the order of the outputs.
        named = len(header.missing) == len(rest)
        where = f"{header.source} {header.split}".rstrip()
        return cls(
            labels=tuple(record.classes.labels),
            counts=confusion[:, [*own, *rest]],
            others=header.missing if named else tuple(f"output {i}" for i in rest),
            # Of five outputs it would be 100 % by definition.
            top5=np.asarray(arrays["top5"], np.int64)
            if "top5" in arrays and outputs > TOP
            else None,
            calibration=_calibration(record),
            subject=f"{header.architecture} on {where}",
            missing=header.missing,
            extra=header.extra,
            partial=header.partial,
        )

    def only(self, labels: Sequence[str]) -> Evaluation:
        """Return the evaluation of some classes, in this order; the columns of the rest are ``others``.

        Raises:
            UsageError: If a class is not among the evaluated ones, or none is given.
        """
        unknown = [name for name in labels if name not in self.labels]
        if unknown or not labels:
            raise UsageError(
                f"expected classes among {_some(self.labels)}, found "
                f"{', '.join(map(repr, unknown)) or 'none'}; choose from these"
            )
        position = {name: i for i, name in enumerate(self.columns)}
        rows = [position[name] for name in dict.fromkeys(labels)]
        rest = [i for i in range(len(self.columns)) if i not in set(rows)]
        return replace(
            self,
            labels=tuple(self.columns[i] for i in rows),
            counts=self.counts[np.ix_(rows, [*rows, *rest])],
            others=tuple(self.columns[i] for i in rest),
            top5=None if self.top5 is None else self.top5[rows],
            calibration=None if self.calibration is None else _rows(self.calibration, rows),
        )

    def with_images(self) -> Evaluation:
        """Return the evaluation of the classes that have images, the columns of the rest apart.

        Raises:
            DataError: If no class has an image.
        """
        full = [name for name, n in zip(self.labels, self.support, strict=True) if n]
        if not full:
            raise DataError("expected images with a true class, found none; collect it again")
        return self if len(full) == len(self.labels) else self.only(full)


def _calibration(record: Record) -> Calibration | None:
    names = ("count", "confidence", "correct")
    if any(f"calibration_{n}" not in record.arrays for n in names):
        return None
    arrays: list[Array] = [record.arrays[f"calibration_{n}"] for n in names]
    return Calibration(*arrays)


def _rows(whole: Calibration, rows: list[int]) -> Calibration:
    return Calibration(whole.count[rows], whole.confidence[rows], whole.correct[rows])


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} classes)" if len(names) > most else "")
