"""What lies below a folder: each folder read once, each file given once, whatever links there are."""

from __future__ import annotations

import os
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from seviz.data.hard_links import HARD_LINKS, hard_links, repeated
from seviz.data.rasters import begins_as_raster, has_no_suffix, has_raster_suffix
from seviz.errors import DataError

# Folders that file managers and storage make: small copies of every image, and what was thrown away.
_NO_SAMPLES = frozenset(
    (b"@eadir", b"thumbnails", b"#recycle", b"@recycle", b"$recycle.bin", b"lost+found")
)
_WASTE = "folders of small copies or waste"
LINKS = "links to what is counted elsewhere"


@dataclass
class Listing:
    """What is right in one folder.

    Attributes:
        folders: Names of the folders in it, hidden ones left out, in the order of their bytes.
        images: Names of the images, likewise.
        links: Those of both that are links.
        numbers: What the file system calls each image's content; hard links have one number.
        others: Names of everything else, by what it is.
    """

    folders: list[bytes] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    links: set[bytes] = field(default_factory=set)
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    others: dict[str, list[bytes]] = field(default_factory=dict)


class LeftOut:
    """Everything below a folder that is not used: how many, and the first by name."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, bytes] = {}

    def add(self, kind: str, name: bytes, count: int = 1) -> None:
        """Count something, named by its path below the folder of the user."""
        self._counts[kind] += count
        self._first.setdefault(kind, name)

    @property
    def note(self) -> str | None:
        """Return one remark on all of it."""
        if not self._counts:
            return None
        parts = [
            f"{count} {kind} ({'' if count == 1 else 'first: '}{shown(self._first[kind])})"
            for kind, count in sorted(self._counts.items())
        ]
        return f"left out: {', '.join(parts)}"


class Scan:
    """The folders below one, read when they are asked for, and once."""

    def __init__(self) -> None:
        self._listings: dict[bytes, Listing] = {}
        self._full: dict[bytes, bool] = {}

    def listing(self, path: bytes) -> Listing:
        """Return what is right in a folder.

        Raises:
            OSError: If it cannot be read.
        """
        if path not in self._listings:
            self._listings[path] = _list(path)
        return self._listings[path]

    def full(self, path: bytes) -> list[bytes]:
        """Return the folders in a folder that have an image somewhere below."""
        return [f for f in self.listing(path).folders if self.has_images(os.path.join(path, f))]

    def has_images(self, path: bytes) -> bool:
        """Return whether there is an image in a folder or below."""
        if path not in self._full:
            self._full[path] = any(self.listing(p).images for p in self._below(path))
        return self._full[path]

    def leaves(self, path: bytes) -> Iterator[bytes]:
        """Yield the folders below a folder that have images right in them, as paths from there."""
        for folder in self._below(path):
            if self.listing(folder).images:
                yield folder[len(path) :].lstrip(b"/")

    def _below(self, path: bytes) -> Iterator[bytes]:
        """Yield a folder and those below, each real folder once; what links lead to comes last."""
        met: set[tuple[int, int]] = set()
        waiting, linked = [path], deque[bytes]()
        while waiting or linked:
            here = waiting.pop() if waiting else linked.popleft()
            try:
                status = os.stat(here)
                if (status.st_dev, status.st_ino) in met:
                    continue
                met.add((status.st_dev, status.st_ino))
                found = self.listing(here)
            except PermissionError:
                raise
            except OSError:  # told of by the walk
                continue
            yield here
            for folder in reversed(found.folders):
                (linked if folder in found.links else waiting).append(os.path.join(here, folder))

    def walk(
        self, root: bytes, folders: Iterable[bytes], prefix: bytes, left: LeftOut
    ) -> list[list[bytes]]:
        """Return the images below each folder, in the order of the bytes of their paths.

        What is reached through a link comes after what is there itself, so that a file belongs to the
        folder it is in. A broken link that is called like an image counts as one: the pass reports it.

        Args:
            root: Holds the folders.
            folders: Their names, or paths below ``root``.
            prefix: Where ``root`` lies, for the names of what is left out.
            left: Takes what is left out.

        Returns:
            Paths below ``root``.

        Raises:
            OSError: If a folder may not be read.
        """
        return _Walk(self, root, prefix, left).all(list(folders))


class _Walk:
    def __init__(self, scan: Scan, root: bytes, prefix: bytes, left: LeftOut) -> None:
        self._scan, self._root, self._prefix, self._left = scan, root, prefix, left
        self._real_root = os.path.realpath(root)
        self._met: set[bytes] = set()  # real paths of folders
        self._real_folders: dict[bytes, bytes] = {}
        # Links that wait until everything real is counted: class, path below root, whether a folder.
        self._links: deque[tuple[int, bytes, bool]] = deque()
        self._found: list[list[bytes]] = []
        self._numbers: list[array[int]] = []
        self._tops: set[bytes] = set()

    def all(self, folders: list[bytes]) -> list[list[bytes]]:
        self._found, self._tops = [[] for _ in folders], set(folders)
        self._numbers = [array("Q") for _ in folders]
        for number, folder in enumerate(folders):
            path = os.path.join(self._root, folder)
            if os.path.islink(path):
                self._links.append((number, folder, True))
            else:
                self._descend(number, folder, os.path.join(self._real_root, folder))
        if self._links:
            # By real path; below a real root the path from there is part of it.
            counted = {os.path.join(self._real_root, f) for found in self._found for f in found}
            self._follow(counted)
        files = [sorted(found) for found in self._found]
        number_of = repeated(self._found, self._numbers)
        twice = hard_links(self._root, files, number_of) if number_of else set()
        for path in sorted(twice):
            self._left.add(HARD_LINKS, self._prefix + path)
        return [[p for p in of_class if p not in twice] for of_class in files] if twice else files

    def _descend(
        self, number: int, folder: bytes, real: bytes, counted: set[bytes] | None = None
    ) -> None:
        """Take the images of a folder that is reached by ``folder`` and is ``real``, and of those in it."""
        waiting = [(folder, real)]
        while waiting:
            below, real = waiting.pop()
            if real in self._met:
                self._left.add(LINKS, self._prefix + below)
                continue
            self._met.add(real)
            listing = self._open(below)
            if listing is None:
                continue
            for kind, names in listing.others.items():
                self._left.add(kind, self._prefix + below + b"/" + names[0], len(names))
            for name, content in zip(listing.images, listing.numbers, strict=True):
                path = below + b"/" + name
                if name in listing.links:
                    self._links.append((number, path, False))
                elif counted is None:
                    self._add(number, path, content)
                else:
                    self._take(number, path, os.path.join(real, name), counted, content)
            for name in reversed(listing.folders):
                path = below + b"/" + name
                if name in listing.links:
                    self._links.append((number, path, True))
                elif path not in self._tops:  # a class of its own
                    waiting.append((path, os.path.join(real, name)))

    def _follow(self, counted: set[bytes]) -> None:
        self._links = deque(sorted(self._links, key=lambda link: link[:2]))
        while self._links:
            number, path, is_folder = self._links.popleft()
            real = self._real(os.path.join(self._root, path))
            if not is_folder:
                self._take(number, path, real, counted)
            elif (self._real_root + b"/").startswith(real.rstrip(b"/") + b"/"):
                self._left.add(LINKS, self._prefix + path)  # to a folder that it is in
            else:
                self._descend(number, path, real, counted)

    def _take(
        self, number: int, path: bytes, real: bytes, counted: set[bytes], content: int = 0
    ) -> None:
        if real in counted:
            self._left.add(LINKS, self._prefix + path)
        else:
            counted.add(real)
            self._add(number, path, content)

    def _add(self, number: int, path: bytes, content: int) -> None:
        self._found[number].append(path)
        self._numbers[number].append(content)

    def _real(self, path: bytes) -> bytes:
        """Return a path without links; that of a folder is looked up once for all of its files."""
        for _ in range(40):  # as many links in a row as Linux follows
            folder, name = os.path.split(path)
            if name in (b"", b".", b".."):
                break
            if folder not in self._real_folders:
                self._real_folders[folder] = os.path.realpath(folder)
            path = os.path.join(self._real_folders[folder], name)
            try:
                path = os.path.join(self._real_folders[folder], os.readlink(path))
            except OSError:  # no link
                return path
        return os.path.realpath(path)

    def _open(self, below: bytes) -> Listing | None:
        try:
            return self._scan.listing(os.path.join(self._root, below))
        except PermissionError:
            raise
        except OSError:  # a path that is too long, a folder that is gone
            self._left.add("folders that cannot be opened", self._prefix + below)
            return None


def _list(path: bytes) -> Listing:
    found, images = Listing(), list[tuple[bytes, int]]()
    with os.scandir(path) as entries:
        for entry in entries:
            kind = _kind(entry)
            if kind == "folder":
                found.folders.append(entry.name)
            elif kind == "image":
                images.append((entry.name, entry.inode()))
            else:
                found.others.setdefault(kind, []).append(entry.name)
                continue
            if entry.is_symlink():
                found.links.add(entry.name)
    found.folders.sort()
    images.sort()
    found.images = [name for name, _ in images]
    found.numbers = array("Q", (number for _, number in images))
    for names in found.others.values():
        names.sort()
    return found


def _kind(entry: os.DirEntry[bytes]) -> str:
    """Return ``folder``, ``image``, or the words for what is left out."""
    if entry.name.startswith(b".") or entry.name == b"__MACOSX":
        return "hidden"
    try:
        if entry.is_dir():
            return _WASTE if entry.name.lower() in _NO_SAMPLES else "folder"
        if not entry.is_file():
            is_there = os.path.exists(entry.path)
            if is_there:
                return "pipes, sockets or devices"
            return "image" if has_raster_suffix(entry.name) else "broken links"
    except OSError:  # a link to itself
        return "broken links"
    if has_raster_suffix(entry.name):
        return "image"
    if has_no_suffix(entry.name) and begins_as_raster(entry.path):
        return "image"
    return "files that are no images"


def unreadable(exc: OSError, path: bytes) -> DataError:
    """Return the error of a folder that cannot be read, in one line of bounded length."""
    where = shown(os.fsencode(exc.filename or path))
    if len(where) > 200:
        where = f"{where[:100]}...{where[-90:]}"
    return DataError(
        f"expected a folder of images that can be read, found {exc.strerror or exc} at {where}; "
        "check the path and its permissions"
    )


def shown(name: bytes) -> str:
    """Return a file name as text that can be printed; what is not UTF-8 becomes U+FFFD."""
    return name.decode("utf-8", "replace")
