"""The passes of one network through several worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seviz.collect.prepare import Data, Network, PassOptions, met, prepare, require_whole
from seviz.collect.reuse import fitting_record
from seviz.collect.run import collect
from seviz.collect.streaming import Stream
from seviz.data.base import Source
from seviz.data.corruptions import check_corruption, corrupted
from seviz.errors import DataError, UsageError
from seviz.networks import LoadedModel
from seviz.results.files import is_record
from seviz.results.predictions import PredictionTable, read_predictions, write_predictions
from seviz.results.record import Record
from seviz.results.shift import World, record_worlds

CLEAN, AGAINST = "clean", "against"
SEVERITIES = (1, 3, 5)
_PREDICTIONS = "predictions.csv"


def shifted_worlds(
    network: Network,
    data: Data,
    *,
    against: Data | None = None,
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
    wanted: list[tuple[str, Any, str, int]] = [(CLEAN, source, "", 0)]
    if against is not None:
        wanted.append((AGAINST, against, "", 0))
    if corrupt and isinstance(source, Stream):
        raise UsageError(
            f"expected images for --corrupt, found batches that are prepared already ({source.name}); "
            "corrupt them yourself, and give them with --against"
        )
    if isinstance(source, Source):
        for name in dict.fromkeys(corrupt):
            for much in sorted(set(severity or SEVERITIES)):
                wanted.append((f"{name} {much}", corrupted(source, name, much), name, much))
    worlds = []
    for name, images, corruption, much in wanted:
        if begin is not None:
            begin(name)
        own = Path(folder) / name.replace(" ", "_") if folder is not None else None
        record, predictions = _passed(loaded, images, chosen, own, **collecting)
        if record.header.partial:
            raise KeyboardInterrupt
        shown = name if corruption else record.header.source
        worlds.append(World(shown, record, predictions, corruption, much))
    # Two sets of images of one name, or two parts of one.
    return worlds if against is None else record_worlds(*(w.record for w in worlds))


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
    loaded: LoadedModel,
    images: Any,
    options: PassOptions,
    folder: Path | None,
    *,
    reuse: bool = True,
    **collecting: Any,
) -> tuple[Record, PredictionTable | None]:
    """Return the record of one world and the answer for each image, from its folder or from a pass."""
    ready = prepare(loaded, images, options)
    scored = _is_scored(ready)
    if folder is not None and reuse and is_record(folder):
        told = collecting.get("tell")
        record = fitting_record(folder, ready, *([told] if told is not None else []))
        predictions = _kept(folder, record) if record is not None and scored else None
        if record is not None and (predictions is not None or not scored):
            return record, predictions
    tables: list[PredictionTable] = []
    record = collect(
        loaded,
        images,
        options,
        folder=folder,
        reuse=False,
        each=tables.append if scored else None,
        **collecting,
    )
    if folder is not None and tables:
        write_predictions(tables[0], folder / _PREDICTIONS)
    return record, tables[0] if tables else None


def _is_scored(ready: Any) -> bool:
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
    right = int((table.true == table.predicted).sum())
    same = len(table) == record.header.images and record.top1 is not None
    return table if same and abs(right / len(table) - (record.top1 or 0)) < 1e-9 else None
