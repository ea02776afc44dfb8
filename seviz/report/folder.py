"""The folder of results: the figures and tables of each result, under names that stay the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from seviz import figures
from seviz.analysis import (
    Findings,
    GateConfusion,
    SelectiveChannel,
    Shift,
    Swap,
    Track,
    findings,
    gate_confusion,
    scores,
    selective_channels,
)
from seviz.analysis.curves import default_classes
from seviz.analysis.network_map import NetworkMap, network_map
from seviz.analysis.ordering import Order
from seviz.figures.captions import caption, set_caption
from seviz.figures.catalogue import LINES, Choices, Style, drawn_from, figures_of_style
from seviz.figures.confusion.cells import Normalize
from seviz.figures.heat import all_classes
from seviz.figures.look import PLAIN, Look
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.figures.saving import replaced
from seviz.results.ablation import Ablation
from seviz.results.blocks import select_blocks
from seviz.results.cost import Audit
from seviz.results.evaluation import Evaluation
from seviz.results.notebook import summary_html
from seviz.results.record import Record


@dataclass(frozen=True)
class Written:
    """The files of a result, and what is in them.

    Attributes:
        figures: Files of figures.
        tables: Files of tables.
        classes: Names of the classes that were drawn.
        blocks: Names of the blocks that were drawn.
        selective: The channels that answer to those classes.
        replaced: What files of another choice showed that were written over, a sentence each.
        captions: The caption of each figure, as ``name: caption``.
    """

    figures: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    classes: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    selective: tuple[SelectiveChannel, ...] = ()
    replaced: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: where the files are, and what is in them."""
        files = (*self.figures, *self.tables)
        numbers = {
            "figures": ", ".join(file.name for file in self.figures),
            "tables": ", ".join(file.name for file in self.tables),
            "classes": ", ".join(self.classes),
            "blocks": ", ".join(self.blocks),
        }
        return summary_html(str(files[0].parent) if files else "nothing written", numbers)

    def __add__(self, other: Written) -> Written:
        return Written(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))

    @property
    def files(self) -> tuple[Path, ...]:
        """Return all files, figures first."""
        return (*self.figures, *self.tables)


# Rows of a table that nobody chose the classes of, at most.
MOST_ROWS = 200_000


