"""The figure of two networks: the classes that gained and lost, and the gates of both, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seviz.analysis import BlockComparison, BlockFindings, ClassChange, Comparison
from seviz.errors import UsageError
from seviz.figures.captions import set_caption
from seviz.figures.layout import PAGE_WIDTH
from seviz.figures.legend import add_entries
from seviz.figures.letters import letter_titles, letter_width
from seviz.figures.look import PLAIN, Look
from seviz.figures.style import GREY, INK, PALE, SMALL, STILL, TEXT, class_colours, figure_style
from seviz.figures.text import fitting, inches, set_plain, shown_name, text_width
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALL = "all images"
_ROW = 0.19  # inches for a class or a block
_APART = 0.21  # of a row, between its middle and either of two markers, which then do not touch
_NAME = 1.3  # inches for a name, at most
_GAP, _ACROSS = 0.28, 0.2  # between classes and blocks, and between panels of blocks
_NARROWEST = 1.2  # a panel; where there is no room, blocks stand below classes
_WIDEST = 3.2
_TITLE_PAD = 15.0  # points: between title and panel there is a line of small text
_ABOVE, _BELOW, _LEGEND, _MARGIN = 0.42, 0.42, 0.08, 0.06
GEOMETRY = {"color": INK, "marker": "D", "markersize": 3.4}  # in every figure that has it
_CHANNELS = {"color": GREY, "marker": "o", "markersize": 3.4}

Draw = Callable[["Axes"], None]


@dataclass(frozen=True)
class _Part:
    """Rows under their names, and the panels that stand beside one another over them.

    Attributes:
        names: Of the rows.
        draw: Draws one panel each.
        colours: Of the names.
    """

    names: tuple[str, ...]
    draw: tuple[Draw, ...]
    colours: tuple[str, ...] = ()

    @property
    def label_width(self) -> float:
        """Return the inches that its names take."""
        return min(_NAME, max(map(text_width(SMALL), self.names))) + 0.15


def comparison(
    compared: Comparison, *, top: int = 20, look: Look = PLAIN, figure: Figure | None = None
) -> Figure:
    """Draw how the recall of each class changes, how alike the gates are, and their class share in both.

    Args:
        compared: What `seviz.compare` returned.
        top: Classes to draw, half of them those that gained most and half those that lost most; and
            blocks.
        look: Width, font, palette (its first two colours), names of classes and networks, letters.
        figure: A figure to draw on: it is cleared, and its size set. A new one by default.

    Raises:
        UsageError: If neither classes nor gates were compared.
    """
    from seviz.figures.shown import Figure

    parts = _parts(compared, top, look)
    if not parts:
        raise UsageError(
            "expected predictions or gates of both networks, found none to draw; compare them on --data, "
            "or compare two records"
        )
    width = look.width or (PAGE_WIDTH if len(parts) > 1 else PAGE_WIDTH / 2)
    needed = sum(_least(part) for part in parts) + _GAP * (len(parts) - 1)
    lines = [parts] if needed <= width else [[part] for part in parts]
    rows = [max(len(part.names) for part in line) for line in lines]
    with figure_style(look):
        figure = figure or Figure()
        figure.clear()
        figure.set_layout_engine("none")
        figure.set_size_inches(width, 4)  # a first size, to measure the legend on
        legend = _add_legend(figure, compared, width - 0.2, look)
        height = _MARGIN + legend + sum(_ABOVE + _ROW * count + _BELOW for count in rows)
        figure.set_size_inches(width, height)
        for drawn in figure.legends:
            drawn.set_bbox_to_anchor((0.5, 1 - _MARGIN / height), figure.transFigure)
        top_edge = height - _MARGIN - legend
        for line, count in zip(lines, rows, strict=True):
            top_edge -= _ABOVE
            _draw_line(figure, line, top_edge)
            top_edge -= _ROW * count + _BELOW
        if look.letters:
            letter_titles(figure.axes, _TITLE_PAD)
    set_caption(figure, *_caption(compared))
    return figure


def _least(part: _Part) -> float:
    count = len(part.draw)
    return part.label_width + count * _NARROWEST + (count - 1) * _ACROSS


def _draw_line(figure: Figure, line: Sequence[_Part], top: float) -> None:
    """Draw parts side by side; all of their panels are equally wide."""
    width, height = figure.get_size_inches()
    panels = sum(len(part.draw) for part in line)
    taken = sum(part.label_width + (len(part.draw) - 1) * _ACROSS for part in line)
    wide = min(_WIDEST, (width - 0.12 - taken - _GAP * (len(line) - 1)) / panels)
    left = 0.0
    for part in line:
        left += part.label_width
        tall = _ROW * len(part.names)
        for place, draw in enumerate(part.draw):
            box = (left / width, (top - tall) / height, wide / width, tall / height)
            panel = figure.add_axes(box)
            _rows(panel, part, named=place == 0)
            draw(panel)
            left += wide + _ACROSS
        left += _GAP - _ACROSS


def _parts(compared: Comparison, top: int, look: Look) -> list[_Part]:
    parts = []
    classes, blocks = _most(compared.classes, top), compared.blocks[:top]
    if classes:
        names = (ALL, *(look.named(c.name) for c in classes))
        parts.append(_Part(names, (lambda panel: _draw_classes(panel, classes, compared, look),)))
    shares = _shares(compared)
    drawn: list[Draw] = []
    rows = [b.block for b in blocks]
    colours = [INK if b.moves else GREY for b in blocks]
    if blocks:
        drawn.append(lambda panel: _draw_alike(panel, blocks))
    elif shares is not None:
        # No block of one is a block of the other, as of two kinds of gates: those of both.
        rows = list(dict.fromkeys(name for side in shares for name in side))[:top]
        colours = [INK] * len(rows)
    if shares is not None and rows:
        drawn.append(lambda panel: _draw_shares(panel, rows, shares, look))
    if drawn:
        parts.append(_Part(tuple(rows), tuple(drawn), tuple(colours)))
    return parts


def _shares(compared: Comparison) -> list[dict[str, BlockFindings]] | None:
    """Return what is known of each block, by its name, in both networks; ``None`` without gates."""
    found = [f.blocks if f is not None else () for f in compared.findings]
    known = [{b.block: b for b in side if b.class_share is not None} for side in found]
    return known if any(known) else None


def _most(classes: Sequence[ClassChange], top: int) -> tuple[ClassChange, ...]:
    """Return the classes that changed most, in both directions, largest gain first."""
    if len(classes) <= top:
        return tuple(classes)
    half = max(1, top // 2)
    return (*classes[:half], *classes[-half:])


def _rows(panel: Axes, part: _Part, *, named: bool) -> None:
    measure = text_width(SMALL)
    shown = [shown_name(name, part.label_width - 0.1, measure) for name in part.names]
    panel.set_yticks(range(len(shown)), shown if named else [""] * len(shown))
    for label, name in zip(panel.get_yticklabels(), shown, strict=True):
        if named:
            set_plain(label, name)
    for label, colour in zip(panel.get_yticklabels(), part.colours, strict=False):
        label.set_color(colour)
    panel.set_ylim(len(shown) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=PALE, linewidth=0.5)
    panel.spines["left"].set_visible(False)


def _label(panel: Axes, *said: str) -> None:
    """Name the horizontal axis, as fully as there is room."""
    panel.set_xlabel(fitting(said, inches(panel)[0] + _ACROSS / 2, text_width(TEXT)))


def _two(look: Look) -> tuple[Any, Any]:
    """Return the colour of what is better in B, and of what is better in A."""
    more, less = (class_colours(look) * 2)[:2]
    return more, less


def _draw_classes(
    panel: Axes, classes: Sequence[ClassChange], compared: Comparison, look: Look
) -> None:
    more, less = _two(look)
    panel.axvline(0, color=INK, linewidth=0.6)
    rows = [(c.recall, c.significant) for c in classes]
    if compared.top1 is not None:
        rows.insert(0, (compared.top1, compared.top1.significant))
    for row, (recall, significant) in enumerate(rows):
        colour = GREY if not significant else more if recall.delta > 0 else less
        panel.plot([100 * recall.low, 100 * recall.high], [row, row], color=colour, linewidth=1.2)
        panel.plot(100 * recall.delta, row, "o", color=colour, markersize=3.4)
    panel.axhline(0.5, color=PALE, linewidth=0.8)
    panel.get_yticklabels()[0].set_fontweight("bold")
    room = inches(panel)[0] + 0.1 - look.letters * letter_width(3, TEXT)
    said = fitting(("change of recall", "recall"), room, text_width(TEXT))
    panel.set_title(said, loc="left", pad=_TITLE_PAD)
    _label(panel, "points, with 95 % interval", "points")
    reach = max(abs(x) for x in panel.get_xlim())
    panel.set_xlim(-reach, reach)
    sides = (("← better in A", -0.02, "right"), ("better in B →", 0.02, "left"))
    if max(text_width(SMALL)(name) for name, _, _ in sides) > inches(panel)[0] / 2:
        sides = (("← A", -0.02, "right"), ("B →", 0.02, "left"))
    for name, x, side in sides:
        panel.annotate(
            name,
            (0.5 + x, 1.0),
            xytext=(0, 3),
            textcoords="offset points",
            xycoords="axes fraction",
            ha=side,
            fontsize=SMALL,
            color=GREY,
        )


def _draw_alike(panel: Axes, blocks: Sequence[BlockComparison]) -> None:
    for values, look, name, apart in (
        ([b.correlation for b in blocks], _CHANNELS, "channel by channel", -_APART),
        ([b.geometry for b in blocks], GEOMETRY, "class geometry", _APART),
    ):
        known = [(v, row + apart) for row, v in enumerate(values) if v is not None]
        if known:
            panel.plot(*zip(*known, strict=True), linestyle="none", label=name, **look)  # type: ignore[arg-type]
    panel.axvline(0, color=INK, linewidth=0.6)
    known_values = [v for b in blocks for v in (b.correlation, b.geometry) if v is not None]
    panel.set_xlim(min(-0.05, min(known_values, default=0) - 0.08), 1.05)
    _label(panel, "correlation of A and B", "correlation")
    panel.set_title("gates alike", loc="left", pad=_TITLE_PAD)


def _draw_shares(
    panel: Axes, rows: Sequence[str], shares: Sequence[dict[str, BlockFindings]], look: Look
) -> None:
    moving = _two(look)[0]
    apart = _APART if all(shares) else 0.0  # alone, the markers of one network stand in their rows
    for side, (known, filled) in enumerate(zip(shares, (False, True), strict=True)):
        for row, name in enumerate(rows):
            block = known.get(name)
            if block is None or block.class_share is None:
                continue
            share, colour = block.class_share, moving if block.moves else STILL
            at = row + (apart if side else -apart)
            if share.low is not None and share.high is not None:
                panel.plot((share.low, share.high), (at, at), color=colour, linewidth=1.1)
            panel.plot(
                share.value,
                at,
                "o",
                markersize=3.4,
                markeredgewidth=0.8,
                markeredgecolor=colour,
                markerfacecolor=colour if filled else "white",
            )
    panel.set_xlim(0, max(0.1, panel.get_xlim()[1]))
    _label(panel, "share of gate variance", "of variance")
    panel.set_title("class share", loc="left", pad=_TITLE_PAD)


def _add_legend(figure: Figure, compared: Comparison, available: float, look: Look) -> float:
    """Add the one legend, and return its height: both networks, and how alike blocks are."""
    dot: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "markersize": 4,
        "color": _two(look)[0],
    }
    faces: tuple[dict[str, Any], ...] = ({"markerfacecolor": "white"}, {})
    entries = [
        (f"{letter}: {look.named(subject.name)}", {**dot, **face})
        for letter, subject, face in zip("AB", _sides(compared), faces, strict=True)
    ]
    if _shares(compared) is None:  # nothing is drawn of either alone
        entries = [(name, {"linestyle": "none", "marker": ""}) for name, _ in entries]
    if compared.blocks:
        entries += [("channel by channel", _CHANNELS), ("class geometry", GEOMETRY)]
    names, styles = zip(*entries, strict=True)
    _, tall = add_entries(
        figure, names, [{"linestyle": "none", **style} for style in styles], available
    )
    return tall + _LEGEND


def _sides(compared: Comparison) -> tuple[Subject, Subject]:
    return compared.a, compared.b


def _caption(compared: Comparison) -> list[str]:
    said = [compared.describe()]
    if compared.classes:
        said.append(
            "Classes: coloured where the change is significant at the 5 % level, adjusted for all "
            f"{len(compared.classes)} classes (Holm)."
        )
    if compared.blocks:
        said.append(
            "Gates alike: correlation of the class means channel by channel, which means something only "
            "where channel i is the same in both networks; class geometry, the correlation of the distances "
            "between classes, does not depend on the order of channels."
        )
    still = [b.block for b in compared.blocks if not b.moves]
    if still:
        said.append(f"Gates that hardly move: {', '.join(still)}.")
    return said
