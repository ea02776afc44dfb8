"""Class maps: what they show is the record's, and nothing is cut off."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import sampled
from measuring import check_readable
from synthetic import CIFAR, make_record, record_of_gates

from seviz.figures.maps import maps


def test_cells_are_differences_and_distances() -> None:
    gates = np.array([[0.2, 0.4], [0.4, 0.4], [0.6, 0.8], [0.8, 0.8]])
    record = record_of_gates([gates], np.array([0, 0, 1, 1]), ["a", "b"])
    left, right = maps(record, record.blocks).axes[:2]
    # The means of a are 0.3 and 0.4, those of b 0.7 and 0.8.
    for panel, expected in (
        (left, [[-0.2, -0.2], [0.2, 0.2]]),
        (right, [[0, 0.4], [0.4, 0]]),
    ):
        np.testing.assert_allclose(np.asarray(panel.images[0].get_array()), expected, atol=1e-7)
    assert [t.get_text() for t in left.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("classes", sampled([10, 2, 30, 300], 4))
def test_nothing_is_cut_off(classes: int) -> None:
    record = make_record(CIFAR, [f"a class with a name, {k}" for k in range(classes)], images=400)
    for blocks in (record.blocks[:1], record.blocks):
        check_readable(maps(record, blocks))
