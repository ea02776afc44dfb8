"""Gates of other kinds than SE, written from their papers in the ways people write them.

As in `dialects`, each network is a stem, three residual blocks and a head, and every module hands the gate
that scales its map to `Recording.note`: the truth is known without seviz.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from dialects import (
    CoordinateAttention,
    GlobalResponseNorm,
    Recording,
    as_matrix,
    images,
    net,
    settle,
    varies,
)
from torch import Tensor, nn

# Sizes of the three maps for images of 32 x 32.
SIZES = (32, 32, 16)


@torch.no_grad()
def noted(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the gates that the modules themselves hand out, in forward order, each [N, C].

    Those of several maps are [N, maps, C].
    """
    listening = [m for m in model.modules() if isinstance(m, Recording)]
    seen: list[Tensor] = []
    for module in listening:
        module.record = seen
    try:
        model(x.clone())
    finally:
        for module in listening:
            del module.record
    of_branches = [sum(n > 1 for n in gate.shape[1:]) == 2 for gate in seen]
    return [g.flatten(1) if b else as_matrix(g) for g, b in zip(seen, of_branches, strict=True)]


def eca_kernel(c: int) -> int:
    """The paper's rule with gamma = 2 and b = 1."""
    t = int(abs((math.log2(c) + 1) / 2))
    return t if t % 2 else t + 1


class AuthorsECA(Recording):
    """Transposed, so that the channels are what Conv1d slides over."""

    def __init__(self, c: int) -> None:
        super().__init__()
        k = eca_kernel(c)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, kernel_size=k, padding=(k - 1) // 2, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        y = self.avg_pool(x)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        y = self.note(self.sigmoid(y))
        return x * y.expand_as(x)


class RawECA(Recording):
    """The weight is a parameter, the convolution a function, the scaling in place."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 5))

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv1d(x.flatten(2).mean(-1)[:, None], self.weight, padding=2)
        return x.mul_(self.note(torch.sigmoid(y).transpose(1, 2)[..., None]))


class RowECA(Recording):
    """A Conv2d whose kernel is one row."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.mean((2, 3), keepdim=True).permute(0, 2, 3, 1))
        return x * self.note(F.hardsigmoid(y).permute(0, 3, 1, 2))


class CircularECA(Recording):
    """The first channel is a neighbour of the last."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * self.note(y.view(len(x), -1, 1, 1))


class LastECA(Recording):
    """On maps whose channels come last."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        y = torch.sigmoid(self.conv(x.mean((1, 2)).unsqueeze(1)))
        return (x * self.note(y.unsqueeze(1))).permute(0, 3, 1, 2)


class AuthorsCBAM(Recording):
    """A loop over kinds of pools, a shared MLP of Linear layers, a sum."""

    def __init__(self, c: int, pools: tuple[str, ...] = ("avg", "max")) -> None:
        super().__init__()
        self.pools = pools
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, c)
        )

    def pooled(self, x: Tensor, how: str) -> Tensor:
        size = x.shape[2:]
        if how == "avg":
            return F.avg_pool2d(x, size, stride=size)
        if how == "max":
            return F.max_pool2d(x, size, stride=size)
        if how == "lp":
            return F.lp_pool2d(x, 2, size, stride=size)
        flat = x.flatten(2)
        largest, _ = flat.max(2, keepdim=True)
        return largest + (flat - largest).exp().sum(2, keepdim=True).log()

    def forward(self, x: Tensor) -> Tensor:
        total = None
        for how in self.pools:
            raw = self.mlp(self.pooled(x, how))
            total = raw if total is None else total + raw
        scale = torch.sigmoid(total)[:, :, None, None]
        return x * self.note(scale).expand_as(x)


class GateCBAM(Recording):
    """Returns the gate alone, in a module whose convolutions have no bias."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.avg_pool, self.max_pool = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Sequential(
            nn.Conv2d(c, c // 4, 1, bias=False), nn.ReLU(), nn.Conv2d(c // 4, c, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.note(torch.sigmoid(self.fc(self.avg_pool(x)) + self.fc(self.max_pool(x))))


class CBAM(nn.Module):
    """Both halves: channels, then pixels."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.ca = GateCBAM(c)
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ca(x) * x
        pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        return torch.sigmoid(self.conv(pooled)) * x


