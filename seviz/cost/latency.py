"""Wall time with and without SE: interleaved pairs, and the ratio with its confidence interval."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from seviz.errors import DeviceError, UsageError
from seviz.gates import Example, Inputs, evaluating
from seviz.gates.attributes import copied
from seviz.gates.inputs import call, like_traced
from seviz.results.cost import Latency

_RESAMPLES = 2000
_CONFIDENCE = 95


def measure(
    model: nn.Module,
    twin: nn.Module,
    input_size: Example,
    *,
    batch: int,
    device: str = "cpu",
    pairs: int = 20,
    warm_up: int = 3,
) -> Latency:
    """Time a network and its twin in turns, so that a machine that slows down slows both.

    Each pair runs both, the first of them changing from pair to pair; its ratio is with / without. The
    interval is the bootstrap's, over pairs.

    Args:
        model: The network with SE; copied to the device if it is on another.
        twin: The network without.
        input_size: Channels, height and width of an image.
        batch: Images per batch.
        device: Where to run.
        pairs: Pairs that are timed.
        warm_up: Pairs before these that are not.

    Raises:
        UsageError: If the batch or the number of pairs is not positive.
        DeviceError: If the device is not there, or its memory is not enough.
    """
    if batch < 1 or pairs < 1:
        raise UsageError(
            f"expected a batch size and pairs of at least 1, found {batch} and {pairs}; the defaults are 32 "
            "and 20"
        )
    try:
        place = torch.device(device)
        example: Any = (
            like_traced(input_size, batch, model, place)
            if isinstance(input_size, Inputs)
            else torch.randn(batch, *input_size, device=place)
        )
        networks = (_on(model, place), _on(twin, place))
        with evaluating(networks[0]), evaluating(networks[1]), torch.inference_mode():
            for _ in range(warm_up):
                for network in networks:
                    _seconds(network, example)
            times = np.array([_pair(networks, example, n) for n in range(pairs)])
    except RuntimeError as exc:
        reason = next(iter(str(exc).strip().splitlines()), "no message")[:200]
        raise DeviceError(
            f"expected to run batches of {batch} on {device}, found {reason}; give another --device or "
            "--batch-size"
        ) from exc
    ratio, low, high = ratio_interval(times[:, 0] / times[:, 1])
    with_se, without = 1000 * np.median(times, axis=0)
    return Latency(
        device=_named(place),
        batch=batch,
        pairs=pairs,
        with_se_ms=float(with_se),
        without_se_ms=float(without),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        threads=torch.get_num_threads(),
    )


def ratio_interval(ratios: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Return the median, and its 95 % confidence interval by the percentile bootstrap.

    >>> ratio_interval([1.5, 1.5, 1.5])
    (1.5, 1.5, 1.5)
    """
    values = np.asarray(ratios, dtype=np.float64)
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(values), (_RESAMPLES, len(values)))
    medians = np.median(values[picked], axis=1)
    tail = (100 - _CONFIDENCE) / 2
    low, high = np.percentile(medians, [tail, 100 - tail])
    return float(np.median(values)), float(low), float(high)


def _on(network: nn.Module, device: torch.device) -> nn.Module:
    here = all(p.device.type == device.type for p in network.parameters())
    return network if here else copied(network).to(device)


def _pair(networks: tuple[nn.Module, nn.Module], example: Any, number: int) -> tuple[float, float]:
    if number % 2:
        without = _seconds(networks[1], example)
        return _seconds(networks[0], example), without
    return _seconds(networks[0], example), _seconds(networks[1], example)


def _seconds(network: nn.Module, example: Any) -> float:
    _synchronise(example.device)
    start = time.perf_counter()
    call(network, example)
    _synchronise(example.device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
