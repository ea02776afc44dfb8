"""From checkpoint and image files to a record: the whole way, on real files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seviz
from seviz.analysis.curves import default_classes
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.run import collect
from seviz.data import open_source
from seviz.errors import CheckpointError, DataError, NoSEBlockError, UsageError
from seviz.gates import evaluating
from seviz.networks import LoadedModel
from seviz.networks.architectures.registry import build
from seviz.results.classes import ClassTable
from seviz.results.predictions import PredictionTable
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

LABELS = ["ant", "bee", "cat", "dog"]
SMALL = Preprocessing((3, 16, 16), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "checkpoint")


def loaded(classes: list[str] | None = LABELS, outputs: int = 4) -> LoadedModel:
    torch.manual_seed(0)
    model = build("se_resnet14", num_classes=outputs, reduction=4).eval()
    table = ClassTable.from_labels(classes) if classes is not None else None
    return LoadedModel(model, "net.pt", "se_resnet14", "0" * 64, table, SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images in each of three of the four class folders; the second class has none."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for level, name in enumerate(("ant", "cat", "dog")):
        (root / name).mkdir()
        for i in range(5):
            pixels = rng.integers(0, 80 + 80 * level, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def same_numbers(a: Record, b: Record) -> None:
    assert np.array_equal(a.count, b.count)
    for block in a.blocks:
        one, other = a.stats(block.name), b.stats(block.name)
        np.testing.assert_allclose(one.mean, other.mean, atol=1e-6, rtol=0)
        np.testing.assert_allclose(one.std, other.std, atol=1e-6, rtol=0)


def test_a_missing_class_shifts_no_label(folder: Path) -> None:
    """Row by row the record holds the images of the class it names."""
    net = loaded()
    record = collect(net, str(folder))
    assert record.classes.labels == ["ant", "cat", "dog"]
    assert [c.index for c in record.classes.classes] == [0, 2, 3]
    assert record.header.missing == ("bee",)
    assert record.count.tolist() == [5, 5, 5]
    block = record.blocks[0]
    for row, name in enumerate(record.classes.labels):
        alone = collect(net, str(folder), PassOptions(num_samples=5))
        assert alone.classes.labels[row] == name
        files = sorted((folder / name).iterdir())
        x = torch.stack(
            [torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1) / 255 for f in files]
        )
        with torch.no_grad(), evaluating(net.model), seviz.Tap(net.model, _readings(net)) as tap:
            net.model((x - 0.5) / 0.25)
            gates = tap.take()[block.name].double().numpy()
        np.testing.assert_allclose(record.stats(block.name).mean[row], gates.mean(0), atol=1e-6)


def test_folders_in_sorted_order_are_the_outputs(folder: Path, tmp_path: Path) -> None:
    """A checkpoint that names no classes, scored on the user's word."""
    images = tmp_path / "images"
    for name in LABELS:
        here = folder / name if (folder / name).is_dir() else folder / "ant"
        shutil.copytree(here, images / name)
    net = loaded()
    nameless = replace(net, classes=None)
    assert "confusion" not in collect(nameless, str(images)).arrays
    record = collect(nameless, str(images), PassOptions(labels="sorted"))
    assert record.classes.labels == sorted(LABELS)
    expected = collect(net, str(images)).arrays["confusion"]
    np.testing.assert_array_equal(record.arrays["confusion"], expected)
    assert any("sorted order" in n for n in record.header.notes)
    shutil.rmtree(images / "bee")
    with pytest.raises(DataError, match=r"as many folders as the network has outputs \(4\)"):
        collect(nameless, str(images), PassOptions(labels="sorted"))


