"""Where a gate may go and where not; what `fold` takes, gives and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from conftest import Refuses, Tiny, sampled
from dialects import conv_se, images, settle
from test_gates_rerun import set_by_hand
from torch import Tensor, nn

import seviz
from seviz.cost import audit_network
from seviz.errors import CheckpointError, DataError, NoSEBlockError, UsageError
from seviz.gates import Tap, find
from seviz.networks import LoadedModel, load
from seviz.pruning.folding import fold, mean_gates
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record
from seviz.results.stats import Floats

C, SIZE = 8, (3, 16, 16)


def as_loaded(model: nn.Module, size: tuple[int, int, int] = SIZE) -> LoadedModel:
    return LoadedModel(model, "net", "net", "", None, Preprocessing(input_size=size))


class Around(nn.Module):
    """stem, what comes before SE, SE, what comes after, head."""

    def __init__(self, before: nn.Module, after: nn.Module, width: int = C) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, C, 3, padding=1)
        self.before, self.se, self.after = before, conv_se(C, hidden=2), after
        self.head = nn.Linear(width, 5)

    def body(self, x: Tensor) -> Tensor:
        return self.after(self.se(self.before(F.silu(self.stem(x)))))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(x).mean((2, 3)))


class Apply(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class TwiceUsed(Around):
    """The norm before SE runs a second time on another map."""

    def body(self, x: Tensor) -> Tensor:
        stem = F.silu(self.stem(x))
        return F.silu(self.se(self.before(stem))) + self.before(stem * 0.5)


class TiedWeights(Around):
    """The convolution before SE lends its weights to another."""

    def body(self, x: Tensor) -> Tensor:
        stem = F.silu(self.stem(x))
        return F.silu(self.se(self.before(stem))) + F.conv2d(stem, self.before.weight)


class MapUsed(Around):
    """The map before SE goes on unscaled as well."""

    def body(self, x: Tensor) -> Tensor:
        before = self.before(F.silu(self.stem(x)))
        return self.after(self.se(before)) + F.silu(before)


class MapReturned(Around):
    """The map before SE is an output of the network."""

    def forward(self, x: Tensor) -> Any:
        before = self.before(F.silu(self.stem(x)))
        return self.head(F.silu(self.se(before)).mean((2, 3))), before


class InPlaceAfter(Around):
    """The map that SE scales is read again after an activation has worked in place on the scaled one."""

    def body(self, x: Tensor) -> Tensor:
        before = F.silu(self.stem(x))
        scaled = self.after(F.relu_(self.se(before)))
        return scaled + before


class Scale(nn.Module):
    """A learned factor per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(C, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Joined(nn.Module):
    """Two convolutions side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(C, 3, 1), nn.Conv2d(C, C - 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], 1)


def conv(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(C, C, 3, padding=1, **options)


def to(function: Callable[[Tensor], Tensor], layer: nn.Module) -> nn.Module:
    return nn.Sequential(Apply(function), layer)


def floored(x: Tensor) -> Tensor:
    return x.div(0.1, rounding_mode="floor")


def doubled(x: Tensor) -> Tensor:
    return torch.cat([x, x], 1)


SILU = Apply(F.silu)
NOWHERE = "fixed scale"
BEFORE: list[tuple[str, Callable[[], nn.Module], str]] = [
    ("batch-norm", lambda: nn.BatchNorm2d(C), "norm before"),
    ("batch-norm-of-the-batch", lambda: nn.BatchNorm2d(C, track_running_stats=False), "norm before"),
    ("batch-norm-without-weights", lambda: nn.BatchNorm2d(C, affine=False), NOWHERE),
    ("group-norm", lambda: nn.GroupNorm(2, C), "norm before"),
    ("group-norm-without-weights", lambda: nn.Sequential(conv(), nn.GroupNorm(2, C, affine=False)), NOWHERE),
    ("instance-norm-without-weights", lambda: nn.Sequential(conv(), nn.InstanceNorm2d(C)), NOWHERE),
    ("layer-norm-of-the-map", lambda: nn.LayerNorm([C, 16, 16]), NOWHERE),
    ("convolution", conv, "convolution before"),
    ("convolution-without-bias", lambda: conv(bias=False), "convolution before"),
    ("depthwise", lambda: conv(groups=C), "convolution before"),
    ("transposed", lambda: nn.ConvTranspose2d(C, C, 3, padding=1), NOWHERE),
    ("relu", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.ReLU()), "norm before"),
    ("relu-in-place", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.ReLU(inplace=True)), "norm before"),
    ("leaky-relu", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.LeakyReLU()), "norm before"),
    ("prelu", lambda: nn.Sequential(conv(), nn.PReLU(C)), "convolution before"),
    ("max-pool", lambda: nn.Sequential(conv(), nn.MaxPool2d(2)), "convolution before"),
    ("avg-pool", lambda: nn.Sequential(conv(), nn.AvgPool2d(2)), "convolution before"),
    ("relu6", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.ReLU6()), NOWHERE),
    ("silu", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.SiLU()), NOWHERE),
    ("gelu", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.GELU()), NOWHERE),
    ("hardswish", lambda: nn.Sequential(nn.BatchNorm2d(C), nn.Hardswish()), NOWHERE),
    ("offset", lambda: nn.Sequential(conv(), Apply(lambda x: x + 1)), NOWHERE),
    ("factor", lambda: nn.Sequential(conv(), Apply(lambda x: 0.5 * x)), "convolution before"),
    ("rounded-division", lambda: nn.Sequential(conv(), Apply(floored)), NOWHERE),
    ("learned-scale", lambda: nn.Sequential(nn.SiLU(), Scale()), "scale before"),
    ("joined", Joined, "convolution before"),
    ("joined-with-itself", lambda: nn.Sequential(nn.Conv2d(C, C // 2, 1), Apply(doubled)), NOWHERE),
    ("added-to-itself", lambda: nn.Sequential(conv(), Apply(lambda x: x + x)), NOWHERE),
    ("shuffled", lambda: nn.Sequential(conv(), nn.ChannelShuffle(2)), NOWHERE),
    ("weight-normed", lambda: nn.utils.parametrizations.weight_norm(conv()), NOWHERE),
    ("channels-in-space", lambda: nn.Sequential(nn.Conv2d(C, 4 * C, 1), nn.PixelShuffle(2)), NOWHERE),
]  # fmt: skip
AFTER: list[tuple[str, Callable[[], nn.Module], str]] = [
    ("convolution", conv, "convolution after"),
    ("grouped", lambda: conv(groups=2), "convolution after"),
    ("depthwise", lambda: nn.Conv2d(C, 2 * C, 3, groups=C), "convolution after"),
    ("reflecting", lambda: conv(padding_mode="reflect"), "convolution after"),
    ("padded-with-zeros", lambda: to(lambda x: F.pad(x, (0, 1, 0, 1)), conv()), "convolution after"),
    ("padded-with-ones", lambda: to(lambda x: F.pad(x, (0, 1), value=1.0), conv()), NOWHERE),
    ("padded-channels", lambda: to(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), nn.Conv2d(C + 2, C, 1)), NOWHERE),
    ("transposed", lambda: nn.ConvTranspose2d(C, C, 3), NOWHERE),
    ("batch-norm", lambda: nn.BatchNorm2d(C), "norm after"),
    ("batch-norm-of-the-batch", lambda: nn.BatchNorm2d(C, track_running_stats=False), NOWHERE),
    ("group-norm", lambda: nn.GroupNorm(2, C), NOWHERE),
    ("relu", lambda: to(F.relu, conv()), "convolution after"),
    ("silu", lambda: to(F.silu, conv()), NOWHERE),
    ("pooled", lambda: to(lambda x: F.avg_pool2d(F.max_pool2d(x, 2), 2), conv()), "convolution after"),
    ("nothing", nn.Identity, "linear after"),
    ("relu-and-head", nn.ReLU, "linear after"),
    ("silu-and-head", nn.SiLU, NOWHERE),
]  # fmt: skip
NEITHER = nn.Sequential(nn.SiLU())


def folded_by_hand(model: nn.Module, gate: Tensor, x: Tensor) -> Any:
    with set_by_hand({0: gate}), torch.no_grad():
        return model(x)


def check(model: nn.Module, how: str, low: float = 0.1) -> None:
    settle(model)
    gate = torch.linspace(low, 1.5, C, dtype=torch.float64)
    folded = fold(as_loaded(model), ["SE_2_1"], {"SE_2_1": gate.numpy()})
    assert [b.how for b in folded.blocks] == [how]
    assert bool(folded.blocks[0].into) == (how != NOWHERE)
    for n in (1, 5):
        x = images(SIZE, n, seed=3)
        with torch.no_grad():
            ours = folded.loaded.model(x)
        torch.testing.assert_close(ours, folded_by_hand(model, gate, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "before", "how"), BEFORE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_comes_before(name: str, before: Callable[[], nn.Module], how: str) -> None:
    check(Around(before(), SILU), how)


@pytest.mark.parametrize(
    ("name", "after", "how"), AFTER, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_comes_after(name: str, after: Callable[[], nn.Module], how: str) -> None:
    made = after()
    check(Around(NEITHER, made, width=2 * C if name == "depthwise" else C), how)


def test_a_negative_gate_does_not_pass_a_relu() -> None:
    check(Around(nn.Sequential(nn.BatchNorm2d(C), nn.ReLU()), SILU), NOWHERE, low=-0.5)
    check(Around(nn.BatchNorm2d(C), SILU), "norm before", low=-0.5)
    check(Around(NEITHER, to(F.relu, conv())), NOWHERE, low=-0.5)


@pytest.mark.parametrize(
    ("model", "how"),
    [
        (lambda: TwiceUsed(nn.BatchNorm2d(C), SILU), NOWHERE),
        (lambda: TiedWeights(nn.Conv2d(C, C, 1, bias=False), SILU), NOWHERE),
        (lambda: MapUsed(nn.BatchNorm2d(C), SILU), NOWHERE),
        (lambda: MapUsed(nn.BatchNorm2d(C), conv()), "convolution after"),
        (lambda: MapReturned(nn.BatchNorm2d(C), SILU), NOWHERE),
        (lambda: InPlaceAfter(SILU, conv()), NOWHERE),
    ],
    ids=[
        "norm-used-twice",
        "weights-tied",
        "map-used",
        "map-used-after",
        "map-returned",
        "in-place",
    ],
)
def test_what_others_use_is_left_alone(model: Callable[[], nn.Module], how: str) -> None:
    check(model(), how)


def test_the_numbers_in_the_layers() -> None:
    """Against the formula, channel by channel."""
    gate = np.linspace(0.1, 1.5, C)
    norm, grouped = nn.BatchNorm2d(C), nn.Conv2d(C, 4, 1, groups=2)
    before, after = Around(norm, SILU), Around(NEITHER, grouped, width=4)
    settle(before)
    settle(after)
    ours = fold(as_loaded(before), ["all"], {"SE_2_1": gate}).loaded.model.before
    np.testing.assert_allclose(
        ours.weight.detach(), norm.weight.detach().double().numpy() * gate, rtol=1e-6
    )
    np.testing.assert_allclose(
        ours.bias.detach(), norm.bias.detach().double().numpy() * gate, rtol=1e-6
    )
    assert torch.equal(ours.running_mean, norm.running_mean)
    taken = fold(as_loaded(after), ["all"], {"SE_2_1": gate}).loaded.model.after
    for out in range(4):
        for place in range(4):
            channel = place + 4 * (
                out // 2
            )  # outputs 0 and 1 read channels 0 to 3, the others 4 to 7
            expected = grouped.weight[out, place].item() * gate[channel]
            assert taken.weight[out, place].item() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(taken.bias, grouped.bias)


# -------------------------------------------------------------------------------------------------
# Networks that people use


def randomised(model: nn.Module) -> nn.Module:
    """Give norms weights and statistics that matter: zoos begin branches with zeros."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.2), (module.running_mean, -0.2),
                                (module.running_var, 0.5)):  # fmt: skip
                width = 0.4 if low < 0 else 1.0
                tensor.data = torch.rand(tensor.shape, generator=generator) * width + low
    return model.eval()


