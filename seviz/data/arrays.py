"""Images in array files: ``.npy``, and ``.npz`` or ``.pt`` with labels beside the pixels."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seviz.data import tensors
from seviz.data.base import UNLABELLED, ArraySource
from seviz.data.splits import named_split, split_kinds
from seviz.errors import DataError

SUFFIXES = (".npy", ".npz", *tensors.SUFFIXES)
_PIXELS = ("images", "image", "x", "data", "pixels", "imgs", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "arr_1")
_NAMES = ("names", "classes", "class_names", "label_names")
# A brightest pixel below this, of 255, is of images in which nobody sees anything; a large file is mapped,
# and its beginning looked at.
_DARK, _LOOKED_AT = 16, 256
# What an archive may unpack to: so much in any case, and so many times its own size.
_MOST_BYTES, _MOST_TIMES = 2**30, 40


def open_arrays(path: Path, split: str | None = None) -> ArraySource:
    """Return the images of an array file.

    Args:
        path: ``.npy`` with images [N, H, W], [N, H, W, C] or [N, C, H, W]; or ``.npz`` with such an array
            (``images``, ``x``, ``data``), and if there are classes ``labels`` or ``y`` [N] (numbers or
            names) and ``names`` [classes]. ``x_test`` and ``test_images`` are those of a part. ``.pt`` with
            the same in a dict, or with a tensor of images alone, or with ``(images, labels)``.
        split: The part; ``test``, else ``val``, where there are parts.

    Raises:
        DataError: If it cannot be read, holds objects, or its numbers are no pixels.
    """
    path = Path(os.path.abspath(path.expanduser()))
    arrays = _read(path)
    part, pixels, labels, notes = _choose(path, arrays, split)
    pixels, more = _pixels(path, pixels)
    notes = (*notes, *more)
    names = next((arrays[n] for n in _NAMES if n in arrays), None)
    if labels is None:
        folders: tuple[str, ...] = (UNLABELLED,)
        numbers = np.zeros(len(pixels), np.int64)
    else:
        folders, numbers = _classes(path, labels, len(pixels), names)
    return ArraySource(
        name=path.stem,
        split=part,
        folders=folders,
        labels=numbers,
        notes=notes,
        labelled=labels is not None,
        pixels=pixels,
    )


def _read(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        if path.suffix.lower() == ".npy":
            # Mapped, so that a header that claims more than the file holds is refused by the system.
            return {"images": np.load(path, mmap_mode="r", allow_pickle=False)}
        if path.suffix.lower() in tensors.SUFFIXES:
            return tensors.read_tensors(path)
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(i.file_size for i in archive.infolist())
        if unpacked > max(_MOST_BYTES, _MOST_TIMES * path.stat().st_size):
            raise DataError(
                f"expected arrays of the size of their file in {path.name}, found {unpacked:,} bytes packed "
                f"into {path.stat().st_size:,}; save them with numpy.savez"
            )
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        # NumPy gives a member that does not begin as an array as bytes.
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("a member that is no array")
        return arrays
    except DataError:
        raise
    except Exception as exc:  # what a damaged header makes NumPy do is anybody's guess
        objects = re.search(r"pickle|object", str(exc), re.IGNORECASE)
        why = "Python objects" if objects else "what cannot be read"
        ways = (
            "torch.save" if path.suffix.lower() in tensors.SUFFIXES else "numpy.save or numpy.savez"
        )
        raise DataError(
            f"expected plain arrays in {path.name}, found {why}; save them with {ways}"
        ) from exc


def _choose(
    path: Path, arrays: Mapping[str, npt.NDArray[np.generic]], split: str | None
) -> tuple[str, npt.NDArray[np.generic], npt.NDArray[np.generic] | None, tuple[str, ...]]:
    """Return the part, its pixels, its labels, and remarks."""
    lower = {name.lower(): name for name in arrays}
    found = next((lower[n] for n in _PIXELS if n in lower), None)
    if found is not None and split is None:
        labels = next((arrays[lower[n]] for n in _LABELS if n in lower), None)
        return "", arrays[found], labels, ()
    kinds = split_kinds(arrays)
    parts: dict[str, dict[str, str]] = {}
    for name, kind in kinds.items():
        words = set(name.lower().replace("-", "_").split("_"))
        role = "x" if words & set(_PIXELS) else "y" if words & set(_LABELS) else ""
        if role:
            parts.setdefault(kind, {}).setdefault(role, name)
    parts = {kind: roles for kind, roles in parts.items() if "x" in roles}
    wanted = (
        named_split(split, parts)
        if split
        else next((k for k in ("test", "val") if k in parts), None)
    )
    if split and wanted is None and parts:
        wanted = next((k for k in parts if split_kinds([split]).get(split) == k), None)
    if wanted is None:
        there = (
            ", ".join(f"{n} {list(a.shape)}" for n, a in list(arrays.items())[:6]) or "no arrays"
        )
        asked = f"images of the split {split!r}" if split else "an array 'images' or 'x'"
        raise DataError(f"expected {asked} in {path.name}, found {there}; name it so")
    roles = parts[wanted]
    notes = () if split else (f"split {wanted!r} of: {', '.join(parts)} (no --split given)",)
    return wanted, arrays[roles["x"]], arrays[roles["y"]] if "y" in roles else None, notes


def _pixels(
    path: Path, values: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return pixels uint8 [N, H, W] or [N, H, W, 3]."""
    shape = values.shape
    if values.ndim == 4 and shape[-1] not in (1, 3) and shape[1] in (1, 3):
        values = values.transpose(0, 2, 3, 1)
    if values.ndim == 4 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[-1] != 3) or not values.size:
        raise DataError(
            f"expected images [N, H, W], [N, H, W, 3] or [N, 3, H, W] in {path.name}, found "
            f"{values.dtype} {list(shape)}; reshape them"
        )
    if values.dtype == np.uint8:
        return values, _dark(path, values)  # type: ignore[return-value]  # checked above
    if values.dtype.kind not in "buif":
        raise DataError(f"expected pixels in {path.name}, found {values.dtype}; save them as uint8")
    numbers = values.astype(np.float64)
    low, high = (float(f(numbers)) for f in (np.min, np.max))
    if values.dtype.kind in "bf" and low >= 0 and high <= 1:
        note = f"pixels of {path.name} from {low:g} to {high:g}: taken as 0 to 1, in 256 steps"
        return np.round(numbers * 255.0).astype(np.uint8), (note,)
    is_whole = values.dtype.kind != "f" or bool((numbers == np.rint(numbers)).all())
    # Of 0 to 1 and a little more, as resampling leaves it, 0 to 255 would make black images.
    if low >= 0 and (_DARK if not is_whole else 0) <= high <= 255:
        pixels = np.round(numbers).astype(np.uint8)
        return pixels, _dark(path, pixels)
    raise DataError(
        f"expected pixels from 0 to 255, or from 0 to 1, in {path.name}, found {low:g} to {high:g}; save "
        f"{'them as uint8' if is_whole else 'the images as they were before they were standardised'}"
    )


