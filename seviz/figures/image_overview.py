"""Single images at a glance: what is answered, how unusual the gates are, what each block does for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seviz.figures.captions import set_caption
from seviz.figures.layout import WIDE
from seviz.figures.letters import lettered
from seviz.figures.look import PLAIN, Look
from seviz.figures.overlay import Pixels, resized
from seviz.figures.point_labels import Box, around, place_labels
from seviz.figures.style import GREY, INK, PALE, SMALL, TEXT, class_colours, figure_style
from seviz.figures.text import fitting, inches, set_plain, shown_name, text_width, thinned, wrapped
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
_HELD: dict[str, tuple[int, str, str]] = {  # place in the palette, marker, words
    MEAN: (0, "o", "held at the mean gate"),
    NEUTRAL: (1, "D", "held at 1: no gates"),
}
_PICTURE, _LABEL = 1.75, 1.1  # inches
_FOUR, _TWO = 6.4, 3.2  # from which width on four parts, or two, stand side by side
_TITLE, _HEAD, _FOOT, _BETWEEN, _EDGE = 0.24, 0.26, 0.72, 0.3, 0.1
_BLOCKS = ("distances", "held")  # parts whose axis is the blocks
_SHARES = (2.2, 1.75, 1.95)  # widths of answers, distances and blocks held, to one another


def image_overview(
    explained: ImageExplanation, *, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw each image in a row: the answer, how far its gates are from usual, what each block does for it.

    Args:
        explained: From `seviz.explain_image`.
        look: Width, font, palette, names of classes, letters (of images).
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.
    """
    from seviz.figures.shown import Figure

    names = [b.block.name for b in explained.images[0].blocks]
    width = look.width or WIDE
    with figure_style(look):
        lines = _lines(explained, width, look)
        title = wrapped(
            [f"{explained.architecture}: what {explained.word} does to {_these(explained)}"],
            width - 0.2,
            TEXT + 1,
        )
        named = max(map(text_width(SMALL), names)) + 0.06
        # Where parts stand below one another, blocks are named below each part.
        below = [0.4 + (len(lines) > 1 and line[-1][0] in _BLOCKS) * named for line in lines]
        each = sum(_TITLE + _PICTURE + gap for gap in below)
        head, foot = _HEAD + 0.15 * (len(title) - 1), _FOOT + (len(lines) == 1) * (named - 0.3)
        tall = head + len(explained.images) * each + (len(explained.images) - 1) * _BETWEEN + foot
        made = figure or Figure()
        made.clear()
        made.set_layout_engine("none")
        made.set_size_inches(width, tall)
        unnamed, top = 0, tall - head
        letters = lettered(len(explained.images)) if look.letters else []
        for row, image in enumerate(explained.images):
            last = row == len(explained.images) - 1
            drawn: dict[str, Axes] = {}
            for line, gap in zip(lines, below, strict=True):
                top -= _TITLE + _PICTURE
                for part, left, wide in line:
                    box = (left / width, top / tall, wide / width, _PICTURE / tall)
                    drawn[part] = made.add_axes(box)
                top -= gap
            top -= _BETWEEN
            _picture(drawn["picture"], image, letters[row] if letters else "")
            _answers(drawn["answers"], image, look)
            _distances(drawn["distances"], image, names, look, last or len(lines) > 1)
            unnamed += _held(drawn["held"], image, names, look, last or len(lines) > 1)
        head_text = made.text(
            _EDGE / width, 1 - 0.06 / tall, "", va="top", fontsize=TEXT + 1, linespacing=1.15
        )
        set_plain(head_text, "\n".join(title))
        _legend(made, explained, unnamed, look)
        set_caption(
            made,
            f"{explained.architecture}: what {explained.word} does to {_these(explained)}.",
            f"Gates are measured against {explained.against}.",
            f"For {unnamed} new answers there was no room; the table has all." if unnamed else "",
        )
    return made


_Placed = tuple[str, float, float]


def _lines(explained: ImageExplanation, width: float, look: Look) -> list[list[_Placed]]:
    """Return the parts of an image line by line: name, left edge and width, in inches."""
    labels = _label_width(explained, look)
    axis = 0.4  # left of a panel with numbers
    if width >= _FOUR:
        first = _EDGE + _PICTURE + 0.15 + labels
        room = width - first - 2 * axis - _EDGE
        shares = [s / sum(_SHARES) for s in (_SHARES[0] - labels, *_SHARES[1:])]
        shares = [s / sum(shares) for s in shares]
        second = first + shares[0] * room + axis
        third = second + shares[1] * room + axis
        return [
            [
                ("picture", _EDGE, _PICTURE),
                ("answers", first, shares[0] * room),
                ("distances", second, shares[1] * room),
                ("held", third, shares[2] * room),
            ]
        ]
    if width >= _TWO:
        picture = min(_PICTURE, 0.42 * width)
        first = _EDGE + picture + 0.1 + labels
        half = (width - 2 * axis - _EDGE - 0.1) / 2
        return [
            [("picture", _EDGE, picture), ("answers", first, width - first - _EDGE - 0.05)],
            [("distances", axis, half), ("held", 2 * axis + half + 0.1, half)],
        ]
    wide = width - axis - _EDGE
    return [
        [("picture", _EDGE, min(_PICTURE, width - 2 * _EDGE))],
        [("answers", 0.05 + labels, width - labels - 0.15)],
        [("distances", axis, wide)],
        [("held", axis, wide)],
    ]


def _label_width(explained: ImageExplanation, look: Look) -> float:
    width = text_width(SMALL)
    known = [width(look.named(a.label)) for image in explained.images for a in _listed(image)]
    return min(_LABEL, max(known, default=0)) + 0.1


