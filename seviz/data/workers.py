"""The death of a worker process, told where its images are asked for and nowhere else."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from seviz.errors import DeviceError

_T = TypeVar("_T")


class Watched:
    """The batches of a ``DataLoader``, whose workers may be killed at any time.

    The loader's signal handler raises wherever the process happens to be: in the network, or in a
    callback where the error is lost. Here it raises only while a batch is asked for; a death at another
    time is seen by the loader when the next batch is.

    Args:
        batches: The iterator of the loader.
        workers: Number of its processes.
    """

    def __init__(self, batches: Iterator[_T], workers: int) -> None:
        self._batches, self._workers = batches, workers
        self._asking = False
        self._handler: Any = None

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches.

        Raises:
            DeviceError: If a worker process is gone.
        """
        self._take_over()
        try:
            while True:
                self._asking = True
                try:
                    batch = next(self._batches)
                except StopIteration:
                    return
                finally:
                    self._asking = False
                yield batch
        except (ConnectionError, EOFError) as exc:
            # Of a worker that died while it handed a batch over. One that cannot read an image says so
            # in another way.
            raise self._error() from exc
        except RuntimeError as exc:
            if "DataLoader worker" not in str(exc):
                raise
            raise self._error() from exc
        finally:
            self._give_back()

    def _error(self) -> DeviceError:
        why = "most often for want of memory or of shared memory"
        if multiprocessing.get_start_method() != "fork":
            why = f"by a script that does its work outside of if __name__ == '__main__', or {why}"
        return DeviceError(
            f"expected {self._workers} worker processes to decode images, found one killed ({why}); use "
            "fewer --workers, or 0"
        )

    def _take_over(self) -> None:
        # Signals are the main thread's, and Windows has none for this.
        if not hasattr(signal, "SIGCHLD"):
            return
        handler = signal.getsignal(signal.SIGCHLD)
        if callable(handler) and threading.current_thread() is threading.main_thread():
            self._handler = handler
            signal.signal(signal.SIGCHLD, self._told)

    def _give_back(self) -> None:
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, self._handler)

    def _told(self, number: int, frame: Any) -> None:
        try:
            self._handler(number, frame)
        except RuntimeError:
            if self._asking:
                raise
