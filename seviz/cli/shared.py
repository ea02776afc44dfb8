"""From the options of a command to a record."""

from __future__ import annotations

import os
import re
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.options import DataOptions, EarlierOptions, ModelOptions, ReadOptions
from seviz.cli.passing import pass_into
from seviz.errors import DataError, UsageError
from seviz.results.files import is_record, record_path

if TYPE_CHECKING:
    from seviz.collect.prepare import PassOptions, PassPlan
    from seviz.networks import BareWeights, LoadedModel
    from seviz.results.predictions import PredictionTable
    from seviz.results.record import Record


# The command line as it was given; its reader is the record.
given_words: ContextVar[Sequence[str]] = ContextVar("given_words", default=())

# Exit code where Ctrl-C ended the work and what was done is kept.
INTERRUPTED = 130


def load_model(spec: str, options: ModelOptions) -> LoadedModel:
    """Load the network that the command line names.

    Raises:
        UnknownArchitectureError: If it is a file whose tensors fit no known architecture.
    """
    from seviz.networks import BareWeights

    opened = open_model(spec, options)
    if isinstance(opened, BareWeights):
        raise opened.refuse()
    return opened


def open_model(
    spec: str, options: ModelOptions, *, mapped: bool = False
) -> LoadedModel | BareWeights:
    """Load the network that the command line names, or the weights alone if it is not known.

    Args:
        spec: A file, or a name in a zoo.
        options: How it becomes a network.
        mapped: Leave the weights in the file; for commands that only look at it.
    """
    from seviz.networks import BareWeights, LoadOptions, open_checkpoint, parse_arch_args

    opened = open_checkpoint(
        spec,
        LoadOptions(
            options.arch,
            parse_arch_args(options.arch_args),
            options.ema,
            options.unsafe_load,
            options.allow_nan,
            mapped,
        ),
    )
    if isinstance(opened, BareWeights):
        return opened
    return opened.with_preprocessing(
        input_size=options.input_size,
        mean=options.mean or None,
        std=options.std or None,
        crop_pct=options.crop_pct,
        interpolation=options.interpolation,
    )


def obtain_record(
    spec: str,
    model: ModelOptions,
    data: DataOptions,
    folder: Path,
    speaker: Speaker,
    check: Callable[[PassPlan], Any] | None = None,
    *,
    require_se: bool = True,
    earlier: EarlierOptions | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
    read: ReadOptions | None = None,
) -> tuple[Record, Path]:
    """Open the record that ``spec`` is, or see to it that ``folder`` holds that of the pass.

    Args:
        spec: A record, or what `load_model` takes.
        model: How a checkpoint becomes a network.
        data: The images.
        folder: Where the record goes, or is.
        speaker: Told of everything a reader must know.
        check: Called before the first image is read.
        require_se: Whether a network without SE is an error.
        earlier: What becomes of an earlier pass.
        each: Given the prediction for every image of a new pass.
        read: What is read; everything by default.

    Returns:
        The record and the file that holds it.
    """
    if is_record(spec):
        resume = earlier is not None and earlier.resume
        for option, given in (("--data", data.data is not None), ("--resume", resume)):
            if given:
                raise UsageError(
                    f"expected {option} with a checkpoint, found it with the record {spec}; leave it out "
                    "to redraw, or name the checkpoint to collect anew"
                )
        from seviz.results.record import Record

        return Record.load(spec), record_path(spec)
    require_data(spec, data)
    return collect_record(
        load_model(spec, model),
        data,
        folder,
        speaker,
        check,
        require_se=require_se,
        earlier=earlier,
        each=each,
        read=read,
    )


def require_data(spec: str, data: DataOptions) -> str:
    """Return the images that are to be collected from.

    Raises:
        UsageError: If none are named.
    """
    if data.data is None:
        raise UsageError(
            "expected --data (a folder with one folder per class, cifar10[:DIR], or digits), found "
            f"none; {spec} is not a record"
        )
    return data.data


def collect_record(
    loaded: LoadedModel,
    data: DataOptions,
    folder: Path,
    speaker: Speaker,
    check: Callable[[PassPlan], Any] | None = None,
    *,
    require_se: bool = True,
    earlier: EarlierOptions | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
    read: ReadOptions | None = None,
) -> tuple[Record, Path]:
    """Collect a record of a network and save it in ``folder``; arguments as for `obtain_record`."""
    speaker.remark(f"network: {loaded.architecture}, {loaded.params:,} parameters")
    speaker.remark(f"input: {loaded.preprocessing.describe()}")
    record, path = pass_into(
        folder,
        loaded,
        require_data(loaded.name, data),
        pass_options(data, read, require_se=require_se),
        earlier or EarlierOptions(),
        speaker,
        command=shown_command(),
        check=check,
        each=each,
    )
    say_what_happened(record, speaker)
    return record, path


