"""A network as a program of fused operators: the network's own numbers, or it is no program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from dialects import images, settle
from torch import Tensor, nn
from torch.nn import functional as F

from seviz.collect.fast import Answer, Choice, Chosen, Eager, Speed
from seviz.collect.fast.choice import CHANGES
from seviz.collect.fast.copies import changed_copy
from seviz.collect.fast.norms import folds
from seviz.collect.fast.program import NotAProgramError, Program, can_fuse
from seviz.collect.fast.program.fusing import fuse
from seviz.collect.fast.program.nodes import nodes
from seviz.gates import trace

CPU = torch.device("cpu")
SIZE = (3, 16, 16)

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this PyTorch has no fused operators")


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, gate: nn.Module, *, linear: bool = False) -> None:
        super().__init__()
        layer: Any = nn.Linear if linear else (lambda a, b: nn.Conv2d(a, b, 1))
        self.fc1, self.fc2, self.gate = layer(channels, 4), layer(4, channels), gate
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((2, 3), keepdim=not self.linear)
        s: Tensor = self.gate(self.fc2(F.relu(self.fc1(z))))
        return x * (s[:, :, None, None] if self.linear else s)


class Net(nn.Module):
    """A stem, a body that is given, squeeze and excitation in it, and a head."""

    def __init__(self, body: nn.Module, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body, self.head = body, nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(self.stem(x)).mean((2, 3)))
        return y


class Residual(nn.Module):
    """A residual block as ResNet has it, with the gate on its branch, or without."""

    def __init__(self, *, gated: bool, late: bool = False, inplace: bool = True) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 1)
        self.norm = nn.BatchNorm2d(16)
        self.gate = Gate(16, nn.Sigmoid())
        self.gated, self.inplace = gated, inplace
        self.shortcut = nn.Conv2d(16, 16, 1) if late else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.two(F.relu(self.one(x))))
        out = self.gate(out) if self.gated else out
        residual = self.shortcut(x)  # after the branch
        if self.inplace:
            out += residual
            out = F.relu(out, inplace=True)
        else:
            out = F.relu(residual + out)
        return out if self.gated else self.gate(out)


class Linear(nn.Module):
    """Residuals of which nothing is cut off: one added to a convolution, one to what is gated."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(16, 16, 1), Gate(16, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        one = x + self.conv(x)
        return one + self.gate(one)


class Later(nn.Module):
    """A map that is needed again after its activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(16, 16, 1), Gate(16, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        one = self.conv(x)
        two = F.relu(one)
        y: Tensor = self.gate(torch.cat([two, one], 1)[:, ::2])
        return y


class Inverted(nn.Module):
    """As in MobileNetV3 and EfficientNet: wider, depthwise, gated, narrower; grouped at the end."""

    def __init__(self, act: Callable[[], nn.Module], gate: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(16, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            act(),
            nn.Conv2d(32, 32, 5, 2, 2, groups=32, bias=False),
            nn.BatchNorm2d(32),
            act(),
            Gate(32, gate),
            nn.Conv2d(32, 16, 1),
            nn.Conv2d(16, 16, 3, 1, 2, dilation=2, groups=4),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Written(nn.Module):
    """The map of a convolution is written into before its result is added to."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(16, 16, 1), Gate(16, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        out = self.conv(x)
        x.mul_(3)
        y: Tensor = self.gate(F.relu(out + x))
        return y


