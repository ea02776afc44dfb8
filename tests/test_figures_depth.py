"""The figure along the depth: every block is in it, what means nothing is grey, nothing is cut off."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from measuring import check_readable
from synthetic import CIFAR, SE_RESNET_50, SE_RESNET_152, Stages, make_record, record_of_gates

from seviz.analysis import Findings, findings
from seviz.errors import NoSEBlockError
from seviz.figures import depth, save_figure, write_findings_csv
from seviz.figures.look import Look
from seviz.figures.style import STILL


def found(stages: Stages, **header: Any) -> Findings:
    return findings(make_record(stages, [f"c{k}" for k in range(12)], **header))


@pytest.fixture(scope="module")
def sampled() -> Findings:
    """Three blocks with intervals; the second hardly moves, the third is partly saturated."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    gates = [
        0.5 + 0.1 * rng.normal(size=(120, 6)),
        0.5 + 0.002 * rng.normal(size=(120, 6)),
        np.where(rng.random((120, 6)) < 0.4, 0.99, 0.4),
    ]
    return findings(record_of_gates(gates, labels, "abcd", indices=np.arange(120)))


def points(figure: Figure, panel: int, colour: str) -> dict[int, float]:
    """Return the heights of the dots of one colour by place."""
    drawn: dict[int, float] = {}
    for line in figure.axes[panel].lines:
        if line.get_marker() == "o" and to_hex(line.get_color()) == colour.lower():
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                drawn[round(float(x))] = float(y)
    return drawn


def test_every_number_is_in_its_place(sampled: Findings) -> None:
    figure = depth(sampled)
    blue, green, orange = "#0072b2", "#009e73", "#d55e00"
    shares = [b.class_share.value for b in sampled.blocks if b.class_share]
    assert points(figure, 0, blue) == {0: shares[0], 2: shares[2]}
    assert points(figure, 0, STILL) == {1: shares[1]}
    assert points(figure, 1, green) == {i: sampled.blocks[i].spread.value for i in (0, 2)}
    assert points(figure, 1, STILL) == {1: sampled.blocks[1].spread.value}
    high = points(figure, 2, orange)
    assert high == pytest.approx({i: 100 * b.high.value for i, b in enumerate(sampled.blocks)})


def test_intervals_are_drawn(sampled: Findings) -> None:
    figure = depth(sampled)
    drawn = [
        tuple(segment[:, 1])
        for collection in figure.axes[0].collections
        for segment in collection.get_segments()  # type: ignore[attr-defined]
    ]
    for block in sampled.blocks:
        assert block.class_share is not None
        assert (block.class_share.low, block.class_share.high) in drawn


def test_the_spread_stands_beside_what_hardly_moves(sampled: Findings) -> None:
    texts = [t.get_text() for t in depth(sampled).axes[0].texts]
    assert texts == [f"{sampled.blocks[1].spread.value:.4f}"]


@pytest.mark.parametrize("stages", [((1, 8),), CIFAR, SE_RESNET_50, SE_RESNET_152, ((90, 8),)])
def test_nothing_is_cut_off_or_overlaps(stages: Stages) -> None:
    figure = depth(found(stages))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    whole = figure.bbox
    names = [t for t in figure.axes[-1].get_xticklabels() if t.get_text()]
    boxes = [t.get_window_extent(renderer) for t in names]
    texts = [t for panel in figure.axes for t in panel.texts] + list(figure.texts)
    boxes_of_texts = [t.get_window_extent(renderer) for t in texts]
    labels = [panel.yaxis.label.get_window_extent(renderer) for panel in figure.axes]
    for box in (*boxes, *boxes_of_texts, *labels):
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0 + 1
    (note,) = figure.texts
    assert note.get_window_extent(renderer).y1 <= min(b.y0 for b in boxes)


def test_blocks_are_named_in_order() -> None:
    figure = depth(found(CIFAR))
    names = [t.get_text() for t in figure.axes[-1].get_xticklabels()]
    assert names == [f"SE_{s}_{i}" for s in (2, 3, 4) for i in (1, 2, 3)]


def test_a_partial_record_says_so(sampled: Findings) -> None:
    partial = replace(sampled, warnings=("the record is partial: interrupted after 3 images",))
    assert "Partial record." in depth(partial).texts[0].get_text()


def test_blocks_without_a_class_share() -> None:
    """One class alone: there is nothing to draw in the first panel, and no error."""
    gates = np.random.default_rng(0).random((20, 4))
    one = findings(record_of_gates([gates], np.zeros(20, np.int64), "a"))
    assert points(depth(one), 0, "#0072b2") == {}


def test_no_block_is_an_error(sampled: Findings) -> None:
    with pytest.raises(NoSEBlockError, match="found none"):
        depth(replace(sampled, blocks=()))


def test_the_same_findings_give_the_same_file(sampled: Findings, tmp_path: Path) -> None:
    one, two = (save_figure(depth(sampled), tmp_path / n, ("svg",))[0] for n in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_csv(sampled: Findings, tmp_path: Path) -> None:
    with write_findings_csv(sampled, tmp_path / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, block in zip(rows, sampled.blocks, strict=True):
        assert block.class_share is not None
        assert row["block"] == block.block
        assert float(row["class_share"]) == pytest.approx(block.class_share.value)
        assert float(row["class_share_low"]) == pytest.approx(block.class_share.low)
        assert float(row["spread_high"]) == pytest.approx(block.spread.high)
        assert row["moves"] == str(int(block.moves))
        assert row["constant"] == ("" if block.constant is None else f"{block.constant:.9g}")


@pytest.mark.parametrize("width", [None, 8.5])
def test_markers_of_one_block_stand_together(sampled: Findings, width: float | None) -> None:
    """Side by side, not in other blocks' places; a marker at zero is whole; what is still is grey in all."""
    figure = depth(sampled, look=Look.of(width=width))
    panel = figure.axes[1]
    wide = panel.get_window_extent().width / figure.dpi / (len(sampled.blocks) + 0.2)
    left, right = (
        next(line for line in panel.lines if line.get_label() == label).get_xdata()[0]
        for label in ("over all images", "within classes")
    )
    assert 3.5 / 72 < (right - left) * wide < 0.12
    assert all(axes.get_ylim()[0] < 0 for axes in figure.axes)
    still = [m for m in panel.lines if to_hex(m.get_color()) == STILL.lower()]
    assert [line.get_marker() for line in still if len(line.get_xdata())] == ["o", "^"]
    check_readable(figure)


def test_upright_names_of_fifty_blocks_do_not_touch() -> None:
    """At the end of a stage, too, where the first of the next one is named."""
    stages = ((3, 8), (8, 8), (36, 8), (3, 8))
    figure = depth(found(stages), look=Look.of(width=8.5))
    check_readable(figure)
    names = [t.get_text() for t in figure.axes[-1].get_xticklabels()]
    assert {"SE_2_1", "SE_3_1", "SE_4_1", "SE_5_1"} <= set(names)
    assert len(names) > 15
