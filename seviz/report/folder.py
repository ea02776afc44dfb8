"""The folder of results: the figures and tables of each result, under names that stay the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seviz import figures
from seviz.analysis import (
    Comparison,
    Findings,
    GateConfusion,
    SelectiveChannel,
    Track,
    findings,
    gate_confusion,
    scores,
    selective_channels,
)
from seviz.analysis.curves import default_classes
from seviz.analysis.ordering import Order
from seviz.figures.catalogue import Choices, drawn_from
from seviz.figures.confusion.cells import Normalize
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.results.ablation import Ablation
from seviz.results.blocks import select_blocks
from seviz.results.cost import Audit
from seviz.results.evaluation import Evaluation
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
    """

    figures: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    classes: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    selective: tuple[SelectiveChannel, ...] = ()

    def __add__(self, other: Written) -> Written:
        return Written(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))

    @property
    def files(self) -> tuple[Path, ...]:
        """Return all files, figures first."""
        return (*self.figures, *self.tables)


def write_activations(
    record: Record,
    folder: Path,
    classes: Sequence[str] = (),
    blocks: Sequence[str] = (),
    *,
    channels: int | Literal["all"] = 50,
    spread: bool = False,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw the gates of some classes, and write the table of what is drawn.

    Args:
        record: Gates.
        folder: Where files go: ``activations.*``, or ``activations_spread.*``.
        classes: As in `seviz.activations`.
        blocks: As in `seviz.activations`.
        channels: As in `seviz.activations`.
        spread: As in `seviz.activations`.
        formats: Formats of the figure.

    Raises:
        UsageError: If a class or a block is not in the record.
    """
    chosen = record.classes.choose(classes or default_classes(record))
    drawn = select_blocks(record.blocks, blocks)
    stem = "activations_spread" if spread else "activations"
    asked = Choices(classes=chosen, blocks=[b.name for b in drawn], channels=channels)
    several = (record.count > 0).sum() > 1
    return Written(
        classes=tuple(c.name for c in chosen),
        blocks=tuple(b.name for b in drawn),
        figures=_save([record], folder, formats, asked, only=stem),
        tables=(figures.write_gate_csv(record, chosen, drawn, folder / f"{stem}.csv"),),
        selective=tuple(r for c in chosen if several for r in selective_channels(record, c)),
    )


def _save(
    results: Iterable[object],
    folder: Path,
    formats: Sequence[str],
    asked: Choices | None = None,
    only: str = "",
    without: Collection[str] = (),
) -> tuple[Path, ...]:
    """Draw every figure of some results into a folder; return the files."""
    return tuple(
        path
        for result in results
        for drawing, figure in drawn_from(result, asked, only=only, without=without)
        for path in figures.save_figure(figure, folder / drawing.stem, formats)
    )


def write_findings(
    found: Findings,
    selective: Sequence[SelectiveChannel],
    folder: Path,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw the findings along depth, and write their tables."""
    return Written(
        figures=_save([found], folder, formats),
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
    order: Order = "index",
    log: bool = False,
    top: int = 20,
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
        formats: Formats of the figures.
    """
    asked = Choices(normalize=normalize, order=order, log=log, top=top, gates=gates)
    drawn = _save([evaluation], folder, formats, asked)
    if record is not None:
        drawn += _save([record], folder, formats, asked, only="gate_confusion")
    return Written(
        figures=drawn,
        tables=(
            figures.write_confusion_csv(evaluation, folder / "confusion.csv"),
            figures.write_classes_csv(scores(evaluation), folder / "confusion_classes.csv"),
            figures.write_pairs_csv(evaluation, folder / "confusion_pairs.csv"),
        ),
    )


def write_audit(
    result: Audit, folder: Path, formats: Sequence[str] = FORMATS, **more: Any
) -> Written:
    """Write the table of the blocks, the whole result and the figures; ``more`` are keys of the JSON."""
    tables = (
        figures.write_cost_csv(result, folder / "audit.csv"),
        result.save(folder, more),
    )
    return Written(_save([result], folder, formats), tables)


def write_ablation(result: Ablation, folder: Path, formats: Sequence[str] = FORMATS) -> Written:
    """Write the result, its table and its figure."""
    tables = (result.save(folder), figures.write_ablation_csv(result, folder / "ablation.csv"))
    return Written(_save([result], folder, formats), tables)


def write_comparison(
    compared: Comparison, folder: Path, *, top: int = 20, formats: Sequence[str] = FORMATS
) -> Written:
    """Write what differs between two networks, class by class and block by block, and draw it."""
    tables = []
    if compared.classes:
        tables.append(figures.write_class_changes_csv(compared, folder / "compare_classes.csv"))
    if compared.blocks:
        tables.append(figures.write_block_changes_csv(compared, folder / "compare_blocks.csv"))
    return Written(_save([compared], folder, formats, Choices(top=top)), tuple(tables))


def write_track(
    track: Track,
    folder: Path,
    *,
    epochs: Sequence[int] = (),
    blocks: Sequence[str] = (),
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Draw a network over its training, and write the numbers of each epoch and of each block.

    Args:
        track: From `seviz.track`.
        folder: Where files go.
        epochs: Epochs whose gates are drawn as images by channels.
        blocks: Blocks that are, as in `seviz.activations`.
        formats: Formats of the figures.

    Raises:
        UsageError: If there is no such epoch or block.
    """
    tables = [figures.write_epochs_csv(track, folder / "track_epochs.csv")]
    if track.blocks:
        tables.append(figures.write_track_csv(track, folder / "track.csv"))
    return Written(
        _save([track], folder, formats, Choices(epochs=epochs, blocks=blocks)), tuple(tables)
    )


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
        plain, banded = (
            write_activations(
                record, folder, classes, ("all",), channels="all", spread=spread, formats=formats
            )
            for spread in (False, True)
        )
        found = findings(record, ablation)
        made += plain + write_findings(found, plain.selective, folder, formats)
        made += Written(banded.figures, banded.tables)
    if "confusion" in record.arrays and record.arrays["confusion"].any():
        gates = gate_confusion(record) if record.blocks else ()
        evaluation = Evaluation.of_record(record)
        made += write_confusion(evaluation, folder, record=record, gates=gates, formats=formats)
    there = {path.stem for path in made.figures}
    asked = Choices(classes=record.classes.choose(classes), blocks=("all",), channels="all")
    return made + Written(_save([record], folder, formats, asked, without=there))
