"""Random weights to train from."""

from __future__ import annotations

from torch import nn


def kaiming_normal(model: nn.Module) -> None:
    """Draw the convolutions by He et al., arXiv 1502.01852, eq. 10, with the fan of the outputs."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
