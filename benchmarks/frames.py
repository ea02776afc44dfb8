"""Frames per second of a report while the pointer hovers over its charts, and drags them.

    python benchmarks/frames.py [REPORT.html ...]

By the clock, in Chromium without a window and without a GPU, so on a machine that does nothing else. The
first of each chart is that of a page at rest, which none exceeds. Without a report the one of the
SE-ResNet-20 is taken, and one of ImageNet's shape is made. `answers.py` holds what an answer may take in
processor time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from browser import Opened, opened, running  # noqa: E402
from synthetic import SE_RESNET_50, make_record, with_predictions  # noqa: E402

import seviz  # noqa: E402

SAMPLE = HERE.parent / "reports" / "se_resnet20_cifar10" / "report.html"
CHARTS = ("heat", "alike", "confusion")
START = """() => {
  window.frames = [];
  const tick = (time) => {
    window.frames.push(time);
    window.ticking = requestAnimationFrame(tick);
  };
  window.ticking = requestAnimationFrame(tick);
}"""
STOP = """() => {
  cancelAnimationFrame(window.ticking);
  const gaps = window.frames.slice(1).map((time, i) => time - window.frames[i]).sort((a, b) => a - b);
  return [(1000 * gaps.length) / (window.frames.at(-1) - window.frames[0]), gaps.at(-1)];
}"""
ZOOM = "(by) => { for (const zoom of zooms.values()) zoom(by); }"


def frames(report: Opened, box: dict[str, float], kind: str) -> tuple[float, float]:
    """Return frames per second, and the longest time between two in milliseconds."""
    page = report.page
    y = box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 0.3 * box["width"], y)
    if kind == "drag":
        page.evaluate(ZOOM, 0.5)
        report.settle()
        page.mouse.down()
    page.evaluate(START)
    if kind == "rest":
        page.wait_for_timeout(1000)
    else:
        for to in (0.7, 0.35, 0.65):
            page.mouse.move(box["x"] + to * box["width"], y + 3, steps=50)
    found: list[float] = page.evaluate(STOP)
    if kind == "drag":
        page.mouse.up()
        page.evaluate(ZOOM, 0)
        report.settle()
    return found[0], found[1]


def measure(browser: Any, path: Path) -> None:
    """Print the frames of one report."""
    with opened(browser, path, bypass_csp=True) as report:
        first = report.page.locator(".panel:not([hidden]) .chart").last.get_attribute("data-chart")
        for name in (first, *CHARTS):
            report.drawn(name)
            report.settle()
            report.page.wait_for_timeout(300)
            box = report.page.locator(f'[id="canvas-{name}"]').bounding_box()
            for kind in ("rest", "hover", "drag"):
                rate, longest = frames(report, box, kind)
                print(f"{name:16} {kind:6} {rate:4.0f} frames/s, longest gap {longest:3.0f} ms")


def main() -> None:
    """Measure the reports that are given."""
    with tempfile.TemporaryDirectory() as folder, running() as browser:
        paths = [Path(word) for word in sys.argv[1:]]
        if not paths:
            names = [f"class {k:04}" for k in range(1000)]
            record = with_predictions(make_record(SE_RESNET_50, names))
            paths = [SAMPLE, seviz.write_report(record, folder, names[7:1000:166])]
        for path in paths:
            print(f"{path.parent.name}/{path.name}")
            measure(browser, path)


if __name__ == "__main__":
    main()