ZOO = {
    "seresnet18": (lambda: timm.create_model("seresnet18"), {"norm before": 8}),
    "legacy_seresnet18": (lambda: timm.create_model("legacy_seresnet18"), {"norm before": 8}),
    "efficientnet_b0": (lambda: timm.create_model("efficientnet_b0"), {"convolution after": 16}),
    "mobilenetv3_small": (
        lambda: timm.create_model("mobilenetv3_small_100"),
        {"norm before": 1, "convolution after": 8},
    ),
    "torchvision-efficientnet_b0": (
        torchvision.models.efficientnet_b0,
        {"convolution after": 16},
    ),
    "torchvision-mobilenet_v3_small": (
        torchvision.models.mobilenet_v3_small,
        {"norm before": 1, "convolution after": 8},
    ),
}


@pytest.mark.parametrize("name", sampled(ZOO, 6))
def test_zoo(name: str) -> None:
    make, how = ZOO[name]
    model = randomised(make())
    size = (3, 64, 64)
    audit = audit_network(model, size)
    found = find(model, size)
    x = images(size, 3, seed=1)
    with torch.no_grad(), Tap(model, found) as tap:
        model(x)
        gates = {n: g.double().mean(0).numpy() for n, g in tap.take().items()}
    folded = fold(as_loaded(model, size), ["all"], gates, images=x)
    ways = [b.how for b in folded.blocks]
    assert {w: ways.count(w) for w in ways} == how
    assert folded.params_before - folded.params_after == audit.se_params
    assert folded.difference < 1e-5
    assert find(folded.loaded.model, size).blocks == ()


