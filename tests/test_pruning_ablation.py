"""Replacing gates: against loops written by hand, with hooks, NumPy and no other part of seviz."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Tiny, at_night, crossed
from dialects import SETTABLE, Dialect, set_by_hand, true_gates
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import seviz
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.run import collect
from seviz.cost import split, without_se
from seviz.data import Batch, KeptBatches
from seviz.errors import CheckpointError, DataError, NoSEBlockError, UsageError
from seviz.gates import find, trace
from seviz.networks import LoadedModel
from seviz.networks.architectures.registry import build
from seviz.pruning.ablation import study as study_module
from seviz.pruning.ablation.study import Study
from seviz.pruning.ablation.tally import Tally
from seviz.results.ablation import Ablation
from seviz.results.alarms import alarms
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing

LABELS = ["ant", "bee", "cat", "dog"]
SMALL = Preprocessing((3, 16, 16), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "checkpoint")
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


@dataclass(frozen=True)
class Case:
    """A network, images on disk, and the same images as tensors in the order of the files."""

    loaded: LoadedModel
    folder: Path
    images: Tensor
    targets: Tensor

    @property
    def blocks(self) -> list[str]:
        return [b.name for b in find(self.loaded.model, SMALL.input_size).blocks]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Return the SE module of each block: it returns its input times the gate."""
        found = find(self.loaded.model, SMALL.input_size).blocks
        return {b.name: self.loaded.model.get_submodule(b.path) for b in found}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Unbalanced classes; two thirds of the images lie in the folder of what the network says."""
    torch.manual_seed(0)
    model = build("se_resnet14", num_classes=4, reduction=4, widths=(8, 8, 16)).eval()
    for name, tensor in model.state_dict().items():
        if ".fc." in name:
            tensor.mul_(6)  # gates that move
    rng = np.random.default_rng(0)
    pixels = np.stack([rng.normal(rng.uniform(40, 215, 3), 60, (16, 16, 3)) for _ in range(60)])
    pixels = pixels.clip(0, 255).astype(np.uint8)
    with torch.no_grad():
        logits = model(tensor_of(pixels))
        # Without its favourite, the network says different things of different images.
        model.fc.bias.sub_(logits.mean(0))
        said = (logits - logits.mean(0)).argmax(1)
    folder = tmp_path_factory.mktemp("ablation")
    targets = [int(s) if i % 3 else int(rng.integers(0, 4)) for i, s in enumerate(said)]
    order = sorted(range(60), key=lambda i: (targets[i], i))
    for i in order:
        (folder / LABELS[targets[i]]).mkdir(exist_ok=True)
        Image.fromarray(pixels[i]).save(folder / LABELS[targets[i]] / f"{i:02}.png")
    counts = np.bincount(targets, minlength=4)
    assert len(set(counts.tolist())) > 2
    loaded = LoadedModel(
        model, "net.pt", "se_resnet14", "0" * 64, ClassTable.from_labels(LABELS), SMALL
    )
    return Case(loaded, folder, tensor_of(pixels[order]), torch.tensor(targets)[order])


def tensor_of(pixels: np.ndarray[Any, Any]) -> Tensor:
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25


@contextmanager
def hooked(case: Case, gates: dict[str, Tensor]) -> Iterator[None]:
    """Let SE modules scale with other gates, [C] or [N, C]."""

    def hook(gate: Tensor) -> Callable[..., Tensor]:
        return lambda module, args, output: (
            args[0] * gate.to(args[0].dtype).view(-1, gate.shape[-1], 1, 1)
        )

    handles = [case.modules[n].register_forward_hook(hook(g)) for n, g in gates.items()]
    yield
    for handle in handles:
        handle.remove()


@torch.no_grad()
def gates_by_hand(case: Case) -> dict[str, Tensor]:
    """Return the gates of all images [N, C]: what the SE module returns over what it was given."""
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, output: Tensor) -> None:
            down, up = (m for m in module.modules() if isinstance(m, nn.Linear))
            squeezed = args[0].mean((2, 3))
            seen[name] = torch.sigmoid(up(torch.relu(down(squeezed))))
            torch.testing.assert_close(output, args[0] * seen[name][:, :, None, None])

        return keep

    handles = [m.register_forward_hook(hook(n)) for n, m in case.modules.items()]
    case.loaded.model(case.images)
    for handle in handles:
        handle.remove()
    return seen


@torch.no_grad()
def right(case: Case, gates: dict[str, Tensor]) -> Tensor:
    with hooked(case, gates):
        return case.loaded.model(case.images).argmax(1) == case.targets


def check_by_hand(case: Case, result: Ablation, gates: dict[str, Tensor]) -> None:
    before = right(case, {})
    assert (result.images, result.right) == (60, int(before.sum()))
    changes = 0
    for part in (*result.single, *result.cumulative):
        after = right(case, {n: gates[n] for n in part.blocks})
        assert part.lost == int((before & ~after).sum())
        assert part.won == int((~before & after).sum())
        assert result.top1_with(part) == pytest.approx(after.float().mean().item())
        changes += part.lost + part.won
    assert changes > 10  # else nothing was tested


@pytest.mark.parametrize("by", [at_night("block"), "stage"])
def test_gates_of_one(case: Case, by: Any) -> None:
    result = seviz.ablate(case.loaded, str(case.folder), by=by, gates="one")
    names = case.blocks
    ones = {n: torch.ones(16 if n.startswith("SE_4") else 8) for n in names}
    check_by_hand(case, result, ones)
    if by == "block":
        assert [s.name for s in result.single] == names
    else:
        assert [s.name for s in result.single] == ["SE_2", "SE_3", "SE_4"]
        assert result.single[1].blocks == ("SE_3_1", "SE_3_2")
    assert set(result.cumulative[-1].blocks) == set(names)


@pytest.mark.parametrize(
    ("source", "batch"),
    [
        ("first pass", 59),
        *map(at_night, (("record", 64), ("first pass", 64), ("record", 59))),
    ],
)
def test_mean_over_images_and_not_over_classes(case: Case, source: str, batch: int) -> None:
    options = PassOptions(batch_size=batch, workers=0)
    record = collect(case.loaded, str(case.folder)) if source == "record" else None
    result = seviz.ablate(case.loaded, str(case.folder), options, gates="mean", record=record)
    own = {n: g.double().numpy() for n, g in gates_by_hand(case).items()}
    means = {n: torch.from_numpy(g.mean(0)).float() for n, g in own.items()}
    of_classes = np.stack([own["SE_4_2"][case.targets == k].mean(0) for k in range(4)]).mean(0)
    assert np.abs(of_classes - own["SE_4_2"].mean(0)).max() > 0.001
    check_by_hand(case, result, means)
    assert any("every image weighing the same" in note for note in result.notes)
    assert any(("record of" if record else "first pass") in note for note in result.notes)


@pytest.mark.parametrize("batch", [at_night(2), 59, at_night(60)])
def test_gates_of_another_image(case: Case, batch: int) -> None:
    result = seviz.ablate(
        case.loaded,
        str(case.folder),
        PassOptions(batch_size=batch, workers=0),
        gates="shuffle",
        seed=3,
    )
    # The images in random order, each with the gates of the one before; the first with the last one's.
    order = np.random.default_rng(3).permutation(np.arange(60))
    giver = np.empty(60, int)
    giver[order] = np.roll(order, 1)
    assert sorted(giver) == list(range(60))
    assert (giver != np.arange(60)).all()
    check_by_hand(case, result, {n: g[giver] for n, g in gates_by_hand(case).items()})


def test_givers_of_gates_are_of_any_class() -> None:
    # In the order of the classes, a batch of 10 would give 10 images of one class each other's gates.
    labels, same = np.repeat(np.arange(10), 100), []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(1000)
        same.append((labels[order] == labels[np.roll(order, 1)]).mean())
    # 99 of the 999 other images are of the same class; the mean of 20 such shares has a deviation of 0.002.
    assert np.mean(same) == pytest.approx(99 / 999, abs=0.01)


def test_the_order_of_the_cumulative_part(case: Case) -> None:
    result = seviz.ablate(case.loaded, str(case.folder))
    singles = {s.name: s for s in result.single}
    ranks = [singles[c.name].lost - singles[c.name].won for c in result.cumulative]
    assert ranks == sorted(ranks)
    for one, other in zip(result.cumulative, result.cumulative[1:], strict=False):
        assert other.blocks == (*one.blocks, other.name)
        if singles[one.name].lost - singles[one.name].won == ranks[0]:
            assert one.params > 0
    first = result.cumulative[0]
    assert (first.lost, first.won) == (singles[first.name].lost, singles[first.name].won)


def test_the_same_top1_as_collect(case: Case) -> None:
    digits = seviz.load(seviz.sample("se_resnet_digits"))
    for loaded, data, options, gates in (
        (case.loaded, str(case.folder), PassOptions(batch_size=16, workers=0), "one"),
        (case.loaded, str(case.folder), PassOptions(num_samples=3), "shuffle"),
        (case.loaded, str(case.folder), PassOptions(amp_dtype="bfloat16"), "mean"),
        (digits, "digits", PassOptions(), "one"),
    ):
        result = seviz.ablate(loaded, data, options, by="stage", gates=gates)  # type: ignore[arg-type]
        record = collect(loaded, data, options)
        assert result.images == record.header.images
        assert result.top1 == record.top1
        assert result.dtype == record.header.dtype


def test_all_gates_at_one_is_the_network_without_se() -> None:
    loaded = seviz.load(seviz.sample("se_resnet_digits"))
    result = seviz.ablate(loaded, "digits")
    twin = without_se(loaded.model, split(trace(loaded.model, (1, 8, 8))))
    record = collect(replace(loaded, model=twin), "digits", PassOptions(require_se=False))
    assert result.top1_with(result.cumulative[-1]) == record.top1
    assert result.cumulative[-1].params == result.se_params
    assert result.params - result.se_params == sum(p.numel() for p in twin.parameters())


def test_mixed_precision_is_that_of_the_network(case: Case) -> None:
    options = PassOptions(amp_dtype="bfloat16", batch_size=16, workers=0)
    result = seviz.ablate(case.loaded, str(case.folder), options)
    assert result.dtype == "bfloat16 autocast"
    ones = {n: torch.ones(16 if n.startswith("SE_4") else 8) for n in case.blocks}
    with torch.autocast("cpu", torch.bfloat16):
        check_by_hand(case, result, ones)


# -------------------------------------------------------------------------------------------------
# Every dialect


@pytest.mark.parametrize(
    ("dialect", "what"),
    crossed(SETTABLE[::6], ["one", "mean", "shuffle"], of=3),
    ids=lambda value: getattr(value, "name", value),
)
def test_dialects(dialect: Dialect, what: str) -> None:
    model = dialect.build()
    example = dialect.example(7, seed=2)
    traced = trace(model, dialect.input_size)
    blocks = traced.found.blocks
    own = [g.float() for g in true_gates(model, example)]
    assert len(own) == len(blocks)
    with torch.no_grad():
        said = model(example).argmax(1)
    outputs = traced.found.outputs or 0
    rows = torch.where(torch.arange(7) % 3 > 0, said, (said + 1) % outputs)
    new = {
        "one": [torch.ones(1, g.shape[1]) for g in own],
        "mean": [g.double().mean(0, keepdim=True).float() for g in own],
        "shuffle": [g.roll(1, 0) for g in own],
    }[what]
    batches = [
        Batch(example[a:b], rows[a:b], torch.arange(a, b)) for a, b in ((0, 4), (4, 6), (6, 7))
    ]
    ready = SimpleNamespace(
        loaded=SimpleNamespace(
            model=model, preprocessing=SimpleNamespace(input_size=dialect.input_size)
        ),
        device=CPU,
        reduced=None,
        targets=list(range(outputs)),
        blocks=blocks,
    )
    study = Study(ready, traced, batches)  # type: ignore[arg-type]
    gates: dict[str, Tensor] | None = None
    if what == "mean":
        # A gate alone leaves the shift that follows it as it is, as the gates set by hand do.
        means = study.means()
        gates = {b.name: torch.from_numpy(means[b.name][: b.channels]).float() for b in blocks}
        for name, expected in zip(gates, new, strict=True):
            torch.testing.assert_close(gates[name], expected[0], rtol=1e-4, atol=1e-5)
    elif what == "one":
        gates = {b.name: torch.ones(b.channels) for b in blocks}
    sets = {b.name: (b.name,) for b in blocks}
    single, _ = study.one_at_a_time(sets, gates)
    together = study.together(sets, gates)
    before = said == rows

    def counts(numbers: range) -> tuple[int, int]:
        with set_by_hand({i: new[i] for i in numbers}), torch.no_grad():
            after = model(example).argmax(1) == rows
        return int((before & ~after).sum()), int((~before & after).sum())

    assert single.images == 7
    for i in range(len(blocks)):
        assert (single.lost[i], single.won[i]) == counts(range(i, i + 1))
        assert (together.lost[i], together.won[i]) == counts(range(i + 1))


# -------------------------------------------------------------------------------------------------
# The work


def test_work_of_the_single_runs_against_full_passes() -> None:
    torch.manual_seed(0)
    model = build("se_resnet20", reduction=8).eval()
    loaded = LoadedModel(
        model, "n", "se_resnet20", "", None, replace(SMALL, input_size=(3, 32, 32))
    )
    traced = trace(model, (3, 32, 32))
    rows = torch.zeros(8, dtype=torch.int64)
    images = torch.rand(8, 3, 32, 32)
    ready = SimpleNamespace(
        loaded=loaded, device=CPU, reduced=None, targets=[0], blocks=traced.found.blocks
    )
    study = Study(ready, traced, [Batch(images, rows, torch.arange(8))])  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as naive, torch.no_grad():
        model(images)
    full = naive.get_total_flops()
    names = [b.name for b in traced.found.blocks]
    sets = {name: (name,) for name in names}
    ones = {b.name: torch.ones(b.channels) for b in traced.found.blocks}
    with FlopCounterMode(display=False) as counted:
        study.one_at_a_time(sets, ones)
    assert counted.get_total_flops() <= 0.6 * (len(names) + 1) * full
    with FlopCounterMode(display=False) as counted:
        study.means()
    assert counted.get_total_flops() == full
    for order in (names, names[::-1]):
        with FlopCounterMode(display=False) as counted:
            study._seen = study._seen[-1:]
            study.together({name: (name,) for name in order}, ones)
        assert counted.get_total_flops() <= 0.6 * (len(names) + 1) * full


@pytest.mark.parametrize(("most", "passes"), [(2**30, 1), (0, 3)])
def test_images_are_decoded_once_where_they_fit(
    case: Case, monkeypatch: pytest.MonkeyPatch, most: int, passes: int
) -> None:
    decoded: list[int] = []
    ready = prepare(case.loaded, str(case.folder), PassOptions(workers=0))
    plain = type(ready.source).image

    def image(self: Any, index: int) -> Any:
        decoded.append(index)
        return plain(self, index)

    monkeypatch.setattr(type(ready.source), "image", image)
    monkeypatch.setattr(KeptBatches.__init__, "__defaults__", (most,))
    result = seviz.ablate(case.loaded, str(case.folder), PassOptions(workers=0), gates="mean")
    assert result.images == 60
    assert sorted(decoded) == sorted([*range(60)] * passes)


def test_the_network_is_as_before(case: Case) -> None:
    model = case.loaded.model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    seviz.ablate(case.loaded, str(case.folder))
    assert all(m.training and not m._forward_hooks for m in model.modules())
    model.eval()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# -------------------------------------------------------------------------------------------------
# Interruptions, and what is refused


def interrupting(after: int) -> Callable[[int], Any]:
    """Return a progress that presses Ctrl-C with the given batch."""
    seen: list[int] = []

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], None]]:
        def batch(count: int) -> None:
            seen.append(count)
            if len(seen) == after:
                signal.raise_signal(signal.SIGINT)

        yield batch

    return progress


@pytest.mark.parametrize("gates", ["one", "shuffle"])
def test_interrupted_while_one_at_a_time(case: Case, gates: Any) -> None:
    options, handler = PassOptions(batch_size=20, workers=0), signal.getsignal(signal.SIGINT)
    result = seviz.ablate(
        case.loaded, str(case.folder), options, gates=gates, progress=interrupting(2)
    )
    assert result.partial
    assert result.images == 40 - (gates == "shuffle")
    assert result.cumulative == ()
    if gates == "one":
        assert result.right == int(right(case, {})[:40].sum())
    assert signal.getsignal(signal.SIGINT) is handler


def test_interrupted_later_and_earlier(case: Case) -> None:
    options = PassOptions(batch_size=20, workers=0)
    whole = seviz.ablate(case.loaded, str(case.folder), options)
    result = seviz.ablate(case.loaded, str(case.folder), options, progress=interrupting(5))
    assert result.partial
    assert (result.images, result.single, result.cumulative) == (60, whole.single, ())
    with pytest.raises(KeyboardInterrupt):
        seviz.ablate(case.loaded, str(case.folder), options, gates="mean", progress=interrupting(2))


def test_progress_counts_every_image_of_every_pass(case: Case) -> None:
    seen: list[int] = []

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], None]]:
        seen.append(-total)
        yield seen.append

    for gates, passes in (("one", 2), ("mean", 3), ("shuffle", 2)):
        seen.clear()
        seviz.ablate(case.loaded, str(case.folder), gates=gates, progress=progress)  # type: ignore[arg-type]
        assert seen[0] == -60 * passes
        assert sum(seen) == 0


def test_records_of_something_else(case: Case, refuses: Refuses) -> None:
    record = collect(case.loaded, str(case.folder))
    header = record.header
    others = {
        "checkpoint": replace(header, checkpoint_sha256="1" * 64),
        "source": replace(header, source="elsewhere"),
        "split": replace(header, split="train"),
        "preprocessing": replace(header, preprocessing=replace(SMALL, interpolation="bicubic")),
        "type of numbers": replace(header, dtype="bfloat16 autocast"),
        "number of images": replace(header, images=59),
        "end": replace(header, partial=True),
    }
    for what, other in others.items():
        with refuses(DataError, f"another {what}"):
            seviz.ablate(
                case.loaded,
                str(case.folder),
                gates="mean",
                record=replace(record, header=other),
            )
    plain = seviz.ablate(case.loaded, str(case.folder), gates="mean")
    other = replace(record, header=others["split"])
    again = seviz.ablate(case.loaded, str(case.folder), gates="mean", record=other, must_fit=False)
    assert again.single == plain.single
    assert again.notes == plain.notes


def test_a_record_of_other_images_of_the_same_name(
    case: Case, refuses: Refuses, tmp_path: Path
) -> None:
    for file in sorted(case.folder.rglob("*.png")):
        target = tmp_path / case.folder.name / file.relative_to(case.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(file))).save(target)
    record = collect(case.loaded, str(tmp_path / case.folder.name))
    with refuses(DataError, "record of these images", "differ by"):
        seviz.ablate(case.loaded, str(case.folder), gates="mean", record=record)


def test_what_is_refused(case: Case, refuses: Refuses, tmp_path: Path) -> None:
    folder = str(case.folder)
    for words, part in (
        ({"by": "channel"}, "block, stage"),
        ({"gates": "zero"}, "one, mean, shuffle"),
        ({"record": collect(case.loaded, folder)}, "record with mean gates"),
        ({"options": PassOptions(without_squeeze=True)}, "--without-squeeze"),
    ):
        with refuses(UsageError, part):
            seviz.ablate(case.loaded, folder, **words)  # type: ignore[arg-type]
    plain = replace(case.loaded, model=build("resnet14", num_classes=4).eval())
    with pytest.raises(NoSEBlockError):
        seviz.ablate(plain, folder)
    with refuses(DataError, "score predictions"):
        seviz.ablate(replace(case.loaded, classes=None), folder)
    (tmp_path / "ant").mkdir()
    file = next((case.folder / "ant").iterdir())
    (tmp_path / "ant" / "one.png").write_bytes(file.read_bytes())
    with refuses(DataError, "two images or more"):
        seviz.ablate(case.loaded, str(tmp_path), gates="shuffle")
    (tmp_path / "ant" / "cut.png").write_bytes(file.read_bytes()[:100])
    result = seviz.ablate(case.loaded, str(tmp_path))
    assert result.images == 1
    assert [name for name, _ in result.skipped] == ["ant/cut.png"]
    assert any(note == "no images of bee, cat, dog" for note in result.notes)


def test_outputs_that_are_not_numbers(case: Case, refuses: Refuses) -> None:
    broken = build("se_resnet14", num_classes=4, reduction=4, widths=(8, 8, 16)).eval()
    with torch.no_grad():
        broken.fc.bias.fill_(float("nan"))
    with refuses(CheckpointError, "NaN or Inf for 60 images"):
        seviz.ablate(replace(case.loaded, model=broken), str(case.folder))
    tally = Tally(["SE_2_1", "SE_2_2"], torch.arange(3))
    rows = torch.tensor([0, 1])
    fine = torch.tensor([[1.0, 0.0, -torch.inf], [0.0, 2.0, 1.0]])
    before = tally.undisturbed(fine, rows)
    tally.add(0, fine, rows, before)
    tally.add(1, torch.tensor([[1.0, 0.0, torch.nan], [0.0, 2.0, 1.0]]), rows, before)
    with refuses(CheckpointError, "with the gates of SE_2_2 replaced", "for 1 images"):
        tally.changes()


def test_answers_that_are_constant_are_told_as_in_a_record(case: Case, tmp_path: Path) -> None:
    """Nine of ten images are of the class that is always answered: most are right, and by nobody's merit."""
    for source in sorted(case.folder.glob("*/*.png")):
        name = source.parent.name
        if name == "bee" or (name == "cat" and len(list((tmp_path).glob("cat/*"))) < 1):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / source.name).write_bytes(source.read_bytes())
    model = build("se_resnet14", num_classes=4, reduction=4, widths=(8, 8, 16)).eval()
    with torch.no_grad():
        model.fc.bias[1] = 100
    loaded = replace(case.loaded, model=model)
    result = seviz.ablate(loaded, str(tmp_path), gates="mean")
    assert result.top1 > 0.9
    said = [n for n in result.notes if "answers are constant: bee for all" in n]
    assert len(said) == 1
    record = seviz.collect(loaded, str(tmp_path), tell=lambda text: None)
    assert [a.partition(" (")[0] for a in alarms(record)] == [said[0].partition(" (")[0]]


def test_images_that_change_between_passes(case: Case, refuses: Refuses) -> None:
    study = study_module
    step = study._Step(torch.zeros(2, 1), torch.zeros(2), torch.tensor([3, 4]))
    same = (torch.tensor([3, 4]), torch.tensor([True, False]))
    assert study._same_images(step, iter([same])) is same[1]
    for seen in ([(torch.tensor([3, 5]), same[1])], []):
        with refuses(DataError, "same images in every pass"):
            study._same_images(step, iter(seen))


def test_images_of_sixteen_bits_are_told_of(tiny: Tiny, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("ant", "cat"):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = rng.integers(0, 65536, (24, 24), dtype=np.uint16)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    loaded = seviz.load(tiny.path)
    loaded = replace(loaded, classes=ClassTable.from_labels(["ant", "bee", "cat", "dog"]))
    notes = seviz.ablate(loaded, str(tmp_path), PassOptions(workers=0), by="stage").notes
    assert any(note.startswith("16-bit images: values divided by 256") for note in notes)
