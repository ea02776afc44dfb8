"""What holds for the arrays of every record, whoever wrote it.

A record is evidence, and comes from anywhere: sums that no pass can have left behind are refused, not drawn.
Each array has a form, its type and shape, and what its numbers must fulfil, alone and beside the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seviz.results.blocks import GateBlock
from seviz.results.sample import INDEX, MOST_IMAGES, PREFIX, ROW, sample_name
from seviz.results.stats import CALIBRATION_BINS, Array

# Sums of float32 numbers differ in their last digits with the order of adding and the extremes that they
# are compared with are rounded; float16 samples have eleven bits.
_ROUNDING, _HALF = 1e-5, 2e-3
# How far above 1 the probabilities of an image may add up, and the bounded functions reach.
_ABOVE_ONE = 1e-3
_FLOATS = (np.dtype(np.float16), np.dtype(np.float32))
_GATES = "gates/"
FIELDS = ("sum", "sumsq", "minimum", "maximum", "low", "high")
CALIBRATION = ("calibration_count", "calibration_confidence", "calibration_correct")


class DamageError(ValueError):
    """An array is not what a pass leaves behind; the message names it and says what was found."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a record before its arrays.

    Attributes:
        rows: Number of classes K.
        targets: Output of the network that stands for each class, [K].
        outputs: Width of the network's output; ``None`` where it is not known.
        images: Images of the pass; ``None`` where it is not known.
        blocks: The blocks, in forward order.
    """

    rows: int
    targets: Sequence[int]
    outputs: int | None
    images: int | None
    blocks: Sequence[GateBlock]


@dataclass(frozen=True)
class Form:
    """Type and shape of an array.

    Attributes:
        dtypes: The types that it may have.
        shape: Its shape; ``None`` where any length will do.
        most: The greatest such length.
    """

    dtypes: tuple[np.dtype[np.generic], ...]
    shape: tuple[int | None, ...]
    most: int = MOST_IMAGES

    def check(self, name: str, dtype: np.dtype[np.generic], shape: Sequence[int]) -> None:
        """Raise `DamageError` unless type and shape are these."""
        if dtype not in self.dtypes:
            wanted = " or ".join(d.name for d in self.dtypes)
            raise DamageError(f"{dtype} instead of {wanted} in {name}")
        fits = len(shape) == len(self.shape) and all(
            found == own or (own is None and found <= self.most)
            for found, own in zip(shape, self.shape, strict=False)
        )
        if not fits:
            wanted = " x ".join("n" if n is None else f"{n}" for n in self.shape)
            found = " x ".join(map(str, shape)) or "one number"
            raise DamageError(f"a shape of {found} instead of {wanted} in {name}")


def forms(facts: Facts) -> dict[str, Form]:
    """Return the form of every array that a record of these facts may have."""
    whole, wide, single, small = (
        (np.dtype(kind),) for kind in (np.int64, np.float64, np.float32, np.int32)
    )
    rows, bins = facts.rows, CALIBRATION_BINS
    found = {
        "count": Form(whole, (rows,)),
        "confusion": Form(whole, (rows, facts.outputs), most=2**24),
        "top5": Form(whole, (rows,)),
        "calibration_count": Form(whole, (rows, bins)),
        "calibration_correct": Form(whole, (rows, bins)),
        "calibration_confidence": Form(wide, (rows, bins)),
        INDEX: Form(whole, (None,)),
        ROW: Form(whole, (None,)),
    }
    kinds = dict(zip(FIELDS, (wide, wide, single, single, small, small), strict=True))
    for block in facts.blocks:
        for field, kind in kinds.items():
            found[f"{_GATES}{block.name}/{field}"] = Form(kind, (rows, block.channels))
        found[sample_name(block.name)] = Form(_FLOATS, (None, block.channels))
    return found


def check_complete(names: Sequence[str], facts: Facts) -> None:
    """Check that what belongs together is there.

    Raises:
        DamageError: If an array is missing, or a block.
    """
    there = set(names)
    gates = [f"{_GATES}{block.name}/{field}" for block in facts.blocks for field in FIELDS]
    sample = [INDEX, ROW, *(sample_name(block.name) for block in facts.blocks)]
    wanted = ["count", *gates]
    if there.intersection(sample):
        wanted += sample
    if there.intersection(CALIBRATION):
        wanted += CALIBRATION
    if there.intersection(("top5", *CALIBRATION)) or not facts.blocks:
        wanted.append("confusion")
    known = set(gates)
    stray = [n for n in names if n.startswith(_GATES) and n.endswith("/sum") and n not in known]
    if stray:
        raise DamageError(f"{stray[0]} and no such block")
    missing = [name for name in wanted if name not in there]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DamageError(f"no {missing[0]}{more}")


def check_values(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    """Check the numbers of one array, alone and beside those that it depends on.

    Args:
        name: Which; one that `forms` does not know is left alone.
        arrays: That array and the others, each of its form.
        facts: What is known of the record.

    Raises:
        DamageError: If no pass can have left these numbers behind.
    """
    # A sum that overflows, or is not a number, fulfils no comparison.
    with np.errstate(all="ignore"):
        if name in _CHECKS:
            _CHECKS[name](name, arrays, facts)
        elif name.startswith(_GATES):
            block, _, field = name.removeprefix(_GATES).rpartition("/")
            own = next((b for b in facts.blocks if b.name == block), None)
            if own is not None and field in _GATE_CHECKS:
                _GATE_CHECKS[field](name, arrays, own)
        elif name.startswith(PREFIX):
            _check_sampled(name, arrays, facts)


def check_arrays(arrays: Mapping[str, Array], facts: Facts) -> None:
    """Check all arrays of a record.

    Raises:
        DamageError: If one is missing, or is not what a pass leaves behind.
    """
    check_complete(list(arrays), facts)
    for name, form in forms(facts).items():
        if name in arrays:
            form.check(name, arrays[name].dtype, arrays[name].shape)
    for name in arrays:
        check_values(name, arrays, facts)


def gate_range(gate: str) -> tuple[float, float]:
    """Return the ends between which a gate function stays, as far as its name tells.

    >>> gate_range("hardsigmoid"), gate_range("2*sigmoid"), gate_range("relu")
    ((0.0, 1.0), (0.0, 2.0), (-inf, inf))
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)\*)?(?:hard)?sigmoid(?: \(.*\))?", gate)
    if found is not None:
        # The factor is read off the function's largest value on a ramp, with six digits.
        return 0.0, float(found[1] or 1)
    if gate == "1+tanh":
        return 0.0, 2.0
    return -np.inf, np.inf