def pass_options(
    data: DataOptions, read: ReadOptions | None = None, *, require_se: bool = True
) -> PassOptions:
    """Return how a pass is made, as the command line asks.

    Args:
        data: Its options.
        read: What is read; everything by default.
        require_se: Whether a network without SE is an error.
    """
    from seviz.collect.prepare import PassOptions

    read = read or ReadOptions()
    return PassOptions(
        split=data.split,
        batch_size=data.batch_size,
        workers=data.workers,
        device=data.device,
        amp_dtype=data.amp_dtype if data.amp else None,
        num_samples=data.num_samples,
        strict=data.strict,
        labels=data.labels,
        download=data.download,
        without_squeeze=data.without_squeeze,
        require_se=require_se,
        blocks=read.blocks,
        predictions=read.predictions,
        fast=data.fast,
        torchcompile=data.torchcompile,
    )


def check_classes(plan: PassPlan, names: Sequence[str]) -> None:
    """Refuse classes that will have no images, before the pass and not after it.

    Raises:
        UsageError: If a name is no class of the network.
        DataError: If it is one, and the data has no images of it.
    """
    from seviz.results.classes import ClassNameWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClassNameWarning)  # the drawing warns
        for name in names:
            try:
                plan.classes.choose([name])
            except UsageError:
                if plan.network_classes is None:
                    raise
                plan.network_classes.choose([name])
                raise DataError(
                    f"expected images of {name!r}, found none in the data; it has "
                    f"{', '.join(plan.classes.labels[:5])}{', ...' * (len(plan.classes) > 5)}"
                ) from None


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats in which no figure can be saved.

    Raises:
        UsageError: If there is one, or none is given.
    """
    from seviz.figures.saving import FORMATS

    wrong = [f for f in formats if f not in FORMATS]
    if wrong or not formats:
        raise UsageError(
            f"expected --format as any of {', '.join(FORMATS)}, found {' '.join(wrong) or 'none'}"
        )


def say_what_happened(record: Record, speaker: Speaker) -> None:
    """Remark on everything about a pass that its reader must know."""
    header = record.header
    for note in header.notes:
        speaker.remark(f"note: {note}")
    if header.missing:
        speaker.remark(f"note: no images of {some(header.missing)}")
    if header.extra:
        speaker.remark(f"note: left out, no class of the network: {some(header.extra)}")
    if header.skipped:
        listed = [f"{name} ({why})" for name, why in header.skipped]
        speaker.remark(f"warning: {len(listed)} images could not be read: {some(tuple(listed))}")
    if header.partial:
        speaker.remark(
            f"interrupted: the record holds {header.images} images and is marked as partial"
        )


def some(names: tuple[str, ...], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def output_folder(spec: str, output: str | None) -> Path:
    """Return where results go: the user's folder, that of the record, or reports/<checkpoint name>."""
    path = Path(spec)
    if output is not None:
        folder = Path(output)
    elif is_record(spec):
        folder = path if path.is_dir() else path.parent
    else:
        name = path.stem if path.suffix else path.name
        name = re.sub(r"[^\w.\-]+", "_", name.rpartition(":")[2]) or "network"
        folder = Path("reports") / name
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Check that results can be written to a folder, before the work and not after it.

    Raises:
        UsageError: If it, or a part of its path, is a file, or may not be written to.
    """
    if folder.suffix == ".npz":
        raise UsageError(
            f"expected a folder for the results, found {folder}; name the folder, and the record is "
            "record.npz in it"
        )
    there = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), Path())
    if not there.is_dir():
        found = "a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        found = "no permission to write"
    else:
        return
    raise UsageError(
        f"expected a folder for the results, found {found} at {there}; name another with --output"
    )


def shown_command() -> str:
    """Return the command line as it goes into a record: without the folders of this machine."""
    # A path may stand alone, or after "=" or a prefix: --data=/here/images, cifar10:/here/cifar10.
    folders = re.compile(r"(^|[=:])(?:[A-Za-z]:)?[\\/](?:[^:]*[\\/])?(?=[^\\/:])")
    words = [folders.sub(r"\1", word) for word in given_words.get()]
    return shlex.join(["seviz", *words])


@contextmanager
def remarked_warnings(speaker: Speaker) -> Iterator[None]:
    """Turn seviz's own warnings into remarks."""
    from seviz.results.classes import ClassNameWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for warning in caught:
        if issubclass(warning.category, ClassNameWarning):
            speaker.remark(f"warning: {warning.message}")
