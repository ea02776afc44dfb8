"""The tables of a large record, packed: of classes that have images, and of those only what does not follow.

A record of a few classes is small, and its arrays are plain NumPy ones that anybody reads. Of a thousand
classes the tables of all blocks are hundreds of megabytes; they are packed (`seviz.results.packing`), block
by block, field by field, in groups of classes, so that a few classes are read without the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from seviz.results.blocks import GateBlock
from seviz.results.checking import DamageError, gate_range
from seviz.results.foretold import EMPTY, NEEDS, ORDER, TYPES, base_of, foretold
from seviz.results.packing import Packed, Shape, pack
from seviz.results.sample import ROW, sample_name
from seviz.results.stats import Array, BlockStats, Floats

MEMBERS = "packed/"
# Bytes of plain tables from which on they are packed.
PACKED_FROM = 2**24
# A file that claims tables larger than this many times its size, and than a small record, is a trap.
_MOST_EXPANSION, _SMALL = 100, 1 << 30
# Groups that are kept unpacked: half a megabyte each at most.
_MOST_KEPT = 64
_FIELDS = (*ORDER, "sum_low", "sumsq_low")
_SAMPLES = (np.dtype(np.float16), np.dtype(np.float32))


def _name(block: str, field: str) -> str:
    return f"gates/{block}/{field}"


class Packing:
    """What of a record is packed when it is written.

    Args:
        arrays: Of the record.
        blocks: Of the record.

    Attributes:
        types: Type of the numbers of each array that is packed, by name; empty where none is.
    """

    def __init__(self, arrays: Mapping[str, Array], blocks: Sequence[GateBlock]) -> None:
        self._arrays, self._blocks = arrays, blocks
        self._seen = np.flatnonzero(arrays["count"] > 0) if "count" in arrays else np.zeros(0, int)
        self.types: dict[str, str] = {}
        if sum(b.channels for b in blocks) * len(self._seen) * 32 < PACKED_FROM:
            return
        for block in blocks:
            fields = [f for f in _FIELDS if _name(block.name, f) in arrays]
            if all(self._fits(block, field) for field in fields):
                self.types |= {_name(block.name, f): np.dtype(TYPES[f]).name for f in fields}
                own = sample_name(block.name)
                if own in arrays and self._fits_sample(own, block.channels):
                    self.types[own] = arrays[own].dtype.name

    def _fits(self, block: GateBlock, field: str) -> bool:
        """Return whether a table is what a reader would make of its rows with images."""
        table, count = self._arrays[_name(block.name, field)], self._arrays["count"]
        unseen = table[count <= 0]
        return (
            table.dtype == TYPES[field]
            and table.shape == (len(count), block.channels)
            and unseen.tobytes() == np.full_like(unseen, EMPTY.get(field, 0)).tobytes()
        )

    def _fits_sample(self, name: str, width: int) -> bool:
        table, rows = self._arrays[name], self._arrays[ROW]
        fits = table.dtype in _SAMPLES and table.shape == (len(rows), width)
        return fits and bool(np.isin(rows, self._seen).all())

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of each member, one block in memory at a time."""
        for block in self._blocks:
            if _name(block.name, ORDER[0]) in self.types:
                yield from self._of_block(block)

    def _of_block(self, block: GateBlock) -> Iterator[tuple[str, bytes]]:
        count = self._arrays["count"][self._seen]
        tables = {
            field: np.ascontiguousarray(self._arrays[_name(block.name, field)][self._seen])
            for field in _FIELDS
            if _name(block.name, field) in self.types
        }
        base = base_of(tables["minimum"])
        stats = BlockStats(
            count, *(tables[f] for f in BlockStats.__dataclass_fields__ if f in tables)
        )
        head = np.stack([base.astype(np.float64), stats.all_mean, stats.all_std])
        yield f"{MEMBERS}{block.name}", head.astype("<f8").tobytes()
        for field, table in tables.items():

            def expected(span: slice, field: str = field) -> Array:
                return foretold(field, count[span], base, lambda need: tables[need][span])

            yield f"{MEMBERS}{_name(block.name, field)}", pack(table, expected)
        own = sample_name(block.name)
        if own in self.types:
            sampled = np.ascontiguousarray(self._arrays[own])
            place = np.searchsorted(self._seen, self._arrays[ROW])

            def rough(span: slice) -> Array:
                return _rounded(tables["minimum"][place[span]], sampled.dtype)

            yield f"{MEMBERS}{own}", pack(sampled, rough)


