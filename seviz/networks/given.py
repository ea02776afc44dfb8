"""A network that the user has in memory, and the batches that they have for it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seviz.data.loaders import Loader, Loading, open_loader
from seviz.data.parts import Parts, take_apart
from seviz.errors import DataError, UsageError
from seviz.gates import Example, Inputs, require_weights, uncompiled, unwrap
from seviz.gates.graph import is_on_meta
from seviz.gates.inputs import Chosen, described
from seviz.networks.load import load
from seviz.networks.model import LoadedModel
from seviz.networks.zoo import state_hash
from seviz.results.preprocessing import Preprocessing

# How a network "was written" that comes from memory.
IN_MEMORY = "a module in memory"
# Samples of a data set, or images of an array, that are looked at.
_LOOK = 2


def as_loaded(network: nn.Module | LoadedModel | str | Path, *, hashed: bool = True) -> LoadedModel:
    """Return a network as `seviz.load` gives it.

    Args:
        network: Any module, which is taken as it is; what `seviz.load` gave; or what it takes.
        hashed: Whether the weights of a module are hashed, so that its records are told by them.

    Raises:
        SevizError: As `seviz.load` does.
        UsageError: If it is no network.
    """
    if isinstance(network, LoadedModel):
        return network
    if isinstance(network, str | Path):
        return load(network)
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"expected a network (a torch.nn.Module, or what seviz.load gives), found "
            f"{type(network).__name__}; build the network first"
        )
    inner = unwrap(network)
    require_weights(inner)
    name = type(inner).__name__
    sha256 = state_hash(inner) if hashed and not is_on_meta(inner) else ""
    return LoadedModel(
        uncompiled(network),
        name,
        name,
        sha256,
        None,
        Preprocessing(origin="not known"),
        format=IN_MEMORY,
    )


def parameters_of(model: nn.Module) -> list[str]:
    """Return the names by which a network takes its inputs."""
    try:
        known = inspect.signature(unwrap(model).forward).parameters.values()
    except (TypeError, ValueError):  # scripted code
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in known if p.kind in named]


def fed(parts: Parts, model: nn.Module, output: Chosen | None) -> tuple[Tensor | Inputs, bool]:
    """Return what a network is called with for one batch: a tensor where that is all.

    Args:
        parts: The batch.
        model: The network, whose type of floating-point numbers the inputs get.
        output: Which output counts.

    Returns:
        The inputs, and whether their type had to be changed.

    Raises:
        DataError: If there are no tensors in it.
    """
    like = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    made = [_tensor(value) for value in (*parts.args, *parts.kwargs.values())]
    cast = [_as(value, like) for value in made]
    changed = any(a is not b for a, b in zip(made, cast, strict=True))
    args, rest = cast[: len(parts.args)], cast[len(parts.args) :]
    if not any(isinstance(value, Tensor) and value.dim() for value in cast):
        found = _described((*parts.args, *rest)[0])
        raise DataError(
            f"expected tensors or arrays of numbers in each batch, found {found}; "
            "change what the loader gives, or its collate_fn"
        )
    if len(args) == 1 and not rest and output is None:
        return args[0], changed
    return Inputs(args, dict(zip(parts.kwargs, rest, strict=True)), output), changed


def _described(value: Any) -> str:
    """Return what a value is that is no tensor."""
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else f"{type(value).__name__} of {dtype}"


def example_of(images: Tensor | Inputs) -> Example:
    """Return what a network is traced with for such batches: a size, where they are plain images."""
    if isinstance(images, Inputs):
        return images
    if images.is_floating_point():
        return tuple(images.shape[1:])
    return Inputs((images,))


def first_example(model: nn.Module, batches: Any, loading: Loading) -> Example:
    """Return what a network is traced with for batches of the user's, after a look at the first.

    Args:
        model: The network.
        batches: A loader, or an example already.
        loading: What is said of them beside.

    Raises:
        DataError: If there is no batch, or no images in it.
        UsageError: If it gives no batches.
    """
    if isinstance(batches, Inputs):
        return batches
    loader = batches if isinstance(batches, Loader) else Loader(batches)
    inputs = loading.get("inputs") if loader.inputs is None else loader.inputs
    output = loading.get("output") if loader.output is None else loader.output
    opened = open_loader(loader.batches, batch_size=_LOOK)
    return example_of(
        fed(take_apart(opened.first(), inputs, parameters_of(model)), model, output)[0]
    )


def prepared_elsewhere(example: Example) -> Preprocessing:
    """Return the preprocessing of images that come as tensors."""
    size = tuple(example.shape[1:]) if isinstance(example, Inputs) else tuple(example)
    also = described(example) if isinstance(example, Inputs) else ""
    return Preprocessing.elsewhere(size, also)


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            value = value.copy()  # torch warns of what it must not write to
        return torch.from_numpy(value) if value.dtype.kind in "biufc" else value
    if isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) for v in value):
        if len({v.shape for v in value}) == 1:
            return torch.stack(list(value))
        raise DataError(
            f"expected images of one size in each batch, found a list of "
            f"{', '.join('x'.join(map(str, v.shape)) for v in value[:3])}; resize them in the loader"
        )
    return value


def _as(value: Any, like: torch.dtype) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point() and value.dtype is not like:
        return value.to(like)
    return value