def _these(explained: ImageExplanation) -> str:
    return "this image" if len(explained.images) == 1 else f"these {len(explained.images)} images"


def _picture(panel: Axes, image: ExplainedImage, letter: str) -> None:
    panel.set_axis_off()
    panel.imshow(resized(picture_of(image), _SIDE), interpolation="none")
    name = f"{letter} {image.name}" if letter else image.name
    set_plain(panel.set_title("", loc="left"), shown_name(name, inches(panel)[0], text_width(TEXT)))


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


def _answers(panel: Axes, image: ExplainedImage, look: Look) -> None:
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
    labels = [shown_name(look.named(a.label), _LABEL, text_width(SMALL)) for a in listed]
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
        colour, marker = _marked(how, look)
        panel.plot(*zip(*dots, strict=True), marker, color=colour, markersize=3.5, clip_on=False, zorder=4,
                   markerfacecolor=colour if how == MEAN else "white", linestyle="none")  # fmt: skip
    panel.set_xlim(0, most)
    panel.set_ylim(-0.6, len(listed) - 0.4)
    said = ("probability, %", "%")
    panel.set_xlabel(fitting(said, inches(panel)[0] + 0.1, text_width(TEXT)))
    _title(panel, "answer; all blocks held", "answer", "")
    panel.tick_params(axis="y", length=0, pad=5)


def _marked(how: str, look: Look) -> tuple[Any, str]:
    """Return colour and marker of answers with gates held."""
    place, marker, _ = _HELD[how]
    colours = class_colours(look)
    return colours[place % len(colours)], marker


def _title(panel: Axes, *said: str) -> None:
    """Write the longest of some titles for which there is room above a panel."""
    title = panel.set_title("", loc="left")
    set_plain(title, fitting(said, inches(panel)[0] + 0.05, text_width(TEXT)))


def _distances(
    panel: Axes, image: ExplainedImage, names: Sequence[str], look: Look, last: bool
) -> None:
    known = [b.unusual for b in image.blocks]
    measured = any(v is not None for v in known)
    values = [v or 0.0 for v in known] if measured else [b.distance for b in image.blocks]
    panel.bar(range(len(values)), values, 0.62, color=class_colours(look)[-1])
    if measured:
        panel.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    panel.set_ylim(0, 1.12 * max(*values, 1.0 if measured else 1e-9))
    if measured:
        _title(panel, "distance of gates (usual: 1)", "distance (usual: 1)", "distance")
    else:
        _title(panel, "distance of gates from 1", "distance from 1")
    _name_blocks(panel, names, last)


def _held(panel: Axes, image: ExplainedImage, names: Sequence[str], look: Look, last: bool) -> int:
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
        colour, marker = _marked(how, look)
        panel.plot(place, 100 * held.kept, marker, color=colour, markersize=3.6, zorder=4, clip_on=False,
                   markerfacecolor="white" if how == NEUTRAL else colour)  # fmt: skip
    top = 106 * max(own.probability, *(held.kept for _, held, _ in points))
    panel.set_ylim(0, top)
    label = look.named(own.label)
    _title(panel, f"{label}, %, one block held", f"{label}, %, held")
    _name_blocks(panel, names, last)
    return _name_answers(panel, [p for p in points if p[1].index != own.index], top, look)


def _name_answers(
    panel: Axes, changed: Sequence[tuple[int, Held, str]], top: float, look: Look
) -> int:
    """Write what is answered instead where there is room; return for how many there is none."""
    wide, tall = inches(panel)
    first, end = panel.get_xlim()
    across, up = wide / (end - first), tall / top
    points = [((place - first) * across, 100 * held.kept * up) for place, held, _ in changed]
    width = text_width(_TINY)
    said = [shown_name(look.named(held.top[0].label), 0.6, width) for _, held, _ in changed]
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
                color=_marked(how, look)[0],
            )
            set_plain(text, name)
    return corners.count(None)


def _name_blocks(panel: Axes, names: Sequence[str], last: bool) -> None:
    step = thinned(len(names), inches(panel)[0])
    panel.set_xlim(-0.6, len(names) - 0.4)
    panel.set_xticks(range(0, len(names), step), names[::step] if last else [], rotation=90)
    panel.grid(axis="y", color=PALE, linewidth=0.5)


def _legend(figure: Figure, explained: ImageExplanation, unnamed: int, look: Look) -> None:
    """Say what is drawn, and for how many new answers there was no room."""
    from matplotlib.lines import Line2D

    width = figure.get_figwidth()
    drawn = {how for image in explained.images for how in image.all_held}
    lines = [
        Line2D([], [], color=_marked(how, look)[0], marker=marker, linestyle="none", markersize=4,
               label=label, markerfacecolor=_marked(how, look)[0] if how == MEAN else "white")
        for how, (_, marker, label) in _HELD.items() if how in drawn
    ]  # fmt: skip
    lines.append(
        Line2D(
            [], [], color=INK, linewidth=0.7, linestyle=(0, (4, 3)), label="the network as it is"
        )
    )
    figure.legend(handles=lines, loc="lower left", bbox_to_anchor=(0.05 / width, 0.0), ncols=1, frameon=False,
                  fontsize=SMALL)  # fmt: skip
    if unnamed:
        answers = f"{unnamed} new answer{'s' * (unnamed != 1)}"
        left, measure = 2.1, text_width(SMALL)
        said = (
            f"{answers} without room for their names: image.csv",
            f"{answers} not named: image.csv",
            "",
        )
        figure.text(
            left / width,
            0.06 / figure.get_figheight(),
            fitting(said, width - left - 0.05, measure),
            fontsize=SMALL,
            color=GREY,
            va="bottom",
        )
