"""The figures and tables of an audit, against its numbers."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from measuring import check_readable

from seviz.errors import UsageError
from seviz.figures import block_bars, save_figure, stage_bars, write_cost_csv
from seviz.figures.look import Look
from seviz.results.blocks import SEBlock
from seviz.results.cost import Audit, BlockCost, BlockParams, BlockWork, Convention, Totals
from seviz.tables import render
from seviz.tables.cost import stages_table, totals_table


def cost(stage: int, index: int, channels: int, side: int) -> BlockCost:
    hidden = channels // 4
    name = f"SE_{stage}_{index}"
    names = (f"{name}.a", f"{name}.b")
    weights = 2 * channels * hidden
    block = SEBlock(
        name,
        f"layer{stage}.{index}.se",
        stage,
        index,
        channels,
        hidden,
        "sigmoid",
        "mean",
        "standard",
        names,
        weights + 5,
        (side, side),
    )
    elements = channels * side * side
    return BlockCost(
        block,
        BlockParams(weights, 5, 0, 0, 2 * channels, 0, float(weights)),
        BlockWork(elements, weights, elements, 7, 4 * elements, 8 * elements),
    )


@pytest.fixture
def audit() -> Audit:
    blocks = (cost(2, 1, 8, 16), cost(2, 2, 8, 16), cost(3, 1, 32, 4))
    se = sum(b.params.total for b in blocks)
    return Audit(
        name="a_network",
        input_size=(3, 32, 32),
        params=10_000 + se,
        se_params=se,
        running_stats=0,
        reduction=4,
        hidden_rule="C / r",
        blocks=blocks,
        totals=Totals(1_000_000, 0, 0, 4_000_000, 3_900_000, False),
        conventions=(
            Convention("macs", 3 * 10**9, 2 * 10**9, "MACs"),
            Convention("fvcore", 3 * 10**9, None, "its own"),
        ),
    )


def test_stage_bars_are_as_tall_as_the_parameters(audit: Audit) -> None:
    (axes,) = stage_bars(audit).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [2 * (32 + 5), 512 + 5]
    shares = [text.get_text() for text in axes.texts]
    assert shares == [f"{64 / 576:.1%}", f"{512 / 576:.1%}"]
    assert [t.get_text().split("\n")[0] for t in axes.get_xticklabels()] == ["stage 2", "stage 3"]


def test_block_bars_are_as_long_as_the_numbers(audit: Audit) -> None:
    figure = block_bars(audit)
    params, operations, memory = figure.axes
    assert [bar.get_width() for bar in params.patches] == [37, 37, 517]
    widths = [bar.get_width() for bar in operations.patches]
    assert widths == [2048, 2048, 512, 32, 32, 512, 2048, 2048, 512]
    starts = [bar.get_x() for bar in operations.patches]
    assert starts == [0, 0, 0, 2048, 2048, 512, 2080, 2080, 1024]
    assert [b.get_width() for b in memory.patches][:3] == [8.192, 8.192, 2.048]  # thousands
    assert [t.get_text() for t in params.get_yticklabels()] == ["SE_2_1", "SE_2_2", "SE_3_1"]
    bottom, top = params.get_ylim()
    assert bottom > top  # the first block is the highest
    said = figure.get_suptitle().replace("\n", " ")
    assert "0.058% of the network's MACs" in said
    assert "2.5% of its memory" in said


def test_parameters_alone_have_no_block_bars(audit: Audit) -> None:
    bare = tuple(BlockCost(b.block, b.params, None) for b in audit.blocks)
    alone = Audit("x", (), 10_000, 591, 0, 4, "C / r", bare)
    assert stage_bars(alone).axes
    with pytest.raises(UsageError, match="parameters alone"):
        block_bars(alone)


@pytest.mark.parametrize("width", [8.9, 13.0, 18.3, "column", "page"])
def test_readable_at_any_width(audit: Audit, width: float | str) -> None:
    look = Look.of(width=width)
    for draw in (stage_bars, block_bars):
        figure = draw(audit, look=look)
        assert figure.get_figwidth() == look.width
        check_readable(figure)
    lefts = {round(axes.get_position().x0, 6) for axes in block_bars(audit, look=look).axes}
    assert len(lefts) == (
        1 if width in (8.9, 13.0, "column") else 3
    )  # below one another, or beside


def test_files_are_the_same_each_time(audit: Audit, tmp_path: Path) -> None:
    for draw in (stage_bars, block_bars):
        first = [p.read_bytes() for p in save_figure(draw(audit), tmp_path / "first")]
        second = [p.read_bytes() for p in save_figure(draw(audit), tmp_path / "second")]
        assert first == second


def test_the_csv_has_a_row_for_each_block(audit: Audit, tmp_path: Path) -> None:
    path = write_cost_csv(audit, tmp_path / "new" / "audit.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {
        *("block", "path", "stage", "channels", "hidden", "reduction", "map", "params", "weights"),
        *(
            "biases",
            "norms",
            "others",
            "formula",
            "rounding",
            "params_share",
            "squeeze_adds",
            "fc_macs",
        ),
        *(
            "scale_multiplications",
            "operations_share",
            "squeeze_bytes",
            "scale_bytes",
            "bytes_moved",
        ),
    } <= set(rows[0])
    assert [r["block"] for r in rows] == ["SE_2_1", "SE_2_2", "SE_3_1"]
    last = rows[-1]
    assert (last["params"], last["weights"], last["biases"]) == ("517", "512", "5")
    assert (last["squeeze_adds"], last["fc_macs"], last["scale_bytes"]) == ("512", "512", "4096")
    assert last["map"] == "4x4"
    assert sum(float(r["params_share"]) for r in rows) == pytest.approx(1, abs=1e-5)
    assert sum(float(r["operations_share"]) for r in rows) == pytest.approx(1, abs=1e-5)


def test_axes_name_the_unit_only_where_there_is_one(audit: Audit) -> None:
    (axes,) = stage_bars(audit).axes
    assert axes.get_ylabel() == "parameters of SE"
    large = replace(audit.blocks[-1], params=replace(audit.blocks[-1].params, weights=3_000_000))
    (axes,) = stage_bars(replace(audit, blocks=(large,))).axes
    assert axes.get_ylabel() == "parameters of SE (millions)"


def test_tables_for_a_paper(audit: Audit) -> None:
    rows = list(csv.reader(io.StringIO(render(stages_table(audit), "csv"))))
    assert [r[0] for r in rows] == ["stage", "2", "3", "all"]
    assert rows[-1][4] == "591"
    latex = render(totals_table(audit), "latex")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 1
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {5 - 1}
    assert r"parameters & 10,591 & 10,000 & 591 & +5.91\%" in latex
    assert r"FLOPs, fvcore & 3.000 G & - & - & -" in latex
    assert render(stages_table(audit), "latex").count(r"\midrule") == 2
    markdown = render(totals_table(audit), "markdown")
    assert "| parameters | 10,591 | 10,000 | 591 | +5.91% |" in markdown
    assert "| FLOPs, fvcore | 3.000 G | - | - | - |" in markdown
    assert "fvcore: its own" in markdown
