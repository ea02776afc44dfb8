"""The rows of a gate figure: every channel of the chosen blocks, whatever was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seviz.analysis.curves import Curves, check_blocks, choose_curves, counts, means, stds
from seviz.results.blocks import GateBlock
from seviz.results.classes import ClassChoice
from seviz.results.record import Record
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Column, Table

_COLUMNS = (
    Column("block", "block"),
    Column("class", "class"),
    Column("channel", "channel", "d"),
    Column("mean", "mean gate", ".3f"),
    Column("std", "standard deviation", ".3f"),
    Column("count", "images", ","),
)


def gates_table(
    record: Record, classes: Sequence[ClassChoice], blocks: Sequence[GateBlock]
) -> Table:
    """Return mean and standard deviation of every channel of the chosen blocks.

    One row per block, class and channel. A class's row has the mean and the standard deviation
    (divisor n) of its images. The class ``all`` has the mean over every class of the record, each
    weighing the same, and the standard deviation over all images; it is called ``all (mean over
    classes)`` where a class of the record is itself called "all".

    Args:
        record: Where the numbers come from.
        classes: The classes, in the order of the rows.
        blocks: Blocks of the record.

    Raises:
        UsageError: If a chosen class has no image in the record, or a block is not the record's.
    """
    check_blocks(record, blocks)
    curves = choose_curves(record, classes)
    rows = _Rows(record, curves, blocks)
    return Table("gates", "Mean gate of each channel by class", _COLUMNS, rows)


class _Rows:
    """The rows, made block by block each time they are asked for: there may be millions."""

    def __init__(self, record: Record, curves: Curves, blocks: Sequence[GateBlock]) -> None:
        self._of = record, curves, blocks

    def __iter__(self) -> Iterator[Sequence[Any]]:
        record, curves, blocks = self._of
        images = counts(record, curves)
        for block in blocks:
            mean, std = means(record, block, curves), stds(record, block, curves)
            for name, count, centre, width in zip(curves.all_names, images, mean, std, strict=True):
                pairs = zip(centre.tolist(), width.tolist(), strict=True)
                for channel, (m, s) in enumerate(pairs):
                    yield block.name, name, channel, m, s, count


def write_gate_csv(
    record: Record, classes: Sequence[ClassChoice], blocks: Sequence[GateBlock], path: str | Path
) -> Path:
    """Write `gates_table` as CSV; its folder is made if need be.

    Raises:
        UsageError: If a chosen class has no image in the record, or a block is not the record's.
    """
    return write_csv(gates_table(record, classes, blocks), path)
