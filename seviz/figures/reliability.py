"""The reliability diagram: is a network right as often as it says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.analysis import calibration_curve, wilson
from seviz.errors import DataError
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import COLOURS, GREY, INK, LEAST, SMALL, TITLE, figure_style
from seviz.figures.text import add_notes, wrapped
from seviz.results.evaluation import Evaluation
from seviz.results.shares import shown_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.9, 4.9
_LEFT, _FOOT, _COUNTS, _HEAD = 0.57, 0.83, 0.69, 0.56  # inches


def reliability_diagram(
    evaluation: Evaluation, *, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw accuracy against confidence, with the number of images of each range below.

    The accuracy of each range has its 95 % interval (Wilson). Bars below the diagonal: the network is surer
    than it is right. The definition of the expected calibration error is that of `calibration_curve`.

    Args:
        evaluation: Needs confidences.
        look: Width and font.
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
    with figure_style(look):
        width = look.width or WIDTH
        height = max(HEIGHT * min(1.0, width / WIDTH), 4.2)
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(width, height)
        inner = width - _LEFT - 0.14

        def add(bottom: float, tall: float, **more: Any) -> Axes:
            box = (_LEFT / width, bottom / height, inner / width, tall / height)
            return figure.add_axes(box, **more)

        over = _FOOT + _COUNTS + 0.22
        panel = add(over, height - over - _HEAD)
        below = add(_FOOT, _COUNTS, sharex=panel)
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
        for each in full:
            share = wilson(round((each.accuracy or 0.0) * each.count), each.count)
            assert share is not None
            middle = (each.low + each.high) / 2
            panel.plot([middle] * 2, [share.low, share.high], color=INK, linewidth=1.0, zorder=4)
        figure.suptitle(
            "Reliability Diagram",
            x=(_LEFT + inner / 2) / width,
            y=1 - 0.07 / height,
            fontsize=TITLE,
            color=INK,
        )
        panel.set_title(
            f"ECE {shown_share(curve.ece, '.2%')}: mean confidence "
            f"{shown_share(curve.confidence, '.2%')}, accuracy {shown_share(curve.accuracy, '.2%')}",
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
        for each in full:
            below.text(
                (each.low + each.high) / 2, each.count, compact(each.count), fontsize=LEAST, color=INK,
                ha="center", va="bottom",
            )  # fmt: skip
        # A range with one image must not look as if it had none.
        below.set_yscale("log")
        below.set_ylim(0.5, 4.0 * max((b.count for b in full), default=1))
        # Powers of ten would be formulas, whose typesetting takes longer than the rest of the figure.
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_formatter("")
        below.set_ylabel("images (log)")
        below.set_xlabel("confidence of the predicted class")
        subject = f"{evaluation.subject}: " if evaluation.subject else ""
        images = sum(b.count for b in full)
        note = f"{subject}{images:,} images in {len(curve.bins)} bins of equal width; lines: 95 % intervals."
        add_notes(figure, wrapped([note], width - 0.2))
    return figure


def compact(count: int) -> str:
    """Return a count in four letters at most.

    >>> [compact(n) for n in (7, 999, 1234, 52_300, 1_280_000)]
    ['7', '999', '1.2k', '52k', '1.3M']
    """
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.1f}{name}" if count < 10 * unit else f"{count / unit:.0f}{name}"
    return str(count)
