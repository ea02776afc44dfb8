"""From a network to how much each of its SE blocks matters."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor

from seviz.collect.cache_key import library_versions
from seviz.collect.input_fit import check_input
from seviz.collect.meet import Data, Network
from seviz.collect.observers import ImageRemarks
from seviz.collect.options import PassOptions, require_whole
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared, Progress
from seviz.collect.streaming import Stream
from seviz.cost import Removal
from seviz.data import KeptBatches
from seviz.data.loaders import Loading
from seviz.errors import DataError, UsageError
from seviz.gates import trace
from seviz.pruning.ablation.study import Means, kind_of_gates, means_of, studying
from seviz.pruning.ablation.tally import Changes
from seviz.results.ablation import Ablation, Replaced
from seviz.results.alarms import alarm_of
from seviz.results.blocks import GateBlock
from seviz.results.mechanisms import chosen
from seviz.results.record import Record
from seviz.results.seeds import checked_seed
from seviz.results.stats import Array

_BY = ("block", "stage")
_GATES = ("one", "mean", "shuffle")
# How far the mean gates of a record may be from those of the images: rounding, and no more.
_SAME_MEANS = {True: 1e-4, False: 1e-2}


@dataclass(frozen=True)
class _Set:
    """Blocks whose gates are replaced together: one, or all of a stage."""

    name: str
    blocks: tuple[str, ...]
    params: int
    macs: int


def ablate(
    network: Network,
    data: Data,
    options: PassOptions | None = None,
    *,
    by: Literal["block", "stage"] = "block",
    gates: Literal["one", "mean", "shuffle"] = "one",
    record: Record | None = None,
    must_fit: bool = True,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
    **loading: Unpack[Loading],
) -> Ablation:
    """Replace the gates of SE blocks, and count the images that the network gets wrong, or right, by it.

    First one block (or stage) at a time, then more and more of them together, from the one whose loss of
    top-1 is smallest to the one whose loss is largest; of equal losses the one with more parameters comes
    first, then the earlier one. Images are decoded once where they fit into 1 GB, else once per pass; of
    each further run, only what comes after the replaced gates is computed.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: What ``--data`` takes, or batches of your own, as for `seviz.collect`; they are asked for
            several times where they do not fit into memory, and must then come in the same order.
        options: How the passes are made.
        by: Replace the gates of one ``block`` at a time, or of one ``stage``.
        gates: ``one`` passes the map on unscaled, and unshifted where a block gives a shift as well.
            ``mean`` holds each gate, and such a shift, at its mean over all images, each image weighing
            the same, whatever its class. ``shuffle`` gives each image the gates that
            the network has for another image: the one before it in a random order of all images, in
            which the last comes before the first. So the gates of every image are used once, and
            neither class nor batch matters; a shift then stays that of the image. A gate that differs
            from pixel to pixel is held at one number for each channel: its mean over all images and
            pixels, or 1; it cannot be shuffled.
        record: Where the mean gates come from, of the same network and images; a first pass by default, and
            always where a block shifts as well: a record holds no shifts.
        must_fit: Whether a record of something else is an error; else a first pass is made.
        seed: Of the random order for ``shuffle``.
        command: The command line, for the result.
        progress: Given the number of images of all passes, a context manager whose value is called with
            the size of each batch.
        loading: Of batches: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Ctrl-C ends it after the current batch: the result is then of the images seen so far, marked as
    partial, and has no cumulative part.

    Raises:
        NoSEBlockError: If the network has no SE block.
        CheckpointError: If the network does not run on such images, or an output is not a number.
        DataError: If there are no images, their classes are not the network's, or the record is of
            another network or of other images.
        DeviceError: If the device does not exist, or its memory is not enough.
        KeyboardInterrupt: After Ctrl-C, where nothing was counted yet.
        UsageError: If an option is not understood.

    >>> import seviz
    >>> network = seviz.load(seviz.sample("se_resnet_digits"))
    >>> result = seviz.ablate(network, "digits", by="stage", gates="mean")
    >>> result.images, result.right, [(s.name, s.lost, s.won) for s in result.single]
    (364, 361, [('SE_2', 1, 0), ('SE_3', 1, 0), ('SE_4', 0, 0)])
    """
    options = options or PassOptions()
    _check(by, gates, record, options)
    seed = checked_seed(seed)
    require_whole(options)
    ready = prepare(network, data, replace(options, require_se=True), loading)
    loaded = ready.loaded
    ready.require_scored()
    exchanged = gates == "shuffle"
    images = KeptBatches(ready.batches(seed=seed if exchanged else None))
    shifted = [b.name for b in ready.blocks if b.shift]
    if record is not None and shifted:
        if must_fit:
            raise DataError(
                f"expected blocks that only scale with a record, which holds no shifts, found {shifted[0]}, "
                "which also shifts; leave the record out for a first pass"
            )
        record = None
    if record is not None and (differs := _differences(record, ready, images.total)):
        if must_fit:
            raise DataError(
                f"expected a record of the same pass, found one with another {', '.join(differs)}; leave "
                "it out for a first pass, or collect it again"
            )
        record = None
    fit = check_input(ready)
    traced = trace(loaded.model, ready.example, kind_of_gates(options))
    cost = Removal(loaded.model, traced)
    sets = [_Set(name, own, *cost.of(own)) for name, own in _sets(ready.blocks, by)]
    first = gates == "mean" and record is None
    with studying(ready, traced, images, progress, passes=2 + first) as study:
        means: Means = {}
        if gates == "mean":
            means = means_of(record.arrays) if record is not None else study.means()
        new = None if exchanged else _constants(ready, means)
        single, found = study.one_at_a_time(_named(sets), new, means=record is not None)
        partial = study.partial
        if record is not None and not partial:
            _check_means(means, found, exact=ready.reduced is None)
        ranked = _ranked(sets, single)
        together = None if partial else study.together(_named(ranked), new)
        partial = study.partial
    answers, table = single.answers, ready.match.table
    said = alarm_of(answers, table, hint=not fit.is_alarm) if answers is not None else ""
    return Ablation(
        checkpoint=loaded.name,
        checkpoint_sha256=loaded.sha256,
        architecture=loaded.architecture,
        source=ready.source.name,
        split=ready.source.split,
        images=single.images,
        right=single.right,
        by=by,
        gates=gates,
        seed=seed,
        params=cost.params,
        se_params=cost.se_params,
        macs=cost.macs,
        dtype=ready.dtype,
        single=_single(sets, single),
        cumulative=_cumulative(ranked, together, cost) if together and not partial else (),
        skipped=tuple(images.source.skipped),
        partial=partial,
        command=command,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=library_versions(),
        notes=(
            *loaded.notes,
            *ready.source.notes,
            *ready.notes,
            *ready.match.notes,
            *ImageRemarks(images.source).notes,
            *([fit.sentence] if fit.is_alarm else []),
            *([said] if said else []),
            *_notes(ready, gates, record, seed),
        ),
    )


def _check(by: str, gates: str, record: Record | None, options: PassOptions) -> None:
    """Refuse what cannot be done.

    Raises:
        UsageError: If an option is not understood, or two do not fit.
    """
    for name, given, known in (("by", by, _BY), ("gates", gates, _GATES)):
        if given not in known:
            raise UsageError(
                f"expected {name} as one of {', '.join(known)}, found {given!r}; give one of them"
            )
    if record is not None and gates != "mean":
        raise UsageError(
            f"expected a record with mean gates, found it with gates {gates!r}; leave it out"
        )
    if gates == "shuffle" and any(kind.per_pixel for kind in chosen(kind_of_gates(options))):
        raise UsageError(
            "expected gates that are one for each channel, found gates that differ from pixel to pixel, "
            "which fit no other image; give one or mean"
        )


def _sets(blocks: Sequence[GateBlock], by: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and blocks of each set, in forward order."""
    if by == "block":
        yield from ((b.name, (b.name,)) for b in blocks)
        return
    stages: dict[str, list[str]] = {}
    for block in blocks:
        stages.setdefault(f"{block.mechanism.prefix}_{block.stage}", []).append(block.name)
    yield from ((stage, tuple(names)) for stage, names in stages.items())


