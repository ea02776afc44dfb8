"""A network over its training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.errors import UsageError
from seviz.results.record import Record
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.analysis import Track
    from seviz.collect.meet import Data
    from seviz.collect.options import PassOptions
    from seviz.networks import LoadedModel

_LOG = logging.getLogger("seviz")


def track(
    checkpoints: Sequence[Record | str | Path],
    data: Data | None = None,
    options: PassOptions | None = None,
    *,
    log: str | Path | None = None,
    folder: str | Path | None = None,
    load: Callable[[str], LoadedModel] | None = None,
    tell: Callable[[str], Any] | None = None,
    **collecting: Any,
) -> Track:
    """Follow the gates of a network over its training: one checkpoint of each epoch, on the same images.

    Args:
        checkpoints: Files, or records of them, in any order: epochs are read off their names.
        data: Images, as for `seviz.collect`; records need none.
        options: How the passes are made.
        log: What the training wrote of itself: CSV with a column ``epoch``.
        folder: Where the record of each checkpoint is kept, in a folder of its name; one that is of the very
            same pass is used again.
        load: Loads a checkpoint; `seviz.load` by default.
        tell: Called with remarks; they are logged by default.
        collecting: Further arguments of `seviz.collect`, such as ``resume``.

    Returns:
        Accuracy and the numbers of each block at each epoch, with intervals; `seviz.tables.tables_of` and
        `seviz.figures.track_figure` take them.

    Raises:
        UsageError: If two are of one epoch, or there are no images for a checkpoint.
        DataError: If they are not of one network and the same images.
        KeyboardInterrupt: If a pass was interrupted; what was collected is used again.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> followed = seviz.track([record])
    >>> followed.epochs, print(followed.top1[0])
    99.18% [97.61%, 99.72%]
    ([1], None)
    """
    from seviz.analysis import track_of
    from seviz.results.tracking import epochs_of, read_log, series

    say = tell or _LOG.info
    written = read_log(log) if log is not None else None
    for note in written.notes if written is not None else ():
        say(note)
    made: list[Record | str | Path] = []
    files = [c for c in checkpoints if not isinstance(c, Record)]
    names = epochs_of(files) if len(files) == len(checkpoints) else None
    for place, one in enumerate(checkpoints):
        spec = None if isinstance(one, Record) else open_spec(one)
        if spec is None or spec.is_record:
            made.append(one if spec is None else spec.file)
            continue
        if data is None:
            raise UsageError(
                f"expected images for the checkpoint {one}, found none; give data= as for seviz.collect"
            )
        from seviz.collect.run import collect
        from seviz.networks import load as open_checkpoint

        name = names[place][0] if names is not None else Path(spec.name).stem
        own = Path(folder) / name if folder is not None else None
        network = (load or open_checkpoint)(spec.name)
        record = collect(network, data, options, folder=own, tell=tell, **collecting)
        if record.header.partial:
            raise KeyboardInterrupt
        made.append(record if own is None else own)
    return track_of(series(made, names, tell=say), written)
