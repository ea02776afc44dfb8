"""The rows of a training: each block at each epoch, and what became of it from first to last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seviz.analysis.findings.estimates import Estimate, estimate_of
from seviz.analysis.tracking import BlockMoment, Track
from seviz.tables.csv_files import write_csv
from seviz.tables.table import Cell, Column, Table

# Numbers of a block, as in `BlockMoment`: key, title, format, whether they mean nothing of what hardly moves.
_NUMBERS = (
    ("spread", "spread", ".4f", False),
    ("class_share", "class share", ".3f", True),
    ("dead", "dead channels", ".0f", False),
    ("saturated", "saturated", ".1%", False),
    ("between_channels", "between channels", ".3f", False),
)
_METHOD = (
    "class share: of gate variance explained by class, in brackets where gates hardly move; dead channels: "
    "standard deviation over images below 0.01; saturated: gates above 0.95 or below 0.05; between channels: "
    "share of the gates' variance that lies between channels, 1 where every image has the same gates",
    "intervals are at 95 %: of top-1 Wilson's, of the others by the infinitesimal jackknife over images",
)


def _number(key: str, on_classes: bool) -> Callable[[BlockMoment], Any]:
    def get(moment: BlockMoment) -> Any:
        value = getattr(moment, key)
        if value is None or moment.moves or not on_classes:
            return value
        return Cell(value, "faint")

    return get


_BLOCKS = (
    Column("epoch", "epoch", "d"),
    Column("checkpoint", "checkpoint", rank=3),
    Column("block", "block"),
    Column("channels", "channels", ",", rank=3),
    Column("mean", "mean gate", ".3f", rank=2),
    *(
        Column.measured(key, title, form, _number(key, on_classes), brief=True)
        for key, title, form, on_classes in _NUMBERS
    ),
    Column("shuffled", "shuffled labels", ".3f", rank=3),
)


def blocks_table(track: Track) -> Table:
    """Return a row for each block at each epoch."""
    return Table.of("track", "Gates over training", _BLOCKS, track.blocks, _METHOD)


@dataclass(frozen=True)
class _Epoch:
    epoch: int
    checkpoint: str
    top1: Estimate | None
    spread: float
    class_share: float | None
    dead: float | None
    saturated: float
    between_channels: float | None
    logged: dict[str, float]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _epochs(track: Track) -> list[_Epoch]:
    made = []
    log = track.log
    rows = {e: n for n, e in enumerate(log.epochs)} if log is not None else {}
    for moment, share in zip(track.moments, track.top1, strict=True):
        own = [b for b in track.blocks if b.epoch == moment.epoch]
        place = rows.get(moment.epoch)
        logged = {}
        if log is not None and place is not None:
            logged = {k: v[place] for k, v in log.columns.items() if v[place] == v[place]}
        gates = sum(b.channels for b in own)
        dead = [b.dead.value for b in own if b.dead is not None]
        made.append(
            _Epoch(
                moment.epoch,
                moment.name,
                estimate_of(share),
                _mean([b.spread.value for b in own]) or 0.0,
                _mean([b.class_share.value for b in own if b.class_share and b.moves]),
                sum(dead) / gates if dead and len(dead) == len(own) else None,
                sum(b.saturated.value * b.channels for b in own) / gates if gates else 0.0,
                _mean([b.between_channels.value for b in own if b.between_channels]),
                logged,
            )
        )
    return made


def _logged(title: str) -> Callable[[_Epoch], float | None]:
    return lambda epoch: epoch.logged.get(title)


def epochs_table(track: Track) -> Table:
    """Return a row for each epoch: accuracy, the means over blocks, what the training wrote of itself."""
    columns = [
        Column("epoch", "epoch", "d"),
        Column("checkpoint", "checkpoint", rank=3),
        Column.measured("top1", "top-1", ".2%"),
        Column("spread", "spread", ".4f"),
        Column("class_share", "class share", ".3f"),
        Column("dead", "dead channels", ".1%"),
        Column("saturated", "saturated", ".1%"),
        Column("between_channels", "between channels", ".3f"),
    ]
    if all(share is None for share in track.top1):
        columns = [c for c in columns if c.key != "top1"]
    for title in track.log.columns if track.log is not None else ():
        columns.append(Column(f"log_{title}", title, ".4g", _logged(title), rank=1))
    notes = (
        "spread, class share (of blocks that move) and between channels: means over blocks; dead channels "
        "and saturated: of all channels",
    )
    return Table.of(
        "track_epochs", f"The network over {_many(track)}", columns, _epochs(track), notes
    )


@dataclass(frozen=True)
class _Change:
    block: str
    first: BlockMoment
    last: BlockMoment


def _many(track: Track) -> str:
    count = len(track.moments)
    return f"{count} epochs" if count > 1 else "one epoch"


def _side(which: str, key: str, on_classes: bool) -> Callable[[_Change], Any]:
    get = _number(key, on_classes)
    return lambda change: get(getattr(change, which))


def changes_table(track: Track) -> Table:
    """Return a row for each block: its numbers at the first epoch and at the last; of one epoch, once."""
    changes = [_Change(name, track.of(name)[0], track.of(name)[-1]) for name in track.names]
    first, last = (f"epoch {track.epochs[place]}" for place in (0, -1))
    columns = [Column("block", "block")]
    for key, title, form, on_classes in _NUMBERS:
        for which, when in (("first", first), ("last", last))[: len(track.moments)]:
            columns.append(
                Column.measured(
                    f"{key}_{which}",
                    f"{title}, {when}" if which == "first" else when,
                    form,
                    _side(which, key, on_classes),
                    brief=True,
                )
            )
    caption, notes = f"Each block at {first} and at {last}", tuple(_METHOD)
    if len(track.moments) < 2:
        caption = f"Each block at {first}"
        notes += ("one checkpoint is no series: what changes needs two",)
    return Table.of("track_changes", caption, columns, changes, notes)


def write_track_csv(track: Track, path: str | Path) -> Path:
    """Write one row per epoch and block."""
    return write_csv(blocks_table(track), path)


def write_epochs_csv(track: Track, path: str | Path) -> Path:
    """Write one row per epoch."""
    return write_csv(epochs_table(track), path)
