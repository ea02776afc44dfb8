"""What a pass over a data set needs, got ready and checked before the first image is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seviz.collect.distributed import launched
from seviz.collect.fast import reduced, slower_here
from seviz.collect.forward import resolve_device
from seviz.collect.meet import Data, Network, met
from seviz.collect.options import Labels, PassOptions
from seviz.collect.prepared import Prepared
from seviz.collect.stream_classes import match_stream
from seviz.collect.streaming import (
    Stream,
)
from seviz.data import Match, Source, match_classes
from seviz.data.loaders import Loading
from seviz.data.numbering import numbered_folders
from seviz.errors import CheckpointError, UsageError
from seviz.gates import Found, Trace, trace
from seviz.gates.graph import Graph
from seviz.gates.unsteady import norms_of_the_batch, random_numbers
from seviz.networks import LoadedModel
from seviz.networks.class_files import classes_in_folder
from seviz.networks.imagenet import imagenet_classes
from seviz.results.blocks import WITHOUT_SQUEEZE, GateBlock, select_blocks
from seviz.results.classes import ClassTable
from seviz.results.record import NO_GATES


def prepare(
    network: Network,
    data: Data,
    options: PassOptions,
    loading: Loading | None = None,
) -> Prepared:
    """Find the blocks, open the images, and match their classes.

    Args:
        network: The network: from `seviz.load`, or any module.
        data: What `seviz.data.sources.open_source` takes, a source, or a loader of the user's.
        options: How the pass is made.
        loading: Fields of `seviz.Loader` that the user gave beside a loader.

    Raises:
        NoSEBlockError: If the network has no such gate, and that is required.
        UsageError: If there is no such kind of gates, or two kinds are asked for.
        CheckpointError: If the network does not run on such images.
        DataError: If there are no images, or their classes are not the network's.
        DeviceError: If the device does not exist, or has no mixed precision of the wanted type.
    """
    loaded, source, options = met(network, data, options, loading)
    assert source is not None, "data was given"
    device = resolve_device(options.device)
    shorter = reduced(options.amp_dtype, device)
    if options.without_squeeze and options.mechanism != "se":
        raise UsageError(
            f"expected one kind of gates, found --without-squeeze and {options.mechanism!r}; leave one out"
        )
    example = source.example if isinstance(source, Stream) else loaded.preprocessing.input_size
    traced = trace(loaded.model, example, options.mechanism)
    found = traced.found
    blocks = found.without_squeeze if options.without_squeeze else found.blocks
    if not blocks and not options.without_squeeze and options.require_se:
        found.require_se()
    if not blocks and options.without_squeeze:
        raise UsageError(
            f"expected a {WITHOUT_SQUEEZE} in this network, found none; leave out --without-squeeze"
        )
    if options.blocks and not blocks:
        found.require_se()
    left = (
        ()
        if blocks or not found.readable
        else (f"{NO_GATES}no {found.word}, but {found.otherwise}",)
    )
    if options.blocks:
        blocks = tuple(select_blocks(blocks, options.blocks))
    _require_one_each(traced, blocks)
    classes, notes = class_table(loaded, found)
    if isinstance(source, Stream):
        match = match_stream(source, classes, found.outputs, options.labels)
        if classes is None and match.is_model:
            classes, notes = match.table, ()
    else:
        match, classes, notes = _matched(source, classes, notes, found, options.labels)
    notes = (*left, *notes, *_unsteady(traced.own_size))
    if shorter is not None:
        alone = not launched().several
        remark = slower_here(loaded.model, example, shorter, device, measured=alone)
        if remark is not None:
            shorter, options, notes = None, replace(options, amp_dtype=None), (*notes, remark)
    return Prepared(
        loaded,
        options,
        device,
        shorter,
        found,
        tuple(blocks),
        source,
        classes,
        match,
        notes,
        traced.own_size,
    )


def _unsteady(graph: Graph) -> Iterator[str]:
    """Yield remarks where the gates of an image depend on more than the image."""
    if norms := norms_of_the_batch(graph):
        yield (
            f"{_some(norms, 'norm')} the statistics of each batch, also in evaluation mode: gates and "
            "answers depend on which images share a batch, and a folder's come class by class; give running "
            "statistics, or a loader that mixes classes as in training"
        )
    if drawn := random_numbers(graph):
        yield (
            f"{_some(drawn, 'module', 'draw')} random numbers, also in evaluation mode: gates and answers "
            "are others in each pass"
        )


def _some(paths: Sequence[str], what: str, verb: str = "take") -> str:
    """Return how many modules do something, and which is the first."""
    first = paths[0] or "the network"
    if len(paths) == 1:
        return f"a {what} ({first}) {verb}s"
    return f"{len(paths)} {what}s (first {first}) {verb}"


def _require_one_each(traced: Trace, blocks: Sequence[GateBlock]) -> None:
    """Refuse blocks that gate several maps of each image: such a gate is of no image.

    Raises:
        CheckpointError: If there is one.
    """
    wanted = {block.name for block in blocks}
    for found in traced.blocks:
        maps, batch = found.site.scaled.shape[0], traced.graph.batch
        if found.block.name in wanted and maps != batch:
            raise CheckpointError(
                f"expected a gate for each image, found {maps / batch:g} in {found.block.name} "
                f"({found.block.path}): frames, crops or groups of channels are put beside the images there; "
                "read other blocks (--blocks)"
            )


def _matched(
    source: Source,
    classes: ClassTable | None,
    notes: tuple[str, ...],
    found: Found,
    labels: Labels,
) -> tuple[Match, ClassTable | None, tuple[str, ...]]:
    """Return how folders and classes go together, the network's classes, and remarks on them."""
    folders: Sequence[str] = source.folders
    if labels in ("sorted", "natural"):
        own = classes
        folders, classes, notes = numbered_folders(source, found.outputs, labels, found.heads)
        notes = (*notes, *_told_otherwise(source, classes, own, labels))
    match = match_classes(
        folders,
        source.counts,
        classes,
        labels="data" if labels == "data" else "model",
        labelled=source.labelled,
    )
    return match, classes, notes


