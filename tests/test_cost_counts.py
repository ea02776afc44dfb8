"""Counts against numbers by hand, the paper's tables, torch's FlopCounterMode and fvcore."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from conftest import at_night
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import seviz
from seviz.cost import audit_network
from seviz.cost.counting import Counts, not_counted
from seviz.cost.operators import TABLE, stored
from seviz.errors import NoSEBlockError, UsageError
from seviz.gates.graph import Graph, record
from seviz.networks.arch import build_architecture
from seviz.networks.architectures.registry import BUILDERS
from seviz.networks.building import no_random_numbers
from seviz.results.cost import Audit

SIZE = (3, 224, 224)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def on_meta(zoo: str, name: str) -> nn.Module:
    """Build without weights; a network that reads numbers while it is built is moved there."""

    def make() -> nn.Module:
        if zoo == "timm":
            return timm.create_model(name)
        return torchvision.models.get_model(name)

    try:
        with torch.device("meta"):
            return make().eval()
    except Exception:
        return make().eval().to("meta")


def torch_flops(model: nn.Module, size: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *size, device="meta"))
    return counter.get_total_flops()


def recorded(model: nn.Module, *shape: int) -> Graph:
    return record(model.to("meta").eval(), torch.zeros(*shape, device="meta"))


def counted(model: nn.Module, *shape: int) -> Counts:
    graph = recorded(model, *shape)
    return Counts(graph, graph.ops)


class Call(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


# -------------------------------------------------------------------------------------------------
# Operators


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(6, 10, 3, padding=1), (6, 5, 7), 5 * 7 * 10 * 6 * 9),
        (nn.Conv2d(6, 10, 3, stride=2, padding=1, groups=2), (6, 5, 7), 3 * 4 * 10 * 3 * 9),
        (nn.Conv2d(6, 6, (1, 5), groups=6, bias=False), (6, 5, 7), 5 * 3 * 6 * 5),
        (nn.Conv2d(4, 4, 3, dilation=2), (4, 8, 8), 4 * 4 * 4 * 4 * 9),
        (nn.ConvTranspose2d(6, 10, 3, stride=2), (6, 5, 7), 5 * 7 * 6 * 10 * 9),
        (nn.ConvTranspose2d(6, 10, 2, stride=2, groups=2), (6, 5, 7), 5 * 7 * 6 * 5 * 4),
        (nn.Conv1d(6, 10, 3), (6, 9), 7 * 10 * 6 * 3),
        (nn.Conv3d(2, 3, 2), (2, 4, 4, 4), 27 * 3 * 2 * 8),
        (nn.Linear(6, 10), (6,), 60),
        (nn.Linear(6, 10, bias=False), (4, 6), 240),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_macs_of_layers(layer: nn.Module, shape: tuple[int, ...], macs: int, batch: int) -> None:
    assert counted(layer, batch, *shape).macs == macs


@pytest.mark.parametrize("heads", [1, 4])
def test_macs_of_attention(heads: int) -> None:
    # [1, H, 9, 5] with [1, H, 9, 5]: scores 9 x 9 x 5, values 9 x 9 x 5, in each head.
    model = Call(lambda x: F.scaled_dot_product_attention(x, x, x))
    assert counted(model, 1, heads, 9, 5).macs == heads * (9 * 9 * 5 + 9 * 9 * 5)


def test_macs_of_matrix_products() -> None:
    assert counted(Call(lambda x: x @ x.transpose(1, 2)), 2, 5, 7).macs == 5 * 7 * 5
    assert counted(Call(lambda x: torch.einsum("nij,nkj->nik", x, x)), 2, 5, 7).macs == 5 * 7 * 5


def test_what_runs_on_parameters_alone_counts_once() -> None:
    class Prepared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.rand(4, 5)), nn.Parameter(torch.rand(5, 6))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, (self.a @ self.b).T)

    for batch in (1, 2, 4):
        assert counted(Prepared(), batch, 4).macs == 4 * 5 * 6 + 4 * 6


def test_elementwise_reductions_and_pools() -> None:
    def function(x: Tensor) -> Tensor:
        x = F.relu(x) * 2.0  # 96 elementwise, 96 multiplications
        x = F.max_pool2d(x, 2)  # 24 windows of 4
        x = F.avg_pool2d(x, 1)  # 24 windows of 1
        return F.avg_pool2d(x.sigmoid(), 2)  # 24 elementwise, 24 additions, and no windows

    counts = counted(Call(function), 2, 6, 4, 4)
    assert counts.total("elementwise") == 96 + 24
    assert counts.total("multiply") == 96
    assert counts.total("pool") == 24 * 4
    assert counts.pool_elements == 96 + 24
    assert counts.total("add") == 24 + 24


def test_bytes_are_what_is_read_and_written() -> None:
    # relu: 96 read, 96 written; linear: 96 read, 5 written, 96 x 5 weights and 5 biases once.
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    for batch in (1, 2):
        assert counted(model, batch, 6, 4, 4).bytes_moved == 4 * (96 + 96 + 96 + 5 + 480 + 5)


def test_an_unknown_operator_is_named_and_not_taken_for_zero() -> None:
    graph = recorded(Call(lambda x: torch.linalg.qr(torch.special.bessel_j0(x)).R), 2, 4, 4)
    names = [(n.operator, n.count) for n in not_counted(graph.ops)]
    assert ("special_bessel_j0", 1) in names
    assert all(name not in TABLE for name, _ in names)


def test_the_kinds_of_the_table_are_closed() -> None:
    kinds = {rule.kind for rule in TABLE.values()}
    assert kinds == {"mac", "add", "multiply", "elementwise", "norm", "pool", "move", "free"}


def test_expanded_tensors_are_in_memory_once() -> None:
    graph = recorded(Call(lambda x: x[:, :, :1, :1].expand(2, 3, 8, 8) * 2.0), 2, 3, 4, 4)
    taken = next(op for op in graph.ops if op.name == "mul").inputs[0]
    assert (taken.numel, stored(taken)) == (384, 6)


# -------------------------------------------------------------------------------------------------
# The paper


@cache
def paper_audit(name: str) -> Audit:
    return audit_network(on_meta("timm", name), SIZE, counted=("macs", "torch", "paper"))


def test_se_resnet_50_to_the_last_multiplication() -> None:
    audit = paper_audit("legacy_seresnet50")
    assert audit.params == 28_088_024
    assert audit.se_params == 2_530_992
    assert audit.params_without_se == 25_557_032
    assert audit.totals is not None
    assert audit.work is not None
    assert audit.totals.macs == 3_860_488_192
    assert audit.work.fc_macs == 2_514_944
    assert audit.macs_without_se == audit.twin_macs == 3_860_488_192 - 2_514_944
    assert audit.work.squeeze_adds == 5_519_360
    assert audit.work.scale_multiplications == 5_519_360
    assert audit.work.squeeze_bytes == 4 * 5_519_360
    assert audit.work.scale_bytes == 8 * 5_519_360
    assert audit.formula == 2_514_944
    assert {s.stage: s.share for s in audit.stages}[5] == pytest.approx(0.6254, abs=1e-4)
    assert f"{audit.stages[-1].share:.1%}" == "62.5%"
    assert sum(b.params.biases for b in audit.blocks) == 2_530_992 - 2_514_944
    assert sum(b.params.norms for b in audit.blocks) == 0
    assert audit.not_counted == ()
    model = on_meta("timm", "legacy_seresnet50")
    assert torch_flops(model, SIZE) == 2 * audit.totals.macs


@pytest.mark.parametrize(
    ("name", "without", "with_se"),
    [
        ("legacy_seresnet50", "3.86 G", "3.87 G"),
        at_night(("legacy_seresnet101", "7.58 G", "7.60 G")),
        at_night(("legacy_seresnet152", "11.30 G", "11.32 G")),
        ("legacy_seresnext50_32x4d", "4.24 G", "4.25 G"),
        at_night(("legacy_seresnext101_32x4d", "7.99 G", "8.00 G")),
        ("se_bn_inception", "2.03 G", "2.04 G"),
    ],
)
def test_gflops_of_the_papers_table(name: str, without: str, with_se: str) -> None:
    audit = seviz.audit(name) if name in BUILDERS else paper_audit(name)
    convention = audit.convention("paper")
    assert convention is not None
    assert convention.printed == (without, with_se)


def test_torch_is_twice_macs() -> None:
    audit = paper_audit("legacy_seresnet50")
    macs, flops = audit.convention("macs"), audit.convention("torch")
    assert macs is not None
    assert flops is not None
    assert (flops.with_se, flops.without_se) == (2 * macs.with_se, 2 * (macs.without_se or 0))


@pytest.mark.parametrize("name", [at_night("legacy_seresnet18"), "mobilenetv3_small_050"])
def test_fvcore_is_fvcores_own(name: str) -> None:
    model = on_meta("timm", name)
    convention = audit_network(model, SIZE, counted=("fvcore",)).convention("fvcore")
    assert convention is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        real = timm.create_model(name).eval()
        analysis = FlopCountAnalysis(real, torch.rand(1, *SIZE))
        analysis.unsupported_ops_warnings(False)
        assert convention.with_se == analysis.total()
        gone = [n for n, m in real.named_modules() if n.rpartition(".")[2] in {"se", "se_module"}]
        for path in gone:
            parent, _, leaf = path.rpartition(".")
            setattr(real.get_submodule(parent), leaf, nn.Identity())
        analysis = FlopCountAnalysis(real, torch.rand(1, *SIZE))
        analysis.unsupported_ops_warnings(False)
        assert gone
        assert convention.without_se == analysis.total()


def test_fvcore_gives_two_costs_to_one_block_and_we_one() -> None:
    """Why there is an audit: 811,008 or 8,192, by how the squeeze is written."""

    def cost(squeeze: nn.Module) -> tuple[int, int]:
        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.squeeze = squeeze
                self.fc1, self.fc2 = nn.Conv2d(256, 16, 1), nn.Conv2d(16, 256, 1)

            def forward(self, x: Tensor) -> Tensor:
                return x * self.fc2(self.fc1(self.squeeze(x)).relu()).sigmoid()

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.se = Block()

            def forward(self, x: Tensor) -> Tensor:
                return self.se(x)

        audit = audit_network(Network(), (256, 56, 56), counted=("fvcore",))
        assert audit.work is not None
        convention = audit.convention("fvcore")
        assert convention is not None
        return convention.with_se, audit.work.operations

    pooled = cost(nn.AdaptiveAvgPool2d(1))
    mean = cost(Call(lambda x: x.mean((2, 3), keepdim=True)))
    assert (pooled[0], mean[0]) == (811_008, 8_192)
    assert pooled[1] == mean[1] == 256 * 56 * 56 * 2 + 8_192


# -------------------------------------------------------------------------------------------------
# One block in five ways


class Five(nn.Module):
    """A residual network with one SE block of 8 channels and 2 units, on a 6 x 6 map."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.way = way
        self.pool, self.sigmoid = nn.AdaptiveAvgPool2d(1), nn.Sigmoid()
        dense = way in {"linear", "functional"}
        self.fc1 = nn.Linear(8, 2) if dense else nn.Conv2d(8, 2, 1)
        self.fc2 = nn.Linear(2, 8) if dense else nn.Conv2d(2, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.way == "pool":
            return x * self.sigmoid(self.fc2(F.relu(self.fc1(self.pool(x)))))
        if self.way == "mean":
            return x * self.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))
        if self.way == "conv":
            return self.fc2(self.fc1(F.adaptive_avg_pool2d(x, 1)).relu()).sigmoid() * x
        z = x.mean((2, 3)) if self.way == "linear" else self.pool(x).flatten(1)
        gate = self.fc2(F.relu(self.fc1(z)))
        if self.way == "linear":
            return x * self.sigmoid(gate).view(-1, 8, 1, 1)
        return x.mul(torch.sigmoid(gate)[:, :, None, None].expand_as(x))


