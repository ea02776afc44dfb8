"""The rows of a comparison: both networks, their classes, their blocks, what the gates of each show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.analysis import ClassChange, Comparison
from seviz.analysis.findings.estimates import Estimate, estimate_of
from seviz.analysis.proportions import Difference
from seviz.results.blocks import SE
from seviz.results.mechanisms import BY_KEY, word_of
from seviz.results.subject import Subject
from seviz.tables.csv_files import write_csv
from seviz.tables.findings import statements_caption
from seviz.tables.table import Cell, Column, Table

_NETWORKS = (
    Column("name", "network"),
    Column.measured("top1", "top-1", ".2%"),
    Column.measured("top5", "top-5", ".2%", rank=2),
    Column("params", "parameters", ","),
    Column("macs", "MACs", ","),
    Column("paper_gflops", "paper's GFLOPs", "g", rank=1),
    Column("se_blocks", "{} blocks", "d", rank=3),
)


def networks_table(compared: Comparison) -> Table:
    """Return what is known of each of the two networks, and what the second has more than the first."""
    subjects = (compared.a, compared.b)
    word = _word(subjects)
    costs = [(s.cost.params, s.cost.macs) if s.cost is not None else (None, None) for s in subjects]
    rows: list[tuple[Any, ...]] = []
    for side, subject in enumerate(subjects):
        cost = subject.cost
        shares = (
            None if found is None else Estimate((found.before, found.after)[side])
            for found in (compared.top1, compared.top5)
        )
        paper = cost.paper.giga(cost.paper.with_se) if cost is not None else None
        rows.append((subject.name, *shares, *costs[side], paper, _blocks(subject)))
    points = (_points(found) for found in (compared.top1, compared.top5))
    more = [_more(*pair) for pair in zip(*costs, strict=True)]
    rows.append(("difference", *points, *more, None, None))
    notes = ("difference: the second less the first, top-1 and top-5 in points [95 % interval]",)
    known = [any(row[place] is not None for row in rows) for place in range(len(_NETWORKS))]
    columns = (
        replace(c, title=c.title.format(word) if k else "")
        for c, k in zip(_NETWORKS, known, strict=True)
    )
    return Table("networks", "Both networks", tuple(columns), tuple(rows), notes, foot=1)


def se_blocks(subject: Subject) -> int | None:
    """Return how many SE blocks a network has, where that is known."""
    if subject.cost is not None:
        return subject.cost.se_blocks
    if subject.record is None:
        return None
    return sum(block.kind == SE for block in subject.record.blocks)


def _blocks(subject: Subject) -> int | None:
    """Return how many blocks of the kinds that were looked for a network has."""
    if subject.record is not None:
        return len(subject.record.blocks)
    return sum(subject.cost.gates.values()) if subject.cost is not None else None


def _word(subjects: Sequence[Subject]) -> str:
    """Return what the blocks of both networks are called together."""
    keys = [key for s in subjects if s.cost is not None for key in s.cost.gates]
    keys += [key for s in subjects if s.record is not None for key in s.record.mechanisms]
    return word_of(BY_KEY[key] for key in keys)


def _points(found: Difference | None) -> Cell | None:
    if found is None:
        return None
    change = estimate_of(found)
    return Cell(change, text=CHANGE.shown(change))


def _more(before: int | None, after: int | None) -> Cell | None:
    if before is None or after is None:
        return None
    share = f" ({(after - before) / before:+.2%})" if before else ""
    return Cell(after - before, text=f"{after - before:+,}{share}")


def _recall(side: str) -> Callable[[ClassChange], float]:
    return lambda c: float(getattr(c.recall, side))


# Of a share of right answers, from one network to another.
CHANGE = Column(
    "delta",
    "change",
    "+.2f",
    unit="points",
    scale=100,
    ends=("low", "high"),
)
_RECALL_CHANGE = replace(CHANGE, get=lambda c: estimate_of(c.recall))
_CLASSES = (
    Column("class", "class", get=lambda c: c.name),
    Column("images", "images", ",", rank=1),
    Column("recall_a", "recall A", ".2%", _recall("before")),
    Column("recall_b", "recall B", ".2%", _recall("after")),
    _RECALL_CHANGE,
    Column("p", "p", "p", lambda c: c.recall.p_value, rank=3),
    Column("p_adjusted", "p (Holm)", "p"),
    Column(
        "", "verdict", get=lambda c: Cell("significant", "strong") if c.significant else "", rank=2
    ),
)


def class_changes_table(compared: Comparison) -> Table:
    """Return the recall of each class in both networks, and its change with its 95 % interval."""
    caption = "Recall of each class, the largest gain first"
    notes = ("p (Holm): adjusted for all classes",)
    return Table.of("compare_classes", caption, _CLASSES, compared.classes, notes)


_BLOCKS = (
    Column("block", "block"),
    Column("channels", "channels", "d", rank=1),
    Column("drift", "drift", ".4f"),
    Column("correlation", "correlation", "+.3f"),
    Column(
        "geometry",
        "geometry",
        "+.3f",
        lambda b: b.geometry if b.moves or b.geometry is None else Cell(b.geometry, "faint"),
    ),
    Column("spread_a", "spread A", ".4f", lambda b: b.spreads[0], rank=2),
    Column("spread_b", "spread B", ".4f", lambda b: b.spreads[1], rank=2),
    Column(
        "", "remark", get=lambda b: "" if b.moves else "hardly moves: its geometry means little"
    ),
)


def block_changes_table(compared: Comparison) -> Table:
    """Return drift, correlation, geometry and spreads of each block."""
    notes = (
        "class means of the gates: drift (root mean square difference), correlation channel by channel, "
        "geometry (correlation of the distances between classes)",
        "Drift and correlation mean something where channel i is the same channel in both: one network "
        "trained further, pruned or folded. Two networks trained apart order their channels differently; "
        "geometry does not depend on that order.",
    )
    caption = "Gates of both networks, block by block"
    return Table.of("compare_blocks", caption, _BLOCKS, compared.blocks, notes)


def shares_table(compared: Comparison) -> Table | None:
    """Return the class share of each block in both networks; ``None`` where one has no findings."""
    first, second = compared.findings
    if first is None or second is None:
        return None
    shares = [
        {
            b.block: b.class_share if b.moves else Cell(b.class_share, text="hardly moves")
            for b in found.blocks
        }
        for found in (first, second)
    ]
    columns = (Column("block", "block"), *(_share(side) for side in "ab"))
    rows = (
        (name, *(own.get(name) for own in shares))
        for name in dict.fromkeys([*shares[0], *shares[1]])
    )
    caption = "Share of gate variance explained by class, eta squared [95 % interval]"
    return Table("compare_shares", caption, columns, tuple(rows))


def _share(side: str) -> Column:
    ends = (f"class_share_{side}_low", f"class_share_{side}_high")
    return Column(f"class_share_{side}", side.upper(), ".3f", ends=ends)


def verdicts_table(compared: Comparison) -> Table | None:
    """Return the paper's statements as judged for both networks; ``None`` where one has no findings."""
    first, second = compared.findings
    if first is None or second is None:
        return None
    verdicts = [{s.claim: s.verdict for s in found.statements} for found in (first, second)]
    columns = (
        Column("claim", "what the SENet paper says of its networks"),
        Column("a", "A"),
        Column("b", "B"),
    )
    rows = tuple((claim, *(own.get(claim) for own in verdicts)) for claim in verdicts[0])
    return Table("compare_statements", statements_caption(first), columns, rows)


def write_class_changes_csv(compared: Comparison, path: str | Path) -> Path:
    """Write `class_changes_table` as CSV."""
    return write_csv(class_changes_table(compared), path)


def write_block_changes_csv(compared: Comparison, path: str | Path) -> Path:
    """Write `block_changes_table` as CSV."""
    return write_csv(block_changes_table(compared), path)
