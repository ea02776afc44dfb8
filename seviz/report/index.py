"""A page that leads to several reports."""

from __future__ import annotations

from pathlib import Path

from seviz.report import summary
from seviz.report.build import REPORT_NAME
from seviz.report.embedding import stylesheet
from seviz.report.inputs import gather
from seviz.report.page import environment
from seviz.results.blocks import SE
from seviz.results.files import RECORD_NAME, written_whole
from seviz.tables.table import Cell, Column, Table

COLUMNS = (
    Column("report", "report"),
    Column("network", "network"),
    Column("source", "images of"),
    Column("images", "images", ","),
    Column("top1", "top-1", ".2%"),
    Column("se_blocks", "SE blocks", "d"),
    Column("params", "parameters", ","),
)


def write_index(folder: str | Path) -> Path:
    """Write ``index.html`` with one row for each folder that holds a record and its report.

    Args:
        folder: Where these folders are.

    Raises:
        DataError: If a record is damaged, or another seviz wrote it.
    """
    root = Path(folder)
    places = sorted(p.parent for p in root.glob(f"*/{REPORT_NAME}"))
    rows = []
    for place in places:
        if not (place / RECORD_NAME).is_file():
            continue
        inputs = gather(place)
        header, audit = inputs.record.header, inputs.audit
        own = None
        if audit is not None:
            own = audit.params_without_se if audit.inserted else audit.params
        top1 = inputs.scores.top1.value if inputs.scores else None
        blocks = sum(b.kind == SE for b in inputs.record.blocks)
        link = Cell(summary.title(inputs), link=f"{place.name}/{REPORT_NAME}")
        rows.append((link, header.architecture, header.source, header.images, top1, blocks, own))
    table = Table("reports", "Reports", COLUMNS, tuple(rows))
    page = environment().get_template("index.html.j2")
    text = page.render(table=table, styles=stylesheet())
    with written_whole(root / "index.html") as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return root / "index.html"
