"""A series of records: one network over the epochs of its training. Needs NumPy alone.

Which epoch a checkpoint is of is read off its name, so that a shell's ``epoch_*.pt``, which puts 10 before
2, is a series all the same.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seviz.errors import DataError, UsageError, printable
from seviz.results.files import RECORD_NAME, plain_file
from seviz.results.record import Record
from seviz.results.spelling import plain_number

# epoch_10, epoch=3-step=400 (Lightning), ep7: the number behind such a word, else the last one.
_NAMED = re.compile(r"(?<![a-z])ep(?:och)?[-_=. ]{0,2}(\d{1,9})(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}")
_SUFFIXES = re.compile(r"(\.(pt|pth|ckpt|bin|safetensors|npz|tar|pth\.tar))+$")
# Of a log: more is no table of epochs.
_MOST_ROWS, _MOST_EPOCHS, _MOST_COLUMNS = 1_000_000, 100_000, 200
# Of a name: more is no title of a column. Of an epoch, as in names of files.
_LONGEST, _LAST = 80, 1e9
# A number beyond it is no loss and no accuracy, and a figure of it has no axis.
_LARGEST = 1e100


@dataclass(frozen=True)
class Moment:
    """One network of a series.

    Attributes:
        name: What it is called.
        epoch: When it was; its place in the series, from 1, where no name tells.
        source: Its record, or the file of it, which is read when it is asked for: of a hundred epochs one
            is in memory.
    """

    name: str
    epoch: int
    source: Record | Path

    def record(self) -> Record:
        """Return its record.

        Raises:
            DataError: If it is not there, or damaged.
        """
        return self.source if isinstance(self.source, Record) else Record.load(self.source)


@dataclass(frozen=True)
class TrainingLog:
    """What a training wrote of itself, epoch by epoch.

    Attributes:
        name: Of the file.
        epochs: Of the rows, ascending.
        columns: Numbers by their name, one for each epoch; NaN where nothing was written.
        notes: What was left out.
    """

    name: str
    epochs: tuple[float, ...]
    columns: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def losses(self) -> dict[str, tuple[float, ...]]:
        """Return the columns that are losses."""
        return {k: v for k, v in self.columns.items() if "loss" in k.lower()}

    @property
    def accuracies(self) -> dict[str, tuple[float, ...]]:
        """Return the columns that are accuracies, as shares: percentages are told by being above 1."""
        found = {k: v for k, v in self.columns.items() if re.search("acc|top_?1", k.lower())}
        return {
            k: tuple(x / 100 for x in v) if max(_known(v), default=0) > 1 else v
            for k, v in found.items()
        }


def _known(values: Sequence[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def epochs_of(paths: Sequence[str | Path]) -> list[tuple[str, int]]:
    """Return what each checkpoint is called, and the epoch that its name tells.

    Args:
        paths: Files or folders; records as well. Names that are all alike, as of ``epoch_3/model.pt``,
            are told apart by their folders.

    Raises:
        UsageError: If two have the same name, or are of the same epoch, or some names tell none; where no
            name does, they are numbered as they are given.

    >>> epochs_of(["epoch_10.pt", "epoch_2.pt"])
    [('epoch_10', 10), ('epoch_2', 2)]
    >>> epochs_of(["run/1/record.npz", "run/2/record.npz"])
    [('1', 1), ('2', 2)]
    >>> epochs_of(["first.pt", "last.pt"])
    [('first', 1), ('last', 2)]
    """
    names = _names([Path(p) for p in paths])
    twice = next((n for n, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise UsageError(
            f"expected each checkpoint once, found {twice!r} twice; leave one out, or rename it"
        )
    found = [_epoch(name) for name in names]
    without = [name for name, epoch in zip(names, found, strict=True) if epoch is None]
    if without and len(without) < len(names):
        raise UsageError(
            f"expected the epoch in the name of each checkpoint, found none in {without[0]!r}; rename it "
            "(epoch_0), or leave it out"
        )
    if without:
        return [(name, place + 1) for place, name in enumerate(names)]
    by_epoch: dict[int, str] = {}
    for name, epoch in zip(names, found, strict=True):
        assert epoch is not None
        if epoch in by_epoch:
            raise UsageError(
                f"expected one checkpoint of each epoch, found {by_epoch[epoch]} and {name} both of epoch "
                f"{epoch}; give those of one training"
            )
        by_epoch[epoch] = name
    return [(name, epoch) for epoch, name in by_epoch.items()]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return short names that differ, as far as the paths do."""
    paths = [Path(os.path.abspath(p)) if p.name in ("", "..") else p for p in paths]
    paths = [p.parent if p.name == RECORD_NAME and p.parent.name else p for p in paths]
    stems = [_SUFFIXES.sub("", p.name) for p in paths]
    if len(paths) > 1 and len(set(stems)) == 1:
        return _names([p.parent for p in paths]) if all(p.parent.name for p in paths) else stems
    return stems


def _epoch(name: str) -> int | None:
    named = _NAMED.search(name)
    if named:
        return int(named[1])
    numbers = _NUMBER.findall(name)
    return int(numbers[-1]) if numbers else None