def _dark(path: Path, pixels: npt.NDArray[np.generic]) -> tuple[str, ...]:
    """Return a remark where no pixel is bright: black and white may be 0 and 1."""
    brightest = int(pixels[:_LOOKED_AT].max())
    if not 0 < brightest < _DARK:
        return ()
    which = f"the first {_LOOKED_AT} images" if len(pixels) > _LOOKED_AT else "the images"
    return (f"the brightest pixel of {which} of {path.name} is {brightest} of 255: nearly black",)


def _classes(
    path: Path,
    labels: npt.NDArray[np.generic],
    images: int,
    names: npt.NDArray[np.generic] | None,
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (images,) or labels.dtype.kind not in "iuSU":
        raise DataError(
            f"expected a label (a number or a name) for each of {images} images in {path.name}, found "
            f"{labels.dtype} {list(labels.shape)}; save labels [N]"
        )
    if labels.dtype.kind in "SU":
        text = _text(labels)
        folders = tuple(sorted(set(text)))
        number = {f: n for n, f in enumerate(folders)}
        return folders, np.array([number[t] for t in text], np.int64)
    numbers = labels.astype(np.int64)
    if names is not None and names.ndim == 1 and names.dtype.kind in "SU":
        if numbers.min() < 0 or numbers.max() >= len(names):
            raise DataError(
                f"expected labels from 0 to {len(names) - 1} for the names in {path.name}, found "
                f"{numbers.min()} to {numbers.max()}; check them"
            )
        return tuple(_text(names)), numbers
    found = sorted({int(n) for n in numbers})
    position = {n: i for i, n in enumerate(found)}
    return tuple(map(str, found)), np.array([position[int(n)] for n in numbers], np.int64)


def _text(values: npt.NDArray[np.generic]) -> Sequence[str]:
    return [
        v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()
    ]