# -------------------------------------------------------------------------------------------------
# What is taken, given and refused


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return load(seviz.sample("se_resnet_digits"))


@pytest.fixture(scope="module")
def record(digits_record: Any) -> Record:
    return Record.load(digits_record)


def ones(loaded: LoadedModel) -> dict[str, Floats]:
    return {
        b.name: np.ones(b.channels)
        for b in find(loaded.model, loaded.preprocessing.input_size).blocks
    }


def test_mean_gates_weigh_images_alike(digits: LoadedModel, record: Record) -> None:
    """Not classes: the mean over the images one by one."""
    found = find(digits.model, digits.preprocessing.input_size)
    from seviz.collect.options import PassOptions
    from seviz.collect.prepare import prepare

    sums: dict[str, Tensor] = {}
    count = 0
    with torch.no_grad(), Tap(digits.model, found) as tap:
        for batch in prepare(digits, "digits", PassOptions()).batches():
            digits.model(batch.images)
            count += len(batch)
            for name, gate in tap.take().items():
                sums[name] = sums.get(name, torch.zeros(1)) + gate.double().sum(0)
    for name, gate in mean_gates(record).items():
        np.testing.assert_allclose(gate, (sums[name] / count).numpy(), rtol=1e-9)


def test_gates_of_one_give_the_twin_without_se(digits: LoadedModel) -> None:
    from seviz.networks.architectures.registry import build

    folded = fold(digits, ["all"], ones(digits))
    twin = build("resnet14", in_chans=1)
    twin.load_state_dict(folded.loaded.model.state_dict())
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(twin.eval()(x), folded.loaded.model(x))


