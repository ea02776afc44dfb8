"""The figure of several networks: its points are the numbers, each network has one look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from synthetic import CIFAR, make_record

from seviz.analysis import compare_several
from seviz.errors import UsageError
from seviz.figures import save_figure, several
from seviz.figures.captions import caption
from seviz.figures.look import Look
from seviz.figures.several import MOST_PAIRS
from seviz.results.subject import Subject


def networks(count, name="network"):
    made = []
    for seed in range(count):
        record = make_record(CIFAR, [f"class {i}" for i in range(6)], images=100, seed=seed)
        right = np.random.default_rng(seed).integers(60, 100, 6)
        counts = np.diag(right)
        counts[np.arange(6), (np.arange(6) + 1) % 6] = 100 - right
        record = replace(record, arrays={**record.arrays, "confusion": counts})
        made.append(Subject(f"{name} {seed}", record))
    return compare_several(made)


def points(panel, marker="o"):
    """Return the lone points of a panel, in data coordinates."""
    return [
        line.get_xdata()[0]
        for line in panel.lines
        if len(line.get_xdata()) == 1 and line.get_transform() == panel.transData
    ]


def test_points_are_the_numbers():
    found = networks(4)
    top1, pairs, geometry, depth = several(found).axes
    assert points(top1) == pytest.approx([100 * s.value for s in found.top1])
    assert points(pairs) == pytest.approx([100 * p.top1.delta for p in found.pairs])
    drawn = [g for g in found.geometries if g.moves or g.chosen]
    assert sorted(points(geometry)) == pytest.approx(sorted(g.correlation.value for g in drawn))
    lines = [line for line in depth.lines if len(line.get_xdata()) == len(found.findings[0].blocks)]
    shares = [
        [b.class_share.value if b.moves else np.nan for b in f.blocks] for f in found.findings
    ]
    for line, share in zip(lines, shares, strict=True):
        assert line.get_ydata() == pytest.approx(share, nan_ok=True)


def test_each_network_has_one_colour_in_all_panels_and_in_the_legend():
    figure = several(networks(4))
    (legend,) = figure.legends
    entries = [to_hex(line.get_color()) for line in legend.get_lines()]
    assert len(set(entries)) == 4
    top1, _, _, depth = figure.axes
    lone = [to_hex(x.get_color()) for x in top1.lines if len(x.get_xdata()) == 2]
    assert lone == entries
    lines = [
        to_hex(x.get_color())
        for x in depth.lines
        if len(x.get_xdata()) > 2 and x.get_linestyle() != "None"
    ]
    assert lines == entries


@pytest.mark.parametrize("count", [3, 9])
@pytest.mark.parametrize("look", [Look(), Look.of(width="column", letters=True)])
def test_no_text_overlaps_or_leaves_the_figure(count, look):
    figure = several(networks(count, "a rather long name of a network"), look=look)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t for legend in figure.legends for t in legend.get_texts()]
    for panel in figure.axes:
        texts += [panel.xaxis.label, panel.yaxis.label, panel._left_title, *panel.get_yticklabels()]
        low, high = panel.get_xlim()
        ticks = zip(panel.get_xticks(), panel.get_xticklabels(), strict=True)
        texts += [label for place, label in ticks if low <= place <= high]
    boxes = [t.get_window_extent(renderer) for t in texts if t.get_text().strip()]
    for box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0
        assert box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= box.y0
        assert box.y1 <= figure.bbox.y1 + 1
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            wide = min(box.x1, other.x1) - max(box.x0, other.x0)
            high = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(wide, high) < 2
    assert min(t.get_fontsize() for t in texts) >= 5


def test_very_many_pairs_are_thinned_and_said():
    found = networks(8)
    figure = several(found)
    assert len(points(figure.axes[1])) == MOST_PAIRS < len(found.pairs)
    assert f"The {MOST_PAIRS} of {len(found.pairs)} pairs" in caption(figure)


def test_same_bytes_twice(tmp_path):
    files = [save_figure(several(networks(3)), tmp_path / str(i), ["svg"])[0] for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_to_draw(refuses):
    bare = replace(networks(3), pairs=(), findings=(None,) * 3, geometries=())
    with refuses(UsageError, "predictions or gates"):
        several(bare)
