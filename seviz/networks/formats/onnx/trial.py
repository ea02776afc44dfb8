"""A first run of a network without its numbers: does it run, on what size, and for any batch?

Nothing is computed and no memory is taken, so a file may claim maps of any size; the step that makes one
which no memory would hold is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError, printable
from seviz.gates.graph import meta_copy
from seviz.networks.formats.graph_network import GraphNetwork, GraphStep, Step
from seviz.results.stats import Array

# Numbers of one image that a step may give: a thousand channels of 512 x 512, far more than networks have.
_MOST_NUMBERS = 1 << 28


class StepError(Exception):
    """A step that does not run; the message names it."""


def first_run(
    network: GraphNetwork,
    channels: int,
    sizes: Sequence[tuple[int, int]],
    batch: int | None,
    name: str,
) -> tuple[tuple[int, int], int | None]:
    """Run a network on the first of several sizes that it takes, and make it take any number of images.

    Args:
        network: The network; where it is written for a fixed number of images, its reshapes are changed.
        channels: Of an image.
        sizes: Heights and widths.
        batch: How many images it is written for; nothing for any number.
        name: Name of the file, for messages.

    Returns:
        Height and width, and the number of classes of a classifier.

    Raises:
        CheckpointError: If it runs on none of the sizes; the step is named that stops it.
    """
    shadow = meta_copy(network)
    assert isinstance(shadow, GraphNetwork)
    troubles = []
    for size in sizes:
        try:
            fixed = _fixed_reshapes(shadow, (batch or 1, channels, *size))
            for path, shape in fixed:
                for each in (network, shadow):
                    _reshape(each.get_submodule(path), shape)
            outputs = _run(shadow, (2, channels, *size))
        except StepError as exc:
            troubles.append(str(exc))
            continue
        kept = all(o.dim() > 0 and o.shape[0] == 2 for o in outputs)
        if not kept:
            shown = " and ".join("x".join(map(str, o.shape)) for o in outputs)
            raise CheckpointError(
                f"expected outputs for each of two images from {name}, found {shown}; export the network "
                "with a free batch dimension"
            )
        return size, outputs[0].shape[1] if len(outputs) == 1 and outputs[0].dim() == 2 else None
    shown = "x".join(map(str, (channels, *sizes[0])))
    raise CheckpointError(
        f"expected {name} to run on images of size {shown}, found {troubles[0]}; is the file intact?"
    )


def sizes_made(network: GraphNetwork, shape: tuple[int, ...]) -> Array | None:
    """Return what a network gives for a batch, where that follows from sizes alone.

    Args:
        network: The network; gives one value.
        shape: Of the batch.

    Raises:
        StepError: If a step does not run, or makes too much.
    """
    shadow = meta_copy(network)
    assert isinstance(shadow, GraphNetwork)
    (found,) = _results(shadow, shape)
    return None if isinstance(found, Tensor) else np.asarray(found)


def _run(network: GraphNetwork, shape: tuple[int, ...]) -> list[Tensor]:
    """Return the outputs for a batch.

    Raises:
        StepError: If a step does not run, or makes too much.
    """
    outputs = _results(network, shape)
    if not all(isinstance(o, Tensor) for o in outputs):
        raise StepError("an output that is no tensor")
    return list(outputs)


def _results(network: GraphNetwork, shape: tuple[int, ...]) -> tuple[Any, ...]:
    with torch.no_grad(), _watched(network, shape[0]) as current:
        try:
            result = network(torch.empty(shape, device="meta"))
        except StepError:
            raise
        except Exception as exc:
            step = current[-1] if current else None
            where = f"node {printable(step.node)} ({step.operator})" if step else "no step"
            reason = " ".join(str(exc).split())[:160] or type(exc).__name__
            raise StepError(f"{where} that does not run: {reason}") from exc
    return result if isinstance(result, tuple) else (result,)


@contextmanager
def _watched(network: GraphNetwork, images: int) -> Iterator[list[Step]]:
    """Keep note of the step that runs, and stop at one that makes too much."""
    current: list[Step] = []
    handles = []
    for step in network.steps:
        module = network.get_submodule(step.name)

        def before(module: nn.Module, args: Any, step: Step = step) -> None:
            current[:] = [step]

        def after(module: nn.Module, args: Any, output: Any, step: Step = step) -> None:
            for part in output if isinstance(output, tuple | list) else (output,):
                if isinstance(part, Tensor) and part.numel() > images * _MOST_NUMBERS:
                    raise StepError(
                        f"node {printable(step.node)} ({step.operator}) that makes {part.numel():,} numbers"
                    )

        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield current
    finally:
        for handle in handles:
            handle.remove()


def _fixed_reshapes(network: GraphNetwork, shape: tuple[int, ...]) -> list[tuple[str, list[int]]]:
    """Return the reshapes that are written for a number of images, and what they are for any number."""
    found: list[tuple[str, list[int]]] = []
    handles = []
    for step in network.steps:
        module = network.get_submodule(step.name)
        target = _target(module) if step.operator == "Reshape" else None
        if target is None:
            continue

        def look(
            module: nn.Module, args: Any, path: str = step.name, target: list[int] = target
        ) -> None:
            if isinstance(args[0], Tensor) and target and args[0].shape[0] == target[0] == shape[0]:
                found.append((path, [0, *target[1:]]))

        handles.append(module.register_forward_pre_hook(look))
    try:
        _run(network, shape)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _target(module: nn.Module) -> list[int] | None:
    assert isinstance(module, GraphStep)
    constants = dict(module.attributes.get("constants", ()))
    return np.asarray(constants[1]).tolist() if 1 in constants else None


def _reshape(module: nn.Module, shape: list[int]) -> None:
    assert isinstance(module, GraphStep)
    module.attributes["constants"] = ((1, np.array(shape)),)
