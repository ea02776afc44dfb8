"""The record: what one pass over a source leaves behind. Needs NumPy, never torch.

Numbers are sums over images, kept per class, and single images are a sample whose parts make the whole,
so that records of parts of a source add up to the record of the whole: ``record_a + record_b``.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.blocks import SEBlock
from seviz.classes import ClassTable
from seviz.errors import DataError
from seviz.files import written_whole
from seviz.merging import merge_arrays
from seviz.preprocessing import Preprocessing
from seviz.schema import META_NAME, RECORD_NAME, SCHEMA_VERSION, record_path
from seviz.sketch import INDEX, ROW, SampledGates, sample_name

SATURATED_HIGH = 0.95
SATURATED_LOW = 0.05
# Bins of equal width for confidence against accuracy, as in Guo et al. (arXiv 1706.04599).
CALIBRATION_BINS = 15
TOP = 5

if TYPE_CHECKING:
    import pandas

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_SUMMED = ("count", "sum", "sumsq", "low", "high")


@dataclass(frozen=True, eq=False)
class BlockStats:
    """Gate statistics of one block, per class.

    Attributes:
        count: Images per class, int64 [K].
        sum: Sum of gates, float64 [K, C].
        sumsq: Sum of squared gates, float64 [K, C].
        minimum: Smallest gate, float32 [K, C]; +inf where a class has no image.
        maximum: Largest gate, float32 [K, C]; -inf where a class has no image.
        low: Images whose gate is below 0.05, int32 [K, C].
        high: Images whose gate is above 0.95, int32 [K, C].
    """

    count: npt.NDArray[np.int64]
    sum: Floats
    sumsq: Floats
    minimum: npt.NDArray[np.float32]
    maximum: npt.NDArray[np.float32]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Return which classes have images, [K]."""
        return self.count > 0

    @property
    def mean(self) -> Floats:
        """Return the mean gate of each class, [K, C]; NaN where a class has no image."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sum / self.count[:, None])

    @property
    def std(self) -> Floats:
        """Return the standard deviation within each class (divisor n), [K, C]."""
        with np.errstate(invalid="ignore"):
            return _std(self.sum, self.sumsq, self.count[:, None])

    @property
    def all_mean(self) -> Floats:
        """Return the mean over every class that has images, each class weighing the same, [C]."""
        return np.asarray(self.mean[self.seen].mean(axis=0))

    @property
    def all_std(self) -> Floats:
        """Return the standard deviation over all images (divisor n), [C]."""
        return _std(self.sum.sum(axis=0), self.sumsq.sum(axis=0), self.count.sum())

    def __add__(self, other: BlockStats) -> BlockStats:
        summed = {k: getattr(self, k) + getattr(other, k) for k in _SUMMED}
        return BlockStats(
            **summed,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
        )


def _std(total: Floats, squares: Floats, count: Any) -> Floats:
    # Rounding can leave a variance of -1e-17 where all gates are equal.
    return np.asarray(np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0)))


@dataclass(frozen=True)
class Header:
    """Where a record comes from; everything a reader needs to trust or repeat it.

    Attributes:
        checkpoint: Name of the file or zoo entry.
        architecture: What was built.
        checkpoint_sha256: Hash of the file, or of the state dict of a zoo model.
        source: Name of the images, without the machine's path.
        split: Part of the source.
        preprocessing: How images were made into tensors.
        num_classes: Width of the network's output.
        images: Images that went through the network.
        skipped: Images that could not be read, with the reason.
        missing: Classes of the network without images in the source.
        extra: Folders of the source that are no class of the network.
        partial: Whether the pass was interrupted.
        device: Device of the pass.
        dtype: Floating-point type of the pass.
        created: Date and time, ISO 8601, UTC.
        command: The command line, or empty from Python.
        versions: Versions of the libraries that made it.
        notes: Remarks on how the network was loaded or read.
        request: SHA-256 over all that the numbers depend on; empty where that is not known.
    """

    checkpoint: str
    architecture: str
    checkpoint_sha256: str
    source: str
    split: str
    preprocessing: Preprocessing
    num_classes: int
    images: int
    skipped: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    partial: bool = False
    device: str = "cpu"
    dtype: str = "float32"
    created: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    request: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Header:
        """Build from the JSON form."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        fields["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        fields["skipped"] = tuple((str(p), str(why)) for p, why in values.get("skipped", ()))
        return cls(**fields)