class Twice(nn.Module):
    """One convolution, called twice, whose result is used twice; channels are shuffled, and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(16, 16, 1), Gate(16, nn.Sigmoid(), linear=True)

    def forward(self, x: Tensor) -> Tensor:
        one = self.conv(F.relu(self.conv(x)))
        n, c, h, w = one.shape
        mixed = one.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)
        joined = torch.cat([F.relu(one), mixed], 1)[:, ::2]
        y: Tensor = self.gate(F.max_pool2d(joined, 2))
        return y


class Squeezed(nn.Module):
    """Maps of more than 65,536 numbers, whose means are poolings; and one of few channels."""

    def __init__(self, *, linear: bool) -> None:
        super().__init__()
        self.wide, self.gate = nn.Conv2d(16, 256, 1), Gate(256, nn.Sigmoid(), linear=linear)
        self.back, self.few = nn.Conv2d(256, 16, 1), Gate(16, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.few(self.back(self.gate(self.wide(x) + 1000)))
        return y


# With how many convolutions something is fused, counted by hand.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "residual": (lambda: Residual(gated=False), 2),
    "residual, not in place": (lambda: Residual(gated=False, inplace=False), 2),
    "residual of a convolution": (lambda: Residual(gated=False, late=True), 2),
    "gated residual": (lambda: Residual(gated=True), 1),
    "gated residual of a convolution": (lambda: Residual(gated=True, late=True, inplace=False), 1),
    "linear residuals": (Linear, 1),
    "needed later": (Later, 0),
    "hardswish": (lambda: Inverted(nn.Hardswish, nn.Hardsigmoid()), 2),
    "silu": (lambda: Inverted(lambda: nn.SiLU(inplace=True), nn.Sigmoid()), 2),
    "relu6": (lambda: Inverted(nn.ReLU6, nn.Sigmoid()), 2),
    "leaky": (lambda: Inverted(lambda: nn.LeakyReLU(0.3), nn.Sigmoid()), 2),
    "gelu": (lambda: Inverted(nn.GELU, nn.Sigmoid()), 2),
    "gelu by tanh": (lambda: Inverted(lambda: nn.GELU("tanh"), nn.Sigmoid()), 2),
    "tanh": (lambda: Inverted(nn.Tanh, nn.Sigmoid()), 2),
    "mish, which is not fused": (lambda: Inverted(nn.Mish, nn.Sigmoid()), 0),
    "written into": (Written, 0),
    "used twice": (Twice, 1),
}


@pytest.mark.parametrize("linear", [False, True])
def test_means_of_large_maps_are_poolings(linear: bool) -> None:
    model = settle(Net(Squeezed(linear=linear)))
    given = nodes(model, SIZE)
    means = [n for n in given.todo if n.name == "mean"]
    fuse(given, 2)
    pooled = [n for n in given.todo if n.name == "mean" and n not in means]
    assert (len(means), len(pooled)) == (3, 1)  # the head and the small map stay
    x = torch.rand(3, 256, 16, 16).contiguous(memory_format=torch.channels_last) + 1000
    expected = x.double().mean((2, 3), keepdim=not linear).float()
    # A sum of all 256 pixels one by one would be off by 1e-3 and more.
    torch.testing.assert_close(pooled[0].run(x), expected, atol=2e-4, rtol=0)


def made(body: nn.Module, **options: Any) -> tuple[nn.Module, Eager, Program]:
    """Return a network, as it is run, and its program."""
    model = settle(Net(body))
    traced = trace(model, SIZE)
    assert traced.found.blocks
    readings = traced.found.se_readings
    copy = changed_copy(model, folds=folds(model, traced.own_size), channels_last=True)
    return model, Eager(model, readings, CPU), Program(copy, readings, (4, *SIZE), **options)


def both(eager: Eager, program: Program, count: int) -> tuple[Answer, Answer]:
    x = images(SIZE, count, seed=3)
    with eager:
        expected = eager(x)
    with program:
        return expected, program(x)


def assert_alike(answer: Answer, expected: Answer) -> None:
    torch.testing.assert_close(answer.logits, expected.logits, atol=1e-5, rtol=1e-5)
    assert list(answer.gates) == list(expected.gates)
    for name, gate in expected.gates.items():
        torch.testing.assert_close(answer.gates[name], gate, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_gives_the_networks_numbers(name: str) -> None:
    build, fused = NETWORKS[name]
    model, eager, program = made(build())
    before = {n: t.clone() for n, t in model.state_dict().items()}
    assert program.fused == fused
    for count in (5, 1, 2):
        expected, answer = both(eager, program, count)
        assert_alike(answer, expected)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_what_is_read_is_not_fused_away() -> None:
    model = settle(Net(nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU())))
    free, read = nodes(model, SIZE), nodes(model, SIZE)
    (_, second) = [n for n in read.todo if n.name == "convolution"]
    read.kept = set(second.outputs)
    assert (fuse(free, 2), fuse(read, 2)) == (1, 0)


def test_inference_mode_hides_nothing() -> None:
    model = settle(Net(nn.Sequential(Residual(gated=True), nn.Dropout())))
    readings = trace(model, SIZE).found.se_readings
    with torch.inference_mode():
        program = Program(changed_copy(model), readings, (4, *SIZE))
    assert program.fused == 1
    assert_alike(*reversed(both(Eager(model, readings, CPU), program, 3)))


def test_a_program_ends_at_the_last_gate() -> None:
    _, eager, program = made(Residual(gated=True), outputs=False)
    expected, answer = both(eager, program, 4)
    assert answer.logits.shape == (4, 0)
    assert len(expected.gates) == 1
    for name, gate in expected.gates.items():
        torch.testing.assert_close(answer.gates[name], gate, atol=1e-6, rtol=0)


class Drawn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class Counted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1 / len(x))


class Attribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = [torch.ones(16, 1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift[0].to(x.device)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu().neg() if len(x) > 2 else x.relu()


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Net(nn.Identity())

    def forward(self, x: Tensor) -> Any:
        return self.inner(x), x


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Net(Drawn()), "random"),
        (Net(Counted()), "number of images"),
        (Net(Attribute()), "no parameters"),
        (Net(Branches()), "number of images"),
        (Pair(), "one output"),
    ],
    ids=lambda value: type(getattr(value, "body", value)).__name__,
)
def test_what_is_no_program(model: nn.Module, why: str) -> None:
    with pytest.raises(NotAProgramError, match=why):
        nodes(model.eval(), SIZE)


def chosen(model: nn.Module, choice: Choice) -> tuple[str, ...]:
    traced = trace(model, SIZE)
    speed = Speed(fast=True, graph=traced.own_size, choice=choice)
    with torch.inference_mode(), Chosen(model, traced.found.se_readings, CPU, None, speed) as way:
        way(images(SIZE, 3, seed=1))
        return way.notes


def test_a_pass_takes_the_program_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))
    model, choice = settle(Net(Residual(gated=True))), Choice()
    (note,) = chosen(model, choice)
    assert note.startswith(
        "computed with 1 batch norms folded and channels last, operators fused; "
    )
    assert CHANGES[choice.made or 0].fused


@pytest.mark.parametrize("missing", ["operators", "program"])
def test_without_kernels_the_next_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))
    body: nn.Module = Residual(gated=True)
    if missing == "operators":
        monkeypatch.setattr("seviz.collect.fast.chosen.can_fuse", lambda: False)
    else:
        body = nn.Sequential(body, Counted())
    model, choice = settle(Net(body)), Choice()
    (note,) = chosen(model, choice)
    assert note.startswith("computed with 1 batch norms folded and channels last; ")
    assert CHANGES[choice.made or 0] == (True, True, False)


class Padded(nn.Module):
    """Padding that depends on the size, as TensorFlow's, and a mean over a map that is large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(16, 64, 3, stride=2), Gate(64, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        more = [max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in (x.shape[3], x.shape[2])]
        x = F.pad(x, [more[0] // 2, more[0] - more[0] // 2, more[1] // 2, more[1] - more[1] // 2])
        y: Tensor = self.gate(F.relu(self.conv(x)))
        return y


@pytest.mark.parametrize("later", [(80, 64), (71, 91), (48, 48)])
def test_images_of_other_sizes_are_not_put_through_the_operators_of_the_first(
    monkeypatch: pytest.MonkeyPatch, later: tuple[int, int]
) -> None:
    """They have windows and paddings of that size: of larger images they would leave a part out, unseen."""
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))
    network = settle(Net(Padded(), channels=64))
    traced = trace(network, (3, 64, 64))
    choice = Choice()
    batches = [torch.randn(4, 3, *size) for size in ((64, 64), later, (64, 64), later)]
    speed = Speed(fast=True, graph=traced.own_size, choice=choice)
    with Chosen(network, traced.found.se_readings, CPU, None, speed) as way:
        found = [way(batch) for batch in batches]
    assert CHANGES[choice.made or 0].fused
    with Eager(network, traced.found.se_readings, CPU) as eager:
        expected = [eager(batch) for batch in batches]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-5, atol=1e-5)
        for name, gates in other.gates.items():
            torch.testing.assert_close(one.gates[name], gates, rtol=0, atol=1e-6)
    assert "8 images of other sizes than the first went through the untouched network" in way.notes
    assert not any(m._forward_hooks for m in network.modules())
