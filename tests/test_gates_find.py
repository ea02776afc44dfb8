"""Finding at awkward sizes, and reading at other sizes than the traced one."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

import seviz
from seviz.errors import CheckpointError, NoSEBlockError
from seviz.gates import Tap, find
from seviz.networks.architectures.registry import build


class ExpandedGate(nn.Module):
    """Returns the gate as a map; the caller multiplies."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(self.fc1(x.mean((2, 3))).relu()).sigmoid()
        return gate[:, :, None, None].expand_as(x)


class Gated(nn.Module):
    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.stem, self.gate = nn.Conv2d(3, 8, 3, stride=2), gate

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = (x * self.gate(x)).mean((2, 3))
        return out


@pytest.mark.parametrize("size", [8, 17, 32])
def test_an_expanded_gate_is_read_at_any_size(size: int) -> None:
    torch.manual_seed(0)
    model = Gated(ExpandedGate(8)).eval()
    found = find(model, (3, 16, 16))
    assert [(b.channels, b.hidden) for b in found.blocks] == [(8, 4)]
    x = torch.randn(3, 3, size, size)
    with torch.no_grad(), Tap(model, found) as tap:
        model(x)
        read = tap.take()["SE_2_1"]
        assert torch.equal(read, model.gate(model.stem(x))[:, :, 0, 0])


class Repeated(ExpandedGate):
    """As above, but the map is written out."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous()


def test_a_written_out_gate_is_right_or_refused() -> None:
    """Never the numbers of other channels."""
    torch.manual_seed(0)
    model = Gated(Repeated(8)).eval()
    found = find(model, (3, 16, 16))
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad(), Tap(model, found) as tap:
        model(x)
        read = tap.take()["SE_2_1"]
        assert torch.equal(read, model.gate(model.stem(x))[:, :, 0, 0])
        with pytest.raises(CheckpointError, match="numbers per image"):
            model(torch.randn(3, 3, 32, 32))


@pytest.mark.parametrize("size", [32, 64, 224])
def test_small_images_lose_no_block(size: int) -> None:
    """On 32 x 32 images the last maps of this network are 1 x 1."""
    model = timm.create_model("legacy_seresnet50", pretrained=False).eval()
    found = find(model, (3, size, size))
    assert [b.name for b in found.blocks] == [
        *(f"SE_2_{i}" for i in range(1, 4)),
        *(f"SE_3_{i}" for i in range(1, 5)),
        *(f"SE_4_{i}" for i in range(1, 7)),
        *(f"SE_5_{i}" for i in range(1, 4)),
    ]
    assert [b.spatial for b in found.blocks] == [(size // 2**b.stage,) * 2 for b in found.blocks]
    assert found.outputs == 1000


def test_gates_of_one_pixel_maps_are_read() -> None:
    torch.manual_seed(0)
    model = timm.create_model("legacy_seresnet18", pretrained=False).eval()
    found = find(model, (3, 32, 32))
    with torch.no_grad(), Tap(model, found) as tap:
        model(torch.randn(2, 3, 32, 32))
        gates = tap.take()
    assert len(gates) == 8
    assert all(
        g.shape == (2, b.channels) for g, b in zip(gates.values(), found.blocks, strict=True)
    )


class FixedSize(nn.Module):
    """Runs on 8 x 8 images only, and its SE block scales a map of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8)
        self.se = build("se_resnet14").get_submodule("layer1.0.se")
        self.widen = nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == 8
        out: Tensor = self.head(self.se(self.widen(self.stem(x))).flatten(1))
        return out


def test_a_network_that_cannot_be_traced_larger_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no map shrinks to one pixel"):
        find(FixedSize(), (3, 8, 8))


def test_a_network_that_does_not_run_on_such_images() -> None:
    with pytest.raises(CheckpointError, match=r"run on images of size 1x32x32.*--input-size"):
        find(build("se_resnet14"), (1, 32, 32))


def test_what_is_found_instead_is_said() -> None:
    found = find(timm.create_model("ecaresnet26t", pretrained=False), (3, 64, 64))
    with pytest.raises(NoSEBlockError, match=r"found none: \d+ x ECA"):
        found.require_se()
    with pytest.raises(NoSEBlockError, match="no other gate or attention"):
        find(build("resnet14"), (3, 32, 32)).require_se()


def test_hooks_after_compiling_are_looked_through() -> None:
    """A tap on a wrapper reads the network inside."""
    model = build("se_resnet14").eval()
    found = find(nn.DataParallel(model), (3, 32, 32))
    with torch.no_grad(), Tap(nn.DataParallel(model), found) as tap:
        model(torch.randn(2, 3, 32, 32))
        assert len(tap.take()) == 6


def test_the_networks_are_found_on_the_meta_device() -> None:
    """No memory and no arithmetic: a network without numbers is enough."""
    with torch.device("meta"):
        model = timm.create_model("seresnext101_32x8d", pretrained=False)
    found = find(model, (3, 224, 224))
    assert len(found.blocks) == 33


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_a_program_of_torchscript_takes_no_hooks() -> None:
    model = torch.jit.script(Gated(ExpandedGate(8)).eval())
    found = find(model, (3, 16, 16))
    with pytest.raises(
        CheckpointError, match="found a RecursiveScriptModule, which takes no hooks"
    ):
        Tap(model, found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_layers_are_called_that(tmp_path):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc1, self.fc2 = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(2, 8)

        def forward(self, x):
            x = self.conv(x)
            s = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
            return (x * s[:, :, None, None]).mean((2, 3))

    model = Gated().eval()
    assert find(model, (3, 16, 16)).quantised == 0
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    found = find(quantised, (3, 16, 16))
    assert (found.blocks, found.quantised) == ((), 2)
    with pytest.raises(
        NoSEBlockError, match="found none: 2 quantised layers, through which no gate"
    ):
        found.require_se()
    torch.save(quantised.state_dict(), tmp_path / "q.pt")
    with pytest.raises(CheckpointError, match="quanti"):
        seviz.load(tmp_path / "q.pt")
