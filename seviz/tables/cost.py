"""The numbers of an audit as tables: CSV for every block, LaTeX and Markdown for a paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seviz.results.cost import Audit, BlockCost, total_work
from seviz.results.files import written_whole

BLOCK_COLUMNS = (
    "block",
    "path",
    "stage",
    "channels",
    "hidden",
    "reduction",
    "map",
    "params",
    "weights",
    "biases",
    "norms",
    "others",
    "formula",
    "rounding",
    "params_share",
    "squeeze_adds",
    "fc_macs",
    "scale_multiplications",
    "operations_share",
    "squeeze_bytes",
    "scale_bytes",
)
FORMATS = ("latex", "markdown", "csv")
STAGE_COLUMNS = (
    "stage",
    "blocks",
    "channels",
    "map",
    "parameters",
    "share of SE",
    "squeeze (adds)",
    "FC (MACs)",
    "scale (mult.)",
    "memory (MB)",
)


def block_rows(audit: Audit) -> list[dict[str, Any]]:
    """Return one row per block, keyed by `BLOCK_COLUMNS`; empty text where a number is not known."""
    params = sum(b.params.total for b in audit.blocks)
    work = audit.work
    rows = []
    for cost in audit.blocks:
        block, own = cost.block, cost.params
        row: dict[str, Any] = dict.fromkeys(BLOCK_COLUMNS, "")
        row |= {
            "block": block.name,
            "path": block.path,
            "stage": block.stage,
            "channels": block.channels,
            "hidden": block.hidden,
            "reduction": block.reduction,
            "map": "x".join(map(str, block.spatial)),
            "params": own.total,
            "weights": own.weights,
            "biases": own.biases,
            "norms": own.norms,
            "others": own.others,
            "formula": round(own.formula, 2),
            "rounding": round(own.rounding, 2),
            "params_share": round(own.total / params, 6) if params else "",
        }
        if cost.work is not None and work is not None:
            row |= {
                "squeeze_adds": cost.work.squeeze_adds,
                "fc_macs": cost.work.fc_macs,
                "scale_multiplications": cost.work.scale_multiplications,
                "operations_share": round(cost.work.operations / work.operations, 6),
                "squeeze_bytes": cost.work.squeeze_bytes,
                "scale_bytes": cost.work.scale_bytes,
            }
        rows.append(row)
    return rows


def write_cost_csv(audit: Audit, path: str | Path) -> Path:
    """Write one row per block; its folder is made if need be."""
    target = Path(path)
    with (
        written_whole(target) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, BLOCK_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(block_rows(audit))
    return target


def stage_rows(audit: Audit) -> list[list[str]]:
    """Return the cells of `STAGE_COLUMNS` for every stage, and for all of SE last."""
    rows = [_stage_row(str(s.stage), s.blocks, s.share) for s in audit.stages]
    return [*rows, _stage_row("all", audit.blocks, 1.0)]


def _stage_row(name: str, blocks: Sequence[BlockCost], share: float) -> list[str]:
    widths = sorted({b.block.channels for b in blocks})
    maps = list(dict.fromkeys("x".join(map(str, b.block.spatial)) for b in blocks))
    work = total_work(blocks)
    cells = [
        name,
        str(len(blocks)),
        str(widths[0]) if len(widths) == 1 else f"{widths[0]}-{widths[-1]}",
        maps[0] if len(maps) == 1 else "",
        f"{sum(b.params.total for b in blocks):,}",
        f"{share:.1%}",
    ]
    if work is None:
        return [*cells, "-", "-", "-", "-"]
    counts = (work.squeeze_adds, work.fc_macs, work.scale_multiplications)
    return [*cells, *(f"{n:,}" for n in counts), f"{work.map_bytes / 1e6:.1f}"]


def summary_rows(audit: Audit) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of the table with and without SE, with the convention in each."""
    columns = ["network", "parameters"]
    cells: list[list[str]] = [
        ["without SE", f"{audit.params_without_se:,}"],
        ["with SE", f"{audit.params:,}"],
        ["increase", f"{audit.params_increase:+.2%}"],
    ]
    for convention in audit.conventions:
        columns.append(
            {"macs": "MACs", "torch": "FLOPs (2 x MACs)"}.get(
                convention.name, f"FLOPs ({convention.name})"
            )
        )
        for row, text in zip(cells, convention.printed, strict=False):
            row.append(text)
        base = convention.without_se
        cells[2].append(f"{convention.with_se / base - 1:+.2%}" if base else "-")
    return columns, cells


def formatted(audit: Audit, kind: str) -> str:
    """Return the tables of an audit for a paper: the network with and without SE, and SE by stage.

    Args:
        audit: The result.
        kind: ``latex`` (booktabs), ``markdown``, or ``csv`` (the stages alone).
    """
    if kind == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(STAGE_COLUMNS)
        writer.writerows([c.replace(",", "") for c in row] for row in stage_rows(audit))
        return text.getvalue().rstrip()
    columns, rows = summary_rows(audit)
    notes = [f"{c.name}: {c.rule}" for c in audit.conventions]
    size = "x".join(map(str, audit.input_size)) or "not known"
    caption = f"Cost of SE in {audit.name}, input {size}. {'; '.join(notes)}".rstrip()
    if kind == "markdown":
        tables = [_markdown(columns, rows), _markdown(STAGE_COLUMNS, stage_rows(audit))]
        return "\n\n".join([*tables, caption])
    tables = [_latex(columns, rows), _latex(STAGE_COLUMNS, stage_rows(audit))]
    return "\n\n".join([f"% {caption}\n% needs \\usepackage{{booktabs}}", *tables])


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _latex(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(_escaped, cells)) + r" \\"

    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
            r"\toprule",
            line(columns),
            r"\midrule",
            *map(line, rows[:-1]),
            r"\midrule",
            line(rows[-1]),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _escaped(text: str) -> str:
    for mark in "%_&#":
        text = text.replace(mark, f"\\{mark}")
    # A number keeps its comma as a thin space would in print; "x" between sizes is a product.
    return text.replace(" x ", r" $\times$ ")
