"""A zip file of class folders, read as it is."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seviz.data.encoded import MOST_BYTES, EncodedSource, coded
from seviz.data.rasters import descriptor, has_raster_suffix
from seviz.data.splits import named_split, split_kinds
from seviz.errors import DataError

# A file of the archive that claims to unpack to more than that many times its bytes there is no image.
_MOST_EXPANSION = 1000
_PREFERRED = ("test", "val")


@dataclass(frozen=True, eq=False, kw_only=True)
class ZipSource(EncodedSource):
    """Images in a zip file.

    Attributes:
        path: The file.
    """

    path: str

    def encoded(self, index: int) -> bytes:
        """Return an image, unpacked in memory."""
        # Opened anew by each worker process: they would share one place in one open file.
        archive = _opened(self.path, os.getpid())
        with archive.open(os.fsdecode(bytes(self.names[index]))) as file:
            return file.read(MOST_BYTES)


_OPEN: dict[tuple[str, int], zipfile.ZipFile] = {}


def _opened(path: str, process: int) -> zipfile.ZipFile:
    if (path, process) not in _OPEN:
        _OPEN.clear()
        _OPEN[path, process] = zipfile.ZipFile(path)
    return _OPEN[path, process]


def open_zip(path: Path, split: str | None = None) -> ZipSource:
    """Return the images of a zip file: ``class/...``, ``split/class/...``, or images alone.

    Folders that hold one folder and nothing else are looked into. The order is that of the bytes of the
    paths.

    Args:
        path: The file.
        split: The part; ``test``, else ``val``, where there are parts.

    Raises:
        DataError: If it is no zip file, or there are no images in it.
    """
    path = Path(os.path.abspath(path.expanduser()))
    try:
        with open(descriptor(path), "rb") as stream, zipfile.ZipFile(stream) as archive:
            there = [i for i in archive.infolist() if has_raster_suffix(os.fsencode(i.filename))]
            infos = {i.filename: i for i in there if _is_sound(i)}
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as exc:
        reason = " ".join(str(exc).split())[:100]
        raise DataError(
            f"expected a zip file of images, found {path.name}: {reason}; check it"
        ) from exc
    if not infos:
        raise DataError(
            f"expected images in folders of their classes in {path.name}, found none; check it"
        )
    below = {name: name.split("/") for name in sorted(infos, key=os.fsencode)}
    below, part, notes = _layout(below, split, path.name)
    labelled = [len(parts) > 1 for parts in below.values()]
    names = [
        name for name, inside in zip(below, labelled, strict=True) if inside or not any(labelled)
    ]
    for left, why in (
        (len(below) - len(names), "outside the class folders"),
        (len(there) - len(infos), "that are hidden, locked, or claim to unpack to too much"),
    ):
        if left:
            notes = (*notes, f"left out: {left} images {why}")
    labels = [below[name][0] for name in names] if any(labelled) else None
    if labels is None:
        notes = (*notes, "images without class folders: they are one group")
    folders, places = coded(labels, len(names))
    status = path.stat()
    return ZipSource(
        name=path.stem,
        split=part,
        folders=folders,
        labels=places,
        notes=notes,
        labelled=labels is not None,
        names=np.array([os.fsencode(name) for name in names], np.bytes_),
        sizes=np.array([infos[name].file_size for name in names], np.int64),
        origin=hashlib.sha256(f"{path.name} {status.st_size}".encode()).hexdigest(),
        written=status.st_mtime_ns,
        path=str(path),
    )


def _layout(
    below: dict[str, list[str]], split: str | None, name: str
) -> tuple[dict[str, list[str]], str, tuple[str, ...]]:
    """Return the images of the part with their paths from its class folders on, the part, and remarks."""
    part, notes = "", []
    while True:
        tops = list(dict.fromkeys(parts[0] for parts in below.values() if len(parts) > 1))
        deep = all(len(parts) > 1 for parts in below.values())
        kinds = split_kinds(tops)
        inner = any(len(parts) > 2 for parts in below.values())
        if not part and deep and inner and tops and len(kinds) == len(tops):
            wanted = named_split(split, tops) if split else _usual(kinds)
            if wanted is None:
                raise DataError(
                    f"expected a folder {split or 'test'!r} in {name}, found {', '.join(tops[:5])}; name one "
                    "with --split"
                )
            if not split:
                notes.append(f"split {wanted!r} of: {', '.join(tops)} (no --split given)")
            below = {n: parts[1:] for n, parts in below.items() if parts[0] == wanted}
            part = wanted
        elif deep and len(tops) == 1 and inner:
            below = {n: parts[1:] for n, parts in below.items()}
        else:
            break
    if split and not part:
        raise DataError(
            f"expected a folder {split!r} in {name}, found {', '.join(tops[:5]) or 'none'}; leave out --split"
        )
    return below, part, tuple(notes)


def _usual(kinds: dict[str, str]) -> str | None:
    for kind in _PREFERRED:
        for folder, found in kinds.items():
            if found == kind:
                return folder
    return next(iter(kinds), None)


def _is_sound(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    small = info.file_size <= max(_MOST_EXPANSION * info.compress_size, 2**16)
    locked = bool(info.flag_bits & 1)
    return small and not (hidden or locked or info.is_dir())
