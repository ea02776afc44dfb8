"""Running again with other gates: the same as running everything with the gate set by hand."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from conftest import sampled
from dialects import DIALECTS, SETTABLE, Dialect, set_by_hand
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seviz.errors import CheckpointError
from seviz.gates import Trace, trace
from seviz.gates.rerun import Rerun
from seviz.networks.architectures.registry import build

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


@cache
def traced_once(dialect: Dialect) -> tuple[nn.Module, Trace]:
    """Return the network and its trace, for all tests: a run again leaves both as they are."""
    model = dialect.build()
    return model, trace(model, dialect.input_size)


@pytest.mark.parametrize("dialect", sampled(DIALECTS, 12), ids=lambda d: d.name)
def test_every_dialect(dialect: Dialect) -> None:
    model, traced = traced_once(dialect)
    example = dialect.example(5, seed=3)
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


@pytest.mark.parametrize("dialect", sampled(SETTABLE, 36), ids=lambda d: d.name)
def test_as_if_set_by_hand(dialect: Dialect) -> None:
    model, traced = traced_once(dialect)
    example = dialect.example(4, seed=5)
    rerun = Rerun(model, traced, example)
    _, gates = rerun.baseline(example)
    for number, name in enumerate(rerun.order):
        for gate in (torch.rand(gates[name].shape[1]), gates[name].flip(0)):
            with set_by_hand({number: gate}), torch.no_grad():
                expected = model(example)
            torch.testing.assert_close(rerun.replaced({name: gate}), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dialect", sampled(SETTABLE, 12), ids=lambda d: d.name)
def test_one_more_at_a_time(dialect: Dialect) -> None:
    model, traced = traced_once(dialect)
    example = dialect.example(4, seed=6)
    rerun = Rerun(model, traced, example)
    _, own = rerun.baseline(example)
    new = {name: gate.flip(0) for name, gate in own.items()}
    numbers = dict(zip(rerun.order, itertools.count()))
    for order in (rerun.order, rerun.order[::-1], [*rerun.order[1:], rerun.order[0]]):
        if order == rerun.order:
            rerun.baseline(example)
            outputs = [rerun.further({name: new[name]}) for name in order]
        else:
            outputs = [rerun.begin(example, {order[0]: new[order[0]]})]
            outputs += [rerun.further({name: new[name]}) for name in order[1:]]
        for count, output in enumerate(outputs, 1):
            with set_by_hand({numbers[n]: new[n] for n in order[:count]}), torch.no_grad():
                expected = model(example)
            torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


class Odd(nn.Module):
    """A block whose surroundings are kept in unusual ways; ``force`` replaces its gate."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.force = kind, None
        self.stem, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)
        self.gain = nn.Parameter(torch.rand(16, 1, 1))
        width = 8 if "view" in kind else 16
        self.fc = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "writes into its input":
            x -= 0.5
        gain = self.gain.exp()  # of parameters alone, before the gate, used after it
        y = self.stem(x)
        if self.kind == "a view of what was written in place":
            y = y.relu_()
        part = y[:, :8] if "view" in self.kind else y
        gate = self.fc(part.mean((2, 3)))
        if self.force is not None:
            gate = self.force.expand_as(gate)
        if "view" in self.kind:
            part.mul_(gate[:, :, None, None])  # scales a part of y
        else:
            y = part * gate[:, :, None, None]
        if self.kind == "writes into what was kept":
            y = y + part.add_(1)
        return self.head((y * gain).mean((2, 3)))


@pytest.mark.parametrize(
    "kind",
    [
        "a view",
        "a view of what was written in place",
        "writes into its input",
        "writes into what was kept",
    ],
)
def test_tensors_that_share_memory(kind: str) -> None:
    torch.manual_seed(0)
    model = Odd(kind).eval()
    images = torch.rand(4, 3, 8, 8)
    before = images.clone()
    rerun = Rerun(model, trace(model, (3, 8, 8)), torch.rand(2, 3, 8, 8))
    plain, gates = rerun.baseline(images)
    assert torch.equal(images, before)
    (name,) = rerun.order
    for new in (torch.zeros(gates[name].shape[1]), torch.rand_like(gates[name]), gates[name]):
        model.force = new
        with torch.no_grad():
            expected = model(images.clone())
        model.force = None
        assert torch.allclose(rerun.replaced({name: new}), expected, atol=1e-6)
        assert torch.allclose(rerun.begin(images, {name: new}), expected, atol=1e-6)
        assert torch.equal(rerun.baseline(images)[0], plain)


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
        with _Working() as work:
            rerun.further({name: torch.ones(16 if name.startswith("SE_4") else 8)})
        assert work.convolutions == counts[-1]
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


class Fickle(nn.Module):
    """Goes another way for large batches, or each time."""

    def __init__(self, *, each_time: bool) -> None:
        super().__init__()
        self.body = build("se_resnet14", num_classes=4, widths=(8, 8, 16), reduction=2)
        self.each_time, self.calls = each_time, [0]

    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] += 1
        turns = self.calls[0] % 2 == 0 if self.each_time else len(x) < 4
        return torch.as_tensor(self.body(x.relu() if turns else x))


def test_another_way_for_another_number_of_images() -> None:
    model = Fickle(each_time=False).eval()
    rerun = Rerun(model, trace(model, (3, 16, 16)), torch.rand(2, 3, 16, 16))
    images = torch.randn(5, 3, 16, 16)
    logits, gates = rerun.baseline(images)
    with torch.no_grad():
        assert torch.equal(logits, model(images))
    assert torch.equal(rerun.replaced({"SE_4_2": gates["SE_4_2"]}), logits)


def test_another_way_each_time() -> None:
    model = Fickle(each_time=True).eval()
    rerun = Rerun(model, trace(model, (3, 16, 16)), torch.rand(2, 3, 16, 16))

    def both() -> None:
        rerun.baseline(torch.rand(5, 3, 16, 16))
        rerun.replaced({"SE_2_1": torch.ones(8)})

    with pytest.raises(CheckpointError, match="expected the network to take the same way"):
        both()
