"""Records of parts of one pass, added up: nothing but their files is needed for it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seviz.errors import DataError
from seviz.results.classes import ClassInfo, ClassTable
from seviz.results.exact import LOW, added, is_low, rounded
from seviz.results.header import Header
from seviz.results.record import Record
from seviz.results.sample import INDEX, PREFIX, ROW, packed, sample_name
from seviz.results.stats import Array


def merge(
    records: Sequence[Record | str | Path], output: str | Path | None = None, *, command: str = ""
) -> Record:
    """Return the record of disjoint parts of one pass: of array jobs, machines, data sets.

    Parts of one source that ``--shard i/n`` made are known by their place: all of them together make the
    record of the whole pass, to the bit (how far that holds says `seviz.results.exact`; parts of an
    older seviz have sums that differ in the last digits). Sources of different names are added up as
    they are.

    Args:
        records: The records, or their files or folders.
        output: Folder to write the result to.
        command: The command line, for the record.

    Raises:
        DataError: If one is not there, they are of different networks or overlap, or there is only one.

    >>> import seviz
    >>> network = seviz.load(seviz.sample("se_resnet_digits"))
    >>> parts = [seviz.collect(network, "digits", seviz.PassOptions(shard=(i, 2))) for i in (1, 2)]
    >>> merge(parts).header.images
    364
    """
    opened = [r if isinstance(r, Record) else Record.load(r) for r in records]
    shown = [
        str(r) if not isinstance(r, Record) else f"part {n + 1}" for n, r in enumerate(records)
    ]
    if len(opened) < 2:
        raise DataError(
            f"expected two records or more to merge, found {len(opened)}; name all parts"
        )
    for record, name in zip(opened[1:], shown[1:], strict=True):
        _check_same(opened[0], record, shown[0], name)
    for n, record in enumerate(opened):
        for m in range(n):
            _check_apart(opened[m], record, shown[m], shown[n])
    # In the order of the images, whatever order the parts were named in.
    order = sorted(range(len(opened)), key=lambda n: (opened[n].header.part or ((0, 0),), n))
    opened = [opened[n] for n in order]
    table = _table(opened)
    header = _header([r.header for r in opened], table, command)
    arrays = _sum(opened, table, whole=not header.part)
    merged = Record(header, table, opened[0].blocks, arrays)
    if output is not None:
        merged.save(output)
    return merged


def _check_same(a: Record, b: Record, first: str, second: str) -> None:
    """Refuse passes that cannot be added up.

    Raises:
        DataError: If the network, or how it was asked, differs.
    """
    for what, one, other in (
        ("checkpoint", a.header.checkpoint_sha256, b.header.checkpoint_sha256),
        ("architecture", a.header.architecture, b.header.architecture),
        ("preprocessing", a.header.preprocessing, b.header.preprocessing),
        ("type of numbers", a.header.dtype, b.header.dtype),
        ("list of blocks", a.blocks, b.blocks),
        ("kind of predictions", "confusion" in a.arrays, "confusion" in b.arrays),
    ):
        if one != other:
            shown = ""
            if what in ("checkpoint", "architecture"):
                names = [f"{r.header.checkpoint} ({r.header.architecture})" for r in (a, b)]
                shown = f" ({names[0]} and {names[1]})"
            raise DataError(
                f"expected records with the same {what}, found {first} and {second} with different ones"
                f"{shown}; merge passes of one network alone"
            )


def _check_apart(a: Record, b: Record, first: str, second: str) -> None:
    """Refuse records that share images.

    Raises:
        DataError: If they do, as far as it can be seen: by their places, or by images in both samples.
    """
    one, other = a.header, b.header
    if (one.source, one.split) != (other.source, other.split):
        return
    if one.part and other.part:
        if one.whole != other.whole:
            raise DataError(
                f"expected parts of one pass, found {first} and {second} of different ones (images or "
                "options differ); collect them alike"
            )
        shared = any(i < n and m < j for i, j in one.part for m, n in other.part)
    else:
        both = INDEX in a.arrays and INDEX in b.arrays
        shared = both and bool(np.intersect1d(a.arrays[INDEX], b.arrays[INDEX]).size)
    if shared:
        remedy = "merge each part once"
        if not (one.part and other.part):  # by name and place; two folders may be called alike
            remedy += ", and of two folders of one name rename one before it is collected"
        raise DataError(
            f"expected disjoint parts, found images of {one.source} in both {first} and {second}; {remedy}"
        )


def _table(records: Sequence[Record]) -> ClassTable:
    """Return the classes of all parts."""
    tables = [r.classes for r in records]
    if all(table == tables[0] for table in tables[1:]):
        return tables[0]
    found: dict[str, ClassInfo] = {}
    for table in tables:
        for label, info in zip(table.labels, table.classes, strict=True):
            found.setdefault(label, info)
    if "confusion" not in records[0].arrays:  # groups of their own are numbered as they come
        return ClassTable(tuple(replace(c, index=n) for n, c in enumerate(found.values())))
    infos = sorted(found.values(), key=lambda info: info.index)
    indices = {info.index for info in infos}
    wrong = len(indices) < len(infos) or any(
        found[label].index != info.index
        for table in tables
        for label, info in zip(table.labels, table.classes, strict=True)
    )
    if wrong:
        raise DataError(
            "expected records whose classes are the same outputs of the network, found others; collect them "
            "with the same class names"
        )
    return ClassTable(tuple(infos))


def _in_table(record: Record, table: ClassTable) -> dict[str, Array]:
    """Return the arrays of a part with a row for every class of the whole."""
    arrays = {name: np.asarray(array) for name, array in record.arrays.items()}
    if record.classes == table:
        return arrays
    rows = {label: row for row, label in enumerate(table.labels)}
    place = np.array([rows[label] for label in record.classes.labels], np.int64)
    made = {}
    for name, array in arrays.items():
        if name == ROW:
            made[name] = place[array]
        elif name.startswith(PREFIX):
            made[name] = array
        else:
            full = np.full((len(table), *array.shape[1:]), _nothing(name), array.dtype)
            full[place] = array
            made[name] = full
    return made


def _nothing(name: str) -> float:
    """Return what an array holds for a class without images."""
    return {"minimum": np.inf, "maximum": -np.inf}.get(name.rpartition("/")[2], 0)


def _sum(records: Sequence[Record], table: ClassTable, *, whole: bool) -> dict[str, Array]:
    """Add up arrays, one record in memory beside the sum: there may be hundreds."""
    like = records[0]
    names = set.intersection(*({n for n in r.arrays if not is_low(n)} for r in records))
    made: dict[str, Array] = {}
    for record in records:
        arrays = {n: a for n, a in _in_table(record, table).items() if n.removesuffix(LOW) in names}
        if not made:
            made = {name: array.copy() for name, array in arrays.items()}
            continue
        made = added(made, arrays) | like.joined_sample([made, arrays])
    if whole:
        made = rounded(made)
    if INDEX in made and whole:
        for block in like.blocks:
            key = sample_name(block.name)
            made[key] = packed(made[key].astype(np.float32))
    return made


def _header(headers: Sequence[Header], table: ClassTable, command: str) -> Header:
    first = headers[0]
    part = _coalesced([p for h in headers for p in h.part])
    one = all(h.whole == first.whole and h.part for h in headers)
    complete = one and part == ((0, first.total),)
    sources = list(dict.fromkeys(h.source for h in headers))
    splits = list(dict.fromkeys(h.split for h in headers))
    missing = dict.fromkeys(label for h in headers for label in h.missing)
    labels = set(table.labels)
    return replace(
        first,
        source=" + ".join(sources),
        split=splits[0] if len(splits) == 1 else " + ".join(filter(None, splits)),
        images=sum(h.images for h in headers),
        skipped=tuple(s for h in headers for s in h.skipped),
        missing=tuple(label for label in missing if label not in labels),
        extra=tuple(dict.fromkeys(e for h in headers for e in h.extra)),
        partial=any(h.partial for h in headers),
        fit=next((h.fit for h in headers if h.fit is not None and h.fit.is_alarm), first.fit),
        notes=tuple(dict.fromkeys(note for h in headers for note in h.notes)),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        request="",  # which holds the times of the files of one machine
        part=() if complete or not one else part,
        whole="" if complete or not one else first.whole,
        total=0 if complete or not one else first.total,
    )


def _coalesced(parts: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return ranges with those that touch joined.

    >>> _coalesced([(4, 8), (0, 4), (10, 12)])
    ((0, 8), (10, 12))
    """
    made: list[tuple[int, int]] = []
    for begin, end in sorted(parts):
        if made and made[-1][1] == begin:
            made[-1] = made[-1][0], end
        else:
            made.append((begin, end))
    return tuple(made)
