"""Which batch norms are folded, and into what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from dialects import settle
from test_collect_fast import SIZE, state_of
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seviz.collect.fast.copies import changed_copy
from seviz.collect.fast.norms import folds
from seviz.gates.find import recorded


class Branches(nn.Module):
    """Runs modules in a way of its own."""

    def __init__(self, forward: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def conv(inputs: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, 6, 3, padding=1, **options)  # type: ignore[arg-type]


def plain(m: nn.Module, x: Tensor) -> Tensor:
    return m.norm(m.conv(x))  # type: ignore[operator]


def shared_weight() -> nn.Module:
    model = Branches(
        lambda m, x: m.norm(m.conv(x)) + m.other(x),
        conv=conv(),
        norm=nn.BatchNorm2d(6),
        other=conv(),
    )
    model.other.weight = model.conv.weight  # type: ignore[union-attr,assignment]
    return model


def frozen_in_training() -> nn.Module:
    return Branches(plain, conv=conv(), norm=nn.BatchNorm2d(6, track_running_stats=False))


UNFOLDED = {
    "norm before convolution": lambda: Branches(
        lambda m, x: m.conv(m.norm(x).relu()), conv=conv(), norm=nn.BatchNorm2d(3)
    ),
    "output used twice": lambda: Branches(
        lambda m, x: (y := m.conv(x)) + m.norm(y), conv=conv(), norm=nn.BatchNorm2d(6)
    ),
    "convolution called twice": lambda: Branches(
        lambda m, x: m.norm(m.conv(x)) + m.other(m.conv(x)),
        conv=conv(),
        norm=nn.BatchNorm2d(6),
        other=nn.BatchNorm2d(6),
    ),
    "norm called twice": lambda: Branches(
        lambda m, x: m.norm(m.conv(x)) + m.norm(m.other(x)),
        conv=conv(),
        norm=nn.BatchNorm2d(6),
        other=conv(),
    ),
    "something between": lambda: Branches(
        lambda m, x: m.norm(m.conv(x).relu()), conv=conv(), norm=nn.BatchNorm2d(6)
    ),
    "several maps in one norm": lambda: Branches(
        lambda m, x: m.norm(torch.cat([m.conv(x), m.other(x)], 1)),
        conv=conv(),
        other=conv(),
        norm=nn.BatchNorm2d(12),
    ),
    "computed kernel": lambda: Branches(
        plain, conv=parametrizations.weight_norm(conv()), norm=nn.BatchNorm2d(6)
    ),
    "kernel computed by a hook": lambda: Branches(
        plain, conv=weight_norm(conv()), norm=nn.BatchNorm2d(6)
    ),
    "shared kernel": shared_weight,
    "no running statistics": frozen_in_training,
    "transposed": lambda: Branches(plain, conv=nn.ConvTranspose2d(3, 6, 2), norm=nn.BatchNorm2d(6)),
}
FOLDED = {
    "plain": lambda: Branches(plain, conv=conv(), norm=nn.BatchNorm2d(6)),
    "without bias": lambda: Branches(plain, conv=conv(bias=False), norm=nn.BatchNorm2d(6, eps=0.1)),
    "grouped": lambda: Branches(plain, conv=conv(groups=3), norm=nn.BatchNorm2d(6)),
    "without weight": lambda: Branches(plain, conv=conv(), norm=nn.BatchNorm2d(6, affine=False)),
    "reflecting": lambda: Branches(
        plain, conv=conv(padding_mode="reflect"), norm=nn.BatchNorm2d(6)
    ),
    "in a sequence": lambda: Branches(
        lambda m, x: m.both(x).relu_(), both=nn.Sequential(conv(), nn.BatchNorm2d(6), nn.ReLU())
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("name", UNFOLDED)
def test_left_alone(name: str) -> None:
    model = settle(UNFOLDED[name]())
    assert folds(model, recorded(model, SIZE)) == []


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", FOLDED)
def test_folded_as_torch_folds(name: str, channels_last: bool) -> None:
    model = settle(FOLDED[name]())
    before = state_of(model)
    found = folds(model, recorded(model, SIZE))
    assert len(found) == 1
    copy = changed_copy(model, folds=found, channels_last=channels_last)
    after = state_of(model)
    assert after["rest"] == before["rest"]
    assert all(torch.equal(v[0], before["tensors"][n][0]) for n, v in after["tensors"].items())
    layer, norm = model.get_submodule(found[0].convolution), model.get_submodule(found[0].norm)
    expected, folded = fuse_conv_bn_eval(layer, norm), copy.get_submodule(found[0].convolution)
    torch.testing.assert_close(folded.weight, expected.weight, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(folded.bias, expected.bias, atol=1e-6, rtol=1e-6)
    assert isinstance(copy.get_submodule(found[0].norm), nn.Identity)
    assert [n for n, _ in copy.named_modules()] == [n for n, _ in model.named_modules()]
    x = torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(copy(x), model(x), atol=1e-5, rtol=0)


def test_the_activation_in_timms_norm_stays() -> None:
    from timm.layers import BatchNormAct2d

    model = settle(nn.Sequential(conv(), BatchNormAct2d(6)))
    found = folds(model, recorded(model, SIZE))
    assert len(found) == 1
    copy = changed_copy(model, folds=found)
    x = torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = copy(x)
        torch.testing.assert_close(y, model(x), atol=1e-5, rtol=0)
    assert float(y.min()) == 0.0


def test_a_convolution_that_is_read_is_kept() -> None:
    model = settle(FOLDED["plain"]())
    graph = recorded(model, SIZE)
    assert folds(model, graph, {"conv"}) == []
    assert len(folds(model, graph, {"other"})) == 1


def test_unchanged_tensors_are_shared() -> None:
    model = settle(
        nn.Sequential(conv(), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6 * 32 * 32, 2))
    )
    copy = changed_copy(model, folds=folds(model, recorded(model, SIZE)))
    assert copy[3].weight is model[3].weight
    assert copy[0].weight is not model[0].weight
