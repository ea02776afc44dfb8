"""A network in any form and images in any form, brought to one form each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seviz.collect.options import PassOptions
from seviz.collect.streaming import (
    Stream,
    meeting,
    open_stream,
    require_no_split,
)
from seviz.data import Source, open_source
from seviz.data.loaders import Loader, Loading
from seviz.data.parts import kind_of
from seviz.errors import UsageError
from seviz.networks import LoadedModel
from seviz.networks.class_names import names_from
from seviz.networks.given import IN_MEMORY, as_loaded

# A network in any form, images in any form, and what a pass makes of them.
Network = nn.Module | LoadedModel | str | Path
Data = Any


def met(
    network: Network, data: Data | None, options: PassOptions, loading: Loading | None = None
) -> tuple[LoadedModel, Source | Stream | None, PassOptions]:
    """Return a network, the images that it is to meet, and how, whatever they were given as.

    Args:
        network: A module, what `seviz.load` gave, or what it takes.
        data: What `seviz.data.sources.open_source` takes, a source, or a loader of the user's.
        options: How the pass is made.
        loading: Fields of `seviz.Loader` that the user gave beside a loader.

    Raises:
        SevizError: As `seviz.load` and `prepare` do.
    """
    loaded = as_loaded(network)
    if loaded.format == IN_MEMORY and options.device == "auto":
        # The user has it where they want it.
        options = replace(options, device=str(_where(loaded)))
    wanted: dict[str, Any] = {n: v for n, v in (loading or {}).items() if v is not None}
    asked = data
    if isinstance(data, str | Path):
        data = open_source(str(data), split=options.split, download=options.download)
    if data is None or isinstance(data, Source | Stream):
        if wanted and not isinstance(data, Stream):
            found = "no data" if data is None else data.name
            raise UsageError(
                f"expected {', '.join(wanted)} with a loader, found {found}; leave them out"
            )
        return loaded, data, options
    if not isinstance(asked, str | Path):  # a function that the user names may take it
        require_no_split(options.split)
    loader = data if isinstance(data, Loader) else Loader(data)
    given = wanted.pop("classes", loader.classes)
    stream = open_stream(
        loaded,
        replace(loader, **wanted, classes=None if given is None else _listed(given)),
        batch_size=options.batch_size,
        workers=options.workers or 0,
    )
    return meeting(loaded, stream), stream, options


def _listed(classes: Any) -> list[str]:
    """Return names of classes in the order of their numbers, as a list, an array or a dict has them.

    Raises:
        UsageError: If their order is not known, or two have one name.
    """
    found: list[str] | None = None
    if isinstance(classes, Mapping):
        found = names_from(classes)  # ``class_to_idx``, ``id2label``
    elif not isinstance(classes, str | bytes | set | frozenset):
        found = [name.decode() if isinstance(name, bytes) else str(name) for name in classes]
    if found is None:
        raise UsageError(
            "expected classes as a list of names in the order of their numbers, or as a dict of names and "
            f"all numbers from 0 on, found {kind_of(classes)}; give a list"
        )
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise UsageError(
            f"expected a name of its own for each class, found {twice[0]!r} for several; tell them apart"
        )
    return found


def _where(loaded: LoadedModel) -> torch.device:
    tensors = (*loaded.model.parameters(), *loaded.model.buffers())
    return next((t.device for t in tensors), torch.device("cpu"))
