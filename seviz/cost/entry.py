"""What SE costs: from a name, a checkpoint or a network to an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from seviz.cost import (
    InsertionPoint,
    audit_network,
    audit_parameters,
    measure,
    split,
    without_se,
)
from seviz.cost import insert as insert_into
from seviz.cost.audit import check_reductions
from seviz.cost.conventions import DEFAULT, check_names
from seviz.data.loaders import Loading
from seviz.errors import NoSEBlockError, UsageError
from seviz.gates import Example, trace
from seviz.gates.graph import is_on_meta
from seviz.networks import BareWeights, LoadedModel, load
from seviz.networks.arch import build_architecture, describe_architecture, is_known_name
from seviz.networks.building import on_meta as build_on_meta
from seviz.networks.given import as_loaded, first_example, prepared_elsewhere
from seviz.networks.zoo import is_zoo_name, zoo_config
from seviz.results.cost import Audit, Latency
from seviz.results.mechanisms import DEFAULT_KIND
from seviz.results.preprocessing import ASSUMED, Preprocessing

DEFAULT_BATCH = 32


@dataclass(frozen=True)
class Insertion:
    """How SE, or gates of another kind, are put into a network that has none.

    Attributes:
        reduction: Ratio r; 16 by default, where the kind has one.
        after: Regular expression of module paths; the paper's places by default.
        kind: ``se``, ``eca``, ``cbam`` or ``ge``, as for `insert`.
        placement: ``standard``, ``pre``, ``post`` or ``identity``.
        stages: The stages that get gates; all by default.
    """

    reduction: int | None = None
    after: str | None = None
    kind: str = DEFAULT_KIND
    placement: str = "standard"
    stages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Timing:
    """How wall time is measured.

    Attributes:
        batch_size: Images per batch, beside batches of one.
        device: Where.
        pairs: Pairs of runs with and without SE.
    """

    batch_size: int = DEFAULT_BATCH
    device: str = "cpu"
    pairs: int = 20


def blueprint(
    spec: str | Path, *, arch_args: Mapping[str, Any] | None = None, on_meta: bool = True
) -> LoadedModel:
    """Build a network by its name, without its trained weights: nothing is fetched.

    Args:
        spec: A registered name, ``timm:NAME`` or ``torchvision:NAME``.
        arch_args: Keyword arguments of the architecture.
        on_meta: Allocate no weights; ``False`` gives random ones, for a network that is to run.

    Raises:
        UsageError: If there is no such architecture.
        CheckpointError: If the arguments do not fit.
    """
    name, args = str(spec), {k: v for k, v in (arch_args or {}).items() if k != "pretrained"}
    model = None
    if on_meta:
        with suppress(Exception):  # it reads numbers while it is built: build it with some
            model = build_on_meta(lambda: build_architecture(name, args))
    model = model if model is not None else build_architecture(name, args)
    preprocessing, classes = Preprocessing(origin="ImageNet's", assumed=ASSUMED), None
    if is_zoo_name(name):
        preprocessing, classes = zoo_config(name, model)
    shown = describe_architecture(name, args)
    return LoadedModel(model.eval(), name, shown, "", classes, preprocessing)


def has_blueprint(spec: str | Path) -> bool:
    """Return whether a name says all about a network but its weights."""
    return is_known_name(str(spec)) and not Path(spec).exists()


def audit(
    network: str | Path | LoadedModel | nn.Module,
    input_size: Any = None,
    *,
    conventions: Sequence[str] = DEFAULT,
    sweep: Sequence[int] = (),
    insertion: Insertion | None = None,
    timing: Timing | None = None,
    mechanism: str = DEFAULT_KIND,
    **loading: Unpack[Loading],
) -> Audit:
    """Count what SE, or gates of another kind, cost a network: parameters, operations, memory, and time.

    Args:
        network: ``timm:NAME``, ``torchvision:NAME`` or a registered name (no weights are needed or
            fetched), a checkpoint file, what `seviz.load` returned, or any network. Left as it is.
        input_size: Channels, height and width of an image, or the size of whatever else it takes; the
            network's own where it is known. Or batches for it, as `seviz.collect` takes them, of which
            the first is looked at: for several inputs, or inputs that are no images.
        conventions: Any of ``macs``, ``torch``, ``paper``, ``fvcore``.
        sweep: Other reduction ratios.
        insertion: For a network without SE, or gates of another kind: put them in, and count these.
        timing: Measure wall time with and without the gates as well.
        mechanism: The kind of gates, as for `seviz.find`; all counts are of these alone. Reduction ratios,
            and with them ``sweep``, are for kinds with a bottleneck.
        loading: Of batches: ``inputs`` and ``output``, as for `seviz.collect`.

    Returns:
        The result; ``to_dict`` gives it for JSON.

    Raises:
        NoSEBlockError: If the network has no block of the kind and none is inserted.
        CheckpointError: If the network cannot run on such an image.
        UsageError: If the input size is not known, or an argument is not understood.

    >>> result = audit("timm:legacy_seresnet50")
    >>> result.params, result.se_params, result.totals.macs
    (28088024, 2530992, 3860488192)
    >>> result.convention("paper").printed
    ('3.86 G', '3.87 G')
    """
    check_names(conventions)
    check_reductions(sweep, mechanism)
    loaded, size = _loaded(network, input_size, loading, runs=timing is not None)
    model, plain = loaded.model, None
    places: tuple[InsertionPoint, ...] = ()
    if insertion is not None:
        plain = model
        mechanism = insertion.kind
        model, places = insert_into(model, size, **vars(insertion))
    result = audit_network(
        model,
        size,
        name=loaded.name,
        counted=conventions,
        reductions=sweep,
        inserted=[place.path for place in places],
        folded=bool(loaded.folds),
        mechanism=mechanism,
    )
    result = replace(result, checkpoint_sha256=loaded.sha256)
    if timing is None:
        return result
    return replace(result, latency=_timed(model, plain, size, timing, mechanism))


def audit_weights(weights: BareWeights, sweep: Sequence[int] = ()) -> Audit:
    """Return the parameter part of an audit of weights whose network is not known.

    Args:
        weights: From `seviz.networks.open_checkpoint`.
        sweep: Other reduction ratios.

    Raises:
        NoSEBlockError: If no excitation is among them.
    """
    if not weights.blocks:
        raise NoSEBlockError(
            f"expected SE blocks in {weights.name}, found none: no pair of matrices C -> C/r -> C under "
            "one prefix, and no known architecture; give --arch"
        )
    result = audit_parameters(
        weights.blocks,
        weights.params,
        name=weights.name,
        running_stats=weights.running_stats,
        reductions=sweep,
    )
    return replace(result, checkpoint_sha256=weights.sha256)


def insert_se(
    network: str | Path | LoadedModel | nn.Module,
    input_size: Any = None,
    *,
    reduction: int = 16,
    after: str | None = None,
    bias: bool = True,
) -> nn.Module:
    """Return a copy of a network with real SE blocks in it, ready to train; the network is left as it is.

    SE goes to the end of every residual branch, after its last norm; without residuals, after every
    dense or inception block; in a plain chain after every (pointwise) convolution and its norm.

    Args:
        network: As for `audit`; a name gives random weights.
        input_size: As for `audit`.
        reduction: Ratio r; the bottleneck has ``max(1, C // r)`` units.
        after: Regular expression that module paths must match as a whole to be followed by SE.
        bias: Whether the fully connected layers have biases.

    Raises:
        CheckpointError: If it has SE already, or no place is found.
        UsageError: If ``after`` matches nothing, or the input size is not known.

    >>> import torch
    >>> network = insert_se("resnet20", (3, 32, 32), reduction=8)
    >>> network(torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    loaded, size = _loaded(network, input_size, {}, runs=True)
    made, _ = insert_into(loaded.model, size, reduction=reduction, after=after, bias=bias)
    return made


def insert(
    network: str | Path | LoadedModel | nn.Module,
    kind: str = DEFAULT_KIND,
    input_size: Any = None,
    *,
    placement: str = "standard",
    stages: Sequence[int] = (),
    reduction: int | None = None,
    after: str | None = None,
    bias: bool = True,
    **arch_args: Any,
) -> nn.Module:
    """Return a copy of a network with gates of a kind in it, ready to train; the network is left as it is.

    The same call makes the same modules with the same names, so that a state dict loads again; as an
    architecture it is ``seviz.cost.entry:insert``, its arguments those of the call.

    Args:
        network: As for `audit`; a name gives random weights.
        kind: ``se``, ``eca``, ``cbam`` (its channel half) or ``ge`` (gather-excite without parameters).
        input_size: As for `audit`.
        placement: ``standard``, as for `insert_se`; in residual networks also ``pre`` (before each branch),
            ``post`` (after each addition) or ``identity`` (on each shortcut): arXiv 1709.01507v4, Table 14.
        stages: The stages that get gates, as blocks are named by them, from 2; all by default.
        reduction: Ratio r of ``se`` and ``cbam``, 16 by default.
        after: As for `insert_se`.
        bias: Whether the fully connected layers have biases.
        arch_args: Arguments of an architecture that is given by its name.

    Raises:
        CheckpointError: If it has such gates already, or no place is found.
        UsageError: If an argument is not understood, or the input size is not known.

    >>> network = insert("resnet20", "eca", (3, 32, 32), stages=[3, 4])
    >>> import seviz
    >>> [b.name for b in seviz.find(network, (3, 32, 32), "eca").blocks][:2]
    ['ECA_2_1', 'ECA_2_2']
    """
    if isinstance(network, str | Path) and has_blueprint(network):
        loaded = blueprint(network, arch_args=arch_args, on_meta=False)
        loaded = loaded.with_preprocessing(input_size=tuple(input_size) if input_size else None)
        size: Example = loaded.preprocessing.input_size
    elif arch_args:
        raise UsageError(
            f"expected the name of an architecture with {', '.join(arch_args)}, found a network; leave it out"
        )
    else:
        loaded, size = _loaded(network, input_size, {}, runs=True)
    made, _ = insert_into(
        loaded.model,
        size,
        kind=kind,
        placement=placement,
        stages=tuple(stages),
        reduction=reduction,
        after=after,
        bias=bias,
    )
    return made


def _loaded(
    network: str | Path | LoadedModel | nn.Module, size: Any, loading: Loading, *, runs: bool
) -> tuple[LoadedModel, Example]:
    """Return the network, and what it is traced with."""
    if isinstance(network, nn.Module):
        if size is None:
            raise UsageError(
                "expected the input size of the network, found none; give it as (channels, height, width)"
            )
        loaded = as_loaded(network, hashed=False)
    elif not isinstance(network, LoadedModel):
        known = has_blueprint(network)
        loaded = blueprint(network, on_meta=not runs) if known else load(network)
    else:
        loaded = network
    if size is None or _is_size(size):
        given = tuple(int(n) for n in size) if size is not None else None
        loaded = loaded.with_preprocessing(input_size=given)
        return loaded, loaded.preprocessing.input_size
    example = first_example(loaded.model, size, loading)
    return loaded.prepared_by(prepared_elsewhere(example)), example


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(n, Integral) for n in value)


def _timed(
    model: nn.Module, plain: nn.Module | None, size: Example, timing: Timing, mechanism: str
) -> tuple[Latency, ...]:
    """Time batches of one and of the given size."""
    if is_on_meta(model):
        raise UsageError(
            "expected a network with weights to time, found one on the meta device; give it weights with "
            "to_empty"
        )
    twin = plain if plain is not None else without_se(model, split(trace(model, size, mechanism)))
    return tuple(
        measure(model, twin, size, batch=batch, device=timing.device, pairs=timing.pairs)
        for batch in dict.fromkeys((1, timing.batch_size))
    )