def write_activations(
    record: Record,
    folder: Path,
    classes: Sequence[str] = (),
    blocks: Sequence[str] = (),
    *,
    channels: int | Literal["all"] | None = None,
    spread: bool = False,
    style: Style | None = None,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw the gates of some classes, and write the table of what is drawn.

    Args:
        record: Gates.
        folder: Where files go: ``activations.*``, ``activations_lines.*``, ``activations_spread.*`` or
            ``activations_ridges.*``.
        classes: As in `seviz.activations`.
        blocks: As in `seviz.activations`.
        channels: As in `seviz.activations`.
        spread: As in `seviz.activations`.
        style: As in `seviz.activations`.
        look: How the figure looks.
        dpi: Dots per inch.
        formats: Formats of the figure.

    Raises:
        UsageError: If a class or a block is not in the record, or the style is none.
    """
    stems = figures_of_style(style, spread)
    few = record.classes.choose(classes or default_classes(record))
    drawn = select_blocks(record.blocks, blocks)
    chosen = few
    if not classes and stems[0] not in LINES:
        chosen = all_classes(record)
    asked = Choices(classes=chosen, blocks=[b.name for b in drawn], channels=channels, look=look)
    made = Written()
    for stem in stems:
        # Nobody named any: lines are few, and everything else has all.
        of = few if classes or stem in LINES else all_classes(record)
        made += save_figures(
            [record], folder, formats, replace(asked, classes=of), only=stem, dpi=dpi
        )
    rows = (len(chosen) + 1) * sum(b.channels for b in drawn)
    listed = chosen if classes or rows <= MOST_ROWS else few
    several = (record.count > 0).sum() > 1
    return made + Written(
        classes=tuple(c.name for c in chosen),
        blocks=tuple(b.name for b in drawn),
        tables=(figures.write_gate_csv(record, listed, drawn, folder / f"{stems[0]}.csv"),),
        selective=tuple(r for c in few if several for r in selective_channels(record, c)),
    )


def save_figures(
    results: Iterable[object],
    folder: Path,
    formats: Sequence[str],
    asked: Choices | None = None,
    only: str = "",
    without: Collection[str] = (),
    dpi: float | None = None,
) -> Written:
    """Draw every figure of some results into a folder; arguments as for `drawn_from`."""
    made = Written()
    for result in results:
        for drawing, figure in drawn_from(result, asked, only=only, without=without):
            if not caption(figure):
                set_caption(figure, f"{drawing.shows}.")
            stem = folder / drawing.stem
            lost = replaced(figure, stem, formats)
            made += Written(
                figures=tuple(figures.save_figure(figure, stem, formats, dpi=dpi)),
                replaced=(lost,) if lost else (),
                captions=(f"{drawing.stem}: {caption(figure)}",),
            )
    return made


def write_findings(
    found: Findings,
    selective: Sequence[SelectiveChannel],
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    mapped: NetworkMap | None = None,
    look: Look = PLAIN,
    dpi: float | None = None,
) -> Written:
    """Draw the network and the findings along its depth, and write their tables.

    Args:
        found: The findings.
        selective: The channels that answer to some classes.
        folder: Where files go.
        formats: Formats of the figures.
        mapped: The network, from `seviz.analysis.network_map`.
        look: How the figures look.
        dpi: Dots per inch.
    """
    drawn: list[object] = [found] if mapped is None else [mapped, found]
    return save_figures(drawn, folder, formats, Choices(look=look), dpi=dpi) + Written(
        tables=(
            figures.write_findings_csv(found, folder / "findings.csv"),
            figures.write_selective_csv(selective, folder / "selective_channels.csv"),
        ),
    )


def write_confusion(
    evaluation: Evaluation,
    folder: Path,
    *,
    record: Record | None = None,
    gates: Sequence[GateConfusion] = (),
    normalize: Normalize = "none",
    order: Order | None = None,
    log: bool = False,
    top: int = 20,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw the matrix and what belongs to it, and write the tables, the full matrix first.

    Args:
        evaluation: The counts.
        folder: Where files go.
        record: Where they come from; for the figure of gates against confusion.
        gates: From `seviz.gate_confusion`.
        normalize: As in `seviz.confusion`.
        order: As in `seviz.confusion`.
        log: As in `seviz.confusion`.
        top: As in `seviz.confusion`.
        look: How the figures look.
        dpi: Dots per inch.
        formats: Formats of the figures.
    """
    asked = Choices(normalize=normalize, order=order, log=log, top=top, gates=gates, look=look)
    drawn = save_figures([evaluation], folder, formats, asked, dpi=dpi)
    if record is not None:
        drawn += save_figures([record], folder, formats, asked, only="gate_confusion", dpi=dpi)
    return drawn + Written(
        tables=(
            figures.write_confusion_csv(evaluation, folder / "confusion.csv"),
            figures.write_classes_csv(scores(evaluation), folder / "confusion_classes.csv"),
            figures.write_pairs_csv(evaluation, folder / "confusion_pairs.csv"),
        ),
    )


def write_audit(
    result: Audit,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
    **more: Any,
) -> Written:
    """Write the table of the blocks, the whole result and the figures; ``more`` are keys of the JSON."""
    tables = (
        figures.write_cost_csv(result, folder / "audit.csv"),
        result.save(folder, more),
    )
    return save_figures([result], folder, formats, Choices(look=look), dpi=dpi) + Written(
        tables=tables
    )


def write_ablation(
    result: Ablation,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
) -> Written:
    """Write the result, its table and its figure."""
    tables = (result.save(folder), figures.write_ablation_csv(result, folder / "ablation.csv"))
    return save_figures([result], folder, formats, Choices(look=look), dpi=dpi) + Written(
        tables=tables
    )


def write_track(
    track: Track,
    folder: Path,
    *,
    epochs: Sequence[int] = (),
    blocks: Sequence[str] = (),
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw a network over its training, and write the numbers of each epoch and of each block.

    Args:
        track: From `seviz.track`.
        folder: Where files go.
        epochs: Epochs whose gates are drawn as images by channels.
        blocks: Blocks that are, as in `seviz.activations`.
        look: How the figures look.
        dpi: Dots per inch.
        formats: Formats of the figures.

    Raises:
        UsageError: If there is no such epoch or block.
    """
    tables = [figures.write_epochs_csv(track, folder / "track_epochs.csv")]
    if track.blocks:
        tables.append(figures.write_track_csv(track, folder / "track.csv"))
    asked = Choices(epochs=epochs, blocks=blocks, look=look)
    drawn = save_figures([track], folder, formats, asked, dpi=dpi)
    return drawn + Written(tables=tuple(tables))


def write_shift(
    shift: Shift,
    folder: Path,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw how far gates move as images change, and write the numbers of each block and each world.

    Args:
        shift: From `seviz.shift`.
        folder: Where files go: ``shift.csv``, ``shift_worlds.csv``, ``shift_twin.csv`` where there is a twin,
            and the figure.
        look: How the figure looks.
        dpi: Dots per inch.
        formats: Formats of the figure.
    """
    tables = [
        figures.write_shift_csv(shift, folder / "shift.csv"),
        figures.write_worlds_csv(shift, folder / "shift_worlds.csv"),
    ]
    if shift.twin is not None:
        tables.append(figures.write_twin_csv(shift, folder / "shift_twin.csv"))
    drawn = save_figures([shift], folder, formats, Choices(look=look), dpi=dpi)
    return drawn + Written(tables=tuple(tables))


def write_swap(
    swap: Swap,
    folder: str | Path,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw how often the answer follows the gates, and write the numbers of blocks, classes and pairs.

    Args:
        swap: From `seviz.swap_gates`.
        folder: Where files go: ``swap.csv``, ``swap_classes.csv`` where there are pairs enough,
            ``swap_pairs.csv`` and the figure.
        look: How the figure looks.
        dpi: Dots per inch.
        formats: Formats of the figure.
    """
    folder = Path(folder)
    tables = [figures.write_rates_csv(swap, folder / "swap.csv")]
    if swap.cells:
        tables.append(figures.write_cells_csv(swap, folder / "swap_classes.csv"))
    tables.append(figures.write_swap_pairs_csv(swap, folder / "swap_pairs.csv"))
    drawn = save_figures([swap], folder, formats, Choices(look=look), dpi=dpi)
    return drawn + Written(tables=tuple(tables))


def write_results(
    record: Record,
    folder: str | Path,
    classes: Sequence[str] = (),
    *,
    ablation: Ablation | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw all that a record holds: gates of every block, with spread and without, depth, confusion.

    Args:
        record: Gates and predictions, either or both.
        folder: Where files go.
        classes: Classes to draw; those that an interrupted pass did not reach are left out.
        ablation: Of the same network; for the findings.
        formats: Formats of the figures.
    """
    made, folder = Written(), Path(folder)
    if record.header.partial:
        counts = record.count
        classes = [n for n in classes if all(counts[c.row] for c in record.classes.choose([n]))]
    if record.blocks:
        plain = write_activations(record, folder, classes, ("all",), formats=formats)
        found = findings(record, ablation)
        made += plain + write_findings(
            found,
            plain.selective,
            folder,
            formats,
            mapped=network_map(record.blocks, found, ablation),
        )
        for spread in (False, True):
            lines = write_activations(
                record, folder, classes, ("all",), channels="all", spread=spread, style="lines",
                formats=formats,
            )  # fmt: skip
            made += replace(lines, classes=(), blocks=(), selective=())
    if "confusion" in record.arrays and record.arrays["confusion"].any():
        gates = gate_confusion(record) if record.blocks else ()
        evaluation = Evaluation.of_record(record)
        made += write_confusion(evaluation, folder, record=record, gates=gates, formats=formats)
    there = {path.stem for path in made.figures}
    asked = Choices(classes=record.classes.choose(classes), blocks=("all",), channels="all")
    return made + save_figures([record], folder, formats, asked, without=there)
