"""``seviz shift``: do the gates survive another world?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import (
    DATA,
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
from seviz.cli.pass_text import say_network
from seviz.cli.process import for_networks
from seviz.cli.shared import INTERRUPTED, Asked, load_model, require_data
from seviz.errors import UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from pathlib import Path

    from seviz.analysis.shift import Shift
    from seviz.report.folder import Written
    from seviz.results.shift import World


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class WorldOptions:
    """What the clean images are compared with."""

    against: Annotated[
        str | None,
        Parameter(help="Other images, in any form of --data; of a record, another record."),
    ] = None
    against_split: Annotated[
        str | None, Parameter(help="Part of the other images; that of --split by default.")
    ] = None
    corrupt: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="What is done to the images: any of brightness, contrast, noise, blur, jpeg, as in "
            "ImageNet-C."
        ),
    ] = ()
    severity: Annotated[
        tuple[int, ...],
        Words,
        Parameter(help="How much, 1 to 5; 1 3 5 by default, 0 leaves images as they are."),
    ] = ()
    twin: Annotated[
        str | None,
        Parameter(
            help="A network without gates that passes through the same worlds: accuracy and features of both."
        ),
    ] = None


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class ShiftOptions:
    """What is drawn."""

    formats: Formats = ("png", "svg")


def shift(
    ckpt: str,
    *,
    world: WorldOptions = WorldOptions(),
    figure: ShiftOptions = ShiftOptions(),
    shown: PrintOptions = PrintOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Measure how far the gates move when images change, block by block, beyond chance.

    Other images (--against), or the same ones made worse (--corrupt). Beside
    the drift of each block stand top-1 and the drift of the answers, and which
    block drifts first. The record of each world is kept in a folder of its
    name, and used again.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME; or a record, with another after --against.
        world: What the images are compared with.
        figure: What is drawn.
        shown: How it looks in print.
        model: How the checkpoint becomes a network.
        data: The clean images.
        earlier: What becomes of earlier passes.
        output: Where results go.
    """
    from seviz.analysis.shift import shift_of
    from seviz.report.folder import write_shift

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(figure.formats)
    look = look_of(shown)
    if world.corrupt:
        look.check_names(world.corrupt)
    spec = open_spec(ckpt)
    folder = output_folder(spec, output.output)
    twin: list[World] = []
    if spec.is_record:
        worlds = _of_records(spec, world, data)
    else:
        try:
            worlds, twin = _passed(
                spec, world, Asked(model, data, earlier), folder / "shift", speaker
            )
        except KeyboardInterrupt:
            speaker.remark("not compared: a pass was interrupted; what was collected is used again")
            return INTERRUPTED
    found = shift_of(worlds[0], worlds[1:], twin)
    look.check_names(found.kinds)
    claim(folder, speaker)
    written = write_shift(found, folder, look=look, dpi=shown.dpi, formats=figure.formats)
    speaker.document(_document(found, written))
    _say(found, written, speaker)
    return 0


def _of_records(spec: Spec, world: WorldOptions, data: DataOptions) -> list[World]:
    """Return two worlds that are in records.

    Raises:
        UsageError: If images are named, or a corruption, or no second record.
    """
    from seviz.results.shift import record_worlds

    other = open_spec(world.against) if world.against is not None else None
    if world.twin is not None:
        raise UsageError(
            f"expected --twin with a checkpoint and --data, found the record {spec.name}; leave it out"
        )
    if world.corrupt or data.data is not None or other is None or not other.is_record:
        raise UsageError(
            f"expected another record after --against, and no images, with the record {spec.name}; name "
            "one, or the checkpoint with --data"
        )
    return record_worlds(spec.record, other.record)


def _passed(
    spec: Spec, world: WorldOptions, asked: Asked, folder: Path, speaker: Speaker
) -> tuple[list[World], list[World]]:
    """Return what the network does in each world, and what its twin does where there is one."""
    for_networks()
    from seviz.collect.shift import check_worlds, shifted_worlds, twin_worlds

    check_worlds(world.against, world.corrupt, world.severity)
    images = require_data(spec.name, asked.data)
    loaded = load_model(spec.name, asked.model)
    say_network(loaded, speaker)
    twin = load_model(world.twin, ModelOptions()) if world.twin is not None else None
    how: dict[str, Any] = {
        "against": world.against,
        "against_split": world.against_split,
        "corrupt": world.corrupt,
        "severity": world.severity,
        "options": asked.pass_options,
        "folder": folder,
        **asked.collecting(speaker),
    }
    own = shifted_worlds(
        loaded, images, begin=lambda name: speaker.remark(f"images: {name}"), **how
    )
    if twin is None:
        return own, []
    say_network(twin, speaker)
    return own, twin_worlds(
        twin, images, begin=lambda name: speaker.remark(f"the twin, images: {name}"), **how
    )


def _document(found: Shift, written: Written) -> dict[str, Any]:
    from dataclasses import asdict

    from seviz.analysis.shift_blocks import FEATURES
    from seviz.tables import shift as tables

    top1 = found.top1
    return {
        "network": found.name,
        "data": found.data,
        "images": found.images,
        "top1": None if top1 is None else {"value": top1.value, "low": top1.low, "high": top1.high},
        "worlds": tables.worlds_table(found).records(),
        "blocks": [b for b in tables.blocks_table(found).records() if b["block"] != FEATURES],
        "features": [b for b in tables.blocks_table(found).records() if b["block"] == FEATURES],
        "twin": tables.twin_table(found).records() if found.twin is not None else None,
        "notes": list(found.notes),
        "first": [{**asdict(first), "said": str(first)} for first in found.first],
        "figures": [str(f) for f in written.figures],
        "csv": [str(t) for t in written.tables],
    }


def _say(found: Shift, written: Written, speaker: Speaker) -> None:
    from seviz.tables import shift as tables

    for first in found.first:
        speaker.say(f"{first}.", "strong")
    speaker.line()
    speaker.table(tables.worlds_table(found))
    speaker.table(tables.side_by_side(found))
    if found.twin is not None:
        speaker.table(tables.twin_table(found))
    speaker.wrote(written.files)
