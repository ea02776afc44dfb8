"""Colours that are seen: on white, on grey paper, with any colour vision."""

from __future__ import annotations

import itertools

import crowds
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from measuring import check_readable, contrast

from seviz.figures import reliability_diagram, track_figure
from seviz.figures.look import Look
from seviz.figures.style import (
    COLOURS,
    GREY,
    STILL,
    class_colours,
    class_line,
    class_marker,
    ordered_colours,
)
from seviz.results.predictions import PredictionTable


@pytest.mark.parametrize("colour", [*COLOURS, GREY, STILL])
def test_contrast_on_white(colour):
    assert contrast(to_rgb(colour)) >= 3


def test_classes_differ_in_more_than_their_colour():
    looks = [(str(class_line(k)["linestyle"]), class_marker(k)) for k in range(30)]
    assert len(set(looks)) == 30
    for one, other in itertools.pairwise(looks):
        assert one[1] != other[1]


@pytest.mark.parametrize("width", [8.5, None])
def test_reliability_is_readable(width):
    rng = np.random.default_rng(0)
    confidence = rng.beta(4, 2, 3000)
    true = np.zeros(3000, np.int64)
    predicted = (rng.random(3000) > confidence).astype(np.int64)
    found = PredictionTable(("a", "b"), true, predicted, confidence).evaluation()
    figure = reliability_diagram(found, look=Look.of(width=width))
    check_readable(figure)
    # An interval for each bar, which holds the accuracy.
    panel = figure.axes[0]
    bars = panel.containers[0]
    spans = [line.get_ydata() for line in panel.get_lines() if len(set(line.get_xdata())) == 1]
    assert len(spans) == len(bars)
    for bar, (low, high) in zip(bars, spans, strict=True):
        assert low <= bar.get_height() <= high


MAPS = ("grey", "Greys", "viridis", "Blues", "coolwarm")


@pytest.mark.parametrize("palette", MAPS)
def test_classes_of_a_continuous_palette_are_seen_and_told_apart(palette):
    look = Look.of(palette=palette)
    colours = class_colours(look)
    for colour in colours:
        assert contrast(colour) >= 3
        assert contrast(colour, (0, 0, 0)) > 1.5  # black is the mean over classes
    lines = [(class_line(k, look), class_marker(k)) for k in range(30)]
    whole = [(tuple(line["color"]), str(line["linestyle"]), marker) for line, marker in lines]
    assert len(set(whole)) == 30
    # In a legend and in a figure neighbours differ in all three.
    for one, other in itertools.pairwise(whole):
        assert all(a != b for a, b in zip(one, other, strict=True))
    if palette in ("grey", "Greys"):
        assert contrast(colours[0], colours[1]) >= 3
        for one, other in itertools.combinations(colours, 2):
            assert contrast(one, other) >= 1.8


@pytest.mark.parametrize("palette", MAPS[:4])
def test_steps_of_one_thing_grow_darker(palette):
    steps = ordered_colours(5, Look.of(palette=palette))
    against = [contrast(colour) for colour in steps]
    assert against[0] >= 3
    assert all(one < other for one, other in itertools.pairwise(against))
    assert ordered_colours(0, Look.of(palette=palette)) == ()
    # Colours that are named have the order in which they are.
    assert ordered_colours(3, Look.of(palette=["red", "blue"])) == ("red", "blue", "red")
    assert ordered_colours(2) == COLOURS[:2]


@pytest.mark.parametrize("look", [Look(), Look.of(palette="grey")])
def test_blocks_of_a_training_are_seen_on_white(look):
    figure = track_figure(crowds.track_with(6, 3), look=look)
    (legend,) = [*figure.legends][:1]
    colours = [line.get_color() for line in legend.get_lines()]
    assert len(set(colours)) >= 6
    assert min(contrast(to_rgb(colour)) for colour in colours) >= 3
