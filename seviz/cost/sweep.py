"""The cost of the same network at other reduction ratios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seviz.cost.bottleneck import hidden_units
from seviz.results.cost import Audit, SweepRow

# arXiv 1709.01507v4, Table 10: millions of parameters of SE-ResNet-50 by reduction ratio.
PAPER_SIZES = {2: 45.7, 4: 35.7, 8: 30.7, 16: 28.1, 32: 26.9}
_SE_RESNET_50 = Counter({256: 3, 512: 4, 1024: 6, 2048: 3})
_RESNET_50_PARAMS = 25_557_032


def sweep(
    audit: Audit, reductions: Sequence[int], layers: Sequence[int] = ()
) -> tuple[SweepRow, ...]:
    """Return parameters and MACs at other reduction ratios; biases and norms are kept in kind.

    Each block's parameters and MACs are linear in the units of its bottleneck, so nothing is built.

    Args:
        audit: Of gates that have a bottleneck.
        reductions: The ratios.
        layers: MACs of each block's two layers; its other MACs, as those of attention pooling, stay.
    """
    return tuple(_row(audit, r, layers) for r in reductions)


def _row(audit: Audit, reduction: int, layers: Sequence[int]) -> SweepRow:
    total, macs, biases = audit.params_without_se, 0, 0
    counted: set[tuple[str, ...]] = set()
    for number, cost in enumerate(audit.blocks):
        own = int(cost.block.facts["hidden"])
        hidden = hidden_units(cost.block.channels, reduction, audit.hidden_rule)
        more = hidden - own
        if cost.work is not None:
            macs += cost.work.fc_macs - layers[number] + layers[number] * hidden // own
        if (
            cost.block.parameters not in counted
        ):  # a module that is used twice has its parameters once
            counted.add(cost.block.parameters)
            total += cost.params.total + more * cost.params.per_hidden
            biases += cost.params.biases + more * cost.params.biases_per_hidden
    base = audit.macs_without_se
    return SweepRow(
        reduction=reduction,
        params=total,
        se_params=total - audit.params_without_se,
        macs=base + macs if base is not None else None,
        size=total - biases + audit.running_stats,
        size_with_biases=total + audit.running_stats,
        paper=PAPER_SIZES.get(reduction) if is_se_resnet_50(audit) else None,
    )


def is_se_resnet_50(audit: Audit) -> bool:
    """Return whether this is the network of the table: ResNet-50 for 1000 classes, SE in each block."""
    channels = Counter(b.block.channels for b in audit.blocks)
    return (
        audit.is_se and channels == _SE_RESNET_50 and audit.params_without_se == _RESNET_50_PARAMS
    )
