"""Ridges: gates of single images by class, in the channels that tell classes apart."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import crossed
from matplotlib.figure import Figure
from measuring import check_readable
from scipy.stats import gaussian_kde
from synthetic import CIFAR, CIFAR_LABELS, make_record, record_of_gates

import seviz
from seviz.analysis.telling import telling_channels
from seviz.errors import DataError, UsageError
from seviz.figures import ridges
from seviz.figures.captions import caption
from seviz.figures.layout import TALLEST
from seviz.figures.look import Look
from seviz.figures.ridges import density


def classes_apart(classes=4, images=30, names=None):
    """Return a record in which channel 2 of block 1 tells classes apart, and channel 0 of block 2 less."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), images)
    one = 0.5 + 0.02 * rng.normal(size=(len(labels), 4))
    two = 0.5 + 0.02 * rng.normal(size=(len(labels), 3))
    one[:, 2] += 0.1 * labels
    two[:, 0] -= 0.02 * labels
    names = names or [f"c{k}" for k in range(classes)]
    return record_of_gates([one, two], labels, names, indices=np.arange(len(labels)))


def test_the_channels_that_tell_classes_apart_come_first():
    record = classes_apart()
    found = telling_channels(record, record.blocks, 3)
    assert [(t.block.name, t.channel) for t in found][:2] == [("SE_2_1", 2), ("SE_3_1", 0)]
    # eta squared by hand.
    sample = record.sample("SE_2_1")
    x = sample.gates[:, 2].astype(float)
    means = np.array([x[sample.rows == k].mean() for k in range(4)])
    between = 30 * ((means - x.mean()) ** 2).sum()
    assert found[0].share == pytest.approx(between / ((x - x.mean()) ** 2).sum(), abs=1e-3)


def test_classes_stand_by_their_means_and_the_ticks_are_these():
    record = classes_apart()
    figure = ridges(record, [], record.blocks)
    first = figure.axes[0]
    assert (first.get_title(), first.get_title(loc="right")) == ("SE_2_1", "channel 2")
    assert [t.get_text() for t in first.get_yticklabels()] == ["c0", "c1", "c2", "c3"]
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == ["c3", "c2", "c1", "c0"]
    ticks = [line.get_xdata()[0] for line in first.get_lines() if line.get_linewidth() == 1.1]
    assert ticks == pytest.approx(record.stats("SE_2_1").mean[:, 2].tolist())


def test_density_is_scipy_s_of_the_same_width():
    values = np.random.default_rng(1).normal(3, 2, 200)
    at = np.linspace(-5, 11, 400)
    found = density(values, at)
    assert np.trapezoid(found, at) == pytest.approx(1, abs=1e-3)
    # Silverman's factor for one dimension is (3 n / 4)^(-1/5); ours is 0.9 n^(-1/5) of the smaller spread.
    quarter, three = np.quantile(values, [0.25, 0.75])
    width = 0.9 * min(values.std(), (three - quarter) / 1.34) * 200**-0.2
    np.testing.assert_allclose(
        found, gaussian_kde(values, width / values.std(ddof=1))(at), rtol=1e-6
    )
    assert np.isfinite(density(np.ones(9), at)).all()


@pytest.mark.parametrize(("classes", "width"), crossed([2, 10, 300], [8.5, None]))
def test_readable(classes, width):
    names = [f"a class with a name, {k}" for k in range(classes)]
    record = classes_apart(classes, 20 if classes < 20 else 2, names)
    figure = ridges(record, [], record.blocks, look=Look.of(width=width, letters=True))
    check_readable(figure)
    assert "tell classes apart best (SE_2_1 channel 2" in caption(figure)
    if classes == 300:
        assert "Of 300 classes the 5 highest and lowest of each channel" in caption(figure)
        assert "Dots: single images" in caption(figure)


def test_records_without_single_images():
    record = make_record(CIFAR, CIFAR_LABELS)
    with pytest.raises(
        DataError, match="expected gates of single images in the record, found none"
    ):
        ridges(record, [], record.blocks)


@pytest.mark.parametrize(
    ("classes", "images", "why"),
    [(1, 20, "With one class"), (6, 1, "With one image of each class")],
)
def test_where_no_channel_can_be_said_to_tell_classes_apart(classes, images, why):
    record = classes_apart(classes, images)
    figure = ridges(record, [], record.blocks)
    said = " ".join(t.get_text() for t in figure.texts).replace("\n", " ")
    for words in (said, caption(figure)):
        assert f"{why} it cannot be said which channels tell classes apart." in words
        assert "1.00" not in words
        assert "largest share" not in words
        assert "apart best" not in words


def test_on_panels_of_ones_own():
    record = classes_apart()
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert seviz.activations(record, ["c0", "c3"], style="ridges", axes=axes) is figure
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["c0", "c3"]
    with pytest.raises(UsageError, match="expected a panel for each of 7 channels"):
        ridges(record, [], record.blocks, channels=9, axes=list(axes))


def test_panels_in_a_column_end_with_the_page():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(12), 4)
    gates = [0.5 + 0.05 * rng.normal(size=(12, 6))[rows] + 0.01 * rng.normal(size=(48, 6))] * 3
    record = record_of_gates(gates, rows, [f"class {k}" for k in range(12)], indices=np.arange(48))
    figure = ridges(record, [], record.blocks, look=Look.of(width=8.5))
    check_readable(figure)
    assert len(figure.axes) == 6
    assert figure.get_figheight() <= TALLEST
    for panel in figure.axes:
        begin, end = panel.get_xlim()
        assert sum(begin <= tick <= end for tick in panel.get_xticks()) >= 3
