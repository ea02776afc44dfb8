"""Any module, any batches: the same pass, the same record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rank_threads import shared
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torch.utils.data.distributed import DistributedSampler
from torch.utils.flop_counter import FlopCounterMode

import seviz
from seviz.collect.execute import execute
from seviz.collect.prepare import prepare
from seviz.errors import CheckpointError, DataError, EndedEarlyError, SevizError, UsageError
from seviz.gates import Inputs
from seviz.networks.given import as_loaded
from seviz.results.classes import ClassTable

CLASSES = ("ant", "bee", "cat")
PLAIN = seviz.PassOptions(fast=False)


class SE(nn.Module):
    """A gate over maps of any rank, whose values a test can read and set."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(channels, 2), nn.Linear(2, channels)
        self.held: Tensor | None = None
        self.last = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.flatten(2).mean(2)
        self.last = gate = torch.sigmoid(self.up(torch.relu(self.down(squeezed))))
        gate = gate if self.held is None else self.held.expand_as(gate)
        return x * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))


CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Net(nn.Module):
    def __init__(self, rank: int = 2, channels: int = 3) -> None:
        super().__init__()
        self.conv, self.norm = CONVOLUTIONS[rank](channels, 8, 3), NORMS[rank](8)
        self.se, self.head = SE(8), nn.Linear(8, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(torch.relu(self.norm(self.conv(x))))
        result: Tensor = self.head(x.flatten(2).mean(2))
        return result


class Two(Net):
    """An image and a number for each pixel of its strip, and several outputs."""

    def forward(self, image: Tensor, age: Tensor, labels: Any = None) -> Any:  # type: ignore[override]
        x = self.se(torch.relu(self.conv(image) + age[:, :1, None, None]))
        pooled = x.mean((2, 3))
        return {"features": pooled, "scores": self.head(pooled)}


def seeded(make: Callable[[], nn.Module]) -> Any:
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def images(n: int = 21, *size: int) -> Tensor:
    return torch.rand(n, *(size or (3, 12, 12)), generator=torch.Generator().manual_seed(1))


def labels(n: int = 21) -> Tensor:
    return torch.arange(n) % len(CLASSES)


class Five(Net):
    """Answers to each image a class of its own choice, whatever the image shows."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 5)


def own_gates(network: Any, *batches: Any) -> np.ndarray[Any, Any]:
    """Return the gates [N, C] as a notebook's hook sees them."""
    found = []
    network.eval()
    with torch.no_grad():
        for batch in batches:
            network(**batch) if isinstance(batch, dict) else network(batch)
            found.append(network.se.last)
    network.train()
    return torch.cat(found).double().numpy()


def same(one: seviz.Record, other: seviz.Record) -> None:
    assert one.classes.labels == other.classes.labels
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)


class Pairs(Dataset[Any]):
    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y, self.classes = x, y, list(CLASSES)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        if place >= len(self):
            raise IndexError
        return self.x[place], int(self.y[place])


class Flow(IterableDataset[Any]):
    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(self.x, self.y, strict=True))


def cut(x: Any, size: int = 4) -> list[Any]:
    return [x[i : i + size] for i in range(0, len(x), size)]


