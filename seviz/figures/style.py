"""How every figure of seviz looks, and what makes its files the same each time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

# Okabe and Ito's colours, which people with any colour vision can tell apart; without their black,
# which is kept for the mean over classes, and their yellow, which is lost in a thin line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Class lines change style when colours run out; plain dashes belong to the mean over classes.
LINE_STYLES = (
    "solid",
    (0, (1, 1)),
    (0, (6, 1.2, 1.2, 1.2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 1.5)),
)
# Gaps wide enough to see the classes under it.
SUMMARY_STYLE = (0, (3, 2.2))
INK = "#222222"
GREY = "#666666"
PALE = "#E6E6E6"

TEXT = 8.0
SMALL = 7.0
TITLE = 10.0
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
    # Where matplotlib would put it, had it looked for ticks above the panel: there are none.
    "axes.titley": 1.0,
    "axes.axisbelow": True,
    "lines.solid_joinstyle": "round",
    # At the resolution of these figures hinting changes widths, not sharpness, and takes a fifth of the time.
    "text.hinting": "no_hinting",
    # Text in SVG and PDF stays text: searchable, and editable in the paper's font.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # SVG ids are random without a salt, and two drawings of one record would differ.
    "svg.hashsalt": SALT,
}

# Settings of a user's machine, not of a figure.
_MACHINE = (
    "backend",
    "date.epoch",
    "docstring.",
    "figure.max_open_warning",
    "figure.raise_window",
    "interactive",
    "savefig.directory",
    "timezone",
    "tk.",
    "toolbar",
    "webagg.",
)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save as seviz does, whatever the user's settings, and put those back."""
    import matplotlib

    # Not matplotlib.style, which reads thirty style sheets before it knows the default one.
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
            for key, value in matplotlib.rcParamsDefault.items():
                if not key.startswith(_MACHINE):
                    matplotlib.rcParams[key] = value
        matplotlib.rcParams.update(cast(Any, _RC))
        yield


# Of classes: in their order, or by their labels.
Colors = Sequence[Any] | Mapping[str, Any]


def class_line(position: int) -> dict[str, Any]:
    """Return colour and style of the class at this position; the first thirty all differ."""
    style, colour = divmod(position, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": LINE_STYLES[style % len(LINE_STYLES)]}


def curve_styles(
    curves: int, weight: float = 1.0, colors: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return the line styles of the classes and, last, of the mean over all.

    Args:
        curves: Number of curves, that of the mean over all included.
        weight: Width of a class's line in points.
        colors: Colours of the classes, in place of the usual ones.
    """
    classes = [{**class_line(i), "linewidth": weight, "zorder": 3} for i in range(curves - 1)]
    for line, color in zip(classes, colors, strict=False):
        line["color"] = color
    summary = {"linestyle": SUMMARY_STYLE, "linewidth": 0.8 * weight, "zorder": 4}
    return [*classes, {"color": "black", **summary}]
