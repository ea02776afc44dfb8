"""The pass of a command: made, shared with other processes, gone on with, or not needed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.options import EarlierOptions
from seviz.results.files import record_path

if TYPE_CHECKING:
    from seviz.collect.prepare import PassOptions, PassPlan
    from seviz.networks import LoadedModel
    from seviz.results.predictions import PredictionTable
    from seviz.results.record import Record


def pass_into(
    folder: Path,
    loaded: LoadedModel,
    data: str,
    options: PassOptions,
    earlier: EarlierOptions,
    speaker: Speaker,
    *,
    command: str,
    check: Callable[[PassPlan], Any] | None,
    each: Callable[[PredictionTable], Any] | None,
) -> tuple[Record, Path]:
    """Return the record of a pass that is in ``folder`` when this returns, and its file.

    Args:
        folder: Where the record goes, or is.
        loaded: The network.
        data: The images.
        options: How the pass is made.
        earlier: What becomes of an earlier pass.
        speaker: Told how the record came about.
        command: The command line, for the record.
        check: Called before the first image is read.
        each: Given the prediction for every image; these are in no record.

    Raises:
        KeyboardInterrupt: If Ctrl-C came before the first batch was through.
        SystemExit: In each process but the first of those that torchrun started, when the record is
            written: the rest is not theirs.
    """
    from seviz.collect.distributed import joined
    from seviz.collect.prepare import prepare
    from seviz.collect.resume import Checkpointer
    from seviz.collect.reuse import fitting_record
    from seviz.collect.run import collect_prepared

    with joined(options.device) as ranks:
        ready = prepare(loaded, data, replace(options, device=ranks.device(options.device)))
        if check is not None:
            check(ready.plan)
        record, path = None, record_path(folder)
        if each is None and not earlier.no_cache and ranks.first:
            record = fitting_record(folder, ready)
        if ranks.gather(record is not None)[0]:
            speaker.remark(
                f"the record {path} is of this very pass and is used again; --no-cache collects anew"
            )
        else:
            keeper = Checkpointer(
                folder,
                rank=ranks.rank if ranks.several else None,
                resume=earlier.resume,
                tell=speaker.remark,
            )
            record = collect_prepared(
                ready,
                command=command,
                progress=speaker.progress,
                each=each,
                keeper=keeper,
                ranks=ranks,
            )
            if record.header.partial and not record.header.images:
                raise KeyboardInterrupt
            if ranks.first:
                path = record.save(folder)
            ranks.gather(None)  # the state is of use until the record is written
            if not record.header.partial:
                keeper.clear()
            elif keeper.path.exists():
                speaker.remark(f"its state is in {keeper.path}; --resume goes on with it")
    if record is None or not ranks.first:
        raise SystemExit(0)
    return record, path
