"""One cost, counted in the ways that people call FLOPs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError, UsageError
from seviz.gates import Example, Inputs
from seviz.gates.attributes import copied
from seviz.results.blocks import SE
from seviz.results.cost import BlockWork, Convention, Totals

MACS = "1 MAC = 1: convolution, linear, matrix products"
TORCH = "torch's FlopCounterMode: 2 x MACs"
FVCORE = "fvcore's own: MACs, 2 per batch-norm output, pooling modules; no mean, sigmoid, mul"
PAPER = (
    "arXiv 1709.01507, 1 MAC = 1: convolution, linear, 1 per batch-norm output and pooling-window input; "
    "{}"
)
PAPER_CHAIN = (
    "arXiv 1709.01507, 1 MAC = 1: convolution and linear, no batch norm in a plain chain (VGG, MobileNet); "
    "{}"
)
# What one of its blocks counts as: of SE its two fully connected layers.
_SE_IS = "SE = FC + 1 pass over its output"
_IS = "{} = its layers + 1 pass over its output"
NAMES = ("macs", "torch", "paper", "fvcore")
DEFAULT = ("macs", "torch", "paper")


def check_names(names: Sequence[str]) -> None:
    """Check the names of conventions.

    Raises:
        UsageError: If one is not of `NAMES`.
    """
    wrong = [name for name in names if name not in NAMES]
    if wrong or not names:
        raise UsageError(
            f"expected --convention as any of {', '.join(NAMES)}, found "
            f"{' '.join(wrong) or 'none'}; leave it out for macs, torch and paper"
        )


def conventions(
    names: Sequence[str],
    totals: Totals,
    work: BlockWork,
    fvcore: Callable[[], tuple[int, int | None]],
    word: str = SE,
) -> tuple[Convention, ...]:
    """Return the cost with and without SE in each of these conventions.

    Args:
        names: Any of `NAMES`.
        totals: Counts of the whole network.
        work: Operations of all of its blocks.
        fvcore: Runs fvcore on the network and on its twin; called only if it is asked for.
        word: What the blocks are called.
    """
    base = totals.macs - work.fc_macs
    known: Mapping[str, Callable[[], Convention]] = {
        "macs": lambda: Convention("macs", totals.macs, base, MACS),
        "torch": lambda: Convention("torch", 2 * totals.macs, 2 * base, TORCH),
        "paper": lambda: _paper(totals, work, word),
        "fvcore": lambda: Convention("fvcore", *fvcore(), FVCORE),
    }
    return tuple(known[name]() for name in dict.fromkeys(names))


def _paper(totals: Totals, work: BlockWork, word: str) -> Convention:
    base = totals.macs - work.fc_macs
    if not totals.chain:
        base += totals.norm_elements + totals.pool_elements
    se = work.fc_macs + work.scale_multiplications
    rule = PAPER_CHAIN if totals.chain else PAPER
    return Convention(
        "paper", base + se, base, rule.format(_SE_IS if word == SE else _IS.format(word))
    )


def fvcore_count(model: nn.Module, size: Example) -> int:
    """Return fvcore's own count of a network for one image.

    fvcore traces with numbers, so memory is allocated for a copy of the network, and left as it comes.

    Args:
        model: A network on the meta device.
        size: Channels, height and width of an image.

    Raises:
        CheckpointError: If fvcore cannot trace the network.
        UsageError: If the network takes several inputs.
    """
    if isinstance(size, Inputs):
        raise UsageError(
            "expected a network with one input for the convention fvcore, found several inputs; leave it out"
        )
    real = copied(model).to_empty(device="cpu").eval()
    for buffer in real.buffers():
        buffer.zero_()  # positions that tensors are indexed with must lie inside them
    like = next((p for p in real.parameters() if p.is_floating_point()), torch.empty(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript's deprecation, at import and at tracing
        from fvcore.nn import FlopCountAnalysis

        example = torch.zeros(1, *size, dtype=like.dtype)
        analysis: Any = FlopCountAnalysis(real, example)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        try:
            return int(analysis.total())
        except Exception as exc:
            reason = next(iter(str(exc).strip().splitlines()), "no message")[:160]
            raise CheckpointError(
                f"expected fvcore to trace the network, found {type(exc).__name__}: {reason}; leave "
                "fvcore out of --convention"
            ) from exc
