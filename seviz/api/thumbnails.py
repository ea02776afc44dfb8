"""Pictures of single images, for the report of a record."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from seviz.errors import DataError, UsageError
from seviz.results.files import record_path
from seviz.results.record import Record

if TYPE_CHECKING:
    from seviz.collect.meet import Data
    from seviz.data import Source
    from seviz.report.thumbnails import Thumbnails
    from seviz.results.predictions import PredictionTable

# As many as take 0.4 MB of a report.
USUAL = 200


def thumbnails(
    record: Record | str | Path,
    data: Data,
    most: int = USUAL,
    *,
    folder: str | Path | None = None,
    split: str | None = None,
    predictions: PredictionTable | None = None,
) -> Thumbnails:
    """Return small pictures of the images that tell most, for `seviz.write_report`.

    Of the record's sample those with the largest and the smallest gate of the channels that tell classes
    apart best; and, where the answer for each image is given, those behind the most frequent confusions.
    They are images of your data, so no report has them unless you ask.

    Args:
        record: A record, or its file or folder.
        data: The images of the record: what ``--data`` takes, or a source that is open.
        most: Pictures at most; each has 64 pixels and 1.5 kB at most.
        folder: Where the report goes, from where links lead to the files; by default that of the record.
        split: Part of the data, as for ``--split``.
        predictions: The answer for each image, as ``each`` of `seviz.collect` gives it.

    Raises:
        UsageError: If ``most`` is not positive.
        DataError: If these are not the images of the record, or answers are for others.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> len(seviz.thumbnails(record, "digits", 20).pictures)
    20
    """
    from seviz.data.recorded import images_of
    from seviz.report.thumbnails import make_thumbnails

    if most < 1:
        raise UsageError(
            f"expected at least 1 thumbnail, found {most}; give a number such as {USUAL}"
        )
    opened = record if isinstance(record, Record) else Record.load(record)
    beside = folder
    if beside is None:
        beside = "." if isinstance(record, Record) else record_path(record).parent
    source = images_of(opened, data, split)
    positions: list[int] = []
    if predictions is not None:
        place = {source.image_name(i): i for i in range(len(source))}
        names = predictions.paths or ()
        if (unknown := next((name for name in names if name not in place), None)) is not None:
            raise DataError(
                f"expected answers for the images of the record, found {unknown!r} among them; give those of "
                "the same pass"
            )
        positions = [place[name] for name in names]
    return make_thumbnails(
        opened,
        most,
        image=source.image,
        name=source.image_name,
        link=_linker(source, Path(beside)),
        predictions=predictions if positions else None,
        positions=positions,
    )


def check_named(source: Any) -> None:
    """Refuse images without names before a pass, not after it.

    Raises:
        DataError: If these are batches.
    """
    from seviz.data import Source

    if not isinstance(source, Source):
        raise DataError(
            "expected images that can be opened singly for thumbnails, found batches; leave thumbnails out, "
            "or name a folder"
        )


def _linker(source: Source, folder: Path) -> Callable[[int], str]:
    """Return what gives the link from a page in a folder to an image's file."""
    start = folder.resolve()

    def link(position: int) -> str:
        file = source.file(position)
        if file is None:
            return ""
        try:
            return quote(Path(os.path.relpath(file.resolve(), start)).as_posix())
        except ValueError:  # on another drive
            return file.resolve().as_uri()

    return link
