"""The layers around a block: what makes the map that it scales, and what reads it, by data flow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from dialects import DIALECTS, Dialect
from torch import Tensor, nn

import seviz
from seviz.gates import trace, unwrap
from seviz.pruning.around import around
from seviz.results.channels import Around

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


class Net(nn.Module):
    """One block, and what reads it."""

    def __init__(self, after: nn.Module, head: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.make = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.fc = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())
        self.after, self.head = after, head

    def forward(self, x: Tensor) -> Tensor:
        y = self.make(x).relu()
        y = y * self.fc(y.mean((2, 3)))[:, :, None, None]
        return self.head(self.after, y)


def of(model: nn.Module) -> Around:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    (found,) = around(model, trace(model.eval(), (3, 6, 6))).values()
    return found


def by_hand(weight: Tensor, dims: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray((weight.detach().double() ** 2).sum(dims).sqrt().numpy())


def test_a_convolution_after_norm_activation_and_pool() -> None:
    after = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 5, 3))
    model = Net(after, lambda a, y: a(y).mean((2, 3)))
    found = of(model)
    assert found.made_by == ("make.0.weight",)
    assert found.read_by == ("after.3.weight",)
    np.testing.assert_allclose(found.norm, by_hand(after[3].weight, (0, 2, 3)))
    assert found.share.sum() == pytest.approx(1)
    assert found.lost == ()


def test_groups_read_their_own_channels() -> None:
    after = nn.Conv2d(8, 6, 3, groups=2)
    found = of(Net(after, lambda a, y: a(y).mean((2, 3))))
    weight = after.weight.detach().double()  # [6, 4, 3, 3]: three outputs for each group
    halves = [(weight[i : i + 3] ** 2).sum((0, 2, 3)).sqrt() for i in (0, 3)]
    np.testing.assert_allclose(found.norm, torch.cat(halves))


def test_a_depthwise_convolution() -> None:
    after = nn.Conv2d(8, 16, 3, groups=8)
    found = of(Net(after, lambda a, y: a(y).mean((2, 3))))
    weight = after.weight.detach().double().reshape(8, 2, 1, 3, 3)
    np.testing.assert_allclose(found.norm, (weight**2).sum((1, 2, 3, 4)).sqrt())


def test_a_classifier_after_the_mean() -> None:
    after = nn.Linear(8, 5)
    found = of(Net(after, lambda a, y: a(y.mean((2, 3)))))
    np.testing.assert_allclose(found.norm, by_hand(after.weight, (0,)))


def test_a_classifier_of_a_flattened_map() -> None:
    after = nn.Linear(8 * 36, 5)
    found = of(Net(after, lambda a, y: a(y.flatten(1))))
    np.testing.assert_allclose(found.norm, by_hand(after.weight.reshape(5, 8, 36), (0, 2)))


def test_a_concatenation() -> None:
    after = nn.Conv2d(11, 5, 1)
    found = of(Net(after, lambda a, y: a(torch.cat([y[:, :3] * 0 + 1, y], 1)).mean((2, 3))))
    np.testing.assert_allclose(found.norm, by_hand(after.weight[:, 3:], (0, 2, 3)))


def test_two_readers_of_one_map_and_a_shortcut() -> None:
    after = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 7, 1)])

    def head(a: nn.Module, y: Tensor) -> Tensor:
        one, two, three = a  # type: ignore[misc]
        z = y + one(y)
        return torch.cat([three(z).mean((2, 3)), two(y).mean((2, 3))], 1)

    found = of(Net(after, head))
    # Beyond the sum there is another reader, which is not the next.
    assert set(found.read_by) == {"after.0.weight", "after.1.weight"}
    both = torch.cat([after[0].weight, after[1].weight])
    np.testing.assert_allclose(found.norm, by_hand(both, (0, 2, 3)))


def test_what_is_not_followed_is_told() -> None:
    after = nn.Conv2d(8, 5, 1)
    found = of(Net(after, lambda a, y: a(y.cumsum(1).flip(1)).mean((2, 3))))
    assert (found.lost, found.read_by) == (("cumsum",), ())
    shuffled = of(Net(after, lambda a, y: a(y.unflatten(1, (2, 4)).mT.flatten(1, 2)).mean((2, 3))))
    assert shuffled.read_by == ()
    assert shuffled.lost


def test_the_sample_network_by_hand() -> None:
    loaded = seviz.load(seviz.sample("se_resnet_digits"))
    state = loaded.model.state_dict()
    found = around(loaded.model, trace(loaded.model, loaded.preprocessing.input_size))
    assert found["SE_2_1"].read_by == ("layer1.1.conv1.weight",)
    np.testing.assert_allclose(
        found["SE_2_1"].norm, by_hand(state["layer1.1.conv1.weight"], (0, 2, 3)), rtol=1e-12
    )
    both = found["SE_2_2"]
    assert both.read_by == ("layer2.0.conv1.weight", "layer2.0.downsample.0.weight")
    squares = sum(by_hand(state[name], (0, 2, 3)) ** 2 for name in both.read_by)
    np.testing.assert_allclose(both.norm, np.sqrt(squares), rtol=1e-12)


@pytest.mark.parametrize(
    "dialect",
    [d for d in DIALECTS if d.placement == "standard" and d.input_size == (3, 32, 32)][::5],
    ids=lambda d: d.name,
)
def test_however_se_is_written(dialect: Dialect) -> None:
    """Each block's map is read by the next unit."""
    model = dialect.build()
    found = around(model, trace(model, dialect.input_size))
    first, second, third = found.values()
    assert all("blocks.1." in name for name in first.read_by), first
    assert all("blocks.2." in name for name in second.read_by), second
    weights = dict(unwrap(model).named_parameters())
    expected = sum(
        by_hand(weights[n], tuple(d for d in range(weights[n].dim()) if d != 1)) ** 2
        for n in first.read_by
    )
    np.testing.assert_allclose(first.norm, np.sqrt(expected), rtol=1e-9)
    assert all("blocks.2." in name for name in third.made_by)
    assert third.made_by
    assert third.read_by


def test_what_a_shortcut_passes_on_is_said() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1)
    assert of(Net(conv, lambda a, y: (y + a(y)).mean((2, 3)))).passed_on
    assert of(Net(conv, lambda a, y: torch.cat([y, a(y)], 1).mean((2, 3)))).passed_on
    assert not of(Net(conv, lambda a, y: a(y).mean((2, 3)))).passed_on
    # Two layers that read it are both known, and no shortcut.
    two = nn.ModuleList([conv, nn.Conv2d(8, 8, 1)])
    found = of(Net(two, lambda a, y: (a[0](y) + a[1](y)).mean((2, 3))))
    assert not found.passed_on
    assert set(found.read_by) == {"after.0.weight", "after.1.weight"}
