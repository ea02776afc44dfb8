"""Figures of confusion, looked at as data: what a cell says is what was counted."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from conftest import crossed, sampled
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from measuring import check_readable
from PIL import Image
from synthetic import CIFAR, make_record, record_of_gates
from test_results_evaluation import COUNTS, with_predictions

import seviz
from seviz.analysis import gate_confusion
from seviz.analysis.gate_confusion_intervals import correlation_intervals
from seviz.errors import UsageError
from seviz.figures import (
    confusion_matrix,
    gate_confusion_scatter,
    reliability_diagram,
    save_figure,
    write_classes_csv,
    write_confusion_csv,
    write_pairs_csv,
)
from seviz.figures.confusion.large import gathered
from seviz.figures.layout import TALLEST
from seviz.figures.look import Look
from seviz.figures.style import luminance
from seviz.results.evaluation import Evaluation
from seviz.results.predictions import PredictionTable

LONG = "sulphur-crested cockatoo, Kakatoe galerita, Cacatua galerita " * 5


def counted(classes, images=None, empty=(), names=None, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, images or 60 * classes)
    true = true[~np.isin(true, empty)]
    wrong = rng.integers(0, classes, len(true))
    predicted = np.where(rng.random(len(true)) < 0.7, true, wrong)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return Evaluation(tuple(names or (f"class {i}" for i in range(classes))), counts)


def cells(panel, shape):
    """Return the texts of the cells by row and column."""
    found = np.full(shape, "", dtype=object)
    for text in panel.texts:
        x, y = text.get_position()
        inside = 0 <= x <= shape[1] and 0 <= y <= shape[0]
        if inside and text.get_text() not in ("no samples", "never predicted"):
            found[int(y), int(x)] = text.get_text()
    return found


def labels(axis):
    return [t.get_text() for t in axis.get_ticklabels()]


def row_labels(panel):
    """Return the texts to the left of the rows, from top to bottom."""
    return [t.get_text() for t in panel.texts if t.get_position()[0] < 0]


def column_labels(panel, rows):
    return [t.get_text() for t in panel.texts if t.get_position()[1] > rows]


def hatched(panel):
    return [
        p.get_bbox().bounds for p in panel.patches if isinstance(p, Rectangle) and p.get_hatch()
    ]


def small_print(figure):
    return " ".join(" ".join(t.get_text() for t in figure.texts).split())


@pytest.mark.parametrize("classes", [2, 10, 30])
def test_numbers_are_the_counts(classes):
    evaluation = counted(classes)
    panel = confusion_matrix(evaluation).axes[0]
    shown = cells(panel, (classes, classes))
    assert shown.tolist() == [[str(n) for n in row] for row in evaluation.counts.tolist()]
    assert panel.get_title() == "Confusion Matrix"
    assert panel.get_ylabel() == "True Class"
    assert panel.get_xlabel() == "Predicted Class"
    assert labels(panel.yaxis) == labels(panel.xaxis) == list(evaluation.labels)
    # Row 0 is at the top.
    assert panel.get_ylim()[0] > panel.get_ylim()[1]


def test_text_is_dark_on_light_and_light_on_dark():
    panel = confusion_matrix(counted(10)).axes[0]
    mesh = panel.collections[0]
    faces = mesh.to_rgba(mesh.get_array()).reshape(10, 10, 4)
    (grey,) = panel.collections[1].get_facecolor()
    seen = set()
    for text in panel.texts:
        x, y = text.get_position()
        face = luminance(grey if int(x) == int(y) else faces[int(y), int(x)])
        ink = luminance(to_rgba(text.get_color()))
        seen.add(ink > 0.5)
        # WCAG's contrast ratio for graphics and large text.
        assert (max(face, ink) + 0.05) / (min(face, ink) + 0.05) >= 3
    assert seen == {True, False}
    assert mesh.get_cmap().name == "Blues"


def test_luminance_of_known_colours():
    assert luminance((1, 1, 1)) == pytest.approx(1)
    assert luminance((0, 0, 0)) == 0
    assert luminance((1, 0, 0)) == pytest.approx(0.2126)
    assert luminance((0.5, 0.5, 0.5)) == pytest.approx(0.2140, abs=1e-4)


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_percentages(normalize):
    evaluation = counted(6)
    counts = evaluation.counts
    whole = {
        "true": counts.sum(1, keepdims=True),
        "pred": counts.sum(0, keepdims=True),
        "all": counts.sum(),
    }[normalize]
    shown = cells(confusion_matrix(evaluation, normalize=normalize).axes[0], (6, 6))
    for cell, share in zip(shown.ravel(), (100 * counts / whole).ravel(), strict=True):
        assert cell == (f"{share:.1f}" if share >= 0.05 else "0" if share == 0 else "<0.1")


@pytest.mark.parametrize(("classes", "size"), [(8, 8), (50, 50)])
def test_a_class_without_images_is_hatched(classes, size):
    evaluation = counted(classes, empty=(3, 4, 6))
    for options in ({}, {"log": True}, {"normalize": "true"}, {"normalize": "pred"}):
        panel = confusion_matrix(evaluation, **options).axes[0]
        assert hatched(panel) == [(0, 3, size, 2), (0, 6, size, 1)]
        assert [t.get_text() for t in panel.texts].count("no samples") == 2
        if classes <= 30:
            shown = cells(panel, (classes, classes))
            assert set(shown[[3, 4, 6]].ravel()) == {""}
            assert "nan" not in " ".join(shown.ravel()).lower()


def test_a_class_that_is_never_predicted_is_hatched_down():
    counts = np.array([[4, 0, 1], [2, 0, 3], [0, 0, 5]])
    panel = confusion_matrix(Evaluation(tuple("abc"), counts), normalize="pred").axes[0]
    assert hatched(panel) == [(1, 0, 1, 3)]
    assert [t.get_text() for t in panel.texts if len(t.get_text()) > 5] == ["never predicted"]


def test_predictions_outside_the_matrix_are_a_column():
    figure = confusion_matrix(Evaluation.of_record(with_predictions(COUNTS)))
    panel = figure.axes[0]
    assert labels(panel.xaxis) == ["ant", "cat", "dog", "(other)"]
    assert cells(panel, (3, 4))[:, 3].tolist() == ["1", "3", "0"]
    said = small_print(figure)
    assert "1 classes of the network have no images and are left out: bee" in said
    assert "(other): 4 images" in said


@pytest.mark.parametrize("order", ["cluster", "recall"])
def test_an_order_moves_rows_and_columns_together(order):
    evaluation = counted(12)
    panel = confusion_matrix(evaluation, order=order).axes[0]
    names = labels(panel.yaxis)
    assert names == labels(panel.xaxis)
    assert sorted(names) == sorted(evaluation.labels)
    assert names != list(evaluation.labels)
    shown = cells(panel, (12, 12))
    for row, name in enumerate(names):
        i = evaluation.labels.index(name)
        for column, other in enumerate(names):
            assert shown[row, column] == str(evaluation.counts[i, evaluation.labels.index(other)])


@pytest.mark.parametrize("classes", [31, 100])
def test_up_to_a_hundred_classes_have_their_labels(classes):
    evaluation = counted(classes)
    panel = confusion_matrix(evaluation).axes[0]
    named = row_labels(panel)
    # As many as there is room for, and it is said how many.
    step = 1 if classes == 31 else 2
    assert named == column_labels(panel, classes) == list(evaluation.labels)[::step]
    assert ("One class of 2 is named" in small_print(confusion_matrix(evaluation))) == (step == 2)
    (image,) = [i for i in panel.get_children() if isinstance(i, AxesImage)]
    errors = evaluation.counts * (1 - np.eye(classes, dtype=int))
    assert image.get_array().filled(0).tolist() == errors.tolist()
    assert image.norm.vmax == errors.max()
    assert all(t.get_fontsize() >= 5 for t in panel.texts)
    assert confusion_matrix(evaluation).get_figwidth() <= 7.21


def test_more_classes_are_an_image_a_list_and_a_smaller_matrix():
    evaluation = counted(150, empty=(7,))
    figure = confusion_matrix(evaluation, top=5)
    whole, _, lists, small, _ = figure.axes
    (image,) = [i for i in whole.get_children() if isinstance(i, AxesImage)]
    errors = evaluation.counts * (1 - np.eye(150, dtype=int))
    assert image.get_array().filled(0).tolist() == errors.tolist()
    assert hatched(whole) == [(0, 7, 150, 1)]
    assert "hatched: no samples, 1 classes" in [t.get_text() for t in whole.texts]

    names = row_labels(small)
    assert names == column_labels(small, 6)
    assert len(names) == 6
    assert names[-1] == "(other)"
    rows = [evaluation.labels.index(n) for n in names[:-1]]
    rest = [i for i in range(150) if i not in rows]
    shown = cells(small, (6, 6))
    core = evaluation.counts[np.ix_(rows, rows)]
    assert shown[:5, :5].tolist() == [[str(n) if n else "" for n in row] for row in core.tolist()]
    assert shown[0, 5] == str(evaluation.counts[rows[0], rest].sum())
    assert shown[5, 5] == str(evaluation.counts[np.ix_(rest, rest)].sum())

    said = [t.get_text() for t in lists.texts]
    best = seviz.ranked_confusions(evaluation, 5)
    assert [best[0].true, best[0].predicted, f"{best[0].count} ({best[0].share:.1%})"] == said[4:7]
    assert {best[0].true, best[0].predicted, best[1].true, best[1].predicted} <= set(names)
    assert "Hardest classes" in said


def test_gathering_loses_no_image():
    evaluation = counted(40).only([f"class {i}" for i in range(30)])
    small = gathered(evaluation, [3, 4, 20])
    assert small.images == evaluation.images
    assert small.support[:3].tolist() == evaluation.support[[3, 4, 20]].tolist()


def test_logarithmic_colours():
    panel = confusion_matrix(counted(10), log=True).axes[0]
    norm = panel.collections[0].norm
    assert type(norm).__name__ == "LogNorm"
    assert norm.vmin == counted(10).counts[counted(10).counts > 0].min()
    for text in panel.texts:
        if text.get_text() == "0":
            assert luminance(to_rgba(text.get_color())) < 0.1


@pytest.mark.parametrize("classes", sampled([130, 2, 10, 30, 60, 100], 2))
def test_nothing_is_cut_off(classes):
    """Every text is inside the figure, also where names are long or strange."""
    names = [f"class {i}" for i in range(classes)]
    names[0], names[-1] = LONG, "$a_b$ <b>&</b>"
    figure = confusion_matrix(counted(classes, names=names))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    wide, tall = figure.get_size_inches()
    assert -0.01 <= box.x0 <= box.x1 <= wide + 0.01
    assert -0.01 <= box.y0 <= box.y1 <= tall + 0.01


@pytest.mark.parametrize("classes", [2, 10, 30])
def test_names_do_not_touch_their_cells_nor_each_other(classes):
    figure = confusion_matrix(counted(classes, names=[f"some class {i}" for i in range(classes)]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    for above, below in itertools.pairwise(boxes):
        assert above.y0 >= below.y1
    grid = figure.axes[0].get_window_extent()
    assert max(b.x1 for b in boxes) <= grid.x0
    title, name = figure.axes[0].title, figure.axes[0].xaxis.label
    assert title.get_window_extent().y0 >= grid.y1
    below = min(t.get_window_extent().y0 for t in figure.axes[0].get_xticklabels())
    assert name.get_window_extent().y1 <= below + 1


@pytest.mark.parametrize(("classes", "width"), crossed([2, 10, 30, 60, 300], [8.5, None]))
def test_readable_on_a_page_and_in_a_column(classes, width):
    figure = confusion_matrix(counted(classes), look=Look.of(width=width))
    check_readable(figure)
    assert figure.get_figwidth() <= 7.21
    if width:
        assert figure.get_figwidth() == pytest.approx(8.5 / 2.54, abs=0.02)


def test_what_is_confused_most_is_said_at_the_top():
    counts = np.array([[90, 10, 0], [7, 80, 1], [0, 2, 60]])
    figure = confusion_matrix(Evaluation(("cat", "dog", "ship"), counts))
    assert "cat and dog are taken for each other: 10 and 7 images." in small_print(figure)
    assert "dog and ship are taken for each other: 1 and 2 images." in small_print(figure)
    one_way = confusion_matrix(Evaluation(("a", "b"), np.array([[5, 0], [3, 4]])))
    assert "b is taken for a: 3 images, and never the reverse." in small_print(one_way)
    assert "taken for" not in small_print(
        confusion_matrix(Evaluation(("a", "b"), np.eye(2, dtype=int)))
    )


def test_errors_have_the_colours_to_themselves():
    counts = np.array([[9000, 10, 0], [7, 8000, 1], [0, 2, 6000]])
    panel = confusion_matrix(Evaluation(("cat", "dog", "ship"), counts)).axes[0]
    assert panel.collections[0].norm.vmax == 10
    red, green, blue, _ = panel.collections[1].get_facecolor()[0]
    assert red == green == blue
    assert len(panel.collections[1].get_paths()) == 3


def test_a_matrix_on_a_panel_of_ones_own():
    figure = Figure(figsize=(5, 5))
    panel = figure.subplots()
    with pytest.raises(UsageError, match="found 'nosuch'"):
        seviz.confusion(counted(6), rename={"nosuch": "zero"})
    with pytest.raises(UsageError, match="found 'class 1' twice, for class 0, class 1"):
        seviz.confusion(counted(6), rename={"class 0": "class 1"})
    found = seviz.confusion(counted(6), ax=panel, order="index", rename={"class 0": "zero"})
    assert found is figure
    assert labels(panel.yaxis)[0] == "zero"
    assert cells(panel, (6, 6))[0, 1] == str(counted(6).counts[0, 1])


def test_unknown_options(refuses):
    for options, part in (
        ({"normalize": "rows"}, "'rows'"),
        ({"order": "size"}, "'size'"),
        ({"top": 0}, "0"),
    ):
        with refuses(UsageError, part):
            confusion_matrix(counted(3), **options)


@pytest.mark.nightly
def test_files_are_small_and_the_same_each_time(tmp_path):
    evaluation = counted(400, images=20_000)
    first = save_figure(confusion_matrix(evaluation), tmp_path / "a", ("png", "svg", "pdf"))
    second = save_figure(confusion_matrix(evaluation), tmp_path / "b", ("png", "svg", "pdf"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "a.svg").stat().st_size < 1_000_000
    assert (tmp_path / "a.svg").read_text().count("<image") <= 4
    assert Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).width == 1440


def test_tables(tmp_path):
    counts = np.array([[4, 1, 0], [2, 0, 3], [0, 0, 0]])
    evaluation = Evaluation(("a", 'b, "b"', "c"), counts)
    write_confusion_csv(evaluation, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        'true \\ predicted,a,"b, ""b""",c',
        "a,4,1,0",
        '"b, ""b""",2,0,3',
        "c,0,0,0",
    ]
    write_classes_csv(seviz.scores(evaluation), tmp_path / "c.csv")
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[1] == "a,5,6,4,0.666666667,0.8,0.727272727"
    assert lines[3] == "c,0,3,0,0,,0"
    write_pairs_csv(evaluation, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "true,predicted,count,share",
        '"b, ""b""",c,3,0.6',
        '"b, ""b""",a,2,0.4',
        'a,"b, ""b""",1,0.2',
    ]


