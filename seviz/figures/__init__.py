"""Figures and tables from records. Never imports torch; matplotlib only when it draws."""

from seviz.figures.ablation import ablation_figure
from seviz.figures.comparison import comparison
from seviz.figures.confusion.matrix import confusion_matrix
from seviz.figures.cost import block_bars, stage_bars
from seviz.figures.depth import depth
from seviz.figures.gate_confusion import gate_confusion_scatter
from seviz.figures.gate_curves import gate_curves
from seviz.figures.heat import heat_map
from seviz.figures.network_map import network_map
from seviz.figures.reliability import reliability_diagram
from seviz.figures.ridges import ridges
from seviz.figures.saving import save_figure
from seviz.figures.several import several
from seviz.figures.shift import shift_figure
from seviz.figures.stripes import stripes_figure
from seviz.figures.swap import swap_figure
from seviz.figures.tracking import track_figure
from seviz.tables.ablation import write_ablation_csv
from seviz.tables.comparison import write_block_changes_csv, write_class_changes_csv
from seviz.tables.confusion import (
    write_classes_csv,
    write_confusion_csv,
    write_pairs_csv,
)
from seviz.tables.cost import write_cost_csv
from seviz.tables.findings import write_findings_csv, write_selective_csv
from seviz.tables.gates import write_gate_csv
from seviz.tables.shift import write_shift_csv, write_twin_csv, write_worlds_csv
from seviz.tables.swap import write_cells_csv, write_rates_csv, write_swap_pairs_csv
from seviz.tables.tracking import write_epochs_csv, write_track_csv

__all__ = [
    "ablation_figure",
    "block_bars",
    "comparison",
    "confusion_matrix",
    "depth",
    "gate_confusion_scatter",
    "gate_curves",
    "heat_map",
    "network_map",
    "reliability_diagram",
    "ridges",
    "save_figure",
    "several",
    "shift_figure",
    "stage_bars",
    "stripes_figure",
    "swap_figure",
    "track_figure",
    "write_ablation_csv",
    "write_block_changes_csv",
    "write_cells_csv",
    "write_class_changes_csv",
    "write_classes_csv",
    "write_confusion_csv",
    "write_cost_csv",
    "write_epochs_csv",
    "write_findings_csv",
    "write_gate_csv",
    "write_pairs_csv",
    "write_rates_csv",
    "write_selective_csv",
    "write_shift_csv",
    "write_swap_pairs_csv",
    "write_track_csv",
    "write_twin_csv",
    "write_worlds_csv",
]