class LightCBAM(Recording):
    """The pools are added before the bottleneck."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, c // 4), nn.Linear(c // 4, c)

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((2, 3)) + x.amax((2, 3))
        return x * self.note(torch.sigmoid(self.fc2(F.relu(self.fc1(z)))))[..., None, None]


class VoVNetESE(Recording):
    """One 1x1 convolution and a hard sigmoid that is written out."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.fc(F.adaptive_avg_pool2d(x, 1)) + 3.0) / 6.0
        return x * self.note(y)


class LinearESE(Recording):
    """One Linear layer."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc = nn.Linear(c, c)

    def forward(self, x: Tensor) -> Tensor:
        y = self.note(torch.sigmoid(self.fc(x.mean((-2, -1)))))
        return torch.einsum("nchw,nc->nchw", x, y)


class ThetaMinus(Recording):
    """Gather-excite without parameters."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.gather, self.excite = nn.AdaptiveAvgPool2d(1), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(self.gather(x))
        return x * self.note(F.interpolate(gate, x.shape[2:]))


class ThetaPlus(Recording):
    """One depthwise convolution as large as the map, and a norm."""

    def __init__(self, c: int, size: int) -> None:
        super().__init__()
        self.gather = nn.Conv2d(c, c, size, groups=c, bias=False)
        self.norm = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.note(torch.sigmoid(self.norm(self.gather(x))))


