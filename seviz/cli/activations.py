"""``seviz collect`` and ``seviz activations``: the pass and the paper's figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_findings, say_selective, selective_document
from seviz.cli.options import (
    DRAWING,
    DataOptions,
    EarlierOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    ReadOptions,
    Words,
)
from seviz.cli.shared import (
    INTERRUPTED,
    check_classes,
    check_formats,
    obtain_record,
    output_folder,
    remarked_warnings,
)
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.files import is_record

if TYPE_CHECKING:
    from seviz.analysis import Findings, SelectiveChannel
    from seviz.collect.prepare import PassPlan
    from seviz.results.record import Record


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class FigureOptions:
    """What is drawn, and how."""

    classes: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Labels, synonyms, WordNet ids or indices; senet-paper for the paper's four. Four "
            "classes of the data by default."
        ),
    ] = ()
    blocks: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Block names (SE_4_6), stages (SE_4) or all; by default the last block of each stage "
            "and every block of the last stage, as in the paper."
        ),
    ] = ()
    channels: Annotated[
        str, Parameter(help="How many channels to draw per block, evenly spaced, or all.")
    ] = "50"
    spread: Annotated[
        bool,
        Parameter(
            help="Draw the standard deviation within each class as a band.",
            negative=(),
            show_default=False,
        ),
    ] = False
    formats: Formats = ("png", "svg")


def collect(
    ckpt: str,
    *,
    read: ReadOptions | None = None,
    model: ModelOptions | None = None,
    data: DataOptions | None = None,
    earlier: EarlierOptions | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Run images through a network once, and save every class's gates as a record.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        read: What is read.
        model: How it becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        output: Where the record goes.
    """
    said = output or OutputOptions()
    speaker = Speaker(as_json=said.json, quiet=said.quiet)
    if is_record(ckpt):
        raise UsageError(
            f"expected a checkpoint, found the record {ckpt}; 'seviz activations {ckpt}' draws it"
        )
    folder = output_folder(ckpt, said.output)
    record, path = obtain_record(
        ckpt,
        model or ModelOptions(),
        data or DataOptions(),
        folder,
        speaker,
        earlier=earlier or EarlierOptions(),
        read=read,
    )
    found = find(record, path, speaker)
    speaker.document(_document(record, path, found))
    _print_summary(record, found, speaker)
    speaker.line(f"record: {path}")
    return INTERRUPTED if record.header.partial else 0


def activations(
    ckpt: str,
    *,
    figure: FigureOptions | None = None,
    model: ModelOptions | None = None,
    data: DataOptions | None = None,
    earlier: EarlierOptions | None = None,
    output: OutputOptions | None = None,
) -> int:
    """Draw the mean gate of each channel by class, as the SENet paper does.

    Writes the figure, a table of the numbers (CSV) and the record of the pass,
    with the findings: what becomes of the gates along the depth of the network,
    and which channels answer to the classes. Given a record, draws again, for
    any classes and blocks, without the network and the images.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        figure: What is drawn.
        model: How the checkpoint becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        output: Where results go.
    """
    said = output or OutputOptions()
    speaker = Speaker(as_json=said.json, quiet=said.quiet)
    shown = figure or FigureOptions()
    channels = _channels(shown.channels)
    check_formats(shown.formats)
    folder = output_folder(ckpt, said.output)
    old = is_record(ckpt)
    record, path = obtain_record(
        ckpt,
        model or ModelOptions(),
        data or DataOptions(),
        folder,
        speaker,
        lambda plan: _check(plan, shown),
        earlier=earlier or EarlierOptions(),
    )
    if not record.blocks:
        raise NoSEBlockError(
            f"expected gates in the record {ckpt}, found predictions alone: the network has no SE block; "
            f"'seviz confusion {ckpt}' shows those"
        )
    # The exit code tells of an interrupted pass, not of an old record that was marked so.
    interrupted = record.header.partial and not old
    found = find(record, path, speaker)
    try:
        written = draw_activations(record, folder, shown, channels, speaker)
        written += draw_findings(found, written.selective, folder, shown.formats)
    except UsageError:
        if not interrupted:
            raise
        speaker.remark("not drawn: the pass ended before all of the classes had images")
        written = Written()
    _say(record, path, found, written, speaker)
    return INTERRUPTED if interrupted else 0


def _check(plan: PassPlan, shown: FigureOptions) -> None:
    """Refuse classes and blocks that will not be there, before the pass and not after it."""
    from seviz.results.blocks import select_blocks

    select_blocks(plan.blocks, shown.blocks)
    check_classes(plan, shown.classes)


