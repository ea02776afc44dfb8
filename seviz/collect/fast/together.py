"""What holds while any pass is made: begun by the first, ended after the last."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Together:
    """A context that may be nested, and entered in several threads.

    Args:
        begin: Called when the first one enters.
        end: Called when the last one leaves.
    """

    def __init__(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self._begin, self._end = begin, end
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._begin()
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._end()
