"""What a command remarks on: the network, and everything about a pass that its reader must know."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seviz.cli.console import Speaker

if TYPE_CHECKING:
    from seviz.networks import LoadedModel
    from seviz.results.record import Record


def say_network(loaded: LoadedModel, speaker: Speaker) -> None:
    """Remark on what images will meet."""
    speaker.remark(f"network: {loaded.architecture}, {loaded.params:,} parameters")
    speaker.remark(f"input: {loaded.preprocessing.describe()}")


def say_what_happened(record: Record, speaker: Speaker) -> None:
    """Remark on everything about a pass that its reader must know."""
    header = record.header
    for note in header.notes:
        speaker.remark(f"note: {note}")
    if header.missing:
        speaker.remark(f"note: no images of {some(header.missing)}")
    if header.extra:
        speaker.remark(f"note: left out, no class of the network: {some(header.extra)}")
    if header.skipped:
        listed = [f"{name} ({why})" for name, why in header.skipped]
        speaker.remark(f"warning: {len(listed)} images could not be read: {some(tuple(listed))}")
    if header.partial:
        speaker.remark(
            f"interrupted: the record holds {header.images} images and is marked as partial"
        )


def some(names: tuple[str, ...], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@contextmanager
def remarked_warnings(speaker: Speaker) -> Iterator[None]:
    """Turn seviz's own warnings into remarks."""
    from seviz.results.classes import ClassNameWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for warning in caught:
        if issubclass(warning.category, ClassNameWarning):
            speaker.remark(f"warning: {warning.message}")
