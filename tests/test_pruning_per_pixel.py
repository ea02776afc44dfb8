"""Gates that differ from pixel to pixel, held at one number for each channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Refuses
from dialects import Block, Bottleneck, Net, PerPixelGate, mean_kept, settle
from test_collect_mechanism import EACH, LABELS, folder, loaded, tensors
from torch import Tensor, nn

import seviz
from seviz.collect.options import PassOptions
from seviz.errors import UsageError
from seviz.networks import LoadedModel

__all__ = ["folder"]  # a fixture

Gate = Callable[[nn.Module, Tensor], Tensor]


def gate_of_pixels(module: nn.Module, x: Tensor) -> Tensor:
    return torch.sigmoid(module.fc(x))  # type: ignore[operator]


def gate_of_both(module: nn.Module, x: Tensor) -> Tensor:
    both = module.channel(mean_kept(x)) * module.spatial(x)  # type: ignore[operator]
    return 1 + torch.sigmoid(both)


FORMS: list[tuple[str, type[nn.Module], Callable[[int], nn.Module], Gate]] = [
    ("gate", PerPixelGate, PerPixelGate, gate_of_pixels),
    ("gate", PerPixelGate, partial(PerPixelGate, forgotten=True), gate_of_pixels),
    ("bam", Bottleneck, Bottleneck, gate_of_both),
]
each_form = pytest.mark.parametrize(
    ("key", "kind", "build", "gate"), FORMS, ids=["plain", "squeeze forgotten", "bam"]
)


def network(build: Callable[[int], nn.Module]) -> LoadedModel:
    def block(inputs: int, channels: int, stride: int) -> nn.Module:
        return Block(inputs, channels, stride, se=build)

    return loaded(settle(Net(block)))


@torch.no_grad()
def means_by_hand(model: nn.Module, kind: type, gate: Gate, x: Tensor) -> list[Tensor]:
    """Return the mean gate [C] of each module, over images and pixels, float64."""
    means = []

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        factor = gate(module, args[0])
        torch.testing.assert_close(output, args[0] * factor)
        means.append(factor.double().mean((0, 2, 3)))

    handles = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, kind)]
    model(x.clone())
    for handle in handles:
        handle.remove()
    return means


@contextmanager
def held(model: nn.Module, kind: type, means: dict[int, Tensor]) -> Iterator[None]:
    handles = []
    for number, module in enumerate(m for m in model.modules() if isinstance(m, kind)):
        if number in means:
            mean = means[number].float()[:, None, None]
            handles.append(module.register_forward_hook(lambda m, args, out, c=mean: args[0] * c))
    yield
    for handle in handles:
        handle.remove()


@torch.no_grad()
@each_form
def test_an_ablation_is_that_of_gates_set_by_hand(
    key: str, kind: type, build: Callable[[int], nn.Module], gate: Gate, folder: Path
) -> None:
    net, x = network(build), tensors(folder)
    targets = torch.arange(len(LABELS)).repeat_interleave(EACH)
    means = means_by_hand(net.model, kind, gate, x)
    for gates in ("mean", "one"):
        result = seviz.ablate(net, str(folder), gates=gates, options=PassOptions(mechanism=key))  # type: ignore[arg-type]
        assert ("over all images and pixels" in " ".join(result.notes)) == (gates == "mean")
        blocks = seviz.find(net.model, (3, 32, 32), key).blocks
        assert [s.name for s in result.single] == [b.name for b in blocks]
        for number, row in enumerate(result.single):
            new = means[number] if gates == "mean" else torch.ones_like(means[number])
            with held(net.model, kind, {number: new}):
                after = net.model(x.clone()).argmax(1)
            full = net.model(x.clone()).argmax(1)
            was, now = full == targets, after == targets
            assert (row.lost, row.won) == (int((was & ~now).sum()), int((~was & now).sum()))
            assert row.params == blocks[number].params


@torch.no_grad()
@each_form
def test_a_fold_is_the_network_with_gates_set_by_hand(
    key: str, kind: type, build: Callable[[int], nn.Module], gate: Gate, folder: Path
) -> None:
    net, x = network(build), tensors(folder)
    means = means_by_hand(net.model, kind, gate, x)
    record = seviz.collect(net, str(folder), PassOptions(mechanism=key))
    folded = seviz.fold(net, ["all"], record)
    with held(net.model, kind, dict(enumerate(means))):
        expected = net.model(x.clone())
    assert (folded.loaded.model(x.clone()) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert seviz.find(folded.loaded.model, (3, 32, 32), key).blocks == ()
    assert folded.params_after < folded.params_before


def test_without_squeeze_is_that_kind(folder: Path, refuses: Refuses) -> None:
    net = network(PerPixelGate)
    one = seviz.ablate(net, str(folder), options=PassOptions(without_squeeze=True))
    other = seviz.ablate(net, str(folder), options=PassOptions(mechanism="gate"))
    assert one.single == other.single
    with refuses(UsageError, "differ from pixel to pixel", "one or mean"):
        seviz.ablate(net, str(folder), gates="shuffle", options=PassOptions(mechanism="gate"))


class Overwritten(PerPixelGate):
    """Writes the product over the gate."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc(x)).mul_(x)


def test_a_gate_that_is_overwritten_is_not_replaced(folder: Path) -> None:
    net = network(Overwritten)
    assert len(seviz.find(net.model, (3, 32, 32), "gate").blocks) == 3
    with pytest.raises(seviz.SevizError, match="written into"):
        seviz.ablate(net, str(folder), options=PassOptions(mechanism="gate"))
