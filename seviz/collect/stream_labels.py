"""Labels of the batches of a loader: what they are, and the numbers of the classes that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seviz.data import Match
from seviz.errors import DataError


def kind_of(labels: Any, images: int) -> tuple[str, str | None]:
    """Return what labels are, and a remark where they are no classes.

    Args:
        labels: Of one batch: an array or tensor, a list of names, or anything else.
        images: In that batch.

    Returns:
        ``numbers``, ``names``, ``one-hot``, or empty where they are no classes.

    Raises:
        DataError: If there are more or fewer labels than images.
    """
    if labels is None:
        return "", "the batches have no labels: the images are one group"
    if isinstance(labels, list | tuple) and labels and all(isinstance(v, str) for v in labels):
        _check_length(len(labels), images)
        return "names", None
    values = _array(labels)
    if values is None:
        return "", _no_classes(type(labels).__name__, labels)
    if values.dim() > 1 and values.numel() == images:
        values = values.flatten()
    if values.dim() == 1:
        _check_length(len(values), images)
    whole = not values.is_floating_point() and not values.is_complex()
    if values.dim() == 1 and len(values) == images and whole:
        return "numbers", None
    if values.dim() == 2 and len(values) == images and values.shape[1] > 1:
        one = (values == 1).sum(1)
        if bool((one == 1).all()) and bool(((values == 0).sum(1) == values.shape[1] - 1).all()):
            return "one-hot", None
    return "", _no_classes(_described(values), labels)


def numbers_of(labels: Any, count: int, expected: str, match: Match, where: str) -> Tensor:
    """Return labels as positions in the list of names, int64 [N], on the host.

    Args:
        labels: Of one batch.
        count: Its images, N.
        expected: What the labels of the first batch were, of those of `kind_of`.
        match: What they stand for.
        where: The batch, for errors.

    Raises:
        DataError: If these labels are of another kind, or one of them stands for no class.
    """
    kind, _ = kind_of(labels, count)
    if kind != expected:
        found = "none" if labels is None else f"others ({kind or _described(labels)})"
        raise DataError(
            f"expected labels that are {expected} for {count} images in {where}, as in its first "
            f"batch, found {found}; give every image a label"
        )
    if kind == "names":
        return torch.tensor([_place(name, match, where) for name in labels])
    values = _array(labels)
    assert values is not None, "its kind says so"
    values = values.argmax(1) if kind == "one-hot" else values.flatten().long()
    values = values.cpu()
    most = len(match.row_of_folder)
    if count and (int(values.min()) < 0 or int(values.max()) >= most):
        wrong = next(int(v) for v in values if not 0 <= int(v) < most)
        raise DataError(
            f"expected labels from 0 to {most - 1} in {where}, found {wrong}; number the classes so, or "
            "give classes=[...] for all of them"
        )
    return values


def _place(name: str, match: Match, where: str) -> int:
    rows = match.table.rows(name)
    if len(rows) != 1:
        raise DataError(
            f"expected the names of classes as labels in {where}, found {name!r}, which is "
            f"{'none' if not rows else 'several'} of them; give classes=[...]"
        )
    return int(np.flatnonzero(match.row_of_folder == rows[0])[0])


def _described(labels: Any) -> str:
    """Return type and shape of labels that are no classes."""
    values = _array(labels)
    if values is None:
        return type(labels).__name__
    return f"{str(values.dtype).removeprefix('torch.')} {'x'.join(map(str, values.shape))}"


def _no_classes(what: str, labels: Any) -> str:
    return (
        f"the labels ({what}) are no whole numbers of classes, and the images are one group; convert them "
        "with .long() if they number classes"
    )


def _check_length(labels: int, images: int) -> None:
    if labels != images:
        raise DataError(
            f"expected a label for each of {images} images, found {labels} in a batch; change "
            "what the loader gives"
        )


def _array(labels: Any) -> Tensor | None:
    if isinstance(labels, Tensor):
        return labels
    try:
        values = np.asarray(labels)
        return torch.from_numpy(values.copy()) if values.dtype.kind in "biuf" else None
    except (TypeError, ValueError):
        return None
