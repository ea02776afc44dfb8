"""How every figure of seviz looks, and what makes its files the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import numpy as np

from seviz.errors import UsageError
from seviz.figures.look import PLAIN, Look

# Okabe and Ito's colours, which people with any colour vision can tell apart; without their black,
# which is kept for the mean over classes, and their yellow, which is lost in a thin line on white. Their
# orange and sky are darker here, so that each has a contrast of 3 to white, and to those like it 1.5.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C86FA1", "#7A4B00", "#459AD2")
# Class lines change style when colours run out; plain dashes belong to the mean over classes.
LINE_STYLES = (
    "solid",
    (0, (1, 1)),
    (0, (6, 1.2, 1.2, 1.2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 1.5)),
)
# Beside the colours, for print without them.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Shares, in every figure: of one hue, ordered for any colour vision and on grey paper.
CMAP = "Blues"
SHARES = (0.12, 0.92)  # the part of it that is seen on white, and with text beside
# Differences, in every figure.
DIFFERENCES = "RdBu_r"
_CONTINUOUS = 64  # colours from which on a map of matplotlib's is no list of distinct ones
# Of a continuous map, colours that are seen on white, and are not the black of the mean over classes.
_SEEN = (3.0, 13.0)  # contrast to white
_GREYS = 3  # of classes: more are too near to one another, and styles and markers tell them apart
# Gaps wide enough to see the classes under it.
SUMMARY_STYLE = (0, (3, 2.2))
INK = "#222222"
GREY = "#666666"
PALE = "#E6E6E6"
STILL = "#8C8C8C"  # of blocks that hardly move: seen, but not read first

TEXT = 8.0
SMALL = 7.0
TITLE = 10.0
MARKER_SIZE = 3.0
LEAST = 5.0  # points; no text is smaller
SALT = "seviz"

_RC: Mapping[Any, Any] = {
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 4.0,
    "axes.axisbelow": True,
    "lines.solid_joinstyle": "round",
    # Text in SVG and PDF stays text: searchable, and editable in the paper's font.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
}

# What places and measures rest on, whatever the user's settings: the widths of text, and the size of a page.
_FIXED: Mapping[Any, Any] = {
    # Where matplotlib would put it, had it looked for ticks above the panel: there are none.
    "axes.titley": 1.0,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.bbox": None,
    # SVG ids are random without a salt, and two drawings of one record would differ.
    "svg.hashsalt": SALT,
    # At the resolution of these figures hinting changes widths, not sharpness, and takes a fifth of the time.
    "text.hinting": "no_hinting",
    "text.usetex": False,
}


@contextmanager
def figure_style(look: Look = PLAIN) -> Iterator[None]:
    """Draw and save as seviz does, where the user has no settings of their own; put those back.

    Args:
        look: What was chosen for this figure, which counts before the settings of matplotlib.
    """
    import matplotlib

    # Not matplotlib.style, which reads thirty style sheets before it knows the default one.
    with matplotlib.rc_context():
        usual, theirs = matplotlib.rcParamsDefault, matplotlib.rcParams
        own = {key: value for key, value in _RC.items() if theirs[key] == usual[key]}
        theirs.update(cast(Any, {**own, **_FIXED}))
        if look.font is not None:
            theirs["font.family"] = [look.font, *theirs["font.family"]]
        yield


# Of classes: in their order, or by their labels.
Colors = Sequence[Any] | Mapping[str, Any]


def class_colours(look: Look = PLAIN) -> tuple[Any, ...]:
    """Return the colours of classes, the first of which is that of the first class.

    Those of the palette that was chosen; else those of matplotlib's cycle, where the user has changed it.
    """
    if isinstance(look.palette, tuple):
        return look.palette
    import matplotlib

    if look.palette is not None:
        shades: Any = matplotlib.colormaps[look.palette]
        if not _is_continuous(look):
            return tuple(shades.colors)
        red, green, blue, _ = shades(0.3)
        count = _GREYS if red == green == blue else len(COLOURS)
        # Neighbours on the map are alike: in an order in which they are no neighbours.
        found, half = _seen(look.palette, count), -(-count // 2)
        return tuple(found[i // 2 + half * (i % 2)] for i in range(count))
    if matplotlib.rcParams["axes.prop_cycle"] != matplotlib.rcParamsDefault["axes.prop_cycle"]:
        return tuple(matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", COLOURS))
    return COLOURS


def ordered_colours(count: int, look: Look = PLAIN) -> tuple[Any, ...]:
    """Return colours of the steps of one thing: of a continuous palette in its order, lighter end first."""
    if count and _is_continuous(look):
        found = _seen(str(look.palette), count)
        return found if luminance(found[0]) >= luminance(found[-1]) else found[::-1]
    colours = class_colours(look)
    return tuple(colours[i % len(colours)] for i in range(count))


def _is_continuous(look: Look) -> bool:
    if not isinstance(look.palette, str):
        return False
    import matplotlib

    listed = getattr(matplotlib.colormaps[look.palette], "colors", None)
    return listed is None or len(listed) >= _CONTINUOUS


@lru_cache
def _seen(name: str, count: int) -> tuple[Any, ...]:
    """Return so many colours of a map, evenly spaced over those that are seen on white."""
    import matplotlib

    shades = matplotlib.colormaps[name]
    every = [shades(step) for step in np.linspace(0.0, 1.0, 256)]
    low, high = _SEEN
    # All of it, where a map is pale throughout.
    dark = [c for c in every if low <= 1.05 / (luminance(c) + 0.05) <= high] or every
    return tuple(dark[round(at)] for at in np.linspace(0, len(dark) - 1, count))


def luminance(colour: Any) -> float:
    """Return the relative luminance of a colour, 0..1 (WCAG 2)."""
    rgb = np.asarray(colour, dtype=np.float64)[:3]
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def diverging(look: Look = PLAIN) -> Any:
    """Return the colour map of differences: two hues that any colour vision tells apart, white between.

    A palette of two colours has the first for less and the second for more. On grey paper both hues are
    alike: ``gray`` as the palette has white for less and black for more.

    Raises:
        UsageError: If the palette is a list of other than two colours, which has no order from less to more.
    """
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if look.palette is None:
        return matplotlib.colormaps[DIFFERENCES]
    if isinstance(look.palette, tuple):
        if len(look.palette) == 2:
            low, high = look.palette
            return LinearSegmentedColormap.from_list("chosen", [low, "#F7F7F7", high])
    else:
        shades = matplotlib.colormaps[look.palette]
        if look.palette == "gray":
            return shades.reversed()
        if _is_continuous(look):
            return shades
    found = look.palette if isinstance(look.palette, str) else " ".join(look.palette)
    raise UsageError(
        "expected for a heat map or ridges a palette that is a continuous colour map of matplotlib or two "
        f"colours, found {found}; leave it out, or draw with the style lines"
    )


def class_shades(look: Look = PLAIN) -> Any:
    """Return the colour map of shares of images or variance: one hue, from light to dark."""
    import matplotlib

    if isinstance(look.palette, str):
        shades = matplotlib.colormaps[look.palette]
        if _is_continuous(look):
            return shades.reversed() if look.palette == "gray" else shades
    return matplotlib.colormaps[CMAP]


def class_line(position: int, look: Look = PLAIN) -> dict[str, Any]:
    """Return colour and style of the class at this position; with its marker the first thirty all differ."""
    colours = class_colours(look)
    style, colour = divmod(position, len(colours))
    if _is_continuous(look):  # whose colours are alike: the style changes with each
        style = position
    return {"color": colours[colour], "linestyle": LINE_STYLES[style % len(LINE_STYLES)]}


def class_marker(position: int) -> str:
    """Return the marker of the class at this position: it tells classes apart where colours do not."""
    return MARKERS[position % len(MARKERS)]


def curve_styles(
    curves: int, weight: float = 1.0, colors: Sequence[Any] = (), look: Look = PLAIN
) -> list[dict[str, Any]]:
    """Return the line styles of the classes and, last, of the mean over all.

    Args:
        curves: Number of curves, that of the mean over all included.
        weight: Width of a class's line in points.
        colors: Colours of the classes, in place of the usual ones.
        look: Whose palette they are of.
    """
    classes = [
        {**class_line(i, look), "marker": class_marker(i), "linewidth": weight, "zorder": 3}
        for i in range(curves - 1)
    ]
    for line, color in zip(classes, colors, strict=False):
        line["color"] = color
    summary = {"linestyle": SUMMARY_STYLE, "linewidth": 0.8 * weight, "zorder": 4}
    return [*classes, {"color": "black", **summary}]


def sizes() -> tuple[float, float]:
    """Return the size of text and of small text, in points: seviz's, or those of the user's settings.

    Within what the layouts have room for, and not below what can be read.
    """
    import matplotlib

    size = float(matplotlib.rcParams["font.size"])
    if size in (TEXT, float(matplotlib.rcParamsDefault["font.size"])):
        return TEXT, SMALL
    size = min(max(size, LEAST + 1), 1.5 * TEXT)
    return size, size - 1
