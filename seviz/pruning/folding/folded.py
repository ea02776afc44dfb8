"""From a network, blocks and their mean gates to a network without those blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from seviz.collect.execute import execute
from seviz.collect.meet import met
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.streaming import Stream
from seviz.cost.attribution import split
from seviz.cost.twin import modules_of
from seviz.data.loaders import Loading
from seviz.errors import CheckpointError, DataError, UsageError
from seviz.gates import Example, Inputs, Trace, trace, unwrap
from seviz.gates.attributes import copied
from seviz.networks import LoadedModel, save_checkpoint
from seviz.networks.folds import Fold, apply_folds, separate
from seviz.networks.formats.graph_network import GraphNetwork
from seviz.networks.formats.onnx import ONNX, ONNX_SUFFIX, write_edited
from seviz.networks.given import IN_MEMORY, as_loaded, first_example, prepared_elsewhere
from seviz.networks.zoo import is_zoo_name, zoo_config
from seviz.pruning.folding.checking import check, on_cpu
from seviz.pruning.folding.export import export
from seviz.pruning.folding.planning import FoldPlan, Planner
from seviz.pruning.holding import held_means
from seviz.results.blocks import GateBlock, select_blocks
from seviz.results.mechanisms import ALL
from seviz.results.notebook import summary_html
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record
from seviz.results.stats import Floats


@dataclass(frozen=True)
class FoldedBlock:
    """What became of one block.

    Attributes:
        block: The block, as it was found.
        into: Modules that took its mean gate up; empty where it is kept as a fixed scale.
        how: What was done, for people.
        params: Parameters that went with it.
    """

    block: GateBlock
    into: tuple[str, ...]
    how: str
    params: int

    @property
    def name(self) -> str:
        """Return the block's name."""
        return self.block.name


@dataclass(frozen=True, eq=False)
class Folded:
    """A network in which SE blocks were replaced by their mean gates.

    Attributes:
        loaded: The network without those blocks.
        original: The network before; its weights are untouched.
        blocks: What became of each block, in forward order.
        difference: Largest difference of an output from that of the network with its gates held at their
            means, as a share of the largest output, on the images of the check.
    """

    loaded: LoadedModel
    original: LoadedModel
    blocks: tuple[FoldedBlock, ...]
    difference: float

    def __repr__(self) -> str:
        """Return one line: what is gone."""
        names = ", ".join(block.name for block in self.blocks)
        before, after = self.params_before, self.params_after
        return f"<Folded {self.loaded.name}: without {names}, {before:,} -> {after:,} parameters>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what became of each block."""
        numbers = {block.name: block.how for block in self.blocks}
        numbers["parameters"] = f"{self.params_before:,} before, {self.params_after:,} after"
        numbers["largest difference of an output"] = f"{self.difference:.1e}"
        return summary_html(self.loaded.name, numbers, "folded.save(path)")

    @property
    def params_before(self) -> int:
        """Return the number of parameters of the network before."""
        return self.original.params

    @property
    def params_after(self) -> int:
        """Return the number of parameters that are left."""
        return self.loaded.params

    def save(self, path: str | Path) -> Path:
        """Write the network as a checkpoint; it appears whole or not at all.

        `seviz.load` builds it again with nothing more than the file, as plain PyTorch reads it with
        ``torch.load(path, weights_only=True)``. A network that was read from an ONNX model becomes one
        again: its own graph, without these blocks.

        Args:
            path: File to write: ``*.pt``; ``*.onnx`` for what was read from ONNX.

        Raises:
            UsageError: If its architecture has no name, so that nobody could build it again.
            CheckpointError: If the ONNX model that it was read from is not there any more.
        """
        loaded = self.loaded
        check_saveable(loaded, path)
        if isinstance(loaded.model, GraphNetwork):
            return write_edited(loaded.model, self.original.sha256, Path(path))
        classes = loaded.classes.labels if loaded.classes is not None else None
        if is_zoo_name(loaded.arch) and zoo_config(loaded.arch, loaded.model)[1] == loaded.classes:
            classes = None  # The zoo's own names, with ids and synonyms, come back with its name.
        return save_checkpoint(
            path,
            loaded.model,
            arch=_without_folder(loaded.arch),
            arch_args=loaded.arch_args,
            classes=classes,
            preprocessing=loaded.preprocessing,
            folds=loaded.folds,
            folded_from={"name": self.original.name, "sha256": self.original.sha256},
        )

    def export(self, path: str | Path) -> Path:
        """Write the network as a program of ``torch.export`` that runs without seviz, for any batch.

        Raises:
            CheckpointError: If PyTorch cannot export it.
        """
        size = self.loaded.preprocessing.input_size
        return export(on_cpu(self.loaded.model), size, Path(path), self.loaded.name)


