"""The files of one channel, and of the ranking of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seviz.analysis.channel import ChannelView
from seviz.analysis.channels import ChannelRanking
from seviz.figures.captions import caption
from seviz.figures.channel import channel_figure
from seviz.figures.look import PLAIN, Look
from seviz.figures.saving import DEFAULT_FORMATS, replaced, save_figure
from seviz.report.folder import Written
from seviz.tables.channels import (
    channel_classes_table,
    channel_companions_table,
    channel_images_table,
    write_channels_csv,
)
from seviz.tables.csv_files import write_csv


def write_channel(
    view: ChannelView,
    folder: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
) -> Written:
    """Draw one channel, and write its tables: ``channel_<block>_<index>*``.

    Args:
        view: From `seviz.channel`.
        folder: Where files go.
        formats: Formats of the figure.
        look: How the figure looks.
        dpi: Dots per inch.

    Raises:
        UsageError: If there is no such format.
    """
    stem = f"channel_{view.block.name}_{view.channel}"
    target = Path(folder)
    tables = (
        ("classes", channel_classes_table(view)),
        ("images", channel_images_table(view)),
        ("companions", channel_companions_table(view)),
    )
    figure = channel_figure(view, look=look)
    lost = replaced(figure, target / stem, formats)
    return Written(
        figures=tuple(save_figure(figure, target / stem, formats, dpi=dpi)),
        replaced=(lost,) if lost else (),
        captions=(f"{stem}: {caption(figure)}",),
        tables=tuple(write_csv(table, target / f"{stem}_{name}.csv") for name, table in tables),
        blocks=(view.block.name,),
    )


def write_channels(ranking: ChannelRanking, folder: str | Path) -> Written:
    """Write the ranking of all channels, with every number: ``channels.csv``.

    Args:
        ranking: From `seviz.channels`.
        folder: Where the file goes.
    """
    return Written(
        tables=(write_channels_csv(ranking, Path(folder) / "channels.csv"),),
        blocks=tuple(ranking.blocks),
    )
