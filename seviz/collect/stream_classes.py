"""What the labels of a loader stand for: a row for each class, before and after its images are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seviz.collect.streaming import Stream
from seviz.data import Match, match_classes
from seviz.data.base import UNLABELLED
from seviz.errors import DataError
from seviz.results.classes import ClassTable
from seviz.results.record import Record
from seviz.results.sample import PREFIX, ROW


def match_stream(
    stream: Stream, classes: ClassTable | None, outputs: int | None, labels: str
) -> Match:
    """Return what the labels stand for: a row for each class, whether it has images or not.

    Args:
        stream: The batches.
        classes: Classes of the network, where they are known.
        outputs: How many outputs it has, where these are class scores.
        labels: As `PassOptions.labels`: ``data`` makes the labels classes of their own.

    Raises:
        DataError: If it is not known which classes there are, or they are not the network's.
    """
    if not stream.labelled:
        return match_classes([UNLABELLED], [1], None, labelled=False)
    given = stream.loader.classes
    names = list(map(str, given)) if given is not None else list(stream.opened.names or ())
    if labels == "data":
        if not names and outputs is None:
            raise _unknown(outputs)
        names = names or [str(n) for n in range(outputs or 0)]
        return match_classes(names, [1] * len(names), None, labels="data")
    if not names:
        if outputs is None:
            raise _unknown(outputs)
        if classes is None and stream.kind == "names" and len(stream.wanted) != outputs:
            raise DataError(
                "expected the names of the network's classes for labels that are names, found none; give "
                "classes=[...] in the order of its outputs"
            )
        fit = len(stream.wanted) == outputs
        names = list(stream.wanted) if fit else [str(n) for n in range(outputs)]
        table = classes or ClassTable.from_labels(names)
        return _by_number(table)
    if given is not None and (outputs is None or len(names) == outputs):
        known = outputs is not None
        return replace(_by_number(ClassTable.from_labels(names)), is_model=known)
    if classes is not None:
        return match_classes(names, [1] * len(names), classes)
    if len(names) == outputs:
        return _by_number(ClassTable.from_labels(names))
    raise DataError(
        f"expected as many classes as the network has outputs ({outputs}), found {len(names)} names; give "
        'classes=[...] for all outputs, or labels="data" for classes of their own'
    )


def _unknown(outputs: int | None) -> DataError:
    return DataError(
        "expected the number of classes, found a network without one output [N, classes] and labels without "
        "names; give classes=[...], or say with output= which output has the scores"
    )


def _by_number(table: ClassTable) -> Match:
    return Match(table, np.arange(len(table), dtype=np.int64))


def with_images_only(record: Record, outputs: ClassTable | None = None) -> Record:
    """Return a record without the rows of classes that had no image, as that of a folder is.

    Which classes have images is known of a loader only when it is over.

    Args:
        record: With a row for each class that might have come.
        outputs: The network's classes, where those of the record are some of them: what is missing is then
            listed in the order of its outputs, by which an evaluation names their columns.
    """
    full = np.flatnonzero(record.count)
    table = record.classes
    if len(full) == len(table):
        return record
    place = np.full(len(table), -1, np.int64)
    place[full] = np.arange(len(full))
    arrays = {
        name: place[array] if name == ROW else array if name.startswith(PREFIX) else array[full]
        for name, array in record.arrays.items()
    }
    labels = table.labels
    empty = {labels[row]: table.classes[row].index for row in np.flatnonzero(record.count == 0)}
    missing = [*record.header.missing, *empty]
    if outputs is not None:
        number = {n: c.index for n, c in zip(outputs.labels, outputs.classes, strict=True)} | empty
        missing.sort(key=lambda name: number.get(name, len(number)))
    header = replace(record.header, missing=tuple(missing))
    kept = ClassTable(tuple(table.classes[row] for row in full))
    return Record(header, kept, record.blocks, arrays)
