"""Average linkage in NumPy, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from seviz.analysis.clustering import clustered, distances, leaves


def test_distances_are_those_of_scipy() -> None:
    points = np.random.default_rng(0).normal(5, 1, (40, 7))
    np.testing.assert_allclose(distances(points), squareform(pdist(points)), atol=2e-5)


@pytest.mark.parametrize("count", [3, 4, 17, 120])
def test_each_cluster_of_scipy_s_tree_stands_together(count: int) -> None:
    points = np.random.default_rng(count).normal(size=(count, 4))
    order = clustered(points)
    assert sorted(order.tolist()) == list(range(count))
    tree = linkage(points, "average")
    for clusters in range(2, min(count, 12)):
        labels = fcluster(tree, clusters, "maxclust")[order]
        # As many changes along the order as there are clusters, less one.
        assert np.count_nonzero(np.diff(labels)) == labels.max() - 1


def test_neighbours_are_nearer_than_in_the_tree_as_it_is() -> None:
    from scipy.cluster.hierarchy import leaves_list

    points = np.random.default_rng(3).normal(size=(80, 2))

    def length(order: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).sum())

    assert length(clustered(points)) < length(leaves_list(linkage(points, "average")))


def test_few_points_and_equal_ones() -> None:
    for count in range(3):
        assert clustered(np.zeros((count, 2))).tolist() == list(range(count))
    assert sorted(clustered(np.zeros((9, 2))).tolist()) == list(range(9))
    assert leaves(np.zeros((0, 0), np.float32)).tolist() == []
