"""The files of a comparison: figures, tables, and one page that holds both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seviz.analysis import Comparison, SeveralComparison
from seviz.figures.captions import caption
from seviz.figures.catalogue import Choices, drawn_from
from seviz.figures.layout import COLUMN_WIDTH
from seviz.figures.look import PLAIN, Look
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.report.embedding import stylesheet
from seviz.report.folder import Written, save_figures
from seviz.report.page import environment
from seviz.report.pictures import picture
from seviz.results.files import written_whole
from seviz.results.subject import Subject
from seviz.tables import tables_of
from seviz.tables.comparison import write_block_changes_csv, write_class_changes_csv
from seviz.tables.several import write_several_csv
from seviz.tables.table import Table

PAGE = "compare.html"
# What the section of each table is called; the table's caption says more.
_LABELS = {
    "networks": "Networks",
    "compare_pairs": "Every two",
    "compare_depth": "Class share by depth",
    "compare_geometry": "Class geometry",
    "compare_classes": "Classes",
    "compare_blocks": "Gates",
    "compare_shares": "Class share",
    "compare_statements": "The paper's statements",
}
# Rows of a table on the page; its file has all.
_MOST = 120


def write_comparison(
    compared: Comparison,
    folder: Path,
    *,
    top: int = 20,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Write what differs between two networks, class by class and block by block, and draw it.

    Args:
        compared: From `seviz.compare`.
        folder: Where files go: ``compare.html``, the figure, ``compare_classes.csv``,
            ``compare_blocks.csv``.
        top: Classes and blocks to draw.
        look: How the figure looks.
        dpi: Dots per inch.
        formats: Formats of the figures.
    """
    tables = []
    if compared.classes:
        tables.append(write_class_changes_csv(compared, folder / "compare_classes.csv"))
    if compared.blocks:
        tables.append(write_block_changes_csv(compared, folder / "compare_blocks.csv"))
    return _written(compared, folder, Choices(top=top, look=look), formats, tables, dpi)


def write_several(
    compared: SeveralComparison,
    folder: Path,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Write how three networks or more differ, and draw it.

    Args:
        compared: From `seviz.compare`.
        folder: Where files go: ``compare.html``, the figure, ``compare_networks.csv``,
            ``compare_pairs.csv``, ``compare_depth.csv``, ``compare_geometry.csv``.
        look: How the figure looks.
        dpi: Dots per inch.
        formats: Formats of the figures.
    """
    tables = write_several_csv(compared, folder)
    return _written(compared, folder, Choices(look=look), formats, tables, dpi)


def _written(
    compared: Comparison | SeveralComparison,
    folder: Path,
    asked: Choices,
    formats: Sequence[str],
    tables: Sequence[Path],
    dpi: float | None,
) -> Written:
    drawn = save_figures([compared], folder, formats, asked, dpi=dpi)
    page = folder / PAGE
    with written_whole(page) as temporary:
        temporary.write_text(comparison_page(compared, asked), encoding="utf-8", newline="\n")
    return drawn + Written(tables=(page, *tables))


def comparison_page(compared: Comparison | SeveralComparison, asked: Choices | None = None) -> str:
    """Return one HTML file: what was found in sentences, then figures and tables; it needs no script.

    Args:
        compared: From `seviz.compare`.
        asked: What to draw.
    """
    from importlib.metadata import version

    subjects = _subjects(compared)
    warnings = [
        f"{subject.name}: {text}"
        for subject, found in zip(subjects, compared.findings, strict=True)
        for text in (found.warnings if found is not None else ())
    ]
    names = [subject.name for subject in subjects]
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            command="compare",
            kicker=f"{len(names)} networks side by side"
            if len(names) > 2
            else "Two networks side by side",
            title=f"{', '.join(names[:-1])} and {names[-1]}",
            sentences=compared.sentences(),
            warnings=warnings,
            notes=compared.notes,
            sections=[*_sections(compared, asked or Choices())],
            most=_MOST,
            styles=stylesheet(),
            made=f"seviz {version('seviz')}",
        )
    )


def _subjects(compared: Comparison | SeveralComparison) -> tuple[Subject, ...]:
    if isinstance(compared, Comparison):
        return compared.a, compared.b
    return compared.subjects


def _sections(compared: Comparison | SeveralComparison, asked: Choices) -> Iterator[dict[str, Any]]:
    """Yield the sections: the networks, the figure, and every other table."""
    networks, *others = tables_of(compared).values()
    yield _section(networks.name, networks)
    # Twice: where the screen is narrow its text would be too small to read.
    narrow = replace(asked, look=replace(asked.look, width=COLUMN_WIDTH))
    for (drawing, wide), (_, small) in zip(
        drawn_from(compared, asked), drawn_from(compared, narrow), strict=True
    ):
        said = caption(wide).removeprefix(compared.describe()).strip()
        yield {
            **_section("figure", None),
            "label": "In one figure",
            "wide": picture(wide, drawing.shows),
            "narrow": picture(small, drawing.shows),
            "caption": said,
        }
    for table in others:
        yield _section(table.name, table)


def _section(name: str, table: Table | None) -> dict[str, Any]:
    return {
        "name": name,
        "label": _LABELS.get(name, name),
        "table": table,
        "wide": None,
        "narrow": None,
    }
