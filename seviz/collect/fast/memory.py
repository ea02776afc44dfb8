"""Memory that a pass frees stays with the process until the pass is over."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from seviz.collect.fast.together import Together

# Parameters of mallopt(3).
_FAST_MOST, _TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = 1, -1, -3, -4
# What glibc begins with (mappings, the largest block of its fast bins), and where its own adjustment ends in
# a process that has freed a block of 32 MiB (thresholds): a network's maps are larger.
_DEFAULTS = (
    *((_MMAP_MAX, 65_536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20)),
    (_FAST_MOST, 128),
)
# PyTorch's maps are aligned, which leaves a few bytes over beside each. In the fast bins those are not joined
# with what is free on both sides, so that the next map does not fit there: the heap would grow by a map now
# and then, by half of a pass's memory in two dozen batches.
_NEVER = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_FAST_MOST, 0))


def keeping_memory() -> AbstractContextManager[None]:
    """Return a context in which freed memory is not given back to the system: it serves the next batch.

    glibc gives a large block back at once, so every map of every layer comes as fresh pages that the
    system has to clear: of a plain pass of SE-ResNet-50 on the CPU that is more than a third of the time.
    No number changes. May be nested, and entered in several threads; does nothing where another allocator
    serves, and where the user has set glibc's by the environment.
    """
    return _KEEPING if _glibc() is not None else nullcontext()


def _keep() -> None:
    _set(_glibc(), _NEVER)


def _give_back() -> None:
    _set(_glibc(), _DEFAULTS)
    _glibc().malloc_trim(0)


_KEEPING = Together(_keep, _give_back)


@cache
def _glibc() -> Any:
    """Return the C library where it may be told how to keep memory, else ``None``."""
    told = any(name.startswith("MALLOC_") for name in os.environ)
    told |= "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or platform.libc_ver()[0] != "glibc":
        return None
    try:
        libc = ctypes.CDLL(None)
        return libc if libc.mallopt and libc.malloc_trim else None
    except (OSError, AttributeError):
        return None


def _set(libc: Any, parameters: tuple[tuple[int, int], ...]) -> None:
    for name, value in parameters:
        libc.mallopt(name, value)