def test_an_order_that_is_written_elsewhere_is_said(folder: Path, tmp_path: Path) -> None:
    """In the checkpoint, and in a file of the images or above them."""
    for name in LABELS:
        shutil.copytree(folder / "ant", tmp_path / "set" / "test" / name)
    net = loaded()
    backwards = ClassTable.from_labels(LABELS[::-1])

    def notes(net: LoadedModel, order: str = "sorted") -> str:
        options = PassOptions(labels=order)  # type: ignore[arg-type]
        return " ".join(prepare(net, str(tmp_path / "set"), options).notes)

    assert "another order" not in notes(net)
    said = notes(replace(net, classes=backwards), "natural")
    assert "the checkpoint names these classes in another order (output 0 is dog, not ant)" in said
    assert "leave --labels natural out" in said
    # Names of other classes say nothing of these.
    others = ClassTable.from_labels(["w", "x", "y", "z"])
    assert "another order" not in notes(replace(net, classes=others))
    nameless = replace(net, classes=None)
    for place in ("set/test", "set"):
        file = tmp_path / place / "classes.txt"
        file.write_text("\n".join(LABELS))
        assert "another order" not in notes(nameless)
        file.write_text("\n".join([*LABELS[:2], "Dog", "cat"]))
        said = notes(nameless)
        assert "classes.txt with the images has these classes in another order" in said
        assert "(output 2 is Dog, not cat)" in said
        assert "--class-names" in said
        file.unlink()
    (tmp_path / "set/classes.txt").write_text("\n".join(["a", "b", "c", "d"]))
    assert "another order" not in notes(nameless)


def _readings(net: LoadedModel) -> object:
    return seviz.find(net.model, net.preprocessing.input_size)


@pytest.mark.parametrize(
    "options",
    [
        PassOptions(batch_size=1),
        PassOptions(batch_size=4),
        PassOptions(batch_size=4, workers=2),
        PassOptions(batch_size=100, workers=1),
    ],
    ids=["one", "four", "two-workers", "one-worker"],
)
def test_batches_and_workers_change_nothing(folder: Path, options: PassOptions) -> None:
    net = loaded()
    same_numbers(
        collect(net, str(folder), PassOptions(workers=0)), collect(net, str(folder), options)
    )


def test_digits_equal_numpy_on_all_gates() -> None:
    """The sample network on real images, against a hook of our own and NumPy."""
    net = seviz.load(seviz.sample("se_resnet_digits"))
    record = seviz.collect(net, "digits")
    source = open_source("digits")
    pixels = np.stack([np.asarray(source.image(i)) for i in range(len(source))])
    mean, std = net.preprocessing.mean[0], net.preprocessing.std[0]
    x = torch.from_numpy((pixels[:, None] / 255 - mean) / std).float()
    kept: list[torch.Tensor] = []
    handle = net.model.get_submodule("layer3.1.se.fc").register_forward_hook(
        lambda m, a, out: kept.append(out)
    )
    with torch.no_grad():
        predicted = net.model(x).argmax(1).numpy()
    handle.remove()
    gates = kept[0].double().numpy()
    stats = record.stats("SE_4_2")
    for k in range(10):
        own = gates[source.labels == k]
        assert stats.count[k] == len(own)
        np.testing.assert_allclose(stats.mean[k], own.mean(0), atol=1e-6, rtol=0)
        np.testing.assert_allclose(stats.std[k], own.std(0), atol=1e-6, rtol=0)
    assert record.top1 == (predicted == source.labels).mean()


def test_the_card_of_the_digits_is_true() -> None:
    """The script that trained it and the pass agree on the accuracy."""
    path = seviz.sample("se_resnet_digits")
    card = json.loads(path.with_suffix(".json").read_text())
    record = seviz.collect(seviz.load(path), "digits")
    assert record.header.images == card["test_images"]
    assert record.top1 == pytest.approx(card["top1"], abs=1e-9)


def test_extra_folders_are_left_out_and_named(folder: Path) -> None:
    record = collect(loaded(["ant", "bee", "cat", "elk"]), str(folder))
    assert record.header.extra == ("dog",)
    assert record.header.images == 10


