"""The handwritten digits that come with scikit-learn: real images that need no download."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

DIGIT_NAMES = [str(d) for d in range(10)]


def digits() -> tuple[list[str], dict[str, Arrays]]:
    """Return the class names and the splits of the digits (Alpaydin & Kaynak, UCI, 1998).

    Every fifth image of each class is a test image (1,797 = 1,433 + 364): a fixed split that needs
    no random numbers.

    Returns:
        Names by label, and for ``train``, ``test`` and ``all`` the images uint8 [N, 8, 8] on the
        scale 0..255 with their labels [N].
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = np.round(raw.images * (255 / 16)).astype(np.uint8)
    labels = raw.target.astype(np.int64)
    test = np.zeros(len(labels), bool)
    for label in range(len(DIGIT_NAMES)):
        test[np.flatnonzero(labels == label)[::5]] = True
    everything = np.ones_like(test)
    return DIGIT_NAMES, {
        name: (images[mask], labels[mask])
        for name, mask in (("train", ~test), ("test", test), ("all", everything))
    }
