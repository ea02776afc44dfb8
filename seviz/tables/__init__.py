"""Each result as rows, said once; written as text, CSV, HTML, LaTeX or Markdown from there.

from seviz.tables import render, tables_of

for name, table in tables_of(seviz.audit("timm:legacy_seresnet50")).items():
    print(render(table, "latex"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seviz.analysis import (
    ChannelRanking,
    ChannelView,
    Comparison,
    Findings,
    Scores,
    SelectiveChannel,
    SeveralComparison,
    Shift,
    Swap,
    Track,
    scores,
)
from seviz.errors import UsageError
from seviz.results.ablation import Ablation
from seviz.results.blocks import GateBlock
from seviz.results.cost import Audit
from seviz.results.evaluation import Evaluation
from seviz.results.image import ImageExplanation
from seviz.results.record import Record
from seviz.tables import (
    ablation,
    blocks,
    channels,
    comparison,
    confusion,
    cost,
    findings,
    gates,
    image,
    several,
    shift,
    swap,
    tracking,
)
from seviz.tables.csv_files import to_csv, write_csv
from seviz.tables.markup import to_html, to_latex, to_markdown
from seviz.tables.table import Column, Table
from seviz.tables.text import to_text

__all__ = ["FORMATS", "Column", "Table", "render", "tables_of", "write_csv"]

FORMATS: Mapping[str, Callable[[Table], str]] = {
    "text": to_text,
    "csv": to_csv,
    "html": to_html,
    "latex": to_latex,
    "markdown": to_markdown,
}


def render(table: Table, kind: str = "text") -> str:
    """Return a table in one language.

    Args:
        table: From `tables_of`.
        kind: ``text``, ``csv`` (every column, every digit), ``html``, ``latex`` (booktabs) or ``markdown``.

    Raises:
        UsageError: If there is no such language.
    """
    if kind not in FORMATS:
        raise UsageError(
            f"expected a format of tables ({', '.join(FORMATS)}), found {kind!r}; name one of these"
        )
    return FORMATS[kind](table)


def _of_audit(audit: Audit) -> list[Table | None]:
    return [
        cost.totals_table(audit),
        cost.stages_table(audit) if audit.totals is not None and audit.blocks else None,
        cost.blocks_table(audit) if audit.blocks else None,
        cost.sweep_table(audit) if audit.sweep else None,
        cost.latency_table(audit) if audit.latency else None,
        cost.not_counted_table(audit) if audit.not_counted else None,
    ]


def _of_scores(found: Scores) -> list[Table | None]:
    curve = found.calibration
    return [
        confusion.scores_table(found),
        confusion.classes_table(found),
        confusion.calibration_table(curve) if curve is not None else None,
    ]


def _of_evaluation(evaluation: Evaluation) -> list[Table | None]:
    own = (confusion.pairs_table(evaluation), confusion.matrix_table(evaluation))
    return [*_of_scores(scores(evaluation)), *own]


def _of_comparison(compared: Comparison) -> list[Table | None]:
    return [
        comparison.networks_table(compared),
        comparison.class_changes_table(compared) if compared.classes else None,
        comparison.block_changes_table(compared) if compared.blocks else None,
        comparison.shares_table(compared),
        comparison.verdicts_table(compared),
    ]


def _of_track(track: Track) -> list[Table | None]:
    own = (tracking.changes_table(track), tracking.blocks_table(track)) if track.blocks else ()
    return [tracking.epochs_table(track), *own]


def _of_shift(found: Shift) -> list[Table | None]:
    own = (shift.worlds_table(found), shift.side_by_side(found), shift.blocks_table(found))
    return [*own, shift.twin_table(found) if found.twin is not None else None]


def _of_swap(found: Swap) -> list[Table | None]:
    own = swap.rates_table(found), swap.controls_table(found)
    return [*own, swap.matrix_table(found) if found.matrix else None]


def _of_record(record: Record) -> list[Table | None]:
    names = [
        label for label, count in zip(record.classes.labels, record.count, strict=True) if count
    ]
    return [
        blocks.blocks_table(record.blocks),
        gates.gates_table(record, record.classes.choose(names), record.blocks),
    ]


def _of_images(explained: ImageExplanation) -> list[Table | None]:
    return [
        image.answers_table(explained) if any(i.top for i in explained.images) else None,
        image.image_blocks_table(explained),
        image.image_channels_table(explained),
    ]


def _of_channel(view: ChannelView) -> list[Table | None]:
    return [
        channels.channel_classes_table(view),
        channels.channel_images_table(view),
        channels.channel_companions_table(view),
        channels.channel_effects_table(view),
    ]


def _of_findings(found: Findings) -> list[Table | None]:
    own = (findings.blocks_table(found), findings.statements_table(found))
    return [*own, findings.literature_table(found) if found.literature else None]


# What a result is, and the function that gives its tables; a new kind of result is a row here.
_MAKERS: tuple[tuple[type, Callable[[Any], Iterable[Table | None]]], ...] = (
    (Ablation, lambda a: [ablation.ablation_table(a, k) for k in ("single", "cumulative")]),
    (Audit, _of_audit),
    (ChannelRanking, lambda r: [channels.ranking_table(r, every=False)]),
    (ChannelView, _of_channel),
    (Comparison, _of_comparison),
    (Evaluation, _of_evaluation),
    (Findings, _of_findings),
    (ImageExplanation, _of_images),
    (Record, _of_record),
    (Scores, _of_scores),
    (SeveralComparison, several.several_tables),
    (Shift, _of_shift),
    (Swap, _of_swap),
    (Track, _of_track),
)


def tables_of(result: Any) -> dict[str, Table]:
    """Return the tables of a result by name.

    Args:
        result: An ablation, an audit, a channel or the ranking of all, a comparison, an evaluation or its
            scores, findings, explained images, a record, a shift, swapped gates, a track; or a sequence of
            SE blocks, or of selective channels.

    Raises:
        UsageError: If it is none of these.

    >>> from seviz.results.ablation import Ablation
    >>> list(tables_of(Ablation("a", "", "a", "d", "", 9, 8, "block", "one", 0, 1, 1, 1, (), ())))
    ['ablation', 'ablation_together']
    """
    made: Iterable[Table | None] = ()
    for kind, make in _MAKERS:
        if isinstance(result, kind):
            made = make(result)
            break
    else:
        items = list(result) if isinstance(result, list | tuple) else []
        if items and all(isinstance(item, GateBlock) for item in items):
            made = [blocks.blocks_table(items)]
        elif items and all(isinstance(item, SelectiveChannel) for item in items):
            made = [findings.selective_table(items)]
        else:
            raise UsageError(
                f"expected a result of seviz, found {type(result).__name__}; give what seviz.audit, ablate, "
                "compare, evaluate, scores, findings, shift, swap_gates, track or collect returns"
            )
    return {table.name: table for table in made if table is not None}
