"""Folders of images: one folder per class, with or without a folder per split around them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seviz.data.base import FolderSource, shown
from seviz.errors import DataError

# What Pillow reads. torchvision's ImageFolder has the same list but GIF.
EXTENSIONS = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png"),
    *(".ppm", ".tif", ".tiff", ".webp"),
)
_SUFFIXES = tuple(os.fsencode(e) for e in EXTENSIONS)
_PREFERRED = (b"test", b"val", b"validation", b"valid")
_SPLITS = frozenset((b"train", b"training", *_PREFERRED))


def open_directory(
    path: Path, split: str | None = None, *, name: str | None = None
) -> FolderSource:
    """Return the images of a directory: ``path/<class>/...`` or ``path/<split>/<class>/...``.

    Images in nested folders belong to the class folder they are in; hidden files and folders are
    left out. The order is that of the bytes of the paths, whatever the file system's.

    Args:
        path: The directory.
        split: Folder inside it that holds the class folders. Without it, and where the class
            folders lie one level deeper, ``test``, else ``val`` or ``validation``.
        name: Name of the source; the directory's own by default.

    Raises:
        DataError: If there is no such directory or split, it cannot be read, or it has no class
            folders.
    """
    path = Path(os.path.abspath(path.expanduser()))
    try:
        chosen, notes = _choose_split(path, split)
        root = path / chosen
        folders, loose = _subfolders(root), len(_images_in(root))
        if not folders:
            raise DataError(
                f"expected one folder of images per class in {root}, found no folders"
                f"{_and_images(loose)}; put the images of each class in a folder of its name"
            )
        files = [sorted(_walk(_join(root, folder), folder + b"/")) for folder in folders]
    except OSError as exc:
        raise DataError(
            f"expected a folder of images that can be read, found {exc.strerror or exc} at "
            f"{shown(os.fsencode(exc.filename or path))}; check the path and its permissions"
        ) from exc
    if loose:
        notes = (*notes, f"left out: {loose} images outside the class folders")
    return FolderSource(
        name=name or path.name or "images",
        split=chosen,
        folders=tuple(map(shown, folders)),
        labels=np.repeat(np.arange(len(folders)), [len(f) for f in files]).astype(np.int64),
        notes=notes,
        root=root,
        files=np.array([f for found in files for f in found], dtype=np.bytes_),
        prefix=f"{chosen}/" if chosen else "",
    )


def _choose_split(path: Path, split: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the folder in ``path`` that holds the class folders (empty: ``path``), and notes."""
    folders = _subfolders(path)
    if split:
        if not (path / split).is_dir():
            raise DataError(
                f"expected a folder {split!r} in {path}, found {_some(folders)}; name one of "
                "the splits there, or leave out --split"
            )
        return split, ()
    splits = [f for f in folders if f.lower() in _SPLITS and _holds_classes(_join(path, f))]
    others = [f for f in folders if f.lower() not in _SPLITS]
    if not splits or any(_images_in(_join(path, f)) for f in others):
        return "", ()
    for wanted in _PREFERRED:
        for folder in splits:
            if folder.lower() == wanted:
                listed = ", ".join(map(shown, splits))
                return shown(folder), (f"split {shown(folder)!r} of: {listed} (no --split given)",)
    if any(_has_image(_join(path, f)) for f in others):
        return "", ()  # "train" is a class of vehicles here
    raise DataError(
        f"expected a split 'test' or 'val' in {path}, found only {_some(splits)}; "
        f"name it: --split {shown(splits[0])}"
    )


def _join(root: Path, folder: bytes) -> bytes:
    return os.path.join(os.fsencode(root), folder)


def _is_hidden(name: bytes) -> bool:
    return name.startswith(b".") or name == b"__MACOSX"


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _subfolders(path: Path | bytes) -> list[bytes]:
    with os.scandir(os.fsencode(path)) as entries:
        return sorted(e.name for e in entries if _is_folder(e) and not _is_hidden(e.name))


def _images_in(path: Path | bytes) -> list[bytes]:
    """Return the images right in a folder. A broken link is one: the pass will report it."""
    with os.scandir(os.fsencode(path)) as entries:
        return [e.name for e in entries if _is_image(e.name) and not _is_folder(e)]


def _is_image(name: bytes) -> bool:
    return not _is_hidden(name) and name.lower().endswith(_SUFFIXES)


def _walk(
    path: bytes, prefix: bytes, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[bytes]:
    """Yield the images below a folder, links to folders followed, each path after ``prefix``."""
    status = os.stat(path)
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link to a folder that it is in
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if _is_folder(entry):
                yield from _walk(entry.path, prefix + entry.name + b"/", above | {here})
            elif _is_image(entry.name):
                yield prefix + entry.name


def _has_image(path: bytes) -> bool:
    return next(_walk(path, b""), None) is not None


def _holds_classes(path: bytes) -> bool:
    return any(_has_image(os.path.join(path, f)) for f in _subfolders(path))


def _some(folders: Iterable[bytes], most: int = 5) -> str:
    names = [shown(f) for f in folders]
    more = f", ... ({len(names)} folders)" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "no folders"


def _and_images(count: int) -> str:
    return f" but {count} images" if count else ""
