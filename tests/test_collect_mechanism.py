"""Records and ablations of gates of other kinds than SE."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Refuses
from dialects import Block, Net, conv_se, set_by_hand, settle
from mechanisms import FOREIGN, AuthorsCBAM, AuthorsECA, Foreign, noted
from PIL import Image
from torch import Tensor, nn

import seviz
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.run import collect
from seviz.errors import DataError, NoSEBlockError, UsageError
from seviz.networks import LoadedModel
from seviz.results.blocks import GateBlock, KernelBlock, SEBlock, paper_panels, select_blocks
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

LABELS = ["ant", "bee", "cat", "dog", "elk"]
SMALL = Preprocessing((3, 32, 32), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "checkpoint")
READ = {e.name: e for e in FOREIGN}
EACH = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images in each of five class folders."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for level, name in enumerate(LABELS):
        (root / name).mkdir()
        for i in range(EACH):
            pixels = rng.integers(0, 60 + 45 * level, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def tensors(folder: Path) -> Tensor:
    """Return all images in the order of the classes."""
    files = [p for name in LABELS for p in sorted((folder / name).iterdir())]
    x = torch.stack([torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1) for f in files])
    return (x / 255 - 0.5) / 0.25


def loaded(model: nn.Module) -> LoadedModel:
    return LoadedModel(model, "net.pt", "net", "0" * 64, ClassTable.from_labels(LABELS), SMALL)


class Mixed(Net):
    """SE, then ECA, then CBAM."""

    def __init__(self) -> None:
        kinds = iter([conv_se, AuthorsECA, AuthorsCBAM])

        def block(inputs: int, channels: int, stride: int) -> nn.Module:
            return Block(inputs, channels, stride, se=next(kinds))

        super().__init__(block)


@pytest.mark.parametrize(
    "entry",
    [
        READ[name]
        for name in (
            "eca-authors",
            "cbam-authors",
            "gc-mul",
            "sk-stacked",
            "sk-apart",
            "gct-l2",
            "bam-sum",
        )
    ],
    ids=lambda e: e.name,
)
def test_a_record_holds_the_gates_of_the_kind(entry: Foreign, folder: Path, tmp_path: Path) -> None:
    net = loaded(entry.build())
    record = collect(net, str(folder), PassOptions(mechanism=entry.key))
    saved = record.save(tmp_path / "run")
    record = Record.load(saved)
    assert record.mechanisms == (entry.key,)
    assert record.blocks == seviz.find(net.model, (3, 32, 32), entry.key).blocks
    true = noted(net.model, tensors(folder))
    for block, gates in zip(record.blocks, true, strict=True):
        by_class = gates.double().reshape(len(LABELS), EACH, -1).numpy()
        stats = record.stats(block.name)
        np.testing.assert_allclose(stats.mean, by_class.mean(1), atol=1e-6, rtol=0)
        np.testing.assert_allclose(stats.std, by_class.std(1), atol=1e-6, rtol=0)


def test_a_record_of_all_kinds(folder: Path) -> None:
    net = loaded(settle(Mixed()))
    record = collect(net, str(folder), PassOptions(mechanism="all"))
    assert record.mechanisms == ("se", "eca", "cbam")
    assert [b.name for b in record.blocks] == ["SE_2_1", "ECA_2_1", "CBAM_2_1"]
    alone = collect(net, str(folder), PassOptions(mechanism="eca"))
    assert [b.name for b in alone.blocks] == ["ECA_2_1"]
    np.testing.assert_array_equal(alone.stats("ECA_2_1").mean, record.stats("ECA_2_1").mean)
    # What is read is part of what a record must fit to be used again.
    requests = [
        prepare(net, str(folder), PassOptions(mechanism=key)).request for key in ("se", "eca")
    ]
    assert requests[0] != requests[1]


def test_blocks_are_chosen_by_their_own_names(folder: Path) -> None:
    net = loaded(settle(Mixed()))
    options = PassOptions(mechanism="all", blocks=("ECA_2", "cbam_2_1"))
    assert [b.name for b in prepare(net, str(folder), options).blocks] == ["ECA_2_1", "CBAM_2_1"]


def test_a_network_without_that_kind(folder: Path, refuses: Refuses) -> None:
    net = loaded(READ["eca-authors"].build())
    with refuses(
        NoSEBlockError, "SE blocks in this network, found none: 3 x ECA", 'mechanism="eca"'
    ):
        collect(net, str(folder))
    with refuses(NoSEBlockError, "expected CBAM blocks"):
        collect(net, str(folder), PassOptions(mechanism="cbam"))
    with refuses(UsageError, "one kind of gates"):
        collect(net, str(folder), PassOptions(mechanism="eca", without_squeeze=True))


@torch.no_grad()
@pytest.mark.parametrize("key", ["eca", "cbam"])
def test_an_ablation_is_that_of_gates_set_by_hand(key: str, folder: Path) -> None:
    entry = READ[f"{key}-authors"]
    net = loaded(entry.build())
    x = tensors(folder)
    targets = torch.arange(len(LABELS)).repeat_interleave(EACH)
    means = [gates.double().mean(0) for gates in noted(net.model, x)]
    result = seviz.ablate(net, str(folder), gates="mean", options=PassOptions(mechanism=key))
    prefix = key.upper()
    assert [s.name for s in result.single] == [f"{prefix}_2_1", f"{prefix}_2_2", f"{prefix}_3_1"]
    before = net.model(x.clone()).argmax(1) == targets
    assert result.right == int(before.sum())
    for number, row in enumerate(result.single):
        with set_by_hand({number: means[number]}):
            after = net.model(x.clone()).argmax(1) == targets
        assert (row.lost, row.won) == (int((before & ~after).sum()), int((~before & after).sum()))
        own = seviz.find(net.model, (3, 32, 32), key).blocks[number]
        assert row.params == own.params
    stages = seviz.ablate(net, str(folder), by="stage", options=PassOptions(mechanism=key))
    assert [s.name for s in stages.single] == [f"{prefix}_2", f"{prefix}_3"]


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    [
        *("eca-authors", "eca-raw-parameter", "cbam-authors", "cbam-gate-only", "ese-vovnet"),
        *("ge-theta-minus", "gc-mul", "srm-authors", "fca", "gct-l2"),
    ],
)
def test_a_fold_is_the_network_with_gates_set_by_hand(name: str) -> None:
    """To 1e-5 of the largest output, and without the parameters of the gates."""
    entry = READ[name]
    net = loaded(entry.build())
    blocks = seviz.find(net.model, (3, 32, 32), entry.key).blocks
    x = entry.example(8, seed=3)
    means = [gates.double().mean(0) for gates in noted(net.model, x)]
    gates = {b.name: m.numpy() for b, m in zip(blocks, means, strict=True)}
    folded = seviz.fold(net, ["all"], gates, mechanism=entry.key)
    with set_by_hand(dict(enumerate(means))):
        expected = net.model(x.clone())
    assert (folded.loaded.model(x.clone()) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert seviz.find(folded.loaded.model, (3, 32, 32), entry.key).blocks == ()
    fixed = sum(b.channels for b, f in zip(blocks, folded.blocks, strict=True) if not f.into)
    gone = folded.params_before - folded.params_after
    assert gone in (sum(b.params for b in blocks), sum(b.params for b in blocks) - fixed)
    assert folded.loaded.architecture == f"net, 3 {blocks[0].kind} blocks folded"


def test_a_fold_takes_the_kind_from_the_record(folder: Path) -> None:
    net = loaded(settle(Mixed()))
    for key, kinds in (
        ("cbam", "1 CBAM block"),
        ("all", "1 SE block and 1 ECA block and 1 CBAM block"),
    ):
        record = collect(net, str(folder), PassOptions(mechanism=key))
        folded = seviz.fold(net, ["all"], record)
        assert folded.loaded.architecture == f"net, {kinds} folded"
        assert [b.name for b in folded.blocks] == [b.name for b in record.blocks]


def test_gates_per_pixel_are_not_shuffled(folder: Path, refuses: Refuses) -> None:
    net = loaded(READ["bam-sum"].build())
    with refuses(UsageError, "one for each channel", "one or mean"):
        seviz.ablate(net, str(folder), gates="shuffle", options=PassOptions(mechanism="bam"))


def test_what_is_drawn_has_the_names_of_the_kind(folder: Path, tmp_path: Path) -> None:
    net = loaded(READ["eca-authors"].build())
    record = collect(net, str(folder), PassOptions(mechanism="eca"))
    figure = seviz.activations(record, ["ant", "bee"])
    drawn = " ".join(axes.get_title() for axes in figure.axes)
    assert "ECA_2_2" in drawn
    assert "SE_" not in drawn
    assert [s.block for s in seviz.class_share(record)] == ["ECA_2_1", "ECA_2_2", "ECA_3_1"]
    page = seviz.write_report(record, tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert "ECA_3_1" in text
    assert "SE_3_1" not in text


# -------------------------------------------------------------------------------------------------
# Blocks


def test_blocks_are_written_and_read() -> None:
    for entry in FOREIGN:
        for block in seviz.find(entry.build(), (3, 32, 32), entry.key).blocks:
            values = block.to_dict()
            assert GateBlock.from_dict(values) == block
            assert ("hidden" in values) == ("reduction" in values) == ("hidden" in entry.facts)


def test_the_keys_of_an_se_block_are_those_of_old_records() -> None:
    block = seviz.find(settle(Mixed()), (3, 32, 32)).blocks[0]
    old = (
        "name path stage index channels hidden gate squeeze placement parameters params spatial shift kind "
        "reduction"
    )
    assert list(block.to_dict()) == old.split()
    oldest = {k: v for k, v in block.to_dict().items() if k not in {"kind", "shift"}}
    assert SEBlock.from_dict(oldest) == block


def test_a_kind_of_a_later_version(refuses: Refuses) -> None:
    values = seviz.find(settle(Mixed()), (3, 32, 32)).blocks[0].to_dict()
    with refuses(DataError, "found 'XYZ'", "update seviz"):
        GateBlock.from_dict({**values, "kind": "XYZ"})
    with refuses(DataError, "kind SE, gate without squeeze, found 'ECA'"):
        SEBlock.from_dict({**values, "kind": "ECA"})


def test_panels_are_chosen_for_each_kind() -> None:
    made = [
        KernelBlock(
            name=f"{prefix}_{stage}_{index}",
            path="",
            stage=stage,
            index=index,
            channels=8,
            kernel=3,
            gate="sigmoid",
            squeeze="mean",
            placement="standard",
            parameters=(),
            params=3,
            spatial=(8, 8),
            kind=prefix,
        )
        for prefix, stage, index in (
            ("ECA", 2, 1),
            ("ECA", 2, 2),
            ("ECA", 3, 1),
            ("ECA", 3, 2),
            ("CBAM", 2, 1),
            ("CBAM", 2, 2),
        )
    ]
    assert [b.name for b in paper_panels(made)] == [
        *("ECA_2_2", "ECA_3_1", "ECA_3_2", "CBAM_2_1", "CBAM_2_2"),
    ]
    assert [b.name for b in select_blocks(made, ["eca_3", "CBAM_2_1"])] == [
        *("ECA_3_1", "ECA_3_2", "CBAM_2_1"),
    ]
    assert len(select_blocks(made, ["2"])) == 4
    assert len(select_blocks([replace(b, path="a.b") for b in made], ["a.b"])) == 6
    with pytest.raises(UsageError, match=r"a stage \(ECA_2\)"):
        select_blocks(made, ["SE_2"])
