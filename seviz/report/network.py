"""The network on the first screen of a report: a block is a link to its gates."""

from __future__ import annotations

from dataclasses import dataclass

from seviz.analysis.ablation import Effect
from seviz.analysis.network_map import network_map
from seviz.figures.network_map import block_height, block_width, notes, reach
from seviz.figures.style import CMAP, SHARES
from seviz.report.inputs import Inputs
from seviz.report.names import shown

# Of the place of one block, in CSS pixels.
WIDE, TALL, EFFECT = 72, 52, 40


@dataclass(frozen=True)
class Interval:
    """The effect of a block: what is seen, in pixels down, and what is said.

    Attributes:
        zero: Where no change is.
        value: Where the change is.
        low: Where the lower end of its interval is.
        high: Where the upper end is.
        significant: Whether chance is an unlikely explanation.
        text: The change in points.
    """

    zero: float
    value: float
    low: float
    high: float
    significant: bool
    text: str


@dataclass(frozen=True)
class Station:
    """One block of the map.

    Attributes:
        name: Of the block.
        label: All that the map says of it, in words.
        x: Left edge of its box, in pixels; and so on.
        y: Upper edge.
        width: Of the box.
        height: Of the box.
        fill: Its colour; empty for a block that hardly moves.
        share: What stands below it.
        begins: Whether a stage begins with it.
        effect: What its gates matter; ``None`` where that was not tried block by block.
    """

    name: str
    label: str
    x: float
    y: float
    width: float
    height: float
    fill: str
    share: str
    begins: bool
    effect: Interval | None


@dataclass(frozen=True)
class Network:
    """The map, ready to be shown.

    Attributes:
        stations: The blocks in forward order.
        sentence: What is seen in it.
        notes: How it is to be read.
    """

    stations: tuple[Station, ...]
    sentence: str
    notes: tuple[str, ...]


def network(inputs: Inputs) -> Network:
    """Return the map of the report's network."""
    import matplotlib
    from matplotlib.colors import to_hex

    found = network_map(inputs.record.blocks, inputs.findings, inputs.ablation)
    shades = matplotlib.colormaps[CMAP]
    ends = reach(found)
    stations = []
    before = None
    for block in found.blocks:
        wide, tall = block_width(block) * (WIDE - 6), block_height(block) * TALL
        share = block.share.value if block.share and block.moves else 0.0
        scale = SHARES[0] + (SHARES[1] - SHARES[0]) * share / (found.largest_share or 1.0)
        effect = _interval(block.effect, ends) if block.effect else None
        changed = f", top-1 {effect.text} points with its gates replaced" if effect else ""
        said = f"class share {block.said}" if block.moves else "hardly moves"
        stations.append(
            Station(
                block.block.name,
                f"{block.block.name}: {said}{changed}",
                (WIDE - wide) / 2,
                (TALL - tall) / 2,
                wide,
                tall,
                to_hex(shades(scale)) if block.moves else "",
                block.said,
                before is not None and before != block.block.stage,
                effect,
            )
        )
        before = block.block.stage
    return Network(tuple(stations), shown(found.describe()), tuple(map(shown, notes(found))))


def _interval(effect: Effect, ends: tuple[float, float]) -> Interval:
    low, high = ends

    def down(value: float | None) -> float:
        return round(EFFECT * (high - 100 * (value or 0.0)) / (high - low), 1)

    delta = effect.delta
    return Interval(
        down(0.0),
        down(delta.value),
        down(delta.value if delta.low is None else delta.low),
        down(delta.value if delta.high is None else delta.high),
        effect.significant,
        f"{100 * delta.value:+.2f}".replace("-", "\N{MINUS SIGN}"),
    )
