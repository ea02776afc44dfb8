"""The reliability diagram: is a network right as often as it says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.analysis import calibration_curve
from seviz.errors import DataError
from seviz.figures.style import COLOURS, GREY, INK, SMALL, TITLE, figure_style
from seviz.figures.text import add_notes, wrapped
from seviz.results.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.9, 4.9


def reliability_diagram(evaluation: Evaluation, *, figure: Figure | None = None) -> Figure:
    """Draw accuracy against confidence, with the number of images of each range below.

    Bars below the diagonal: the network is surer than it is right. The definition of the expected
    calibration error is that of `calibration_curve`.

    Args:
        evaluation: Needs confidences.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        DataError: If confidences were not recorded.
    """
    from seviz.figures.shown import Figure

    curve = calibration_curve(evaluation)
    if curve is None:
        raise DataError(
            "expected confidences in the record, found none: an older seviz did not keep them; collect it "
            "again"
        )
    full = [b for b in curve.bins if b.confidence is not None and b.accuracy is not None]
    accuracy = [b.accuracy or 0.0 for b in full]
    confidence = [b.confidence or 0.0 for b in full]
    left, wide = [b.low for b in full], [b.high - b.low for b in full]
    with figure_style():
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(WIDTH, HEIGHT)
        panel = figure.add_axes((0.145, 0.355, 0.82, 0.53))
        below = figure.add_axes((0.145, 0.17, 0.82, 0.14), sharex=panel)
        panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="dashed", zorder=3)
        bars: dict[str, Any] = {"align": "edge", "width": wide, "linewidth": 0.6}
        panel.bar(left, accuracy, color=COLOURS[0], edgecolor="white", label="accuracy", **bars)
        gaps = [c - a for a, c in zip(accuracy, confidence, strict=True)]
        panel.bar(
            left,
            gaps,
            bottom=accuracy,
            facecolor="none",
            edgecolor=COLOURS[1],
            hatch="////",
            label="gap to the mean confidence",
            **bars,
        )
        figure.suptitle("Reliability Diagram", x=0.555, y=0.985, fontsize=TITLE, color=INK)
        panel.set_title(
            f"ECE {curve.ece:.2%}: mean confidence {curve.confidence:.2%}, accuracy {curve.accuracy:.2%}",
            fontsize=SMALL,
            pad=16,
        )
        panel.legend(
            loc="lower center", bbox_to_anchor=(0.5, 0.995), ncols=2, frameon=False, fontsize=SMALL
        )
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.set_ylabel("accuracy")
        panel.tick_params(labelbottom=False)
        below.bar(left, [b.count for b in full], color=GREY, edgecolor="white", **bars)
        # A range with one image must not look as if it had none.
        below.set_yscale("log")
        below.set_ylim(bottom=0.5)
        # Powers of ten would be formulas, whose typesetting takes longer than the rest of the figure.
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_formatter("")
        below.set_ylabel("images")
        below.set_xlabel("confidence of the predicted class")
        subject = f"{evaluation.subject}: " if evaluation.subject else ""
        note = f"{subject}{sum(b.count for b in full):,} images in {len(curve.bins)} bins of equal width."
        add_notes(figure, wrapped([note], WIDTH - 0.2))
    return figure
