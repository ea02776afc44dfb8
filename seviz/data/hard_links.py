"""Files that a folder has under several names: each is one image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

HARD_LINKS = "hard links to what is counted elsewhere"


def repeated(
    files: Sequence[Sequence[bytes]], numbers: Sequence[Sequence[int]]
) -> dict[bytes, int]:
    """Return those files whose content has the number of another one's, each with it.

    Args:
        files: Paths of the images of each class.
        numbers: What the file system calls the content of each; 0 where that is not known.
    """
    every = np.concatenate([np.asarray(n, np.uint64) for n in (*numbers, ())])
    different, counts = np.unique(every, return_counts=True)
    several = set(different[counts > 1].tolist()) - {0}
    if not several:
        return {}
    both = zip(chain(*files), chain(*numbers), strict=True)
    return {path: number for path, number in both if number in several}


def hard_links(
    root: bytes, files: Iterable[Iterable[bytes]], number_of: Mapping[bytes, int]
) -> set[bytes]:
    """Return the paths of files that are there under another name before.

    Args:
        root: The folder that the paths begin in.
        files: Paths of the images of each class, in order.
        number_of: From `repeated`.
    """
    met: dict[int, list[bytes]] = {}
    twice: set[bytes] = set()
    for path in chain(*files):
        number = number_of.get(path)
        if number is None:
            continue
        # Another file system that is mounted below may use the same number.
        here, known = os.path.join(root, path), met.setdefault(number, [])
        if any(os.path.samefile(here, os.path.join(root, other)) for other in known):
            twice.add(path)
        else:
            known.append(path)
    return twice
