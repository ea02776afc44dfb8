"""A page that leads to several reports."""

from __future__ import annotations

from pathlib import Path

from seviz.report import summary
from seviz.report.build import REPORT_NAME
from seviz.report.embedding import stylesheet
from seviz.report.inputs import gather
from seviz.report.names import shown
from seviz.report.page import environment
from seviz.report.tables import Cell, Table, number
from seviz.results.files import RECORD_NAME, written_whole


def write_index(folder: str | Path) -> Path:
    """Write ``index.html`` with one row for each folder that holds a record and its report.

    Args:
        folder: Where these folders are.

    Raises:
        DataError: If a record is damaged, or another seviz wrote it.
    """
    root = Path(folder)
    places = sorted(p.parent for p in root.glob(f"*/{REPORT_NAME}"))
    rows, links = [], []
    for place in places:
        if not (place / RECORD_NAME).is_file():
            continue
        inputs = gather(place)
        header, audit = inputs.record.header, inputs.audit
        own = None
        if audit is not None:
            own = audit.params_without_se if audit.inserted else audit.params
        links.append((summary.title(inputs), f"{place.name}/{REPORT_NAME}"))
        rows.append(
            (
                Cell(shown(header.architecture)),
                Cell(shown(header.source)),
                number(header.images, ","),
                number(inputs.scores.top1.value if inputs.scores else None, ".2%"),
                number(len(inputs.record.blocks), "d"),
                number(own, ","),
            )
        )
    columns = ("network", "images of", "images", "top-1", "SE blocks", "parameters")
    table = Table("reports", "Reports", columns, tuple(rows), names=(0, 1))
    page = environment().get_template("index.html.j2")
    text = page.render(table=table, links=links, styles=stylesheet())
    with written_whole(root / "index.html") as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return root / "index.html"
