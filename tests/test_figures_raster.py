"""The image of a large matrix: every dot is the largest of its cells, wherever it is computed."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from seviz.evaluation import Evaluation
from seviz.figures import confusion_matrix
from seviz.figures.raster import Raster, pool
from seviz.figures.raster import raster as make
from seviz.places import HOST
from seviz.speed import lent
from seviz.speed.lending import torch_place

NORMALIZE = ("none", "true", "pred", "all")
TORCH = torch_place(torch.device("cpu"))


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


@pytest.mark.parametrize("place", [HOST, TORCH], ids=["numpy", "torch"])
@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize(
    ("classes", "others", "dots"),
    [(120, 0, 1000), (120, 7, 60), (121, 0, 60), (125, 3, 33), (61, 1, 60)],
)
@pytest.mark.parametrize("cells", [1, 2000, 2**22])
def test_every_dot_is_the_largest_of_its_cells(
    monkeypatch, place, normalize, classes, others, dots, cells
):
    monkeypatch.setattr("seviz.figures.raster.CELLS", cells)
    found = evaluation(classes, others, empty=(0, 57))
    before = found.counts.copy()
    expected = by_hand(found, normalize, dots)
    image = make(found, normalize, least=True, most_dots=dots, place=place)
    assert image.shape == expected.shape
    assert max(image.dots.shape) <= dots
    np.testing.assert_allclose(image.dots, expected.dots, rtol=1e-14, atol=0)
    assert (image.most, image.least) == pytest.approx((expected.most, expected.least), rel=1e-14)
    assert np.array_equal(found.counts, before)


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_torch_and_numpy_give_the_same_bits(normalize):
    found = evaluation(300, 5, empty=(299,))
    one, other = (make(found, normalize, least=True, most_dots=70, place=p) for p in (HOST, TORCH))
    assert np.array_equal(one.dots, other.dots)
    assert (one.most, one.least) == (other.most, other.least)


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


def test_a_device_whose_memory_is_full_leaves_it_to_the_host():
    def full(array):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    found = evaluation(120)
    expected = make(found, "true", least=True)
    image = make(found, "true", least=True, place=replace(TORCH, put=full))
    assert np.array_equal(image.dots, expected.dots)


def test_any_other_error_is_not_hidden():
    def broken(array):
        raise RuntimeError("Expected all tensors to be on the same device")

    with pytest.raises(RuntimeError, match="same device"):
        make(evaluation(120), "true", place=replace(TORCH, put=broken))


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


def test_the_figure_asks_the_place_that_it_is_given(monkeypatch):
    asked = []

    def put(array):
        asked.append(array.shape)
        return TORCH.put(array)

    found = evaluation(150)
    confusion_matrix(found, place=replace(TORCH, put=put))
    assert (150, 150) in asked


def test_the_host_computes_with_numpy():
    assert lent(torch.device("cpu")) is HOST
    # It has no float64.
    assert lent(torch.device("mps")) is HOST
    assert lent(torch.device("cuda")).xp is torch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_a_gpu_gives_the_same_bits(normalize):
    found = evaluation(300, 5, empty=(299,))
    place = lent(torch.device("cuda"))
    one, other = (make(found, normalize, least=True, most_dots=70, place=p) for p in (HOST, place))
    assert np.array_equal(one.dots, other.dots)
    assert (one.most, one.least) == (other.most, other.least)
