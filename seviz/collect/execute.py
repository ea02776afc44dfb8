"""A prepared pass, executed: what watches it, the loop, and the record that is left."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from seviz.collect.cache_key import library_versions
from seviz.collect.distributed import Ranks
from seviz.collect.fast import Choice, few_threads
from seviz.collect.forward import Passed, run
from seviz.collect.input_fit import check_input
from seviz.collect.observers import (
    EachPrediction,
    GateSample,
    GateSums,
    ImageRemarks,
    MergedObserver,
    Predictions,
    Probabilities,
)
from seviz.collect.placing import in_its_place
from seviz.collect.prepared import AnyBatches, Prepared, Progress
from seviz.collect.resume import Checkpointer
from seviz.collect.saying import say_alarms, say_fit
from seviz.collect.shard import Shard
from seviz.collect.stream_classes import with_images_only
from seviz.collect.streaming import Stream, StreamBatches
from seviz.data import Source
from seviz.data.numbering import better_order
from seviz.errors import CheckpointError, EndedEarlyError, SevizError
from seviz.networks.formats.output_step import output_step
from seviz.results.classes import ClassTable
from seviz.results.header import Header
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record
from seviz.results.stats import Array


def execute(
    ready: Prepared,
    *,
    command: str = "",
    progress: Progress | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
    keeper: Checkpointer | None = None,
    ranks: Ranks | None = None,
    tell: Callable[[str], Any] | None = None,
) -> Record:
    """Make the pass that was prepared, or this process's share of it.

    Args:
        ready: From `seviz.collect.prepare.prepare`.
        command: As for `seviz.collect`.
        progress: As for `seviz.collect`.
        each: As for `seviz.collect`; among several processes, called in the first.
        keeper: Keeps the state of the pass, and resumes it.
        ranks: The processes that share the pass; each returns the record of all images.
        tell: As for `seviz.collect`.

    Raises:
        KeyboardInterrupt: If Ctrl-C ended one of several processes: they would stop at different images.
        CheckpointError: If a gate is not a number.
        DataError: If no image can be read, or the processes were given different ones.
        DeviceError: If the memory of the device is not enough, or another process is gone.
        EndedEarlyError: If a loader of the user's failed; it holds the record of what came before.
    """
    ranks = ranks or Ranks()
    loaded, device, found, source, match = (
        ready.loaded,
        ready.device,
        ready.found,
        ready.source,
        ready.match,
    )
    if each is not None or not ready.blocks:
        ready.require_scored()
    batches = everything = ready.batches(processes=ranks.neighbours)
    own = ready.share(everything)
    if isinstance(batches, StreamBatches):
        batches.forgiving = True
    sharded = ready.options.shard is not None
    if sharded:
        batches = everything.only(own)
    request = ready.request_digest
    with few_threads(ranks.neighbours):
        fit = check_input(ready)
    if ranks.first:
        say_fit(fit, tell)
    probabilities, single = Probabilities(output_step(loaded.model)), None
    observers: list[MergedObserver] = []
    if ready.blocks:
        observers.append(GateSums(ready.blocks, len(match.table), device, whole=not sharded))
        observers.append(GateSample(ready.blocks, device, whole=not sharded))
    if ready.scored and found.outputs is not None:
        observers.append(
            Predictions(ready.targets, found.outputs, device, probabilities, whole=not sharded)
        )
    if each is not None:
        single = EachPrediction(probabilities)
    watching = [*observers, single] if single is not None else observers
    choice = Choice(shared=ranks.several or sharded)
    remarks = ImageRemarks(batches)
    part = Shard(ready, batches, [*watching, probabilities, choice, remarks], ranks, keeper)
    bar = progress(part.batches.total) if progress is not None else nullcontext(None)
    with bar as on_batch, few_threads(ranks.neighbours), in_its_place(loaded):
        passed = _run(
            part.batches,
            lambda: run(
                loaded.model,
                found.only(ready.blocks),
                part.batches,
                watching,
                device=device,
                reduced=ready.reduced,
                on_batch=part.after_each(on_batch),
                speed=ready.speed(everything, choice),
            ),
        )
    done = part.end(passed)
    arrays = {name: array for o in observers for name, array in o.compute().items()}
    trouble = part.batches.trouble if isinstance(part.batches, StreamBatches) else None
    header = Header(
        checkpoint=loaded.name,
        architecture=loaded.architecture,
        checkpoint_sha256=loaded.sha256,
        source=source.name,
        split=source.split,
        preprocessing=loaded.preprocessing,
        num_classes=found.outputs or 0,
        images=done.images,
        skipped=done.skipped,
        missing=match.missing,
        extra=match.extra,
        partial=passed.interrupted or trouble is not None,
        device=_device_name(device),
        dtype=ready.dtype,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        versions=library_versions(),
        notes=(
            *loaded.notes,
            *source.notes,
            *ready.notes,
            *match.notes,
            *probabilities.notes,
            *passed.notes,
            *remarks.notes,
            *(part.batches.notes if isinstance(part.batches, StreamBatches) else ()),
            *([str(trouble)] if trouble is not None else ()),
            *filter(None, [_other_order(ready, arrays)]),
        ),
        request=request,
        fit=fit,
        part=((own.start, min(own.stop, everything.total)),) if sharded else (),
        whole=ready.whole_digest if sharded else "",
        total=everything.total if sharded else 0,
    )
    if not ready.blocks:
        arrays["count"] = arrays["confusion"].sum(axis=1)
    record = Record(header, match.table, ready.blocks, arrays)
    if ranks.first:
        say_alarms(record, tell)
    if single is not None and each is not None and ranks.first:
        each(_predictions(record, ready.classes, source, single.compute()))
    if isinstance(source, Stream):
        record = with_images_only(record, ready.classes if match.is_model else None)
    if trouble is not None:
        raise EndedEarlyError(
            f"{trouble}; the record of the {record.header.images} images before it is kept", record
        ) from trouble
    return record


def _run(batches: AnyBatches, passing: Callable[[], Passed]) -> Passed:
    """Make a pass; where a loader's batch does not go through the network, end before it."""
    if not isinstance(batches, StreamBatches):
        return passing()
    try:
        return passing()
    except CheckpointError as exc:  # gates of one batch that are no numbers
        if not batches.before:
            raise
        batches.trouble = CheckpointError(f"batch {batches.number - 1} of the loader: {exc}")
        return Passed(batches.before, interrupted=False)
    except SevizError:
        raise
    except Exception as exc:
        reason = next(iter(str(exc).strip().splitlines()), "no message")
        trouble = CheckpointError(
            f"expected the network to take batch {batches.number - 1} of the loader, found "
            f"{type(exc).__name__}: {reason[:300]}"
        )
        if not batches.before:
            raise trouble from exc
        batches.trouble = trouble
        return Passed(batches.before, interrupted=False)


