"""What goes with the gates of some blocks: counted by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seviz.cost import Removal, audit_network
from seviz.gates import trace
from seviz.networks.architectures.registry import build


def test_blocks_and_their_sum() -> None:
    model = build("se_resnet20", reduction=8)
    removal = Removal(model, trace(model, (3, 32, 32)))
    # Two matrices C x C/8 without biases, and as many MACs.
    weights = {2: 2 * 16 * 2, 3: 2 * 32 * 4, 4: 2 * 64 * 8}
    for stage, count in weights.items():
        assert removal.of([f"SE_{stage}_1"]) == (count, count)
    assert removal.of(["SE_2_1", "SE_4_2"]) == (weights[2] + weights[4],) * 2
    assert removal.of([f"SE_{s}_{i}" for s in weights for i in (1, 2, 3)]) == (4032, 4032)
    audit = audit_network(model, (3, 32, 32))
    assert (removal.params, removal.se_params) == (audit.params, audit.se_params)
    assert audit.totals is not None
    assert removal.macs == audit.totals.macs


class Shared(nn.Module):
    """One SE module that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.down, self.up, self.head = nn.Linear(8, 2), nn.Linear(2, 8), nn.Linear(8, 5)

    def se(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(self.down(x.mean((2, 3))).relu()))
        return x * gate[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.se(self.two(self.se(self.one(x)))).mean((2, 3)))


def test_what_two_blocks_share_goes_with_the_second() -> None:
    model = Shared()
    removal = Removal(model, trace(model, (3, 12, 12)))
    # Parameters stay while the other block needs them; the MACs of this one go.
    assert removal.of(["SE_2_1"]) == removal.of(["SE_3_1"]) == (0, 32)
    assert removal.of(["SE_2_1", "SE_3_1"]) == (2 * 16 + 2 + 8, 64)
    assert removal.se_params == 42