X, Y = images(), labels()
NAMES = [CLASSES[int(y)] for y in Y]
FORMS: dict[str, Callable[[], Any]] = {
    "loader": lambda: DataLoader(TensorDataset(X, Y), 4),
    "workers": lambda: DataLoader(Pairs(X, Y), 4, num_workers=1),
    "subset": lambda: DataLoader(Subset(Pairs(X, Y), range(21)), 4),
    "stream": lambda: DataLoader(Flow(X, Y), 4),
    "data set": lambda: Pairs(X, Y),
    "flow": lambda: Flow(X, Y),
    "tensors": lambda: (X, Y),
    "arrays": lambda: (X.numpy(), Y.numpy()),
    "doubles": lambda: (X.double().numpy(), Y.int().numpy()),
    "list and names": lambda: (X, NAMES),
    "dict": lambda: {"image": X, "label": Y},
    "pairs": lambda: list(zip(cut(X), cut(Y), strict=True)),
    "lists": lambda: [[x, y.tolist()] for x, y in zip(cut(X), cut(Y), strict=True)],
    "generator": lambda: ((x, y) for x, y in zip(cut(X), cut(Y), strict=True)),
    "columns": lambda: [(x, y[:, None]) for x, y in zip(cut(X), cut(Y), strict=True)],
    "one-hot": lambda: [
        (x, nn.functional.one_hot(y, 3).float()) for x, y in zip(cut(X), cut(Y), strict=True)
    ],
    "names": lambda: list(zip(cut(X), cut(NAMES), strict=True)),
    "paths too": lambda: [(x, y, ["a.png"] * len(y)) for x, y in zip(cut(X), cut(Y), strict=True)],
    "dicts": lambda: [{"image": x, "label": y} for x, y in zip(cut(X), cut(Y), strict=True)],
    "hub's dicts": lambda: [
        {"pixel_values": x, "labels": y} for x, y in zip(cut(X), cut(Y), strict=True)
    ],
    "by parameter": lambda: [{"y": y, "x": x} for x, y in zip(cut(X), cut(Y), strict=True)],
    "list of images": lambda: [(list(x), y) for x, y in zip(cut(X), cut(Y), strict=True)],
}


@pytest.fixture(scope="module")
def first() -> seviz.Record:
    return seviz.collect(seeded(Net), FORMS["pairs"](), PLAIN, classes=CLASSES)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_the_same_images_in_any_form_give_the_same_record(form: str, first: seviz.Record) -> None:
    options = seviz.PassOptions(fast=False, batch_size=4)
    same(first, seviz.collect(seeded(Net), FORMS[form](), options, classes=CLASSES))


def test_sums_are_those_of_own_hooks(first: seviz.Record) -> None:
    gates = own_gates(seeded(Net), *cut(X))
    for row, name in enumerate(CLASSES):
        own = gates[(row == Y).numpy()]
        stats = first.stats("SE_2_1")
        assert first.classes.labels[row] == name
        np.testing.assert_array_equal(stats.sum[row], own.sum(0))
        np.testing.assert_array_equal(stats.maximum[row], own.max(0))
    network = seeded(Net).eval()
    right = (network(X).argmax(1) == Y).double().mean()
    assert first.top1 == pytest.approx(float(right))


@pytest.mark.parametrize(("rank", "size"), [(1, (12, 50)), (2, (1, 9, 11)), (3, (2, 6, 7, 8))])
def test_any_rank(rank: int, size: tuple[int, ...]) -> None:
    network = seeded(lambda: Net(rank, size[0]))
    x = images(7, *size)
    record = seviz.collect(network, [(x, labels(7))])
    np.testing.assert_array_equal(record.stats("SE_2_1").sum.sum(0), own_gates(network, x).sum(0))
    audit = seviz.audit(network, [x])
    with FlopCounterMode(display=False) as counter:
        network(x[:1])
    assert audit.totals.macs == counter.get_total_flops() / 2
    assert audit.input_size == size
    assert record.header.preprocessing.describe().startswith("x".join(map(str, size)))


def test_a_module_is_left_as_it_was() -> None:
    network = seeded(Net)
    network.norm.eval()
    calls: list[str] = []
    network.head.register_forward_hook(lambda *_: calls.append("head"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    flags = [m.training for m in network.modules()]
    places = [p.data_ptr() for p in network.parameters()]
    grad = torch.is_grad_enabled()
    seviz.collect(network, FORMS["loader"]())
    assert [m.training for m in network.modules()] == flags
    assert [p.data_ptr() for p in network.parameters()] == places
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())
    assert len(network.head._forward_hooks) == 1
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()) == 1
    assert calls
    assert torch.is_grad_enabled() == grad
    network(X[:2]).sum().backward()  # nothing of it was made in inference mode


def test_without_labels_the_images_are_one_group() -> None:
    network = seeded(Net)
    record = seviz.collect(network, cut(X))
    assert record.classes.labels == ["all"]
    assert record.count.tolist() == [21]
    assert any("no labels" in note for note in record.header.notes)
    masks = seviz.collect(network, [(X, torch.zeros(21, 12, 12, dtype=torch.int64))])
    assert masks.classes.labels == ["all"]
    assert any("int64 21x12x12" in note for note in masks.header.notes)


