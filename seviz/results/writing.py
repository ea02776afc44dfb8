"""Writing a file whole or not at all, in a folder that others may write to as well.

A file is written under a name that nobody can guess, opened exclusively and never through a link, beside its
place, and moved there when it is whole. While it is written it is locked: what a killed process left behind
is told from what a living one is writing, on whatever machine that runs, and the next process removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

try:
    import fcntl
except ImportError:  # Windows: a file that is open cannot be removed there, so no lock is needed
    fcntl = None  # type: ignore[assignment]

_NAME = ".{}.{}.seviz-tmp"
_OURS = re.compile(r"\..+\.[0-9a-f]{16}\.seviz-tmp", re.DOTALL)
_LONGEST = 255  # bytes in a file name
_TRIES = 100
# os.O_BINARY is Windows', os.O_NOFOLLOW is not.
_SAFELY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
# Folders whose left-overs a process has looked for, by its number: what is forked from it looks for itself,
# in folders that may be others by then, of which the system says the same.
_tidied: set[tuple[int, int, int]] = set()
# Folders that this process has claimed, and the descriptors that hold their locks.
_claimed: dict[tuple[int, int], int] = {}
# Files that are being written, by the number of the process: a forked one does not write those of its parent.
_unfinished: set[tuple[int, Path]] = set()


class Unfinished:
    """A file that is being written; it has no name that is of use to anybody.

    Writers are given what `open` returns, never a path: a path opened again could by then be a link that
    somebody else put there.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @overload
    def open(self, mode: Literal["wb"]) -> BinaryIO: ...
    @overload
    def open(self, mode: Literal["w"], *, encoding: str, newline: str | None = None) -> TextIO: ...
    def open(self, mode: str, **how: Any) -> IO[Any]:
        """Return the file, open for writing; closing it does not yet move it to its place."""
        return os.fdopen(os.dup(self._descriptor), mode, **how)

    def write_text(self, text: str, *, encoding: str, newline: str | None = None) -> None:
        """Write text."""
        with self.open("w", encoding=encoding, newline=newline) as file:
            file.write(text)

    def write_bytes(self, content: bytes) -> None:
        """Write bytes."""
        with self.open("wb") as file:
            file.write(content)


@contextmanager
def written_whole(target: Path, *, durable: bool = False) -> Iterator[Unfinished]:
    """Give a file to write to; move it to ``target`` at the end, drop it on an error.

    Of two processes that write the same file, the one that ends last leaves its own, whole.

    Args:
        target: Where the file will be; its folder is made. What is there is replaced, a link too.
        durable: Wait until it is on the disk, so that a machine that is taken away at any moment leaves the
            old file or the new one: for what cannot be made again in a moment.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left_overs(target.parent)
    temporary, descriptor = _create(target)
    with ExitStack() as ending:
        ending.callback(_unfinished.discard, (os.getpid(), temporary))
        ending.callback(temporary.unlink, missing_ok=True)
        closing = ending.enter_context(ExitStack())
        closing.callback(os.close, descriptor)
        yield Unfinished(descriptor)
        if durable:
            os.fsync(descriptor)
        if fcntl is None:  # Windows moves no open file; elsewhere the lock holds until it is moved
            closing.close()
        temporary.replace(target)
        if durable:
            _sync_folder(target.parent)


def drop_unfinished() -> None:
    """Remove what this process is writing: for one that ends at once, by a signal."""
    for process, path in list(_unfinished):
        if process == os.getpid():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def remove_left_overs(folder: Path) -> None:
    """Remove the unfinished files that killed processes of this user left in a folder, once per process."""
    with suppress(OSError):
        status = os.stat(folder)
        tidied = (os.getpid(), status.st_dev, status.st_ino)
        if tidied in _tidied:
            return
        _tidied.add(tidied)
        with os.scandir(folder) as entries:
            left = [entry.path for entry in entries if _OURS.fullmatch(entry.name)]
        for path in left:
            with suppress(OSError):
                _remove_if_abandoned(path)


def claim_folder(folder: Path) -> bool:
    """Claim a folder for long work of this process, until `release_folder` or its end.

    Returns:
        Whether no other process has claimed it; true also where the system cannot tell.
    """
    try:
        status = os.stat(folder)
        key = (status.st_dev, status.st_ino)
        if fcntl is None or key in _claimed:
            return True
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        return not isinstance(exc, BlockingIOError)
    _claimed[key] = descriptor
    return True


def release_folder(folder: Path) -> None:
    """Give up a claim, if there is one."""
    with suppress(OSError):
        status = os.stat(folder)
        os.close(_claimed.pop((status.st_dev, status.st_ino), -1))


def release_folders() -> None:
    """Give up all claims; in a worker process those that it inherited, which it would hold for its parent."""
    while _claimed:
        os.close(_claimed.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=release_folders)


def _remove_if_abandoned(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFELY)
    try:
        status = os.fstat(descriptor)
        own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not (stat.S_ISREG(status.st_mode) and own):
            return
        if fcntl is not None:
            # An error (locked, or a file system without locks) leaves the file alone.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    finally:
        os.close(descriptor)
    if fcntl is None:
        os.unlink(path)


def _create(target: Path) -> tuple[Path, int]:
    """Return a new file in the folder of ``target``: its path, and its descriptor, which holds the lock."""
    room = _LONGEST - len(_NAME.format("", "0" * 16))
    shown = os.fsdecode(os.fsencode(target.name)[:room])
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY
    for _ in range(_TRIES):
        temporary = target.with_name(_NAME.format(shown, secrets.token_hex(8)))
        mark = os.getpid(), temporary
        _unfinished.add(mark)  # before: a signal may come at any moment
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:
            _unfinished.discard(mark)  # another's
            continue
        except BaseException:
            _unfinished.discard(mark)
            raise
        try:
            if _lock(descriptor):
                return temporary, descriptor
        except BaseException:
            _unfinished.discard(mark)
            os.close(descriptor)
            raise
        _unfinished.discard(mark)
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "no free name for a temporary file", str(target.parent))


def _lock(descriptor: int) -> bool:
    """Lock a new file; false where another process took it for a left-over in that very moment."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody will take it for a left-over
        return True
    return os.fstat(descriptor).st_nlink > 0


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
