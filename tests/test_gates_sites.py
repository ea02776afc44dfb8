"""What each block scales, and what it gives: the same as the network computes, however SE is written."""

from __future__ import annotations

from functools import cache
from typing import Any

import mechanisms
import pytest
import timm
import torch
import torchvision
from conftest import sampled
from dialects import DIALECTS, SETTABLE, Dialect, as_matrix, set_by_hand, true_gates
from mechanisms import FOREIGN, Foreign, noted
from timm.layers import EffectiveSEModule as EffectiveSE
from timm.layers import SqueezeExcite as TimmSE
from timm.models._efficientnet_blocks import SqueezeExcite as EfficientNetSE
from timm.models.ghostnet import SqueezeExcite as GhostSE
from timm.models.senet import SEModule as LegacySE
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation as TorchvisionSE

from seviz.errors import CheckpointError
from seviz.gates import Trace, trace
from seviz.gates.rerun import Rerun
from seviz.gates.sites import Scaling, Sites

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


class Kept:
    """Keeps everything that is seen at the sites of a pass."""

    def __init__(self) -> None:
        self.gates: dict[str, list[Tensor]] = {}
        self.factor: dict[str, list[Tensor]] = {}
        self.before: dict[str, list[Tensor]] = {}
        self.after: dict[str, list[Tensor]] = {}

    def __call__(self, seen: Scaling) -> Any:
        self.gates.setdefault(seen.block, []).append(seen.gates.clone())
        self.factor.setdefault(seen.block, []).append(seen.factor.clone())
        self.before.setdefault(seen.block, []).append(seen.before.clone())
        return lambda product: self.after.setdefault(seen.block, []).append(product.clone())


def passed(model: nn.Module, example: Tensor) -> set[tuple[Any, ...]]:
    """Return a key for every tensor that a module of the network takes or gives, by hooks of our own."""
    found: set[tuple[Any, ...]] = set()

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        for value in (*args, output):
            if isinstance(value, Tensor) and value.dim() > 2:
                found.add(key(value))

    handles = [m.register_forward_hook(hook) for m in model.modules() if not _scripted(m)]
    with torch.no_grad():
        model(example)
    for handle in handles:
        handle.remove()
    return found


