"""Several processes of a pass as threads of one, of which one runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from seviz.collect.distributed import Ranks


@dataclass
class Room:
    """Where the threads meet."""

    size: int
    slots: list[Any] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.slots = [None] * self.size
        self.barrier = threading.Barrier(self.size, timeout=60)

    def gather(self, rank: int, value: Any) -> list[Any]:
        self.slots[rank] = value
        self.turn.release()
        try:
            self.barrier.wait()
            values = list(self.slots)
            self.barrier.wait()
        finally:
            self.turn.acquire()
        return values


@dataclass(frozen=True)
class Threads(Ranks):
    room: Any = None

    def gather(self, value: Any) -> Any:
        return self.room.gather(self.rank, value)

    def reduce(self, tensor: torch.Tensor, how: str) -> None:
        values = torch.stack(self.gather(tensor.clone()))
        tensor.copy_({"sum": values.sum, "min": values.amin, "max": values.amax}[how](0))


def shared(size: int, make: Callable[[Ranks], Any]) -> list[Any]:
    """Return what each of several processes would, or the error of the first that has one."""
    room = Room(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def work(rank: int) -> None:
        with room.turn:
            try:
                results[rank] = make(Threads(rank, size, room=room))
            except threading.BrokenBarrierError:
                pass
            except BaseException as exc:
                errors.append(exc)
                room.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