def check_saveable(loaded: LoadedModel, path: str | Path) -> None:
    """Check that a network can be written so that it can be read again.

    Args:
        loaded: The network, before or after folding.
        path: The file that is to be written.

    Raises:
        UsageError: If its architecture has no name, or the file is to be of a format that is not its own.
    """
    suffix = Path(path).suffix.lower()
    if loaded.format == ONNX.title or suffix == ONNX_SUFFIX:
        if loaded.format != ONNX.title or suffix != ONNX_SUFFIX:
            found = loaded.format or "no ONNX model"
            raise UsageError(
                f"expected NAME.onnx for a network that was read from ONNX, and for no other, found "
                f"{Path(path).name} for {loaded.name} ({found}); name the file after its format"
            )
    elif isinstance(loaded.model, GraphNetwork):
        raise UsageError(
            f"expected NAME.pt2 for {loaded.name}, a network that was read from {loaded.format}, found "
            f"{Path(path).name}; a program is all that it can be written as"
        )
    elif not loaded.arch:
        raise UsageError(
            f"expected a network whose architecture has a name, found {loaded.name}, which holds the network "
            "itself or comes from a hub; name a program (-o NAME.pt2), or save its state dict and give --arch"
        )


def mean_gates(record: Record) -> dict[str, Floats]:
    """Return the mean gate [C] of each block over all images of a record, each image weighing the same.

    Raises:
        DataError: If the record has no images.
    """
    total = int(record.count.sum())
    if not total:
        raise DataError("expected gates in the record, found no images; collect it again")
    return {b.name: record.stats(b.name).sum.sum(axis=0) / total for b in record.blocks}


def fold(
    network: nn.Module | LoadedModel | str | Path,
    blocks: Sequence[str],
    gates: Mapping[str, Floats] | Record | Any,
    *,
    images: Any = None,
    mechanism: str = "se",
    **loading: Unpack[Loading],
) -> Folded:
    """Replace SE blocks, or gates of another kind, by fixed gates, and remove their parameters.

    The gate is multiplied into the norm, convolution or linear layer that makes the map, or into those that
    take it; where neither can be done without changing anything else, it is kept as a fixed scale. A shift
    that comes with it goes into the bias of the layer that makes the map, or is kept with the scale. The
    result is compared with the network whose gates are held, before it is returned.

    Args:
        network: Any module, or what `seviz.load` gave or takes; left as it is.
        blocks: Block names (``SE_4_6``), stages (``SE_4``), module paths or ``["all"]``.
        gates: A record of this network, whose mean gates are taken; or gates [C] by block name; or images
            or batches of your own, as for `seviz.collect`, from which they are collected first. Of blocks
            that shift as well, ``x * gate + shift``, a record holds no shifts: they take images, or gates
            and shifts [2, C] by block name.
        images: A batch [N, ...] for the comparison, besides random ones; what the network takes where that
            is several inputs.
        mechanism: Kind of gates, as for `seviz.find`; that of a record is taken from it.
        loading: Of batches: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Returns:
        The network without these blocks; ``save`` writes it.

    Raises:
        NoSEBlockError: If the network has no such block.
        UsageError: If no block is named, a name fits none, or the gates are not one for each channel.
        DataError: If the record is another network's, or a gate is missing.
        CheckpointError: If a block cannot be folded, or the result does not compute the same.

    >>> import seviz
    >>> network = seviz.load(seviz.sample("se_resnet_digits"))
    >>> folded = seviz.fold(network, ["SE_2"], seviz.collect(network, "digits"))
    >>> [(b.name, b.how, b.into) for b in folded.blocks]
    [('SE_2_1', 'norm before', ('layer1.0.bn2',)), ('SE_2_2', 'norm before', ('layer1.1.bn2',))]
    >>> folded.params_before - folded.params_after
    256
    """
    loaded = as_loaded(network)
    examined: Example | None = None
    if not isinstance(gates, Record | Mapping):
        options = PassOptions(mechanism=mechanism)
        loaded, source, options = met(loaded, gates, options, loading)
        examined = source.example if isinstance(source, Stream) else None
        ready = prepare(loaded, source, options)
        shifted = any(block.shift for block in ready.blocks)
        gates = held_means(ready) if shifted else execute(ready)
    elif images is not None and not isinstance(images, Tensor):
        examined = first_example(loaded.model, [images], loading)
    elif loaded.format == IN_MEMORY:
        loaded = loaded.prepared_by(_size_from(gates, images, loaded))
    if isinstance(examined, Inputs) and images is None:
        images = examined
    model = unwrap(loaded.model)
    if isinstance(gates, Record) and gates.mechanisms:
        mechanism = gates.mechanisms[0] if len(gates.mechanisms) == 1 else ALL
    found = trace(model, examined or loaded.preprocessing.input_size, mechanism)
    found.found.require_se()
    if not list(blocks):
        raise UsageError("expected blocks to fold, found none; name them, a stage, or all")
    chosen = select_blocks(found.found.blocks, blocks)
    means = _checked(loaded, chosen, gates)
    work = on_cpu(copied(model))
    folds, numbers, folded = _folded(work, found, chosen, means)
    apply_folds(work, folds, loaded.name)
    for path, values in numbers.items():
        buffer = next(work.get_submodule(path).buffers())
        buffer.copy_(values)
    difference = check(model, work, found, means, images)
    result = replace(
        loaded,
        model=work,
        sha256="",
        notes=(),
        architecture=f"{loaded.architecture}, {_counted(chosen)} folded",
        folds=(*loaded.folds, *folds),
    )
    return Folded(result, loaded, folded, difference)


