"""The record: what one pass over a source leaves behind. Needs NumPy, never torch.

Numbers are sums over images, kept per class, and single images are a sample whose parts make the whole,
so that records of parts of a source add up to the record of the whole: ``record_a + record_b``.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError
from seviz.results.blocks import SEBlock
from seviz.results.classes import ClassTable
from seviz.results.files import META_NAME, RECORD_NAME, SCHEMA_VERSION, record_path, written_whole
from seviz.results.header import Header
from seviz.results.input_fit import worse
from seviz.results.notebook import summary_html
from seviz.results.sample import INDEX, PREFIX, ROW, SampledGates, merge_samples, sample_name
from seviz.results.stats import Array, BlockStats, StoredStats

# Bins of equal width for confidence against accuracy, as in Guo et al. (arXiv 1706.04599).
CALIBRATION_BINS = 15
TOP = 5

if TYPE_CHECKING:
    import pandas


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
            of n images, as in `seviz.results.sample`, ``sample/index`` (position in the source) and
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
        return StoredStats(self.count, self.arrays, f"gates/{self.block(name).name}/")

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

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what the record is of, and how to draw it."""
        header = self.header
        numbers = {
            "network": header.architecture,
            "images": f"{header.images:,} of {header.source} {header.split}".rstrip(),
            "classes": f"{int((self.count > 0).sum()):,}",
            "top-1": f"{self.top1:.2%}" if self.top1 is not None else "",
            "blocks": ", ".join(f"{b.name} ({b.channels})" for b in self.blocks) or "none",
            "note": "partial: the pass was interrupted" if header.partial else "",
        }
        return summary_html(
            header.checkpoint, numbers, "seviz.activations(record) draws it; seviz.findings(record)"
        )

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
        arrays = _merge_arrays(self.arrays, other.arrays, self.blocks)
        header = replace(
            self.header,
            images=self.header.images + other.header.images,
            skipped=self.header.skipped + other.header.skipped,
            partial=self.header.partial or other.header.partial,
            request="",
            fit=worse(self.header.fit, other.header.fit),
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


def _merge_arrays(
    a: Mapping[str, Array], b: Mapping[str, Array], blocks: Sequence[SEBlock]
) -> dict[str, Array]:
    """Return the arrays of the whole; what only one part has, such as calibration, is left out."""
    both = [name for name in a if name in b and not name.startswith(PREFIX)]
    return {name: _merge_array(name, a[name], b[name]) for name in both} | merge_samples(
        a, b, blocks
    )


def _merge_array(name: str, a: Array, b: Array) -> Array:
    if name.endswith("/minimum"):
        return np.asarray(np.minimum(a, b))
    if name.endswith("/maximum"):
        return np.asarray(np.maximum(a, b))
    return np.asarray(a + b)
