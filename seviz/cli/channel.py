"""``seviz channel``: one channel of one block."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker
from seviz.cli.options import DataOptions, Formats, ModelOptions, OutputOptions, PrintOptions
from seviz.cli.output import check_folder, check_formats, claim, look_of
from seviz.cli.shared import INTERRUPTED, kind_of, load_model, pass_options
from seviz.errors import UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.analysis.channel import ChannelView
    from seviz.report.folder import Written


def channel(
    run: str,
    channel: str,
    ckpt: str | None = None,
    *,
    shown: PrintOptions = PrintOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    formats: Formats = ("png", "svg"),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Show one channel: classes, images, what moves with it, what hangs on it.

    From a record alone: its gate by class, the images of the record's sample
    that open and close it most, and the channels that move with it. With the
    checkpoint: how much of the next layer's weight hangs on it. With the
    checkpoint and --data: the same images among all, and what answers do
    with its gate held at its mean, and at 0. With --data alone the images of
    the sample have names.

    Args:
        run: A record.
        channel: Block and number: SE_4_3:243.
        ckpt: The checkpoint that the record is of.
        shown: How it looks in print.
        model: How the checkpoint becomes a network.
        data: The images of the record.
        formats: Formats of the figure.
        output: Where results go.
    """
    from seviz.report.channels import write_channel

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(formats)
    look = look_of(shown)
    spec = open_record(run)
    folder = Path(output.output) if output.output is not None else spec.file.parent
    check_folder(folder)
    look.check_names(spec.record.classes.labels)
    view = _view(spec, channel, ckpt, model, data, speaker)
    claim(folder, speaker)
    written = write_channel(view, folder, formats, look=look, dpi=shown.dpi)
    speaker.document(_document(view, written))
    _say(view, written, speaker)
    return INTERRUPTED if view.effects is not None and view.effects.partial else 0


def open_record(name: str) -> Spec:
    """Return the record that a user names.

    Raises:
        UsageError: If it is none.
    """
    spec = open_spec(name)
    if not spec.is_record:
        raise UsageError(
            f"expected a record, found {name}; 'seviz collect {name} --data ...' makes one of a checkpoint"
        )
    return spec


def _view(
    spec: Spec,
    name: str,
    ckpt: str | None,
    model: ModelOptions,
    data: DataOptions,
    speaker: Speaker,
) -> ChannelView:
    if ckpt is None and data.data is None:
        from seviz.analysis import view_channel  # needs no torch

        return view_channel(spec.record, name)
    from seviz.cli.process import for_networks
    from seviz.results.channels import find_channel

    find_channel(spec.record.blocks, name)  # before the network is loaded
    for_networks()
    from seviz.pruning.channel_study import channel as look

    view = look(
        spec.record,
        name,
        None if ckpt is None else load_model(ckpt, model),
        data.data,
        pass_options(data, mechanism=kind_of(model, spec.record)),
        progress=(lambda total: speaker.progress(total, "holding a channel"))
        if ckpt is not None and data.data is not None
        else None,
    )
    if view.effects is not None and view.effects.skipped:
        speaker.remark(f"warning: {len(view.effects.skipped)} images could not be read")
    if view.effects is not None and view.effects.partial:
        speaker.remark(f"interrupted: the effect is of {view.effects.images} images")
    return view


def _document(view: ChannelView, written: Written) -> dict[str, Any]:
    from seviz.tables.channels import (
        channel_classes_table,
        channel_companions_table,
        channel_effects_table,
    )

    effects = channel_effects_table(view)
    near = view.around
    return {
        "channel": view.name,
        "block": view.block.to_dict(),
        "checkpoint": view.checkpoint,
        "source": view.source,
        "images": view.images,
        "mean": view.mean,
        "spread": view.spread,
        "low": view.low,
        "high": view.high,
        "class_share": view.class_share,
        "class_share_by_chance": view.chance,
        "classes": channel_classes_table(view).records(),
        "sampled": view.sampled,
        "largest": [asdict(image) for image in view.largest],
        "smallest": [asdict(image) for image in view.smallest],
        "largest_shared": None if view.largest_shared is None else asdict(view.largest_shared),
        "smallest_shared": None if view.smallest_shared is None else asdict(view.smallest_shared),
        "images_of": view.where,
        "companions": channel_companions_table(view).records(),
        "looked_at": view.looked_at,
        "moving": view.moving,
        "weights": None
        if near is None
        else {
            "made_by": list(near.made_by),
            "read_by": list(near.read_by),
            "passed_on": near.passed_on,
            "norm": float(near.norm[view.channel]),
            "share": float(near.share[view.channel]),
        },
        "effects": None if effects is None else effects.records(),
        "files": [str(path) for path in written.files],
    }


def _say(view: ChannelView, written: Written, speaker: Speaker) -> None:
    from seviz.analysis.channel_text import describe_channel
    from seviz.tables import tables_of

    speaker.answer(describe_channel(view))
    speaker.line()
    speaker.tables(tables_of(view).values())
    speaker.wrote(written.files)
