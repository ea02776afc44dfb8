"""From what the user writes after ``--data`` to a source of images: a table, a row for each form.

Nothing heavy is imported here before a source is opened: the help of the commands reads the table.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seviz.errors import DataError

if TYPE_CHECKING:
    from seviz.data.base import ArraySource, Source
    from seviz.data.loaders import Loader

DIGITS = "digits"
DIGITS_SPLITS = ("train", "test", "all")
# Letters of a wrong name that are repeated.
_SHOWN = 300


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    Attributes:
        spec: What stands after ``--data``.
        split: Part of the source; its own choice by default.
        download: Whether the network may be used.
    """

    spec: str
    split: str | None = None
    download: bool = False

    @property
    def path(self) -> Path:
        """Return ``spec`` as a path."""
        return Path(self.spec).expanduser()

    @property
    def is_sound(self) -> bool:
        """Return whether the system can be asked for a file of this name."""
        try:
            os.lstat(self.path)
        except OSError as exc:
            return exc.errno != errno.ENAMETOOLONG
        except ValueError:  # a zero byte
            return False
        return bool(self.spec)

    @property
    def suffix(self) -> str:
        """Return what the file's name ends in, in small letters."""
        return self.path.suffix.lower()


@dataclass(frozen=True)
class Form:
    """One way of naming images.

    Attributes:
        written: How it is written, as in the help.
        fits: Whether something is written so.
        open: Opens it.
        is_name: Whether it is the name of a data set, which a folder may have as well.
    """

    written: str
    fits: Callable[[Asked], bool]
    open: Callable[[Asked], Source | Loader]
    is_name: bool = False


def _open_digits(asked: Asked) -> ArraySource:
    from seviz.data.base import ArraySource
    from seviz.data.builtin import digits

    split = asked.split or "test"
    if split not in DIGITS_SPLITS:
        raise DataError(
            f"expected a split of {DIGITS} ({', '.join(DIGITS_SPLITS)}), found {split!r}; "
            "give one of them"
        )
    names, splits = digits()
    pixels, labels = splits[split]
    return ArraySource(name=DIGITS, split=split, folders=tuple(names), labels=labels, pixels=pixels)


def _open_cifar10(asked: Asked) -> Source:
    from seviz.data.cifar10 import open_cifar10

    folder = asked.spec.partition(":")[2]
    return open_cifar10(
        Path(folder) if folder else None, split=asked.split, download=asked.download
    )


def _open_folder(asked: Asked) -> Source:
    from seviz.data.folders import open_directory

    return open_directory(asked.path, asked.split)


def _open_list(asked: Asked) -> Source:
    from seviz.data.lists import open_list

    return open_list(asked.path, asked.split)


def _open_arrays(asked: Asked) -> Source:
    from seviz.data.arrays import open_arrays

    return open_arrays(asked.path, asked.split)


def _open_shards(asked: Asked) -> Source:
    from seviz.data.shards import open_shards

    return open_shards(asked.spec, asked.split)


def _open_parquet(asked: Asked) -> Source:
    from seviz.data.tables import open_parquet

    return open_parquet(asked.path, asked.split)


def _open_hub(asked: Asked) -> Source:
    from seviz.data.tables import open_hub

    return open_hub(asked.spec, asked.split, download=asked.download)


def _open_zip(asked: Asked) -> Source:
    from seviz.data.zips import open_zip

    return open_zip(asked.path, asked.split)


def _open_image(asked: Asked) -> Source:
    from seviz.data.folders import open_image

    return open_image(asked.path)


def names_code(asked: Asked) -> bool:
    """Return whether this is ``file.py:function`` or ``package.module:function``."""
    place, _, function = asked.spec.rpartition(":")
    if not function.isidentifier():
        return False
    if place.endswith(".py"):
        return True
    return "." in place and all(part.isidentifier() for part in place.split("."))


def _open_code(asked: Asked) -> Source | Loader:
    from seviz.data.foreign import callable_in, import_code
    from seviz.data.loaders import from_code

    place, _, name = asked.spec.rpartition(":")
    option = f"--data {asked.spec}"
    function = callable_in(import_code(place, option, DataError), place, name)
    made = from_code(function, option, asked.split)
    return open_source(made, split=asked.split) if isinstance(made, str) else made


