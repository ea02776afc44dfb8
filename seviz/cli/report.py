"""``seviz report``: everything in one pass, in one file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import (
    DRAWING,
    DataOptions,
    EarlierOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    Words,
)
from seviz.cli.output import check_folder, check_formats, claim, output_folder
from seviz.cli.pass_text import remarked_warnings, say_network, say_what_happened
from seviz.cli.shared import INTERRUPTED, Asked, check_classes, load_model, require_data
from seviz.collect.distributed import launched
from seviz.errors import UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    pass


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class ReportOptions:
    """What the report shows first, and how much it holds."""

    classes: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Classes to draw first: labels, synonyms, WordNet ids or indices; senet-paper for the "
            "paper's four. Every class can be chosen in the report. Four of the data by default."
        ),
    ] = ()
    full: Annotated[
        bool,
        Parameter(
            help="Put every channel of every class into the file, however large it becomes.",
            negative=(),
            show_default=False,
        ),
    ] = False
    thumbnails: Annotated[
        int | None,
        Parameter(
            help="Small pictures of your images in the file, that many at most: those behind confusions and "
            "at either end of channels (200 take 0.4 MB). None by default.",
        ),
    ] = None
    formats: Formats = ("png", "svg")


@dataclass(frozen=True)
class Made:
    """What a report left behind."""

    report: Path
    record: Path
    partial: bool
    figures: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()


def report(
    ckpt: str,
    *,
    shown: ReportOptions = ReportOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Write one HTML file with everything: gates, depth, cost, confusion, provenance.

    One pass over the images gives the record, the figures, the tables and the
    report. Given a record, writes the report again without the network and the
    images; the results of 'seviz audit' and 'seviz ablate' beside it are shown
    too. The file fetches nothing and can be sent as it is.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        shown: What it shows first.
        model: How the checkpoint becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        output: Where results go.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(shown.formats)
    _check_thumbnails(shown.thumbnails)
    spec = open_spec(ckpt)
    folder = output_folder(spec, output.output)
    if spec.is_record:
        made = _again(spec, shown, data, folder, speaker)
    else:
        asked = Asked(
            model,
            data,
            earlier,
            require_se=model.mechanism is not None,
        )
        made = make(ckpt, shown, asked, folder, speaker)
    say(made, speaker)
    # The exit code tells of an interrupted pass, not of an old record that was marked so.
    return INTERRUPTED if made.partial and not spec.is_record else 0


def demo(
    *,
    open_it: Annotated[
        bool,
        Parameter(
            name="--open",
            negative="--no-open",
            help="Open the report in a browser, where a person is at the terminal.",
        ),
    ] = True,
    output: OutputOptions = OutputOptions(),
) -> int:
    """Make the report of a small built-in SE network on handwritten digits.

    Args:
        open_it: Whether to open it.
        output: Where results go.
    """
    from seviz.api.sample import sample

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    folder = Path(output.output or "reports/demo")
    check_folder(folder)
    shown = ReportOptions(classes=("0", "1", "4", "7"))
    asked = Asked(data=DataOptions(data="digits"), require_se=False)
    made = make(str(sample("se_resnet_digits")), shown, asked, folder, speaker)
    say(made, speaker)
    if made.partial:
        return INTERRUPTED
    if open_it and sys.stdout.isatty() and not output.json:
        import webbrowser

        webbrowser.open(made.report.resolve().as_uri())
    return 0


def make(spec: str, shown: ReportOptions, asked: Asked, folder: Path, speaker: Speaker) -> Made:
    """Run the images through the network once, and write everything that can be said."""
    from seviz.api.report import report as write

    data = require_data(spec, asked.data)
    loaded = load_model(spec, asked.model)
    say_network(loaded, speaker)
    with remarked_warnings(speaker):
        results = write(
            loaded,
            data,
            folder,
            shown.classes,
            options=asked.pass_options,
            full=shown.full,
            formats=shown.formats,
            thumbnails=shown.thumbnails or 0,
            check=lambda plan: check_classes(plan, shown.classes),
            **asked.collecting(speaker),
        )
    if not launched().first:  # the rest is the first process's
        raise SystemExit(0)
    record, written = results.record, results.written
    say_what_happened(record, speaker)
    return Made(
        results.page, results.record_file, record.header.partial, written.figures, written.tables
    )


def _again(
    spec: Spec, shown: ReportOptions, data: DataOptions, folder: Path, speaker: Speaker
) -> Made:
    """Write the report of a record. Imports no torch, unless pictures of its images are asked for."""
    from seviz.report import write_report

    small = None
    if shown.thumbnails is not None:
        from seviz.api.thumbnails import thumbnails

        images = require_data(spec.name, data)
        small = thumbnails(spec.record, images, shown.thumbnails, folder=folder, split=data.split)
    elif data.data is not None:
        raise UsageError(
            f"expected --data with a checkpoint or with --thumbnails, found it with the record {spec.name}; "
            "leave it out, or name the checkpoint to collect anew"
        )
    claim(folder, speaker)
    written = write_report(spec.name, folder, shown.classes, full=shown.full, thumbnails=small)
    return Made(written, spec.file, spec.record.header.partial)


def _check_thumbnails(wanted: int | None) -> None:
    if wanted is not None and wanted < 1:
        raise UsageError(
            f"expected --thumbnails of at least 1, found {wanted}; leave it out for none"
        )


def say(made: Made, speaker: Speaker) -> None:
    """Print what was written."""
    size = made.report.stat().st_size
    document: dict[str, Any] = {
        "report": str(made.report),
        "record": str(made.record),
        "figures": [str(f) for f in made.figures],
        "csv": [str(t) for t in made.tables if t.suffix == ".csv"],
        "bytes": size,
        "partial": made.partial,
    }
    speaker.document(document)
    speaker.wrote((*made.figures, *made.tables))
    speaker.line(f"record: {made.record}")
    speaker.line(f"report: {made.report} ({size / 1e6:.1f} MB)")