def test_some_blocks(digits: LoadedModel, record: Record) -> None:
    folded = fold(digits, ["SE_4_2", "SE_2"], record)
    assert [b.name for b in folded.blocks] == ["SE_2_1", "SE_2_2", "SE_4_2"]
    assert [b.params for b in folded.blocks] == [128, 128, 2048]
    assert folded.params_before - folded.params_after == 2304
    assert len(find(folded.loaded.model, (1, 8, 8)).blocks) == 3
    assert folded.loaded.architecture.endswith("3 SE blocks folded")
    assert digits.params == folded.params_before


def test_refusals(digits: LoadedModel, record: Record, tiny: Tiny, refuses: Refuses) -> None:
    with refuses(UsageError, "expected blocks to fold"):
        fold(digits, [], record)
    with refuses(UsageError, "'SE_9_1'"):
        fold(digits, ["SE_9_1"], record)
    with refuses(DataError, "a record of tiny.pt", "collect it from this checkpoint"):
        fold(load(tiny.path), ["all"], record)
    with refuses(DataError, "expected 64 finite gates for SE_4_2", "shape (3,)"):
        fold(digits, ["SE_4_2"], {"SE_4_2": np.ones(3)})
    with refuses(DataError, "SE_4_2"):
        fold(digits, ["SE_4_2"], {"SE_4_1": np.ones(64)})
    with refuses(DataError, "finite gates"):
        fold(digits, ["SE_4_2"], {"SE_4_2": np.full(64, np.nan)})
    plain = as_loaded(Around(nn.Identity(), nn.Identity()))
    plain.model.se = nn.Identity()
    with pytest.raises(NoSEBlockError):
        fold(plain, ["all"], {})


