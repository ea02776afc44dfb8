"""The image of a large matrix: every dot is the largest of its cells."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from seviz.figures.confusion.raster import Raster, pool
from seviz.figures.confusion.raster import raster as make
from seviz.results.evaluation import Evaluation

NORMALIZE = ("none", "true", "pred", "all")


def evaluation(classes: int, others: int = 0, empty: tuple[int, ...] = ()) -> Evaluation:
    """Return counts in which some classes have no images, and some are never predicted."""
    rng = np.random.default_rng(classes)
    counts = (
        rng.poisson(0.2, (classes, classes + others))
        + np.eye(classes, classes + others, dtype=int) * 9
    )
    counts[list(empty)] = 0
    counts[:, list(empty)] = 0
    names = tuple(f"class {i}" for i in range(classes + others))
    return Evaluation(names[:classes], counts, names[classes:])


def by_hand(found: Evaluation, normalize: str, dots: int) -> Raster:
    """Return the image as it is defined, a dot after the other."""
    classes = len(found.labels)
    cells = found.counts[:, :classes].astype(float)
    outside = found.counts[:, classes:].sum(axis=1)
    if outside.any():
        cells = np.column_stack([cells, outside])
    by = {
        "none": 1.0,
        "true": found.counts.sum(axis=1)[:, None] / 100,
        "pred": cells.sum(axis=0) / 100,
        "all": found.counts.sum() / 100,
    }[normalize]
    with np.errstate(invalid="ignore"):
        values = np.nan_to_num(cells / by)
    side = int(np.ceil(max(values.shape) / dots))
    image = [
        [values[i : i + side, j : j + side].max() for j in range(0, values.shape[1], side)]
        for i in range(0, values.shape[0], side)
    ]
    wrong = values[:, :classes][~np.eye(classes, dtype=bool)]
    return Raster(np.array(image), values.shape, wrong.max(), wrong[wrong > 0].min())


@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize(
    ("classes", "others", "dots"),
    [(120, 0, 1000), (120, 7, 60), (121, 0, 60), (125, 3, 33), (61, 1, 60)],
)
@pytest.mark.parametrize("cells", [1, 2000, 2**22])
def test_every_dot_is_the_largest_of_its_cells(
    monkeypatch, normalize, classes, others, dots, cells
):
    monkeypatch.setattr("seviz.figures.confusion.raster.CELLS", cells)
    found = evaluation(classes, others, empty=(0, 57))
    before = found.counts.copy()
    expected = by_hand(found, normalize, dots)
    image = make(found, normalize, least=True, most_dots=dots)
    assert image.shape == expected.shape
    assert max(image.dots.shape) <= dots
    np.testing.assert_allclose(image.dots, expected.dots, rtol=1e-14, atol=0)
    assert (image.most, image.least) == pytest.approx((expected.most, expected.least), rel=1e-14)
    assert np.array_equal(found.counts, before)


def test_a_network_that_is_always_right():
    found = Evaluation(tuple("abc"), np.diag([1, 2, 3]))
    image = make(found, "none", least=True)
    assert (image.most, image.least) == (0, 0)
    assert image.dots.tolist() == found.counts.tolist()


def test_the_dots_of_a_huge_matrix_lose_no_cell():
    values = np.zeros((2501, 2501))
    values[1234, 77], values[2500, 2500] = 3, 9
    values[0], values[9, :3], values[9, 3:] = np.nan, -5, np.nan
    small = pool(values, 1000)
    assert max(small.shape) <= 1000
    assert small[1234 // 3, 77 // 3] == 3
    assert small[-1, -1] == 9
    assert not small[0].any()  # NaN is below any number
    assert pool(values, 2501) is values
    assert pool(np.full((4, 4), -1.0), 2).tolist() == [[-1, -1], [-1, -1]]


def test_memory_does_not_grow_with_the_matrix():
    classes = 6000
    counts = np.zeros((classes, classes), np.int64)
    counts[1234, 4321] = 7
    found = Evaluation(tuple(map(str, range(classes))), counts)
    tracemalloc.start()
    image = make(found, "true", least=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.dots[1234 // 6, 4321 // 6] == 100
    assert peak < counts.nbytes / 2
