"""From a loaded network and the name of a data set to a record, in a folder or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.collect.distributed import Ranks, joined
from seviz.collect.execute import execute
from seviz.collect.meet import Data, Network
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.prepared import PassPlan, Prepared, Progress
from seviz.collect.resume import Checkpointer
from seviz.collect.reuse import fitting_record
from seviz.collect.saying import LOG, Tell, say_alarms, say_fit
from seviz.collect.streaming import Stream
from seviz.data.loaders import Loading
from seviz.errors import EndedEarlyError, UsageError
from seviz.results.files import is_record, record_path
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record


def collect(
    network: Network,
    data: Data,
    options: PassOptions | None = None,
    *,
    classes: Sequence[str] | None = None,
    inputs: int | Sequence[int] | Sequence[str] | None = None,
    output: str | int | Callable[[Any], Any] | None = None,
    fingerprint: str | None = None,
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
        network: Any ``torch.nn.Module``, which is left as it is (device, modes, hooks, weights); or what
            `seviz.load` gave or takes.
        data: What ``--data`` takes, or any batches of your own, prepared as the network expects them: a
            ``DataLoader``, a data set, tensors or arrays, anything that gives ``(x, y)``, dicts, or
            images alone (`seviz.Loader`).
        options: How the pass is made.
        classes: Of batches: what the labels' numbers are called, in their order, or a dict of names and
            numbers (``class_to_idx``).
        inputs: Of batches: what of them the network takes, where it is more than the first part.
        output: Of batches: which output counts, where the network gives several: its name or position, or
            a function of all of them.
        fingerprint: Of batches: anything that changes when they (or the code of your network) do; with it
            a pass is resumed and a record is used again.
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
        EndedEarlyError: If a loader failed on the way; ``record`` of the error is of what came before.
        DeviceError: If the device does not exist, or its memory is not enough.
        UsageError: If a pass is to be resumed without a folder.
        KeyboardInterrupt: If Ctrl-C came before the first batch was through.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> record.header.images, len(record.blocks)
    (364, 6)
    >>> import torch
    >>> network = seviz.load(seviz.sample("se_resnet_digits")).model  # or any module of your own
    >>> batches = [(torch.rand(8, 1, 32, 32), torch.arange(8)), (torch.rand(2, 1, 32, 32), [8, 9])]
    >>> seviz.collect(network, batches).count.tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    chosen = options or PassOptions()
    loading: Loading = {
        "classes": classes,
        "inputs": inputs,
        "output": output,
        "fingerprint": fingerprint,
    }
    with joined(chosen.device) as ranks:
        here = replace(chosen, device=ranks.device(chosen.device))
        ready = prepare(network, data, here, loading)
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
        told_apart = not isinstance(ready.source, Stream) or ready.source.is_told_apart
        if not told_apart and (resume or is_record(self._path)):
            self._tell(
                "collected anew: nothing tells whether the loader is the same; give fingerprint= to resume a "
                "pass or use a record again"
            )
        state = Checkpointer(
            self._path,
            rank=ranks.rank if ranks.several else None,
            resume=resume and told_apart,
            tell=self._tell,
        )
        try:
            record = execute(
                ready,
                keeper=state if told_apart else None,
                ranks=ranks,
                tell=self._given,
                **passing,
            )
        except EndedEarlyError as exc:
            if ranks.first:
                exc.record.save(self._path)
            raise
        if record.header.partial and not record.header.images:
            raise KeyboardInterrupt
        if ranks.first:
            record.save(self._path)
        ranks.gather(None)  # the state is of use until the record is written
        if not record.header.partial:
            if told_apart:
                state.clear()
        elif state.path.exists():
            self._tell(f"its state is in {state.path}; --resume goes on with it")
        return record
