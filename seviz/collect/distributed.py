"""The processes that share a pass under torchrun. Imports torch only where there are several."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from seviz.errors import DataError, DeviceError, UsageError
from seviz.results.writing import drop_unfinished

if TYPE_CHECKING:
    from torch import Tensor

    from seviz.collect.observers import Reduction

T = TypeVar("T")

# A process that has died is noticed at once, since its connections close; this is for machines that
# fall silent, and longer than the first process waits for the last.
PATIENCE = timedelta(hours=1)
# Numbers that are added up at once: 64 MB of pairs.
_AT_ONCE = 2**22
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process among those that torchrun started.

    Attributes:
        rank: Its number, from 0, over all machines.
        size: Number of processes.
        local: Its number on this machine.
        neighbours: Processes on this machine.
        control: Group in which everything is exchanged, on the host; ``None`` before `joined`.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    neighbours: int = 1
    control: Any = None

    @property
    def first(self) -> bool:
        """Return whether this process prints and writes."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Return whether there are others."""
        return self.size > 1

    def device(self, name: str) -> str:
        """Return the device of this process: among several, the GPU of its number on its machine.

        Raises:
            UsageError: If one GPU is named for all.
            DeviceError: If there are fewer GPUs than processes.
        """
        if not self.several or name == "cpu":
            return name
        import torch

        if name not in ("auto", "cuda"):
            raise UsageError(
                f"expected --device auto, cuda or cpu under torchrun, found {name}; each process takes the "
                "GPU of its number"
            )
        if name == "auto" and not torch.cuda.is_available():
            return "cpu"
        if self.local >= torch.cuda.device_count():
            raise DeviceError(
                f"expected a GPU for each of {self.neighbours} processes, found {torch.cuda.device_count()}; "
                "start fewer with --nproc-per-node, or use --device cpu"
            )
        return f"cuda:{self.local}"

    def reduce(self, tensor: Tensor, how: Reduction) -> None:
        """Replace the tensor, in every process, by the sum or the extreme of all.

        Raises:
            DeviceError: If a process is gone.
        """
        if not self.several:
            return
        import torch.distributed as dist

        op = {"sum": dist.ReduceOp.SUM, "min": dist.ReduceOp.MIN, "max": dist.ReduceOp.MAX}[how]
        # Over the host, wherever the tensor is: it is done once, at the end, and alike on every machine.
        here = tensor.cpu()
        self._together(lambda: dist.all_reduce(here, op, group=self.control))
        tensor.copy_(here)

    def add_up(self, high: Tensor, low: Tensor) -> None:
        """Replace sums, and what rounding lost of them, in every process, by those of all.

        Pairs of processes add up, then pairs of those, in steps that need little memory; then the first one
        tells all.

        Args:
            high: Rounded sums, float64.
            low: What was lost, of the same shape.

        Raises:
            DeviceError: If a process is gone.
        """
        if not self.several:
            return
        import torch

        pair = torch.stack([high.cpu().flatten(), low.cpu().flatten()])
        for begin in range(0, pair.shape[1], _AT_ONCE):
            part = pair[
                :, begin : begin + _AT_ONCE
            ].clone()  # what others are given must not change
            pair[:, begin : begin + _AT_ONCE] = self._added_up(part)
        high.copy_(pair[0].view_as(high))
        low.copy_(pair[1].view_as(low))

    def _added_up(self, pair: Tensor) -> Tensor:
        """Return the sum of the pairs [2, n] of all processes."""
        if self.control is None:  # they meet in some other way
            found = self.gather(pair)
            return functools.reduce(_sum_of_pairs, found)
        import torch
        import torch.distributed as dist

        def meet(pair: Tensor) -> Tensor:
            step = 1
            while step < self.size:
                if self.rank % (2 * step):
                    dist.send(pair, group_dst=self.rank - step, group=self.control)
                    break
                if self.rank + step < self.size:
                    other = torch.empty_like(pair)
                    dist.recv(other, group_src=self.rank + step, group=self.control)
                    pair = _sum_of_pairs(pair, other)
                step *= 2
            dist.broadcast(pair, group_src=0, group=self.control)
            return pair

        return self._together(lambda: meet(pair))

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order.

        Raises:
            DeviceError: If a process is gone.
        """
        if not self.several:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        self._together(lambda: dist.all_gather_object(values, value, group=self.control))
        return values

    def require_same(self, what: dict[str, Any]) -> None:
        """Check that every process was given the same.

        Raises:
            DataError: If not; names the first difference.
            DeviceError: If a process is gone.
        """
        for rank, other in enumerate(everyone := self.gather(what)):
            for name, value in other.items():
                if value != everyone[0][name]:
                    raise DataError(
                        f"expected the same {name} in every process, found {everyone[0][name]!s:.40} in "
                        f"process 0 and {value!s:.40} in process {rank}; give all the same files"
                    )

    def _together(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except RuntimeError as exc:
            raise DeviceError(
                f"expected all {self.size} processes at the end of the pass, found one gone "
                f"({str(exc).splitlines()[0][:120]}); its own message says why, and no record is written"
            ) from exc


def _sum_of_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of two pairs [2, n] of a rounded sum and what was lost of it."""
    import numpy as np
    import torch

    from seviz.results.exact import add_pairs  # the command line asks here how many there are

    (one, lost), (other, gone) = a.numpy(), b.numpy()
    return torch.from_numpy(np.stack(add_pairs((one, lost), (other, gone))))