def test_folders_as_classes_of_their_own(folder: Path) -> None:
    record = collect(loaded(["w", "x", "y", "z"]), str(folder), PassOptions(labels="data"))
    assert record.classes.labels == ["ant", "cat", "dog"]
    assert record.top1 is None


def test_no_folder_is_a_class(folder: Path) -> None:
    with pytest.raises(DataError, match="--labels data"):
        collect(loaded(["w", "x", "y", "z"]), str(folder))


def test_a_network_that_names_no_classes(folder: Path) -> None:
    record = collect(loaded(None), str(folder))
    assert record.classes.labels == ["ant", "cat", "dog"]
    assert "names no classes" in record.header.notes[-1]
    assert record.top1 is None


def test_a_thousand_outputs_are_imagenet(tmp_path: Path) -> None:
    for name in ("n01443537", "pug"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / name / "1.png")
    record = collect(loaded(None, 1000), str(tmp_path))
    assert record.classes.labels == ["goldfish", "pug"]
    assert [c.index for c in record.classes.classes] == [1, 254]
    assert any("ImageNet-1k" in note for note in record.header.notes)


def test_class_names_must_fit_the_output(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="found 4 names and 7 outputs"):
        collect(loaded(LABELS, 7), str(folder))


def test_a_network_without_se(folder: Path) -> None:
    net = loaded()
    net = replace(net, model=build("resnet14", num_classes=4))
    with pytest.raises(NoSEBlockError, match="expected SE blocks in this network, found none"):
        collect(net, str(folder))
    with pytest.raises(UsageError, match="leave out --without-squeeze"):
        collect(net, str(folder), PassOptions(without_squeeze=True))


def test_predictions_alone_of_a_network_without_se(folder: Path) -> None:
    torch.manual_seed(0)
    net = replace(loaded(), model=build("resnet14", num_classes=4).eval())
    tables: list[PredictionTable] = []
    record = collect(net, str(folder), PassOptions(require_se=False), each=tables.append)
    assert record.blocks == ()
    assert not [name for name in record.arrays if name.startswith("gates/")]
    assert record.count.tolist() == [5, 5, 5]
    files = [f for name in ("ant", "cat", "dog") for f in sorted((folder / name).iterdir())]
    with torch.no_grad():
        logits = net.model((torch.stack([_tensor(f) for f in files]) - 0.5) / 0.25)
    (table,) = tables
    assert table.labels == tuple(LABELS)
    assert table.paths == tuple(str(f.relative_to(folder)) for f in files)
    assert table.true.tolist() == [0] * 5 + [2] * 5 + [3] * 5
    assert table.predicted.tolist() == logits.argmax(1).tolist()
    assert table.confidence == pytest.approx(logits.softmax(1).amax(1).numpy(), abs=1e-6)
    with pytest.raises(DataError, match="found none that are the network's"):
        collect(net, str(folder), PassOptions(require_se=False, labels="data"))


def test_a_softmax_in_the_network_is_noted(folder: Path) -> None:
    net = loaded()
    ended = replace(net, model=torch.nn.Sequential(net.model, torch.nn.Softmax(1)))
    plain, noted = collect(net, str(folder)), collect(ended, str(folder))
    assert "outputs are probabilities" in noted.header.notes[-1]
    assert not any("outputs are" in note for note in plain.header.notes)
    np.testing.assert_allclose(
        noted.arrays["calibration_confidence"], plain.arrays["calibration_confidence"], atol=1e-5
    )


