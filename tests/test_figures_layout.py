"""Places of panels and legend entries, as arithmetic."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seviz.figures.heat_layout import HeatLayout
from seviz.figures.layout import PAGE_WIDTH, TALLEST, Layout, by_row, legend_columns


@pytest.mark.parametrize(
    ("panels", "rows", "columns"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (6, 2, 3), (9, 3, 3), (16, 4, 4), (50, 10, 5)],
)
def test_grid(panels, rows, columns):
    layout = Layout(panels)
    assert (layout.rows, layout.columns) == (rows, columns)
    if 2 <= columns <= 3:
        assert layout.width == PAGE_WIDTH


@given(st.integers(1, 70), st.floats(0, 3), st.integers(0, 4))
def test_panels_lie_apart_inside_the_figure(panels, legend, notes):
    layout = Layout(panels, legend=legend, notes=notes)
    boxes = [layout.box(i) for i in range(panels)]
    for left, bottom, width, height in boxes:
        assert 0 < left < left + width < 1
        assert 0 < bottom < bottom + height < 1 - legend / layout.height
        assert width * layout.width == pytest.approx(layout.panel[0])
    for one, other in itertools.pairwise(boxes):
        beside = other[0] > one[0] + one[2]
        below = other[1] + other[3] < one[1]
        assert beside != below


@given(st.lists(st.floats(0.1, 3), min_size=1, max_size=40), st.floats(0, 0.5))
def test_legend_fits_wherever_it_can(widths, gap):
    columns = legend_columns(widths, gap, 6.6)
    assert 1 <= columns <= len(widths)
    needed = sum(max(widths[c::columns]) for c in range(columns)) + gap * (columns - 1)
    assert columns == 1 or needed <= 6.6 + 1e-9


@given(st.lists(st.integers(), min_size=1), st.integers(1, 9))
def test_by_row_reads_along_the_rows_of_a_legend(entries, columns):
    columns = min(columns, len(entries))
    ordered = by_row(entries, columns)
    # As matplotlib fills a legend: the first columns get one entry more.
    tall, more = divmod(len(entries), columns)
    grid, start = [], 0
    for column in range(columns):
        height = tall + (column < more)
        grid.append(ordered[start : start + height])
        start += height
    rows = [c[row] for row in range(tall + (more > 0)) for c in grid if row < len(c)]
    assert rows == entries


@pytest.mark.parametrize(("panels", "wide"), [(16, 8.5), (50, None), (50, 18.3)])
def test_many_panels_end_with_the_page(panels, wide):
    layout = Layout(panels, wide=wide and wide / 2.54, legend=0.3, notes=2)
    assert layout.height * PAGE_WIDTH / max(layout.width, PAGE_WIDTH) <= TALLEST + 1e-9
    assert layout.panel[1] >= 0.34


def test_fifty_panels_in_a_column():
    """No page holds them, with their numbers; but not three of them are needed."""
    layout = Layout(50, wide=8.5 / 2.54, legend=0.3, notes=2)
    assert layout.columns == 3
    assert layout.height < 1.6 * TALLEST
    assert Layout(9, wide=8.5 / 2.54).columns == 2
    heat = HeatLayout(50, 30, 8.5 / 2.54, names=0.5)
    assert heat.columns >= 3
    assert heat.height < 1.1 * TALLEST
