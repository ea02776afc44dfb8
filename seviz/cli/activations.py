"""``seviz activations``: the paper's figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_selective, selective_document
from seviz.cli.options import (
    DRAWING,
    DataOptions,
    EarlierOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    Words,
)
from seviz.cli.output import check_formats, output_folder
from seviz.cli.pass_text import remarked_warnings
from seviz.cli.record_text import document, found_in, say_summary
from seviz.cli.shared import INTERRUPTED, Asked, Obtained, check_classes, obtain_record
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.analysis import Findings
    from seviz.collect.prepare import PassPlan
    from seviz.report.folder import Written


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


def activations(
    ckpt: str,
    *,
    figure: FigureOptions = FigureOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
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
    from seviz.report.folder import Written, write_activations, write_findings

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    channels = _channels(figure.channels)
    check_formats(figure.formats)
    spec = open_spec(ckpt)
    folder = output_folder(spec, output.output)
    made = obtain_record(
        spec,
        Asked(model, data, earlier),
        folder,
        speaker,
        check=lambda plan: _check(plan, figure),
    )
    record = made.record
    if not record.blocks:
        raise NoSEBlockError(
            f"expected gates in the record {ckpt}, found predictions alone: the network has no SE block; "
            f"'seviz confusion {ckpt}' shows those"
        )
    found = found_in(record, made.path, speaker)
    try:
        with remarked_warnings(speaker):
            written = write_activations(
                record,
                folder,
                figure.classes,
                figure.blocks,
                channels=channels,
                spread=figure.spread,
                formats=figure.formats,
            )
        written += write_findings(found, written.selective, folder, figure.formats)
    except UsageError:
        if not made.interrupted:
            raise
        speaker.remark("not drawn: the pass ended before all of the classes had images")
        written = Written()
    _say(made, found, written, speaker, written.blocks if figure.blocks else ())
    return INTERRUPTED if made.interrupted else 0


def _check(plan: PassPlan, shown: FigureOptions) -> None:
    """Refuse classes and blocks that will not be there, before the pass and not after it."""
    from seviz.results.blocks import select_blocks

    select_blocks(plan.blocks, shown.blocks)
    check_classes(plan, shown.classes)


def _say(
    made: Obtained, found: Findings, written: Written, speaker: Speaker, asked: Sequence[str]
) -> None:
    speaker.document(
        {
            **document(made.record, made.path, found),
            "selective_channels": selective_document(written.selective),
            "drawn": {"classes": list(written.classes), "blocks": list(written.blocks)},
            "figures": [str(f) for f in written.figures],
            "csv": [str(t) for t in written.tables],
        }
    )
    say_summary(made.record, found, speaker, asked)
    say_selective(written.selective, speaker, asked)
    speaker.wrote(written.files)
    speaker.line(f"record: {made.path}")


def _channels(word: str) -> int | Literal["all"]:
    if word == "all":
        return "all"
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(f"expected --channels as a number of at least 1, or all, found {word!r}")
    return int(word)