def _scripted(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def key(value: Tensor) -> tuple[Any, ...]:
    """Return what tells a map from others, in whatever order its dimensions are."""
    flat = value.double().flatten().sort().values
    return (value.numel(), *(f"{v:.4f}" for v in flat[:: max(1, len(flat) // 50)]))


@cache
def traced_once(dialect: Dialect) -> tuple[nn.Module, Trace]:
    """Return the network and its trace, for all tests: a pass leaves both as they are."""
    model = dialect.build()
    return model, trace(model, dialect.input_size)


@pytest.mark.parametrize("dialect", sampled(DIALECTS, 10), ids=lambda d: d.name)
def test_every_dialect(dialect: Dialect) -> None:
    model, traced = traced_once(dialect)
    example = dialect.example(3, seed=3)
    before = example.clone()
    kept = Kept()
    output = Sites(model, traced.blocks).run(example, kept)
    with torch.no_grad():
        assert torch.equal(output, model(example))
    assert torch.equal(example, before)
    names = [b.name for b in traced.found.blocks]
    truth = dict(zip(names, true_gates(model, example), strict=True))
    for name in names:
        (gates,), (old,), (new,) = kept.gates[name], kept.before[name], kept.after[name]
        torch.testing.assert_close(gates, truth[name], rtol=0, atol=max(dialect.tolerance, 1e-6))
        scale = truth[name].reshape(*gates.shape, *[1] * (old.dim() - 2))
        torch.testing.assert_close(old * scale, new, rtol=1e-6, atol=1e-6)
        assert old.std() > 0.01


# Blocks that are modules, whose input is the map and whose output the scaled map.
WHOLE = [d for d in DIALECTS if d.path == "blocks.{}.se" and d.placement == "standard"]


@pytest.mark.parametrize("dialect", sampled(WHOLE, 12), ids=lambda d: d.name)
def test_the_maps_are_those_that_modules_take_and_give(dialect: Dialect) -> None:
    (model, traced), kept = traced_once(dialect), Kept()
    example = dialect.example(3, seed=3)
    Sites(model, traced.blocks).run(example, kept)
    maps = passed(model, example)
    assert all(key(m) in maps for own in kept.before.values() for m in own)


@pytest.mark.parametrize("foreign", sampled(FOREIGN, 3), ids=lambda f: f.name)
def test_every_mechanism(foreign: Foreign) -> None:
    model, kept = foreign.build(), Kept()
    example = foreign.example(3, seed=3)
    traced = trace(model, (3, 32, 32), foreign.key)
    output = Sites(model, traced.blocks).run(example, kept)
    with torch.no_grad():
        assert torch.equal(output, model(example))
    truth = [as_matrix(gate) if gate.dim() != 2 else gate for gate in noted(model, example)]
    assert len(truth) == len(traced.blocks)
    for expected, block in zip(truth, traced.found.blocks, strict=True):
        gates = torch.cat(kept.gates[block.name], 1)
        torch.testing.assert_close(gates, expected, rtol=1e-5, atol=1e-6)
        for gate, factor, old, new in zip(
            *(own[block.name] for own in (kept.gates, kept.factor, kept.before, kept.after)),
            strict=True,
        ):
            torch.testing.assert_close(old * factor, new, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(factor.flatten(2).mean(2), gate, rtol=1e-5, atol=1e-6)
            if not block.mechanism.per_pixel:
                assert torch.equal(factor.flatten(2)[..., 0], factor.flatten(2)[..., -1])


@pytest.mark.parametrize("dialect", sampled(SETTABLE, 5), ids=lambda d: d.name)
def test_gates_set_by_hand(dialect: Dialect) -> None:
    model, traced = traced_once(dialect)
    example = dialect.example(3, seed=5)
    sites = Sites(model, traced.blocks)
    names = [b.name for b in traced.found.blocks]
    new = {
        n: torch.rand(3, b.channels, dtype=dialect.dtype)
        for n, b in zip(names, traced.found.blocks, strict=True)
    }
    with set_by_hand(dict(enumerate(new.values()))), torch.no_grad():
        expected = model(example)
    torch.testing.assert_close(sites.run(example, gates=new), expected, rtol=1e-4, atol=1e-4)


def test_a_gate_per_channel_is_needed_once_for_all_images() -> None:
    dialect = DIALECTS[0]
    model, traced = traced_once(dialect)
    example = dialect.example(4, seed=6)
    gates = {"SE_2_2": torch.rand(16)}
    rerun = Rerun(model, traced, example)
    rerun.baseline(example)
    found = Sites(model, traced.blocks).run(example, gates=gates)
    torch.testing.assert_close(found, rerun.replaced(gates))


def test_maps_that_are_weighed_apart_are_set_together() -> None:
    (apart,) = (f for f in FOREIGN if f.name == "sk-apart")
    model, example = apart.build(), apart.example(3, seed=1)
    traced = trace(model, (3, 32, 32), "sk")
    assert len(traced.blocks[0].sites) == 2
    kept, sites = Kept(), Sites(model, traced.blocks)
    plain = sites.run(example, kept)
    own = {name: torch.cat(parts, 1) for name, parts in kept.gates.items()}
    torch.testing.assert_close(sites.run(example, gates=own), plain)
    assert not torch.allclose(
        sites.run(example, gates={n: g.flip(0) for n, g in own.items()}), plain
    )


class TakesAnotherWay(nn.Module):
    """Runs its block only for images of a certain size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.shape[-1] < 20:
            y = y * self.fc(y.mean((2, 3)))[:, :, None, None]
        return y.mean((2, 3))


def test_a_block_that_is_not_run_is_an_error() -> None:
    model = TakesAnotherWay().eval()
    sites = Sites(model, trace(model, (3, 16, 16)).blocks)
    with pytest.raises(CheckpointError, match="found no SE_2_1"):
        sites.run(torch.rand(2, 3, 32, 32))


# Networks of the zoos whose SE blocks are modules of these classes; two are looked at each day.
SE_MODULES = (TimmSE, EfficientNetSE, LegacySE, TorchvisionSE, EffectiveSE, GhostSE)
ZOO = (
    "timm:mobilenetv3_small_050",
    "torchvision:mobilenet_v3_small",
    "timm:seresnet50",
    "timm:legacy_seresnet18",
    "timm:efficientnet_b0",
    "timm:regnety_002",
    "timm:semnasnet_075",
    "timm:rexnet_100",
    "timm:ese_vovnet19b_slim",
    "torchvision:efficientnet_b0",
)


def hooked(model: nn.Module, example: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return what each SE module takes and gives, by forward hooks of our own."""
    found: list[tuple[Tensor, Tensor]] = []

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        found.append((args[0].clone(), output.clone()))

    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, SE_MODULES)]
    with torch.no_grad():
        model(example)
    for handle in handles:
        handle.remove()
    return found


def check_network(name: str) -> None:
    zoo, _, of = name.partition(":")
    torch.manual_seed(0)
    model = (
        timm.create_model(of) if zoo == "timm" else getattr(torchvision.models, of)(weights=None)
    )
    model.eval()
    example = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    traced, kept = trace(model, (3, 96, 96), "all"), Kept()
    Sites(model, traced.blocks).run(example, kept)
    truth = hooked(model, example)
    assert len(truth) == len(traced.blocks) > 3
    for (given, got), block in zip(truth, traced.found.blocks, strict=True):
        (old,), (new,), (factor,) = (
            own[block.name] for own in (kept.before, kept.after, kept.factor)
        )
        torch.testing.assert_close(old, given, rtol=0, atol=0)
        torch.testing.assert_close(new, got, rtol=0, atol=0)
        torch.testing.assert_close(old * factor, got, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ZOO[:2])
def test_a_network_of_the_zoos(name: str) -> None:
    check_network(name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_zoos(name: str) -> None:
    check_network(name)


def test_the_mechanisms_are_there() -> None:
    assert len(FOREIGN) == len(mechanisms.FOREIGN) > 20
    assert len(WHOLE) > 30
