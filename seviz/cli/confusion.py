"""``seviz confusion``: how good a network is, and what it takes for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from seviz.cli.confusion_text import Evaluated, document, say
from seviz.cli.console import Speaker
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
from seviz.cli.shared import INTERRUPTED, Asked, check_classes, class_names, obtain_record
from seviz.cli.thresholds import FAILED, LeastTop1
from seviz.errors import DataError, UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.collect.prepared import PassPlan
    from seviz.figures.look import Look
    from seviz.results.classes import ClassTable
    from seviz.results.evaluation import Evaluation

# Names of each list that fit an error's line; --json has all.
NAMED = 10


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class ConfusionOptions:
    """What is evaluated and drawn, and how."""

    classes: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Evaluate the images of these classes alone; predictions of others are counted as "
            "(other). All classes by default."
        ),
    ] = ()
    allow_missing: Annotated[
        bool,
        Parameter(
            help="Evaluate the classes that network and data share, where one has more than the other; "
            "otherwise an error.",
            negative=(),
            show_default=False,
        ),
    ] = False
    normalize: Annotated[
        Literal["true", "pred", "all", "none"],
        Parameter(
            help="Percentages of the row (true), the column (pred) or all images; or counts."
        ),
    ] = "none"
    order: Annotated[
        Literal["index", "cluster", "recall"] | None,
        Parameter(
            help="As they are, similar classes together, or the hardest first; cluster by default, index "
            "above 2,000 classes.",
            show_default=False,
        ),
    ] = None
    log: Annotated[
        bool, Parameter(help="Logarithmic colours.", negative=(), show_default=False)
    ] = False
    top: Annotated[
        int,
        Parameter(
            help="Confusions and classes to list; above 100 classes, the most confused ones to draw "
            "apart. The CSV files hold all."
        ),
    ] = 20
    explain: Annotated[
        tuple[str, str] | None,
        Parameter(
            help="Two classes: how far their gates are apart, block by block.",
            negative=(),
            show_default=False,
        ),
    ] = None
    predictions: Annotated[
        str | None,
        Parameter(help="Write a row per image to this .csv, .tsv or .parquet file."),
    ] = None
    formats: Formats = ("png", "svg")


def confusion(
    ckpt: str,
    *,
    figure: ConfusionOptions = ConfusionOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    threshold: LeastTop1 = LeastTop1(),
    output: OutputOptions = OutputOptions(),
    shown: PrintOptions = PrintOptions(),
) -> int:
    """Evaluate a network: confusion matrix, precision, recall, calibration.

    Rows are true classes, columns predicted ones. Writes figures, the full
    matrix, the scores of each class and all confusions (CSV), and the record
    of the pass. Given a record, or a table of predictions from any tool
    (.csv, .tsv or .parquet with a column of true and one of predicted
    classes), evaluates it without the network. SE is not needed; where there
    is some, tells whether classes that are gated alike are confused more.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME, a record, or a table of predictions.
        figure: What is evaluated and drawn.
        model: How the checkpoint becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        threshold: What top-1 must not be below.
        output: Where results go.
        shown: How figures look in print.
    """
    from seviz.report.folder import write_confusion

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    spec = open_spec(ckpt)
    _check_options(spec, figure, data, earlier)
    threshold.check()
    look = look_of(shown)
    folder = output_folder(spec, output.output)
    if spec.kind == "predictions":
        evaluated = _read_table(spec, figure, speaker)
    else:
        asked = Asked(model, data, earlier, require_se=model.mechanism is not None)
        evaluated = _pass(spec, figure, asked, folder, speaker, output.json, look)
    claim(folder, speaker)
    drawn = write_confusion(
        evaluated.evaluation,
        folder,
        record=evaluated.record,
        gates=evaluated.gates,
        normalize=figure.normalize,
        order=figure.order,
        log=figure.log,
        top=figure.top,
        look=look,
        dpi=shown.dpi,
        formats=figure.formats,
    )
    missed = threshold.missed(evaluated.scores.top1.value)
    speaker.document({**document(evaluated, drawn, figure.top), "exceeded": missed})
    for lost in drawn.replaced:
        speaker.remark(f"note: {lost}")
    say(evaluated, drawn, figure.top, speaker)
    for what in missed:
        speaker.remark(f"exceeded: {what}")
    if evaluated.interrupted:
        return INTERRUPTED
    return FAILED if missed else 0


def _check_options(
    spec: Spec, shown: ConfusionOptions, data: DataOptions, earlier: EarlierOptions
) -> None:
    """Refuse what cannot be done, before any work."""
    from seviz.results.predictions import check_writable

    check_formats(shown.formats)
    if shown.top < 1:
        raise UsageError(f"expected --top as at least 1, found {shown.top}; give a larger number")
    if spec.kind == "predictions":
        for name, given in (
            ("--data", data.data),
            ("--predictions", shown.predictions),
            ("--explain", shown.explain),
            ("--resume", earlier.resume or None),
        ):
            if given is not None:
                raise UsageError(
                    f"expected {name} with a network, found it with the table of predictions "
                    f"{spec.name}; leave it out, or name the checkpoint"
                )
    if shown.predictions is not None:
        if spec.is_record:
            raise UsageError(
                f"expected --predictions with a checkpoint and --data, found it with the record {spec.name}, "
                "which holds no single images; name the checkpoint"
            )
        check_writable(shown.predictions)


def _read_table(spec: Spec, shown: ConfusionOptions, speaker: Speaker) -> Evaluated:
    from seviz.results.classes import ClassTable

    read = spec.predictions
    for note in read.notes:
        speaker.remark(f"note: {note}")
    evaluation = read.evaluation()
    if shown.allow_missing:
        evaluation = evaluation.with_images()
    table = ClassTable.from_labels(evaluation.labels)
    return Evaluated(_chosen(evaluation, table, shown, speaker))


def _pass(
    spec: Spec,
    shown: ConfusionOptions,
    asked: Asked,
    folder: Path,
    speaker: Speaker,
    as_json: bool,
    look: Look,
) -> Evaluated:
    """Open a record or make one, and evaluate it."""
    from seviz.analysis import explain_pair, gate_confusion, gate_warnings
    from seviz.results.evaluation import Evaluation
    from seviz.results.predictions import PredictionTable, write_predictions

    written: list[Path] = []

    def write(table: PredictionTable) -> None:
        written.append(write_predictions(table, shown.predictions or ""))

    def check(plan: PassPlan) -> None:
        if not plan.scored:
            raise DataError(
                "expected folders matched to the network's classes, found folders as classes of their "
                "own: nothing to compare predictions with; give a checkpoint that names its classes, "
                "without --labels data, or --labels sorted if "
                "its outputs are the folders in sorted order"
            )
        _compare(plan.missing, plan.extra, shown, as_json)
        check_classes(plan, [*shown.classes, *(shown.explain or ())])
        look.check_names(class_names(plan))
        if shown.explain and not plan.blocks:
            raise UsageError(
                "expected SE blocks for --explain, found none; leave it out, or name another kind with "
                "--mechanism"
            )

    made = obtain_record(
        spec,
        asked,
        folder,
        speaker,
        check=check,
        each=write if shown.predictions is not None else None,
    )
    record = made.record
    if not made.fresh:
        _compare(record.header.missing, record.header.extra, shown, as_json)
    evaluation = Evaluation.of_record(record)
    return Evaluated(
        evaluation=_chosen(evaluation, record.classes, shown, speaker),
        record=record,
        record_path=made.path,
        gates=tuple(gate_confusion(record)) if record.blocks else (),
        warnings=tuple(gate_warnings(record)),
        pair=shown.explain,
        contrasts=tuple(explain_pair(record, *shown.explain)) if shown.explain else (),
        predictions=written[0] if written else None,
        interrupted=made.interrupted,
    )


def _compare(
    missing: Sequence[str], extra: Sequence[str], shown: ConfusionOptions, as_json: bool
) -> None:
    """Refuse classes that only the network has, or only the data, unless the user knows of them."""
    if shown.allow_missing or shown.classes or not (missing or extra):
        return
    lists = {"only in the network": missing, "only in the data": extra}
    found = " and ".join(
        f"{len(names)} {where} ({', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)})"
        for where, names in lists.items()
        if names
    )
    raise DataError(
        f"expected the same classes in network and data, found {found}; --allow-missing evaluates those "
        "that both have, --classes those that you name",
        details=lists if as_json else None,
    )


def _chosen(
    evaluation: Evaluation, table: ClassTable, shown: ConfusionOptions, speaker: Speaker
) -> Evaluation:
    """Return the evaluation of the classes that the user named."""
    if not shown.classes:
        return evaluation
    with remarked_warnings(speaker):
        choices = table.choose(shown.classes)
    return evaluation.only([table.labels[c.row] for c in choices])
