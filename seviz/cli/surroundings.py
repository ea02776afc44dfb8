"""What `seviz doctor` looks at: everything around seviz that a long run depends on, without torch."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seviz.cli import process
from seviz.collect.distributed import launched
from seviz.data.processors import available
from seviz.errors import SevizError, printable
from seviz.results.writing import claim_folder, release_folder, written_whole

State = Literal["ok", "note", "bad"]
# Bytes: of a disk, below which a long run is at risk; of memory that processes share, for a few batches.
_ROOM, _SHARED_ROOM = 1 << 30, 1 << 28
_SHARED = Path("/dev/shm")  # Linux's, where worker processes leave their batches
# Open files of a pass with many workers, whose batches are files to the system.
_FILES = 256
# Letters that results may have: with accents, Chinese ones.
_LETTERS = "é 犬"


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Attributes:
        name: What was looked at.
        state: ``ok``; ``note``, where something is slower or poorer than it could be; ``bad``, where
            something does not work.
        said: What was found, and what to do.
    """

    name: str
    state: State
    said: str


def surroundings() -> list[Checked]:
    """Return what came of all checks."""
    return [guarded(name, check) for name, check in _CHECKS.items()]


def guarded(name: str, check: Callable[[], tuple[State, str]]) -> Checked:
    """Return what came of a check; what goes wrong in one is its result, and stops no other."""
    try:
        return Checked(name, *check())
    except Exception as exc:
        return Checked(name, "bad", f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}")


def _libraries() -> tuple[State, str]:
    missing = [name for name, version in versions().items() if version is None]
    if missing:
        return "bad", f"not installed: {', '.join(missing)}; pip install seviz"
    return "ok", "all installed"


def versions() -> dict[str, str | None]:
    """Return the versions of Python, seviz and what it depends on, ``None`` for what is not installed."""
    import platform
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    found: dict[str, str | None] = {"python": platform.python_version(), "seviz": version("seviz")}
    for requirement in requires("seviz") or ():
        name = re.split(r"[^\w.\-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _memory() -> tuple[State, str]:
    try:
        process.require_address_space()
    except SevizError as exc:
        return "bad", str(exc)
    limit = process.address_space()
    return "ok", "no limit" if limit is None else f"limited to {limit / 2**30:.1f} GB"


def _output() -> tuple[State, str]:
    here = Path.cwd()
    try:
        with written_whole(here / "seviz-doctor.txt") as temporary:
            temporary.write_bytes(b"x")
            raise _UndoneError
    except _UndoneError:
        pass
    except OSError as exc:
        return "note", f"nothing can be written here ({exc.strerror}); name a folder with --output"
    if (free := shutil.disk_usage(here).free) < _ROOM:
        return "note", f"{free >> 20:,} MB are left here; name another folder with --output"
    if not claim_folder(here):
        return "note", "another seviz collects into this folder now"
    release_folder(here)
    return "ok", f"files can be written here, {free >> 30:,} GB are left"


class _UndoneError(Exception):
    """Ends the writing of a file that is not to be there."""


def _temporary() -> tuple[State, str]:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    except OSError as exc:
        why = exc.strerror or "no usable folder"
        return "note", f"none ({why}): Keras files cannot be read; set TMPDIR to a folder"
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < _ROOM:
        return "note", f"{folder} is nearly full; set TMPDIR to another folder"
    return "ok", folder


def _cache() -> tuple[State, str]:
    from seviz.data.cifar10 import cache_folder  # NumPy, which the help does without

    try:
        folder = cache_folder()
    except RuntimeError:  # no home
        return "note", "no home folder: nothing can be downloaded; set SEVIZ_CACHE_DIR"
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return "note", f"{there} cannot be written to: --download fails; set SEVIZ_CACHE_DIR"
    return "ok", str(folder)


def _text() -> tuple[State, str]:
    encoding = getattr(sys.stdout, "encoding", None) or "none"
    try:
        _LETTERS.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return "note", f"{encoding}: letters it lacks are shown as ?; set PYTHONUTF8=1"
    return "ok", encoding


def _figures() -> tuple[State, str]:
    import io

    from matplotlib.figure import Figure

    from seviz.figures.fonts import has_letters
    from seviz.figures.style import figure_style

    with figure_style():
        figure = Figure()
        figure.subplots().set_title("é")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=30)
    if not has_letters(_LETTERS):
        return (
            "note",
            "no font for Chinese letters: numbers stand for them; install one such as Noto CJK",
        )
    return "ok", "drawn, with fonts for Chinese letters"


def _backend() -> tuple[State, str]:
    asked = printable(process.asked_backend or "")
    return "ok", f"agg; MPLBACKEND={asked[:60]} is not used" if asked not in ("", "agg") else "agg"


def _threads() -> tuple[State, str]:
    own = available()
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text and not (text.isdecimal() and len(text) < 10 and 0 < int(text) <= own):
        return (
            "note",
            f"OMP_NUM_THREADS={text[:20]} on {own} processors; take it away, or set {own}",
        )
    return "ok", f"{own} of {os.cpu_count()} processors{f', {text} threads asked for' * bool(text)}"


def _workers() -> tuple[State, str]:
    import multiprocessing

    method = multiprocessing.get_start_method()
    if _SHARED.exists() and (free := shutil.disk_usage(_SHARED).free) < _SHARED_ROOM:
        return (
            "note",
            f"{free >> 20} MB of shared memory; give -j 0, or the container --shm-size 1g",
        )
    most = _files()
    if most is not None and most < _FILES:
        return (
            "note",
            f"{most} files may be open at once; raise it with ulimit -n 1024, or give -j 0",
        )
    return "ok", f"started by {method}"


def _files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if most == resource.RLIM_INFINITY else most


def _launch() -> tuple[State, str]:
    ranks = launched()
    if not ranks.several and "RANK" in os.environ:
        return "note", "RANK is set, and no whole launch of torchrun: not used"
    return "ok", f"process {ranks.rank} of {ranks.size}" if ranks.several else "one process"


_CHECKS: dict[str, Callable[[], tuple[State, str]]] = {
    "libraries": _libraries,
    "memory": _memory,
    "this folder": _output,
    "temporary folder": _temporary,
    "cache": _cache,
    "text": _text,
    "figures": _figures,
    "backend": _backend,
    "threads": _threads,
    "workers": _workers,
    "launch": _launch,
}
