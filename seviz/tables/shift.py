"""The rows of a shift: each world, each block in each world, and the blocks of all worlds side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.analysis.findings.estimates import estimate_of
from seviz.analysis.shift import Shift, WorldShift
from seviz.analysis.shift_blocks import BlockShift
from seviz.tables.csv_files import write_csv
from seviz.tables.table import P_VALUE, Cell, Column, Table

# Worlds side by side; of more, each corruption at its worst.
_ACROSS = 6
_METHOD = (
    "drift: mean over channels of the squared difference of means, in units of the variance over images, "
    "less what chance gives; about 0 where nothing but chance moves the gates, 1 where they move by one "
    "standard deviation",
)
_TESTS = (
    "p: images exchanged between the two sets at random, adjusted (Holm) for all blocks and all severities "
    "of a corruption",
)


def _top1(key: str, title: str, **more: Any) -> Column:
    """Return a column of right answers."""
    return Column.measured(
        key, title, ".2%", lambda w: estimate_of(getattr(w, key)), brief=True, **more
    )


def _change(key: str, title: str, **more: Any) -> Column:
    """Return a column of what another world takes from them, in points."""
    return Column.measured(
        key, title, "+.2f", lambda w: estimate_of(getattr(w, key)), scale=100, **more
    )


def _drift(world: WorldShift) -> Any:
    found = world.answers
    if found is None:
        return None
    return found.value if found.p_value < 0.05 else Cell(found.value, "faint")


def _feature_drift(world: WorldShift) -> Any:
    found = world.features
    if found is None:
        return None
    return found.drift.value if found.significant else Cell(found.drift.value, "faint")


_WORLDS = (
    Column("name", "images"),
    Column("corruption", ""),
    Column("severity", "", "d"),
    Column("images", "n", ","),
    _top1("top1", "top-1"),
    _change("change", "change, points"),
    Column("change_p", "", P_VALUE, lambda w: w.change.p_value if w.change else None),
    Column.measured(
        "changed", "other answer", ".1%", lambda w: estimate_of(w.changed), brief=True, rank=1
    ),
    Column("answers", "their drift", "z.3f", _drift, rank=2),
    Column("answers_p", "", P_VALUE, lambda w: w.answers.p_value if w.answers else None),
    Column("features", "features' drift", "z.3f", _feature_drift, rank=1),
    Column("features_p", "", P_VALUE, lambda w: w.features.p_adjusted if w.features else None),
    Column("drifting", "blocks drift", "d", lambda w: len(w.significant)),
    Column("blocks", "", "d", lambda w: len(w.blocks)),
)


def worlds_table(shift: Shift) -> Table:
    """Return a row for each other world: accuracy, answers, and how many blocks drift."""
    clean = f"; clean: top-1 {shift.top1}" if shift.top1 is not None else ""
    paired = any(w.paired for w in shift.worlds)
    notes = (
        "change: of top-1, interval at 95 %, image by image"
        if paired
        else "change: of top-1, interval at 95 %, of two sets of images",
        "their drift, features' drift: that of the answers, and of what the last layer reads, as of gates; "
        "in brackets where chance explains it",
        *shift.notes,
    )
    caption = f"{shift.name} against {shift.images:,} images of {shift.data}{clean}"
    # In files a column stays, so that they are alike; people are shown what is known.
    columns = [
        c if any(c.value(w) is not None for w in shift.worlds) else replace(c, title="")
        for c in _WORLDS
    ]
    return Table.of("shift_worlds", caption, columns, shift.worlds, notes)


_BLOCKS = (
    Column("world", "images"),
    Column("corruption", ""),
    Column("severity", "", "d"),
    Column("block", "block"),
    Column("channels", "channels", ",", rank=3),
    Column("varying", "varying", ",", lambda b: b.drift.varying, rank=3),
    Column("images", "n", ",", rank=2),
    Column("drift", "drift", "z.4f", lambda b: b.drift.value),
    Column("band", "chance, 95 %", ".4f", lambda b: b.drift.band, rank=1),
    Column("p_value", "p of this block", P_VALUE, lambda b: b.drift.p_value, rank=2),
    Column("p_adjusted", "p", P_VALUE),
    Column("significant", "", get=lambda b: b.significant),
)


def blocks_table(shift: Shift) -> Table:
    """Return a row for each block in each other world."""
    rows = [b for world in shift.worlds for b in world.measured]
    return Table.of("shift", "Drift of the gates", _BLOCKS, rows, (*_METHOD, *_TESTS))


def _cell(place: int) -> Callable[[tuple[BlockShift, ...]], Any]:
    def get(row: tuple[BlockShift, ...]) -> Any:
        block = row[place]
        return Cell(block.drift.value, "" if block.significant else "faint")

    return get


def side_by_side(shift: Shift) -> Table:
    """Return a row for each block and a column for each world, as many as a terminal has room for."""
    shown = shift.worlds
    note = ""
    if len(shown) > _ACROSS:
        shown = tuple(shift.of(kind)[-1] for kind in shift.kinds)
        note = "each corruption at its worst; shift.csv has all severities"
    columns = [
        Column("block", "block", get=lambda row: row[0].block),
        *(Column(w.name, w.name, "z.3f", _cell(i)) for i, w in enumerate(shown)),
    ]
    features = all(w.features is not None for w in shown)
    rows = list(zip(*(w.measured if features else w.blocks for w in shown), strict=True))
    notes = [*_METHOD, "in brackets where chance explains it (p, adjusted, of 0.05 or more)"]
    return Table.of(
        "shift_blocks",
        "Drift of the gates, by block",
        columns,
        rows,
        [*notes, *([note] if note else [])],
    )


_TWIN = (
    Column("name", "images"),
    _top1("top1", "top-1", rank=2),
    _top1("twin_top1", "twin", rank=2),
    _change("change", "change, points", brief=True),
    _change("twin_change", "twin", brief=True),
    Column.measured("more", "better by", "+.2f", scale=100),
    Column(
        "features",
        "features' drift",
        "z.3f",
        lambda w: w.features.value if w.features else None,
        rank=1,
    ),
    Column(
        "twin_features",
        "twin",
        "z.3f",
        lambda w: w.twin_features.value if w.twin_features else None,
        rank=1,
    ),
    Column("paired", ""),
)


def twin_table(shift: Shift) -> Table:
    """Return a row for each other world: accuracy and features of a network and of its twin without gates."""
    twin = shift.twin
    assert twin is not None, "a twin was given"
    clean = f"; clean: top-1 {shift.top1} and {twin.top1}" if shift.top1 and twin.top1 else ""
    how = "image by image" if all(w.paired for w in twin.worlds) else "of two sets of images"
    notes = (
        f"better by: points that the change of {shift.name} is above that of {twin.name}; at 95 %, {how}",
        "features' drift: each in units of its own variance over images",
    )
    caption = f"{shift.name} beside its twin {twin.name}{clean}"
    return Table.of("shift_twin", caption, _TWIN, twin.worlds, notes)


def write_twin_csv(shift: Shift, path: str | Path) -> Path:
    """Write one row for each world of a network and its twin."""
    return write_csv(twin_table(shift), path)


def write_shift_csv(shift: Shift, path: str | Path) -> Path:
    """Write one row for each block and world."""
    return write_csv(blocks_table(shift), path)


def write_worlds_csv(shift: Shift, path: str | Path) -> Path:
    """Write one row for each world."""
    return write_csv(worlds_table(shift), path)