def test_the_full_matrix_names_what_was_predicted_outside(tmp_path):
    found = Evaluation.of_record(with_predictions(COUNTS))
    write_confusion_csv(found, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "true \\ predicted,ant,cat,dog,bee"
    write_confusion_csv(found.only(["dog"]), tmp_path / "n.csv")
    assert (tmp_path / "n.csv").read_text().splitlines() == ["true \\ predicted,dog,cat", "dog,8,2"]


def test_reliability_bars_are_accuracies():
    true = np.array([0] * 10)
    predicted = np.array([0] * 7 + [1] * 3)
    confidence = np.array([0.95] * 5 + [0.55] * 5)
    found = PredictionTable(("a", "b"), true, predicted, confidence).evaluation()
    figure = reliability_diagram(found)
    accuracy, gap = figure.axes[0].containers
    # Bin 9 of 15 holds 0.55 (2 of 5 right), bin 15 holds 0.95 (5 of 5).
    assert [round(b.get_x(), 6) for b in accuracy] == [round(8 / 15, 6), round(14 / 15, 6)]
    assert [b.get_height() for b in accuracy] == pytest.approx([0.4, 1.0])
    assert [b.get_height() for b in gap] == pytest.approx([0.15, -0.05])
    assert [b.get_height() for b in figure.axes[1].containers[0]] == [5, 5]
    # (5 x 0.15 + 5 x 0.05) / 10
    assert "ECE 10.00%" in figure.axes[0].get_title()


@pytest.mark.parametrize("classes", [10, 80])
def test_scatter_of_gates_and_confusion(classes):
    evaluation = counted(classes)
    base = make_record(CIFAR, evaluation.labels)

    record = replace(base, arrays={**base.arrays, "confusion": evaluation.counts})
    found = gate_confusion(record, permutations=9)
    figure = gate_confusion_scatter(record, found)
    dots, pairs = figure.axes
    known = [f for f in found if f.correlation is not None]
    points = [line for line in dots.get_lines() if line.get_marker() == "o"]
    assert [p.get_ydata()[0] for p in points] == pytest.approx([f.correlation for f in known])
    strongest = max(known, key=lambda f: abs(f.correlation))
    assert pairs.get_title().startswith(f"{strongest.block}, r = {strongest.correlation:+.2f}")
    if classes == 10:
        assert len(pairs.lines[0].get_xdata()) == 45
    else:
        assert not pairs.lines
    assert "Mantel test" in small_print(figure)
    check_readable(figure)
    check_readable(gate_confusion_scatter(record, found, look=Look.of(width=8.5)))
    with pytest.raises(UsageError, match="found 0 blocks"):
        gate_confusion_scatter(record, [])


def test_intervals_of_the_correlation_hold_it_and_shrink_with_classes():
    rng = np.random.default_rng(0)
    widths = []
    for classes in (8, 40):
        place = rng.random(classes)
        near = np.exp(-8 * np.abs(place[:, None] - place[None, :])) * (
            1 + 0.1 * rng.random((classes, classes))
        )
        counts = np.round(100 * near).astype(np.int64)
        gates = np.repeat(place[:, None] * np.ones(6), 4, axis=0) + 0.01 * rng.normal(
            size=(4 * classes, 6)
        )
        names = [f"c{k}" for k in range(classes)]
        base = record_of_gates([gates], np.repeat(np.arange(classes), 4), names)
        record = replace(base, arrays={**base.arrays, "confusion": counts})
        (one,) = gate_confusion(record, permutations=9)
        (estimate,) = correlation_intervals(record, [one])
        assert estimate.low <= one.correlation == estimate.value <= estimate.high
        assert estimate.high < -0.5
        widths.append(estimate.high - estimate.low)
    assert widths[1] < widths[0]


def test_no_half_of_an_image_is_on_a_scale():
    counts = np.array([[45, 15], [10, 50]])
    for look in (Look(), Look.of(width=8.5)):
        figure = confusion_matrix(Evaluation(("a", "b"), counts), look=look)
        FigureCanvasAgg(figure).draw()
        shown = [text for text in labels(figure.axes[1].yaxis) if text]
        assert len(shown) >= 4
        assert all(text.isdecimal() for text in shown)


@pytest.mark.parametrize("width", [8.5, None])
def test_a_large_matrix_ends_with_the_page(width):
    figure = confusion_matrix(counted(300), look=Look.of(width=width))
    assert figure.get_figheight() < TALLEST + 0.6
    # The numbers of the smaller matrix are still there on a page, and stand in its middle.
    small = figure.axes[-2]
    assert small.get_title().startswith("The 20 most confused classes")
    if width is None:
        assert any(text.get_text() == "(other)" for text in small.texts)
        assert sum(text.get_text().isdecimal() for text in small.texts) > 20
        box, bar = (figure.axes[i].get_position() for i in (-2, -1))
        assert 0.25 < (box.x0 + bar.x1) / 2 < 0.6


def test_distances_far_from_zero_fill_their_axis():
    rng = np.random.default_rng(0)
    names = [f"class {k}" for k in range(8)]
    rows = np.repeat(np.arange(8), 6)
    near, far = rng.normal(size=(8, 5))[rows] * 0.001, np.eye(8)[rows] * 0.3
    far += np.linspace(0, 0.04, 8)[rows][:, None]
    for gates, from_zero in ((0.5 + near, True), (0.3 + far, False)):
        base = record_of_gates([gates], rows, names)
        record = replace(base, arrays={**base.arrays, "confusion": counted(8).counts})
        found = gate_confusion(record, permutations=9)
        panel = gate_confusion_scatter(record, found).axes[1]
        x = panel.lines[0].get_xdata()
        begin, end = panel.get_xlim()
        assert bool(begin == 0) is from_zero
        assert begin < min(x) <= max(x) < end
        if not from_zero:
            assert min(x) - begin < 0.1 * (end - begin)
        shown = [t for t in panel.get_xticks() if begin <= t <= end]
        assert len(shown) >= 3


def test_the_name_of_a_pair_stays_in_its_panel():
    counts = np.array([[45, 15], [10, 50]])
    gates = np.random.default_rng(0).random((40, 4))
    base = record_of_gates([gates], np.repeat([0, 1], 20), ["cat", LONG])
    record = replace(base, arrays={**base.arrays, "confusion": counts})
    for look in (Look(), Look.of(width=8.5)):
        figure = gate_confusion_scatter(record, gate_confusion(record, permutations=9), look=look)
        panel = figure.axes[1]
        inside, (name,) = panel.get_window_extent(), panel.texts
        box = name.get_window_extent()
        assert name.get_text().startswith("cat")
        assert inside.x0 < box.x0 < box.x1 < inside.x1


def test_names_of_pairs_lie_on_no_point():
    counts, gates = counted(10).counts, np.random.default_rng(3).random((10, 5))
    rows = np.repeat(np.arange(10), 4)
    base = record_of_gates([gates[rows]], rows, [f"kind {k}" for k in range(10)])
    record = replace(base, arrays={**base.arrays, "confusion": counts})
    figure = gate_confusion_scatter(record, gate_confusion(record, permutations=9))
    panel = figure.axes[1]
    points = panel.transData.transform(np.column_stack(panel.lines[0].get_data()))
    boxes = [text.get_window_extent() for text in panel.texts]
    assert 1 <= len(boxes) <= 2
    assert not any(box.contains(*point) for box in boxes for point in points)
