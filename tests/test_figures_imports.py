"""A redraw runs where torch is not installed, and is quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from synthetic import make_record

ROOT = Path(__file__).parent.parent
HEAVY = (
    *("torch", "torchvision", "timm", "pandas", "seaborn", "sklearn", "matplotlib.pyplot"),
    "scipy",
)
REDRAW = f"""
import sys
from seviz.analysis import class_share
from seviz.figures import gate_curves, heat_map, save_figure, write_gate_csv
from seviz.results.record import Record
assert "matplotlib" not in sys.modules
folder = sys.argv[1]
record = Record.load(folder)
classes = record.classes.choose(["pug", "cliff"])
class_share(record)
save_figure(heat_map(record, classes, record.blocks), folder + "/heat")
save_figure(gate_curves(record, classes, record.blocks, spread=True), folder + "/gates")
write_gate_csv(record, classes, record.blocks, folder + "/gates.csv")
found = [name for name in {HEAVY!r} if name in sys.modules]
assert not found, found
"""


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_a_redraw_imports_nothing_heavy(tmp_path):
    make_record(((2, 8), (2, 16))).save(tmp_path)
    done = run(REDRAW, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {
        "record.npz",
        "heat.png",
        "heat.svg",
        "gates.png",
        "gates.svg",
        "gates.csv",
    }


def test_that_the_check_can_fail(tmp_path):
    make_record(((2, 8), (2, 16))).save(tmp_path)
    done = run(f"import sys\nsys.modules['torch'] = sys\n{REDRAW}", tmp_path)
    assert done.returncode != 0
    assert "AssertionError: ['torch']" in done.stderr
