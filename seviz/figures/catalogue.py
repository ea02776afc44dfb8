"""Every figure that a result can draw: its file, what it shows, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from seviz import figures
from seviz.analysis import (
    Comparison,
    Findings,
    GateConfusion,
    SeveralComparison,
    Shift,
    Swap,
    Track,
    gate_confusion,
)
from seviz.analysis.curves import default_classes
from seviz.analysis.gate_confusion import MOST_COMPARED
from seviz.analysis.network_map import NetworkMap
from seviz.analysis.ordering import Order, usual_order
from seviz.errors import UsageError
from seviz.figures.confusion.cells import Normalize
from seviz.figures.gate_curves import PAPER_CHANNELS
from seviz.figures.look import PLAIN, Look
from seviz.figures.maps import maps
from seviz.results.ablation import Ablation
from seviz.results.blocks import select_blocks
from seviz.results.classes import ClassChoice
from seviz.results.cost import Audit
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Choices:
    """What a user may choose of a figure; each figure takes what concerns it.

    Attributes:
        classes: Classes that are drawn; some of the record by default.
        blocks: Blocks, as in `select_blocks`.
        channels: How many channels of each block, evenly spaced, or ``all``; by default all in a heat
            map, and as many lines as in the paper.
        normalize: Of a confusion matrix.
        order: Of its classes; that of `usual_order` by default.
        log: Whether its colours are logarithmic.
        top: How much of a long list.
        gates: Gates against confusion, where that is known already.
        epochs: Epochs of a training that are drawn apart.
        look: Width, font, colours, names.
    """

    classes: Sequence[ClassChoice] = ()
    blocks: Sequence[str] = ()
    channels: int | Literal["all"] | None = None
    normalize: Normalize = "none"
    order: Order | None = None
    log: bool = False
    top: int = 20
    gates: Sequence[GateConfusion] | None = None
    epochs: Sequence[int] = ()
    look: Look = PLAIN


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        stem: Name of its file, without the suffix.
        shows: What it shows, in a sentence, for who cannot see it.
        of: The result that it is drawn from.
        draw: Draws it; ``None`` where the result holds nothing of the kind.
        section: Section of the report in which it is printed, after those above it; empty for none.
        only_printed: Whether it is in the report alone.
    """

    stem: str
    shows: str
    of: type
    draw: Callable[[Any, Choices], Figure | None]
    section: str = ""
    only_printed: bool = False


def _gates(record: Record, asked: Choices, *, spread: bool = False) -> Figure | None:
    if not record.blocks:
        return None
    return figures.gate_curves(
        record,
        asked.classes or record.classes.choose(default_classes(record)),
        select_blocks(record.blocks, asked.blocks),
        channels=asked.channels or PAPER_CHANNELS,
        spread=spread,
        look=asked.look,
    )


def _heat(record: Record, asked: Choices) -> Figure | None:
    if not record.blocks:
        return None
    return figures.heat_map(
        record,
        asked.classes,
        select_blocks(record.blocks, asked.blocks),
        channels=asked.channels or "all",
        look=asked.look,
    )


def _ridges(record: Record, asked: Choices) -> Figure | None:
    if not record.blocks or record.sample(record.blocks[0].name) is None:
        return None
    return figures.ridges(
        record,
        asked.classes,
        select_blocks(record.blocks, asked.blocks),
        channels=asked.channels if isinstance(asked.channels, int) else None,
        look=asked.look,
    )


def _maps(record: Record, asked: Choices) -> Figure | None:
    return maps(record, select_blocks(record.blocks, asked.blocks)) if record.blocks else None


def _gate_confusion(record: Record, asked: Choices) -> Figure | None:
    found = asked.gates
    if found is None:
        scored = record.top1 is not None and record.blocks
        found = gate_confusion(record) if scored and len(record.classes) <= MOST_COMPARED else ()
    if not any(block.correlation is not None for block in found):
        return None
    return figures.gate_confusion_scatter(record, found, look=asked.look)


def _confusion(evaluation: Evaluation, asked: Choices) -> Figure:
    return figures.confusion_matrix(
        evaluation,
        normalize=asked.normalize,
        order=asked.order or usual_order(evaluation),
        log=asked.log,
        top=asked.top,
        look=asked.look,
    )


def _reliability(evaluation: Evaluation, asked: Choices) -> Figure | None:
    if evaluation.calibration is None:
        return None
    return figures.reliability_diagram(evaluation, look=asked.look)


def _stages(audit: Audit, asked: Choices) -> Figure | None:
    return (
        figures.stage_bars(audit, look=asked.look)
        if audit.totals is not None and audit.blocks
        else None
    )


def _costs(audit: Audit, asked: Choices) -> Figure | None:
    return (
        figures.block_bars(audit, look=asked.look)
        if audit.totals is not None and audit.blocks
        else None
    )


def _ablation(ablation: Ablation, asked: Choices) -> Figure | None:
    return figures.ablation_figure(ablation, look=asked.look) if ablation.single else None


def _comparison(compared: Comparison, asked: Choices) -> Figure | None:
    known = compared.classes or compared.blocks or any(compared.findings)
    return figures.comparison(compared, top=asked.top, look=asked.look) if known else None


def _several(compared: SeveralComparison, asked: Choices) -> Figure | None:
    known = compared.pairs or any(found is not None for found in compared.findings)
    return figures.several(compared, look=asked.look) if known else None


