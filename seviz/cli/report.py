"""``seviz report``: everything in one pass, in one file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seviz.cli.activations import FigureOptions, draw_activations, draw_findings, find
from seviz.cli.audit import write_audit
from seviz.cli.confusion import ConfusionOptions, draw_confusion
from seviz.cli.confusion_text import Evaluated
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
from seviz.cli.shared import (
    INTERRUPTED,
    check_classes,
    check_folder,
    check_formats,
    collect_record,
    load_model,
    output_folder,
    remarked_warnings,
    require_data,
)
from seviz.errors import UsageError
from seviz.results.files import is_record, record_path

if TYPE_CHECKING:
    from seviz.networks import LoadedModel
    from seviz.results.cost import Audit
    from seviz.results.record import Record

# Reduction ratios that the report sets side by side: those of the paper's table.
SWEEP = (2, 4, 8, 16, 32)


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
    shown: ReportOptions | None = None,
    model: ModelOptions | None = None,
    data: DataOptions | None = None,
    earlier: EarlierOptions | None = None,
    output: OutputOptions | None = None,
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
    said, asked = output or OutputOptions(), shown or ReportOptions()
    speaker = Speaker(as_json=said.json, quiet=said.quiet)
    check_formats(asked.formats)
    folder = output_folder(ckpt, said.output)
    if is_record(ckpt):
        made = _again(ckpt, asked, data or DataOptions(), folder)
    else:
        made = make(
            ckpt, asked, model or ModelOptions(), data or DataOptions(), folder, speaker, earlier
        )
    say(made, speaker)
    # The exit code tells of an interrupted pass, not of an old record that was marked so.
    return INTERRUPTED if made.partial and not is_record(ckpt) else 0


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
    output: OutputOptions | None = None,
) -> int:
    """Make the report of a small built-in SE network on handwritten digits.

    Args:
        open_it: Whether to open it.
        output: Where results go.
    """
    from seviz.api import sample

    said = output or OutputOptions()
    speaker = Speaker(as_json=said.json, quiet=said.quiet)
    folder = Path(said.output or "reports/demo")
    check_folder(folder)
    asked = ReportOptions(classes=("0", "1", "4", "7"))
    checkpoint = str(sample("se_resnet_digits"))
    made = make(checkpoint, asked, ModelOptions(), DataOptions(data="digits"), folder, speaker)
    say(made, speaker)
    if made.partial:
        return INTERRUPTED
    if open_it and sys.stdout.isatty() and not said.json:
        import webbrowser

        webbrowser.open(made.report.resolve().as_uri())
    return 0


def make(
    spec: str,
    asked: ReportOptions,
    model: ModelOptions,
    data: DataOptions,
    folder: Path,
    speaker: Speaker,
    earlier: EarlierOptions | None = None,
) -> Made:
    """Run the images through the network once, and write everything that can be said."""
    from seviz.report import write_report

    require_data(spec, data)
    loaded = load_model(spec, model)
    audit = _audit(loaded, speaker)
    record, path = collect_record(
        loaded,
        data,
        folder,
        speaker,
        lambda plan: check_classes(plan, asked.classes),
        require_se=False,
        earlier=earlier,
    )
    figures, tables = _draw(record, path, asked, folder, speaker)
    if audit is not None:
        for file in write_audit(audit, folder, asked.formats):
            (tables if file.suffix in (".csv", ".json") else figures).append(file)
    with remarked_warnings(speaker):
        written = write_report(path, folder, asked.classes, audit=audit, full=asked.full)
    return Made(written, path, record.header.partial, tuple(figures), tuple(tables))


def _again(spec: str, asked: ReportOptions, data: DataOptions, folder: Path) -> Made:
    """Write the report of a record. Imports no torch."""
    from seviz.report import write_report
    from seviz.results.record import Record

    if data.data is not None:
        raise UsageError(
            f"expected --data with a checkpoint, found it with the record {spec}; leave it out, or name the "
            "checkpoint to collect anew"
        )
    written = write_report(spec, folder, asked.classes, full=asked.full)
    return Made(written, record_path(spec), Record.load(spec).header.partial)


def _audit(loaded: LoadedModel, speaker: Speaker) -> Audit | None:
    """Count what SE costs; for a network without, what it would cost."""
    from seviz.cost.entry import Insertion
    from seviz.cost.entry import audit as count
    from seviz.errors import NoSEBlockError, SevizError

    try:
        return count(loaded, sweep=SWEEP)
    except NoSEBlockError:
        speaker.remark("note: the network has no SE block; the report has no gates")
    try:
        return count(loaded, sweep=SWEEP, insertion=Insertion())
    except SevizError:
        return None


def _draw(
    record: Record,
    path: Path,
    asked: ReportOptions,
    folder: Path,
    speaker: Speaker,
) -> tuple[list[Path], list[Path]]:
    """Draw what `seviz activations` and `seviz confusion` draw; return figures and tables."""
    from seviz.analysis import gate_confusion
    from seviz.results.evaluation import Evaluation

    figures: list[Path] = []
    tables: list[Path] = []
    if record.blocks:
        for spread in (False, True):
            wanted = FigureOptions(
                classes=_with_images(record, asked.classes),
                blocks=("all",),
                spread=spread,
                formats=asked.formats,
            )
            drawn = draw_activations(record, folder, wanted, "all", speaker)
            if not spread:
                drawn += draw_findings(
                    find(record, path, speaker), drawn.selective, folder, asked.formats
                )
            figures += drawn.figures
            tables += drawn.tables
    if "confusion" in record.arrays and record.arrays["confusion"].any():
        gates = tuple(gate_confusion(record)) if record.blocks else ()
        evaluated = Evaluated(
            Evaluation.of_record(record), record=record, record_path=path, gates=gates
        )
        made = draw_confusion(evaluated, folder, ConfusionOptions(formats=asked.formats))
        figures += made.figures
        tables += [made.matrix, *made.tables]
    return figures, tables


def _with_images(record: Record, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen classes that an interrupted pass has reached."""
    if not record.header.partial:
        return tuple(classes)
    return tuple(n for n in classes if all(record.count[c.row] for c in record.classes.choose([n])))


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
    for file in (*made.figures, *made.tables):
        speaker.line(f"wrote {file}")
    speaker.line(f"record: {made.record}")
    speaker.line(f"report: {made.report} ({size / 1e6:.1f} MB)")
