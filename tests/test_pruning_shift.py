"""Blocks that scale and shift, ``x * gate + shift``, held at both: ablated and folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from dialects import Block, InlineScaleShift, Net, Recording, ScaleShift, settle
from PIL import Image
from torch import Tensor, nn

import seviz
from seviz.collect.options import PassOptions
from seviz.errors import CheckpointError, DataError
from seviz.gates import trace
from seviz.gates.rerun import Rerun
from seviz.networks import LoadedModel
from seviz.networks.architectures.registry import build
from seviz.networks.architectures.se import ScaleShiftExcite
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing

LABELS = ["ant", "bee", "cat", "dog", "elk"]
EACH = 3
SMALL = Preprocessing((3, 24, 24), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "checkpoint")
SE_OF_NOTES = ["SE_2_1", "SE_2_2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for level, name in enumerate(LABELS):
        (root / name).mkdir()
        for i in range(EACH):
            pixels = rng.integers(0, 60 + 45 * level, (24, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def tensors(folder: Path) -> Tensor:
    files = [p for name in LABELS for p in sorted((folder / name).iterdir())]
    x = torch.stack([torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1) for f in files])
    return (x / 255 - 0.5) / 0.25


def loaded(model: nn.Module) -> LoadedModel:
    return LoadedModel(model, "net.pt", "net", "0" * 64, ClassTable.from_labels(LABELS), SMALL)


def notes(*, squeeze: bool = True) -> nn.Module:
    torch.manual_seed(3)
    model = build(
        "senet_notes", filters=8, blocks=2, reduction=2, num_classes=5, squeeze=squeeze
    ).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ScaleShiftExcite):  # so that images differ in both
                for name in ("fc.0.weight", "fc.2.weight"):
                    module.get_parameter(name).mul_(6)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
    return model


Held = dict[int, tuple[Tensor, Tensor]]


def halves_of(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    z = x.mean((2, 3), keepdim=True) if module.squeeze else x
    numbers: Tensor = module.fc(z)  # type: ignore[operator]
    half = numbers.shape[1] // 2
    return torch.sigmoid(numbers[:, :half]), numbers[:, half:]


@torch.no_grad()
def means_by_hand(model: nn.Module, x: Tensor) -> Held:
    """Return mean gate and mean shift [C] of each block over images (and pixels), float64."""
    found: list[tuple[Tensor, Tensor]] = []

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        gate, shift = halves_of(module, args[0])
        torch.testing.assert_close(output, args[0] * gate + shift)
        found.append((gate.double().mean((0, 2, 3)), shift.double().mean((0, 2, 3))))

    handles = [m.register_forward_hook(look) for m in excitations(model)]
    model(x.clone())
    for handle in handles:
        handle.remove()
    return dict(enumerate(found))


def excitations(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, ScaleShiftExcite)]


@contextmanager
def held(model: nn.Module, means: Held) -> Iterator[None]:
    handles = []
    for number, module in enumerate(excitations(model)):
        if number in means:
            gate, shift = (n.float()[:, None, None] for n in means[number])
            handles.append(
                module.register_forward_hook(lambda m, args, out, g=gate, s=shift: args[0] * g + s)
            )
    yield
    for handle in handles:
        handle.remove()


def kind(squeeze: bool) -> PassOptions:
    return PassOptions(mechanism="se" if squeeze else "gate")


both_forms = pytest.mark.parametrize("squeeze", [True, False], ids=["squeeze", "per pixel"])


@torch.no_grad()
@both_forms
@pytest.mark.parametrize("gates", ["mean", "one"])
def test_an_ablation_is_that_of_gate_and_shift_set_by_hand(
    squeeze: bool, gates: str, folder: Path
) -> None:
    net, x = loaded(notes(squeeze=squeeze)), tensors(folder)
    targets = torch.arange(len(LABELS)).repeat_interleave(EACH)
    # Answers that the blocks decide: else no image changes sides.
    net.model.fc.bias.sub_(net.model(x.clone()).mean(0))  # type: ignore[union-attr,operator]
    means = means_by_hand(net.model, x)
    if gates == "one":
        means = {n: (torch.ones_like(g), torch.zeros_like(s)) for n, (g, s) in means.items()}
    result = seviz.ablate(net, str(folder), kind(squeeze), gates=gates)  # type: ignore[arg-type]
    right = net.model(x.clone()).argmax(1) == targets
    changed = 0
    for number, row in enumerate(result.single):
        with held(net.model, {number: means[number]}):
            after = net.model(x.clone()).argmax(1) == targets
        assert (row.lost, row.won) == (int((right & ~after).sum()), int((~right & after).sum()))
        assert row.params == 8 * 4 + 4 * 16
        changed += row.lost + row.won
    with held(net.model, means):
        after = net.model(x.clone()).argmax(1) == targets
    last = result.cumulative[-1]
    assert (last.lost, last.won) == (int((right & ~after).sum()), int((~right & after).sum()))
    assert last.params == result.se_params == 2 * (8 * 4 + 4 * 16)
    assert changed + last.lost + last.won > 0
    said = {"mean": "held at its mean over the same images", "one": "unscaled and unshifted"}
    assert any("the shift that 2 blocks add" in n and said[gates] in n for n in result.notes)


@torch.no_grad()
@both_forms
def test_a_fold_is_the_network_with_gate_and_shift_set_by_hand(squeeze: bool, folder: Path) -> None:
    net, x = loaded(notes(squeeze=squeeze)), tensors(folder)
    means = means_by_hand(net.model, x)
    key = kind(squeeze).mechanism
    folded = seviz.fold(net, ["all"], str(folder), mechanism=key)
    assert [b.how for b in folded.blocks] == ["norm before"] * 2
    assert [b.into for b in folded.blocks] == [(f"res_blocks.{n}.conv_upper.1",) for n in (0, 1)]
    with held(net.model, means):
        expected = net.model(x.clone())
    apart = (folded.loaded.model(x.clone()) - expected).abs().max()
    assert apart <= 1e-5 * expected.abs().max()
    assert (net.model(x.clone()) - expected).abs().max() > 1e-2 * expected.abs().max()
    assert seviz.find(folded.loaded.model, (3, 24, 24), key).blocks == ()
    assert folded.params_before - folded.params_after == 2 * (8 * 4 + 4 * 16)


@torch.no_grad()
def test_the_rerun_holds_what_it_is_given() -> None:
    """Gates alone leave the shift; gates and shifts are held, and more and more of them together."""
    model = notes()
    x = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    means = means_by_hand(model, x)
    rerun = Rerun(model, trace(model, (3, 24, 24)), x)
    plain, gates = rerun.baseline(x)
    for number, name in enumerate(SE_OF_NOTES):
        torch.testing.assert_close(gates[name].double().mean(0), means[number][0])
        torch.testing.assert_close(rerun.shifts[name].double().mean(0), means[number][1])
        assert torch.equal(rerun.replaced({name: gates[name]}), plain)
    one, two = (torch.cat(means[n]) for n in (0, 1))
    with held(model, means):
        expected = model(x.clone())
    both = dict(zip(SE_OF_NOTES, (one, two), strict=True))
    torch.testing.assert_close(rerun.replaced(both), expected)
    rerun.further({"SE_2_2": two})
    torch.testing.assert_close(rerun.further({"SE_2_1": one}), expected)
    rerun.begin(x, {"SE_2_1": one})
    torch.testing.assert_close(rerun.further({"SE_2_2": two}), expected)


def test_a_record_holds_no_shifts(folder: Path, refuses: Refuses) -> None:
    net = loaded(notes())
    record = seviz.collect(net, str(folder))
    with refuses(DataError, "expected the images for SE_2_1", "found a record", "--data"):
        seviz.fold(net, ["all"], record)
    with refuses(DataError, "only scale with a record", "leave the record out"):
        seviz.ablate(net, str(folder), gates="mean", record=record)
    free = seviz.ablate(net, str(folder), gates="mean", record=record, must_fit=False)
    assert any("from a first pass" in note for note in free.notes)


class Twice(Recording):
    """The shift is doubled, or taken away, as it is added."""

    def __init__(self, c: int, *, away: bool = False) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, 2 * c, 1))
        self.away = away

    def forward(self, x: Tensor) -> Tensor:
        w, b = self.fc(x.mean((2, 3), keepdim=True)).chunk(2, 1)
        scaled = torch.sigmoid(w) * x
        return torch.sub(scaled, b) if self.away else torch.add(scaled, b, alpha=2)


class Turned(ScaleShift):
    """Taken from the shift: the scaled map does not go on as it is."""

    def forward(self, x: Tensor) -> Tensor:
        w, b = self.halves(self.fc(x.mean((2, 3), keepdim=True)), self.c)
        return b - x * torch.sigmoid(w)


def chunked(z: Tensor, c: int) -> Sequence[Tensor]:
    return z.chunk(2, 1)


def in_blocks(se: Any) -> nn.Module:
    return settle(Net(lambda i, c, s: Block(i, c, s, se=se)))


def last_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers that give gates and shifts, one for each block."""
    ends = ("se.fc.2", ".fc2")
    return [m for path, m in model.named_modules() if path.endswith(ends)]


