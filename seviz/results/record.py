"""The record: what one pass over a source leaves behind. Needs NumPy, never torch.

Numbers are sums over images, kept per class, and single images are a sample whose parts make the whole,
so that records of parts of a source add up to the record of the whole: ``record_a + record_b``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError
from seviz.results.archive import Archive, StoredArrays, write_archive
from seviz.results.blocks import GateBlock, block_class, check_names
from seviz.results.checking import DamageError, Facts, check_arrays
from seviz.results.classes import ClassInfo, ClassTable
from seviz.results.exact import added, is_low, rounded
from seviz.results.fields import FieldError, parse, read
from seviz.results.files import META_NAME, RECORD_NAME, SCHEMA_VERSION, record_path, written_whole
from seviz.results.header import Header
from seviz.results.input_fit import worse
from seviz.results.mechanisms import word_of
from seviz.results.notebook import summary_html
from seviz.results.sample import INDEX, PREFIX, ROW, SampledGates, merge_samples, sample_name
from seviz.results.shares import shown_share
from seviz.results.stats import CALIBRATION_BINS, Array, BlockStats, FiledStats, StoredStats
from seviz.results.tables import Packing

__all__ = ["CALIBRATION_BINS", "TOP", "Record"]

TOP = 5
# Of records whose tables are packed (`seviz.results.tables`), which an older seviz refuses.
PACKED_VERSION = 2
# Of a block; its reduction divides by one of them.
# How a note begins that says what a network has in place of gates of the kind that was asked for.
NO_GATES = "no gates: "
_POSITIVE = ("channels", "hidden")

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
            have neither calibration nor sample. The record of a part of a pass also has, beside each
            sum of float64, what rounding lost of it (``gates/<name>/sum_low``), so that all parts make
            the record of the whole to the bit.

    >>> record = Record.load("reports/digits")  # doctest: +SKIP
    >>> record.stats("SE_4_2").mean.shape  # doctest: +SKIP
    (10, 64)
    """

    header: Header
    classes: ClassTable
    blocks: tuple[GateBlock, ...]
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

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Return the kinds of its gates by their keys (``se``, ``eca``), in forward order."""
        return tuple(dict.fromkeys(block.mechanism.key for block in self.blocks))

    @property
    def word(self) -> str:
        """Return what its gates are called: ``SE``, ``ECA``, ``SE + ECA``."""
        return word_of(block.mechanism for block in self.blocks)

    @property
    def without_gates(self) -> str:
        """Return why it has no gates: what the network has in their place, as far as its maker knew."""
        found = (n.removeprefix(NO_GATES) for n in self.header.notes if n.startswith(NO_GATES))
        return next(found, "the network has no SE block")

    def block(self, name: str) -> GateBlock:
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
        own = self.block(name).name
        if isinstance(self.arrays, StoredArrays):
            return FiledStats(self.count, self.arrays, f"gates/{own}/", own)
        return StoredStats(self.count, self.arrays, f"gates/{own}/")

    def sample(self, name: str) -> SampledGates | None:
        """Return the gates of one block for single images, if the record keeps any."""
        if INDEX not in self.arrays:
            return None
        return SampledGates(self.arrays[ROW], self.arrays[sample_name(self.block(name).name)])

    def _check_over_all(self, block: str) -> None:
        """Refuse means over all classes, kept beside the tables, that are not theirs."""
        kept = self.stats(block)
        own = BlockStats(**{k: getattr(kept, k) for k in BlockStats.__dataclass_fields__})
        for one, other in ((kept.all_mean, own.all_mean), (kept.all_std, own.all_std)):
            if self.count.any() and not np.allclose(one, other, rtol=1e-6, atol=1e-6):
                raise DamageError(f"means over all classes that are not of the tables of {block}")

    def verify(self) -> None:
        """Read and check every array; without it each is checked at its first use.

        Raises:
            DataError: If one is missing, or holds what no pass can have left behind.
        """
        try:
            check_arrays(self.arrays, _facts(self))
            for block in self.blocks:
                self._check_over_all(block.name)
        except DamageError as exc:
            raise DataError(
                f"expected an intact record, found {exc}; collect it again (seviz collect)"
            ) from None

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

    def __repr__(self) -> str:
        """Return one line: what the record is of."""
        header, seen = self.header, int((self.count > 0).sum())
        parts = [f"{header.images:,} images", f"{seen:,} classes", f"{len(self.blocks)} blocks"]
        top1 = f", top-1 {shown_share(self.top1, '.2%')}" if self.top1 is not None else ""
        partial = ", partial" if header.partial else ""
        return f"<Record of {header.checkpoint}: {', '.join(parts)}{top1}{partial}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what the record is of, and how to draw it."""
        header = self.header
        numbers = {
            "network": header.architecture,
            "images": f"{header.images:,} of {header.source} {header.split}".rstrip(),
            "classes": f"{int((self.count > 0).sum()):,}",
            "top-1": shown_share(self.top1, ".2%") if self.top1 is not None else "",
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

    def joined_sample(self, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """Return the sample of several parts with the blocks of this record."""
        made = dict(parts[0])
        for part in parts[1:]:
            made = merge_samples(made, part, self.blocks)
        return {name: array for name, array in made.items() if name.startswith(PREFIX)}

    def save(self, path: str | Path) -> Path:
        """Write the record, whole or not at all; a folder gets ``record.npz``."""
        target = Path(path)
        if target.suffix != ".npz":
            target = target / RECORD_NAME
        packing = Packing(self.arrays, self.blocks)
        meta = {
            "schema_version": PACKED_VERSION if packing.types else SCHEMA_VERSION,
            "header": asdict(self.header),
            "classes": self.classes.to_list(),
            "blocks": [b.to_dict() for b in self.blocks],
        }
        if packing.types:
            meta["packed"] = packing.types
        plain = {n: self.arrays[n] for n in self.arrays if n not in packing.types}
        with written_whole(target, durable=True) as temporary, temporary.open("wb") as file:
            write_archive(file, META_NAME, meta, plain, packing.members())
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

        def damaged(found: object) -> DataError:
            return DataError(
                f"expected an intact record, found {found} in {source}; collect it again (seviz collect)"
            )

        try:
            archive = Archive(source, META_NAME)
            document = parse(archive.document)
            record = _description(document, source)
            packed = read(dict[str, str], document.get("packed", {}), "packed")
        except FileNotFoundError:
            raise DataError(
                f"expected a record at {source}, found nothing; make one with 'seviz collect'"
            ) from None
        except (DamageError, FieldError) as exc:
            raise damaged(exc) from None
        except DataError:
            raise
        except Exception as exc:  # what a damaged archive makes its reader do is anybody's guess
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            raise DataError(
                f"expected a seviz record, found something else in {source} ({reason}); make one with "
                "'seviz collect'"
            ) from exc
        arrays = StoredArrays(archive, _facts(record), damaged, packed)
        _ = arrays["count"]  # small, and used by everything
        return replace(record, arrays=arrays)


def _description(meta: Any, source: Path) -> Record:
    """Return a record without its arrays.

    Raises:
        DataError: If it was written by a newer seviz.
        FieldError: If something is missing, of another type, or there twice.
    """
    version = meta.get("schema_version") if isinstance(meta, Mapping) else None
    if version not in (SCHEMA_VERSION, PACKED_VERSION) or isinstance(version, bool):
        raise DataError(
            f"expected a record of schema version {PACKED_VERSION} or schema version {SCHEMA_VERSION}, "
            f"found {version!r} in {source}; collect it again, or update seviz"
        )
    header, classes, blocks = (meta.get(name) for name in ("header", "classes", "blocks"))
    record = Record(
        header=read(Header, header, "header"),
        classes=ClassTable(read(tuple[ClassInfo, ...], classes, "classes")),
        blocks=tuple(
            read(block_class(block), block, f"blocks[{i}]")
            for i, block in enumerate(read(tuple[Any, ...], blocks, "blocks"))
        ),
        arrays={},
    )
    check_names(b.name for b in record.blocks)
    _check_once(record)
    return record


def _check_once(record: Record) -> None:
    """Refuse what would be counted or drawn twice, or cannot be."""
    for what, names in (
        ("block", [b.name for b in record.blocks]),
        ("class index", [c.index for c in record.classes.classes]),
        ("class", record.classes.labels),
    ):
        if len(set(names)) < len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise FieldError(f"the {what} {twice!r} twice")
    if not record.classes.classes:
        raise FieldError("no class")
    size = record.header.preprocessing.input_size
    if not size or min(size) < 1:
        raise FieldError(f"{list(size)} as header.preprocessing.input_size")
    numbers = {
        "header.images": record.header.images,
        "header.num_classes": record.header.num_classes,
        **{f"the index of class {c.label!r}": c.index for c in record.classes.classes},
        **{
            f"the {k} of {b.name!r}": getattr(b, k) - 1
            for b in record.blocks
            for k in _POSITIVE
            if hasattr(b, k)
        },
    }
    for what, number in numbers.items():
        if number < 0:
            raise FieldError(f"a number that is too small as {what}")


def _facts(record: Record) -> Facts:
    """Return what the arrays of a record must fit."""
    return Facts(
        rows=len(record.classes),
        targets=[c.index for c in record.classes.classes],
        outputs=record.header.num_classes or None,
        images=record.header.images,
        blocks=record.blocks,
    )


def _merge_arrays(
    a: Mapping[str, Array], b: Mapping[str, Array], blocks: Sequence[GateBlock]
) -> dict[str, Array]:
    """Return the arrays of the whole; what only one part has, such as calibration, is left out."""
    joined = added(a, b)
    if not any(is_low(name) for name in (*a, *b)):
        joined = rounded(joined)
    return joined | merge_samples(a, b, blocks)