def _told_otherwise(
    source: Source, numbered: ClassTable, own: ClassTable | None, labels: Labels
) -> Iterator[str]:
    """Yield a remark where the checkpoint, or a file of the images, has the classes in another order."""
    if (place := _first_apart(numbered, own)) is not None and own is not None:
        yield (
            f"the checkpoint names these classes in another order (output {place} is {own.labels[place]}, "
            f"not {numbered.labels[place]}): leave --labels {labels} out to go by its names"
        )
    root = getattr(source, "root", None)
    for folder in (root, root.parent) if isinstance(root, Path) else ():
        listed = classes_in_folder(folder, len(numbered))
        if listed is not None and (place := _first_apart(numbered, listed[0])) is not None:
            yield (
                f"{listed[1]} with the images has these classes in another order (output {place} is "
                f"{listed[0].labels[place]}, not {numbered.labels[place]}): if the network was trained so, "
                f"give it as --class-names, without --labels {labels}"
            )
            return


def _first_apart(numbered: ClassTable, other: ClassTable | None) -> int | None:
    """Return the first output at which two tables of the same classes differ."""
    if other is None or len(other) != len(numbered) or any(map(str.isdecimal, numbered.labels)):
        return None  # numbers would be found as places
    if {r for name in numbered.labels for r in other.rows(name)} != set(range(len(other))):
        return None  # of other classes
    apart = (i for i, name in enumerate(numbered.labels) if i not in other.rows(name))
    return next(apart, None)


def class_table(loaded: LoadedModel, found: Found) -> tuple[ClassTable | None, tuple[str, ...]]:
    """Return the network's classes, checked against its output, and remarks on them."""
    table = loaded.classes
    if table is not None:
        if found.outputs is not None and len(table) != found.outputs:
            raise CheckpointError(
                f"expected as many class names as outputs, found {len(table)} names and "
                f"{found.outputs} outputs in {loaded.name}"
            )
        return table, ()
    if found.outputs == 1000:
        return imagenet_classes(), (
            "1,000 outputs without class names: taken for ImageNet-1k's classes in their usual order",
        )
    if found.heads:
        return None, (
            f"the network gives several outputs ({', '.join(found.heads)}), so predictions are not scored; "
            "--head takes one of them",
        )
    if found.outputs is None:
        return None, (
            "the network returns something else than one score per class (several tensors, or maps), so "
            "predictions are not scored",
        )
    return None, (
        "the checkpoint names no classes: those of the data are used, and predictions are not scored",
    )
