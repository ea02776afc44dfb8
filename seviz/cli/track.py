"""``seviz track``: gates over a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import (
    DRAWING,
    ColourOptions,
    DataOptions,
    EarlierOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    Words,
)
from seviz.cli.output import check_folder, check_formats, claim, default_folder, look_of
from seviz.cli.shared import INTERRUPTED, Asked, obtain_record, require_data, with_default
from seviz.errors import UsageError
from seviz.results.files import is_record
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.analysis import Track
    from seviz.report.folder import Written


@Parameter(name="*", group=DRAWING)
@dataclass(frozen=True)
class TrackOptions:
    """What is drawn beside the numbers."""

    log: Annotated[
        str | None,
        Parameter(
            help="Log of the training, drawn along: CSV with a column epoch, as Lightning, timm and "
            "Keras write it."
        ),
    ] = None
    epochs: Annotated[
        tuple[int, ...],
        Words,
        Parameter(
            help="Epochs whose gates are drawn as images by channels; by default the first, the last and two "
            "between."
        ),
    ] = ()
    blocks: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Blocks that are drawn so: names (SE_4_6), stages (SE_4) or all; the table has all."
        ),
    ] = ()
    formats: Formats = ("png", "svg")


class _Once(Speaker):
    """Says each remark once: a hundred checkpoints are of one network."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        super().__init__(as_json=as_json, quiet=quiet)
        self._said: set[str] = set()

    def remark(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            super().remark(text)


def track(
    ckpts: Annotated[tuple[str, ...], Parameter(name="CKPT", negative=())],
    *,
    figure: TrackOptions = TrackOptions(),
    shown: ColourOptions = ColourOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Follow the gates over a training: one checkpoint, or record, of each epoch.

    Accuracy, and for each block spread, class share, dead channels, saturated
    gates, and how much of the gates' variance lies between channels (1: a
    constant, the same for every image), with intervals. Epochs are read off
    the names of the files. The record of each checkpoint is kept in a folder
    of its name, and used again.

    Args:
        ckpts: Checkpoint files or records, in any order.
        figure: What is drawn.
        shown: How it looks in print.
        model: How checkpoints become networks.
        data: The images, the same for all.
        earlier: What becomes of earlier passes.
        output: Where results go.
    """
    from seviz.analysis import track_of
    from seviz.report.folder import write_track
    from seviz.results.tracking import epochs_of, read_log, series

    speaker = _Once(as_json=output.json, quiet=output.quiet)
    check_formats(figure.formats)
    look = look_of(shown)
    names = epochs_of(ckpts)
    if not names:
        raise UsageError("expected checkpoints of a training, found none; name them: epoch_*.pt")
    log = read_log(figure.log) if figure.log is not None else None
    for note in log.notes if log is not None else ():
        speaker.remark(note)
    specs = [open_spec(ckpt) for ckpt in ckpts]
    folder = Path(output.output) if output.output else default_folder(_folder_name(ckpts))
    check_folder(folder)
    data = _images(specs, names, data, folder)
    files: list[Path] = []
    in_order = sorted(zip(specs, names, strict=True), key=lambda both: both[1][1])
    for place, (spec, (name, _)) in enumerate(in_order):
        if not spec.is_record:
            speaker.remark(f"{name} ({place + 1} of {len(names)})")
        # Of a series in which some are records, images are for the others.
        asked = Asked(model, DataOptions() if spec.is_record else data, earlier, require_se=False)
        made = obtain_record(spec, asked, folder / name, speaker)
        if made.interrupted:
            speaker.remark("not drawn: the pass was interrupted; what was collected is used again")
            return INTERRUPTED
        files.append(made.path)
    tracked = track_of(series(files, [both[1] for both in in_order], tell=speaker.remark), log)
    if not tracked.blocks:
        speaker.remark(f"note: no gates are drawn: {tracked.moments[0].record().without_gates}")
    claim(folder, speaker)
    written = write_track(
        tracked,
        folder,
        epochs=figure.epochs,
        blocks=figure.blocks,
        look=look,
        dpi=shown.dpi,
        formats=figure.formats,
    )
    speaker.document(_document(tracked, written))
    _say(tracked, written, speaker)
    return 0


def _folder_name(ckpts: Sequence[str]) -> str:
    parent = Path(ckpts[0]).absolute().parent.name
    return f"{parent}_track" if parent else "track"


def _images(
    specs: Sequence[Spec], names: Sequence[tuple[str, int]], data: DataOptions, folder: Path
) -> DataOptions:
    """Return the options with the images for those that have no record, before the first pass.

    Raises:
        UsageError: If there are none.
    """
    if all(spec.is_record for spec in specs):
        if data.data is not None:
            raise UsageError(
                "expected --data with checkpoints, found it with records alone; leave it out, or name the "
                "checkpoints"
            )
        return data
    for spec, (name, _) in zip(specs, names, strict=True):
        if not spec.is_record and not is_record(folder / name):
            require_data(spec.name, data)
            return with_default(data)
    return data


def _document(track: Track, written: Written) -> dict[str, Any]:
    from seviz.tables import tracking

    records = {moment.name: str(moment.source) for moment in track.moments}
    return {
        "images": track.images,
        "epochs": [
            {**row, "record": records[row["checkpoint"]]}
            for row in tracking.epochs_table(track).records()
        ],
        "blocks": tracking.blocks_table(track).records(),
        "figures": [str(f) for f in written.figures],
        "csv": [str(t) for t in written.tables],
    }


def _say(track: Track, written: Written, speaker: Speaker) -> None:
    from seviz.tables import tracking

    speaker.table(tracking.epochs_table(track))
    if track.blocks:
        speaker.table(tracking.changes_table(track))
    speaker.wrote(written.files)
