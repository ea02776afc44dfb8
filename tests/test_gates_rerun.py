"""Running again with other gates: the same as running everything with the gate set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from dialects import DIALECTS, Dialect, Recording
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seviz.errors import CheckpointError
from seviz.gates import trace
from seviz.gates.rerun import Rerun
from seviz.models.registry import build

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


@contextmanager
def set_by_hand(gates: dict[int, Tensor]) -> Iterator[None]:
    """Let the networks of the zoo apply another gate; the n-th of a pass by its number."""
    seen = 0

    def note(module: Recording, gate: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        if seen - 1 not in gates:
            return gate
        new = gates[seen - 1].to(gate.dtype).expand(len(gate), -1)
        # [N, C], [N, C, 1, 1], [N, 1, 1, C], [N, 1, C], or [N, C, ...] expanded over the map.
        if sum(n > 1 for n in gate.shape[1:]) <= 1:
            return new.reshape(gate.shape)
        return new.reshape(*new.shape, *[1] * (gate.dim() - 2)).expand_as(gate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "note", note)
        yield


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_every_dialect(dialect: Dialect) -> None:
    model = dialect.build()
    example = dialect.example(5, seed=3)
    traced = trace(model, dialect.input_size)
    rerun = Rerun(model, traced, example)
    with torch.no_grad():
        plain = model(example)
    output, gates = rerun.baseline(example)
    assert torch.equal(output, plain)
    assert rerun.order == [b.name for b in traced.found.blocks]
    for name in rerun.order:
        # Its own gate in its place: nothing has changed.
        torch.testing.assert_close(rerun.replaced({name: gates[name]}), plain, rtol=1e-5, atol=1e-5)
    assert torch.equal(rerun.baseline(example)[0], plain)


# What TorchScript compiled does not look at the patched method.
SETTABLE = [d for d in DIALECTS if d.name != "torchscript-whole"]


@pytest.mark.parametrize("dialect", SETTABLE, ids=lambda d: d.name)
def test_as_if_set_by_hand(dialect: Dialect) -> None:
    model = dialect.build()
    example = dialect.example(4, seed=5)
    rerun = Rerun(model, trace(model, dialect.input_size), example)
    _, gates = rerun.baseline(example)
    for number, name in enumerate(rerun.order):
        for gate in (torch.rand(gates[name].shape[1]), gates[name].flip(0)):
            with set_by_hand({number: gate}), torch.no_grad():
                expected = model(example)
            torch.testing.assert_close(rerun.replaced({name: gate}), expected, rtol=1e-4, atol=1e-4)


class _Working(TorchDispatchMode):
    """Counts the convolutions that really run; entered last, it sees only what others let through."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.convolutions += "convolution" in func._schema.name
        return func(*args, **(kwargs or {}))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build("se_resnet14", num_classes=4, widths=(8, 8, 16), reduction=2).eval()


def test_only_what_comes_after_is_computed(network: nn.Module) -> None:
    images = torch.rand(3, 3, 16, 16)
    rerun = Rerun(network, trace(network, (3, 16, 16)), images)
    rerun.baseline(images)
    counts = []
    for name in rerun.order:
        with _Working() as work:
            rerun.replaced({name: torch.ones(16 if name.startswith("SE_4") else 8)})
        counts.append(work.convolutions)
    # Two convolutions in each of the blocks that follow; the third and the fifth project their shortcut as
    # well, after their own gate.
    assert counts == [2 * 5 + 2, 2 * 4 + 2, 2 * 3 + 2, 2 * 2 + 1, 2 + 1, 0]


def test_several_gates_and_other_batches(network: nn.Module) -> None:
    rerun = Rerun(network, trace(network, (3, 16, 16)), torch.rand(2, 3, 16, 16))
    for n in (5, 1, 2):
        images = torch.rand(n, 3, 16, 16)
        rerun.baseline(images)
        ones = {name: torch.ones(16 if "SE_4" in name else 8) for name in rerun.order}
        twin = build("resnet14", num_classes=4, widths=(8, 8, 16)).eval()
        twin.load_state_dict({k: v for k, v in network.state_dict().items() if ".se." not in k})
        with torch.no_grad():
            expected = twin(images)
        # A network whose gates are all 1 is the network without SE.
        torch.testing.assert_close(rerun.replaced(ones), expected, rtol=1e-5, atol=1e-6)


def test_the_network_is_as_before(network: nn.Module) -> None:
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.train()
    images = torch.rand(3, 3, 16, 16)
    rerun = Rerun(network, trace(network, (3, 16, 16)), images)
    rerun.baseline(images)
    rerun.replaced({"SE_2_1": torch.zeros(8)})
    assert all(m.training for m in network.modules())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_baseline_comes_first(network: nn.Module) -> None:
    rerun = Rerun(network, trace(network, (3, 16, 16)), torch.rand(2, 3, 16, 16))
    with pytest.raises(ValueError, match="baseline"):
        rerun.replaced({"SE_2_1": torch.ones(8)})


def test_another_way_through_the_network() -> None:
    class Fickle(nn.Module):
        """Leaves a layer out for large batches."""

        def __init__(self) -> None:
            super().__init__()
            self.body = build("se_resnet14", num_classes=4, widths=(8, 8, 16), reduction=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.relu() if len(x) < 4 else x)

    model = Fickle().eval()
    rerun = Rerun(model, trace(model, (3, 16, 16)), torch.rand(2, 3, 16, 16))
    with pytest.raises(CheckpointError, match="expected the network to take the same way"):
        rerun.baseline(torch.rand(5, 3, 16, 16))