class ThetaPlusSteps(Recording):
    """Depthwise convolutions with stride 2, then one over what is left."""

    def __init__(self, c: int, size: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        while size > 8:
            steps += [nn.Conv2d(c, c, 3, 2, 1, groups=c, bias=False), nn.BatchNorm2d(c), nn.ReLU()]
            size //= 2
        self.gather = nn.Sequential(*steps, nn.Conv2d(c, c, size, groups=c), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.note(torch.sigmoid(self.gather(x)))


class GCMul(Recording):
    """GCNet with channel_mul: attention pooling by a matrix product."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv_mask = nn.Conv2d(c, 1, 1)
        self.channel_mul_conv = nn.Sequential(
            nn.Conv2d(c, c // 4, 1),
            nn.LayerNorm([c // 4, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(c // 4, c, 1),
        )

    def context(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        mask = self.conv_mask(x).view(n, 1, h * w).softmax(2).unsqueeze(-1)
        return torch.matmul(x.view(n, c, h * w).unsqueeze(1), mask).view(n, c, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.note(torch.sigmoid(self.channel_mul_conv(self.context(x))))


class GCSum(GCMul):
    """The same, the pooling being a weighted sum."""

    def context(self, x: Tensor) -> Tensor:
        mask = self.conv_mask(x).flatten(2).softmax(2)
        return (x.flatten(2) * mask).sum(2)[..., None, None]


class GCAdd(GCMul):
    """Added, not multiplied: no gate."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.channel_mul_conv(self.context(x))


class SKStacked(Recording):
    """Branches joined along a new dimension, one Linear layer for each."""

    def __init__(self, c: int, branches: int = 2) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, padding=1 + i, dilation=1 + i), nn.ReLU())
            for i in range(branches)
        )
        self.fc = nn.Linear(c, c // 4)
        self.fcs = nn.ModuleList(nn.Linear(c // 4, c) for _ in range(branches))

    def forward(self, x: Tensor) -> Tensor:
        feas = torch.cat([conv(x).unsqueeze(1) for conv in self.convs], dim=1)
        z = F.relu(self.fc(feas.sum(1).mean(-1).mean(-1)))
        vectors = torch.cat([fc(z).unsqueeze(1) for fc in self.fcs], dim=1).softmax(1)
        return (feas * self.note(vectors)[..., None, None]).sum(1)


class SKApart(Recording):
    """Each branch multiplied on its own, as the paper's equation has it."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 5, padding=2)
        self.reduce = nn.Sequential(
            nn.Conv2d(c, c // 4, 1, bias=False), nn.BatchNorm2d(c // 4), nn.ReLU()
        )
        self.a, self.b = nn.Conv2d(c // 4, c, 1), nn.Conv2d(c // 4, c, 1)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        near, far = self.near(x), self.far(x)
        z = self.reduce((near + far).mean((2, 3), keepdim=True))
        weights = self.note(self.softmax(torch.stack([self.a(z), self.b(z)], dim=1)))
        return near * weights[:, 0] + far * weights[:, 1]


class Splat(Recording):
    """ResNeSt's own: parts of one convolution, a softmax over the radix, a sum of a list."""

    def __init__(self, c: int, radix: int = 2, groups: int = 1) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups
        self.convs = nn.Conv2d(c, c * radix, 3, padding=1, groups=groups * radix)
        self.fc1 = nn.Conv2d(c, c // 2, 1, groups=groups)
        self.fc2 = nn.Conv2d(c // 2, c * radix, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        splits = torch.split(F.relu(self.convs(x)), c, dim=1)
        gap = F.adaptive_avg_pool2d(sum(splits), 1)  # type: ignore[arg-type]
        atten = self.fc2(F.relu(self.fc1(gap)))
        atten = atten.view(n, self.groups, self.radix, -1).transpose(1, 2).softmax(1)
        parts = torch.split(self.note(atten.reshape(n, -1)).view(n, -1, 1, 1), c, dim=1)
        return sum(att * split for att, split in zip(parts, splits, strict=True))  # type: ignore[return-value]


class AuthorsSRM(Recording):
    """Mean and standard deviation, weighed by two numbers for each channel."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.cfc = nn.Parameter(torch.zeros(c, 2))
        self.bn = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        flat = x.view(n, c, -1)
        style = torch.cat([flat.mean(2, keepdim=True), flat.std(2, keepdim=True)], dim=2)
        z = (style * self.cfc[None]).sum(2)[:, :, None, None]
        return x * self.note(torch.sigmoid(self.bn(z)))


class GroupedSRM(Recording):
    """The same as a grouped Conv1d, the spread written out."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.cfc = nn.Conv1d(c, c, 2, bias=False, groups=c)
        self.bn = nn.BatchNorm1d(c)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        std = ((x - mean).pow(2).mean((2, 3), keepdim=True) + 1e-5).sqrt()
        style = torch.cat([mean, std], dim=-1).squeeze(2)
        return x * self.note(torch.sigmoid(self.bn(self.cfc(style))).unsqueeze(-1))


class FCA(Recording):
    """A cosine for each part of the channels in place of the mean, on the map or on a smaller one."""

    def __init__(self, c: int, size: int, pooled: int = 0) -> None:
        super().__init__()
        self.pooled = pooled
        size = pooled or size
        place = (torch.arange(size) + 0.5) * math.pi / size
        waves = torch.stack([torch.cos(place * u) for u in range(2)])
        basis = torch.einsum("uh,vw->uvhw", waves, waves).flatten(0, 1)
        self.register_buffer("weight", basis.repeat_interleave(c // 4, 0) / size)
        self.fc = nn.Sequential(
            nn.Linear(c, c // 4, bias=False),
            nn.ReLU(),
            nn.Linear(c // 4, c, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.adaptive_avg_pool2d(x, self.pooled) if self.pooled else x
        y = torch.sum(y * self.weight, dim=[2, 3])
        return x * self.note(self.fc(y))[..., None, None].expand_as(x)


class GCT(Recording):
    """Norms of the channels, normalised over the channels, and a tanh around 1."""

    def __init__(self, c: int, mode: str = "l2") -> None:
        super().__init__()
        self.mode = mode
        self.alpha = nn.Parameter(torch.ones(1, c, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "l2":
            embedding = (x.pow(2).sum((2, 3), keepdim=True) + 1e-5).pow(0.5) * self.alpha
            norm = self.gamma / (embedding.pow(2).mean(1, keepdim=True) + 1e-5).pow(0.5)
        else:
            embedding = x.abs().sum((2, 3), keepdim=True) * self.alpha
            norm = self.gamma / (embedding.abs().mean(1, keepdim=True) + 1e-5)
        return x * self.note(1.0 + torch.tanh(embedding * norm + self.beta))


class BAM(Recording):
    """Channel half and spatial half, expanded, joined, a sigmoid, and one more."""

    def __init__(self, c: int, joined: Callable[[Tensor, Tensor], Tensor] = torch.add) -> None:
        super().__init__()
        self.joined = joined
        self.channel = nn.Sequential(
            nn.Flatten(),
            nn.Linear(c, c // 4),
            nn.BatchNorm1d(c // 4),
            nn.ReLU(),
            nn.Linear(c // 4, c),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(c, c // 4, 1),
            nn.BatchNorm2d(c // 4),
            nn.ReLU(),
            nn.Conv2d(c // 4, c // 4, 3, padding=4, dilation=4),
            nn.ReLU(),
            nn.Conv2d(c // 4, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, x.shape[2:])
        channel = self.channel(pooled)[:, :, None, None].expand_as(x)
        gate = 1 + torch.sigmoid(self.joined(channel, self.spatial(x).expand_as(x)))
        self.note(gate.mean((2, 3)))
        return gate * x


# -------------------------------------------------------------------------------------------------
# What is no gate per channel, or none that has been described


class TwoMLPs(Recording):
    """A bottleneck for the mean and another for the maximum: not CBAM, whose bottleneck is shared."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, c))
        self.two = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, c))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.one(x.mean((2, 3))) + self.two(x.amax((2, 3))))
        return x * gate[..., None, None]


class PoolsSideBySide(Recording):
    """Mean and maximum as 2 C numbers of one bottleneck."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(2 * c, c // 4), nn.ReLU(), nn.Linear(c // 4, c))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return x * torch.sigmoid(self.fc(z))[..., None, None]


class LinearContext(Recording):
    """LCT: groups of channels normalised, then a weight and an offset for each channel."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(c))
        self.b = nn.Parameter(torch.zeros(c))

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((2, 3)).view(len(x), 4, -1)
        z = (z - z.mean(2, keepdim=True)) / (z.std(2, keepdim=True) + 1e-5)
        return x * torch.sigmoid(z.flatten(1) * self.w + self.b)[..., None, None]


class UnboundedECA(Recording):
    """No gate function."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1)[..., None, None]


class CrossECA(Recording):
    """The gate of one map on another."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.other = nn.Conv2d(c, c, 1)
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.conv(self.other(x).mean((2, 3)).unsqueeze(1)))
        return x * y.squeeze(1)[..., None, None]


class GroupedSoftmax(Recording):
    """A softmax over groups of the channels of one map, which are not added."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, c // 4), nn.Linear(c // 4, c)

    def forward(self, x: Tensor) -> Tensor:
        z = self.fc2(F.relu(self.fc1(x.mean((2, 3)))))
        return x * z.view(len(x), 4, -1).softmax(1).flatten(1)[..., None, None]


# -------------------------------------------------------------------------------------------------
# The table


@dataclass(frozen=True)
class Foreign:
    """A network with gates of one kind.

    Attributes:
        name: Readable id.
        key: The kind; empty where nothing can be read.
        make: Builds the network.
        facts: What the last block knows beside what all blocks do.
        squeeze: What the map is reduced by.
        gate: Gate function.
        weights: Numbers in the last block's weights, biases and norms left out: counted by hand.
        named: Where nothing can be read: a word of what it is called; empty where nothing may be said.
        convolutions: Beginnings of the names of what the module holds beside the gate.
    """

    name: str
    key: str
    make: Callable[[], nn.Module]
    facts: dict[str, float] = field(default_factory=dict)
    squeeze: str = "mean"
    gate: str = "sigmoid"
    weights: int | None = None
    named: str = ""
    convolutions: tuple[str, ...] = ("convs", "near", "far")

    def build(self) -> nn.Module:
        """Return the network in eval mode, with the first weights that leave no gate constant."""
        model = self.make()
        for seed in range(50):
            settle(model, seed)
            x = self.example(3, seed=1)
            if not self.key or all(varies(gate) for gate in noted(model, x)):
                return model
        raise AssertionError(f"no weights found with which the gates of {self.name} vary")

    def example(self, batch: int, seed: int) -> Tensor:
        """Return images for it."""
        return images((3, 32, 32), batch, seed)


def each(make: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """A network with one module on each branch."""
    return partial(net, partial(make, **options))


def sized(make: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """The same for modules that know the size of their map."""

    def build() -> nn.Module:
        sizes = iter(SIZES)
        return net(lambda c: make(c, next(sizes), **options))

    return build


BOTTLENECK = {"hidden": 6, "reduction": 4}
FOREIGN = (
    Foreign("eca-authors", "eca", each(AuthorsECA), {"kernel": 3}, weights=3),
    Foreign("eca-raw-parameter", "eca", each(RawECA), {"kernel": 5}, weights=5),
    Foreign("eca-one-row", "eca", each(RowECA), {"kernel": 3}, gate="hardsigmoid", weights=3),
    Foreign("eca-circular", "eca", each(CircularECA), {"kernel": 3}, weights=3),
    Foreign("eca-channels-last", "eca", each(LastECA), {"kernel": 3}, weights=3),
    Foreign("cbam-authors", "cbam", each(AuthorsCBAM), BOTTLENECK, "mean + max", weights=288),
    Foreign(
        "cbam-four-pools",
        "cbam",
        each(AuthorsCBAM, pools=("avg", "max", "lp", "lse")),
        BOTTLENECK,
        "mean + max",
        weights=288,
    ),
    Foreign("cbam-gate-only", "cbam", each(CBAM), BOTTLENECK, "mean + max", weights=288),
    Foreign("cbam-light", "cbam", each(LightCBAM), BOTTLENECK, "mean + max", weights=288),
    Foreign("ese-vovnet", "ese", each(VoVNetESE), gate="hardsigmoid", weights=576),
    Foreign("ese-linear", "ese", each(LinearESE), weights=576),
    Foreign("ge-theta-minus", "ge", each(ThetaMinus), weights=0),
    Foreign("ge-theta-plus", "ge", sized(ThetaPlus), squeeze="convolution", weights=24 * 256),
    Foreign("ge-theta-plus-steps", "ge", sized(ThetaPlusSteps), squeeze="convolution"),
    Foreign("gc-mul", "gc", each(GCMul), BOTTLENECK, "attention pooling", weights=288 + 24),
    Foreign(
        "gc-weighted-sum", "gc", each(GCSum), BOTTLENECK, "attention pooling", weights=288 + 24
    ),
    Foreign(
        "sk-stacked",
        "sk",
        each(SKStacked),
        {"hidden": 6, "branches": 2, "reduction": 4},
        gate="softmax",
        weights=3 * 24 * 6,
    ),
    Foreign(
        "sk-three",
        "sk",
        each(SKStacked, branches=3),
        {"hidden": 6, "branches": 3, "reduction": 4},
        gate="softmax",
        weights=4 * 24 * 6,
    ),
    Foreign(
        "sk-apart",
        "sk",
        each(SKApart),
        {"hidden": 6, "branches": 2, "reduction": 4},
        gate="softmax",
        weights=3 * 24 * 6,
    ),
    Foreign(
        "split-list",
        "split",
        each(Splat),
        {"hidden": 12, "branches": 2, "reduction": 2},
        gate="softmax",
    ),
    Foreign(
        "split-radix-4-groups-2",
        "split",
        each(Splat, radix=4, groups=2),
        {"hidden": 12, "branches": 4, "reduction": 2},
        gate="softmax",
    ),
    Foreign("srm-authors", "srm", each(AuthorsSRM), squeeze="mean + std", weights=48),
    Foreign("srm-grouped", "srm", each(GroupedSRM), squeeze="mean + std", weights=48),
    Foreign("fca", "fca", sized(FCA), BOTTLENECK, "weighted sum", weights=288),
    Foreign("fca-pooled", "fca", sized(FCA, pooled=8), BOTTLENECK, "weighted sum", weights=288),
    Foreign("gct-l2", "gct", each(GCT), squeeze="norm", gate="1+tanh", weights=72),
    Foreign("gct-l1", "gct", each(GCT, mode="l1"), squeeze="norm", gate="1+tanh", weights=72),
    Foreign("bam-sum", "bam", each(BAM), BOTTLENECK, gate="function with range 1 to 2"),
    Foreign(
        "bam-product",
        "bam",
        each(BAM, joined=torch.mul),
        BOTTLENECK,
        gate="function with range 1 to 2",
    ),
)
UNREAD = (
    Foreign("two-mlps", "", each(TwoMLPs), named="several squeezes"),
    Foreign("pools-side-by-side", "", each(PoolsSideBySide), named="several squeezes"),
    Foreign("linear-context", "", each(LinearContext), named="per channel"),
    Foreign("eca-unbounded", "", each(UnboundedECA), named="ECA"),
    Foreign("eca-cross", "", each(CrossECA), named="ECA"),
    Foreign("grouped-softmax", "", each(GroupedSoftmax), named="softmax"),
    Foreign("gc-add", "", each(GCAdd)),
    Foreign("coordinate-attention", "", each(CoordinateAttention), named=""),
    Foreign("grn", "", each(GlobalResponseNorm), named="GRN"),
)