# The first that fits opens it. To add a form, add a row.
FORMS = (
    Form(
        "a folder with one folder per class",
        lambda a: a.spec not in (DIGITS, "cifar10", "") and a.path.is_dir(),
        _open_folder,
    ),
    Form("list.csv|.tsv", lambda a: a.suffix in (".csv", ".tsv") and a.path.is_file(), _open_list),
    Form(
        "arrays.npz|.npy|.pt",
        lambda a: a.suffix in (".npz", ".npy", ".pt", ".pth") and a.path.is_file(),
        _open_arrays,
    ),
    Form("shard-{000..099}.tar", lambda a: a.suffix in (".tar", ".gz", ".tgz"), _open_shards),
    Form("images.parquet", lambda a: a.suffix == ".parquet" and a.path.is_file(), _open_parquet),
    Form("a zip of class folders", lambda a: a.suffix == ".zip" and a.path.is_file(), _open_zip),
    Form(
        "hf:NAME|FOLDER",
        lambda a: len(a.spec.partition("hf:")[2]) > 0 and a.spec[:3] == "hf:",
        _open_hub,
    ),
    Form(
        "an image or a folder of images (without classes)", lambda a: a.path.is_file(), _open_image
    ),
    Form("file.py:function or package.module:function", names_code, _open_code),
    Form(
        "cifar10[:DIR]",
        lambda a: a.spec == "cifar10" or len(a.spec.partition("cifar10:")[2]) > 0,
        _open_cifar10,
        is_name=True,
    ),
    Form(DIGITS, lambda a: a.spec == DIGITS, _open_digits, is_name=True),
)


def is_set_name(spec: str) -> bool:
    """Return whether this is the name of a data set that comes with seviz, and no path.

    >>> is_set_name("digits"), is_set_name("images/val")
    (True, False)
    """
    asked = Asked(spec)
    return any(form.is_name and form.fits(asked) for form in FORMS) and ":" not in spec


def known_forms() -> str:
    """Return all forms in one phrase, for help and errors.

    >>> known_forms().endswith("cifar10[:DIR] or digits")
    True
    """
    *first, last = (form.written for form in FORMS)
    return f"{', '.join(first)} or {last}"


def open_source(spec: str, *, split: str | None = None, download: bool = False) -> Source | Loader:
    """Return the images that ``spec`` names, or batches. Only ``download`` lets it use the network.

    Args:
        spec: Any of `FORMS`: a directory (``spec/<class>/...`` or ``spec/<split>/<class>/...``), a list of
            paths and classes, an array file, an image or a folder of images without classes, a function of
            the user's that gives batches, CIFAR-10, or the handwritten digits that come with scikit-learn.
        split: Part of the source. By default ``test``; in a directory, ``test``, else ``val`` or
            ``validation``, where the class folders are not at the top.
        download: Fetch CIFAR-10 (170 MB) where it is not on this machine.

    Raises:
        DataError: If ``spec`` names no source, or there are no class folders in it.

    >>> source = open_source("digits")
    >>> source.name, source.split, len(source), source.image_name(17)
    ('digits', 'test', 364, 'digits/test/17')
    """
    asked = Asked(spec, split, download)
    form = next((f for f in FORMS if f.fits(asked)), None) if asked.is_sound else None
    if form is None:
        found = (
            "neither a file nor a folder" if asked.is_sound and asked.path.exists() else "nothing"
        )
        where = spec if len(spec) <= _SHOWN else f"{spec[:_SHOWN]}..."
        raise DataError(
            f"expected {known_forms()}, found {found} at {where!r}; try --data 'digits'"
        )
    from seviz.data.base import Source

    source = form.open(asked)
    if form.is_name and isinstance(source, Source) and Path(spec).is_dir():
        note = f"the data set {spec!r}, not the folder of that name; './{spec}' is the folder"
        source = replace(source, notes=(*source.notes, note))
    return source