def _track(track: Track, asked: Choices) -> Figure | None:
    return figures.track_figure(track, look=asked.look) if track.blocks else None


def _stripes(track: Track, asked: Choices) -> Figure | None:
    if not track.blocks:
        return None
    return figures.stripes_figure(track, asked.epochs, asked.blocks, look=asked.look)


def _shift(shift: Shift, asked: Choices) -> Figure | None:
    return figures.shift_figure(shift, look=asked.look)


def _swap(swap: Swap, asked: Choices) -> Figure | None:
    return figures.swap_figure(swap, look=asked.look)


# A new figure is a row here and a module beside.
FIGURES = (
    Drawing(
        "activations",
        "Heat map of classes by channels: mean gate of the class minus the mean over all classes",
        Record,
        _heat,
        "heat",
    ),
    Drawing("activations_lines", "Mean gate by channel, a line per class", Record, _gates, "gates"),
    Drawing(
        "activations_spread",
        "Mean gate by channel, a line per class, with one standard deviation as a band",
        Record,
        partial(_gates, spread=True),
    ),
    Drawing(
        "activations_ridges",
        "Gates of single images by class, a panel for each channel",
        Record,
        _ridges,
    ),
    Drawing(
        "maps",
        "By block: how far the mean gate of each class is from that of all, and classes from one another",
        Record,
        _maps,
        "maps",
        only_printed=True,
    ),
    Drawing(
        "gate_confusion",
        "By block: distance of two classes' mean gates against how often they are confused",
        Record,
        _gate_confusion,
    ),
    Drawing(
        "network_map",
        "All blocks in forward order: what each costs, tells of the class, and matters",
        NetworkMap,
        lambda found, asked: figures.network_map(found, look=asked.look) if found.blocks else None,
    ),
    Drawing(
        "depth",
        "Class share, spread, saturation, class correlation by block",
        Findings,
        lambda found, asked: figures.depth(found, look=asked.look) if found.blocks else None,
        "depth",
    ),
    Drawing(
        "confusion",
        "Confusion matrix: rows are true classes",
        Evaluation,
        _confusion,
        "confusion",
    ),
    Drawing(
        "reliability",
        "Accuracy against confidence",
        Evaluation,
        _reliability,
        "reliability",
    ),
    Drawing("audit_stages", "Parameters of the gates by stage", Audit, _stages),
    Drawing("audit_blocks", "What each block of gates costs", Audit, _costs, "cost"),
    Drawing(
        "ablation",
        "Change of top-1 with the gates of each block held",
        Ablation,
        _ablation,
        "ablation",
    ),
    Drawing(
        "compare",
        "Recall of each class in two networks, and how alike their gates are",
        Comparison,
        _comparison,
    ),
    Drawing(
        "compare",
        "Accuracy of several networks and of every two, class share along the depth, class geometry",
        SeveralComparison,
        _several,
    ),
    Drawing(
        "track",
        "Accuracy, and spread, class share, saturation and constancy of each block, over training",
        Track,
        _track,
    ),
    Drawing(
        "track_stripes",
        "Gates as images by channels at some epochs of a training",
        Track,
        _stripes,
    ),
    Drawing(
        "shift",
        "Drift of the gates of each block as images change, against what chance gives",
        Shift,
        _shift,
    ),
    Drawing(
        "swap",
        "How often the answer follows the gates of another image, by class and by block",
        Swap,
        _swap,
    ),
)


LINES = ("activations_lines", "activations_spread")
# The figures of gates, by the style that draws them.
STYLES = {
    "heat": ("activations",),
    "lines": ("activations_lines",),
    "ridges": ("activations_ridges",),
    "both": ("activations", "activations_lines"),
}
Style = Literal["heat", "lines", "ridges", "both"]


def figures_of_style(style: Style | None, spread: bool) -> tuple[str, ...]:
    """Return the figures that a style draws; by default the heat map, or lines for their ``spread``.

    Raises:
        UsageError: If the style is none, or has no spread to draw.
    """
    if style is None:
        style = "lines" if spread else "heat"
    if style not in STYLES:
        raise UsageError(
            f"expected a style among {', '.join(STYLES)}, found {style!r}; heat is the one by default"
        )
    drawn = STYLES[style]
    if spread and "activations_lines" not in drawn:
        raise UsageError(
            f"expected lines for their spread, found the style {style}; choose lines or both"
        )
    return tuple("activations_spread" if spread and "lines" in name else name for name in drawn)


def drawn_from(
    result: object,
    asked: Choices | None = None,
    *,
    printed: bool = False,
    only: str = "",
    without: Collection[str] = (),
) -> Iterator[tuple[Drawing, Figure]]:
    """Yield every figure of a result, drawn.

    Args:
        result: A record, findings, an evaluation, an audit, an ablation, a comparison, a shift, a swap or a
            track.
        asked: What to draw of it.
        printed: Those that a report prints, in place of those that stand in files of their own.
        only: The file of a single one.
        without: Files of those that are there already.
    """
    for drawing in FIGURES:
        wanted = drawing.section if printed else not drawing.only_printed
        wanted = wanted and only in ("", drawing.stem) and drawing.stem not in without
        if wanted and isinstance(result, drawing.of):
            figure = drawing.draw(result, asked or Choices())
            if figure is not None:
                yield drawing, figure
