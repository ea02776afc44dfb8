"""``seviz fold``: a smaller checkpoint, without the SE blocks that matter little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.fold_text import Judged, document, say
from seviz.cli.options import FOLDING, OUTPUT, DataOptions, ModelOptions, OutputOptions, Words
from seviz.cli.output import check_folder
from seviz.cli.pass_text import say_what_happened
from seviz.cli.process import for_networks
from seviz.cli.shared import load_model, pass_options, with_default
from seviz.cli.thresholds import FAILED, LeastTop1AndDrop
from seviz.data.sources import known_forms
from seviz.errors import UsageError
from seviz.results.blocks import select_blocks
from seviz.results.files import file_sha256
from seviz.results.mechanisms import ALL
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.collect.options import PassOptions
    from seviz.networks import LoadedModel
    from seviz.pruning.budget import Right
    from seviz.pruning.folding import Folded
    from seviz.results.record import Record
    from seviz.results.stats import Floats

_PROGRAM = ".pt2"
# What `fold` writes.
_SUFFIXES = (".pt", ".onnx", _PROGRAM)


@Parameter(name="*", group=FOLDING)
@dataclass(frozen=True)
class FoldOptions:
    """Which blocks are folded, and with which gates."""

    blocks: Annotated[
        tuple[str, ...],
        Words,
        Parameter(help="Block names (SE_5_2), stages (SE_5) or all."),
    ] = ()
    budget: Annotated[
        float | None,
        Parameter(
            help="In place of --blocks: as many as keep top-1 within so many percentage points of the "
            "network's own, on --data."
        ),
    ] = None
    record: Annotated[
        str | None,
        Parameter(help="Take the mean gates from this record instead of a pass over --data."),
    ] = None
    checkpoint: Annotated[
        str | None,
        Parameter(
            help="For a record: the checkpoint that it is of; by default a file of its name beside the "
            "record, here, or among the samples."
        ),
    ] = None
    export: Annotated[
        bool,
        Parameter(
            help="Write a torch.export program (.pt2) beside the checkpoint, which runs without seviz."
        ),
    ] = True
    pairs: Annotated[
        int,
        Parameter(help="Runs before and after, in turns, for the ratio of times; 0 for none."),
    ] = 20


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class FoldOutput(OutputOptions):
    """Where the checkpoint goes and how much is said."""

    output: Annotated[
        str | None,
        Parameter(
            alias="-o",
            help="The checkpoint to write: NAME.pt; NAME.onnx for a network that was read from ONNX; "
            "NAME.pt2 for the program alone where there is no other.",
        ),
    ] = None


def fold(
    ckpt: str,
    *,
    what: FoldOptions = FoldOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    threshold: LeastTop1AndDrop = LeastTop1AndDrop(),
    output: FoldOutput = FoldOutput(),
) -> int:
    """Replace SE blocks by their mean gates, and write the smaller checkpoint.

    The mean gate over all images is multiplied into the norm, convolution or
    linear layer before or after the block, or kept as a fixed scale. The
    result is compared with the network whose gates are held at their means
    before anything is written. Given a record, takes its mean gates. A
    shift beside a gate is held at its mean over --data; no record has it.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME, or a record.
        what: Which blocks are folded.
        model: How the checkpoint becomes a network.
        data: The images that give the mean gates and judge the result.
        threshold: What top-1 must not be below afterwards, and how far it may fall.
        output: Where the checkpoint goes.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    spec = open_spec(ckpt)
    gates = spec if spec.is_record else open_spec(what.record) if what.record else None
    target = _target(output.output)
    # Else the record says all that is needed.
    if gates is None or what.budget is not None or threshold.given:
        data = with_default(data)
    _check(spec, what, data, gates)
    _check_threshold(threshold, data)

    for_networks()
    from seviz.pruning.folding import fold as fold_blocks
    from seviz.pruning.folding.folded import check_saveable

    record = gates.record if gates is not None else None
    checkpoint = (what.checkpoint or _checkpoint_of(spec)) if spec.is_record else ckpt
    if Path(checkpoint).exists() and Path(checkpoint).resolve() == target.resolve():
        raise UsageError(
            f"expected --output to name a new file, found the checkpoint {target} itself; name another"
        )
    loaded = load_model(checkpoint, model)
    if target.suffix != _PROGRAM:
        check_saveable(loaded, target)
    elif loaded.arch:
        raise _no_target(output.output)
    speaker.remark(f"network: {loaded.architecture}, {loaded.params:,} parameters")
    options = pass_options(data, mechanism=model.kind)
    before: Right | None = None
    if data.data is not None:
        record, before = _passed(loaded, data.data, options, speaker, record)
    assert record is not None, "without --data there is a record"
    names = what.blocks
    if what.budget is not None:
        names = _affordable(loaded, data, options, what.budget, before, speaker)
        if not names:
            speaker.remark(
                f"nothing written: no block can be folded for {what.budget:g} points of top-1"
            )
            return FAILED
    means = _means(loaded, data.data, options, record, names, speaker)
    folded = fold_blocks(loaded, names, means, mechanism=_kind_in(record, options.mechanism))
    judged = _judge(folded, data.data, options, before, what, speaker)
    if what.budget is not None and _over_budget(judged, what.budget):
        speaker.remark(
            f"nothing written: top-1 of the folded network is more than {what.budget:g} points lower"
        )
        return FAILED
    alone = target.suffix == _PROGRAM
    exported = folded.export(target.with_suffix(_PROGRAM)) if what.export or alone else None
    if not alone:
        folded.save(target)
    notes = _notes(loaded, what, judged)
    exceeded = _exceeded(judged, threshold)
    speaker.document({**document(folded, judged, target, exported, notes), "exceeded": exceeded})
    say(folded, judged, target, exported, speaker)
    for note in notes:
        speaker.remark(f"note: {note}")
    for line in exceeded:
        speaker.remark(f"exceeded: {line}")
    return FAILED if exceeded else 0