class Wide(nn.Module):
    """One SE block of 64 channels and 32 units on a 4 x 4 map: its kernels are larger than the map."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 3, padding=1)
        self.way = way
        self.down, self.up = nn.Parameter(torch.rand(32, 64)), nn.Parameter(torch.rand(64, 32))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        down, up = self.down, self.up
        if self.way == "scaled kernels":
            down, up = down * 0.5, up * 0.5
        if self.way == "copied kernels":
            down, up = down.t().contiguous().t(), up.t().contiguous().t()
        z = x.mean((2, 3)) if self.way != "copied map" else x.clone().mean((2, 3))
        gate = F.linear(F.relu(F.linear(z, down)), up).sigmoid()[:, :, None, None]
        if self.way == "written out":
            gate = gate.expand_as(x).contiguous()
        return x * gate


@pytest.mark.parametrize(
    "way", ["plain", "scaled kernels", "copied kernels", "copied map", "written out"]
)
def test_memory_of_a_block_does_not_depend_on_how_it_is_written(way: str) -> None:
    audit = audit_network(Wide(way), (3, 4, 4))
    (block,) = audit.blocks
    assert block.work is not None
    elements = 64 * 4 * 4
    assert (block.work.squeeze_bytes, block.work.scale_bytes) == (4 * elements, 8 * elements)
    assert block.bytes_moved == 12 * elements + 4 * 2 * 64 * 32
    assert audit.totals is not None
    assert audit.totals.bytes_moved - audit.totals.bytes_without_se == block.bytes_moved


@pytest.mark.parametrize("way", ["pool", "mean", "conv", "linear", "functional"])
def test_one_block_has_one_cost(way: str) -> None:
    audit = audit_network(Five(way), (3, 6, 6))
    (block,) = audit.blocks
    assert block.work is not None
    assert (block.params.weights, block.params.biases) == (32, 10)
    assert block.work.squeeze_adds == block.work.scale_multiplications == 8 * 36
    assert block.work.fc_macs == 32
    assert block.work.elementwise == 2 + 8
    assert block.work.squeeze_bytes == 4 * 8 * 36
    assert block.work.scale_bytes == 8 * 8 * 36
    assert audit.totals is not None
    assert audit.totals.macs == 36 * 8 * 27 + 32
    assert audit.totals.chain


# -------------------------------------------------------------------------------------------------
# The zoos

SE_NETWORKS = [
    "timm:seresnet50",
    "timm:seresnet152d",
    "timm:seresnext50_32x4d",
    "timm:legacy_seresnext26_32x4d",
    "timm:legacy_senet154",
    "timm:efficientnet_b0",
    "timm:tf_efficientnet_b3",
    "timm:efficientnetv2_rw_t",
    "timm:mobilenetv3_large_100",
    "timm:tf_mobilenetv3_large_100",
    "timm:regnety_008",
    "timm:ghostnet_100",
    "timm:semnasnet_100",
    "timm:hardcorenas_f",
    "timm:rexnet_100",
    "timm:mixnet_s",
    "timm:nf_seresnet26",
    "timm:dm_nfnet_f0",
    "timm:coatnet_0_rw_224",
    "timm:seresnet33ts",
    "timm:haloregnetz_b",
    "torchvision:efficientnet_b0",
    "torchvision:mobilenet_v3_small",
    "torchvision:regnet_y_400mf",
    "torchvision:maxvit_t",
]


# One of each kind: grouped and depthwise convolutions, standardised weights.
KINDS = {"torchvision:mobilenet_v3_small"}
# Tracing these takes a third of a second and more; smaller ones of their kind are among the others.
LARGE = {
    *("timm:seresnext50_32x4d", "timm:regnety_008", "timm:semnasnet_100", "timm:rexnet_100"),
    *("timm:seresnet33ts", "torchvision:efficientnet_b0", "torchvision:regnet_y_400mf"),
    *("timm:seresnet152d", "timm:legacy_senet154", "timm:dm_nfnet_f0", "torchvision:maxvit_t"),
    *("timm:efficientnetv2_rw_t", "timm:hardcorenas_f", "timm:haloregnetz_b", "timm:mixnet_s"),
    *("timm:efficientnet_b0", "timm:tf_efficientnet_b3", "timm:tf_mobilenetv3_large_100"),
    "timm:coatnet_0_rw_224",
}


def without(names: Iterable[str]) -> list[Any]:
    return [at_night(n) if n in names else n for n in SE_NETWORKS]


@pytest.mark.parametrize("name", without(set(SE_NETWORKS) - KINDS))
def test_fvcores_total_of_zoo_networks(name: str) -> None:
    """Small images where the network takes them: fvcore runs the network."""
    zoo, _, entry = name.partition(":")
    bound = ("coatnet", "maxvit", "halo")
    size = (3, 224, 224) if entry.startswith(bound) else (3, 64, 64)
    with no_random_numbers():
        model = build_architecture(name, {}).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(model, torch.zeros(1, *size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        expected = analysis.total()
    audit = audit_network(on_meta(zoo, entry), size, counted=("fvcore",))
    convention = audit.convention("fvcore")
    assert convention is not None
    assert convention.with_se == expected


@pytest.mark.parametrize("name", without(LARGE))
def test_zoo_networks(name: str) -> None:
    zoo, _, entry = name.partition(":")
    model = on_meta(zoo, entry)
    config = getattr(model, "pretrained_cfg", None) or {}
    size = tuple(config.get("input_size", SIZE))
    audit = audit_network(model, size)
    assert audit.totals is not None
    assert audit.work is not None
    assert 2 * audit.totals.macs == torch_flops(model, size)
    blocks = [b.block for b in audit.blocks]
    elements = sum(b.channels * math.prod(b.spatial) for b in blocks)
    assert audit.work.fc_macs == sum(2 * b.channels * b.hidden for b in blocks)
    assert audit.work.squeeze_adds == audit.work.scale_multiplications == elements
    assert audit.twin_macs == audit.macs_without_se
    assert audit.se_params == sum(b.params for b in blocks)
    kinds = [b.params for b in audit.blocks]
    assert audit.se_params == sum(p.weights + p.biases + p.norms for p in kinds)
    assert [p.weights for p in kinds] == [2 * b.channels * b.hidden for b in blocks]
    assert audit.not_counted == ()


def test_a_network_without_se_is_refused() -> None:
    with pytest.raises(NoSEBlockError):
        audit_network(on_meta("torchvision", "resnet18"), SIZE)


def test_an_unknown_convention_is_refused_before_the_work() -> None:
    with pytest.raises(UsageError, match="expected --convention"):
        audit_network(nn.Identity(), SIZE, counted=("thop",))
