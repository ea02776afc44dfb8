"""``seviz activations``: the heat map of the gates, or the paper's figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_selective, selective_document
from seviz.cli.numbers import whole_number
from seviz.cli.options import (
    DRAWING,
    DataOptions,
    EarlierOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    PrintOptions,
    Words,
)
from seviz.cli.output import check_formats, claim, look_of, output_folder
from seviz.cli.pass_text import remarked_warnings
from seviz.cli.record_text import ablation_beside, document, say_summary
from seviz.cli.shared import INTERRUPTED, Asked, Obtained, check_classes, class_names, obtain_record
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.analysis import Findings
    from seviz.collect.prepared import PassPlan
    from seviz.figures.look import Look
    from seviz.report.folder import Written


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class FigureOptions:
    """What is drawn, and how."""

    classes: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Labels, synonyms, WordNet ids or indices; senet-paper for the paper's four. All by default "
            "in a heat map or as ridges, and four as lines."
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
    style: Annotated[
        Literal["heat", "lines", "ridges", "both"] | None,
        Parameter(
            help="heat: how far the mean gate of each class is from that of all, classes by channels; lines: "
            "the paper's figure, a line for each class; ridges: gates of single images, for the channels "
            "that differ most; both: heat and lines. heat by default.",
            show_default=False,
        ),
    ] = None
    channels: Annotated[
        str | None,
        Parameter(
            help="How many channels to draw per block, evenly spaced, or all; by default all in a heat map "
            "and 50 as lines. As ridges, the most class-specific ones, six in all by default.",
            show_default=False,
        ),
    ] = None
    spread: Annotated[
        bool,
        Parameter(
            help="Draw lines, with the standard deviation within each class as a band.",
            negative=(),
            show_default=False,
        ),
    ] = False
    ylim: Annotated[
        tuple[float, ...],
        Words,
        Parameter(help="Ends of the vertical axis of lines; 0 1, or more where gates need it."),
    ] = ()
    own_axes: Annotated[
        bool,
        Parameter(
            help="Give each panel of lines a vertical axis of its own.",
            negative=(),
            show_default=False,
        ),
    ] = False
    distances: Annotated[
        str | None,
        Parameter(
            help="How far classes are apart, a CSV file of lines CLASS,CLASS,DISTANCE: are gates of classes "
            "that are alike alike, too?"
        ),
    ] = None
    formats: Formats = ("png", "svg")


def activations(
    ckpt: str,
    *,
    figure: FigureOptions = FigureOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
    shown: PrintOptions = PrintOptions(),
) -> int:
    """Draw what gates do for each class: a heat map, or the lines of the SENet paper.

    Writes the figure, a table of the numbers (CSV) and the record of the pass,
    with the findings: what becomes of the gates along the depth of the network,
    and which channels answer to the classes. Given a record, draws again, for
    any classes and blocks, without the network and the images.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        figure: What is drawn.
        shown: How it looks in print.
        model: How the checkpoint becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        output: Where results go.
    """
    from seviz.analysis import findings
    from seviz.analysis.network_map import network_map
    from seviz.figures.catalogue import LINES, figures_of_style
    from seviz.figures.style import diverging
    from seviz.report.folder import Written, write_activations, write_findings

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    channels = _channels(figure.channels)
    stems = figures_of_style(figure.style, figure.spread)
    check_formats(figure.formats)
    look = look_of(shown, ylim=figure.ylim, free=figure.own_axes)
    if look.palette and not {*stems} <= {*LINES}:
        diverging(look)  # refuses what is none before the work
    spec = open_spec(ckpt)
    folder = output_folder(spec, output.output)
    made = obtain_record(
        spec,
        Asked(model, data, earlier),
        folder,
        speaker,
        check=lambda plan: _check(plan, figure, look),
    )
    record = made.record
    if not made.fresh:
        look.check_names(record.classes.labels)
    if not record.blocks:
        raise NoSEBlockError(
            f"expected gates in the record {ckpt}, found predictions alone: {record.without_gates}; 'seviz "
            f"confusion {ckpt}' shows the predictions"
        )
    ablation = ablation_beside(record, made.path, speaker)
    found = findings(record, ablation, distances=figure.distances)
    claim(folder, speaker)
    try:
        with remarked_warnings(speaker):
            written = write_activations(
                record,
                folder,
                figure.classes,
                figure.blocks,
                channels=channels,
                spread=figure.spread,
                style=figure.style,
                look=look,
                dpi=shown.dpi,
                formats=figure.formats,
            )
        written += write_findings(
            found,
            written.selective,
            folder,
            figure.formats,
            # A redraw shows what was asked for.
            mapped=None if spec.is_record else network_map(record.blocks, found, ablation),
            look=look,
            dpi=shown.dpi,
        )
    except UsageError:
        if not made.interrupted:
            raise
        speaker.remark("not drawn: the pass ended before all of the classes had images")
        written = Written()
    asked = written.blocks if figure.blocks else ()
    _say(made, found, written, speaker, asked, redrawn=spec.is_record)
    return INTERRUPTED if made.interrupted else 0


def _check(plan: PassPlan, shown: FigureOptions, look: Look) -> None:
    """Refuse classes, blocks and names that will not be there, before the pass and not after it."""
    from seviz.results.blocks import select_blocks

    select_blocks(plan.blocks, shown.blocks)
    check_classes(plan, shown.classes)
    look.check_names(class_names(plan))


def _say(
    made: Obtained,
    found: Findings,
    written: Written,
    speaker: Speaker,
    asked: Sequence[str],
    *,
    redrawn: bool,
) -> None:
    speaker.document(
        {
            **document(made.record, made.path, found),
            "selective_channels": selective_document(written.selective),
            "drawn": {"classes": list(written.classes), "blocks": list(written.blocks)},
            "figures": [str(f) for f in written.figures],
            "captions": list(written.captions),
            "csv": [str(t) for t in written.tables],
        }
    )
    say_summary(made.record, found, speaker, asked)
    say_selective(written.selective, speaker, asked)
    if not redrawn:  # the files have it too, and a redraw is short
        for caption in written.captions[:1]:
            speaker.say(caption.partition(": ")[2])
    for lost in written.replaced:
        speaker.remark(f"note: {lost}")
    speaker.wrote(written.files)
    speaker.line(f"record: {made.path}")


def _channels(word: str | None) -> int | Literal["all"] | None:
    if word is None:
        return None
    if word == "all":
        return "all"
    count = whole_number(word)
    if count is None or count < 1:
        raise UsageError(
            f"expected --channels as a number of at least 1, or all, found {word[:40]!r}"
        )
    return count
