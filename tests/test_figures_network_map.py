"""The network map: what it shows is what was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import crossed
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from measuring import check_readable
from synthetic import CIFAR, SE_RESNET_50, SE_RESNET_152, make_record

import seviz
from seviz.analysis import findings
from seviz.analysis.ablation import single_effects
from seviz.analysis.network_map import network_map as find
from seviz.errors import NoSEBlockError
from seviz.figures import network_map
from seviz.figures.captions import caption
from seviz.figures.look import Look
from seviz.figures.network_map import SIGNIFICANT
from seviz.results.ablation import Ablation, Replaced


@pytest.fixture(scope="module")
def record():
    return make_record(SE_RESNET_50)


@pytest.fixture(scope="module")
def found(record):
    return findings(record)


def ablated(record, by="block"):
    names = [b.name for b in record.blocks]
    single = [Replaced(n, (n,), lost=5, won=4, params=1, macs=1) for n in names]
    single[-1] = replace(single[-1], lost=90)
    if by == "stage":
        single = [
            Replaced(f"SE_{s}", tuple(n for n in names if n.startswith(f"SE_{s}_")), 90, 3, 1, 1)
            for s in (2, 3)
        ]
    return Ablation(
        checkpoint="x.pt", checkpoint_sha256=record.header.checkpoint_sha256, architecture="x", source="s",
        split="val", images=1000, right=700, by=by, gates="mean", seed=0, params=9, se_params=3, macs=5,
        single=tuple(single), cumulative=(), dtype="float32",
    )  # fmt: skip


def boxes(figure):
    return [p for axes in figure.axes for p in axes.patches if isinstance(p, FancyBboxPatch)]


def test_blocks_in_forward_order_with_their_numbers(record, found):
    figure = network_map(find(record.blocks, found))
    words = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert words[::2] == [b.name for b in record.blocks]
    for said, block in zip(words[1::2], found.blocks, strict=True):
        assert said == (f"{block.class_share.value:.2f}" if block.moves else "still")
    patches = boxes(figure)
    assert [bool(p.get_hatch()) for p in patches] == [not b.moves for b in found.blocks]
    # The widest is the one with most parameters, the tallest that with the largest map.
    widths, heights = [p.get_width() for p in patches], [p.get_height() for p in patches]
    params = [b.params for b in record.blocks]
    assert widths.index(max(widths)) == params.index(max(params))
    sides = [b.spatial[0] for b in record.blocks]
    assert sorted(range(16), key=lambda i: heights[i]) == sorted(range(16), key=lambda i: sides[i])
    # The darkest is the most class-specific.
    shares = [b.class_share.value if b.moves else -1 for b in found.blocks]
    dark = [sum(p.get_facecolor()[:3]) for p in patches]
    assert dark.index(min(dark)) == shares.index(max(shares))


def test_effects_with_their_intervals_adjusted_for_all(record, found):
    ablation = ablated(record)
    figure = network_map(find(record.blocks, found, ablation))
    lanes = [a for a in figure.axes if a.get_ylabel() == "Δ top-1"]
    points = [line for a in lanes for line in a.get_lines() if line.get_marker() == "o"]
    effects = single_effects(ablation)
    assert [p.get_ydata()[0] for p in points] == pytest.approx(
        [100 * e.delta.value for e in effects]
    )
    assert [to_hex(p.get_markerfacecolor()) == SIGNIFICANT.lower() for p in points] == [
        e.significant for e in effects
    ]
    assert sum(e.significant for e in effects) == 1
    spans = [
        line.get_ydata() for a in lanes for line in a.get_lines() if len(set(line.get_xdata())) == 1
    ]
    drawn = np.sort([tuple(s) for s in spans if len(s) == 2], axis=0)
    ends = [(100 * e.delta.low, 100 * e.delta.high) for e in effects]
    np.testing.assert_allclose(drawn, np.sort(ends, axis=0))


def test_of_few_images_no_block_is_called_still():
    """As in the findings, of which the map is the first thing to be read."""
    for images, still in ((2, False), (3, True)):
        few = make_record(CIFAR, images=images)  # of each of four classes: 8 and 12
        found = findings(few)
        mapped = find(few.blocks, found)
        assert not found.blocks[-1].moves
        assert mapped.blocks[-1].said == ("still" if still else "-")
        assert ("hardly move" in mapped.describe()) == still
        assert any("cannot be said" in s for s in found.to_dict()["sentences"]) or still
        hatched = [bool(p.get_hatch()) for p in boxes(network_map(mapped))]
        assert hatched == [b.still for b in found.blocks]


def test_nobody_reads_ratios_off(record, found):
    figure = network_map(find(record.blocks, found))
    small = " ".join(t.get_text().replace("\n", " ") for t in figure.texts)
    for said in (small, caption(figure)):
        assert "Width grows with the square root of" in said
        assert "not in proportion" in said


def test_stages(record, found):
    figure = network_map(find(record.blocks, found, ablated(record, "stage")))
    lanes = [a for a in figure.axes if a.get_ylabel() == "Δ top-1"]
    level = [line for a in lanes for line in a.get_lines() if len(set(line.get_ydata())) == 1]
    assert any(list(line.get_xdata()) == [-0.3, 2.3] for line in level)
    assert "one stage at a time" in " ".join(t.get_text().replace("\n", " ") for t in figure.texts)


@pytest.mark.parametrize(
    ("stages", "width"), crossed([CIFAR[:1], CIFAR, SE_RESNET_152], [8.5, None])
)
def test_readable(stages, width):
    record = make_record(stages)
    mapped = find(record.blocks, findings(record), ablated(record))
    check_readable(network_map(mapped, look=Look.of(width=width)))


def test_a_network_without_blocks():
    empty = find((), replace(findings(make_record(CIFAR)), blocks=()))
    with pytest.raises(NoSEBlockError):
        network_map(empty)


def test_the_page_has_each_block_as_a_link(tmp_path, record):
    text = seviz.write_report(record, tmp_path).read_text(encoding="utf-8")
    for block in record.blocks:
        assert f'<a href="#block-{block.name}"' in text
        assert f'id="block-{block.name}"' in text
    assert text.index('class="network"') < text.index('class="numbers"')
