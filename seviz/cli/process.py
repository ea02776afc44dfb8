"""What kind of work a process is set up for: records, which are small, until a network is opened."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from seviz.errors import DeviceError

# Of the BLAS that NumPy's wheels bring, read when NumPy is loaded. The products of a redraw take less time
# than their threads wait for one another, at a thousand classes too. PyTorch reads it on some machines.
_THREADS = "OPENBLAS_NUM_THREADS"
_ours = False
# What the environment asked for before `for_files`.
asked_backend: str | None = None
# Address space for Python, NumPy, threads and a small network, beside the files of PyTorch.
_BESIDE = 1 << 28


def for_records() -> None:
    """Set the process up for reading and drawing records, before anything large is imported."""
    global _ours
    # What is imported and drawn stays, and is many small objects: looking through them for cycles after
    # every 700 takes a tenth of the time.
    gc.set_threshold(500_000, 20, 50)
    if _THREADS not in os.environ:
        os.environ[_THREADS], _ours = "1", True


def for_files() -> None:
    """Set it up for figures in files and text in a pipe, whatever the one who started it uses.

    A notebook's ``!seviz`` inherits the backend of its kernel, which may not be importable here. Text that
    the encoding of a pipe does not have (Chinese class names on a Windows of the West) is replaced.
    """
    global asked_backend  # noqa: PLW0603
    asked_backend = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def for_streams() -> None:
    """Give a process whose streams are closed (``>&-``, some services) empty ones in their place.

    Else the next file that is opened takes the number of standard output, and whatever a library says there
    goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the first number that is free: this one
            empty = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, empty)


def require_address_space() -> None:
    """Refuse a limit on memory (``ulimit -v``) under which PyTorch ends in C++, or waits for ever.

    Raises:
        DeviceError: If there is one, and it is below what the libraries take.
    """
    limit, needed = address_space(), _needed()
    if limit is not None and limit < needed:
        raise DeviceError(
            f"expected at least {needed / 2**30:.1f} GB of address space for PyTorch, found a limit of "
            f"{limit / 2**30:.1f} GB; raise it with ulimit -v unlimited"
        )


def address_space() -> int | None:
    """Return the bytes of memory that this process may address, ``None`` without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _needed() -> int:
    """Return what PyTorch takes, as far as its files tell: with CUDA eight times as much as without."""
    spec = find_spec("torch")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    folders = [folder / "lib", folder.parent / "nvidia"]
    return _BESIDE + sum(p.stat().st_size for f in folders for p in f.rglob("*.so*"))


def for_networks() -> None:
    """Set it up for networks: what a cycle keeps may be large, and products are.

    Raises:
        DeviceError: If there is no room for them.
    """
    global _ours  # noqa: PLW0603
    require_address_space()
    gc.set_threshold(50_000, 20, 50)
    if _ours:
        del os.environ[_THREADS]
        _ours = False