def test_classes_without_images_have_no_row() -> None:
    record = seviz.collect(seeded(Net), [(X, Y.clamp(min=1))], PLAIN, classes=CLASSES)
    assert record.classes.labels == ["bee", "cat"]
    assert record.header.missing == ("ant",)
    assert record.arrays["confusion"].shape == (2, 3)
    assert [c.index for c in record.classes.classes] == [1, 2]
    assert set(record.sample("SE_2_1").rows) == {0, 1}  # type: ignore[union-attr]
    record.verify()


def test_names_of_a_data_set_meet_those_of_the_network(tmp_path: Path) -> None:
    network = seviz.load(seviz.sample("se_resnet_digits"), class_names=list("9876543210"))
    data = TensorDataset(torch.rand(4, 1, 32, 32), torch.tensor([0, 0, 1, 2]))
    data.classes = ["3", "5", "x"]  # type: ignore[attr-defined]
    record = seviz.collect(network, DataLoader(data, 2))
    assert record.classes.labels == ["5", "3"]
    assert record.count.tolist() == [1, 2]
    assert record.header.extra == ("x",)
    groups = seviz.collect(network, DataLoader(data, 2), seviz.PassOptions(labels="data"))
    assert groups.classes.labels == ["3", "5", "x"]
    assert "confusion" not in groups.arrays


def test_several_inputs_and_outputs() -> None:
    network = seeded(Two)
    age = torch.rand(21, 5, generator=torch.Generator().manual_seed(2))
    batches = [
        {"image": x, "age": a, "labels": y, "path": ["p"] * len(y)}
        for x, a, y in zip(cut(X), cut(age), cut(Y), strict=True)
    ]
    gates = own_gates(network, *({"image": b["image"], "age": b["age"]} for b in batches))
    record = seviz.collect(network, batches, PLAIN, output="scores", classes=CLASSES)
    np.testing.assert_array_equal(record.stats("SE_2_1").sum.sum(0), gates.sum(0))
    assert record.top1 is not None
    assert "age 5" in record.header.preprocessing.describe()
    places = [(b["image"], b["age"], b["labels"]) for b in batches]
    by_function = seviz.collect(
        network, places, PLAIN, inputs=2, output=lambda out: out["scores"], classes=CLASSES
    )
    same(record, by_function)
    whole = {"image": X, "age": age, "labels": Y}
    options = seviz.PassOptions(fast=False, batch_size=4)
    same(record, seviz.collect(network, whole, options, output="scores", classes=CLASSES))
    with FlopCounterMode(display=False) as counter:
        network(X[:1], age[:1])
    audit = seviz.audit(network, batches)
    assert audit.totals.macs == counter.get_total_flops() / 2
    with pytest.raises(DataError, match=r"classes=\[\.\.\.\]"):
        seviz.collect(network, batches)


def test_several_inputs_are_ablated_and_folded_like_gates_set_by_hand() -> None:
    network = seeded(Two)
    age = torch.rand(21, 5, generator=torch.Generator().manual_seed(2))
    batches = [{"image": X, "age": age, "labels": Y}]
    mean = torch.from_numpy(own_gates(network, {"image": X, "age": age}).mean(0)).float()
    result = seviz.ablate(network, batches, gates="mean", output="scores", classes=CLASSES)
    network.eval()
    before = network(X, age)["scores"].argmax(1) == Y
    network.se.held = mean
    after = network(X, age)["scores"]
    network.se.held = None
    right = after.argmax(1) == Y
    single = result.single[0]
    assert result.right == int(before.sum())
    assert single.lost == int((before & ~right).sum())
    assert single.won == int((right & ~before).sum())
    folded = seviz.fold(network, ["all"], batches, output="scores", classes=CLASSES)
    got = folded.loaded.model.eval()(X, age)["scores"]
    torch.testing.assert_close(got, after, rtol=1e-4, atol=1e-5)
    assert not seviz.find(folded.loaded.model, Inputs((), {"image": X, "age": age})).blocks


