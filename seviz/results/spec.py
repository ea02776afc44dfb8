"""What a user names in one word: a record, a table of predictions, or else a network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seviz.errors import CheckpointError
from seviz.results.files import is_predictions, is_record, record_path

if TYPE_CHECKING:
    from seviz.results.predictions import PredictionTable
    from seviz.results.record import Record


@dataclass(frozen=True)
class Spec:
    """A name, and what stands behind it; told once, by content, and read when asked for.

    Attributes:
        name: What the user wrote.
        kind: ``record``, ``predictions``, or ``network``: a checkpoint, or a name in a zoo.

    >>> open_spec("timm:legacy_seresnet50").kind
    'network'
    """

    name: str
    kind: Literal["record", "predictions", "network"]

    @property
    def is_record(self) -> bool:
        """Return whether it is a record."""
        return self.kind == "record"

    @property
    def file(self) -> Path:
        """Return the file of the record or the table."""
        return record_path(self.name) if self.is_record else Path(self.name)

    @cached_property
    def record(self) -> Record:
        """Open the record.

        Raises:
            DataError: If it is damaged, or another seviz wrote it.
        """
        from seviz.results.record import Record

        return Record.load(self.name)

    @cached_property
    def predictions(self) -> PredictionTable:
        """Read the table of predictions.

        Raises:
            DataError: If it holds none.
        """
        from seviz.results.predictions import read_predictions

        return read_predictions(self.name)


def check_there(name: str | Path) -> None:
    """Check that there is a file of this name.

    Raises:
        CheckpointError: If there is not.
    """
    if not os.path.exists(name):  # a name that is too long is no error of this function
        raise CheckpointError(
            f"expected a checkpoint file, found nothing at {name}; give a file, timm:NAME or "
            "torchvision:NAME"
        )


def open_spec(name: str | Path) -> Spec:
    """Tell what a name stands for."""
    if is_record(name):
        return Spec(str(name), "record")
    return Spec(str(name), "predictions" if is_predictions(name) else "network")
