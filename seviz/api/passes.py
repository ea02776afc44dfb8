"""A record, or a network of which one is collected first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.errors import UsageError
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions
    from seviz.data.loaders import Loading
    from seviz.networks import LoadedModel


def is_network(of: object, data: object) -> bool:
    """Return whether something is a network with its images, and not a record."""
    if isinstance(of, Record | Evaluation):
        return False
    if not isinstance(of, str | Path):
        if data is None:
            raise UsageError(
                f"expected images for the {type(of).__name__}, found none; give data= as for seviz.collect"
            )
        return True
    return data is not None and not open_spec(of).is_record


def drawn_record(
    of: Record | Network,
    data: Data | None,
    classes: Sequence[str | int] | None,
    options: PassOptions | None,
    collecting: dict[str, Any],
) -> tuple[Record, Sequence[str | int] | None]:
    """Return the record that is to be drawn, and the classes; of a network, after a pass."""
    if is_network(of, data):
        from seviz.collect.options import PassOptions
        from seviz.collect.run import collect

        chosen = options or PassOptions()
        loaded, source, chosen = met_network(of, data, classes, chosen, collecting)  # type: ignore[arg-type]
        return collect(loaded, source, chosen, **collecting), classes
    if options is not None or collecting:
        raise UsageError(
            f"expected a network for {', '.join(['options', *collecting])}, found a record; leave them out"
        )
    record = of if isinstance(of, Record) else Record.load(of)  # type: ignore[arg-type]
    return record, data if classes is None else classes


def met_network(
    network: Network,
    data: Data,
    classes: Sequence[str | int] | None,
    options: PassOptions,
    collecting: dict[str, Any],
) -> tuple[LoadedModel, Any, PassOptions]:
    """Return a network and its images, opened; what is said of batches is taken from ``collecting``.

    The classes that are to be drawn say what the labels are called, where nothing else does.
    """
    from seviz.collect.meet import met
    from seviz.collect.streaming import Stream

    loading: Loading = {"classes": collecting.pop("class_names", None)}
    for name in ("inputs", "output", "fingerprint"):
        loading[name] = collecting.pop(name, None)
    loaded, source, options = met(network, data, options, loading)
    if isinstance(source, Stream):
        source = replace(source, wanted=tuple(map(str, classes or ())))
    return loaded, source, options