@pytest.mark.parametrize("by_record", [True, False])
def test_a_module_is_folded_with_its_record(by_record: bool) -> None:
    network = seeded(Net)
    record = seviz.collect(network, [(X, Y)])
    folded = seviz.fold(network, ["SE_2_1"], record if by_record else (X, Y))
    network.eval()
    network.se.held = torch.from_numpy(own_gates(network, X).mean(0)).float()
    network.eval()
    folded_network = folded.loaded.model.eval()
    torch.testing.assert_close(folded_network(X), network(X), rtol=1e-4, atol=1e-5)
    network.se.held = None
    with torch.no_grad():
        network.head.bias += 1
    with pytest.raises(DataError, match="record of Net"):
        seviz.fold(network, ["SE_2_1"], record)


def test_ablation_of_a_loader_that_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from seviz.data import keeping

    kept = seviz.ablate(seeded(Net), FORMS["loader"](), PLAIN)
    monkeypatch.setattr(keeping.KeptBatches.__init__, "__defaults__", (0,))
    again = seviz.ablate(seeded(Net), FORMS["loader"](), PLAIN)
    assert again.single == kept.single
    assert again.cumulative == kept.cumulative
    with pytest.raises(DataError, match="an iterator, which is used up"):
        seviz.ablate(seeded(Net), FORMS["generator"](), PLAIN)
    shuffling = DataLoader(
        TensorDataset(X, Y), 4, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    with pytest.raises(DataError, match="the loader shuffles"):
        seviz.ablate(seeded(Net), shuffling, PLAIN)


def test_shuffled_gates_of_a_loader_are_those_of_arrays() -> None:
    network = seeded(Net)
    one = seviz.ablate(network, FORMS["loader"](), PLAIN, gates="shuffle", seed=1)
    other = seviz.ablate(network, FORMS["pairs"](), PLAIN, gates="shuffle", seed=1)
    assert one.single == other.single
    assert one.images == 21


def test_figures_comparison_and_report_of_a_module(tmp_path: Path) -> None:
    network, other = seeded(Net), seeded(Net)
    figure = seviz.activations(network, FORMS["loader"](), ["ant", "bee", "cat"])
    figure.draw_without_rendering()
    drawn = {text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))}
    assert all(any(text.startswith(f"{name} (n = ") for text in drawn) for name in CLASSES[:3])
    assert seviz.confusion(network, data=FORMS["loader"](), class_names=CLASSES).axes
    comparison = seviz.compare(network, other, FORMS["loader"](), classes=CLASSES)
    assert comparison.top1 is not None
    assert comparison.top1.delta == 0.0
    results = seviz.report(network, FORMS["pairs"](), tmp_path, CLASSES, formats=["png"])
    assert "3x12x12, as it comes" in results.page.read_text(encoding="utf-8")
    assert results.record.classes.labels == list(CLASSES)
    with pytest.raises(UsageError, match="found none; give data="):
        seviz.activations(network)


# -------------------------------------------------------------------------------------------------
# What can go wrong: one line, and what came before is kept


def broken(change: Callable[[int, Any], Any]) -> Iterator[Any]:
    for number, pair in enumerate(zip(cut(X), cut(Y), strict=True)):
        yield change(number, pair)


def raising(number: int, pair: Any) -> Any:
    if number == 2:
        raise ValueError("a damaged file\nwith a story")
    return pair


