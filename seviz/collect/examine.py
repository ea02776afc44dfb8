"""From a network to what a comparison needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from seviz.collect.execute import execute
from seviz.collect.meet import Data, Network, met
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.prepare import prepare
from seviz.collect.prepared import PassPlan, Progress
from seviz.collect.streaming import Stream
from seviz.cost.audit import network_cost
from seviz.data.loaders import Loading
from seviz.results.predictions import PredictionTable
from seviz.results.subject import Subject


def examine(
    network: Network,
    data: Data | None = None,
    options: PassOptions | None = None,
    loading: Loading | None = None,
    *,
    command: str = "",
    check: Callable[[PassPlan], Any] | None = None,
    progress: Progress | None = None,
) -> Subject:
    """Count what a network costs, and, where there are images, what it answers for each.

    Args:
        network: The network, with SE or without.
        data: As for `seviz.collect`; without it, cost alone is known.
        options: How the pass is made.
        loading: What is said of batches beside them.
        command: The command line, for the record.
        check: Called before the first image is read.
        progress: As for `seviz.collect`.

    Raises:
        CheckpointError: If the network does not run on such images.
        DataError: If predictions cannot be scored.
    """
    chosen = replace(options or PassOptions(), require_se=False)
    require_whole(chosen)
    loaded, source, chosen = met(network, data, chosen, loading)
    example = source.example if isinstance(source, Stream) else loaded.preprocessing.input_size
    cost = network_cost(loaded.model, example, chosen.mechanism)
    if source is None:
        return Subject(loaded.name, cost=cost)
    tables: list[PredictionTable] = []
    ready = prepare(loaded, source, chosen)
    if check is not None:
        check(ready.plan)
    record = execute(ready, command=command, progress=progress, each=tables.append)
    return Subject(loaded.name, record, tables[0], cost)