# -------------------------------------------------------------------------------------------------
# Images and predictions


def _check_count(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    count = arrays[name]
    _require((count >= 0).all(), "a negative number of images", name)
    total = sum(count.tolist())  # of Python's integers, which do not wrap around
    if facts.images is not None and total != facts.images:
        raise DamageError(
            f"{total:,} images in {name} and {facts.images:,} in the header, which must be equal"
        )


def _check_confusion(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    confusion = arrays[name]
    _require((confusion >= 0).all(), "negative counts", name)
    outside = [t for t in facts.targets if not 0 <= t < confusion.shape[1]]
    if outside:
        raise DamageError(f"class index {outside[0]} beside {confusion.shape[1]} outputs in {name}")
    _check_rows_add_up(name, arrays)


def _check_rows_add_up(name: str, arrays: Mapping[str, Array]) -> None:
    table, count = arrays[name], arrays["count"]
    # No cell above its row's count, then: so the sum cannot have wrapped around.
    fits = (table >= 0).all() and (table <= count[:, None]).all()
    if not (fits and (table.sum(axis=1) == count).all()):
        raise DamageError(f"rows that do not add up to the images of their class in {name}")


def _check_hits(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    hits, count = arrays[name], arrays["count"]
    _require(((hits >= 0) & (hits <= count)).all(), "more hits than images", name)


def _check_binned(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    _check_rows_add_up(name, arrays)


def _check_correct(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    correct, binned, confusion = arrays[name], arrays[CALIBRATION[0]], arrays["confusion"]
    fits = ((correct >= 0) & (correct <= binned)).all()
    _require(fits, "more right answers than answers", name)
    own = confusion[np.arange(len(confusion)), list(facts.targets)]
    if (correct.sum(axis=1) != own).any():
        raise DamageError(f"other right answers than the confusion counts have in {name}")


def _check_confidence(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    confidence, binned = arrays[name], arrays[CALIBRATION[0]]
    _require(np.isfinite(confidence).all(), "NaN or infinity", name)
    upper = np.arange(1, CALIBRATION_BINS + 1) / CALIBRATION_BINS
    lower = upper - 1 / CALIBRATION_BINS
    slack = _ABOVE_ONE * binned
    fits = (confidence >= lower * binned - slack) & (confidence <= upper * binned + slack)
    _require(fits.all(), "confidences outside of their bin", name)


# -------------------------------------------------------------------------------------------------
# Gates


def _check_sum(name: str, arrays: Mapping[str, Array], block: GateBlock) -> None:
    _check_unseen(name, arrays)
    mean, least, most = _of_seen(arrays, name, *_extremes(name))
    if not mean.size:
        return
    mean = mean / arrays["count"][arrays["count"] > 0][:, None]
    _require(np.isfinite(mean.sum()), "NaN or infinity", name)
    _check_range(name, block, mean.min(), mean.max(), "mean gates")
    slack = _ROUNDING * max(abs(least.min()), abs(most.max()))
    fits = np.isfinite(slack) and (mean >= least - slack).all() and (mean <= most + slack).all()
    _require(fits, "means below the least gate or above the greatest", name)


def _check_sumsq(name: str, arrays: Mapping[str, Array], block: GateBlock) -> None:
    _check_unseen(name, arrays)
    names = (name, _beside(name, "sum"), *_extremes(name))
    squares, total, least, most = _of_seen(arrays, *names)
    if not squares.size:
        return
    _require(np.isfinite(squares.sum()), "NaN or infinity", name)
    count = arrays["count"][arrays["count"] > 0][:, None]
    square, mean = squares / count, total / count
    greatest = max(abs(least.min()), abs(most.max())) ** 2
    # A mean square is no less than the squared mean (Cauchy and Schwarz), and no more than the greatest one.
    fits = np.isfinite(greatest) and (square >= np.square(mean) - _ROUNDING * greatest).all()
    fits = fits and (square <= greatest * (1 + 2 * _ROUNDING)).all()
    _require(fits, "squares that do not go with the sums", name)


def _check_extreme(name: str, arrays: Mapping[str, Array], block: GateBlock) -> None:
    own, empty = arrays[name], np.inf if name.endswith("/minimum") else -np.inf
    seen = arrays["count"] > 0
    _require((own[~seen] == empty).all(), "gates of a class without images", name)
    minimum, maximum, of_seen = _of_seen(arrays, *_extremes(name), name)
    if not of_seen.size:
        return
    lowest, highest = of_seen.min(), of_seen.max()
    _require(np.isfinite(lowest) and np.isfinite(highest), "NaN or infinity", name)
    _require((minimum <= maximum).all(), "a least gate above the greatest, or none,", name)
    _check_range(name, block, lowest, highest, "gates")


def _check_range(name: str, block: GateBlock, lowest: float, highest: float, what: str) -> None:
    low, high = gate_range(block.gate)
    if high < np.inf and not low - _ABOVE_ONE * high <= lowest <= highest <= high * (
        1 + _ABOVE_ONE
    ):
        raise DamageError(f"{what} of {block.gate} outside of {low:g} to {high:g} in {name}")


def _check_saturated(name: str, arrays: Mapping[str, Array], block: GateBlock) -> None:
    count = arrays["count"][:, None]
    low, high = (arrays[_beside(name, which)].astype(np.int64) for which in ("low", "high"))
    fits = (low >= 0) & (high >= 0) & (low + high <= count)
    _require(fits.all(), "more gates at the ends than images", name)


def _of_seen(arrays: Mapping[str, Array], *wanted: str) -> list[Array]:
    """Return arrays [K, C] without the classes that have no images, whose extremes are infinite."""
    seen = arrays["count"] > 0
    return [arrays[one] if seen.all() else arrays[one][seen] for one in wanted]


def _check_unseen(name: str, arrays: Mapping[str, Array]) -> None:
    unseen = arrays["count"] == 0
    _require(not arrays[name][unseen].any(), "gates of a class without images", name)


def _extremes(name: str) -> tuple[str, str]:
    return _beside(name, "minimum"), _beside(name, "maximum")


def _beside(name: str, field: str) -> str:
    return f"{name.rpartition('/')[0]}/{field}"


# -------------------------------------------------------------------------------------------------
# Single images


def _check_index(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    index, row, count = arrays[INDEX], arrays[ROW], arrays["count"]
    _require((index >= 0).all(), "negative positions of images", name)
    if len(index) != len(row):
        raise DamageError(f"{len(index)} positions beside {len(row)} classes of images in {name}")
    _require(((row >= 0) & (row < facts.rows)).all(), "images of a class that there is not", name)
    counted = np.bincount(row, minlength=facts.rows)
    _require((counted <= count).all(), "more images of a class than there are", name)


def _check_sampled(name: str, arrays: Mapping[str, Array], facts: Facts) -> None:
    block = next((b for b in facts.blocks if sample_name(b.name) == name), None)
    if block is None:
        return
    gates = arrays[name]
    if len(gates) != len(arrays[INDEX]):
        raise DamageError(f"{len(gates)} images instead of {len(arrays[INDEX])} in {name}")
    if not len(gates):
        return
    lowest, highest = gates.min(axis=0), gates.max(axis=0)
    _require((np.isfinite(lowest) & np.isfinite(highest)).all(), "NaN or infinity", name)
    least, most = _of_seen(arrays, *_extremes(f"{_GATES}{block.name}/"))
    if not least.size:
        return
    least, most = least.min(axis=0).astype(np.float64), most.max(axis=0).astype(np.float64)
    slack = _HALF * np.maximum(abs(least), abs(most)) + np.finfo(np.float16).tiny
    fits = (lowest >= least - slack) & (highest <= most + slack)
    _require(fits.all(), "gates beyond the least or the greatest of all images", name)


def _require(fits: bool | np.bool_, found: str, name: str) -> None:
    if not fits:
        raise DamageError(f"{found} in {name}")


Check = Callable[[str, Mapping[str, Array], Facts], None]
_CHECKS: Mapping[str, Check] = {
    "count": _check_count,
    "confusion": _check_confusion,
    "top5": _check_hits,
    "calibration_count": _check_binned,
    "calibration_confidence": _check_confidence,
    "calibration_correct": _check_correct,
    INDEX: _check_index,
    ROW: _check_index,
}
_GATE_CHECKS: Mapping[str, Callable[[str, Mapping[str, Array], GateBlock], None]] = {
    "sum": _check_sum,
    "sumsq": _check_sumsq,
    "minimum": _check_extreme,
    "maximum": _check_extreme,
    "low": _check_saturated,
    "high": _check_saturated,
}
