"""The files of a comparison: figures, tables, and one page that holds both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seviz.analysis import Comparison, SeveralComparison
from seviz.figures.catalogue import Choices
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.report.folder import Written, save_figures
from seviz.tables.comparison import write_block_changes_csv, write_class_changes_csv
from seviz.tables.several import write_several_csv


def write_comparison(
    compared: Comparison, folder: Path, *, top: int = 20, formats: Sequence[str] = FORMATS
) -> Written:
    """Write what differs between two networks, class by class and block by block, and draw it.

    Args:
        compared: From `seviz.compare`.
        folder: Where files go: ``compare.*``, ``compare_classes.csv``, ``compare_blocks.csv``.
        top: Classes and blocks to draw.
        formats: Formats of the figures.
    """
    tables = []
    if compared.classes:
        tables.append(write_class_changes_csv(compared, folder / "compare_classes.csv"))
    if compared.blocks:
        tables.append(write_block_changes_csv(compared, folder / "compare_blocks.csv"))
    drawn = save_figures([compared], folder, formats, Choices(top=top))
    return drawn + Written(tables=tuple(tables))


def write_several(
    compared: SeveralComparison, folder: Path, *, formats: Sequence[str] = FORMATS
) -> Written:
    """Write how three networks or more differ, and draw it.

    Args:
        compared: From `seviz.compare`.
        folder: Where files go: ``compare.*``, ``compare_networks.csv``, ``compare_pairs.csv``,
            ``compare_depth.csv``, ``compare_geometry.csv``.
        formats: Formats of the figures.
    """
    drawn = save_figures([compared], folder, formats, Choices())
    return drawn + Written(tables=tuple(write_several_csv(compared, folder)))
