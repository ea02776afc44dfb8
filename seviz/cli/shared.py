"""From the options of a command to a record."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.numbers import whole_number
from seviz.cli.options import DataOptions, EarlierOptions, ModelOptions, ReadOptions
from seviz.cli.pass_text import say_network, say_what_happened
from seviz.cli.process import for_networks
from seviz.cli.settings import settings, used_flags
from seviz.collect.distributed import launched
from seviz.data.sources import known_forms
from seviz.errors import DataError, UsageError
from seviz.results.files import file_sha256, is_record, record_path
from seviz.results.mechanisms import ALL, DEFAULT_KIND, chosen
from seviz.results.spec import check_there

if TYPE_CHECKING:
    from seviz.collect.options import PassOptions
    from seviz.collect.prepared import PassPlan
    from seviz.networks import BareWeights, LoadedModel
    from seviz.results.predictions import PredictionTable
    from seviz.results.record import Record
    from seviz.results.spec import Spec


# The command line as it was given; its reader is the record.
given_words: ContextVar[Sequence[str]] = ContextVar("given_words", default=())

# Exit code where Ctrl-C ended the work and what was done is kept.
INTERRUPTED = 130


def load_model(spec: str, options: ModelOptions) -> LoadedModel:
    """Load the network that the command line names.

    Raises:
        UnknownArchitectureError: If it is a file whose tensors fit no known architecture.
    """
    opened = open_model(spec, options)
    from seviz.networks import BareWeights

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
    for_networks()
    from seviz.data.foreign import import_code
    from seviz.errors import CheckpointError
    from seviz.networks import BareWeights, LoadOptions, open_checkpoint, parse_arch_args

    for place in options.imports:
        import_code(place, "--import", CheckpointError)
    opened = open_checkpoint(
        spec,
        LoadOptions(
            options.arch,
            parse_arch_args(options.arch_args),
            options.ema,
            options.unsafe_load,
            options.allow_nan,
            mapped,
            options.class_names,
            options.weights,
            options.head,
            options.engine,
        ),
    )
    if isinstance(opened, BareWeights):
        return opened
    return opened.with_preprocessing(
        input_size=options.input_size or None,
        mean=options.mean or None,
        std=options.std or None,
        crop_pct=options.crop_pct,
        crop_mode=options.crop_mode,
        channel_order=options.channel_order,
        interpolation=options.interpolation,
    )


@dataclass(frozen=True)
class Asked:
    """How a record is to be had, where there is none yet.

    Attributes:
        model: How a checkpoint becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        read: What is read.
        require_se: Whether a network without SE is an error.
    """

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    earlier: EarlierOptions = field(default_factory=EarlierOptions)
    read: ReadOptions = field(default_factory=ReadOptions)
    require_se: bool = True

    @property
    def pass_options(self) -> PassOptions:
        """Return how the pass is made."""
        return pass_options(
            self.data, self.read, mechanism=self.model.kind, require_se=self.require_se
        )

    def collecting(self, speaker: Speaker) -> dict[str, Any]:
        """Return arguments of `seviz.collect` that all commands with a pass give."""
        return {
            "resume": self.earlier.resume,
            "reuse": not self.earlier.no_cache,
            "command": shown_command(),
            "progress": speaker.progress,
            "tell": speaker.remark,
        }


@dataclass(frozen=True)
class Obtained:
    """A record that is in a file.

    Attributes:
        record: The record.
        path: Its file.
        fresh: Whether it is of a pass that was made just now.
    """

    record: Record
    path: Path
    fresh: bool

    @property
    def interrupted(self) -> bool:
        """Return whether this command's own pass was interrupted, not one that an old record is of."""
        return self.fresh and self.record.header.partial


def obtain_record(
    spec: Spec,
    asked: Asked,
    folder: Path,
    speaker: Speaker,
    *,
    check: Callable[[PassPlan], Any] | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
) -> Obtained:
    """Open the record that ``spec`` is, or the one of that checkpoint in ``folder``; else make the pass.

    Args:
        spec: A record, or a network.
        asked: How the pass is made.
        folder: Where the record goes, or is.
        speaker: Told of everything a reader must know.
        check: Called before the first image is read.
        each: Given the prediction for every image of a new pass.
    """
    if spec.is_record:
        for option, given in (
            ("--data", asked.data.data is not None),
            ("--resume", asked.earlier.resume),
        ):
            if given:
                raise UsageError(
                    f"expected {option} with a checkpoint, found it with the record {spec.name}; leave it "
                    "out to redraw, or name the checkpoint to collect anew"
                )
        if not _holds(spec.record, asked.model):
            raise UsageError(
                f"expected a record of the gates that --mechanism {asked.model.mechanism} reads, found "
                f"{spec.record.word} in {spec.name}; leave it out, or name the checkpoint to collect anew"
            )
        return Obtained(spec.record, spec.file, fresh=False)
    if asked.data.data is None and each is None:
        record = _record_of(spec, folder)
        if record is not None and _holds(record, asked.model):
            path = record_path(folder)
            speaker.remark(f"from {path}, the record of this checkpoint; --data collects anew")
            return Obtained(record, path, fresh=False)
    require_data(spec.name, asked.data)
    return collect_record(
        load_model(spec.name, asked.model), asked, folder, speaker, check=check, each=each
    )