def _named(sets: Sequence[_Set]) -> dict[str, tuple[str, ...]]:
    return {s.name: s.blocks for s in sets}


def _constants(ready: Prepared, means: Means) -> dict[str, Tensor]:
    """Return what replaces each block for all images: its means; or a gate of 1, and a shift of 0."""
    return {
        b.name: torch.as_tensor(
            means.get(b.name, _passing_on(b)), dtype=torch.float32, device=ready.device
        )
        for b in ready.blocks
    }


def _passing_on(block: GateBlock) -> Array:
    return np.repeat([1.0, 0.0][: 1 + block.shift], block.channels)


def _ranked(sets: Sequence[_Set], single: Changes) -> list[_Set]:
    """Return the sets from the least to the most important."""
    loss = {s.name: b - c for s, b, c in zip(sets, single.lost, single.won, strict=True)}
    return sorted(sets, key=lambda s: (loss[s.name], -s.params))


def _single(sets: Sequence[_Set], changes: Changes) -> tuple[Replaced, ...]:
    counted = zip(sets, changes.lost, changes.won, strict=True)
    return tuple(Replaced(s.name, s.blocks, b, c, s.params, s.macs) for s, b, c in counted)


def _cumulative(ranked: Sequence[_Set], changes: Changes, cost: Removal) -> tuple[Replaced, ...]:
    blocks: tuple[str, ...] = ()
    parts = []
    for s, lost, won in zip(ranked, changes.lost, changes.won, strict=True):
        blocks += s.blocks
        parts.append(Replaced(s.name, blocks, lost, won, *cost.of(blocks)))
    return tuple(parts)