def test_a_gate_without_squeeze_is_read_only_when_asked_for(folder: Path) -> None:
    torch.manual_seed(0)
    model = build("senet_notes", filters=8, blocks=2, reduction=2, squeeze=False, num_classes=4)
    net = replace(loaded(), model=model.eval())
    with pytest.raises(NoSEBlockError, match=r"2 x gate without squeeze.*--without-squeeze"):
        collect(net, str(folder))
    record = collect(net, str(folder), PassOptions(without_squeeze=True))
    assert [b.name for b in record.blocks] == ["GATE_2_1", "GATE_2_2"]
    assert {b.kind for b in record.blocks} == {"gate without squeeze"}
    # The first block's gate by hand: sigmoid of the first half of fc(x), averaged over pixels.
    x = (torch.stack([_tensor(f) for f in sorted((folder / "ant").iterdir())]) - 0.5) / 0.25
    with torch.no_grad():
        block = model.get_submodule("res_blocks.0")
        stem = model.get_submodule("conv_block")(x)
        inner = block.get_submodule("conv_upper")(block.get_submodule("conv_lower")(stem))
        gate = block.get_submodule("se_block.fc")(inner)[:, :8].sigmoid().mean((2, 3))
    np.testing.assert_allclose(
        record.stats("GATE_2_1").mean[0], gate.double().numpy().mean(0), atol=1e-6
    )


def _tensor(file: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255


def test_bfloat16_is_recorded_as_such(folder: Path) -> None:
    record = collect(loaded(), str(folder), PassOptions(amp_dtype="bfloat16"))
    assert record.header.dtype == "bfloat16 autocast"
    exact = collect(loaded(), str(folder))
    for block in record.blocks:
        difference = record.stats(block.name).mean - exact.stats(block.name).mean
        assert 0 < np.abs(difference).max() < 0.02
    with pytest.raises(UsageError, match="amp-dtype"):
        collect(loaded(), str(folder), PassOptions(amp_dtype="float8"))


def test_progress_counts_every_image(folder: Path) -> None:
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager

    seen: list[int] = []

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], None]]:
        seen.append(-total)
        yield seen.append

    collect(loaded(), str(folder), PassOptions(batch_size=4), progress=progress)
    assert seen == [-15, 4, 4, 4, 3]


def test_unreadable_images_are_skipped_and_listed(folder: Path, tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        good = (folder / "cat" / "0.png").read_bytes()
        (tmp_path / name / "good.png").write_bytes(good)
        (tmp_path / name / "cut.png").write_bytes(good[:100])
    record = collect(loaded(), str(tmp_path))
    assert record.header.images == 2
    assert [name for name, _ in record.header.skipped] == ["ant/cut.png", "bee/cut.png"]
    with pytest.raises(DataError, match=r"ant/cut\.png"):
        collect(loaded(), str(tmp_path), PassOptions(strict=True))


def test_provenance(folder: Path) -> None:
    header = collect(loaded(), str(folder), command="seviz collect net.pt").header
    assert header.source == folder.name
    assert header.command == "seviz collect net.pt"
    assert header.versions["torch"] == torch.__version__.partition("+")[0]
    assert header.preprocessing == SMALL
    assert header.created.endswith("+00:00")


def test_default_classes(folder: Path) -> None:
    record = collect(loaded(), str(folder))
    assert default_classes(record) == ["ant", "cat", "dog"]
    figure = seviz.activations(record, ["dog", "0"], blocks=["all"], channels=5)
    assert len(figure.axes) >= 6
    with pytest.raises(UsageError, match="closest: dog"):
        seviz.activations(record, ["dogg"])


def test_the_check_comes_before_the_first_image(folder: Path) -> None:
    from seviz.collect.prepared import PassPlan

    def refuse(plan: PassPlan) -> None:
        assert plan.classes.labels == ["ant", "cat", "dog"]
        assert plan.network_classes is not None
        assert plan.network_classes.labels == LABELS
        assert len(plan.blocks) == 6
        assert plan.scored
        assert (plan.missing, plan.extra) == (("bee",), ())
        raise UsageError("refused")

    def never(total: int) -> None:
        raise AssertionError("the pass began")

    with pytest.raises(UsageError, match="refused"):
        collect(loaded(), str(folder), check=refuse, progress=never)  # type: ignore[arg-type]


def test_a_batch_of_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="batch size of at least 1, found 0"):
        collect(loaded(), str(folder), PassOptions(batch_size=0))
