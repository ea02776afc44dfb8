"""No more threads than there are processors for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seviz.data.processors import divide


@contextmanager
def few_threads(processes: int = 1) -> Iterator[None]:
    """Lower the number of PyTorch's threads to this process's share of the processors, for a while.

    Args:
        processes: Passes that share the processors of this machine.
    """
    before = torch.get_num_threads()
    most = divide(processes).threads
    if most is None or before <= most:
        yield
        return
    torch.set_num_threads(most)
    try:
        yield
    finally:
        torch.set_num_threads(before)