def launched() -> Ranks:
    """Return what the environment says of this process; torchrun sets five variables.

    >>> launched().several
    False
    """
    if not all(name in os.environ for name in _VARIABLES):
        return Ranks()
    numbers = [os.environ[name] for name in _VARIABLES[:3]]
    numbers.append(os.environ.get("LOCAL_WORLD_SIZE", numbers[1]))
    if not all(number.isdecimal() and len(number) < 10 for number in numbers):
        return Ranks()  # left behind by some other launcher
    ranks = Ranks(*map(int, numbers))
    possible = ranks.rank < ranks.size and ranks.local < ranks.neighbours <= ranks.size
    return ranks if possible else Ranks()  # not of one launch


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Meet the other processes, if there are any; in the group of a program that has one, else in an own.

    torchrun ends the others with SIGTERM when one has died; the first process says so.

    Args:
        device: The user's ``--device``.

    Raises:
        UsageError: If the device does not go with several processes.
        DeviceError: If there are fewer GPUs than processes, or the others do not come.
    """
    ranks = launched()
    if not ranks.several:
        yield ranks
        return
    import torch
    import torch.distributed as dist

    own = ranks.device(device)
    if own.startswith("cuda"):
        torch.cuda.set_device(own)
    with _told_of_the_end(ranks):
        try:
            own_group = not dist.is_initialized()
            if own_group:
                dist.init_process_group("gloo", timeout=PATIENCE)
            # A program's own group may go from GPU to GPU: what is exchanged here is on the host.
            control = dist.new_group(backend="gloo", timeout=PATIENCE)
        except RuntimeError as exc:
            raise DeviceError(
                f"expected {ranks.size} processes to meet, found {str(exc).splitlines()[0][:120]}; check "
                "MASTER_ADDR, MASTER_PORT and the other processes"
            ) from exc
        yield Ranks(ranks.rank, ranks.size, ranks.local, ranks.neighbours, control)
        if own_group:  # after an error this would wait for the others; the process ends anyway
            dist.destroy_process_group()


@contextmanager
def _told_of_the_end(ranks: Ranks) -> Iterator[None]:
    if not ranks.first or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        # Not an exception: decoders take nearly any of them for a damaged image.
        line = (
            f"seviz: expected {ranks.size} processes to the end, found this one told to stop, most often "
            "since another died: see its message; no record is written\n"
        )
        os.write(sys.stderr.fileno(), line.encode())
        drop_unfinished()
        os._exit(DeviceError.exit_code)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