class Tables:
    """The packed tables of a record file.

    Args:
        types: Type of the numbers of each array, by name, as the file has it.
        size: Given a member, returns its bytes.
        read: Given a member, a place and a number of bytes, returns those.
        blocks: Of the record.
        count: Images of each class.
        sample: Returns the row of each image of the sample.

    Raises:
        DamageError: If the file cannot hold what it claims.
    """

    def __init__(
        self,
        types: Mapping[str, str],
        size: Callable[[str], int],
        read: Callable[[str, int, int], bytes],
        blocks: Sequence[GateBlock],
        count: Array,
        sample: Callable[[], Array],
    ) -> None:
        self._size, self._read, self._count, self._sample = size, read, count, sample
        self._seen = np.flatnonzero(count > 0)
        self._kept: OrderedDict[tuple[str, int], Array] = OrderedDict()
        self._heads: dict[str, Floats] = {}
        self._packs: dict[str, Packed] = {}
        self._places: dict[str, tuple[GateBlock, str]] = {}
        self._types: dict[str, np.dtype[np.generic]] = {}
        claimed = 0
        for block in blocks:
            for field in _FIELDS:
                if (name := _name(block.name, field)) in types:
                    self._places[name] = block, field
                    self._types[name] = np.dtype(TYPES[field])
                    claimed += len(count) * block.channels * self._types[name].itemsize
            if (name := sample_name(block.name)) in types:
                kind = next((d for d in _SAMPLES if d.name == types[name]), None)
                if kind is None:
                    raise DamageError(f"{types[name]} in {name}")
                self._places[name], self._types[name] = (block, ""), kind
        strange = [
            n for n, kind in types.items() if n not in self._types or self._types[n].name != kind
        ]
        if strange:
            raise DamageError(f"{types[strange[0]]} in {strange[0]}")
        for block, field in self._places.values():
            need = [_name(block.name, f) for f in ("minimum", *NEEDS.get(field, ()))]
            missing = [n for n in need if n not in types]
            if missing:
                raise DamageError(f"no {missing[0]}")
        stored = sum(size(f"{MEMBERS}{name}") for name in self._places)
        if claimed > max(_SMALL, _MOST_EXPANSION * stored):
            raise DamageError(f"{claimed:,} bytes of tables in {stored:,} (a zip bomb)")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the arrays that are packed."""
        return tuple(self._places)

    def whole(self, name: str, fetch: Callable[[str], Array]) -> Array:
        """Return an array.

        Args:
            name: One of `names`.
            fetch: Returns another one that is needed for it, whole.

        Raises:
            DamageError: If it is damaged.
        """
        block, field = self._places[name]
        if not field:
            return self._whole_sample(name, block, fetch)
        packed = self._packed(name, len(self._seen), block.channels)
        full = np.full((len(self._count), block.channels), EMPTY.get(field, 0), packed.shape.dtype)
        for number in range(packed.shape.groups):
            rows = self._seen[packed.shape.span(number)]

            def known(need: str, rows: Array = rows) -> Array:
                return np.asarray(fetch(_name(block.name, need))[rows])

            full[rows] = self._group(name, number, known)
        return full

    def rows(self, name: str, wanted: Array) -> Array:
        """Return some rows of a table, and read no more than their groups.

        Args:
            name: One of `names`, of no sample.
            wanted: Rows of the record, int64 [R].

        Raises:
            DamageError: If it is damaged.
        """
        block, field = self._places[name]
        group = Shape(len(self._seen), block.channels, self._types[name]).group
        made = np.full((len(wanted), block.channels), EMPTY.get(field, 0), self._types[name])
        there = self._count[wanted] > 0
        place = np.searchsorted(self._seen, wanted)
        for number in np.unique(place[there] // group).tolist():
            chosen = there & (place // group == number)
            made[chosen] = self._known(block, field, number)[place[chosen] - number * group]
        return made

    def over_all(self, block: str) -> tuple[Floats, Floats]:
        """Return mean (each class weighing the same) and standard deviation over everything, float64 [C]."""
        own = self._places[_name(block, ORDER[0])][0]
        _, mean, deviation = self._head(own)
        lowest, highest = gate_range(own.gate)
        slack = 1e-3 * (highest - lowest) if highest < np.inf else 0.0
        fits = np.isfinite(mean) & (mean >= lowest - slack) & (mean <= highest + slack)
        fits &= (deviation >= 0) & (deviation <= highest - lowest) & np.isfinite(deviation)
        if len(self._seen) and not fits.all():
            raise DamageError(f"means over all images that gates cannot have in {MEMBERS}{block}")
        return mean, deviation

    def _known(self, block: GateBlock, field: str, number: int) -> Array:
        """Return one group of a table from the file alone; the last ones are kept, since others need them."""
        name = _name(block.name, field)
        found = self._kept.pop((name, number), None)
        if found is None:
            found = self._group(name, number, lambda need: self._known(block, need, number))
        self._kept[name, number] = found
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _group(self, name: str, number: int, known: Callable[[str], Array]) -> Array:
        block, field = self._places[name]
        packed = self._packed(name, len(self._seen), block.channels)
        span = packed.shape.span(number)
        count, base = self._count[self._seen[span]], self._head(block)[0].astype(np.float32)
        return packed.rows(span, lambda span: foretold(field, count, base, known))

    def _whole_sample(self, name: str, block: GateBlock, fetch: Callable[[str], Array]) -> Array:
        rows, dtype = self._sample(), self._types[name]
        if not (self._count[rows] > 0).all():
            raise DamageError(f"images of a class without images in {name}")
        least = fetch(_name(block.name, "minimum"))
        packed = self._packed(name, len(rows), block.channels)
        claimed, stored = len(rows) * block.channels * dtype.itemsize, self._size(MEMBERS + name)
        if claimed > max(_SMALL, _MOST_EXPANSION * stored):
            raise DamageError(f"{claimed:,} bytes of {name} in {stored:,} (a zip bomb)")
        full = np.empty((len(rows), block.channels), dtype)
        for number in range(packed.shape.groups):
            span = packed.shape.span(number)
            full[span] = packed.rows(span, lambda span: _rounded(least[rows[span]], dtype))
        return full

    def _head(self, block: GateBlock) -> Floats:
        if block.name in self._heads:
            return self._heads[block.name]
        member = f"{MEMBERS}{block.name}"
        if self._size(member) != 3 * 8 * block.channels:
            raise DamageError(f"{self._size(member):,} bytes in {member}")
        data = self._read(member, 0, self._size(member))
        self._heads[block.name] = np.frombuffer(data, "<f8").reshape(3, -1).astype(np.float64)
        return self._heads[block.name]

    def _packed(self, name: str, rows: int, width: int) -> Packed:
        if name not in self._packs:
            member = f"{MEMBERS}{name}"
            shape = Shape(rows, width, self._types[name])
            self._packs[name] = Packed(
                lambda place, size: self._read(member, place, size), self._size(member), shape, name
            )
        return self._packs[name]


def _rounded(gates: Array, dtype: np.dtype[np.generic]) -> Array:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(gates, dtype)
