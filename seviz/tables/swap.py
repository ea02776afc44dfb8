"""The rows of exchanged gates: each block, each pair of classes, each pair of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seviz.analysis.findings.verdicts import FAILS, HOLDS, UNKNOWN
from seviz.analysis.swap import Swap, SwapCell, SwapRates
from seviz.results.swap import ALL_BLOCKS, MEAN, OTHER, SHUFFLED, Pairs
from seviz.tables.csv_files import write_csv
from seviz.tables.table import BLANK, Cell, Column, Table

# Classes side by side, as many as a terminal has room for.
_ACROSS = 12


def place_name(place: str) -> str:
    """Return what people read of a place: a block, or all of them."""
    return "all blocks" if place == ALL_BLOCKS else place


def _share(key: str, title: str, *, form: str = ".1%", rank: int = 0, brief: bool = True) -> Column:
    return Column.measured(key, title, form, rank=rank, brief=brief)


_PLACE = Column("place", "gates of", get=lambda r: place_name(r.place))
_SAID = {HOLDS: Cell("yes", "strong"), FAILS: "no", UNKNOWN: Cell(UNKNOWN, "faint")}
_RATES = (
    _PLACE,
    Column("pairs", "pairs", ","),
    _share("follows", "follows the gates", brief=False),
    _share("stays", "stays"),
    _share("neither", "third class"),
    _share("lift", "log odds", form="+.2f", rank=1, brief=False),
    Column(
        "",
        "follows?",
        get=lambda r: _SAID[r.verdict],
    ),
)
_CONTROLS = (
    _PLACE,
    _share("follows", "follows the gates", brief=False),
    _share("third", "one third class", form=".2%"),
    _share("shuffled", "shuffled"),
    _share("mean", "class mean", rank=1),
    _share("disturbed", "other answer"),
    _share("within", "own class"),
    _share("shuffled_disturbed", "shuffled"),
)
_DIFFERENCES = (
    _share("beyond_third", ""),
    _share("beyond_shuffled", ""),
    Column("verdict", ""),
)


def rates_table(swap: Swap) -> Table:
    """Return a row for each block and one for all: what becomes of the answer."""
    caption = f"{swap.swapped.checkpoint}: the answer with the gates of an image of another class"
    notes = [
        "intervals at 95 %: pairs that share an image are counted as such",
        "follows?: beyond one third class and beyond shuffled channels, for all rows together",
    ]
    if any(r.lift is not None for r in swap.rates):
        notes.insert(
            1,
            "log odds: how much those of the gates' class against third classes rise; for all rows together",
        )
    return Table.of("swap", caption, _RATES, swap.rates, notes)


def controls_table(swap: Swap) -> Table:
    """Return a row for each block and one for all: what a disturbance alone gives."""
    notes = (
        "one third class, shuffled, class mean: how often that class is answered, or the gates' class with "
        "their channels shuffled, or with the mean gates of the class",
        "other answer, own class, shuffled: how often the answer is no longer that of the image, with gates "
        "of another class, of another image of its own class, or shuffled",
    )
    return Table.of("swap_controls", "What a disturbance alone gives", _CONTROLS, swap.rates, notes)


def _cell(image: str) -> Callable[[tuple[str, dict[str, SwapCell]]], Any]:
    def get(row: tuple[str, dict[str, SwapCell]]) -> Any:
        gates, cells = row
        cell = cells.get(image)
        if cell is None:
            return None
        return Cell(cell.follows.value, "faint") if gates == image else cell.follows.value

    return get


def matrix_table(swap: Swap) -> Table:
    """Return a row for each class of the gates, a column for each class of the image: all blocks at once."""
    rows: dict[str, dict[str, SwapCell]] = {name: {} for name in swap.classes}
    for cell in swap.matrix:
        rows[cell.gates][cell.image] = cell
    columns = [
        Column("gates", "gates of", get=lambda row: row[0]),
        *(
            Column(name, name if place < _ACROSS else "", ".0%", _cell(name))
            for place, name in enumerate(swap.classes)
        ),
    ]
    notes = [
        "how often the answer becomes the class of the gates; in brackets: with gates of its own class"
    ]
    if len(swap.classes) > _ACROSS:
        notes.append(f"columns of the first {_ACROSS} classes; swap_classes.csv has all")
    caption = "All gates of one class in images of another"
    return Table.of("swap_matrix", caption, columns, rows.items(), notes)


_CELLS = (
    _PLACE,
    Column("gates", "gates of"),
    Column("image", "image of"),
    Column("pairs", "pairs", ","),
    _share("follows", "follows the gates"),
    _share("stays", "stays"),
    _share("neither", "third class"),
)


def cells_table(swap: Swap) -> Table:
    """Return a row for each block and pair of classes."""
    return Table.of("swap_classes", "Pairs of classes", _CELLS, swap.cells)


@dataclass(frozen=True)
class _Pair:
    """One pair of images at one place."""

    swap: Swap
    pairs: Pairs
    place: int
    number: int

    @property
    def name(self) -> str:
        return place_name(self.swap.swapped.places[self.place])

    def image(self, which: str) -> Any:
        images = self.swap.swapped.images
        return images[int(getattr(self.pairs, which)[self.number])]

    def label(self, which: str) -> str:
        return self.swap.swapped.labels[self.image(which).answer]

    def answer(self, way: str) -> Any:
        if way not in self.pairs.answers:
            return None
        index = int(self.pairs.answers[way][self.place, self.number])
        return self.swap.swapped.labels.get(index, BLANK)

    @property
    def lift(self) -> float | None:
        lifts = self.pairs.lifts.get(OTHER)
        return None if lifts is None else float(f"{lifts[self.place, self.number]:.6g}")


_PAIRS = (
    Column("place", get=lambda p: p.name),
    Column("gates_image", get=lambda p: p.image("donors").name),
    Column("gates", get=lambda p: p.label("donors")),
    Column("image", get=lambda p: p.image("receivers").name),
    Column("class", get=lambda p: p.label("receivers")),
    Column("answer", get=lambda p: p.answer(OTHER)),
    Column("answer_mean", get=lambda p: p.answer(MEAN)),
    Column("answer_shuffled", get=lambda p: p.answer(SHUFFLED)),
    Column("log_odds", get=lambda p: p.lift),
)


def _pairs(swap: Swap) -> Iterator[_Pair]:
    for place in range(len(swap.swapped.places)):
        for pairs in (swap.swapped.across, swap.swapped.within):
            for number in range(len(pairs)):
                yield _Pair(swap, pairs, place, number)


def pairs_table(swap: Swap) -> Table:
    """Return a row for each block and pair of images, those of one class after those of two."""
    return Table.of("swap_pairs", "Pairs of images", _PAIRS, _pairs(swap))


def write_rates_csv(swap: Swap, path: str | Path) -> Path:
    """Write one row for each block and one for all, with all controls."""
    known = {c.key for c in _RATES}
    columns = (*_RATES, *(c for c in _CONTROLS if c.key not in known), *_DIFFERENCES)
    return write_csv(Table.of("swap", "", columns, swap.rates), path)


def write_cells_csv(swap: Swap, path: str | Path) -> Path:
    """Write one row for each block and pair of classes."""
    return write_csv(cells_table(swap), path)


def write_swap_pairs_csv(swap: Swap, path: str | Path) -> Path:
    """Write one row for each block and pair of images."""
    return write_csv(pairs_table(swap), path)


def rates_records(rates: SwapRates) -> dict[str, Any]:
    """Return one row as JSON has it, with all controls."""
    columns = (*_RATES, *_CONTROLS, *_DIFFERENCES)
    (row,) = Table.of("swap", "", columns, [rates]).records()
    return {**row, "place": rates.place}
