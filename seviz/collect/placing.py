"""A network that the user has in memory is left where it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seviz.networks import LoadedModel
from seviz.networks.given import IN_MEMORY


@contextmanager
def in_its_place(loaded: LoadedModel) -> Iterator[None]:
    """Move the tensors of a module of the user's back to where they were, each by itself.

    What `seviz.load` gave stays where the last pass had it: nobody else has hold of it.
    """
    if loaded.format != IN_MEMORY:
        yield
        return
    tensors = [*loaded.model.parameters(), *loaded.model.buffers()]
    places = [t.device for t in tensors]
    try:
        yield
    finally:
        now = [*loaded.model.parameters(), *loaded.model.buffers()]
        for tensor, place in zip(now, places, strict=True):
            if tensor.device != place:
                tensor.data = tensor.data.to(place)
