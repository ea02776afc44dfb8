"""Networks of sound, heart beats and volumes: gates, costs, ablation and folding against own hooks.

ECAPA-TDNN (Desplanques et al. 2020, arXiv:2005.07143): SE behind Res2Net's groups, on [N, C, T]. A bottleneck
of three dimensions as in SENet's paper (arXiv:1709.01507). Heart beats with SE on [N, leads, T].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import seviz

CLASSES = 3


class Gate(nn.Module):
    """An excitation, which tests hold at numbers of their own."""

    held: Tensor | None = None

    def __init__(self, channels: int, hidden: int, *, convolutions: int = 0) -> None:
        super().__init__()
        layer = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)[convolutions]
        more = (1,) if convolutions else ()
        self.fc1, self.fc2 = layer(channels, hidden, *more), layer(hidden, channels, *more)

    def forward(self, squeezed: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(squeezed))))
        if self.held is not None:
            gate = self.held.reshape(1, -1, *[1] * (gate.dim() - 2)).expand_as(gate)
        return gate


class SpeakerBlock(nn.Module):
    """Res2Net's groups between two convolutions of width one, SE, and the input added."""

    def __init__(self, channels: int, dilation: int, groups: int = 4) -> None:
        super().__init__()
        part = channels // groups
        self.first, self.last = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels, 1)
        self.norm1, self.norm2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)
        self.parts = nn.ModuleList(
            nn.Conv1d(part, part, 3, padding=dilation, dilation=dilation) for _ in range(groups - 1)
        )
        self.se = Gate(channels, 4, convolutions=1)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.norm1(F.relu(self.first(x))).chunk(len(self.parts) + 1, 1)
        made = [whole[0]]
        for conv, part in zip(self.parts, whole[1:], strict=True):
            made.append(F.relu(conv(part + made[-1] if len(made) > 1 else part)))
        y = self.norm2(F.relu(self.last(torch.cat(made, 1))))
        return x + y * self.se(y.mean(2, keepdim=True))


class Speaker(nn.Module):
    """Two blocks, put together, and statistics over time that attention weighs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(10, 16, 5, padding=2)
        self.layer1, self.layer2 = SpeakerBlock(16, 2), SpeakerBlock(16, 3)
        self.attention = nn.Sequential(nn.Conv1d(32, 8, 1), nn.Tanh(), nn.Conv1d(8, 32, 1))
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        one = self.layer1(F.relu(self.stem(x)))
        y = torch.cat([one, self.layer2(one)], 1)
        share = self.attention(y).softmax(2)
        mean = (y * share).sum(2)
        spread = ((y * y * share).sum(2) - mean * mean).clamp(min=1e-6).sqrt()
        return torch.as_tensor(self.head(torch.cat([mean, spread], 1)))


class Bottleneck(nn.Module):
    """Three convolutions, SE, a shortcut, in three dimensions."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        made = 2 * width
        self.convs = nn.Sequential(
            *(nn.Conv3d(channels, width, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()),
            *(nn.Conv3d(width, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()),
            *(nn.Conv3d(width, made, 1, bias=False), nn.BatchNorm3d(made)),
        )
        self.se = Gate(made, made // 4)
        self.project = nn.Conv3d(channels, made, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs(x)
        gate = self.se(F.adaptive_avg_pool3d(y, 1).flatten(1))
        return F.relu(y * gate.view(*gate.shape, 1, 1, 1) + self.project(x))


class Volume(nn.Module):
    """Two stages of bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 8, 3, 2, 1)
        self.layers = nn.Sequential(Bottleneck(8, 8, 1), Bottleneck(16, 8, 2))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.layers(F.relu(self.stem(x))).mean((2, 3, 4))))


class HeartBeats(nn.Module):
    """Twelve leads, convolutions over time, SE on two lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(12, 16, 7, 2, 3), nn.Conv1d(16, 24, 5, 2, 2)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(16), nn.BatchNorm1d(24)])
        self.gates = nn.ModuleList([Gate(16, 4), Gate(24, 6)])
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, gate in zip(self.convs, self.norms, self.gates, strict=True):
            y = F.relu(norm(conv(x)))
            x = torch.einsum("nct,nc->nct", y, gate(y.mean(-1)))
        return torch.as_tensor(self.head(x.amax(-1)))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "speaker": (Speaker, (10, 40)),
    "volume": (Volume, (1, 10, 12, 14)),
    "heart beats": (HeartBeats, (12, 100)),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Tensor]:
    make, size = NETWORKS[request.param]
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.2)
            elif name.endswith("fc2.weight"):
                tensor.normal_(0, 1)
    return net, torch.randn(18, *size), torch.arange(18) % CLASSES


def excitations(net: nn.Module) -> list[Gate]:
    return [m for m in net.modules() if isinstance(m, Gate)]


def own_gates(net: nn.Module, x: Tensor) -> list[np.ndarray]:
    """Return what hooks see, as float64 [N, C]."""
    seen: list[np.ndarray] = []
    handles = [
        m.register_forward_hook(lambda m, i, o: seen.append(o.flatten(1).double().numpy()))
        for m in excitations(net)
    ]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return seen


def test_gates_and_costs(case: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, x, y = case
    record = seviz.collect(net, [(x, y)], seviz.PassOptions(fast=False))
    own = own_gates(net, x)
    assert len(record.blocks) == len(own)
    for block, gates in zip(record.blocks, own, strict=True):
        stats = record.stats(block.name)
        for row in range(CLASSES):
            np.testing.assert_array_equal(stats.sum[row], gates[(y == row).numpy()].sum(0))
    audit = seviz.audit(net, [x])
    with FlopCounterMode(display=False) as counter:
        net(x[:1])
    assert 2 * audit.totals.macs == counter.get_total_flops()
    by_hand = sum(p.numel() for gate in excitations(net) for p in gate.parameters())
    assert sum(b.params for b in record.blocks) == by_hand


def test_ablation_and_folding(case: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, x, y = case
    means = [torch.from_numpy(g.mean(0)).float() for g in own_gates(net, x)]
    with torch.no_grad():
        before = net(x).argmax(1) == y
    result = seviz.ablate(net, [(x, y)], gates="mean")
    assert result.right == int(before.sum())
    for gate, mean, single in zip(excitations(net), means, result.single, strict=True):
        gate.held = mean
        with torch.no_grad():
            after = net(x).argmax(1) == y
        gate.held = None
        assert (single.lost, single.won) == (
            int((before & ~after).sum()),
            int((after & ~before).sum()),
        )
    folded = seviz.fold(net, ["all"], [(x, y)])
    for gate, mean in zip(excitations(net), means, strict=True):
        gate.held = mean
    with torch.no_grad():
        torch.testing.assert_close(folded.loaded.model.eval()(x), net(x), rtol=1e-4, atol=1e-5)
