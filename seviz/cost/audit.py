"""From a network to what SE, or gates of another kind, cost it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from seviz.cost.attribution import Split, is_chain, split, used_parameters
from seviz.cost.blocks import (
    block_params,
    block_work,
    form_of,
    macs_of_layers,
    split_params,
)
from seviz.cost.bottleneck import recognise
from seviz.cost.conventions import DEFAULT, check_names, conventions, fvcore_count
from seviz.cost.counting import Counts, not_counted
from seviz.cost.sweep import sweep
from seviz.cost.twin import bypassed, without_se
from seviz.errors import CheckpointError, UsageError
from seviz.gates import Example, Trace, trace, unwrap
from seviz.gates.find import recorded
from seviz.gates.graph import is_on_meta, meta_copy
from seviz.results.blocks import SE, GateBlock, SEBlock, params_of
from seviz.results.cost import BYTES, NO_WORK, Audit, BlockCost, Totals, total_bytes, total_work
from seviz.results.mechanisms import DEFAULT_KIND, chosen, word_of
from seviz.results.subject import NetworkCost


def audit_network(
    model: nn.Module,
    input_size: Example,
    *,
    name: str = "",
    counted: Sequence[str] = DEFAULT,
    reductions: Sequence[int] = (),
    inserted: Sequence[str] = (),
    folded: bool = False,
    mechanism: str = DEFAULT_KIND,
) -> Audit:
    """Count what SE, or gates of another kind, cost a network: parameters, operations, memory.

    One forward pass is recorded on the meta device; nothing is computed, and the network is left as it
    is. The twin without them is that pass with their operations left out; where the blocks are modules,
    they are replaced as well, and the network without them is recorded too.

    Args:
        model: A network, with weights or on the meta device.
        input_size: Channels, height and width of an image; of several inputs a batch.
        name: What it is called in the result.
        counted: Conventions in which the whole cost is counted: ``macs``, ``torch``, ``paper``,
            ``fvcore``.
        reductions: Other reduction ratios to give parameters and MACs for.
        inserted: Where SE was inserted before, for the reader of the result.
        folded: Whether blocks were folded away before, so that there may be none left.
        mechanism: The kind of gates, as for `seviz.find`.

    Raises:
        CheckpointError: If the network cannot run on such an image.
        NoSEBlockError: If it has no block of the kind.
        UsageError: If a convention or the kind is unknown, or the kind has no reduction ratio.
    """
    check_names(counted)
    check_reductions(reductions, mechanism)
    model = unwrap(model)
    shadow, traced = _traced(model, input_size, mechanism)
    if not folded:
        traced.found.require_se()
    parts = split(traced)
    graph = parts.graph
    named = dict(model.named_parameters())
    own = (used_parameters(parts.se) - used_parameters(parts.rest)) & set(named)
    reduction, rule = _bottleneck([p.block for p in parts.parts], mechanism)
    blocks = tuple(
        BlockCost(
            part.block,
            block_params(part, own, form_of(part, own, reduction)),
            block_work(part, graph),
        )
        for part in parts.parts
    )
    totals = _totals(parts, total_bytes(blocks) or 0)
    audit = Audit(
        name=name,
        input_size=traced.found.input_size,
        params=sum(p.numel() for p in model.parameters()),
        se_params=sum(named[n].numel() for n in own),
        running_stats=_running_stats(model),
        reduction=reduction,
        hidden_rule=rule,
        blocks=blocks,
        totals=totals,
        not_counted=not_counted(graph.ops),
        inserted=tuple(inserted),
        mechanism=mechanism,
    )
    audit = replace(audit, twin_macs=_run_twin(shadow, parts, traced.example))
    return replace(
        audit,
        conventions=conventions(
            counted,
            totals,
            total_work(blocks) or NO_WORK,
            lambda: _fvcore(shadow, parts, audit, traced.example),
            audit.word,
        ),
        sweep=sweep(audit, reductions, [macs_of_layers(p, graph) for p in parts.parts]),
        notes=_notes(audit),
    )


def audit_parameters(
    blocks: Sequence[SEBlock],
    params: int,
    *,
    name: str = "",
    running_stats: int = 0,
    reductions: Sequence[int] = (),
) -> Audit:
    """Return the part of an audit that needs no network: parameters, by block, stage and reduction ratio.

    Args:
        blocks: The SE blocks, as read off a state dict.
        params: Parameters of the whole network.
        name: What it is called in the result.
        running_stats: Elements of the running statistics of batch norm.
        reductions: Other reduction ratios to give parameters for.
    """
    reduction, rule = recognise([(b.channels, b.hidden) for b in blocks])
    costs = tuple(BlockCost(b, split_params(b, reduction), None) for b in blocks)
    audit = Audit(
        name=name,
        input_size=(),
        params=params,
        se_params=params_of(blocks),
        running_stats=running_stats,
        reduction=reduction,
        hidden_rule=rule,
        blocks=costs,
        notes=("parameters only: the network, and so its operations, are not known",),
    )
    return replace(audit, sweep=sweep(audit, reductions))


def check_reductions(reductions: Sequence[int], mechanism: str) -> None:
    """Check that a kind of gates has reduction ratios, where some are asked for.

    Raises:
        UsageError: If a ratio is less than 1, the kind is unknown, or it has no bottleneck.
    """
    if any(r < 1 for r in reductions):
        raise UsageError(
            f"expected reduction ratios of at least 1, found {min(reductions)}; for example 2 4 8 16 32"
        )
    kinds = chosen(mechanism)
    without = [kind.word for kind in kinds if not kind.has_bottleneck]
    if reductions and without:
        raise UsageError(
            f"expected gates with a reduction ratio for --sweep, found {', '.join(without)}; leave it out"
        )


def _bottleneck(blocks: Sequence[GateBlock], mechanism: str) -> tuple[float | None, str]:
    """Return the reduction ratio that blocks share, and the rule; nothing of a kind without bottleneck."""
    if not all(kind.has_bottleneck for kind in chosen(mechanism)):
        return None, ""
    return recognise([(b.channels, int(b.facts["hidden"])) for b in blocks])


def network_cost(
    model: nn.Module, input_size: Example, mechanism: str = DEFAULT_KIND
) -> NetworkCost:
    """Count a whole network, whether there are such gates in it or not.

    Args:
        model: A network, with weights or on the meta device; left as it is.
        input_size: Channels, height and width of an image.
        mechanism: The kind of gates, as for `seviz.find`.

    Raises:
        CheckpointError: If the network cannot run on such an image.
        UsageError: If there is no such kind.
    """
    model = unwrap(model)
    _, traced = _traced(model, input_size, mechanism)
    parts = split(traced)
    work = sum((block_work(part, parts.graph) for part in parts.parts), NO_WORK)
    weights = sum(part.traced.block.params for part in parts.parts)
    totals = _totals(parts, work.map_bytes + BYTES * weights)
    word = word_of(part.block.mechanism for part in parts.parts)
    (paper,) = conventions(("paper",), totals, work, lambda: (0, None), word)
    return NetworkCost(
        params=sum(p.numel() for p in model.parameters()),
        macs=totals.macs,
        paper=paper,
        se_blocks=sum(part.block.kind == SE for part in parts.parts),
        gates=Counter(part.block.mechanism.key for part in parts.parts),
        gate_params=params_of(part.traced.block for part in parts.parts),
        readable=traced.found.readable,
    )


def _totals(parts: Split, se_bytes: int) -> Totals:
    everything, rest = Counts(parts.graph, parts.graph.ops), Counts(parts.graph, parts.rest)
    return Totals(
        macs=everything.macs,
        norm_elements=rest.total("norm"),
        pool_elements=rest.pool_elements,
        bytes_moved=rest.bytes_moved + se_bytes,
        bytes_without_se=rest.bytes_moved,
        chain=is_chain(parts.rest),
    )


def _running_stats(model: nn.Module) -> int:
    """Return the elements of batch norm's running means and variances."""
    leaves = ("running_mean", "running_var")
    return sum(b.numel() for n, b in model.named_buffers() if n.rpartition(".")[2] in leaves)