def series(
    sources: Sequence[Record | str | Path],
    names: Sequence[tuple[str, int]] | None = None,
    *,
    tell: Callable[[str], object] | None = None,
) -> list[Moment]:
    """Return records in the order of their epochs.

    Args:
        sources: Records, or their files or folders.
        names: What each is called, and its epoch; from their files and what they are records of by default.
        tell: Called with what a reader must know.

    Raises:
        DataError: If they are of different networks or images.
        UsageError: If there is none, two have one name, or two are of one epoch.
    """
    if not sources:
        raise UsageError("expected checkpoints or records, found none; name those of the epochs")
    opened = [s if isinstance(s, Record) else Record.load(s) for s in sources]
    if names is None:
        own = [r.header.checkpoint for r in opened]
        paths = [s for s in sources if not isinstance(s, Record)]
        names = epochs_of(paths if len(set(own)) < len(own) == len(paths) else own)
    first = opened[0]
    for record, (name, _) in zip(opened[1:], names[1:], strict=True):
        _check_alike(first, record, names[0][0], name)
    made = [
        Moment(name, epoch, s if isinstance(s, Record) else Path(s))
        for s, (name, epoch) in zip(sources, names, strict=True)
    ]
    inputs = {r.header.preprocessing for r in opened}
    if tell is not None and len(inputs) > 1:
        tell("note: images entered the network in different ways, so differences may be theirs")
    return sorted(made, key=lambda moment: moment.epoch)


def _check_alike(a: Record, b: Record, first: str, second: str) -> None:
    """Refuse what is no series.

    Raises:
        DataError: If the networks or the images differ.
    """
    for what, one, other in (
        (
            "blocks",
            [(x.name, x.channels) for x in a.blocks],
            [(x.name, x.channels) for x in b.blocks],
        ),
        ("classes", a.classes.labels, b.classes.labels),
        ("source", (a.header.source, a.header.split), (b.header.source, b.header.split)),
        ("number of images", a.header.images, b.header.images),
    ):
        if one != other:
            raise DataError(
                f"expected one network on the same images, found {first} and {second} with different "
                f"{what}; collect them alike"
            )


def read_log(path: str | Path) -> TrainingLog:
    """Read the log of a training: CSV with a column ``epoch``, as Lightning, timm and Keras write it.

    Of several rows of an epoch the last number in each column counts. Columns without numbers are left
    out; so are numbers that are not finite, or beyond 1e100, which `TrainingLog.notes` tells. What cannot be
    seen in the name of a column is escaped, and a long one lacks its middle.

    Raises:
        DataError: If there is no such file, or no column of epochs in it.
    """
    source = Path(path)
    try:
        text = plain_file(source).read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise DataError(
            f"expected the log of a training, found {exc.strerror or exc} at {source}; name a CSV file"
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"expected text in UTF-8, found other bytes in {source}; save it so"
        ) from None
    try:
        dialect = csv.Sniffer().sniff(text[:4096].partition("\n")[0] + "\n", ",;\t")
        separator = dialect.delimiter
    except csv.Error:
        separator = ","
    try:
        return _read_epochs(
            csv.DictReader(io.StringIO(text, newline=""), delimiter=separator), source
        )
    except csv.Error as exc:
        raise DataError(
            f"expected CSV in {source}, found damage ({exc}); name another file"
        ) from None


def _read_epochs(reader: csv.DictReader[str], source: Path) -> TrainingLog:
    titles = [t for t in reader.fieldnames or () if t and t.strip()]
    key = next((t for t in titles if t.strip().lower() == "epoch"), None)
    if key is None or len(titles) > _MOST_COLUMNS:
        some = ", ".join(t[:40] for t in titles[:8]) or "nothing"
        raise DataError(
            f"expected a column epoch in {source}, found {some}; name a CSV file with one row per epoch"
        )
    twice = next((t for t, n in Counter(t.strip() for t in titles).items() if n > 1), None)
    if twice is not None:
        raise DataError(
            f"expected each column once in {source}, found {twice[:40]!r} twice; leave one out"
        )
    names = _shown_names([t for t in titles if t != key])
    rows: dict[float, dict[str, float]] = {}
    left = Counter[str]()
    for number, row in enumerate(reader):
        epoch = _number(row.get(key))
        if number >= _MOST_ROWS or len(rows) > _MOST_EPOCHS:
            raise DataError(
                f"expected a log of epochs, found over a million rows, or {_MOST_EPOCHS:,} epochs, in "
                f"{source}; thin it"
            )
        if epoch is None:
            continue
        if not abs(epoch) <= _LAST:
            left[key.strip()] += 1
            continue
        kept = rows.setdefault(epoch, {})
        for title, name in names.items():
            value = _number(row.get(title))
            if value is not None and abs(value) <= _LARGEST:
                kept[name] = value
            elif value is not None:
                left[name] += 1
    if not rows:
        raise DataError(
            f"expected epochs in {source}, found none; name a CSV file with one row per epoch"
        )
    epochs = tuple(sorted(rows))
    columns = [n for n in names.values() if any(n in kept for kept in rows.values())]
    return TrainingLog(
        printable(source.name),
        epochs,
        {n: tuple(rows[e].get(n, math.nan) for e in epochs) for n in columns},
        _notes(printable(source.name), left),
    )


def _shown_names(titles: Sequence[str]) -> dict[str, str]:
    """Return what columns are called, by their titles: on one line, not too long, and no two alike."""
    found: dict[str, str] = {}
    for place, title in enumerate(titles, 1):
        name = printable(title.strip())
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST // 2]}…{name[1 - _LONGEST // 2 :]}"
        found[title] = f"{name} ({place})" if name in found.values() else name
    return found


def _notes(file: str, left: Counter[str]) -> tuple[str, ...]:
    """Say how many numbers were left out, and in which columns."""
    if not left:
        return ()
    count, (first, *others) = left.total(), left
    more = f" and {len(others)} more" if others else ""
    many = "s" * (count > 1)
    return (
        f"note: left out {count} number{many} of {file}, in the column {first}{more}: not finite, or beyond "
        "any loss",
    )


def _number(text: str | None) -> float | None:
    """Return the number in a cell, ``None`` if it holds none."""
    try:
        return plain_number(text or "")
    except ValueError:
        return None
