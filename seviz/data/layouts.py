"""How a folder of images is laid out: where its parts, its wrappers and its class folders are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from seviz.data.lists import label_list
from seviz.data.scanning import Scan, shown
from seviz.data.splits import WORDS, named_split, split_kinds
from seviz.errors import DataError

# Folders that hold the class folders, and are none.
_WRAPPERS = frozenset(
    (
        *(b"images", b"image", b"img", b"imgs", b"jpg", b"jpeg", b"jpegs", b"jpegimages", b"png"),
        *(b"pictures", b"pics", b"photos", b"data", b"dataset", b"frames"),
    )
)
# Folders beside the images whose pictures are no samples.
_BESIDE = frozenset(
    (
        *(b"masks", b"mask", b"labels", b"annotations", b"annotation", b"segmentations"),
        *(b"segmentation", b"gt", b"ground_truth", b"groundtruth", b"depth", b"meta", b"trimaps"),
    )
)
# A part that is not named: the test images, else those for validation.
_PREFERRED = tuple(word for kind in ("test", "val") for word in WORDS[kind])


@dataclass(frozen=True)
class Layout:
    """Where the images are, and what they are labelled by.

    Attributes:
        below: Path from the user's folder to the one that holds the class folders; may be empty.
        split: The part of the data set, as its folder is called; empty where there are none.
        folders: The class folders, as paths from there; none where the images have no folder each.
        listed: A file that lists the images with their classes, where that is how they are labelled.
        notes: Remarks on what was chosen.
    """

    below: bytes
    split: str = ""
    folders: tuple[bytes, ...] = ()
    listed: bytes | None = None
    notes: tuple[str, ...] = ()


def find_layout(scan: Scan, path: bytes, split: str | None) -> Layout:
    """Return the layout of a folder of images.

    Args:
        scan: Reads it.
        path: The folder.
        split: The part that is asked for; by default ``test``, else ``val`` or ``validation``, where the
            class folders lie inside parts.

    Raises:
        DataError: If it is none that is known: a line says what was seen.
        OSError: If a folder cannot be read.
    """
    below, chosen, notes = b"", "", []
    while True:
        here = os.path.join(path, below) if below else path
        if not chosen:
            found = _asked(scan, here, split) if split else _part(scan, here)
            if found is not None:
                below, chosen = os.path.join(below, found), shown(found)
                if not split:
                    parts = split_kinds(map(shown, scan.listing(here).folders))
                    notes.append(f"split {chosen!r} of: {', '.join(parts)} (no --split given)")
                    others = [f for f in scan.full(here) if shown(f) not in parts]
                    if others:
                        notes.append(f"left out beside the parts: {_some(others)}")
                continue
        inner = _wrapped(scan, here)
        if inner is None:
            break
        below = os.path.join(below, inner)
        notes.append(f"the class folders are taken from {shown(below)!r}")
    if split and not chosen:
        folders = scan.listing(path).folders
        splits = split_kinds(map(shown, folders))
        raise DataError(
            f"expected a folder {split!r} in {shown(path)}, found {_some(folders)}; "
            f"{'name one of the splits there, or leave' if splits else 'no split is among them: leave'} out "
            "--split"
        )
    return _classes(scan, path, below, chosen, tuple(notes))


def _classes(scan: Scan, path: bytes, below: bytes, split: str, notes: tuple[str, ...]) -> Layout:
    here = os.path.join(path, below) if below else path
    listing, full = scan.listing(here), _full(scan, here)
    flat = _flat_wrappers(scan, here, full)
    if not full or (flat == full and len(full) == 1 and not listing.images):
        inner = os.path.join(below, flat[0]) if flat else below
        return _flat(scan, path, below, inner, split, notes)
    kinds = split_kinds(map(shown, full))
    if len(kinds) == len(full) and not any(
        _holds_classes(scan, os.path.join(here, f)) for f in full
    ):
        raise DataError(
            f"expected one folder of images per class in {shown(here)}, found parts of a data set with "
            f"their images right in them ({_some(full)}); give a list of paths and classes "
            "(list.csv), or one of these folders, for its images without classes"
        )
    return Layout(below, split, _class_folders(scan, here, full), None, notes)


def _flat(
    scan: Scan, path: bytes, below: bytes, inner: bytes, split: str, notes: tuple[str, ...]
) -> Layout:
    """Return the layout of images that have no class folders: listed beside, or without classes."""
    folder = os.path.join(path, inner) if inner else path
    images = scan.listing(folder).images
    if not images:
        empty = scan.listing(folder).folders
        found = f"folders without images ({_some(empty)})" if empty else "no folders and no images"
        raise DataError(
            f"expected one folder of images per class in {shown(folder)}, found {found}; put the images of "
            "each class in a folder of its name"
        )
    for place in dict.fromkeys((folder, os.path.join(path, below) if below else path)):
        listed = label_list(place, folder, images)
        if listed is not None:
            return Layout(inner, split, (), listed, notes)
    return Layout(inner, split, (), None, notes)


def _class_folders(scan: Scan, here: bytes, full: list[bytes]) -> tuple[bytes, ...]:
    """Return the class folders, as paths where they may lie deeper.

    Images in nested folders belong to the class folder they are in, where one of those holds images
    itself, or has one folder inside. Else the network's class names decide (see `levels`).
    """
    plain = tuple(scan.listing(here).folders)
    if any(scan.listing(os.path.join(here, f)).images for f in full):
        return plain
    leaves = {
        f: sorted({_class_of(leaf) for leaf in scan.leaves(os.path.join(here, f))}) for f in full
    }
    lettered = all(
        len(f) == 1 and all(leaf.lower().startswith(f.lower()) for leaf in leaves[f]) for f in full
    )
    if not lettered and all(len(found) == 1 for found in leaves.values()):
        return plain
    return tuple(os.path.join(f, leaf) if leaf else f for f in full for leaf in leaves[f])


def _class_of(leaf: bytes) -> bytes:
    """Return a folder with images without the wrappers at its end: ``n01443537/images``."""
    while os.path.basename(leaf).lower() in _WRAPPERS:
        leaf = os.path.dirname(leaf)
    return leaf


def _asked(scan: Scan, here: bytes, split: str) -> bytes | None:
    """Return the folder that ``--split`` means, if it is here."""
    inside = not os.path.isabs(split) and ".." not in split.replace("\\", "/").split("/")
    if inside and os.path.isdir(os.path.join(here, os.fsencode(split))):
        return os.fsencode(split)
    folders = {shown(f): f for f in scan.listing(here).folders}
    found = named_split(split, folders)
    return folders[found] if found is not None else None


def _part(scan: Scan, here: bytes) -> bytes | None:
    """Return the part that is taken where none is named, if the class folders lie in parts."""
    full = scan.full(here)
    kinds = split_kinds(map(shown, full))
    splits = [f for f in full if shown(f) in kinds]
    others = [f for f in full if shown(f) not in kinds]
    holding = [f for f in splits if _holds_classes(scan, os.path.join(here, f))]
    if any(scan.listing(os.path.join(here, f)).images for f in others):
        # Class folders: "train" is one of vehicles, unless it has the same ones in it.
        holding = [f for f in holding if _full_set(scan, here, f).intersection(others)]
    if not holding:
        return None
    for kind in ("test", "val"):
        alike = [f for f in holding if kinds[shown(f)] == kind]
        if alike:
            # "test" before "testing2": the plainest name.
            return min(alike, key=lambda f: (_rank(f), len(f), f))
    if others:
        return None  # "train" is a class of vehicles here
    raise DataError(
        f"expected a split 'test' or 'val' in {shown(here)}, found only {_some(holding)}; "
        f"name it: --split {shown(holding[0])}"
    )


def _full_set(scan: Scan, here: bytes, folder: bytes) -> set[bytes]:
    return set(scan.full(os.path.join(here, folder)))


def _rank(folder: bytes) -> int:
    name = shown(folder).lower()
    return _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)


def _holds_classes(scan: Scan, path: bytes) -> bool:
    """Return whether there are class folders in a folder, or a list of the classes of its images."""
    while (inner := _wrapped(scan, path)) is not None:
        path = os.path.join(path, inner)
    full = _full(scan, path)
    flat = _flat_wrappers(scan, path, full)
    if [f for f in full if f not in flat]:
        return True
    folder = os.path.join(path, flat[0]) if flat else path
    images = scan.listing(folder).images
    return any(label_list(p, folder, images) for p in dict.fromkeys((folder, path)) if images)


def _wrapped(scan: Scan, here: bytes) -> bytes | None:
    """Return the one folder through which the class folders are reached, if there is one."""
    if scan.listing(here).images:
        return None
    full = _full(scan, here)
    if len(full) == 1 and full[0].lower() in _WRAPPERS:
        (inner,) = full
    elif len(full) == 1 and len(scan.listing(here).folders) == 1:
        (inner,) = full
        inside = os.path.join(here, inner)
        # One class, or a wrapper of an unknown name: parts inside tell. Else the classes' names do.
        is_archive = inner in (os.path.basename(here), *scan.full(inside))
        return inner if is_archive or _splits_inside(scan, inside) else None
    else:
        return None
    inside = os.path.join(here, inner)
    if scan.listing(inside).images and not scan.full(inside):
        return None
    return inner


def _splits_inside(scan: Scan, path: bytes) -> bool:
    full = scan.full(path)
    kinds = split_kinds(map(shown, full))
    if not full or len(kinds) < len(full):
        return False
    return len(set(kinds.values())) > 1 or all(
        _holds_classes(scan, os.path.join(path, f)) for f in full
    )


def _full(scan: Scan, here: bytes) -> list[bytes]:
    """Return the folders with images; where one is for images, those with masks and the like are not."""
    full = scan.full(here)
    if any(f.lower() in _WRAPPERS for f in full):
        return [f for f in full if f.lower() not in _BESIDE]
    return full


def _flat_wrappers(scan: Scan, here: bytes, full: list[bytes]) -> list[bytes]:
    return [f for f in full if f.lower() in _WRAPPERS and not scan.full(os.path.join(here, f))]


def _some(folders: Iterable[bytes], most: int = 5) -> str:
    names = [shown(f) for f in folders]
    more = f", ... ({len(names)} folders)" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "no folders"