TROUBLES: dict[str, tuple[Callable[[int, Any], Any], str]] = {
    "raises": (raising, "found ValueError: a damaged file in batch 2"),
    "another number of channels": (
        lambda n, p: (p[0][:, :1], p[1]) if n == 2 else p,
        "expected images of 3x12x12 in batch 2 of the loader, as in its first batch, found 1x12x12",
    ),
    "too small": (
        lambda n, p: (p[0][..., :2, :2], p[1]) if n == 2 else p,
        "expected the network to take batch 2 of the loader, found RuntimeError",
    ),
    "a label out of range": (
        lambda n, p: (p[0], p[1] + int(n == 2)),
        "expected labels from 0 to 2 in batch 2 of the loader, found 3",
    ),
    "a negative label": (lambda n, p: (p[0], p[1] - int(n == 2)), "found -1"),
    "no labels": (lambda n, p: p[0] if n == 2 else p, "found none; give every image a label"),
    "fewer labels": (lambda n, p: (p[0], p[1][:-1]) if n == 2 else p, "found 3 in a batch"),
    "no batch": (lambda n, p: "abc" if n == 2 else p, "found str 'abc'"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_came_before_a_failure_is_kept(trouble: str, tmp_path: Path) -> None:
    change, message = TROUBLES[trouble]
    network = seeded(Net)
    with pytest.raises(EndedEarlyError, match=message) as caught:
        seviz.collect(network, broken(change), PLAIN, folder=tmp_path)
    assert "\n" not in str(caught.value)
    record = caught.value.record
    same(record, seviz.collect(network, [(X[:4], Y[:4]), (X[4:8], Y[4:8])], PLAIN))
    assert record.header.partial
    assert record.header.images == 8
    assert seviz.Record.load(tmp_path).header.partial
    assert network.training


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([], DataError, "expected batches, found none"),
        (7, UsageError, "found a int"),
        (lambda: [(X, Y)], UsageError, "found the function <lambda>; call it"),
        ([{"a": X, "b": X}], DataError, "name them with inputs="),
        ([(X, Y + 1)], DataError, "expected labels from 0 to 2 in batch 0 .*, found 3"),
        ((X, Y[:-1]), DataError, "expected batches of tensors|expected images"),
        ([(X[:, :1], Y)], CheckpointError, "expected the network to run on images of size 1x12x12"),
        ([(X.byte(), Y)], CheckpointError, "RuntimeError"),
        (["a", "b"], DataError, "found str 'a'"),
    ],
)
def test_what_is_no_data(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        seviz.collect(seeded(Net), data, PLAIN)
    assert "\n" not in str(caught.value)


def test_names_must_be_as_many_as_outputs() -> None:
    with pytest.raises(DataError, match=r"outputs \(3\), found 2 names"):
        seviz.collect(seeded(Net), [(X, Y)], classes=["a", "b"])
    record = seviz.collect(
        seeded(Net), [(X, Y % 2)], seviz.PassOptions(labels="data"), classes=["a", "b"]
    )
    assert record.classes.labels == ["a", "b"]


class Sized:
    def __init__(self, batches: list[Any], length: int) -> None:
        self.batches, self.length = batches, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


@pytest.mark.parametrize(("length", "word"), [(9, "fewer"), (2, "more")])
def test_a_loader_that_is_not_as_long_as_it_said(
    length: int, word: str, first: seviz.Record
) -> None:
    record = seviz.collect(seeded(Net), Sized(FORMS["pairs"](), length), PLAIN, classes=CLASSES)
    same(record, first)
    assert f"the loader said it had {length} batches and gave 6, {word} than that" in (
        record.header.notes
    )


def test_a_record_is_used_again_where_the_loader_is_told_apart(tmp_path: Path) -> None:
    network = seeded(Net)
    said: list[str] = []

    def collect(**more: Any) -> seviz.Record:
        said.clear()
        return seviz.collect(network, (X, Y), folder=tmp_path, tell=said.append, **more)

    one = collect()
    assert collect().header.created >= one.header.created
    assert "collected anew: nothing tells whether the loader is the same" in said[0]
    kept = collect(fingerprint="v1")
    assert collect(fingerprint="v1").arrays is not kept.arrays
    assert "is used again" in said[0]
    collect(fingerprint="v2")
    assert not any("again" in text for text in said)
    with torch.no_grad():
        network.head.bias += 1
    collect(fingerprint="v2")
    assert not any("again" in text for text in said)


def test_a_pass_over_a_loader_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: seviz.Record
) -> None:
    from seviz.collect import resume

    monkeypatch.setattr(resume, "EVERY", 0.0)
    monkeypatch.setattr(resume, "REST", 0)
    network, said = seeded(Net), []
    with pytest.raises(EndedEarlyError):
        seviz.collect(
            network, broken(raising), PLAIN, folder=tmp_path, fingerprint="a", classes=CLASSES
        )
    with pytest.raises(DataError, match="expected to resume with the same images"):
        seviz.collect(
            network, FORMS["pairs"](), PLAIN, folder=tmp_path, fingerprint="b", resume=True
        )
    record = seviz.collect(
        network,
        FORMS["generator"](),
        PLAIN,
        folder=tmp_path,
        fingerprint="a",
        classes=CLASSES,
        resume=True,
        tell=said.append,
    )
    assert any("resumed after 8 images" in line for line in said)
    same(record, first)


