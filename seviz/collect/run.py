"""From a loaded network and the name of a data set to a record, in a folder or without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.collect.distributed import Ranks, joined
from seviz.collect.execute import execute
from seviz.collect.prepare import PassOptions, PassPlan, Prepared, Progress, prepare
from seviz.collect.resume import Checkpointer
from seviz.collect.reuse import fitting_record
from seviz.collect.saying import LOG, Tell, say_alarms, say_fit
from seviz.data import Source
from seviz.errors import UsageError
from seviz.networks import LoadedModel
from seviz.results.files import record_path
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record


def collect(
    loaded: LoadedModel,
    data: str | Source,
    options: PassOptions | None = None,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    reuse: bool = True,
    command: str = "",
    check: Callable[[PassPlan], Any] | None = None,
    progress: Progress | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
    tell: Callable[[str], Any] | None = None,
) -> Record:
    """Collect the gates and predictions of a network over a data set, in one pass.

    Where torchrun started several processes, they share the pass, and each returns the whole record.

    Args:
        loaded: The network, from `seviz.load`.
        data: What `seviz.data.sources.open_source` takes, or a source.
        options: How the pass is made.
        folder: Where the record is written (``record.npz``), and the state of the pass while it lasts.
        resume: Go on with the pass that was cut short in ``folder``.
        reuse: Whether the record in ``folder`` serves, where it is that of the very same pass: of the same
            weights, images, preprocessing and libraries.
        command: The command line, for the record.
        check: Called before the first image is read; may raise, so that nobody waits for a pass whose
            result does not serve.
        progress: Given the number of images, a context manager whose value is called with the size of
            each batch.
        each: Given the prediction for every image when the pass is over; these are in no record.
        tell: Called with remarks on how the record came about, and with warnings; by default remarks are
            logged, and warnings are Python's (`seviz.RecordWarning`).

    Raises:
        NoSEBlockError: If the network has no SE block, and that is required.
        CheckpointError: If the network does not run on such images, or a gate is not a number.
        DataError: If there are no images, or their classes are not the network's.
        DeviceError: If the device does not exist, or its memory is not enough.
        UsageError: If a pass is to be resumed without a folder.
        KeyboardInterrupt: If Ctrl-C came before the first batch was through.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> record.header.images, len(record.blocks)
    (364, 6)
    """
    chosen = options or PassOptions()
    with joined(chosen.device) as ranks:
        ready = prepare(loaded, data, replace(chosen, device=ranks.device(chosen.device)))
        if check is not None:
            check(ready.plan)
        if folder is None:
            if resume:
                raise UsageError(
                    "expected a folder with the pass that is to be resumed, found none; give folder="
                )
            return execute(
                ready, command=command, progress=progress, each=each, ranks=ranks, tell=tell
            )
        place = _Folder(Path(folder), ranks, tell)
        if reuse and each is None and (record := place.fitting(ready)) is not None:
            return record
        return place.filled(ready, resume=resume, command=command, progress=progress, each=each)


class _Folder:
    """The folder that the record of a pass is to be in.

    Args:
        path: The folder.
        ranks: The processes that share the pass.
        tell: Called with remarks.
    """

    def __init__(self, path: Path, ranks: Ranks, tell: Tell | None) -> None:
        self._path, self._ranks = path, ranks
        self._given, self._tell = tell, tell or LOG.info

    def fitting(self, ready: Prepared) -> Record | None:
        """Return the record that is there, if it is of this very pass; every process gets the answer."""
        found = fitting_record(self._path, ready, self._tell) if self._ranks.first else None
        if found is not None:
            self._tell(
                f"the record {record_path(self._path)} is of this very pass and is used again; "
                "--no-cache collects anew"
            )
            if found.header.fit is not None:
                say_fit(found.header.fit, self._given)
            say_alarms(found, self._given)
            if self._ranks.several:  # other machines may not see the file
                found = replace(found, arrays=dict(found.arrays))
        return self._ranks.gather(found)[0]

    def filled(self, ready: Prepared, *, resume: bool, **passing: Any) -> Record:
        """Make the pass, and leave its record in the folder."""
        ranks = self._ranks
        state = Checkpointer(
            self._path, rank=ranks.rank if ranks.several else None, resume=resume, tell=self._tell
        )
        record = execute(ready, keeper=state, ranks=ranks, tell=self._given, **passing)
        if record.header.partial and not record.header.images:
            raise KeyboardInterrupt
        if ranks.first:
            record.save(self._path)
        ranks.gather(None)  # the state is of use until the record is written
        if not record.header.partial:
            state.clear()
        elif state.path.exists():
            self._tell(f"its state is in {state.path}; --resume goes on with it")
        return record