def _differences(record: Record, ready: Prepared, total: int) -> list[str]:
    """Return in what a record is not of the pass that is to be made."""
    header, loaded, source = record.header, ready.loaded, ready.source
    # Of a loader it is not known beforehand which classes have images, nor, often, how many come.
    unknown = isinstance(source, Stream) and source.opened.total is None
    classes = record.classes if isinstance(source, Stream) else ready.match.table
    images = header.images + len(header.skipped)
    pairs = {
        "checkpoint": (header.checkpoint_sha256, loaded.sha256),
        "source": (header.source, source.name),
        "split": (header.split, source.split),
        "preprocessing": (header.preprocessing, loaded.preprocessing),
        "type of numbers": (header.dtype, ready.dtype),
        "list of blocks": (record.blocks, ready.blocks),
        "list of classes": (record.classes, classes),
        "number of images": (images, images if unknown else total),
        "end (it is partial)": (header.partial, False),
    }
    return [what for what, (one, other) in pairs.items() if one != other]


def _check_means(recorded: Means, found: Means, *, exact: bool) -> None:
    """Refuse mean gates that are not those of the images that went through the network.

    Raises:
        DataError: If they are further off than rounding explains.
    """
    worst = max(recorded, key=lambda name: np.abs(recorded[name] - found[name]).max())
    distance = np.abs(recorded[worst] - found[worst]).max()
    if not distance <= _SAME_MEANS[exact]:
        raise DataError(
            f"expected a record of these images, found mean gates that differ by {distance:.2g} in {worst}; "
            "leave it out for a first pass, or collect it again"
        )


def _notes(ready: Prepared, gates: str, record: Record | None, seed: int) -> Iterator[str]:
    match = ready.match
    if match.missing:
        yield f"no images of {', '.join(match.missing[:5])}{', ...' * (len(match.missing) > 5)}"
    if match.extra:
        names = ", ".join(match.extra[:5]) + ", ..." * (len(match.extra) > 5)
        yield f"left out, no class of the network: {names}"
    if gates == "mean":
        origin = f"from the record of {record.header.created}" if record else "from a first pass"
        over = "images and pixels" if any(b.mechanism.per_pixel for b in ready.blocks) else "images"
        yield (
            f"each gate is held at its mean over all {over}, every image weighing the same ({origin})"
        )
    elif gates == "shuffle":
        yield (
            "each image gets the gates of the image before it in a random order of all images (seed "
            f"{seed}); those of several blocks come from the same image"
        )
    shifted = [b.name for b in ready.blocks if b.shift]
    if shifted:
        how = {
            "mean": "held at its mean over the same images",
            "one": "held at 0: the map passes unscaled and unshifted",
            "shuffle": "left that of the image, so that the excitation is still run",
        }[gates]
        which = f"{shifted[0]} ... {shifted[-1]}" if len(shifted) > 1 else shifted[0]
        yield f"the shift that {len(shifted)} blocks add as well ({which}) is {how}"