def _traced(model: nn.Module, size: Example, mechanism: str) -> tuple[nn.Module, Trace]:
    """Trace a network's copy on the meta device, which may be changed, or itself where there is none."""
    if not is_on_meta(model):
        try:
            shadow = meta_copy(model)
            return shadow, trace(shadow, size, mechanism)
        except Exception:
            # Numbers decide its way, or it cannot be copied: it is run where it is.
            return model, trace(model, size, mechanism)
    return model, trace(model, size, mechanism)


def _run_twin(shadow: nn.Module, parts: Split, size: Example) -> int | None:
    """Return the MACs of the network with the blocks' modules replaced; ``None`` where it cannot be done."""
    try:
        if is_on_meta(shadow):
            with bypassed(shadow, parts) as twin:
                graph = recorded(twin, size)
        else:
            graph = recorded(without_se(shadow, parts), size)
    except CheckpointError:
        return None
    return Counts(graph, graph.ops).macs


def _notes(audit: Audit) -> tuple[str, ...]:
    return (*_of_the_twin(audit), *_besides(audit))


def _besides(audit: Audit) -> tuple[str, ...]:
    """Return what of a kind is not counted, since it is no gate of a channel."""
    kinds = {block.block.mechanism for block in audit.blocks}
    return tuple(
        f"{kind.name} is its channel half here: a {kind.besides}, where the network has one, is no part of "
        "the count, and stays in the network without"
        for kind in sorted(kinds, key=lambda k: k.key)
        if kind.besides
    )


def _of_the_twin(audit: Audit) -> tuple[str, ...]:
    if audit.twin_macs is None:
        return (
            f"the {audit.word} blocks are not modules of their own: the network without them is counted, and "
            "cannot be run",
        )
    if audit.twin_macs != audit.macs_without_se:
        return (
            f"the network with its {audit.word} modules replaced has {audit.twin_macs:,} MACs, not the "
            f"{audit.macs_without_se:,} of the count: please report this network",
        )
    return ()


def _fvcore(
    shadow: nn.Module, parts: Split, audit: Audit, example: Example
) -> tuple[int, int | None]:
    without = None
    if audit.twin_macs is not None:
        without = fvcore_count(without_se(shadow, parts), example)
    return fvcore_count(shadow, example), without