@dataclass(frozen=True, eq=False)
class Record:
    """Gates and predictions of one network on one source.

    Attributes:
        header: Where it comes from.
        classes: The classes of the source, in the order of the rows.
        blocks: The blocks, in forward order.
        arrays: ``count`` [K]; per block ``gates/<name>/<field>`` as in `BlockStats`; where the classes are
            the network's, ``confusion`` int64 [K, outputs] (rows true, columns predicted), ``top5``
            int64 [K], and per bin of confidence ``calibration_count``, ``calibration_correct`` int64 and
            ``calibration_confidence`` (its sum) float64, each [K, 15]; and of a uniform random sample
            of n images, as in `seviz.sketch`, ``sample/index`` (position in the source) and
            ``sample/row`` (of the class) int64 [n], and per block the gates ``sample/<name>`` [n, C],
            float16 or, where that would round away what varies, float32. Records of an older seviz
            have neither calibration nor sample.

    >>> record = Record.load("reports/digits")  # doctest: +SKIP
    >>> record.stats("SE_4_2").mean.shape  # doctest: +SKIP
    (10, 64)
    """

    header: Header
    classes: ClassTable
    blocks: tuple[SEBlock, ...]
    arrays: Mapping[str, Array]

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """Return the number of images of each class, [K]."""
        return np.asarray(self.arrays["count"])

    @property
    def top1(self) -> float | None:
        """Return the share of images whose largest output is their class, if classes were matched."""
        confusion = self.arrays.get("confusion")
        if confusion is None or not confusion.any():
            return None
        own = [c.index for c in self.classes.classes]
        return float(confusion[np.arange(len(own)), own].sum() / confusion.sum())

    def block(self, name: str) -> SEBlock:
        """Return the block of this name.

        Raises:
            KeyError: If there is none.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(name)

    def stats(self, name: str) -> BlockStats:
        """Return the statistics of one block; each field is read from the file at its first use."""
        return _StoredStats(self.count, self.arrays, f"gates/{self.block(name).name}/")

    def sample(self, name: str) -> SampledGates | None:
        """Return the gates of one block for single images, if the record keeps any."""
        if INDEX not in self.arrays:
            return None
        return SampledGates(self.arrays[ROW], self.arrays[sample_name(self.block(name).name)])

    def to_frame(self) -> pandas.DataFrame:
        """Return a tidy table: one row per block, class and channel, with mean, std and count."""
        import pandas

        columns = ("block", "class", "channel", "mean", "std", "count")
        parts = [pandas.DataFrame(columns=columns)] if not self.blocks else []
        for block in self.blocks:
            stats = self.stats(block.name)
            classes, channels = stats.mean.shape
            parts.append(
                pandas.DataFrame(
                    {
                        "block": block.name,
                        "class": np.repeat(self.classes.labels, channels),
                        "channel": np.tile(np.arange(channels), classes),
                        "mean": stats.mean.ravel(),
                        "std": stats.std.ravel(),
                        "count": np.repeat(stats.count, channels),
                    }
                )
            )
        return pandas.concat(parts, ignore_index=True)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: the numbers and the figures of a report, without scripts."""
        if not self.count.any():
            return None
        # By its name: the hall imports no wing, and only a notebook asks for this one.
        html: str = import_module("seviz.report.notebook").record_html(self)
        return html

    def __add__(self, other: Record) -> Record:
        """Merge two passes of one network over two parts of a source.

        Raises:
            DataError: If the records are not of the same network, preprocessing and classes.
        """
        for what, a, b in (
            ("checkpoint", self.header.checkpoint_sha256, other.header.checkpoint_sha256),
            ("preprocessing", self.header.preprocessing, other.header.preprocessing),
            ("dtype", self.header.dtype, other.header.dtype),
            ("blocks", self.blocks, other.blocks),
            ("classes", self.classes, other.classes),
        ):
            if a != b:
                raise DataError(
                    f"expected two records with the same {what}, found different ones; merge only "
                    "passes of one network over parts of one source"
                )
        arrays = merge_arrays(self.arrays, other.arrays, self.blocks)
        header = replace(
            self.header,
            images=self.header.images + other.header.images,
            skipped=self.header.skipped + other.header.skipped,
            partial=self.header.partial or other.header.partial,
            request="",
        )
        return replace(self, header=header, arrays=arrays)

    def save(self, path: str | Path) -> Path:
        """Write the record, whole or not at all; a folder gets ``record.npz``."""
        target = Path(path)
        if target.suffix != ".npz":
            target = target / RECORD_NAME
        meta = {
            "schema_version": SCHEMA_VERSION,
            "header": asdict(self.header),
            "classes": self.classes.to_list(),
            "blocks": [b.to_dict() for b in self.blocks],
        }
        with (
            written_whole(target) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            archive.writestr(zipfile.ZipInfo(META_NAME), json.dumps(meta, allow_nan=False))
            for name, array in self.arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy")
                # Floats hardly shrink, and a redraw would wait for their unpacking; counts do.
                kind = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
                data = io.BytesIO()
                np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
                archive.writestr(member, data.getbuffer(), kind, compresslevel=1)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Record:
        """Open a record; the arrays are read when they are asked for.

        Args:
            path: The ``.npz`` file, or the folder that holds ``record.npz``.

        Raises:
            DataError: If there is no record, it is damaged, or it was written by a newer seviz.
        """
        source = record_path(path)
        try:
            with zipfile.ZipFile(source) as archive:
                meta = json.loads(archive.read(META_NAME))
        except FileNotFoundError:
            raise DataError(
                f"expected a record at {source}, found nothing; make one with 'seviz collect'"
            ) from None
        except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError) as exc:
            raise DataError(
                f"expected a seviz record, found something else in {source} ({exc}); "
                "make one with 'seviz collect'"
            ) from exc
        if meta.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"expected a record of schema version {SCHEMA_VERSION}, found "
                f"{meta.get('schema_version')!r} in {source}; collect it again, or update seviz"
            )
        return cls(
            header=Header.from_dict(meta["header"]),
            classes=ClassTable.from_list(meta["classes"]),
            blocks=tuple(SEBlock.from_dict(b) for b in meta["blocks"]),
            arrays=_StoredArrays(source),
        )