def test_at_most_so_many_images_of_each_class() -> None:
    options = seviz.PassOptions(fast=False, num_samples=2)
    record = seviz.collect(seeded(Net), FORMS["pairs"](), options, classes=CLASSES)
    assert record.count.tolist() == [2, 2, 2]
    gates = own_gates(seeded(Net), X[:6])
    np.testing.assert_allclose(record.stats("SE_2_1").sum.sum(0), gates.sum(0), rtol=1e-6)


def test_options_of_batches_need_batches() -> None:
    with pytest.raises(UsageError, match="expected classes with a loader, found digits"):
        seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits", classes=["a"])
    with pytest.raises(UsageError, match="found split='val'"):
        seviz.collect(seeded(Net), [(X, Y)], seviz.PassOptions(split="val"))


def test_a_loader_may_say_all_itself(first: seviz.Record) -> None:
    loader = seviz.Loader(FORMS["pairs"](), classes=CLASSES, name="pictures", fingerprint="1")
    record = seviz.collect(seeded(Net), loader, PLAIN)
    same(record, first)
    assert record.header.source == "pictures"
    assert record.header.request


class Logits(Net):
    """As networks of Hugging Face answer."""

    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:  # type: ignore[override]
        assert labels is None
        return {"loss": None, "logits": super().forward(pixel_values)}


def test_an_output_called_logits_is_the_one_that_counts(first: seviz.Record) -> None:
    record = seviz.collect(seeded(Logits), FORMS["hub's dicts"](), PLAIN, classes=CLASSES)
    same(record, first)


# -------------------------------------------------------------------------------------------------
# Several processes


