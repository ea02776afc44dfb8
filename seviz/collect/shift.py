"""The passes of one network through several worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seviz.collect.features import sampled_features
from seviz.collect.meet import Data, Network, met
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared
from seviz.collect.reuse import fitting_record
from seviz.collect.run import collect
from seviz.collect.saying import LOG
from seviz.collect.streaming import Stream
from seviz.data.base import Source
from seviz.data.corruptions import check_corruption, corrupted
from seviz.errors import DataError, UsageError
from seviz.networks import LoadedModel
from seviz.results.features import FEATURES_NAME, SampledFeatures
from seviz.results.files import is_record
from seviz.results.predictions import PredictionTable, read_predictions, write_predictions
from seviz.results.record import Record
from seviz.results.shift import World, record_worlds

CLEAN, AGAINST, TWIN = "clean", "against", "twin"
SEVERITIES = (1, 3, 5)
_PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class _Meeting:
    """A network, the images of one world, and how they meet."""

    name: str
    loaded: LoadedModel
    images: Any
    options: PassOptions
    corruption: str = ""
    severity: int = 0


def shifted_worlds(
    network: Network,
    data: Data,
    *,
    against: Data | None = None,
    against_split: str | None = None,
    corrupt: Sequence[str] = (),
    severity: Sequence[int] = (),
    options: PassOptions | None = None,
    folder: str | Path | None = None,
    begin: Callable[[str], Any] | None = None,
    **collecting: Any,
) -> list[World]:
    """Return what a network does with images as they are, and then with others.

    Args:
        network: As for `seviz.collect`.
        data: The clean images, likewise.
        against: Other images.
        against_split: Part of those; that of ``options`` by default.
        corrupt: What is done to the clean ones, in words of `seviz.data.corruptions.CORRUPTIONS`.
        severity: How much, each; 1, 3 and 5 by default.
        options: How the passes are made.
        folder: Where the record of each world is kept, and its answers, in a folder of its name.
        begin: Called with the name of each world.
        collecting: Further arguments of `seviz.collect`, such as ``resume`` and ``reuse``.

    Raises:
        UsageError: If nothing else is asked for, both are, or what is to be corrupted are no images.
        SevizError: As `seviz.collect` does.
        KeyboardInterrupt: If a pass was interrupted; what was collected is used again.
    """
    check_worlds(against, corrupt, severity)
    chosen = options or PassOptions()
    require_whole(chosen)
    loaded, source, chosen = met(network, data, chosen)
    assert source is not None, "data was given"
    meetings = [_Meeting(CLEAN, loaded, source, chosen)]
    if against is not None:
        other = replace(chosen, split=chosen.split if against_split is None else against_split)
        # Batches may need the network to be taken in another way.
        meetings.append(_Meeting(AGAINST, *met(network, against, other)))
    if corrupt and isinstance(source, Stream):
        raise UsageError(
            f"expected images for --corrupt, found batches that are prepared already ({source.name}); "
            "corrupt them yourself, and give them with --against"
        )
    if isinstance(source, Source):
        for name in dict.fromkeys(corrupt):
            for much in sorted(set(severity or SEVERITIES)):
                worse = corrupted(source, name, much)
                meetings.append(_Meeting(f"{name} {much}", loaded, worse, chosen, name, much))
    worlds, scored = [], False
    for one in meetings:
        if begin is not None:
            begin(one.name)
        own = Path(folder) / one.name.replace(" ", "_") if folder is not None else None
        # That images made worse are not those of the training is no news.
        telling = {"tell": LOG.info} if one.corruption else {}
        if not one.corruption:  # those are of the same classes
            scored = _is_scored(prepare(one.loaded, one.images, one.options))
        record, predictions = _passed(one, own, scored=scored, **{**collecting, **telling})
        if record.header.partial:
            raise KeyboardInterrupt
        shown = one.name if one.corruption else record.header.source
        features = _features(one, own, record)
        worlds.append(World(shown, record, predictions, one.corruption, one.severity, features))
    if against is None:
        return worlds
    # Two sets of images of one name, or two parts of one.
    named = record_worlds(*(w.record for w in worlds))
    return [replace(w, name=n.name) for w, n in zip(worlds, named, strict=True)]


def twin_worlds(
    twin: Network,
    data: Data,
    *,
    options: PassOptions | None = None,
    folder: str | Path | None = None,
    **asked: Any,
) -> list[World]:
    """Return what a network without gates does in the same worlds; arguments as for `shifted_worlds`."""
    chosen = replace(options or PassOptions(), require_se=False)
    own = Path(folder) / TWIN if folder is not None else None
    return shifted_worlds(twin, data, options=chosen, folder=own, **asked)


def check_worlds(against: Any, corrupt: Sequence[str], severity: Sequence[int]) -> None:
    """Refuse a question that has no answer, before any work.

    Raises:
        UsageError: If nothing else is asked for, both are, or a corruption or a severity is unknown.
    """
    if (against is None) == (not corrupt):
        found = "neither" if against is None else "both"
        raise UsageError(
            f"expected --against or --corrupt, found {found}; for example --corrupt noise blur"
        )
    if severity and not corrupt:
        raise UsageError("expected --severity with --corrupt, found it alone; leave it out")
    for name in corrupt:
        for much in severity or SEVERITIES:
            check_corruption(name, much)


def _passed(
    one: _Meeting,
    folder: Path | None,
    *,
    scored: bool,
    reuse: bool = True,
    **collecting: Any,
) -> tuple[Record, PredictionTable | None]:
    """Return the record of one world and the answer for each image, from its folder or from a pass."""
    if folder is not None and reuse and is_record(folder):
        ready = prepare(one.loaded, one.images, one.options)
        record = fitting_record(folder, ready, collecting.get("tell") or LOG.info)
        predictions = _kept(folder, record) if record is not None and scored else None
        if record is not None and (predictions is not None or not scored):
            return record, predictions
    tables: list[PredictionTable] = []
    record = collect(
        one.loaded,
        one.images,
        one.options,
        folder=folder,
        reuse=False,
        each=tables.append if scored else None,
        **collecting,
    )
    if folder is not None and tables:
        write_predictions(tables[0], folder / _PREDICTIONS)
    return record, tables[0] if tables else None


def _features(one: _Meeting, folder: Path | None, record: Record) -> SampledFeatures | None:
    """Return what the last layer reads of single images, from the folder of the record or from a pass."""
    path = folder / FEATURES_NAME if folder is not None else None
    made = f"{record.header.created} {record.header.checkpoint_sha256}"
    kept = SampledFeatures.load(path, made) if path is not None else None
    if kept is not None:
        return kept
    found = sampled_features(prepare(one.loaded, one.images, one.options))
    if found is not None and path is not None:
        found.save(path, made)
    return found


def _is_scored(ready: Prepared) -> bool:
    """Return whether the answer for each image can be told."""
    try:
        ready.require_scored()
    except (DataError, UsageError):
        return False
    return True


def _kept(folder: Path, record: Record) -> PredictionTable | None:
    """Return the answers that lie beside a record, if they are of the same pass."""
    try:
        table = read_predictions(folder / _PREDICTIONS)
    except (DataError, UsageError):
        return None
    confusion = record.arrays.get("confusion")
    if confusion is None:
        return None
    # The cells of the matrix, whatever its classes are called.
    known, told = (np.sort(m[m > 0]) for m in (confusion, table.evaluation().counts))
    return table if np.array_equal(known, told) else None
