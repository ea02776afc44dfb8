"""CIFAR-10 (Krizhevsky, 2009), from torchvision's files or from a folder per class."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from seviz.data.base import ArraySource, Source
from seviz.data.folders import open_directory
from seviz.errors import DataError

NAME = "cifar10"
SPLITS = ("train", "test")
BATCHES = "cifar-10-batches-py"


def cache_folder() -> Path:
    """Return where downloads are kept: ``$SEVIZ_CACHE_DIR``, else ``seviz`` in the user's cache."""
    own = os.environ.get("SEVIZ_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "seviz"


def open_cifar10(
    folder: Path | None = None, *, split: str | None = None, download: bool = False
) -> Source:
    """Return one split of CIFAR-10.

    Args:
        folder: Holds ``cifar-10-batches-py`` (or is it), or ``<split>/<class>/*``; by default
            ``cifar10`` in the cache folder.
        split: ``train`` or ``test`` (default).
        download: Fetch the files (170 MB) where there are none.

    Raises:
        DataError: If the split does not exist, or the files are not there, damaged, or not fetched.
    """
    split = split or "test"
    if split not in SPLITS:
        raise DataError(
            f"expected a split of {NAME} ({' or '.join(SPLITS)}), found {split!r}; give one of them"
        )
    folder = cache_folder() / NAME if folder is None else folder.expanduser()
    if folder.name == BATCHES and (folder / "test_batch").exists():
        folder = folder.parent
    if (folder / BATCHES).is_dir():
        return _open_batches(folder, split, download)
    if (folder / split).is_dir():
        return open_directory(folder, split, name=NAME)
    if download:
        return _open_batches(folder, split, download)
    raise DataError(
        f"expected {BATCHES} or {split}/<class> in {folder}, found neither; "
        f"fetch CIFAR-10 (170 MB) with --download, or name its folder: {NAME}:DIR"
    )


def _open_batches(folder: Path, split: str, download: bool) -> ArraySource:
    from torchvision.datasets import CIFAR10

    try:
        # stdout is for data; torchvision may speak while it downloads.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            # The files were pickled by a NumPy that newer ones have remarks on.
            warnings.simplefilter("ignore")
            data = CIFAR10(folder, train=split == "train", download=download)
    except (OSError, RuntimeError) as exc:
        reason = " ".join(str(exc).split())
        advice = "check the network" if download else "fetch it again with --download"
        raise DataError(
            f"expected the files of CIFAR-10 in {folder}, found them damaged or not to be had "
            f"({reason}); {advice}"
        ) from exc
    return ArraySource(
        name=NAME,
        split=split,
        folders=tuple(data.classes),
        labels=np.asarray(data.targets, dtype=np.int64),
        pixels=data.data,
    )
