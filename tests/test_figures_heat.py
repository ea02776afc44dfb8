"""The heat map: its cells are the record's numbers, every class is seen, nothing overlaps."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from conftest import crossed
from matplotlib.figure import Figure
from measuring import check_readable, contrast, picture
from synthetic import CIFAR, CIFAR_LABELS, make_record, record_of_gates

import seviz
from seviz.analysis.profiles import profiles
from seviz.errors import UsageError
from seviz.figures import heat_map
from seviz.figures.captions import caption
from seviz.figures.heat import colour_limit
from seviz.figures.look import Look


@pytest.fixture(scope="module")
def record():
    return make_record(CIFAR, CIFAR_LABELS)


def panels_of(figure):
    return [p for p in figure.axes if p.get_title()]


def rows_of(figure):
    return [label.get_text() for label in panels_of(figure)[0].get_yticklabels()]


def said_in(figure):
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_cells_are_deviations_of_class_means(record):
    figure = heat_map(record, [], record.blocks)
    names = rows_of(figure)
    assert sorted(names) == sorted(CIFAR_LABELS)
    order = [CIFAR_LABELS.index(name) for name in names]
    for panel, block in zip(panels_of(figure), record.blocks, strict=True):
        stats = record.stats(block.name)
        own = stats.sum / stats.count[:, None]
        expected = (own - own.mean(axis=0))[order]
        cells = np.asarray(panel.images[0].get_array())
        # In an order of its own: each column is one channel, and each channel one column.
        assert cells.shape == expected.shape
        left = [tuple(np.round(c, 9)) for c in cells.T]
        assert sorted(left) == sorted(tuple(np.round(c, 9)) for c in expected.T)


def test_one_symmetric_scale_for_all_panels_and_the_largest_in_each_title(record):
    figure = heat_map(record, [], record.blocks)
    ((low, high),) = {panel.images[0].get_clim() for panel in panels_of(figure)}
    assert low == -high
    for panel, block in zip(panels_of(figure), record.blocks, strict=True):
        stats = record.stats(block.name)
        largest = np.abs(stats.mean - stats.mean.mean(axis=0)).max()
        said = float(re.search(r"([\d.]+)°?$", panel.get_title(loc="right"))[1])
        assert said == pytest.approx(largest, rel=0.06)


def test_some_classes_deviate_from_the_mean_over_all(record):
    figure = heat_map(record, record.classes.choose(["cat", "ship"]), record.blocks[:1])
    stats = record.stats("SE_2_1")
    expected = (stats.mean - stats.all_mean)[[CIFAR_LABELS.index(n) for n in rows_of(figure)]]
    cells = np.asarray(panels_of(figure)[0].images[0].get_array())
    np.testing.assert_allclose(np.sort(cells, axis=1), np.sort(expected, axis=1))
    assert "2 of 10 classes (" in caption(figure)


def test_noise_does_not_look_like_something():
    rng = np.random.default_rng(0)
    gates = 0.5 + 1e-4 * rng.normal(size=(40, 16))
    record = record_of_gates([gates], np.repeat(np.arange(4), 10), "abcd")
    found = profiles(record, range(4), record.blocks)
    assert colour_limit(found) >= 0.01
    dots = picture(heat_map(record, [], record.blocks))
    # No vivid colour anywhere but in the colour bar, which is in the lower half.
    upper = dots[: len(dots) // 3].astype(int)
    assert (upper.max(axis=2) - upper.min(axis=2)).max() < 40
    assert "°" in panels_of(heat_map(record, [], record.blocks))[0].get_title(loc="right")


MANY = [f"{'abcdefgh'[k % 8]} class of number {k}" for k in range(1000)]
CROWDS = {
    "two": (make_record(CIFAR, ["cat", "dog"]), None),
    "ten": (make_record(CIFAR, CIFAR_LABELS), None),
    "one panel": (make_record(CIFAR, CIFAR_LABELS), 1),
    "three hundred": (make_record(CIFAR, MANY[:300], images=20), 2),
    "thousand": (make_record(((1, 16), (2, 64)), MANY, images=5), None),
    "fifty blocks": (
        make_record(((3, 16), (8, 16), (36, 32), (3, 32)), MANY[:30]),
        None,
    ),
    "long names": (make_record(CIFAR, ["x" * 90, "y" * 90, "cat"]), None),
}


@pytest.mark.parametrize(("crowd", "width"), crossed(CROWDS, [8.5, None], of=2))
def test_readable_at_any_size(crowd, width):
    record, first = CROWDS[crowd]
    record = replace(record, header=replace(record.header, partial=True))
    look = Look.of(width=width, letters=width is None)
    figure = heat_map(record, [], record.blocks[:first], look=look)
    check_readable(figure)
    if width:
        assert figure.get_figwidth() == pytest.approx(8.5 / 2.54)


def test_every_class_has_dots_of_its_own():
    # Class k alone has its gates up: its row must be seen, whatever the number of classes.
    for count in (2, 30, 100):
        gates = np.full((2 * count, 8), 0.5)
        for k in range(count):
            gates[2 * k : 2 * k + 2, :] += 0.004 * k
        record = record_of_gates([gates], np.repeat(np.arange(count), 2), MANY[:count])
        figure = heat_map(record, [], record.blocks)
        panel = panels_of(figure)[0]
        box = panel.get_position()
        dots = picture(figure)
        high, wide = dots.shape[:2]
        x = int((box.x0 + box.x1) / 2 * wide)
        column = dots[int((1 - box.y1) * high) + 1 : int((1 - box.y0) * high) - 1, x]
        # A colour for each row, two dots high at least.
        changes = np.abs(np.diff(column.astype(int), axis=0)).sum(axis=1) > 0
        runs = np.diff(np.flatnonzero(np.r_[True, changes, True]))
        assert len(runs) == count
        assert runs.min() >= 2


def test_what_shares_a_cell_is_said():
    record = make_record(((1, 2048),), MANY, images=3)
    figure = heat_map(record, [], record.blocks)
    said = said_in(figure)
    rows, columns = np.asarray(panels_of(figure)[0].images[0].get_array()).shape
    group = int(
        re.search(r"each row is the mean of (\d+) neighbouring classes of 1,000", said, re.I)[1]
    )
    assert rows == -(-1000 // group)
    group = int(re.search(r"each column is the mean of (\d+) neighbouring channels", said)[1])
    assert columns == -(-2048 // group)
    step = int(re.search(r"every (\d+)(?:st|nd|rd|th) class is named", said)[1])
    assert len(rows_of(figure)) == -(-1000 // step)


def test_what_a_reader_must_know_is_said(record):
    assert "Partial" not in said_in(heat_map(record, [], record.blocks))
    partial = replace(record, header=replace(record.header, partial=True, images=77))
    assert "Partial record: interrupted after 77 images" in said_in(
        heat_map(partial, [], record.blocks)
    )
    few = record_of_gates(
        [np.random.default_rng(0).random((6, 4))], np.array([0, 0, 0, 1, 1, 1]), "ab"
    )
    assert {name.split()[-1] for name in rows_of(heat_map(few, [], few.blocks))} == {"3)"}
    chosen = heat_map(record, [], record.blocks, channels=8)
    assert np.asarray(panels_of(chosen)[0].images[0].get_array()).shape[1] == 8
    assert "8 of 16 to 64 channels drawn in each block, evenly spaced" in said_in(chosen)


def test_what_cannot_be_compared_is_no_finding():
    gates = np.random.default_rng(0).random((8, 6))
    alone = record_of_gates([gates, gates], np.zeros(8, np.int64), "a")
    figure = heat_map(alone, [], alone.blocks)
    said = caption(figure)
    assert "One class: nothing to compare." in said
    assert "one class: nothing to compare" in said_in(figure).lower()
    assert "largest" not in said
    assert "With one image" not in said
    assert [p.get_title(loc="right") for p in panels_of(figure)] == ["6 channels"] * 2
    single = record_of_gates([gates], np.arange(8), "abcdefgh")
    said = caption(heat_map(single, [], single.blocks))
    assert "With one image of each class there is no telling" in said
    assert "nothing to compare" not in said


def test_the_bound_of_chance_is_a_bound(record):
    figure = heat_map(record, [], record.blocks)
    for said in (said_in(figure), caption(figure)):
        assert "(exceeded in at most 5 % of cases)" in said


def test_with_some_channels_drawn_titles_are_on_all(record):
    # Of 8 channels the 3 that are drawn hardly differ by class; channel 1 does.
    gates = 0.5 + 0.002 * np.random.default_rng(0).normal(size=(60, 8))
    labels = np.repeat(np.arange(3), 20)
    gates[:, 1] += 0.1 * (labels - 1)
    apart = record_of_gates([gates], labels, "abc")
    panels = [
        panels_of(heat_map(apart, [], apart.blocks, channels=n))[0].get_title(loc="right")
        for n in (3, 8)
    ]
    assert [re.search(r"0\.\d+°?$", said)[0] for said in panels] == ["0.10", "0.10"]
    assert panels[0].startswith("3 of 8 channels drawn")
    said = caption(heat_map(apart, [], apart.blocks, channels=3))
    assert "3 of 8 channels drawn" in said
    assert "largest deviation is 0.10" in said
    assert "channels drawn" not in caption(heat_map(apart, [], apart.blocks))


def test_on_panels_of_ones_own(record):
    figure = Figure(figsize=(6, 3))
    left, right = figure.subplots(1, 2)
    other = right.plot([1, 2])
    found = seviz.activations(record, ["cat", "dog"], blocks=["SE_4_2"], ax=left)
    assert found is figure
    assert figure.get_size_inches().tolist() == [6, 3]
    assert left.images[0].get_array().shape == (2, 64)
    assert right.get_lines() == other
    assert {t.get_text() for t in left.get_yticklabels()} == {"cat", "dog"}
    with pytest.raises(UsageError, match="expected a panel for each of 5 blocks, found 1"):
        seviz.activations(record, blocks=["SE_4", "SE_2_1", "SE_2_2"], ax=left)


def test_grey_print_tells_more_from_less(record):
    shades = seviz.activations(record, palette="grey").axes[0].images[0].get_cmap()
    luminance = [contrast(shades(x)) for x in np.linspace(0, 1, 9)]
    assert all(np.diff(luminance) > 0)
    usual = matplotlib.colormaps["RdBu_r"]
    assert contrast(usual(0.0)) > 3 < contrast(usual(1.0))


def test_the_palette_is_used_or_refused(record):
    def shades(palette):
        return seviz.activations(record, palette=palette).axes[0].images[0].get_cmap()

    assert shades("PuOr").name == "PuOr"
    chosen = shades(["red", "blue"])
    assert (chosen(0.0)[:3], chosen(1.0)[:3]) == ((1, 0, 0), (0, 0, 1))
    for palette, found in (
        ("tab10", "tab10"),
        (["red", "green", "blue"], "red green blue"),
        (["red"], "red"),
    ):
        for style in ("heat", "ridges"):
            with pytest.raises(UsageError, match=f"expected for .*, found {found}; .*style lines"):
                seviz.activations(record, palette=palette, style=style)
    seviz.activations(record, palette="tab10", style="lines")


def test_fast_on_the_largest_blocks():
    record = make_record(((1, 16), (2, 2048)), MANY, images=10)
    heat_map(record, [], record.blocks[:1])
    begin = time.process_time()
    heat_map(record, [], record.blocks)
    # 0.6 s of processor time: all 15,104 channels of SE-ResNet-50 take 1.8 s. A busy machine is slower.
    assert time.process_time() - begin < 2.5
