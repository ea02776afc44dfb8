"""Batches of the user's own: loaders, data sets, tensors, arrays, as people who write PyTorch have them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from seviz.data.base import Source
from seviz.data.foreign import said
from seviz.data.parts import LABELS, kind_of
from seviz.errors import DataError, UsageError

NAME = "loader"
# Of a batch for a GPU.
_GPU_PIXELS = 256 * 224 * 224
# What is asked for where an object has no batches in it.
_ASKED = (
    "batches: a DataLoader, a data set, tensors or arrays, or anything that gives (x, y) or dicts"
)


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of your own, and what cannot be seen in them.

    Attributes:
        batches: Any iterable of batches: tensors or arrays, ``(x, y)``, or dicts (``image`` and
            ``label``, ``pixel_values`` and ``labels``, or the names of the network's parameters). Also a
            data set, whose samples are put together in batches; tensors or arrays as a whole, alone,
            as ``(x, y)`` or in a dict. Labels are numbers of classes or names; without any, the images
            are one group, ``all``.
        classes: What the numbers are called, in their order; by default the names of the data set, else
            those of the network.
        inputs: Which parts of a batch the network takes, where it is more than the first: how many of the
            first, or their names, or their positions.
        output: Which output counts, where the network gives several: its name or position, or a
            function of all of them.
        fingerprint: Anything that changes when the data (or the code of a network of your own) do: with
            it a pass is resumed, and a record is used again. Without it neither is known to be the same.
        name: What the data is called in the record.

    >>> Loader([(0, 1)], classes=["cat", "dog"]).name
    'loader'
    """

    batches: Any
    classes: Sequence[str] | None = None
    inputs: int | Sequence[int] | Sequence[str] | None = None
    output: str | int | Callable[[Any], Any] | None = None
    fingerprint: str = ""
    name: str = NAME


def from_code(function: Callable[..., Any], option: str, split: str | None) -> Any:
    """Return what a function of the user's gives: a source, what ``--data`` takes, or batches.

    Args:
        function: Called with the split, where it takes one and one is named.
        option: How the user named it, for messages.
        split: Part of the data.

    Raises:
        DataError: If it fails, or gives nothing.
        UsageError: If a part is named and it takes none.
    """
    given = {}
    if split is not None:
        if "split" not in inspect.signature(function).parameters:
            raise UsageError(
                f"expected a function that takes split= for --split {split}, found none in {option}; leave "
                "--split out"
            )
        given["split"] = split
    try:
        made = function(**given)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise DataError(f"expected batches from {option}, found {said(exc)}") from exc
    if made is None:
        raise DataError(f"expected {_ASKED} from {option}, found nothing; let it return them")
    if isinstance(made, str | Source | Loader):
        return made
    return Loader(made, name=option.rpartition(":")[2])


class Loading(TypedDict, total=False):
    """What may be said of batches beside them: fields of `Loader`."""

    classes: Sequence[str] | None
    inputs: int | Sequence[int] | Sequence[str] | None
    output: str | int | Callable[[Any], Any] | None
    fingerprint: str | None