def summed(one: seviz.Record, other: seviz.Record) -> None:
    """Counts, extremes and the sample exactly; sums are added in another order."""
    assert one.classes.labels == other.classes.labels
    for name, array in one.arrays.items():
        if array.dtype.kind == "f" and not name.endswith(("minimum", "maximum")):
            np.testing.assert_allclose(other.arrays[name], array, rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(other.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("dealt", [False, True])
def test_processes_share_a_loader(size: int, dealt: bool, first: seviz.Record) -> None:
    def make(ranks: Any) -> seviz.Record:
        data = TensorDataset(X, Y)
        sampler = DistributedSampler(data, size, ranks.rank, shuffle=False) if dealt else None
        loader = seviz.Loader(DataLoader(data, 4, sampler=sampler), classes=CLASSES)
        return execute(prepare(seeded(Net), loader, PLAIN), ranks=ranks)

    for record in shared(size, make):
        assert record.header.images == 21
        assert record.count.tolist() == [7, 7, 7]  # also where the sampler gives some images twice
        if not dealt:
            summed(first, record)
        np.testing.assert_array_equal(record.arrays["sample/index"], first.arrays["sample/index"])


def test_processes_need_to_know_the_length() -> None:
    def make(ranks: Any) -> seviz.Record:
        return execute(prepare(seeded(Net), FORMS["generator"](), PLAIN), ranks=ranks)

    with pytest.raises(DataError, match="how many batches it has for several processes"):
        shared(2, make)


@pytest.mark.parametrize("how", ["wrapped", "in place"])
def test_a_compiled_network_is_read_as_it_is_written(how: str) -> None:
    loaded = seviz.load(seviz.sample("se_resnet_digits"))
    x = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    loader = [(x, torch.arange(100) % 10)]
    plain = seviz.collect(loaded.model, loader, PLAIN)
    network: Any = loaded.model
    if how == "wrapped":
        network = torch.compile(network, backend="eager")
    else:
        network.compile(backend="eager")
    before = network._compiled_call_impl
    compiled = seviz.collect(network, loader, PLAIN)
    assert network._compiled_call_impl is before
    for name, array in plain.arrays.items():
        assert np.array_equal(compiled.arrays[name], array), name


@pytest.mark.parametrize(
    ("loader", "classes", "said"),
    [
        (
            [(X[:6], Y[:5])],
            CLASSES,
            "a label for each of 6 images, found 5 in a batch",
        ),
        ([(X[:2], ["cat"])], CLASSES, "a label for each of 2 images, found 1 in a batch"),
        ([(X[:6], Y[:6])], ["cat"] * len(CLASSES), "found 'cat' for several; tell them apart"),
    ],
)
def test_labels_and_names_that_do_not_fit(loader: Any, classes: list[str], said: str) -> None:
    with pytest.raises(SevizError, match=said):
        seviz.collect(seeded(Net), loader, PLAIN, classes=classes)


def test_what_a_record_prints_is_one_line() -> None:
    record = seviz.collect(seeded(Net), [(X, Y)], PLAIN, classes=CLASSES)
    assert repr(record).startswith(f"<Record of Net: {len(X)} images, ")
    assert len(repr(record)) < 120


def test_a_warning_names_the_line_of_the_user() -> None:
    with pytest.warns(seviz.RecordWarning) as seen:
        seviz.collect(seeded(Net), [(X, Y)], PLAIN, classes=CLASSES)
    assert {Path(w.filename).name for w in seen} == {Path(__file__).name}


def test_answers_outside_of_the_data_have_the_right_names() -> None:
    """Of five classes the data names three, in an order of its own, and one of these has no image."""
    network = replace(as_loaded(seeded(Five)), classes=ClassTable.from_labels("abcde"))
    data = Pairs(X, torch.arange(21) % 2)
    data.classes = ["e", "a", "c"]
    with torch.no_grad():
        for place, answer in enumerate("bcd"):
            network.model.head.bias.copy_(20.0 * torch.eye(5)["abcde".index(answer)])
            record = seviz.collect(network, DataLoader(data, 7), tell=lambda said: None)
            found = seviz.evaluate(record)
            assert found.labels == ("a", "e")
            assert found.others == ("b", "c", "d")
            assert found.elsewhere.tolist() == [10, 11]
            assert found.counts[:, 2 + place].tolist() == [10, 11]
            assert {c.predicted for c in seviz.ranked_confusions(found)} == {answer}


def test_images_that_a_loader_leaves_out_are_said() -> None:
    whole = DataLoader(TensorDataset(X, Y), 4)
    some = DataLoader(TensorDataset(X, Y), 4, drop_last=True)
    few = DataLoader(TensorDataset(X[:20], Y[:20]), 4, drop_last=True)
    notes = [seviz.collect(seeded(Net), loader).header.notes for loader in (whole, some, few)]
    said = "the loader leaves out 1 of 21 images (drop_last)"
    assert [said in n for n in notes] == [False, True, False]
    assert not any("leaves out" in note for note in (*notes[0], *notes[2]))


@pytest.mark.parametrize(
    "given",
    [
        {"cat": 2, "ant": 0, "bee": 1},
        {2: "cat", 0: "ant", 1: "bee"},
        {"2": "cat", "0": "ant", "1": "bee"},
        np.array(CLASSES),
        tuple(name.encode() for name in CLASSES),
        iter(CLASSES),
    ],
    ids=["class_to_idx", "id2label", "text", "array", "bytes", "iterator"],
)
def test_classes_in_the_forms_that_people_have(given: Any) -> None:
    record = seviz.collect(seeded(Net), [(X, Y)], PLAIN, classes=given)
    assert record.classes.labels == list(CLASSES)
    assert record.count.tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (set(CLASSES), "a set"),
        ("abc", "str 'abc'"),
        ({"ant": 1, "bee": 2, "cat": 3}, "a dict"),
        ({"ant": 0, "bee": 0, "cat": 1}, "a dict"),
    ],
)
def test_classes_of_which_nobody_knows_the_order(given: Any, found: str) -> None:
    with pytest.raises(UsageError, match=f"in the order of their numbers.* found {found}"):
        seviz.collect(seeded(Net), [(X, Y)], PLAIN, classes=given)
