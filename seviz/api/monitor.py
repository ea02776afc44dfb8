"""A few numbers for a logger, inside of a training loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Unpack
from weakref import WeakKeyDictionary

from seviz.errors import UsageError

if TYPE_CHECKING:
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions
    from seviz.data.loaders import Loading

_LOG = logging.getLogger("seviz")
_CALLS: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def monitor(
    network: Network,
    data: Data,
    *,
    every: int = 1,
    step: int | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> dict[str, float]:
    """Return a few numbers per block for a logger: one line inside of a training loop.

    The network's modes, hooks and weights, and torch's random numbers, are afterwards what they were.

    Args:
        network: The module that is trained.
        data: Images for it, as for `seviz.collect`; a few hundred will do.
        every: Look at every so many calls alone, from the first on; the others return nothing.
        step: Number of the call, such as the epoch; counted by itself where it is not given.
        options: How the pass is made.
        loading: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Returns:
        ``block/mean``, ``spread``, ``class_share``, ``dead`` and ``saturated`` of each block, and ``top1``,
        as `seviz.analysis.monitoring.gate_numbers` has them.

    Raises:
        UsageError: If ``every`` is not positive.
        SevizError: As `seviz.collect` does.

    >>> import seviz, torch
    >>> network = seviz.load(seviz.sample("se_resnet_digits")).model
    >>> batch = torch.rand(16, 1, 32, 32), torch.arange(16) % 10
    >>> [len(seviz.monitor(network, [batch], every=2)) for epoch in range(3)]
    [31, 0, 31]
    """
    import torch

    from seviz.analysis.monitoring import gate_numbers
    from seviz.collect.options import PassOptions
    from seviz.collect.run import collect

    if every < 1:
        raise UsageError(
            f"expected every as at least 1, found {every}; 10 looks at each tenth call"
        )
    if step is None:
        step = _CALLS.get(network, 0)
        _CALLS[network] = step + 1
    if step % every:
        return {}
    with torch.random.fork_rng(devices=()):  # a DataLoader draws a seed whenever it is begun
        # Trying faster ways is for passes that are longer than this.
        chosen = options or PassOptions(fast=False)
        # That a network is at chance is no news while it learns.
        record = collect(network, data, chosen, tell=_LOG.info, **loading)
    return gate_numbers(record)
