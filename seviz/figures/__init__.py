"""Figures and tables from records. Never imports torch; matplotlib only when it draws."""

from seviz.figures.cost import block_bars, stage_bars
from seviz.figures.cost_table import write_cost_csv
from seviz.figures.curves import gate_curves
from seviz.figures.saving import save_figure
from seviz.figures.table import write_gate_csv

__all__ = [
    "block_bars",
    "gate_curves",
    "save_figure",
    "stage_bars",
    "write_cost_csv",
    "write_gate_csv",
]
