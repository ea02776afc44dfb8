"""``seviz compare``: two networks, or two records, side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seviz.cli.compare_text import document, say
from seviz.cli.console import Speaker
from seviz.cli.options import DRAWING, DataOptions, Formats, ModelOptions, OutputOptions
from seviz.cli.output import check_folder, check_formats, default_folder
from seviz.cli.pass_text import say_what_happened
from seviz.cli.process import for_networks
from seviz.cli.record_text import ablation_beside
from seviz.cli.shared import INTERRUPTED, load_model, pass_options, shown_command, with_default
from seviz.cli.thresholds import FAILED, LeastTop1AndDrop
from seviz.errors import DataError, UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.analysis import Comparison
    from seviz.results.subject import Subject


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class ComparisonOptions:
    """What is said and drawn."""

    top: Annotated[int, Parameter(help="Classes and blocks to list; the CSV files hold all.")] = 20
    formats: Formats = ("png", "svg")


def compare(
    a: str,
    b: str,
    *,
    figure: ComparisonOptions = ComparisonOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    threshold: LeastTop1AndDrop = LeastTop1AndDrop(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Compare two networks: accuracy, cost, the classes that gained and lost, gates.

    Two checkpoints with --data are compared image by image (exact McNemar
    test); without it, in parameters and operations alone. Two records are
    compared without the networks and the images, and without knowledge of
    single images. All differences are B minus A.

    Args:
        a: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        b: Another one.
        figure: What is output and drawn.
        model: How checkpoints become networks.
        data: The images, the same for both.
        threshold: What the top-1 of B must not be below, and how far below that of A it may be.
        output: Where results go.
    """
    from seviz.report.folder import write_comparison

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(figure.formats)
    if figure.top < 1:
        raise UsageError(f"expected --top as at least 1, found {figure.top}; give a larger number")
    threshold.check()
    specs = [open_spec(each) for each in (a, b)]
    if not all(spec.is_record for spec in specs):
        data = with_default(data)
    if threshold.given and data.data is None and not all(spec.is_record for spec in specs):
        raise UsageError(
            f"expected --data with {threshold.given}, or two records, found neither; without images there is "
            "no top-1"
        )
    if data.data is not None and all(spec.is_record for spec in specs):
        raise UsageError(
            "expected --data with a checkpoint, found it with two records; leave it out, or name the "
            "checkpoints"
        )
    stems = [_stem(spec) for spec in specs]
    folder = Path(output.output) if output.output else default_folder("_and_".join(stems))
    check_folder(folder)
    subjects: list[Subject] = []
    for letter, spec, stem in zip("ab", specs, stems, strict=True):
        subject, interrupted = _subject(spec, folder / f"{letter}_{stem}", model, data, speaker)
        subjects.append(subject)
        if interrupted:
            speaker.remark("not compared: the pass was interrupted")
            return INTERRUPTED
    compared = _compared(*subjects)
    written = write_comparison(compared, folder, top=figure.top, formats=figure.formats).files
    exceeded = _exceeded(compared, threshold)
    speaker.document({**document(compared, written), "exceeded": exceeded})
    say(compared, figure.top, written, speaker)
    for what in exceeded:
        speaker.remark(f"exceeded: {what}")
    return FAILED if exceeded else 0


def _exceeded(compared: Comparison, threshold: LeastTop1AndDrop) -> list[str]:
    """Return a line for each threshold that B does not hold.

    Raises:
        DataError: If there is one, and the top-1 of both is not known.
    """
    if not threshold.given:
        return []
    if compared.top1 is None:
        raise DataError(
            f"expected the top-1 of both for {threshold.given}, found records without predictions; collect "
            "them again"
        )
    return threshold.exceeded(compared.top1.before, compared.top1.after)


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

    if a.name == b.name:
        a, b = replace(a, name=f"{a.name} (A)"), replace(b, name=f"{b.name} (B)")
    compared = compare_subjects(a, b)
    if compared.top1 is None and not compared.blocks and (a.cost is None or b.cost is None):
        raise DataError(
            "expected something that is known of both, found a record without predictions and a network "
            "without images; give --data, or two records"
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
