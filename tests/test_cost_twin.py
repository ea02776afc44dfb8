"""The twin: by leaving operators out, and by replacing modules; and what an audit leaves behind."""

from __future__ import annotations

import math
from collections import OrderedDict
from operator import attrgetter

import pytest
import timm
import torch
from conftest import Refuses, sampled
from dialects import DIALECTS, Dialect
from torch import Tensor, nn

import seviz
from seviz.analysis import compare_several
from seviz.cost import audit_network, split, without_se
from seviz.cost.audit import network_cost
from seviz.cost.counting import Counts
from seviz.cost.twin import PassThrough
from seviz.errors import CheckpointError
from seviz.gates import trace, unwrap
from seviz.gates.graph import meta_copy, record
from seviz.networks.architectures.cifar_resnet import CifarResNet
from seviz.networks.architectures.registry import build
from seviz.networks.architectures.se import SqueezeExcite
from seviz.results.subject import Subject
from seviz.tables.cost import stages_table

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

SE_DIALECTS = [d for d in DIALECTS if d.kind == "SE"]


# Modules that do more than SE, or leave a part of it to another module.
MORE_THAN_SE = {"scale-residual", "half-of-the-channels", "shared-sigmoid"}


@pytest.mark.parametrize("dialect", sampled(SE_DIALECTS, 5), ids=attrgetter("name"))
def test_every_dialect_is_counted(dialect: Dialect) -> None:
    """However SE is written: what it needs is counted, and nothing that the network needs besides."""
    model = dialect.build()
    audit = audit_network(model, dialect.input_size)
    work = audit.work
    assert work is not None
    assert audit.totals is not None
    blocks = [b.block for b in audit.blocks]
    elements = sum(b.channels * math.prod(b.spatial) for b in blocks)
    # A mean over one axis and then over the other adds again what the first one left.
    assert elements <= work.squeeze_adds <= 1.1 * elements
    assert work.scale_multiplications == elements
    gates = 2 if dialect.shift else 1
    fc = sum((1 + gates) * b.channels * b.hidden for b in blocks)
    assert work.fc_macs == (fc // 2 if dialect.name == "conv1x1-grouped" else fc)
    assert audit.not_counted == ()
    assert work.scale_bytes >= 8 * elements
    assert audit.twin_macs in {None, audit.macs_without_se}
    if dialect.path == "blocks.{}.se":
        assert (audit.twin_macs is None) == (dialect.name in MORE_THAN_SE)
    owned = {n for b in blocks for n in b.parameters}
    named = dict(unwrap(model).named_parameters(remove_duplicate=False))
    assert audit.se_params == sum(
        p.numel() for p in {id(named[n]): named[n] for n in owned}.values()
    )


@torch.no_grad()
def test_the_twin_is_the_network_without_its_gates() -> None:
    model = build("se_resnet20").eval()
    twin = without_se(model, split(trace(model, (3, 32, 32))))
    plain = CifarResNet(20, reduction=None).eval()
    weights = {k: v for k, v in model.state_dict().items() if ".se." not in k}
    plain.load_state_dict(weights)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(twin(x), plain(x))
    assert not torch.equal(twin(x), model(x))
    assert sum(isinstance(m, PassThrough) for m in twin.modules()) == 9
    shared = {id(p) for p in model.parameters()}
    assert all(id(p) in shared for p in twin.parameters())
    assert sum(p.numel() for p in twin.parameters()) == sum(p.numel() for p in plain.parameters())


def test_the_count_without_se_is_that_of_the_network_that_never_had_it() -> None:
    model, plain = build("se_resnet20"), CifarResNet(20, reduction=None)
    audit = audit_network(model, (3, 32, 32))
    graph = record(meta_copy(plain).eval(), torch.zeros(1, 3, 32, 32, device="meta"))
    counts = Counts(graph, graph.ops)
    assert audit.totals is not None
    assert audit.macs_without_se == counts.macs
    assert audit.params_without_se == sum(p.numel() for p in plain.parameters())
    assert audit.totals.norm_elements == counts.total("norm")
    assert audit.totals.bytes_without_se == counts.bytes_moved


class Inline(nn.Module):
    """SE without a module of its own, that shares its squeeze with the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.w1 = nn.Parameter(torch.rand(4, 16))
        self.w2 = nn.Parameter(torch.rand(16, 4))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        z = x.mean((2, 3))
        gate = torch.sigmoid(torch.relu(z @ self.w1.T) @ self.w2.T)
        y = x * gate[:, :, None, None]
        return self.head(torch.cat([y.mean((2, 3)), z], 1))


def test_what_the_rest_of_the_network_needs_is_not_se(refuses: Refuses) -> None:
    model = Inline()
    audit = audit_network(model, (3, 10, 10))
    assert audit.work is not None
    assert audit.work.squeeze_adds == 0  # the classifier needs this mean
    assert audit.work.fc_macs == 2 * 16 * 4
    assert audit.se_params == 2 * 16 * 4
    assert audit.twin_macs is None
    assert audit.macs_without_se == 64 * 16 * 27 + 32 * 5
    assert any("cannot be run" in note for note in audit.notes)
    with refuses(CheckpointError, "module of its own", "SE_2_1"):
        without_se(model, split(trace(model, (3, 10, 10))))


def test_counts_are_for_the_size_that_was_asked_for() -> None:
    """On 8 x 8 images the last maps are so small that the finder looks at larger ones."""
    model = build("se_resnet14", widths=(8, 8, 16))
    small = audit_network(model, (3, 4, 4))
    large = audit_network(model, (3, 16, 16))
    assert small.totals is not None
    assert large.totals is not None
    assert small.work is not None
    assert large.work is not None
    assert small.work.fc_macs == large.work.fc_macs
    assert 16 * small.work.squeeze_adds == large.work.squeeze_adds
    head = 16 * 10
    fixed = head + small.work.fc_macs
    assert 16 * (small.totals.macs - fixed) == large.totals.macs - fixed


def test_the_network_is_left_as_it_was() -> None:
    model = timm.create_model("legacy_seresnet18", num_classes=7)
    model.train()
    model.layer1.eval()
    calls: list[str] = []
    model.layer2.register_forward_hook(lambda *_: calls.append("hook"))
    before = OrderedDict((k, v.clone()) for k, v in model.state_dict().items())
    flags = [m.training for m in model.modules()]
    names = [n for n, _ in model.named_modules()]
    kinds = [type(m) for m in model.modules()]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    audit_network(model, (3, 64, 64), counted=("macs", "paper", "fvcore"), reductions=(2, 4))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], before[k]) for k in before)
    assert [m.training for m in model.modules()] == flags
    assert [n for n, _ in model.named_modules()] == names
    assert [type(m) for m in model.modules()] == kinds
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert calls == []


def test_a_network_on_the_meta_device_stays_there_whole() -> None:
    with torch.device("meta"):
        model = timm.create_model("legacy_seresnet18")
    kinds = [type(m) for m in model.modules()]
    audit_network(model, (3, 64, 64))
    assert [type(m) for m in model.modules()] == kinds
    assert all(p.is_meta for p in model.parameters())
    assert all(m.training for m in model.modules())


def test_a_shared_module_is_paid_once_and_worked_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3)
            self.se = SqueezeExcite(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.se(torch.relu(self.se(self.conv(x))))

    audit = audit_network(Twice(), (3, 10, 10), reductions=(2,))
    first, second = audit.blocks
    assert audit.se_params == first.params.total == second.params.total
    assert audit.work is not None
    assert audit.work.squeeze_adds == 2 * 16 * 64
    assert audit.twin_macs == audit.macs_without_se
    (row,) = audit.sweep
    assert row.se_params == 2 * 16 * 8
    # In every table, and beside other networks.
    assert [stage.params for stage in audit.stages] == [audit.se_params] == [2 * 16 * 4]
    assert [r["params"] for r in stages_table(audit).records()] == [audit.se_params] * 2
    assert network_cost(Twice(), (3, 10, 10)).gate_params == audit.se_params
    images = torch.rand(4, 3, 10, 10), torch.arange(4) % 2
    seen = seviz.collect(nn.Sequential(Twice(), nn.Flatten(), nn.Linear(1024, 2)), [images])
    compared = compare_several([Subject(name, seen) for name in "abc"])
    assert compared.gate_params(0) == audit.se_params