@dataclass(eq=False)
class Opened:
    """Something that gives batches, as often as it is iterated over.

    Attributes:
        batches: What gives them.
        steps: Number of batches, where it says so.
        total: Number of images, where it can be known.
        names: What its labels are called, where it says so.
        dealt: Process and number of processes, where a sampler of the loader's deals the images out.
        whole: Images of which it deals out a part.
        left: Images that it leaves out at its end, for they are less than a batch.
    """

    batches: Iterable[Any]
    steps: int | None = None
    total: int | None = None
    names: tuple[str, ...] | None = None
    dealt: tuple[int, int] | None = None
    whole: int | None = None
    left: int = 0
    _begun: Iterator[Any] | None = field(default=None, repr=False)
    _first: Any = field(default=None, repr=False)

    @property
    def only_once(self) -> bool:
        """Return whether it can be iterated over once only."""
        return isinstance(self.batches, Iterator)

    def first(self) -> Any:
        """Return the first batch; it is given again by the next pass.

        Raises:
            DataError: If there is none, or it cannot be read.
        """
        if self._begun is None:
            self._begun = self._iterator()
            try:
                self._first = next(self._begun)
            except StopIteration:
                raise DataError(
                    "expected batches, found none: the loader is empty, or was used up before"
                ) from None
            except KeyboardInterrupt:
                raise
            except BaseException as exc:
                raise failed(exc, 0) from exc
        return self._first

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches.

        Raises:
            DataError: If they can be had once only, and were.
        """
        if self._begun is None:
            if self.only_once:
                raise DataError(
                    "expected batches that can be had several times, found an iterator, which is used up "
                    "after one pass; give the loader itself, or a list"
                )
            yield from self._iterator()
            return
        begun, self._begun, first, self._first = self._begun, None, self._first, None
        yield first
        del first
        yield from begun

    def _iterator(self) -> Iterator[Any]:
        try:
            return iter(self.batches)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise failed(exc, 0) from exc


def failed(exc: BaseException, number: int) -> DataError:
    """Return the error of a loader that raised one, or ended the program, in one line."""
    if not isinstance(exc, Exception):
        return DataError(
            f"expected a batch of the loader, found {said(exc)} in batch {number}; mend it where the data "
            "is made"
        )
    lines = str(exc).strip().splitlines()
    # Of an error in a worker process, torch gives the whole traceback: its last line says what it was.
    why = lines[-1] if lines and lines[0].startswith("Caught ") else (lines or ["no message"])[0]
    kind = "" if why.startswith(f"{type(exc).__name__}:") else f"{type(exc).__name__}: "
    return DataError(
        f"expected a batch of the loader, found {kind}{why[:300]} in batch {number}; mend it "
        "where the data is made"
    )


def usual_batch(size: Sequence[int], *, gpu: bool = False, images: int = 0) -> int:
    """Return a batch that keeps the device busy and fits its memory: of a small machine, or of a GPU.

    A GPU gets 256 images of 224 x 224 (as fast as any larger number, on an H100; of 64 it computes up to
    a quarter less in the same time), more of smaller ones, and at least 32 batches where these are not
    smaller than 32: so that several can share a pass, and images are decoded while it computes.

    Args:
        size: Size of the tensor of one image, its channels first.
        gpu: Whether it is for a GPU.
        images: How many there are.

    >>> usual_batch((3, 32, 32)), usual_batch((3, 224, 224)), usual_batch((12, 1000))
    (256, 32, 256)
    >>> usual_batch((3, 224, 224), gpu=True, images=50_000)
    256
    """
    pixels = math.prod(size[1:])
    if not gpu:
        return 256 if pixels <= 64 * 64 else 32
    held = 2 ** round(math.log2(_GPU_PIXELS / pixels))
    shared = 2 ** (images // 32).bit_length() // 2
    return int(min(max(held, 8), 2048, max(shared, 32)))


def open_loader(data: Any, *, batch_size: int | None, workers: int = 0) -> Opened:
    """Return the batches of whatever gives some.

    Args:
        data: As `Loader.batches`.
        batch_size: Images per batch, where it has no batches of its own; by default by their size.
        workers: Processes that read the samples of a data set.

    Raises:
        UsageError: If there are no batches in it.
    """
    if isinstance(data, Opened):
        return data
    whole = _whole(data)
    if whole is not None:
        return _slices(whole, batch_size)
    if _is_dataset(data):
        return _from_samples(data, batch_size, workers)
    if callable(data) and not hasattr(data, "__iter__"):
        raise UsageError(
            f"expected {_ASKED}, found the function {getattr(data, '__name__', data)!s}; call it"
        )
    if isinstance(data, str | bytes) or not (
        hasattr(data, "__iter__") or hasattr(data, "__getitem__")
    ):
        raise UsageError(f"expected {_ASKED}, found {kind_of(data)}")
    return _of_loader(data)


def _of_loader(loader: Any) -> Opened:
    steps = _length(loader)
    dataset, sampler = getattr(loader, "dataset", None), getattr(loader, "sampler", None)
    size = getattr(loader, "batch_size", None)
    total, left = None, 0
    if steps is not None and isinstance(size, int) and size > 0 and sampler is not None:
        total = _length(sampler)
        if total is not None and getattr(loader, "drop_last", False):
            total, left = steps * size, max(total - steps * size, 0)
        if total is not None and -(-total // size) != steps:
            total = None
    dealt = None
    if type(sampler).__name__ == "DistributedSampler":
        dealt = int(sampler.rank), int(sampler.num_replicas)  # type: ignore[union-attr]
    return Opened(loader, steps, total, names_in(dataset), dealt, _length(dataset), left)


def _from_samples(dataset: Any, batch_size: int | None, workers: int) -> Opened:
    from torch.utils.data import DataLoader, IterableDataset

    if batch_size is None:
        sample: Any = () if isinstance(dataset, IterableDataset) else _sample(dataset)
        parts = sample.values() if isinstance(sample, Mapping) else sample
        batch_size = usual_batch(next((p.shape for p in parts if _is_array(p)), (1, 224, 224)))

    loader: Any = DataLoader(dataset, batch_size=batch_size, num_workers=workers)
    return _of_loader(loader)


def _sample(dataset: Any) -> Any:
    try:
        sample = dataset[0]
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise failed(exc, 0) from exc
    return sample if isinstance(sample, tuple | list | Mapping) else (sample,)


def _is_dataset(data: Any) -> bool:
    """Return whether something gives single samples: a data set of torch's or of Hugging Face's."""
    from torch.utils.data import Dataset

    features = hasattr(data, "features") and hasattr(data, "column_names")
    return isinstance(data, Dataset) or (features and hasattr(data, "__getitem__"))


def names_in(dataset: Any) -> tuple[str, ...] | None:
    """Return what a data set calls its classes, looking through subsets of it."""
    for _ in range(8):
        if dataset is None:
            return None
        features = getattr(dataset, "features", None)
        if isinstance(features, Mapping):
            for label in LABELS:
                names = getattr(features.get(label), "names", None)
                if names:
                    return tuple(map(str, names))
        names = getattr(dataset, "classes", None)
        if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
            return tuple(names)
        dataset = getattr(dataset, "dataset", None)
    return None


def _whole(data: Any) -> tuple[Any, ...] | dict[str, Any] | None:
    """Return arrays by name or position, if these are all the images there are; else ``None``."""
    if _is_array(data):
        return (data,)
    if isinstance(data, Mapping) and data and any(_is_array(v) for v in data.values()):
        return dict(data)
    if isinstance(data, tuple | list) and len(data) >= 2 and _is_array(data[0]):
        # The batches of a list are tensors as well, and as long as one another; labels have fewer
        # dimensions than images.
        flat = 0 < _dimensions(data[-1]) < _dimensions(data[0])
        if flat and all(_length(part) == len(data[0]) for part in data[1:]):
            return tuple(data)
    return None


def _slices(arrays: Any, batch_size: int | None) -> Opened:
    parts = list(arrays.values()) if isinstance(arrays, Mapping) else list(arrays)
    lengths = {len(p) for p in parts if _length(p) is not None and _dimensions(p) > 0}
    if len(lengths) != 1:
        raise DataError(
            f"expected arrays of equally many images, found {', '.join(map(str, sorted(lengths)))}; give as "
            "many labels as images"
        )
    (images,) = lengths
    batch_size = batch_size or usual_batch(next(p.shape[1:] for p in parts if _is_array(p)))
    return Opened(
        _Slices(arrays, images, batch_size), -(-images // batch_size) if images else 0, images
    )


class _Slices:
    """Arrays cut into batches."""

    def __init__(self, arrays: Any, images: int, batch_size: int) -> None:
        self._arrays, self._images, self._size = arrays, images, batch_size

    def __iter__(self) -> Iterator[Any]:
        for begin in range(0, self._images, self._size):
            here = slice(begin, begin + self._size)
            if isinstance(self._arrays, Mapping):
                yield {n: v[here] if self._is_long(v) else v for n, v in self._arrays.items()}
            else:
                yield tuple(v[here] if self._is_long(v) else v for v in self._arrays)

    def _is_long(self, values: Any) -> bool:
        return _dimensions(values) > 0 and len(values) == self._images


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and _dimensions(value) > 0


def _dimensions(value: Any) -> int:
    if hasattr(value, "shape"):
        return len(value.shape)
    return 1 if isinstance(value, list | tuple) else 0


def _length(value: Any) -> int | None:
    """Return how long something says it is; ``None`` where it does not, or gives no length.

    Whatever asking raises is no error: batches come without it, too.
    """
    try:
        return len(value)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException:  # the code of somebody else, who may as well end the program here
        return None
