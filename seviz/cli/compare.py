"""``seviz compare``: networks, or records, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seviz.cli.compare_several_text import document_of_several, say_several
from seviz.cli.compare_text import document, say
from seviz.cli.console import Speaker
from seviz.cli.options import (
    DRAWING,
    DataOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    PrintOptions,
)
from seviz.cli.output import check_folder, check_formats, claim, default_folder, look_of
from seviz.cli.pass_text import say_what_happened
from seviz.cli.process import for_networks
from seviz.cli.record_text import ablation_beside
from seviz.cli.shared import INTERRUPTED, load_model, pass_options, shown_command, with_default
from seviz.cli.thresholds import FAILED, LeastTop1AndDrop
from seviz.errors import DataError, UsageError
from seviz.results.mechanisms import ALL
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.analysis import Comparison, SeveralComparison
    from seviz.figures.look import Look
    from seviz.results.subject import Subject


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class ComparisonOptions:
    """What is said and drawn."""

    top: Annotated[int, Parameter(help="Classes and blocks to list; the CSV files hold all.")] = 20
    formats: Formats = ("png", "svg")


# Networks that a folder is named after.
_NAMED = 3


def compare(
    a: str,
    b: str,
    *more: str,
    figure: ComparisonOptions = ComparisonOptions(),
    shown: PrintOptions = PrintOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    threshold: LeastTop1AndDrop = LeastTop1AndDrop(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Compare networks: accuracy, cost, the classes that gained and lost, gates.

    Checkpoints with --data are compared image by image (exact McNemar test);
    without it, in parameters and operations alone. Records are compared
    without the networks and the images, and without knowledge of single
    images. Of two, all differences are B minus A. Of three and more every two
    are compared (p-values adjusted for their number), and gates of any kind
    are read, by relative depth.

    Args:
        a: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        b: Another one.
        more: Any number of others.
        figure: What is output and drawn.
        shown: How it looks in print.
        model: How checkpoints become networks.
        data: The images, the same for all.
        threshold: What the top-1 of all but the first must not be below, and how far below that of A
            it may be.
        output: Where results go.
    """
    from seviz.results.subject import letter, told_apart

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(figure.formats)
    look = look_of(shown)
    if figure.top < 1:
        raise UsageError(f"expected --top as at least 1, found {figure.top}; give a larger number")
    threshold.check()
    names = (a, b, *more)
    specs = [open_spec(each) for each in names]
    if not all(spec.is_record for spec in specs):
        data = with_default(data)
    if threshold.given and data.data is None and not all(spec.is_record for spec in specs):
        raise UsageError(
            f"expected --data with {threshold.given}, or {_count(names)} records, found neither; without "
            "images there is no top-1"
        )
    if data.data is not None and all(spec.is_record for spec in specs):
        raise UsageError(
            f"expected --data with a checkpoint, found it with {_count(names)} records; leave it out, or "
            "name the checkpoints"
        )
    if more and model.mechanism is None:
        model = replace(model, mechanism=ALL)
    stems = [_stem(spec) for spec in specs]
    folder = Path(output.output) if output.output else default_folder(_together(stems))
    check_folder(folder)
    subjects: list[Subject] = []
    for place, (spec, stem) in enumerate(zip(specs, stems, strict=True)):
        own = folder / f"{letter(place)}_{stem}"
        subject, interrupted = _subject(spec, own, model, data, speaker)
        subjects.append(subject)
        if interrupted:
            speaker.remark("not compared: the pass was interrupted")
            return INTERRUPTED
    _say_others(subjects, speaker)
    exceeded = _finish(told_apart(subjects), folder, figure, (look, shown.dpi), threshold, speaker)
    for what in exceeded:
        speaker.remark(f"exceeded: {what}")
    return FAILED if exceeded else 0


def _say_others(subjects: Sequence[Subject], speaker: Speaker) -> None:
    """Say which gates were not looked for, where a network has none of those that were."""
    for subject in subjects:
        cost = subject.cost
        words = [key for key in cost.readable if key != "gate"] if cost is not None else []
        if cost is not None and words and not cost.gates:
            options = " or ".join(f"--mechanism {key}" for key in (*words, ALL))
            speaker.remark(
                f"note: {subject.name} has none of the gates that are compared, but {', '.join(words)}: "
                f"{options} compares those"
            )


