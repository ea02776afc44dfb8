"""What SE costs: the audit as tables and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.figures.style import GREY
from seviz.report.charts import BLUE, GREEN, ORANGE, chart, tooltip
from seviz.report.tables import Cell, Table, number, plain_rows
from seviz.results.cost import Audit
from seviz.tables.cost import STAGE_COLUMNS, stage_rows

if TYPE_CHECKING:
    from bokeh.plotting import figure

Bars = tuple[tuple[str, str, list[int]], ...]


def cost_tables(audit: Audit) -> list[Table]:
    """Return what is counted: the whole network, ways of counting it, stages, the sweep, times."""
    tables = [_totals(audit)]
    if audit.conventions:
        rows = plain_rows([[c.name, *c.printed, c.rule] for c in audit.conventions])
        columns = ("convention", "without SE", "with SE", "what is counted")
        caption = "The whole network, in several ways of counting"
        tables.append(Table("conventions", caption, columns, rows, names=(0, 3)))
    if audit.totals is not None:
        tables.append(Table("stages", "SE by stage", STAGE_COLUMNS, plain_rows(stage_rows(audit))))
    if audit.sweep:
        tables.append(_sweep(audit))
    if audit.latency:
        tables.append(_latency(audit))
    return tables


def _totals(audit: Audit) -> Table:
    def row(name: str, with_se: int, without: int) -> tuple[Cell, ...]:
        more = with_se / without - 1 if without else None
        digits = ".2%" if more is None or more >= 0.0005 else ".4%"
        counts = (with_se, without, with_se - without)
        return (Cell(name), *(number(n, ",") for n in counts), number(more, f"+{digits}"))

    rows = [row("parameters", audit.params, audit.params_without_se)]
    work, totals, base = audit.work, audit.totals, audit.macs_without_se
    if work is not None and totals is not None and base is not None:
        rows += [
            row("MACs", totals.macs, base),
            row("FLOPs, 2 x MACs", 2 * totals.macs, 2 * base),
            row("bytes moved", totals.bytes_moved, totals.bytes_without_se),
        ]
        for name, count in (
            ("squeeze, additions", work.squeeze_adds),
            ("excitation, MACs", work.fc_macs),
            ("scale, multiplications", work.scale_multiplications),
        ):
            rows.append((Cell(name), Cell(""), Cell(""), number(count, ","), Cell("")))
    columns = ("for one image", "with SE", "without SE", "SE", "increase")
    return Table("costs", "The whole network", columns, tuple(rows))


def _sweep(audit: Audit) -> Table:
    rows = tuple(
        (
            number(r.reduction, "d"),
            number(r.params, ","),
            number(r.se_params, ","),
            number(r.se_params / (r.params - r.se_params), "+.2%"),
            number(r.macs, ","),
        )
        for r in audit.sweep
    )
    columns = ("reduction r", "parameters", "of SE", "increase", "MACs")
    return Table("sweep", "The same network at other reduction ratios", columns, rows)


def _latency(audit: Audit) -> Table:
    rows = tuple(
        (
            Cell(f"{t.device}, batch of {t.batch}"),
            number(t.with_se_ms, ".2f"),
            number(t.without_se_ms, ".2f"),
            Cell(f"{t.ratio:.3f} [{t.ratio_low:.3f}, {t.ratio_high:.3f}]", t.ratio),
        )
        for t in audit.latency
    )
    columns = ("wall time", "with SE, ms", "without SE, ms", "ratio")
    return Table("latency", "Medians of interleaved pairs of runs", columns, rows)


def cost_charts(audit: Audit) -> dict[str, figure]:
    """Return the bars of every block: parameters, operations, memory."""
    names = [b.block.name for b in audit.blocks]
    params: Bars = (("parameters", GREY, [b.params.total for b in audit.blocks]),)
    charts = {"cost-params": _bars("cost-params", names, params)}
    works = [b.work for b in audit.blocks if b.work is not None]
    if len(works) == len(names):
        operations: Bars = (
            ("squeeze", BLUE, [w.squeeze_adds for w in works]),
            ("fully connected", GREEN, [w.fc_macs for w in works]),
            ("scale", ORANGE, [w.scale_multiplications for w in works]),
        )
        moved: Bars = (
            ("squeeze", BLUE, [w.squeeze_bytes for w in works]),
            ("weights", GREEN, [4 * b.params.total for b in audit.blocks]),
            ("scale", ORANGE, [w.scale_bytes for w in works]),
        )
        charts["cost-operations"] = _bars("cost-operations", names, operations)
        charts["cost-bytes"] = _bars("cost-bytes", names, moved)
    return charts


def _bars(name: str, names: list[str], parts: Bars) -> figure:
    from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter

    data: dict[str, list[str] | list[int]] = {"block": names}
    data |= {label: values for label, _, values in parts}
    made = chart(
        name,
        height=max(150, 60 + 20 * len(names)),
        y_range=FactorRange(factors=names[::-1]),
        dimensions="width",
    )
    made.x_range.start = 0
    labels = [label for label, _, _ in parts]
    made.hbar_stack(
        labels,
        y="block",
        height=0.72,
        color=[colour for _, colour, _ in parts],
        source=ColumnDataSource(data),
    )
    made.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
    made.xaxis.ticker.desired_num_ticks = 4
    made.ygrid.grid_line_color = None
    shown = [("block", "@block"), *((label, f"@{{{label}}}{{0,0}}") for label in labels)]
    made.add_tools(tooltip("auto", shown))
    return made


def cost_sentence(audit: Audit) -> str:
    """Say what SE costs in one sentence."""
    said = (
        f"SE has {audit.se_params:,} of the network's {audit.params:,} parameters: "
        f"{audit.params_increase:+.2%} over the network without it"
    )
    if audit.macs_increase is not None:
        said += f", and {audit.macs_increase:+.2%} multiplications (MACs)"
    if audit.inserted:
        count = len(audit.inserted)
        return (
            f"This network has no SE. With {count} SE blocks put into it (r = {audit.reduction:g}), "
            f"{said[0].lower()}{said[1:]}."
            if audit.reduction
            else f"This network has no SE. With {count} SE blocks put into it, {said[0].lower()}{said[1:]}."
        )
    return f"{said}."
