"""The images that a record is of, opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seviz.data.base import Source
from seviz.data.sources import open_source
from seviz.errors import DataError
from seviz.results.record import Record
from seviz.results.sample import INDEX, ROW


def images_of(record: Record, data: Any, split: str | None = None) -> Source:
    """Open the images of a record: what gives them names, and can be looked at.

    Args:
        record: From a pass over them.
        data: What ``--data`` takes, or a source that is open.
        split: As for `open_source`.

    Raises:
        DataError: If these are batches, or not the images of the record.
    """
    source = open_source(str(data), split=split) if isinstance(data, str | Path) else data
    if not isinstance(source, Source):
        raise DataError(
            "expected images that have names, found batches; leave them out, or give the network as well"
        )
    header = record.header
    same = (source.name, source.split) == (header.source, header.split)
    if not same or len(source) < header.images:
        raise DataError(
            f"expected the {header.images:,} images of the record ({header.source} {header.split}), found "
            f"{len(source):,} of {source.name} {source.split}; give those"
        )
    _check_classes(record, source)
    return source


def _check_classes(record: Record, source: Source) -> None:
    """Refuse images of the same name in another order: positions in the record would name other images.

    The images of a folder are of one class, so two that the record has in two classes are not these.

    Raises:
        DataError: If a single image of the record is of another class here.
    """
    if INDEX not in record.arrays:
        return
    own = record.arrays[INDEX]
    row_of: dict[int, int] = {}
    for position, row in zip(own.tolist(), record.arrays[ROW].tolist(), strict=True):
        folder = int(source.labels[position]) if position < len(source) else -1
        if folder < 0 or row_of.setdefault(folder, row) != row:
            raise DataError(
                f"expected the images of the record in its order, found other classes in their places in "
                f"{source.name} {source.split}; give the images in the form of the pass"
            )
