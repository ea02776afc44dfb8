"""The numbers behind a gate figure, as a tidy CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from seviz.analysis.curves import check_blocks, choose_curves, counts, means, stds
from seviz.results.blocks import SEBlock
from seviz.results.classes import ClassChoice
from seviz.results.files import written_whole
from seviz.results.record import Record

COLUMNS = ("block", "class", "channel", "mean", "std", "count")


def write_gate_csv(
    record: Record, classes: Sequence[ClassChoice], blocks: Sequence[SEBlock], path: str | Path
) -> Path:
    """Write mean and standard deviation of every channel of the chosen blocks, whatever was drawn.

    One row per block, class and channel. A class's row has the mean and the standard deviation
    (divisor n) of its images. The class ``all`` has the mean over every class of the record, each
    weighing the same, and the standard deviation over all images; it is called ``all (mean over
    classes)`` where a class of the record is itself called "all".

    Args:
        record: Where the numbers come from.
        classes: The classes, in the order of the rows.
        blocks: Blocks of the record.
        path: The file; its folder is made if need be.

    Raises:
        UsageError: If a chosen class has no image in the record, or a block is not the record's.
    """
    check_blocks(record, blocks)
    curves = choose_curves(record, classes)
    images = counts(record, curves)
    target = Path(path)
    with (
        written_whole(target) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for block in blocks:
            mean, std = means(record, block, curves), stds(record, block, curves)
            for name, count, centre, width in zip(curves.all_names, images, mean, std, strict=True):
                writer.writerows(
                    (block.name, name, channel, f"{m:.9g}", f"{s:.9g}", count)
                    for channel, (m, s) in enumerate(
                        zip(centre.tolist(), width.tolist(), strict=True)
                    )
                )
    return target
