"""Folders of images: one folder per class, or images without classes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from seviz.data.base import UNLABELLED, FolderSource
from seviz.data.hard_links import HARD_LINKS, hard_links, repeated
from seviz.data.layouts import Layout, find_layout
from seviz.data.lists import open_listed
from seviz.data.rasters import read_raster
from seviz.data.scanning import (
    LINKS,
    LeftOut,
    Listing,
    Scan,
    shown,
    unreadable,
)
from seviz.errors import DataError

# A file that is named as the mask of an image: the image's name comes first.
_MASK = re.compile(
    rb"(.+?)[_-](?:mask|seg|segmentation|gt|groundtruth)(?:_\d{1,4})?\.[^./]+",
    re.IGNORECASE | re.DOTALL,
)


def open_directory(
    path: Path, split: str | None = None, *, name: str | None = None
) -> FolderSource:
    """Return the images of a directory: ``path/<class>/...`` or ``path/<split>/<class>/...``.

    Images in nested folders belong to the class folder they are in. Each real file is given once,
    however many links lead to it. Hidden files and folders are left out; so is what is no image, and a
    note says how much. The order is that of the bytes of the paths, whatever the file system's.

    Args:
        path: The directory. Images right in it, and no folders, are one group without classes.
        split: Folder inside it that holds the class folders. Without it, and where the class
            folders lie one level deeper, ``test``, else ``val`` or ``validation``.
        name: Name of the source; the directory's own by default.

    Raises:
        DataError: If there is no such directory or split, it cannot be read, or it has no class
            folders; a line says what was seen.
    """
    path = Path(os.path.abspath(path.expanduser()))
    scan, left = Scan(), LeftOut()
    name = name or path.name or "images"
    try:
        layout = find_layout(scan, os.fsencode(path), split)
        root = path / os.fsdecode(layout.below)
        if layout.listed is not None:
            return open_listed(layout.listed, root, name, layout.split, layout.notes)
        here = scan.listing(os.fsencode(root))
        prefix = layout.below + b"/" if layout.below else b""
        for kind, names in here.others.items():
            left.add(kind, prefix + names[0], len(names))
        if layout.folders:
            files = scan.walk(os.fsencode(root), layout.folders, prefix, left)
            files = [_without_masks(found, prefix, left) for found in files]
        else:
            files = [_flat(here, os.fsencode(root), prefix, left)]
    except OSError as exc:
        raise unreadable(exc, os.fsencode(path)) from exc
    return _source(name, root, layout, files, left, len(here.images))


def _flat(here: Listing, root: bytes, prefix: bytes, left: LeftOut) -> list[bytes]:
    """Return the images right in a folder, each file once."""
    number_of = repeated([here.images], [here.numbers])
    twice = dict.fromkeys(hard_links(root, [here.images], number_of), HARD_LINKS)
    real = os.path.realpath(root)
    counted = {os.path.join(real, name) for name in here.images if name not in here.links}
    for name in sorted(here.links.intersection(here.images)):
        target = os.path.realpath(os.path.join(root, name))
        if target in counted:
            twice[name] = LINKS
        counted.add(target)
    for name, kind in sorted(twice.items()):
        left.add(kind, prefix + name)
    return [name for name in here.images if name not in twice]


def _without_masks(files: list[bytes], prefix: bytes, left: LeftOut) -> list[bytes]:
    """Leave out the masks that lie beside their images: ``1_mask.png`` and ``1_mask_2.png`` of ``1.png``."""
    like = [(file, match[1]) for file in files if (match := _MASK.fullmatch(file)) is not None]
    if not like:
        return files
    stems = {os.path.splitext(file)[0] for file in files}
    masks = {file for file, image in like if image in stems}
    if masks:
        left.add("masks beside their images", prefix + min(masks), len(masks))
    return [file for file in files if file not in masks]


def _source(
    name: str, root: Path, layout: Layout, files: list[list[bytes]], left: LeftOut, loose: int
) -> FolderSource:
    notes = layout.notes
    if layout.folders and loose:
        notes = (*notes, f"left out: {loose} images outside the class folders")
    if not layout.folders:
        notes = (*notes, "images without class folders: they are one group")
    return FolderSource(
        name=name,
        split=layout.split,
        folders=tuple(map(shown, layout.folders)) or (UNLABELLED,),
        labels=np.repeat(np.arange(len(files)), [len(f) for f in files]).astype(np.int64),
        notes=(*notes, *filter(None, [left.note])),
        labelled=bool(layout.folders),
        root=root,
        files=np.array([f for found in files for f in found], dtype=np.bytes_),
        prefix=f"{shown(layout.below)}/" if layout.below else "",
    )


def open_image(path: Path) -> FolderSource:
    """Return one image, without a class.

    Raises:
        DataError: If it cannot be read.
    """
    path = Path(os.path.abspath(path.expanduser()))
    try:
        read_raster(path)
    except Exception as exc:  # decoders raise nearly anything for a damaged file
        from seviz.data.decoding import reason

        remedy = "give a file of a usual format (JPEG, PNG, TIFF, WebP ...)"
        if path.suffix == ".py":
            remedy = f"name the function in it that gives batches: {path.name}:FUNCTION"
        raise DataError(f"expected an image, found {path.name}: {reason(exc)}; {remedy}") from exc
    return FolderSource(
        name=path.name,
        split="",
        folders=(UNLABELLED,),
        labels=np.zeros(1, np.int64),
        labelled=False,
        root=path.parent,
        files=np.array([os.fsencode(path.name)], np.bytes_),
    )
