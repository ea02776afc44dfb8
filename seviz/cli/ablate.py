"""``seviz ablate``: which SE blocks matter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import (
    ABLATION,
    DataOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    PageOptions,
    Seed,
)
from seviz.cli.output import check_formats, claim, look_of, output_folder
from seviz.cli.pass_text import say_network, some
from seviz.cli.process import for_networks
from seviz.cli.shared import INTERRUPTED, load_model, pass_options, require_data, shown_command
from seviz.errors import DataError, UsageError
from seviz.results.blocks import SE
from seviz.results.files import is_record
from seviz.results.keys import file_key
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.results.ablation import Ablation
    from seviz.results.record import Record


@Parameter(name="*", group=ABLATION)
@dataclass(frozen=True)
class AblationOptions:
    """What is replaced, and by what."""

    by: Annotated[
        Literal["block", "stage"],
        Parameter(help="Replace the gates of one block, or of one stage."),
    ] = "block"
    gates: Annotated[
        Literal["one", "mean", "shuffle"],
        Parameter(
            name="--with",
            help="Replace gates by 1, by their mean over all images, or by those of another image.",
        ),
    ] = "one"
    seed: Annotated[Seed, Parameter(help="Of the random order of images for --with shuffle.")] = 0
    record: Annotated[
        str | None,
        Parameter(
            help="Record of a pass over the same images, for --with mean; one in the folder of the "
            "results is taken where it fits. A first pass otherwise."
        ),
    ] = None
    formats: Formats = ("png", "svg")


def ablate(
    ckpt: str,
    *,
    ablation: AblationOptions = AblationOptions(),
    shown: PageOptions = PageOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Replace gates, and see what the network gets wrong: which SE blocks matter?

    One block (or stage) at a time, then more and more of them, from the one
    that matters least to the one that matters most. Prints the change of
    top-1 with its 95 % interval and the parameters that go; writes a figure,
    a table (CSV) and the result (JSON). Images that fit into a gigabyte are
    decoded once, and only what comes after a replaced gate is computed again.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        ablation: What is replaced, and by what.
        shown: How figures fit a page.
        model: How the checkpoint becomes a network.
        data: The images.
        output: Where results go.
    """
    from seviz.report.folder import write_ablation

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    look = look_of(shown)
    spec = open_spec(ckpt)
    _check_options(spec, ablation, data)
    folder = output_folder(spec, output.output)
    result = _replace(ckpt, ablation, model, data, folder, speaker)
    claim(folder, speaker)
    written = write_ablation(result, folder, ablation.formats, look=look, dpi=shown.dpi)
    files = (*written.tables, *written.figures)
    speaker.document(_document(result, files))
    say(result, files, speaker)
    return INTERRUPTED if result.partial else 0


def _check_options(spec: Spec, asked: AblationOptions, data: DataOptions) -> None:
    """Refuse what cannot be done, before any work."""
    check_formats(asked.formats)
    if spec.is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {spec.name}, which holds no network; name the "
            "checkpoint, with --record for its mean gates"
        )
    require_data(spec.name, data)
    if asked.record is not None and asked.gates != "mean":
        raise UsageError(
            f"expected --record with --with mean, found it with --with {asked.gates}; leave it out"
        )


def _replace(
    spec: str,
    asked: AblationOptions,
    model: ModelOptions,
    data: DataOptions,
    folder: Path,
    speaker: Speaker,
) -> Ablation:
    for_networks()
    from seviz.pruning.ablation import ablate as run

    record = _record(asked, folder)
    loaded = load_model(spec, model)
    say_network(loaded, speaker)

    def progress(total: int) -> AbstractContextManager[Any]:
        return speaker.progress(total, "replacing gates")

    result = run(
        loaded,
        require_data(spec, data),
        pass_options(data, mechanism=model.kind),
        by=asked.by,
        gates=asked.gates,
        record=record,
        must_fit=asked.record is not None,
        seed=asked.seed,
        command=shown_command(),
        progress=progress,
    )
    for note in result.notes:
        speaker.remark(f"note: {note}")
    if result.skipped:
        listed = tuple(f"{name} ({why})" for name, why in result.skipped)
        speaker.remark(f"warning: {len(listed)} images could not be read: {some(listed)}")
    if result.partial:
        speaker.remark(
            f"interrupted: the result is of {result.images} images, has no cumulative part, and is marked "
            "as partial"
        )
    return result


def _record(asked: AblationOptions, folder: Path) -> Record | None:
    """Return the record that the user named, or the one in the folder of the results."""
    from seviz.results.record import Record

    if asked.record is not None:
        return Record.load(asked.record)
    if asked.gates != "mean" or not is_record(folder):
        return None
    try:
        return Record.load(folder)
    except DataError:  # of another seviz, perhaps: nobody asked for it
        return None


def _document(result: Ablation, files: Sequence[Path]) -> dict[str, Any]:
    """Return the JSON document; its first keys are what scripts depend on."""
    from seviz.analysis import wilson
    from seviz.tables.ablation import CUMULATIVE, ablation_table

    share = wilson(result.right, result.images)
    assert share is not None
    return {
        "baseline": {
            "top1": share.value,
            "top1_interval": [share.low, share.high],
            "right": result.right,
            "params": result.params,
            "se_params" if result.word == SE else file_key("se_params"): result.se_params,
            "macs": result.macs,
        },
        "blocks": ablation_table(result).records(),
        "cumulative": ablation_table(result, CUMULATIVE).records(),
        "by": result.by,
        "gates": result.gates,
        "seed": result.seed,
        "images": result.images,
        "partial": result.partial,
        "checkpoint": result.checkpoint,
        "checkpoint_sha256": result.checkpoint_sha256,
        "architecture": result.architecture,
        "source": result.source,
        "split": result.split,
        "dtype": result.dtype,
        "interval": "95 %, paired (Agresti and Min)",
        "test": "exact McNemar; p_holm is adjusted for all tests of the same list",
        "files": [str(path) for path in files],
        "skipped": [{"image": name, "reason": why} for name, why in result.skipped],
        "notes": list(result.notes),
    }


def say(result: Ablation, files: Sequence[Path], speaker: Speaker) -> None:
    """Print the text."""
    from seviz.analysis.ablation import describe_ablation
    from seviz.tables import tables_of

    speaker.say(describe_ablation(result), "strong")
    partial = " (partial)" if result.partial else ""
    subject = f"{result.architecture} on {result.source} {result.split}".rstrip()
    speaker.say(f"{subject}: {result.images:,} images{partial}")
    speaker.line()
    speaker.tables(tables_of(result).values())
    speaker.wrote(files)
