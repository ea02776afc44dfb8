"""The figure of a comparison: what it draws is what was compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic import CIFAR, make_record

from seviz.analysis import compare_subjects
from seviz.errors import UsageError
from seviz.figures import comparison, save_figure
from seviz.results.subject import Subject


def made(classes, seed=0, long_names=False):
    names = [f"class {i}" + " with a very long name indeed" * long_names for i in range(classes)]
    record = make_record(CIFAR, names, images=100, seed=seed, num_classes=classes)
    rng = np.random.default_rng(seed)
    right = rng.integers(60, 100, classes)
    counts = np.diag(right)
    counts[np.arange(classes), (np.arange(classes) + 1) % classes] = 100 - right
    return replace(record, arrays={**record.arrays, "confusion": counts})


def compared(classes, **kwargs):
    return compare_subjects(
        Subject("first", made(classes, 1, **kwargs)), Subject("second", made(classes, 2, **kwargs))
    )


@pytest.mark.parametrize(("classes", "drawn"), [(2, 2), (10, 10), (20, 20), (300, 20)])
def test_points_are_the_changes(classes, drawn):
    found = compared(classes)
    panel = comparison(found).axes[0]
    points = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    changes = [100 * c.recall.delta for c in found.classes]
    if classes > 20:
        changes = changes[:10] + changes[-10:]
    assert points == pytest.approx([100 * found.top1.delta, *changes])
    assert len(panel.get_yticks()) == drawn + 1


def test_correlations_are_drawn():
    found = compared(10)
    panel = comparison(found).axes[1]
    lines = {line.get_label(): line.get_xdata() for line in panel.lines}
    assert lines["channel by channel"] == pytest.approx(
        [b.correlation for b in found.blocks if b.correlation is not None]
    )
    assert lines["class geometry"] == pytest.approx(
        [b.geometry for b in found.blocks if b.geometry is not None]
    )


@pytest.mark.parametrize("kwargs", [{}, {"long_names": True}])
def test_no_text_overlaps_or_leaves_the_figure(kwargs):
    figure = comparison(compared(10, **kwargs))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    whole = figure.bbox
    texts = [*figure.texts]
    for panel in figure.axes:
        texts += [*panel.get_yticklabels(), panel.xaxis.label, panel.title, panel._left_title]
        texts += panel.texts
    boxes = [t.get_window_extent(renderer) for t in texts if t.get_text()]
    for box in boxes:
        assert whole.x0 - 1 <= box.x0
        assert box.x1 <= whole.x1 + 1
        assert whole.y0 - 1 <= box.y0
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            overlap = min(box.x1, other.x1) - max(box.x0, other.x0)
            high = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(overlap, high) < 2


def test_same_bytes_twice(tmp_path):
    files = [save_figure(comparison(compared(10)), tmp_path / str(i), ["svg"])[0] for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_to_draw(refuses):
    with refuses(UsageError, "predictions or gates"):
        comparison(compare_subjects(Subject("a"), Subject("b")))


def test_markers_of_one_network_stand_in_their_rows():
    """Of two they are apart, as they would hide each other."""
    found = compared(3)
    alone = replace(found, blocks=(), findings=(None, found.findings[1]))
    for drawn, apart in ((found, True), (alone, False)):
        panel = comparison(drawn).axes[-1]
        assert panel.get_title(loc="left") == "class share"
        heights = [y for line in panel.lines for y in line.get_ydata()]
        assert len(heights) >= len(panel.get_yticks())
        assert all(bool(y != round(y)) is apart for y in heights)
