"""Colours that are seen: on white, on grey paper, with any colour vision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from measuring import check_readable, contrast

from seviz.figures import reliability_diagram
from seviz.figures.look import Look
from seviz.figures.style import COLOURS, GREY, STILL, class_line, class_marker
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
