"""A record that fits what is asked for is used again; the output folder is the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seviz.collect.prepared import Prepared
from seviz.errors import DataError
from seviz.results.files import is_record, record_path
from seviz.results.record import Record


def fitting_record(
    path: str | Path, ready: Prepared, tell: Callable[[str], Any] = lambda text: None
) -> Record | None:
    """Return the record of the same pass, if it is there and whole.

    Args:
        path: A record, or the folder that may hold one.
        ready: The pass that is asked for.
        tell: Called with a remark on a record that is damaged; it is not used.

    Returns:
        ``None`` where there is no record, it was cut short, anything that its numbers depend on differs
        or is not known to be the same, or images were skipped that `PassOptions.strict` would refuse.

    >>> import seviz, tempfile
    >>> from seviz.collect.prepare import PassOptions, prepare
    >>> model = seviz.load(seviz.sample("se_resnet_digits"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = seviz.collect(model, "digits").save(folder)
    ...     same = fitting_record(folder, prepare(model, "digits", PassOptions()))
    ...     other = fitting_record(folder, prepare(model, "digits", PassOptions(num_samples=2)))
    >>> same.header.images, other
    (364, None)
    """
    if not is_record(path):
        return None
    try:
        record = Record.load(path)
        header = record.header
        if header.partial or (ready.options.strict and header.skipped):
            return None
        # Late, since it looks at every file of the data.
        if not header.request or header.request != ready.request_digest:
            return None
        record.verify()
    except DataError as exc:  # of another version, or damaged
        tell(f"warning: {record_path(path)} is not used and collected anew: {exc}")
        return None
    return record