def _predictions(
    record: Record, classes: ClassTable | None, source: Source | Stream, found: dict[str, Array]
) -> PredictionTable:
    """Return the table of single predictions, its classes in the order of the network's outputs."""
    # Rows of the record and outputs of the network name a class alike, also where it has a namesake.
    labels = list(classes.labels) if classes is not None else []
    for own, info in zip(record.classes.labels, record.classes.classes, strict=True):
        labels[info.index] = own
    targets = np.array([c.index for c in record.classes.classes], np.int64)
    top, probability = found["top"].astype(np.int64), found["probability"].astype(np.float64)
    header = record.header
    return PredictionTable(
        labels=tuple(labels),
        true=targets[found["row"]],
        predicted=found["predicted"].astype(np.int64),
        confidence=probability[:, 0],
        paths=tuple(source.image_name(int(i)) for i in found["index"]),
        top=top,
        probability=probability,
        subject=f"{header.architecture} on {header.source} {header.split}".rstrip(),
    )


def _other_order(ready: Prepared, arrays: dict[str, Array]) -> str | None:
    """Return a remark where the answers speak for another order of the folders."""
    if "confusion" not in arrays:
        return None
    names = [c.folder or c.label for c in ready.match.table.classes]
    return better_order(arrays["confusion"], names, ready.options.labels)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
