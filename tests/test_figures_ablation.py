"""The figure and the table of an ablation, against its numbers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import at_night
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.lines import Line2D
from measuring import check_readable
from statsmodels.stats.contingency_tables import mcnemar
from test_results_ablation import make

from seviz.analysis.ablation import describe_ablation, single_effects
from seviz.figures import ablation_figure, save_figure, write_ablation_csv
from seviz.figures.look import Look
from seviz.figures.point_labels import Box, around, place_labels
from seviz.figures.style import figure_style
from seviz.figures.text import _text_width, text_width
from seviz.results.ablation import Ablation, Replaced


def many(count: int) -> Ablation:
    single = tuple(
        Replaced(
            f"SE_{2 + i // 10}_{1 + i % 10}", (f"SE_{2 + i // 10}_{1 + i % 10}",), i % 7, 1, 9, 9
        )
        for i in range(count)
    )
    cumulative = tuple(
        replace(s, blocks=tuple(t.name for t in single[: i + 1]), lost=i, params=9 * (i + 1))
        for i, s in enumerate(single)
    )
    return make(single=single, cumulative=cumulative, se_params=9 * count)


def drawn(line: Line2D) -> list[tuple[float, float]]:
    return [(round(float(x), 6), round(float(y), 6)) for x, y in line.get_xydata()]  # type: ignore[union-attr]


def test_points_are_where_the_numbers_say() -> None:
    curve, bars = ablation_figure(make()).axes
    lines = [drawn(line) for line in curve.lines]
    # From nothing to all of SE: 0, 500 and 600 of 600 parameters; 75 %, 75 % and 67.5 % of the images.
    assert [(0.0, 75.0), (83.333333, 75.0), (100.0, 67.5)] in lines
    assert [(16.666667, 70.0), (83.333333, 75.0)] in lines
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([-5.0, 0.0])
    assert [t.get_text() for t in bars.get_xticklabels()] == ["SE_2_1", "SE_3_1"]
    assert curve.get_xlabel() == "SE parameters removed, % of 600"
    assert "points" in bars.get_ylabel()
    names = {t.get_text() for t in curve.texts}
    # Alone and first of all, SE_3_1 is one point with one name.
    assert names == {"+ SE_3_1", "+ SE_2_1", "SE_2_1"}


def test_intervals_are_those_of_the_change() -> None:
    curve, bars = ablation_figure(make()).axes
    (lines,) = bars.collections
    (first, _) = lines.get_segments()  # type: ignore[attr-defined]
    # Agresti and Min by hand: (2 - 12) / 202 +- 1.95996 sqrt(15 - 100 / 202) / 202
    assert first[:, 1] == pytest.approx([-8.6462, -1.2548], abs=1e-3)
    (lines,) = curve.collections
    last = lines.get_segments()[-1]  # type: ignore[attr-defined]
    # (5 - 20) / 202 +- 1.95996 sqrt(26 - 225 / 202) / 202, on 75 %
    assert last[:, 1] == pytest.approx([62.734, 72.415], abs=2e-3)


def test_filled_is_what_chance_hardly_explains() -> None:
    assert 2 * mcnemar([[138, 12], [2, 48]], exact=True).pvalue < 0.05
    bars = ablation_figure(make()).axes[1]
    one, other = (bar.get_facecolor() for bar in bars.patches)
    assert one != (1, 1, 1, 1)
    assert other == (1, 1, 1, 1)


@pytest.mark.parametrize("count", [1, at_night(2), at_night(12), 13, at_night(50)])
def test_any_number_of_blocks(count: int, tmp_path: Path) -> None:
    figure = ablation_figure(many(count))
    first = [p.read_bytes() for p in save_figure(figure, tmp_path / "first")]
    second = [p.read_bytes() for p in save_figure(ablation_figure(many(count)), tmp_path / "other")]
    assert first == second
    curve, bars = figure.axes
    assert len(bars.patches) == count
    boxes = [t.get_window_extent() for t in curve.texts]
    assert boxes or count == 50  # lines stand too close for names there
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    page = figure.bbox
    for text in (*curve.texts, *figure.texts, *bars.get_xticklabels(), curve.xaxis.label):
        box = text.get_window_extent()
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
    legend = curve.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x1 <= page.x1
    notes = figure.texts[-1].get_window_extent()
    assert notes.y1 <= min(t.get_window_extent().y0 for t in bars.get_xticklabels())


def test_other_cases() -> None:
    partial = ablation_figure(make(partial=True, cumulative=(), by="stage"))
    assert "interrupted after 200 images" in partial.texts[-1].get_text()
    assert "one stage alone" in partial.axes[1].get_title(loc="left")
    shuffled = ablation_figure(make(gates="shuffle"))
    assert "of the replaced blocks" in shuffled.axes[0].get_xlabel()
    stays = [replace(s, params=0) for s in make().single]
    none = ablation_figure(make(single=tuple(stays), cumulative=(stays[0],)))
    assert none.axes[0].get_xlabel() == "blocks replaced"


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("count", [2, 7, 16])
def test_readable_at_any_width(count: int, width: str) -> None:
    look = Look.of(width=width)
    figure = ablation_figure(many(count), look=look)
    assert figure.get_figwidth() == look.width
    check_readable(figure)


def test_the_csv(tmp_path: Path) -> None:
    path = write_ablation_csv(make(), tmp_path / "new" / "ablation.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "kind", "name", "blocks", "images", "top1", "delta", "ci_low", "ci_high", "lost", "won", "p",
        "p_holm", "params", "macs",
    ]  # fmt: skip
    assert [(r["kind"], r["name"]) for r in rows] == [
        ("single", "SE_2_1"),
        ("single", "SE_3_1"),
        ("cumulative", "SE_3_1"),
        ("cumulative", "SE_2_1"),
    ]
    assert rows[3]["blocks"] == "SE_3_1 SE_2_1"
    first = rows[0]
    assert (first["top1"], first["delta"], first["lost"], first["won"]) == (
        "0.7",
        "-0.05",
        "12",
        "2",
    )
    assert float(first["p"]) == pytest.approx(
        mcnemar([[138, 12], [2, 48]], exact=True).pvalue, rel=1e-5
    )
    assert float(first["p_holm"]) == pytest.approx(2 * float(first["p"]), rel=1e-5)


def test_widths_do_not_depend_on_who_measures_first() -> None:
    _text_width.cache_clear()
    outside = text_width(7.0)("n" * 100)
    _text_width.cache_clear()
    with figure_style():
        assert text_width(7.0)("n" * 100) == outside


points = st.tuples(st.floats(0, 4), st.floats(0, 3))


@given(st.lists(points, min_size=1, max_size=12), st.floats(0.1, 1))
def test_labels_lie_on_nothing(where: list[tuple[float, float]], width: float) -> None:
    page = Box(0, 0, 4, 3)
    obstacles = [around(x, y, 0.04) for x, y in where]
    level = [i % 2 > 0 for i in range(len(where))]
    places = place_labels(where, [width] * len(where), 0.1, page, obstacles, level)
    for point, place, same in zip(where, places, level, strict=True):
        if place is not None and same:
            assert place[1] + 0.05 == pytest.approx(point[1], abs=1e-3)
    boxes = [Box(p[0], p[1], p[0] + width, p[1] + 0.1) for p in places if p is not None]
    for i, box in enumerate(boxes):
        assert page.holds(box)
        assert not any(box.meets(other) for other in (*boxes[i + 1 :], *obstacles))


def test_the_first_images_of_an_interrupted_pass_judge_no_block() -> None:
    lost = (Replaced("SE_2_1", ("SE_2_1",), 60, 2, 100, 90),)
    whole, partial, drawn = (
        make(single=lost, cumulative=(), **more)
        for more in ({}, {"partial": True}, {"partial": True, "gates": "shuffle"})
    )
    # Of images in random order a part is a sample.
    assert [single_effects(a)[0].significant for a in (whole, partial, drawn)] == [
        True,
        False,
        True,
    ]
    assert "which blocks matter cannot be said" in describe_ablation(partial)
    assert "more than chance explains for 1 of 1" in describe_ablation(drawn)


def test_of_too_few_images_nothing_is_said() -> None:
    """SciPy's exact test: with so few, no change of answers is beyond chance for so many blocks."""
    from scipy.stats import binomtest

    from seviz.analysis.ablation import fewest_images
    from seviz.tables.ablation import ablation_table

    for tests in (1, 2, 9, 16):
        fewest = fewest_images(tests)
        sure = [tests * binomtest(n, n, 0.5).pvalue < 0.05 for n in (fewest - 1, fewest)]
        assert sure == [False, True]
    for images, is_said in ((6, False), (7, True)):
        all_lost = tuple(Replaced(n, (n,), images, 0, 1, 1) for n in ("SE_2_1", "SE_3_1"))
        ablation = make(images=images, right=images, single=all_lost, cumulative=all_lost)
        said = describe_ablation(ablation)
        cells = [row[9] for row in ablation_table(ablation).rows]
        verdicts = {getattr(cell, "value", cell) for cell in cells}
        if is_said:
            assert "more than chance explains for 2 of 2" in said
            assert verdicts == {"significant"}
        else:
            assert (
                "Which blocks matter cannot be said (6 images; needs 7 at the very least)" in said
            )
            assert verdicts == {"cannot be said"}
