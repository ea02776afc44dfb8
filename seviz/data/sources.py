"""From what the user writes after ``--data`` to a source of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seviz.data.base import ArraySource, FolderSource, Source
from seviz.data.cifar10 import open_cifar10
from seviz.data.folders import open_directory
from seviz.errors import DataError

__all__ = ["ArraySource", "FolderSource", "Source", "open_source"]

DIGITS = "digits"
DIGITS_SPLITS = ("train", "test", "all")


def open_source(spec: str, *, split: str | None = None, download: bool = False) -> Source:
    """Return the images that ``spec`` names. Only ``download`` lets it use the network.

    Args:
        spec: A directory (``spec/<class>/...`` or ``spec/<split>/<class>/...``),
            ``cifar10[:DIR]``, or ``digits``, handwritten digits that come with scikit-learn.
        split: Part of the source. By default ``test``; in a directory, ``test``, else ``val`` or
            ``validation``, where the class folders are not at the top.
        download: Fetch CIFAR-10 (170 MB) where it is not on this machine.

    Raises:
        DataError: If ``spec`` names no source, or there are no class folders in it.

    >>> source = open_source("digits")
    >>> source.name, source.split, len(source), source.image_name(17)
    ('digits', 'test', 364, 'digits/test/17')
    """
    kind, colon, rest = spec.partition(":")
    source: Source
    if spec == DIGITS:
        source = _open_digits(split)
    elif kind == "cifar10" and (rest or not colon):
        source = open_cifar10(Path(rest) if rest else None, split=split, download=download)
    elif spec and Path(spec).expanduser().is_dir():
        return open_directory(Path(spec), split)
    else:
        found = "a file" if Path(spec).expanduser().is_file() else "nothing"
        raise DataError(
            "expected a folder with one folder of images per class, 'cifar10[:DIR]' or 'digits', "
            f"found {found} at {spec!r}; name a folder, or try --data digits"
        )
    if Path(spec).is_dir():
        note = f"the data set {spec!r}, not the folder of that name; './{spec}' is the folder"
        source = replace(source, notes=(*source.notes, note))
    return source


def _open_digits(split: str | None) -> ArraySource:
    from seviz.data.builtin import digits

    split = split or "test"
    if split not in DIGITS_SPLITS:
        raise DataError(
            f"expected a split of {DIGITS} ({', '.join(DIGITS_SPLITS)}), found {split!r}; "
            "give one of them"
        )
    names, splits = digits()
    pixels, labels = splits[split]
    return ArraySource(name=DIGITS, split=split, folders=tuple(names), labels=labels, pixels=pixels)