def gates_and_shifts(model: nn.Module, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return means of what the last layer of each excitation gives, taken apart by hand."""
    seen: list[Tensor] = []

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        seen.append(output.flatten(1))

    handles = [m.register_forward_hook(look) for m in last_layers(model)]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    gates = [torch.sigmoid(z[:, : z.shape[1] // 2].double()).mean(0) for z in seen]
    shifts = [z[:, z.shape[1] // 2 :].double().mean(0) for z in seen]
    return gates, shifts


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "factor", "how"),
    [
        (partial(in_blocks, partial(ScaleShift, halves=chunked)), 1, "norm before"),
        (partial(in_blocks, partial(ScaleShift, halves=chunked, fused=True)), 1, "norm before"),
        (partial(in_blocks, Twice), 2, "norm before"),
        (partial(in_blocks, partial(Twice, away=True)), -1, "norm before"),
        (lambda: settle(Net(InlineScaleShift)), 1, "fixed gate and shift"),
    ],
    ids=["chunk", "addcmul", "alpha", "sub", "inline"],
)
def test_a_shift_however_it_is_added(model: Any, factor: int, how: str) -> None:
    """Two numbers for each channel in, and out come the logits of an excitation that gives only them."""
    net = model()
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    gates, shifts = gates_and_shifts(net, x)
    names = [b.name for b in seviz.find(net, (3, 32, 32)).blocks]
    assert len(names) == len(gates)
    means = {
        name: np.stack([g.numpy(), factor * s.numpy()])
        for name, g, s in zip(names, gates, shifts, strict=True)
    }
    folded = seviz.fold(net, ["all"], means, images=x)
    assert {b.how for b in folded.blocks} == {how}
    handles = []
    for module, gate, shift in zip(last_layers(net), gates, shifts, strict=True):
        own = torch.cat([torch.logit(gate), shift]).float()
        handles.append(
            module.register_forward_hook(
                lambda m, a, out, c=own: c.reshape(-1, *[1] * (out.dim() - 2)).expand_as(out)
            )
        )
    expected = net(x)
    for handle in handles:
        handle.remove()
    apart = (folded.loaded.model(x) - expected).abs().max()
    assert apart <= 1e-5 * expected.abs().max()


def test_a_map_that_is_taken_from_the_shift_is_not_held(refuses: Refuses, folder: Path) -> None:
    net = in_blocks(partial(Turned, halves=chunked))
    assert all(b.shift for b in seviz.find(net, (3, 32, 32)).blocks)
    with refuses(CheckpointError, "added to the scaled map as it is", "SE_2_1"):
        seviz.ablate(loaded(net), str(folder), gates="mean")


def test_what_is_no_layer_before_keeps_scale_and_shift(folder: Path) -> None:
    """After a ReLU a shift cannot go before it: it stays, with the scale; and the file says so."""

    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.se = nn.Conv2d(3, 8, 3), ScaleShiftExcite(8, 2)
            self.fc = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.se(torch.relu(self.conv(x))).mean((2, 3)))

    torch.manual_seed(0)
    net, x = loaded(Late().eval()), tensors(folder)
    folded = seviz.fold(net, ["all"], str(folder))
    assert [b.how for b in folded.blocks] == ["fixed scale and shift"]
    with torch.no_grad(), held(net.model, means_by_hand(net.model, x)):
        torch.testing.assert_close(folded.loaded.model(x), net.model(x), rtol=1e-5, atol=1e-6)


def test_from_the_command_line_to_a_file(run: Run, tmp_path: Path, folder: Path) -> None:
    torch.save(notes().state_dict(), tmp_path / "checkpoint.bin")
    (tmp_path / "names.txt").write_text("\n".join(LABELS))
    given = ("--data", folder, "--class-names", tmp_path / "names.txt", "--input-size", 3, 24, 24)
    said = run(
        *("fold", tmp_path / "checkpoint.bin", "--blocks", "SE_2_1", *given),
        *("--pairs", 0, "--no-export", "-o", tmp_path / "slim.pt"),
    )
    assert said.code == 0, said.err
    assert "a record holds no shifts" in said.err
    again = seviz.load(tmp_path / "slim.pt")
    assert [b.name for b in seviz.find(again.model, (3, 24, 24)).blocks] == ["SE_2_1"]
    assert again.params == seviz.load(tmp_path / "checkpoint.bin").params - (8 * 4 + 4 * 16)
