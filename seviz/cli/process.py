"""What kind of work a process is set up for: records, which are small, until a network is opened."""

from __future__ import annotations

import gc
import io
import os
import sys

# Of the BLAS that NumPy's wheels bring, read when NumPy is loaded. The products of a redraw take less time
# than their threads wait for one another, at a thousand classes too. PyTorch reads it on some machines.
_THREADS = "OPENBLAS_NUM_THREADS"
_ours = False


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
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def for_networks() -> None:
    """Set it up for networks: what a cycle keeps may be large, and products are."""
    global _ours  # noqa: PLW0603
    gc.set_threshold(50_000, 20, 50)
    if _ours:
        del os.environ[_THREADS]
        _ours = False