class _StoredStats(BlockStats):
    """Statistics that read a field when asked for it: a mean needs a quarter of what is stored."""

    def __init__(
        self, count: npt.NDArray[np.int64], arrays: Mapping[str, Array], prefix: str
    ) -> None:
        self.__dict__.update(count=count, _arrays=arrays, _prefix=prefix)

    def __getattr__(self, name: str) -> Array:
        if name not in BlockStats.__dataclass_fields__:
            raise AttributeError(name)
        return self._arrays[self._prefix + name]  # type: ignore[no-any-return]


class _StoredArrays(Mapping[str, Array]):
    """The arrays of a record file, each read at its first use: a redraw needs few of many."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, Array] = {}
        with zipfile.ZipFile(path) as archive:
            self._names = [n[:-4] for n in archive.namelist() if n.endswith(".npy")]

    def __getitem__(self, name: str) -> Array:
        if name not in self._read:
            if name not in self._names:
                raise KeyError(name)
            try:
                with zipfile.ZipFile(self._path) as archive:
                    data = archive.read(f"{name}.npy")
            except (OSError, zipfile.BadZipFile) as exc:
                raise DataError(
                    f"expected an intact record, found damage at {name} in {self._path} ({exc}); "
                    "collect it again"
                ) from exc
            self._read[name] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