@dataclass(frozen=True)
class Written:
    """What was drawn, and the files."""

    classes: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    figures: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    selective: tuple[SelectiveChannel, ...] = ()

    def __add__(self, other: Written) -> Written:
        return Written(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


def draw_activations(
    record: Record,
    folder: Path,
    shown: FigureOptions,
    channels: int | Literal["all"],
    speaker: Speaker,
) -> Written:
    """Draw the gates, and write the table of what is drawn."""
    from seviz.analysis import selective_channels
    from seviz.analysis.curves import default_classes
    from seviz.figures import gate_curves, save_figure, write_gate_csv
    from seviz.results.blocks import select_blocks

    with remarked_warnings(speaker):
        classes = record.classes.choose(shown.classes or default_classes(record))
    blocks = select_blocks(record.blocks, shown.blocks)
    stem = folder / ("activations_spread" if shown.spread else "activations")
    drawn = gate_curves(record, classes, blocks, channels=channels, spread=shown.spread)
    several = (record.count > 0).sum() > 1
    return Written(
        classes=tuple(c.name for c in classes),
        blocks=tuple(b.name for b in blocks),
        figures=tuple(save_figure(drawn, stem, shown.formats)),
        tables=(write_gate_csv(record, classes, blocks, stem.with_suffix(".csv")),),
        selective=tuple(r for c in classes if several for r in selective_channels(record, c)),
    )


def draw_findings(
    found: Findings, selective: Sequence[SelectiveChannel], folder: Path, formats: Sequence[str]
) -> Written:
    """Draw the findings along depth, and write their tables."""
    from seviz.figures import depth, save_figure, write_findings_csv, write_selective_csv

    return Written(
        figures=tuple(save_figure(depth(found), folder / "depth", formats)),
        tables=(
            write_findings_csv(found, folder / "findings.csv"),
            write_selective_csv(selective, folder / "selective_channels.csv"),
        ),
    )


def _say(record: Record, path: Path, found: Findings, written: Written, speaker: Speaker) -> None:
    speaker.document(
        {
            **_document(record, path, found),
            "selective_channels": selective_document(written.selective),
            "drawn": {"classes": list(written.classes), "blocks": list(written.blocks)},
            "figures": [str(f) for f in written.figures],
            "csv": [str(t) for t in written.tables],
        }
    )
    _print_summary(record, found, speaker)
    say_selective(written.selective, speaker)
    for made in (*written.figures, *written.tables):
        speaker.line(f"wrote {made}")
    speaker.line(f"record: {path}")


def _channels(word: str) -> int | Literal["all"]:
    if word == "all":
        return "all"
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(f"expected --channels as a number of at least 1, or all, found {word!r}")
    return int(word)


def find(record: Record, path: Path, speaker: Speaker) -> Findings:
    """Return the findings, with those of the ablation beside the record, if it is of this network."""
    from seviz.analysis import findings
    from seviz.results.ablation import Ablation

    ablation, why_not = Ablation.beside(path, record.header.checkpoint_sha256)
    if why_not:
        speaker.remark(f"note: {why_not}")
    return findings(record, ablation)


def _document(record: Record, path: Path, found: Findings) -> dict[str, Any]:
    from seviz.analysis import class_share

    header = record.header
    shares = {s.block: s for s in class_share(record)}
    return {
        "record": str(path),
        "architecture": header.architecture,
        "images": header.images,
        "partial": header.partial,
        "top1": record.top1,
        "classes": record.classes.labels,
        "missing": list(header.missing),
        "extra": list(header.extra),
        "blocks": [
            {
                **b.to_dict(),
                "class_share": shares[b.name].share,
                "class_share_by_chance": shares[b.name].chance,
                "spread": shares[b.name].spread,
                "within": shares[b.name].within,
            }
            for b in record.blocks
        ],
        "findings": found.to_dict(),
        "warnings": list(found.warnings),
        "figures": [],
        "skipped": [{"image": name, "reason": why} for name, why in header.skipped],
        "notes": list(header.notes),
    }


def _print_summary(record: Record, found: Findings, speaker: Speaker) -> None:
    header = record.header
    top1 = f", top-1 {record.top1:.2%}" if record.top1 is not None else ""
    partial = " (partial)" if header.partial else ""
    speaker.line(
        f"{header.architecture} on {header.source} {header.split}".rstrip()
        + f": {header.images:,} images{partial} of {len(record.classes)} classes{top1}"
    )
    speaker.line()
    say_findings(found, speaker)