def _finish(
    subjects: Sequence[Subject],
    folder: Path,
    figure: ComparisonOptions,
    drawn: tuple[Look, float | None],
    threshold: LeastTop1AndDrop,
    speaker: Speaker,
) -> list[str]:
    """Compare, write and say it; return a line for each threshold that does not hold."""
    from seviz.analysis import compare_several
    from seviz.report.compare import write_comparison, write_several

    look, dpi = drawn
    look.check_names(_named(subjects))
    claim(folder, speaker)
    if len(subjects) > 2:
        several = compare_several(subjects)
        exceeded = _exceeded_of_several(several, threshold)
        written = write_several(several, folder, look=look, dpi=dpi, formats=figure.formats).files
        speaker.document({**document_of_several(several, written), "exceeded": exceeded})
        say_several(several, figure.top, written, speaker)
        return exceeded
    compared = _compared(*subjects)
    written = write_comparison(
        compared, folder, top=figure.top, look=look, dpi=dpi, formats=figure.formats
    ).files
    exceeded = _exceeded(compared, threshold)
    speaker.document({**document(compared, written), "exceeded": exceeded})
    say(compared, figure.top, written, speaker)
    return exceeded


def _named(subjects: Sequence[Subject]) -> list[str]:
    """Return what a figure may name: networks, and their classes."""
    records = [subject.record for subject in subjects if subject.record is not None]
    classes = [label for record in records for label in record.classes.labels]
    return [*(subject.name for subject in subjects), *classes]


def _count(names: Sequence[str]) -> str:
    return "two" if len(names) == 2 else str(len(names))


def _together(stems: Sequence[str]) -> str:
    """Return the name of the folder of results."""
    if len(stems) <= _NAMED:
        return "_and_".join(stems)
    return f"{stems[0]}_and_{len(stems) - 1}_more"


def _exceeded(compared: Comparison, threshold: LeastTop1AndDrop) -> list[str]:
    """Return a line for each threshold that B does not hold.

    Raises:
        DataError: If there is one, and the top-1 of both is not known.
    """
    if not threshold.given:
        return []
    if compared.top1 is None:
        raise _no_top1(threshold, "both")
    return threshold.exceeded(compared.top1.before, compared.top1.after)


def _exceeded_of_several(compared: SeveralComparison, threshold: LeastTop1AndDrop) -> list[str]:
    """Return a line for each threshold that a network after the first does not hold.

    Raises:
        DataError: If there is one, and the top-1 of a network is not known.
    """
    if not threshold.given:
        return []
    known = [share.value for share in compared.top1 if share is not None]
    if len(known) < len(compared.top1):
        raise _no_top1(threshold, "all")
    return [
        f"{name}: {line}"
        for name, value in zip(compared.names[1:], known[1:], strict=True)
        for line in threshold.exceeded(known[0], value)
    ]


def _no_top1(threshold: LeastTop1AndDrop, of: str) -> DataError:
    return DataError(
        f"expected the top-1 of {of} for {threshold.given}, found records without predictions; collect "
        "them again"
    )


def _subject(
    spec: Spec,
    folder: Path,
    model: ModelOptions,
    data: DataOptions,
    speaker: Speaker,
) -> tuple[Subject, bool]:
    """Open a record, or make a network's pass; return whether that was interrupted as well."""
    from seviz.results.subject import Subject

    if spec.is_record:
        ablation = ablation_beside(spec.record, spec.file, speaker)
        return Subject(_name(spec.record.header.checkpoint), spec.record, ablation=ablation), False
    for_networks()
    from seviz.collect.examine import examine

    loaded = load_model(spec.name, model)
    speaker.remark(f"network: {loaded.architecture}, input: {loaded.preprocessing.describe()}")
    if data.data is None:
        subject = examine(loaded, options=pass_options(data, mechanism=model.kind))
        return replace(subject, name=_name(subject.name)), False
    subject = examine(
        loaded,
        data.data,
        pass_options(data, mechanism=model.kind),
        command=shown_command(),
        progress=speaker.progress,
    )
    interrupted = False
    if subject.record is not None:
        say_what_happened(subject.record, speaker)
        subject.record.save(folder)
        interrupted = subject.record.header.partial
    return replace(subject, name=_name(subject.name)), interrupted


def _compared(a: Subject, b: Subject) -> Comparison:
    from seviz.analysis import compare_subjects

    compared = compare_subjects(a, b)
    if compared.top1 is None and not compared.blocks and (a.cost is None or b.cost is None):
        both = a.record is not None and b.record is not None
        found = (
            "records without predictions that share no block"
            if both
            else "a record and a network without images"
        )
        raise DataError(
            f"expected something that is known of both, found {found}; give --data, or two records"
        )
    return compared


def _stem(spec: Spec) -> str:
    """Return what a network is called in the names of folders."""
    path = Path(spec.name)
    if spec.is_record:
        path = spec.file.resolve().parent
    name = path.stem if path.suffix and not path.is_dir() else path.name
    return re.sub(r"[^\w.\-]+", "_", name.rpartition(":")[2]) or "network"


def _name(checkpoint: str) -> str:
    """Return a checkpoint's name without the suffix of its file."""
    return re.sub(r"\.(pt|pth|ckpt|bin|safetensors|keras|h5|hdf5|pt2|tflite|tar)$", "", checkpoint)
