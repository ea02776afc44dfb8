"""Figures and tables from records. Never imports torch; matplotlib only when it draws."""

from seviz.figures.curves import gate_curves
from seviz.figures.saving import save_figure
from seviz.figures.table import write_gate_csv

__all__ = ["gate_curves", "save_figure", "write_gate_csv"]