def test_weights_of_no_module(refuses: Refuses) -> None:
    class Raw(Around):
        """SE in the network's own forward, with bare parameters."""

        def __init__(self) -> None:
            super().__init__(nn.BatchNorm2d(C), SILU)
            self.w1, self.w2 = nn.Parameter(torch.zeros(2, C)), nn.Parameter(torch.zeros(C, 2))

        def forward(self, x: Tensor) -> Any:
            x = self.before(F.silu(self.stem(x)))
            z = F.relu(x.mean((2, 3)) @ self.w1.T) @ self.w2.T
            return self.head(F.silu(x * torch.sigmoid(z)[..., None, None]).mean((2, 3)))

    with refuses(CheckpointError, "SE_2_1 to be a module", "leave it out"):
        fold(as_loaded(settle(Raw())), ["all"], {"SE_2_1": np.full(C, 0.5)})


def test_what_does_not_compute_the_same_is_refused(digits: LoadedModel, refuses: Refuses) -> None:
    """A product that overflows is caught before anything is written."""
    with refuses(CheckpointError, "within 0.0001 of the largest output", "leave out blocks"):
        fold(digits, ["SE_4_2"], {"SE_4_2": np.full(64, 1e39)})


class Offset(nn.Module):
    """One number for each channel, added, in the shape of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, 1, bias=False)
        self.offset = nn.Parameter(torch.randn(1, C, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.conv(x) + self.offset)


def test_an_offset_in_the_shape_of_a_map_takes_the_gate() -> None:
    torch.manual_seed(0)
    net = Around(Offset(), nn.SiLU()).eval()
    loaded = as_loaded(net)
    gate = np.linspace(0.2, 0.9, C)
    x = torch.randn(2, *SIZE)
    with torch.no_grad():
        made = net.before(F.silu(net.stem(x))) * torch.from_numpy(gate).float()[:, None, None]
        expected = net.head(F.silu(made).mean((2, 3)))
        folded = fold(loaded, ["all"], {"SE_2_1": gate})
        assert torch.allclose(folded.loaded.model(x), expected, atol=1e-5)
    assert folded.blocks[0].how == "linear and convolution before"