def _target(output: str | None) -> Path:
    if output is None or Path(output).suffix not in _SUFFIXES:
        raise _no_target(output)
    target = Path(output)
    if target.is_dir():
        raise UsageError(
            f"expected --output as a file, found the folder {target}; name a file in it"
        )
    check_folder(target.parent)
    try:
        output.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"expected --output as a name in UTF-8, which PyTorch opens alone, found {output}; name another"
        ) from None
    return target


def _no_target(output: str | None) -> UsageError:
    return UsageError(
        f"expected --output as the checkpoint to write, NAME.pt, found {output or 'none'}; for example "
        "-o slim.pt"
    )


def _check(spec: Spec, asked: FoldOptions, data: DataOptions, gates: Spec | None) -> None:
    """Refuse what cannot be meant, before the work."""
    if bool(asked.blocks) == (asked.budget is not None):
        found = "both" if asked.blocks else "neither"
        raise UsageError(
            f"expected --blocks or --budget, found {found}; 'seviz inspect {spec.name}' lists the blocks"
        )
    if asked.budget is not None and not 0 <= asked.budget <= 100:
        raise UsageError(
            f"expected --budget in percentage points from 0 to 100, found {asked.budget:g}; for example 0.1"
        )
    if asked.budget is not None and data.data is None:
        raise UsageError(
            "expected --data with --budget, found none; the accuracy is measured on images"
        )
    if data.data is None and gates is None:
        raise UsageError(
            f"expected --data ({known_forms()}) or --record for the mean gates, found neither; give one"
        )
    if spec.is_record and asked.record is not None:
        raise UsageError(
            f"expected --record with a checkpoint, found it with the record {spec.name}; leave one out"
        )
    if asked.checkpoint is not None and not spec.is_record:
        raise UsageError(
            f"expected --checkpoint with a record, found it with {spec.name}; leave it out"
        )
    if asked.pairs < 0:
        raise UsageError(f"expected --pairs of at least 0, found {asked.pairs}; 20 is the default")


def _check_threshold(threshold: LeastTop1AndDrop, data: DataOptions) -> None:
    threshold.check()
    if threshold.given and data.data is None:
        raise UsageError(
            f"expected --data with {threshold.given}, found none; the accuracy is measured on images"
        )


def _exceeded(judged: Judged, threshold: LeastTop1AndDrop) -> list[str]:
    """Return a line for each threshold that the folded network does not hold.

    Raises:
        UsageError: If there is one, and the folders are not the network's classes.
    """
    if not threshold.given:
        return []
    if judged.top1 is None:
        raise UsageError(
            f"expected images of the network's classes with {threshold.given}, found folders that are none; "
            "give --labels sorted if they are its outputs in sorted order"
        )
    return threshold.exceeded(judged.top1.before, judged.top1.after)


