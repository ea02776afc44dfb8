"""Single images at a glance: what is answered, how unusual the gates are, what each block does for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seviz.figures.layout import WIDE
from seviz.figures.overlay import Pixels, resized
from seviz.figures.point_labels import Box, around, place_labels
from seviz.figures.style import COLOURS, GREY, INK, PALE, SMALL, TEXT, figure_style
from seviz.figures.text import inches, set_plain, shown_name, text_width
from seviz.results.image import (
    MEAN,
    NEUTRAL,
    Answer,
    ExplainedImage,
    Held,
    ImageExplanation,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TINY = 6.0
# Dots of the longer side of one picture.
_SIDE = 440
# What the answers with gates held are drawn as.
_HELD = {
    MEAN: (COLOURS[0], "o", "held at the mean gate"),
    NEUTRAL: (COLOURS[1], "D", "held at 1: no gates"),
}
_MOST_NAMES = 24
_PICTURE, _LABEL = 1.75, 1.1  # inches


def image_overview(explained: ImageExplanation) -> Figure:
    """Draw each image in a row: the answer, how far its gates are from usual, what each block does for it.

    Args:
        explained: From `seviz.explain_image`.
    """
    from seviz.figures.shown import Figure

    rows = len(explained.images)
    names = [b.block.name for b in explained.images[0].blocks]
    head, foot, row_tall, between = 0.5, 0.72, 1.75, 0.55
    tall = head + rows * row_tall + (rows - 1) * between + foot
    with figure_style():
        figure = Figure(figsize=(WIDE, tall))
        answers = 0.1 + _PICTURE + 0.15 + _label_width(explained)
        unnamed = 0
        for row, image in enumerate(explained.images):
            bottom = tall - head - row_tall - row * (row_tall + between)

            def panel(left: float, wide: float, bottom: float = bottom) -> Axes:
                return figure.add_axes((left / WIDE, bottom / tall, wide / WIDE, row_tall / tall))

            _picture(panel(0.1, _PICTURE), image)
            _answers(panel(answers, 4.3 - answers), image)
            last = row == rows - 1
            _distances(panel(4.75, 1.75), image, names, last)
            unnamed += _held(panel(6.95, 1.95), image, names, last)
        title = figure.text(0.1 / WIDE, 1 - 0.06 / tall, "", va="top", fontsize=TEXT + 1)
        set_plain(
            title, f"{explained.architecture}: what {explained.word} does to {_these(explained)}"
        )
        _legend(figure, explained, unnamed)
    return figure


def _label_width(explained: ImageExplanation) -> float:
    width = text_width(SMALL)
    known = [width(a.label) for image in explained.images for a in _listed(image)]
    return min(_LABEL, max(known, default=0)) + 0.1


def _these(explained: ImageExplanation) -> str:
    return "this image" if len(explained.images) == 1 else f"these {len(explained.images)} images"


def _picture(panel: Axes, image: ExplainedImage) -> None:
    panel.set_axis_off()
    panel.imshow(resized(picture_of(image), _SIDE), interpolation="none")
    set_plain(panel.set_title("", loc="left"), shown_name(image.name, _PICTURE, text_width(TEXT)))


def picture_of(image: ExplainedImage) -> Pixels:
    """Return the picture; white where there is none."""
    if image.picture is not None:
        return image.picture
    return np.full((64, 64, 3), 255, np.uint8)


def _listed(image: ExplainedImage) -> list[Answer]:
    """Return the five likeliest classes, and what is answered with all gates held."""
    listed = {a.index: a for a in image.top}
    for held in image.all_held.values() if image.top else ():
        listed.setdefault(held.index, held.top[0])
    return list(listed.values())


def _answers(panel: Axes, image: ExplainedImage) -> None:
    """Draw the five likeliest classes as bars, and beside them what they are with all gates held.

    An answer with all gates held that is none of them stands below, with no bar: how likely it is with the
    gates is not known.
    """
    if not image.top:
        panel.set_axis_off()
        panel.text(0, 0.5, "no score per class", color=GREY)
        return
    listed = _listed(image)
    places = np.arange(len(listed))[::-1]
    bars = places[: len(image.top)]
    panel.barh(
        bars, [100 * a.probability for a in image.top], 0.62, color=PALE, edgecolor=GREY, lw=0.5
    )
    labels = [shown_name(a.label, _LABEL, text_width(SMALL)) for a in listed]
    panel.set_yticks(places, labels)
    for label in panel.get_yticklabels():
        set_plain(label, label.get_text())
    most = 100 * max(a.probability for a in image.top)
    for how, held in image.all_held.items():
        known = {a.index: a.probability for a in held.top}
        known.setdefault(image.top[0].index, held.kept)
        dots = [
            (100 * known[a.index], y)
            for a, y in zip(listed, places, strict=True)
            if a.index in known
        ]
        most = max(most, *(x for x, _ in dots))
        colour, marker, _ = _HELD[how]
        panel.plot(*zip(*dots, strict=True), marker, color=colour, markersize=3.5, clip_on=False, zorder=4,
                   markerfacecolor=colour if how == MEAN else "white", linestyle="none")  # fmt: skip
    panel.set_xlim(0, most)
    panel.set_ylim(-0.6, len(listed) - 0.4)
    panel.set_xlabel("probability, %")
    panel.set_title("answer; all blocks held", loc="left")
    panel.tick_params(axis="y", length=0, pad=5)


def _distances(panel: Axes, image: ExplainedImage, names: Sequence[str], last: bool) -> None:
    known = [b.unusual for b in image.blocks]
    measured = any(v is not None for v in known)
    values = [v or 0.0 for v in known] if measured else [b.distance for b in image.blocks]
    panel.bar(range(len(values)), values, 0.62, color=COLOURS[5])
    if measured:
        panel.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    panel.set_ylim(0, 1.12 * max(*values, 1.0 if measured else 1e-9))
    panel.set_title(
        "distance of gates (usual: 1)" if measured else "distance of gates from 1", loc="left"
    )
    _name_blocks(panel, names, last)


def _held(panel: Axes, image: ExplainedImage, names: Sequence[str], last: bool) -> int:
    """Draw the probability of the answer with each block held, and name what is answered instead.

    Returns:
        For how many new answers there is no room.
    """
    if not image.top:
        panel.set_axis_off()
        return 0
    own = image.top[0]
    panel.axhline(100 * own.probability, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    points = [
        (place, block.held[how], how)
        for how in image.all_held
        for place, block in enumerate(image.blocks)
    ]
    for place, held, how in points:
        colour, marker, _ = _HELD[how]
        panel.plot(place, 100 * held.kept, marker, color=colour, markersize=3.6, zorder=4, clip_on=False,
                   markerfacecolor="white" if how == NEUTRAL else colour)  # fmt: skip
    top = 106 * max(own.probability, *(held.kept for _, held, _ in points))
    panel.set_ylim(0, top)
    title = panel.set_title("", loc="left")
    set_plain(title, shown_name(f"{own.label}, %, one block held", 1.95, text_width(TEXT)))
    _name_blocks(panel, names, last)
    return _name_answers(panel, [p for p in points if p[1].index != own.index], top)


def _name_answers(panel: Axes, changed: Sequence[tuple[int, Held, str]], top: float) -> int:
    """Write what is answered instead where there is room; return for how many there is none."""
    wide, tall = inches(panel)
    first, end = panel.get_xlim()
    across, up = wide / (end - first), tall / top
    points = [((place - first) * across, 100 * held.kept * up) for place, held, _ in changed]
    width = text_width(_TINY)
    said = [shown_name(held.top[0].label, 0.6, width) for _, held, _ in changed]
    marks = [
        around((x - first) * across, y * up, 0.025)
        for line in panel.get_lines()
        if line.get_marker() in {marker for _, marker, _ in _HELD.values()}
        for x, y in np.asarray(line.get_xydata(), dtype=np.float64)
    ]
    corners = place_labels(
        points,
        [width(name) + 0.02 for name in said],
        1.3 * _TINY / 72,
        Box(0, 0, wide, tall),
        marks,
        [False] * len(said),
    )
    for name, corner, (_, _, how) in zip(said, corners, changed, strict=True):
        if corner is not None:
            text = panel.text(
                first + corner[0] / across,
                corner[1] / up,
                "",
                fontsize=_TINY,
                va="bottom",
                color=_HELD[how][0],
            )
            set_plain(text, name)
    return corners.count(None)


def _name_blocks(panel: Axes, names: Sequence[str], last: bool) -> None:
    step = -(-len(names) // _MOST_NAMES)
    panel.set_xlim(-0.6, len(names) - 0.4)
    panel.set_xticks(range(0, len(names), step), names[::step] if last else [], rotation=90)
    panel.grid(axis="y", color=PALE, linewidth=0.5)


def _legend(figure: Figure, explained: ImageExplanation, unnamed: int) -> None:
    """Say what is drawn, and for how many new answers there was no room."""
    from matplotlib.lines import Line2D

    drawn = {how for image in explained.images for how in image.all_held}
    lines = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=4, label=label,
               markerfacecolor=colour if how == MEAN else "white")
        for how, (colour, marker, label) in _HELD.items() if how in drawn
    ]  # fmt: skip
    lines.append(
        Line2D(
            [], [], color=INK, linewidth=0.7, linestyle=(0, (4, 3)), label="the network as it is"
        )
    )
    figure.legend(handles=lines, loc="lower left", bbox_to_anchor=(0.05 / WIDE, 0.0), ncols=1, frameon=False,
                  fontsize=SMALL)  # fmt: skip
    if unnamed:
        answers = f"{unnamed} new answer{'s' * (unnamed != 1)}"
        figure.text(
            2.1 / WIDE,
            0.06 / figure.get_figheight(),
            f"{answers} without room for their names: image.csv",
            fontsize=SMALL,
            color=GREY,
            va="bottom",
        )