def _size_from(gates: object, images: Any, loaded: LoadedModel) -> Preprocessing:
    """Return how images come to a module, as far as its record or a batch says it.

    Raises:
        UsageError: If neither is there.
    """
    if isinstance(gates, Record):
        return gates.header.preprocessing
    if images is None:
        raise UsageError(
            f"expected a record, or images, to know what {loaded.name} takes, found gates alone; "
            "give a batch as images="
        )
    return prepared_elsewhere(tuple(images.shape[1:]))


def _counted(blocks: Sequence[GateBlock]) -> str:
    """Return how many blocks there are, by kind, as text."""
    counts = Counter(block.kind for block in blocks)
    return " and ".join(f"{n} {kind} block{'s' * (n > 1)}" for kind, n in counts.items())


def _checked(
    loaded: LoadedModel, chosen: Sequence[GateBlock], gates: Mapping[str, Floats] | Record
) -> dict[str, Tensor]:
    """Return the gates as tensors float64 [C], with shifts [2C]."""
    if isinstance(gates, Record):
        if gates.header.checkpoint_sha256 != loaded.sha256:
            raise DataError(
                f"expected a record of {loaded.name} (sha256 {loaded.sha256[:12]}), found one of "
                f"{gates.header.checkpoint} ({gates.header.checkpoint_sha256[:12]}); collect it from this "
                "checkpoint"
            )
        shifted = next((block.name for block in chosen if block.shift), None)
        if shifted is not None:
            raise DataError(
                f"expected the images for {shifted}, whose excitation also gives a shift, found a record, "
                "which holds gates alone; give the images (--data) in its place, or leave it out"
            )
        gates = mean_gates(gates)
    means = {}
    for block in chosen:
        gate = np.asarray(gates.get(block.name, ()), dtype=np.float64)
        shape = (2, block.channels) if block.shift else (block.channels,)
        if gate.shape != shape or not np.isfinite(gate).all():
            wanted = "finite gates, and as many shifts," if block.shift else "finite gates"
            raise DataError(
                f"expected {block.channels} {wanted} for {block.name}, found shape {gate.shape}; collect "
                "them from this network"
            )
        means[block.name] = torch.from_numpy(gate.flatten())
    return means


@torch.no_grad()
def _folded(
    work: nn.Module, found: Trace, chosen: Sequence[GateBlock], means: Mapping[str, Tensor]
) -> tuple[tuple[Fold, ...], dict[str, Tensor], tuple[FoldedBlock, ...]]:
    """Change the weights of a copy; return what is to stand where, and the numbers of it, by path."""
    separate(work)
    traced = trace(work, found.example, found.found.mechanism)
    if [b.name for b in traced.found.blocks] != [b.name for b in found.found.blocks]:
        raise CheckpointError(
            "expected the same gates in a copy of the network, found others; its forward pass depends on "
            "more than its modules"
        )
    parts = split(Trace(traced.found, traced.blocks, traced.graph, traced.graph))
    names = {b.name for b in chosen}
    planner = Planner(work, parts, names)
    folds, numbers, folded = [], {}, []
    taken_out: list[FoldPlan] = []
    for part, path in zip(parts.parts, modules_of(parts), strict=True):
        block = part.traced.block
        if block.name not in names:
            continue
        plan = planner.plan(part, path, means[block.name])
        into = tuple(dict.fromkeys(c.parameter.rpartition(".")[0] for c in plan.changes))
        folds.append(Fold(block.name, into, plan.how, plan.params, plan.places))
        folded.append(FoldedBlock(block, into, plan.how, plan.params))
        if plan.site is not None:
            taken_out.append(plan)
        elif plan.numbers is not None:
            numbers[plan.places[0].path] = plan.numbers
    for plan in taken_out:
        _take_out(work, plan)
    return tuple(folds), numbers, tuple(folded)


def _take_out(work: nn.Module, plan: FoldPlan) -> None:
    """Take a block out of a network made of steps, or give its multiplication a fixed gate."""
    assert isinstance(work, GraphNetwork)
    assert plan.site is not None
    if plan.numbers is None:
        work.without(plan.site.path, plan.site.scaled)
    else:
        like = next(p for p in work.parameters() if p.is_floating_point())
        work.fixed(plan.site.path, plan.site.gate, plan.numbers.to(like))


def _without_folder(arch: str) -> str:
    """Return ``file.py:factory`` without the folders of this machine."""
    place, colon, attribute = arch.rpartition(":")
    return f"{Path(place).name}{colon}{attribute}" if place.endswith(".py") else arch