def _checkpoint_of(spec: Spec) -> str:
    """Return the checkpoint that a record was made from: a zoo's name, or a file with its hash."""
    from seviz.api.sample import sample
    from seviz.networks.zoo import is_zoo_name

    header = spec.record.header
    if is_zoo_name(header.checkpoint):
        return header.checkpoint
    name = Path(header.checkpoint).name
    candidates = [spec.file.parent / name, Path(name), Path("sample_checkpoints") / name]
    with suppress(UsageError):
        candidates.append(sample(Path(name).stem))
    for file in candidates:
        if file.is_file() and file_sha256(file) == header.checkpoint_sha256:
            return str(file)
    raise UsageError(
        f"expected the checkpoint {name} ({header.checkpoint_sha256[:12]}) beside the record or here, found "
        "none with this hash; add --checkpoint PATH"
    )


def _passed(
    loaded: LoadedModel,
    data: str,
    options: PassOptions,
    speaker: Speaker,
    record: Record | None,
) -> tuple[Record, Right | None]:
    """Run the network over the images; its record serves where none was given."""
    from seviz.pruning.budget import answers

    made, right = answers(loaded, data, options, progress=speaker.progress)
    if record is None:
        say_what_happened(made, speaker)
    return record or made, right


def _kind_in(record: Record, asked: str) -> str:
    """Return the kind of gates of a record, as ``--mechanism`` takes it; without any, what was asked for."""
    kinds = record.mechanisms
    if not kinds:
        return asked
    return kinds[0] if len(kinds) == 1 else ALL


def _means(
    loaded: LoadedModel,
    data: str | None,
    options: PassOptions,
    record: Record,
    names: Sequence[str],
    speaker: Speaker,
) -> Record | Mapping[str, Floats]:
    """Return the record; for blocks that shift as well, where there are images, means over those."""
    if data is None or not record.blocks:
        return record
    if not any(block.shift for block in select_blocks(record.blocks, names)):
        return record
    from seviz.collect.prepare import prepare
    from seviz.pruning.holding import held_means

    speaker.remark("a record holds no shifts: gates and shifts are means over the images of --data")
    ready = prepare(loaded, data, replace(options, require_se=True))
    return held_means(ready, progress=speaker.progress)


def _affordable(
    loaded: LoadedModel,
    data: DataOptions,
    options: PassOptions,
    budget: float,
    before: Right | None,
    speaker: Speaker,
) -> tuple[str, ...]:
    from seviz.pruning.budget import affordable

    if before is None:
        raise UsageError(
            "expected images of the network's classes with --budget, found folders that are none; give "
            "--labels sorted if they are its outputs in sorted order"
        )
    assert data.data is not None
    return affordable(loaded, data.data, options, budget, progress=speaker.progress)


def _judge(
    folded: Folded,
    data: str | None,
    options: PassOptions,
    before: Right | None,
    asked: FoldOptions,
    speaker: Speaker,
) -> Judged:
    from seviz.analysis.proportions import paired_difference
    from seviz.collect.forward import resolve_device
    from seviz.cost.audit import network_cost
    from seviz.cost.latency import measure
    from seviz.pruning.budget import answers, check_same_images

    original, loaded = folded.original, folded.loaded
    size = loaded.preprocessing.input_size
    top1 = latency = None
    if data is not None and before is not None:
        _, after = answers(loaded, data, options, progress=speaker.progress)
        assert after is not None, "the classes are the same as before"
        check_same_images(before, after)
        top1 = paired_difference(before, after)
    if asked.pairs:
        device = str(resolve_device(options.device))
        latency = measure(
            original.model, loaded.model, size, batch=1, device=device, pairs=asked.pairs
        )
    before_macs, after_macs = (network_cost(m.model, size).macs for m in (original, loaded))
    return Judged(before_macs, after_macs, top1, latency)


def _over_budget(judged: Judged, budget: float) -> bool:
    top1 = judged.top1
    return top1 is not None and 100 * (top1.lost - top1.won) > budget * top1.images * (1 + 1e-12)


def _notes(loaded: LoadedModel, asked: FoldOptions, judged: Judged) -> tuple[str, ...]:
    notes = list(loaded.notes)
    if asked.budget is not None:
        notes.append(
            "the blocks were chosen on the images that judge them: on others the loss may be larger; hold "
            "some back, and score the result on those"
        )
        top1 = judged.top1
        if top1 is not None and -100 * top1.low > asked.budget:
            notes.append(
                f"that the loss is within {asked.budget:g} points is not sure of {top1.images:,} images: at "
                f"95 % confidence it may be {-100 * top1.low:.2f}; give more images"
            )
    if judged.top1 is None:
        notes.append("accuracy was not measured: --data gives it")
    return tuple(notes)
