"""The gate figure: what is drawn equals what the record says, and nothing overlaps."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from conftest import sampled
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from measuring import check_readable, picture, texts
from synthetic import (
    CIFAR,
    CIFAR_LABELS,
    SE_RESNET_152,
    make_record,
    paper_like,
    record_of_gates,
)

import seviz
from seviz.errors import UsageError
from seviz.figures import gate_curves, save_figure
from seviz.figures.gate_curves import sampled_channels
from seviz.figures.look import Look
from seviz.results.blocks import WITHOUT_SQUEEZE
from seviz.results.classes import ClassChoice, ClassInfo, ClassTable

PAPER = ("goldfish", "pug", "plane", "cliff")
LONG = (
    "a class name that somebody typed into a folder long ago and has not thought about since, or so"
)


@pytest.fixture(scope="module")
def record():
    return make_record(images=20)


def lines_of(panel):
    return {line.get_label(): line for line in panel.get_lines()}


def legend_names(figure):
    """Return the names as they are read, along the rows; a legend holds them by column."""
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    rows = -(-len(names) // legend._ncols)
    full = len(names) - (rows - 1) * legend._ncols
    starts = [c * rows - max(0, c - full) for c in range(legend._ncols + 1)]
    columns = [names[a:b] for a, b in itertools.pairwise(starts)]
    return [c[row] for row in range(rows) for c in columns if row < len(c)]


def with_kind(record, kind, names):
    blocks = tuple(replace(b, kind=kind) if b.name in names else b for b in record.blocks)
    return replace(record, blocks=blocks)


def all_text(figure):
    return "\n".join(text.get_text() for text in figure.texts)


def test_lines_are_the_means_of_the_record(record):
    blocks = paper_like(record)
    figure = gate_curves(record, record.classes.choose(PAPER), blocks)
    assert [panel.get_title() for panel in figure.axes] == [b.name for b in blocks]
    for panel, block in zip(figure.axes, blocks, strict=True):
        stats = record.stats(block.name)
        lines = lines_of(panel)
        assert list(lines) == [*PAPER, "all"]
        index = lines["pug"].get_xdata()
        assert len(index) == 50
        assert (index[0], index[-1]) == (0, block.channels - 1)
        for row, name in enumerate(PAPER):
            np.testing.assert_array_equal(lines[name].get_xdata(), index)
            np.testing.assert_array_equal(lines[name].get_ydata(), stats.mean[row, index])
        np.testing.assert_array_equal(lines["all"].get_ydata(), stats.all_mean[index])


def test_all_is_the_mean_over_every_class_drawn_or_not():
    gates = np.array([[0.1, 0.2], [0.3, 0.4], [0.9, 0.6]])
    record = record_of_gates([gates], np.array([0, 0, 2]), "abc")
    figure = gate_curves(record, record.classes.choose("a"), record.blocks)
    np.testing.assert_allclose(lines_of(figure.axes[0])["all"].get_ydata(), [0.55, 0.45])


def test_each_block_says_how_many_channels_it_has(record):
    figure = gate_curves(record, record.classes.choose(["pug"]), paper_like(record))
    widths = [panel.get_title(loc="right") for panel in figure.axes]
    assert widths == [f"C = {c}" for c in (256, 512, 1024, 2048, 2048, 2048)]


@pytest.mark.parametrize(("channels", "drawn"), [("all", 512), (1, 1), (7, 7), (9999, 512)])
def test_number_of_channels(record, channels, drawn):
    block = record.block("SE_3_4")
    figure = gate_curves(record, record.classes.choose(["pug"]), [block], channels=channels)
    for line in figure.axes[0].get_lines():
        assert len(line.get_xdata()) == drawn


@pytest.mark.parametrize("channels", [0, -3, "some"])
def test_wrong_number_of_channels(record, channels):
    with pytest.raises(UsageError, match="positive number of channels or 'all', found"):
        gate_curves(record, record.classes.choose(["pug"]), record.blocks, channels=channels)


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_sampled_channels_are_distinct_and_even(channels, most):
    index = sampled_channels(channels, most)
    assert len(index) == min(channels, most)
    assert index[0] == 0
    if len(index) > 1:
        assert index[-1] == channels - 1
        steps = np.diff(index)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_a_single_channel_is_a_visible_dot():
    record = make_record(((1, 1),), "ab")
    figure = gate_curves(record, record.classes.choose("ab"), record.blocks)
    assert "None" not in {line.get_marker() for line in figure.axes[0].get_lines()}


def test_one_legend_in_order_with_all_last(record):
    figure = gate_curves(record, record.classes.choose(["cliff", "pug"]), paper_like(record))
    assert legend_names(figure) == ["cliff", "pug", "all"]
    assert all(panel.get_legend() is None for panel in figure.axes)
    (legend,) = figure.legends
    drawn = figure.axes[0].get_lines()
    for handle, line in zip(legend.get_lines(), drawn, strict=True):
        assert handle.get_color() == line.get_color()
        assert handle.get_linestyle() == line.get_linestyle()


def test_axis_labels_appear_once(record):
    figure = gate_curves(record, record.classes.choose(["pug"]), paper_like(record))
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("channel index", "mean gate")
    assert all(p.get_xlabel() == p.get_ylabel() == "" for p in figure.axes)


def test_all_is_black_and_dashed_and_no_class_is(record):
    names = [f"c{k}" for k in range(30)]
    many = make_record(((1, 8),), names)
    lines = gate_curves(many, many.classes.choose(names), many.blocks).axes[0].get_lines()
    # matplotlib tells custom dashes only as "--": the pattern itself is private.
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == 31
    assert lines[-1].get_color() == "black"
    assert lines[-1].get_linestyle() == "--"
    assert "black" not in {line.get_color() for line in lines[:-1]}


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(1.0, (-0.1, 0), (1, 1.1)), (2.0, (-0.1, 0), (1.9, 2.2))]
)
def test_vertical_axis_is_shared_and_fits_the_gates(scale, low, high):
    record = make_record(CIFAR, CIFAR_LABELS, scale=scale)
    figure = gate_curves(record, record.classes.choose(CIFAR_LABELS), record.blocks)
    limits = {panel.get_ylim() for panel in figure.axes}
    assert len(limits) == 1
    ((bottom, top),) = limits
    assert low[0] <= bottom <= low[1]
    assert high[0] <= top <= high[1]


def test_negative_gates_and_bands_stay_in_sight():
    gates = np.array([[-0.5, 0.2], [-0.7, 3.0]])
    record = record_of_gates([gates], np.array([0, 0]), "a")
    figure = gate_curves(record, record.classes.choose("a"), record.blocks, spread=True)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < -0.7
    assert top > 3.0


def test_each_panel_spans_its_own_channels():
    record = make_record(CIFAR, CIFAR_LABELS)
    figure = gate_curves(record, record.classes.choose(["cat"]), record.blocks)
    for panel, block in zip(figure.axes, record.blocks, strict=True):
        left, right = panel.get_xlim()
        assert -2 < left < 0
        assert block.channels - 1 < right < block.channels + 1
        ticks = [t for t in panel.get_xticks() if left <= t <= right]
        assert 3 <= len(ticks) <= 8


def test_spread_draws_a_band_of_one_standard_deviation(record):
    blocks = paper_like(record)
    figure = gate_curves(record, record.classes.choose(["goldfish", "plane"]), blocks, spread=True)
    assert "± 1 std within class" in figure.get_supylabel()
    for panel, block in zip(figure.axes, blocks, strict=True):
        bands = [c for c in panel.collections if isinstance(c, PolyCollection)]
        assert len(bands) == 2
        stats = record.stats(block.name)
        index = sampled_channels(block.channels, 50)
        for band, row in zip(bands, (0, 2), strict=True):
            found = band.get_paths()[0].vertices
            for sign in (-1, 1):
                edge = stats.mean[row, index] + sign * stats.std[row, index]
                wanted = np.column_stack([index, edge])
                distance = np.abs(found[None] - wanted[:, None]).max(axis=2).min(axis=1)
                assert distance.max() < 1e-12
            colour = panel.get_lines()[(0, 2).index(row)].get_color()
            assert matplotlib.colors.same_color(band.get_facecolor()[0][:3], colour)


def test_without_spread_there_is_no_band(record):
    figure = gate_curves(record, record.classes.choose(["pug"]), paper_like(record))
    assert not any(panel.collections for panel in figure.axes)


def test_no_class_still_draws_the_mean_over_all(record):
    for spread in (False, True):
        figure = gate_curves(record, [], paper_like(record), spread=spread)
        assert legend_names(figure) == ["all"]


def test_a_class_without_images():
    gates = np.full((4, 3), 0.5)
    record = record_of_gates([gates], np.zeros(4, np.int64), ["cat", "dog"])
    with pytest.raises(UsageError, match="found none of 'dog' in the record of 'pictures'"):
        gate_curves(record, record.classes.choose(["cat", "dog"]), record.blocks)


def test_a_record_without_images():
    record = record_of_gates([np.zeros((0, 3))], np.zeros(0, np.int64), ["cat"])
    with pytest.raises(UsageError, match="found none of any class"):
        gate_curves(record, [], record.blocks)


def test_blocks_must_be_the_records(record):
    other = replace(record.blocks[0], name="SE_9_9")
    with pytest.raises(UsageError, match=r"\(SE_2_1 ... SE_5_3\), found SE_9_9"):
        gate_curves(record, record.classes.choose(["pug"]), [other])
    with pytest.raises(UsageError, match="found none"):
        gate_curves(record, record.classes.choose(["pug"]), [])


def test_a_class_called_all_is_not_the_mean_over_all():
    record = make_record(((1, 8),), ["All", "pug"])
    for chosen in (["All", "pug"], ["pug"]):
        figure = gate_curves(record, record.classes.choose(chosen), record.blocks)
        assert legend_names(figure) == [*chosen, "all (mean over classes)"]


def test_two_classes_shown_under_one_name_are_told_apart():
    classes = ClassTable(
        (ClassInfo("airliner", 404, "n02690373"), ClassInfo("plane", 726, "n03954731"))
    )
    record = replace(make_record(((1, 8),), "ab"), classes=classes)
    figure = gate_curves(record, [ClassChoice(0, "plane"), ClassChoice(1, "plane")], record.blocks)
    assert legend_names(figure) == ["plane (n02690373)", "plane (n03954731)", "all"]


def test_names_are_shown_as_they_are_written(tmp_path):
    names = ["_hidden", "$x^2$ & $", "a_b", "two\nlines", "<b>"]
    record = make_record(((1, 8),), names)
    chosen = [ClassChoice(row, name) for row, name in enumerate(names)]
    figure = gate_curves(record, chosen, record.blocks)
    assert legend_names(figure) == ["_hidden", "$x^2$ & $", "a_b", "two lines", "<b>", "all"]
    figure.savefig(tmp_path / "figure.png")


def test_the_gates_of_one_image_are_no_mean_of_a_class(record):
    single = make_record(images=1)
    figure = gate_curves(single, single.classes.choose(["pug", "cliff"]), single.blocks)
    assert "Each class has one image: its line is the gates of that image" in all_text(figure)
    gates = np.random.default_rng(0).random((6, 8))
    mixed = record_of_gates([gates], np.asarray([0, 1, 1, 1, 1, 1]), ["goldfish", "pug"])
    figure = gate_curves(mixed, mixed.classes.choose(["pug", "goldfish"]), mixed.blocks)
    assert "goldfish: one image: its line" in all_text(figure)
    assert "one image" not in all_text(
        gate_curves(record, record.classes.choose(["pug"]), record.blocks)
    )


def test_a_partial_record_says_so(record):
    partial = replace(record, header=replace(record.header, partial=True, images=1234))
    for blocks in (paper_like(record), record.blocks[:1]):
        figure = gate_curves(partial, partial.classes.choose(["pug"]), blocks)
        assert "Partial record: interrupted after 1,234 images" in all_text(figure)
    assert "Partial" not in all_text(gate_curves(record, [], record.blocks))


def test_a_gate_without_squeeze_says_so(record):
    mixed = with_kind(record, WITHOUT_SQUEEZE, {"SE_4_6"})
    figure = gate_curves(mixed, [], paper_like(mixed))
    assert all_text(figure).count("† gate without squeeze") == 1
    marked = [p.get_title() for p in figure.axes if "†" in p.get_title(loc="right")]
    assert marked == ["SE_4_6"]
    assert "squeeze" not in all_text(gate_curves(mixed, [], mixed.blocks[:3]))


def test_draws_on_a_figure_that_is_given(record):
    given_figure = Figure(layout="constrained")
    given_figure.add_subplot().plot([1, 2])
    canvas = given_figure.canvas
    found = gate_curves(record, [], paper_like(record), figure=given_figure)
    assert found is given_figure
    assert found.canvas is canvas
    assert len(found.axes) == 6


def test_settings_of_the_user_are_respected_and_stay_as_they_are(record, tmp_path):
    def drawn():
        return gate_curves(record, record.classes.choose(PAPER), record.blocks[:2])

    theirs = {
        "axes.facecolor": "#eeeeff",
        "axes.prop_cycle": matplotlib.cycler(color=["#111111", "#222222", "#333333", "#444444"]),
        "font.family": ["DejaVu Serif"],
        "figure.autolayout": True,
    }
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        figure = drawn()
        save_figure(figure, tmp_path / "figure", ["png"])
        assert dict(matplotlib.rcParams) == before
    panel = figure.axes[0]
    assert matplotlib.colors.to_hex(panel.get_facecolor()) == "#eeeeff"
    assert [line.get_color() for line in panel.get_lines()[:2]] == ["#111111", "#222222"]
    assert panel.title.get_fontfamily() == ["DejaVu Serif"]
    # What they leave as it is, is seviz's: not the blue of matplotlib's own cycle.
    assert drawn().axes[0].get_lines()[0].get_color() == "#0072B2"


def test_sub_sampling_is_said(record):
    figure = gate_curves(record, [], paper_like(record))
    assert "Of 256 to 2,048 channels, 50 are drawn, evenly spaced." in all_text(figure)
    assert "drawn" not in all_text(gate_curves(record, [], paper_like(record), channels="all"))


def test_axes_of_their_own_fit_each_panel():
    record = record_of_gates(
        [np.full((4, 3), 0.5), np.linspace(0.1, 0.2, 12).reshape(4, 3)], np.zeros(4, np.int64), "a"
    )
    figure = gate_curves(record, record.classes.choose("a"), record.blocks, look=Look.of(free=True))
    (low, high), (lowest, highest) = (p.get_ylim() for p in figure.axes)
    assert low < 0.5 < high < 0.6
    assert 0.1 < lowest < highest < 0.2
    fixed = gate_curves(record, [], record.blocks, look=Look.of(ylim=(0, 2)))
    assert {p.get_ylim() for p in fixed.axes} == {(0, 2)}


def test_classes_are_told_apart_without_colours():
    many = make_record(((1, 40),), [f"c{k}" for k in range(12)])
    lines = (
        gate_curves(many, many.classes.choose([f"c{k}" for k in range(12)]), many.blocks)
        .axes[0]
        .get_lines()
    )
    looks = {(line.get_marker(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == 13


def test_a_class_that_another_covers_is_still_seen():
    # Two classes with the very same gates: the first has dots of its own, where its markers are.
    gates = np.tile(np.linspace(0.2, 0.8, 30), (4, 1))
    record = record_of_gates([gates], np.array([0, 0, 1, 1]), "ab")
    figure = gate_curves(record, record.classes.choose("ab"), record.blocks)
    dots = picture(figure).astype(int)
    panel = dots[len(dots) // 5 :].reshape(-1, 3)  # the legend is above
    for colour in ("#0072B2", "#D55E00"):
        rgb = np.array(matplotlib.colors.to_rgb(colour)) * 255
        assert (np.abs(panel - rgb).max(axis=1) < 12).sum() > 10


def test_a_recoloured_line_recolours_its_legend():
    record = make_record(CIFAR, CIFAR_LABELS)
    figure = gate_curves(record, record.classes.choose(["cat", "dog"]), record.blocks)
    figure.axes[0].get_lines()[1].set_color("#123456")
    picture(figure)
    (legend,) = figure.legends
    assert [line.get_color() for line in legend.get_lines()] == ["#0072B2", "#123456", "black"]


@pytest.mark.parametrize("classes", [2, 9, 30])
def test_readable_in_a_column(classes):
    names = [f"class {k}" for k in range(classes)]
    record = make_record(CIFAR, names)
    look = Look.of(width=8.5, letters=True)
    figure = gate_curves(record, record.classes.choose(names), record.blocks, channels=8, look=look)
    check_readable(figure)
    assert figure.get_figwidth() == pytest.approx(8.5 / 2.54)


def test_on_panels_of_ones_own(record):
    figure = Figure()
    axes = figure.subplots(1, 2)
    found = seviz.activations(
        record, ["pug"], blocks=["SE_2_1", "SE_2_2"], style="lines", axes=axes
    )
    assert found is figure
    assert [p.get_title(loc="left") for p in axes] == ["SE_2_1", "SE_2_2"]
    assert lines_of(axes[0])["pug"].get_xdata()[-1] == 255
    with pytest.raises(UsageError, match="expected a panel for each of 3 blocks, found 2"):
        seviz.activations(record, ["pug"], blocks=["SE_2"], style="lines", axes=axes)


CROWDS = {
    "one": (make_record(images=2), "SE_4_6", PAPER),
    "paper": (make_record(images=2), None, PAPER),
    "cifar": (make_record(CIFAR, CIFAR_LABELS), "all", CIFAR_LABELS),
    "sixteen": (make_record(images=2), "all", PAPER),
    "fifty": (make_record(SE_RESNET_152), "all", PAPER),
    "forty classes": (make_record(CIFAR, [f"number {k}" for k in range(40)]), "all", None),
    "forty classes in one": (make_record(CIFAR, [f"no {k}" for k in range(40)]), "SE_4_3", None),
    "long names": (make_record(CIFAR, [LONG, f"{LONG}!", "cat"]), "all", None),
    "long names in one": (make_record(CIFAR, [LONG, f"{LONG}!", "cat"]), "SE_4_1", None),
}


@pytest.mark.parametrize("crowd", sampled(CROWDS, 2))
def test_nothing_overlaps_or_leaves_the_figure(crowd):
    record, wanted, names = CROWDS[crowd]
    record = with_kind(record, WITHOUT_SQUEEZE, {"SE_4_1", "SE_4_3", "SE_4_6"})
    record = replace(record, header=replace(record.header, partial=True))
    rows = range(len(record.classes))
    classes = (
        record.classes.choose(names)
        if names
        else [ClassChoice(row, record.classes.labels[row]) for row in rows]
    )
    if wanted is None:
        blocks = paper_like(record)
    else:
        blocks = [b for b in record.blocks if wanted in ("all", b.name)]
    figure = gate_curves(record, classes, blocks, spread=len(blocks) < 7)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = {f"panel {p.get_title()}": p.get_tightbbox(renderer) for p in figure.axes}
    boxes["legend"] = figure.legends[0].get_window_extent(renderer)
    boxes |= {text.get_text()[:20]: text.get_window_extent(renderer) for text in figure.texts}
    width, height = figure.get_size_inches() * figure.dpi
    for name, box in boxes.items():
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        inside = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(inside) <= 1, (one, other)
    for panel in figure.axes:
        own, right = panel.title, panel._right_title
        gap = right.get_window_extent(renderer).x0 - own.get_window_extent(renderer).x1
        assert gap > 0, panel.get_title()


@pytest.mark.parametrize("colors", [["#123456", "tab:red"], {"b": "tab:red", "a": "#123456"}])
def test_colours_of_the_user_s_own(colors):
    record = make_record(((1, 16), (1, 64)), ["a", "b", "c"], images=20)
    figure = gate_curves(
        record, record.classes.choose(["a", "b"]), record.blocks, colors=colors, spread=True
    )
    expected = {"a": "#123456", "b": "tab:red", "all": "black"}
    for panel in figure.axes:
        assert {name: line.get_color() for name, line in lines_of(panel).items()} == expected
        bands = [c for c in panel.collections if isinstance(c, PolyCollection)]
        found = [matplotlib.colors.to_hex(band.get_facecolor()[0]) for band in bands]
        assert found == ["#123456", matplotlib.colors.to_hex("tab:red")]
    (legend,) = figure.legends
    assert {line.get_color() for line in legend.get_lines()} == set(expected.values())


@pytest.mark.parametrize(
    ("colors", "said"),
    [
        (["blurple"], "found 'blurple'"),
        (["red", "blue", "green"], r"drawn \(a, b\), found 3 colours"),
        ({"c": "red"}, r"drawn \(a, b\), found c"),
    ],
)
def test_colours_that_are_none(colors, said):
    record = make_record(((1, 16),), ["a", "b", "c"], images=20)
    with pytest.raises(UsageError, match=said):
        gate_curves(record, record.classes.choose(["a", "b"]), record.blocks, colors=colors)


def test_crowded_panels_of_a_column():
    """Of fifty blocks: no title lies on the next, and the legend takes few lines."""
    names = [f"class {k}" for k in (225, 150, 75, 0)]
    record = make_record(((3, 16), (8, 16), (36, 32), (3, 32)), names)
    blocks = record.blocks
    figure = gate_curves(record, record.classes.choose(names), blocks, look=Look.of(width=8.5))
    check_readable(figure)
    assert len(figure.axes) == 50
    assert {p.get_title(loc="right") for p in figure.axes} <= {"", "C = 16", "C = 32"}
    assert len({t.box.y0 for t in texts(figure) if t.text in (*names, "all")}) <= 2