def record_beside(spec: Spec, folder: Path) -> tuple[Path, Record] | None:
    """Return the record of a checkpoint in the folder of this command's results, or in the usual one.

    Args:
        spec: The checkpoint.
        folder: Where this command's results go.
    """
    from seviz.cli.output import usual_folder

    for place in dict.fromkeys((folder, usual_folder(spec))):
        record = _record_of(spec, place)
        if record is not None:
            return record_path(place), record
    return None


def kind_of(model: ModelOptions, record: Record | None) -> str:
    """Return the kind of gates that was asked for; else that of the record, which knows its own."""
    if model.mechanism is not None or record is None or not record.mechanisms:
        return model.kind
    return record.mechanisms[0] if len(record.mechanisms) == 1 else ALL


def _holds(record: Record, model: ModelOptions) -> bool:
    """Return whether a record is of the kind of gates that was asked for; of any where none was."""
    return model.mechanism is None or set(record.mechanisms) <= {k.key for k in chosen(model.kind)}


def _record_of(spec: Spec, folder: Path) -> Record | None:
    """Return the record of this very file in a folder, if there is one."""
    from seviz.results.record import Record

    if not is_record(folder) or not Path(spec.name).is_file():
        return None
    try:
        record = Record.load(folder)
    except DataError:  # damaged, or of another seviz: nobody named it
        return None
    return record if record.header.checkpoint_sha256 == file_sha256(spec.name) else None


def require_data(spec: str, data: DataOptions) -> str:
    """Return the images that are to be collected from: those of the flag, else the default of the project.

    Args:
        spec: What they are to go through.
        data: The options.

    Raises:
        CheckpointError: If there is no such network either: that is the first thing to know.
        UsageError: If none are named.
    """
    found = data.data if data.data is not None else settings().take("data")
    if found is None:
        if ":" not in spec:  # timm:NAME and its like are looked up later
            check_there(spec)
        raise UsageError(
            f"expected --data ({known_forms()}), found none; {spec} is not a record, the folder of its "
            "results holds none of it, and neither seviz.toml nor SEVIZ_DATA names images"
        )
    return found


def with_default(data: DataOptions) -> DataOptions:
    """Return options with the images of the project, where no flag names others."""
    return data if data.data is not None else replace(data, data=settings().take("data"))


def collect_record(
    loaded: LoadedModel,
    asked: Asked,
    folder: Path,
    speaker: Speaker,
    *,
    check: Callable[[PassPlan], Any] | None = None,
    each: Callable[[PredictionTable], Any] | None = None,
) -> Obtained:
    """Collect a record of a network and save it in ``folder``; arguments as for `obtain_record`.

    Raises:
        SystemExit: In each process but the first of those that torchrun started, when the record is
            written: the rest is not theirs.
    """
    from seviz.collect.run import collect

    say_network(loaded, speaker)
    record = collect(
        loaded,
        require_data(loaded.name, asked.data),
        asked.pass_options,
        folder=folder,
        check=check,
        each=each,
        **asked.collecting(speaker),
    )
    if not launched().first:
        raise SystemExit(0)
    say_what_happened(record, speaker)
    return Obtained(record, record_path(folder), fresh=True)


def pass_options(
    data: DataOptions,
    read: ReadOptions = ReadOptions(),
    *,
    mechanism: str = DEFAULT_KIND,
    require_se: bool = True,
) -> PassOptions:
    """Return how a pass is made, as the command line asks.

    Args:
        data: Its options.
        read: What is read; everything by default.
        mechanism: Kind of gates, by its word.
        require_se: Whether a network without SE is an error.
    """
    from seviz.collect.options import PassOptions

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
        mechanism=mechanism,
        without_squeeze=data.without_squeeze,
        require_se=require_se,
        blocks=read.blocks,
        predictions=read.predictions,
        shard=_shard(data.shard),
        fast=data.fast,
        torchcompile=data.torchcompile,
    )


def _shard(words: str | None) -> tuple[int, int] | None:
    """Return ``2/3`` as numbers."""
    if words is None:
        return None
    first, _, second = words.partition("/")
    number, of = whole_number(first), whole_number(second)
    if number is None or of is None or len(words) >= 20:
        raise UsageError(f"expected --shard as i/n, found {words[:40]!r}; for example 2/3")
    return number, of


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


def class_names(plan: PassPlan) -> list[str]:
    """Return the labels of the data's classes and of the network's."""
    return [*plan.classes.labels, *(plan.network_classes.labels if plan.network_classes else ())]


def shown_command() -> str:
    """Return the command line as it goes into a record.

    Without the folders of this machine; with the defaults that were taken from a file or a variable, which
    another machine does not have.
    """
    from seviz.results.header import without_folders

    return shlex.join(["seviz", *without_folders([*given_words.get(), *used_flags()])])
