"""``seviz image``: what SE does to one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import LOOKING, Blocks, ModelOptions, OutputOptions, PrintOptions, Words
from seviz.cli.output import check_formats, claim, look_of, output_folder
from seviz.cli.pass_text import say_network
from seviz.cli.process import for_networks
from seviz.cli.shared import kind_of, load_model, record_beside
from seviz.errors import UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.figures.look import Look
    from seviz.report.folder import Written
    from seviz.results.image import ImageExplanation
    from seviz.results.record import Record


@Parameter(name="*", group=LOOKING)
@dataclass(frozen=True)
class ImageOptions:
    """What is looked at, and what it is measured against."""

    record: Annotated[
        str | None,
        Parameter(
            help="Record of this network: gates are measured against their means over its images, and held "
            "at them. The one in the folder of the results by default; without one, against 1."
        ),
    ] = None
    data: Annotated[
        str | None,
        Parameter(
            help="Images, as for the other commands; then names in them (digits/test/17), or positions, can "
            "be given in place of files."
        ),
    ] = None
    blocks: Blocks = ()
    channels: Annotated[
        int, Parameter(help="How many channels turned up, and how many turned down, to draw.")
    ] = 3
    device: Annotated[
        str, Parameter(help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps.")
    ] = "auto"
    formats: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Formats of the figures: any of png, svg, pdf, eps, tiff; png by default.",
            name=("--format", "--formats"),
        ),
    ] = ("png",)


def image(
    ckpt: str,
    images: Annotated[tuple[str, ...], Parameter(name="IMAGE", negative=())],
    *,
    looking: ImageOptions = ImageOptions(),
    shown: PrintOptions = PrintOptions(),
    model: ModelOptions = ModelOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Show what SE does to one picture, or to several side by side.

    Block by block: the gates against their means over all images, the channels
    turned up and down most with their feature maps before and after the gate,
    laid over the picture, and what the network would answer with this block's
    gates held at their means, or at 1 (no SE). Writes an overview, a figure of
    each block, tables (CSV) and one HTML file.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        images: Image files; with --data, names or positions in it.
        looking: What is looked at.
        shown: How it looks in print.
        model: How the checkpoint becomes a network.
        output: Where results go.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    look = look_of(shown)
    spec = open_spec(ckpt)
    _check(spec, images, looking)
    folder = output_folder(spec, output.output)
    explained = _explain(spec, images, looking, model, folder, speaker, look)
    from seviz.report.image import write_image

    claim(folder, speaker)
    written = write_image(explained, folder, looking.formats, look=look, dpi=shown.dpi)
    speaker.document({**explained.to_dict(), "files": [str(path) for path in written.files]})
    _say(explained, written, speaker)
    return 0


def _check(spec: Spec, images: tuple[str, ...], looking: ImageOptions) -> None:
    """Refuse what cannot be done, before any work."""
    check_formats(looking.formats)
    if spec.is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {spec.name}, which holds no network; name the "
            "checkpoint, with --record for the mean gates"
        )
    if not images:
        raise UsageError(
            f"expected an image after {spec.name}, found none; name a file, or several"
        )
    if looking.channels < 1:
        raise UsageError(f"expected --channels as at least 1, found {looking.channels}; 3 is usual")


def _explain(
    spec: Spec,
    images: tuple[str, ...],
    looking: ImageOptions,
    model: ModelOptions,
    folder: Path,
    speaker: Speaker,
    look: Look,
) -> ImageExplanation:
    for_networks()
    from seviz.collect.image import explain_image
    from seviz.collect.options import PassOptions

    loaded = load_model(spec.name, model)
    say_network(loaded, speaker)
    if loaded.classes is not None:
        look.check_names(loaded.classes.labels)
    record = _record(spec, looking, folder, speaker)
    explained = explain_image(
        loaded,
        list(images),
        record=record,
        data=looking.data,
        channels=looking.channels,
        blocks=looking.blocks or ("all",),
        options=PassOptions(device=looking.device, mechanism=kind_of(model, record)),
    )
    if loaded.classes is None:  # names that its outputs were given by their number
        look.check_names([a.label for image in explained.images for a in image.top])
    for note in explained.notes:
        if note not in loaded.notes:
            speaker.remark(f"note: {note}")
    return explained


def _record(spec: Spec, looking: ImageOptions, folder: Path, speaker: Speaker) -> Record | None:
    """Return the record that the user named, or the one of this checkpoint among the results."""
    from seviz.results.record import Record

    if looking.record is not None:
        return Record.load(looking.record)
    found = record_beside(spec, folder)
    if found is None:
        speaker.remark(
            "no record of this checkpoint: gates are measured against 1; 'seviz collect' makes one, and "
            "--record names it"
        )
        return None
    path, record = found
    speaker.remark(f"mean gates from {path}, the record of this checkpoint")
    return record


def _say(explained: ImageExplanation, written: Written, speaker: Speaker) -> None:
    from seviz.analysis.image import caution, describe_image
    from seviz.tables.image import answers_table, image_blocks_table

    for image in explained.images:
        speaker.answer(describe_image(explained, image))
    speaker.say(caution(explained), "faint")
    speaker.line()
    speaker.tables((answers_table(explained), image_blocks_table(explained)))
    speaker.wrote(written.files)
