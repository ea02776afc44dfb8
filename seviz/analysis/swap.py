"""Does the answer follow the gates? Shares of pairs of images, with intervals, beside what chance gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seviz.analysis.dyads import Dyads
from seviz.analysis.findings.estimates import Estimate
from seviz.analysis.findings.verdicts import FAILS, HOLDS, UNKNOWN, Verdict
from seviz.analysis.proportions import CONFIDENCE
from seviz.results.notebook import Shown
from seviz.results.swap import ALL_BLOCKS, MEAN, OTHER, SHUFFLED, Integers, Pairs, SwappedGates

# Classes of which a matrix can be read.
MOST_CLASSES = 40
# Pairs of which a cell of a matrix tells anything.
FEWEST_PAIRS = 2
# An answer that follows the gates in fewer pairs than this, beyond a disturbance, does not follow them.
HARDLY = 0.05

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SwapRates:
    """What becomes of the answer when a block's gates are those of an image of another class.

    Attributes:
        place: The block; ``all`` for all at once.
        pairs: Pairs of images of two classes.
        follows: Share of them whose answer becomes the class of the gates.
        stays: Share whose answer stays that of the image.
        neither: Share whose answer is a third class.
        third: Share whose answer becomes one third class, the mean over all that take part: what a
            disturbance alone would give to any class; ``None`` of two classes.
        shuffled: Share whose answer becomes the class of the gates where their channels are shuffled.
        mean: The same with the mean gates of that class; ``None`` where each class has one image.
        beyond_third: ``follows`` less ``third``, pair by pair; the interval holds for all places together.
        beyond_shuffled: ``follows`` less ``shuffled``, likewise.
        lift: By how much the log odds of the gates' class against third classes rise, likewise; ``None`` of
            two classes.
        shuffled_stays: Share whose answer stays that of the image with shuffled gates.
        within: Share of pairs of one class whose answer is no longer that class with the other's gates;
            ``None`` where no class has two images.
    """

    place: str
    pairs: int
    follows: Estimate
    stays: Estimate
    neither: Estimate
    third: Estimate | None
    shuffled: Estimate
    mean: Estimate | None
    beyond_third: Estimate | None
    beyond_shuffled: Estimate
    lift: Estimate | None
    shuffled_stays: Estimate
    within: Estimate | None

    @property
    def disturbed(self) -> Estimate:
        """Return the share whose answer is no longer that of the image."""
        return _rest(self.stays)

    @property
    def shuffled_disturbed(self) -> Estimate:
        """Return the same with shuffled gates."""
        return _rest(self.shuffled_stays)

    @property
    def verdict(self) -> Verdict:
        """Return whether the answer follows the gates beyond what a disturbance gives."""
        beyond = [e for e in (self.beyond_third, self.beyond_shuffled) if e is not None]
        if any(e.low is None for e in beyond):
            return UNKNOWN
        if all(e.above(0) for e in beyond):
            return HOLDS
        return FAILS if any(e.below(HARDLY) for e in beyond) else UNKNOWN


@dataclass(frozen=True)
class SwapCell:
    """Pairs of two classes.

    Attributes:
        place: The block; ``all`` for all at once.
        gates: Class of the images whose gates they are.
        image: Class of the images that pass.
        pairs: How many.
        follows: Share whose answer becomes the class of the gates; of one class, that keeps it.
        stays: Share whose answer stays that of the image.
        neither: Share whose answer is a third class.
    """

    place: str
    gates: str
    image: str
    pairs: int
    follows: Estimate
    stays: Estimate
    neither: Estimate


@dataclass(frozen=True, eq=False)
class Swap(Shown):
    """How often the answer of a network follows the gates of another image.

    Attributes:
        swapped: Every answer.
        rates: Each block alone, in forward order, and all at once.
    """

    swapped: SwappedGates
    rates: tuple[SwapRates, ...]

    @property
    def all_blocks(self) -> SwapRates:
        """Return what all blocks at once do."""
        return self.rates[-1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes, in the order of the network's outputs."""
        own = np.unique(self.swapped.classes).tolist()
        return tuple(self.swapped.labels[c] for c in own)

    @cached_property
    def cells(self) -> tuple[SwapCell, ...]:
        """Return all pairs of classes of each place; none where these have hardly a pair each."""
        return tuple(_cells(self.swapped))

    @property
    def matrix(self) -> tuple[SwapCell, ...]:
        """Return the pairs of classes with all gates replaced."""
        return tuple(c for c in self.cells if c.place == ALL_BLOCKS)

    def __str__(self) -> str:
        return "\n".join(describe(self))


def swap_of(swapped: SwappedGates) -> Swap:
    """Return how often the answer follows the gates, stays, or becomes a third class."""
    places = swapped.places
    level = 1 - (1 - CONFIDENCE) / len(places)
    return Swap(swapped, tuple(_rates(swapped, i, name, level) for i, name in enumerate(places)))


def _rates(swapped: SwappedGates, place: int, name: str, level: float) -> SwapRates:
    """Return the shares of one place; differences at a level that holds for all of them."""
    across, classes = swapped.across, swapped.classes
    dyads = Dyads(across.donors, across.receivers)
    jointly = Dyads(across.donors, across.receivers, level)
    gates, image = classes[across.donors], classes[across.receivers]

    def becomes(way: str, wanted: Integers) -> Bools:
        found: Bools = across.answers[way][place] == wanted
        return found

    follows, stays = becomes(OTHER, gates), becomes(OTHER, image)
    neither = ~(follows | stays)
    changed = across.answers[OTHER][-1] != image
    taking_part = np.unique(classes)
    others = len(taking_part) - 2
    third = neither & np.isin(across.answers[OTHER][place], taking_part)
    shuffled = becomes(SHUFFLED, gates)
    return SwapRates(
        place=name,
        pairs=len(across),
        follows=_known(dyads.share(follows, changed)),
        stays=_known(dyads.share(stays)),
        neither=_known(dyads.share(neither, changed)),
        third=_known(dyads.share(third, changed)).mapped(1 / others, 0) if others > 0 else None,
        shuffled=_known(dyads.share(shuffled, changed)),
        mean=dyads.share(becomes(MEAN, gates), changed) if MEAN in across.answers else None,
        beyond_third=jointly.difference(follows, third / others) if others > 0 else None,
        beyond_shuffled=_known(jointly.difference(follows, shuffled)),
        lift=jointly.mean(across.lifts[OTHER][place]) if across.lifts else None,
        shuffled_stays=_known(dyads.share(becomes(SHUFFLED, image))),
        within=_changed_within(swapped.within, classes, place),
    )


def _rest(estimate: Estimate) -> Estimate:
    """Return one less a share."""
    low, high = estimate.low, estimate.high
    return Estimate(
        1 - estimate.value, None if high is None else 1 - high, None if low is None else 1 - low
    )


def _known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None, "there are pairs"
    return estimate


def _changed_within(within: Pairs, classes: Integers, place: int) -> Estimate | None:
    if not len(within):
        return None
    changed = within.answers[OTHER][place] != classes[within.receivers]
    return Dyads(within.donors, within.receivers).share(changed)


def _cells(swapped: SwappedGates) -> Iterator[SwapCell]:
    classes = swapped.classes
    labels = [(int(c), swapped.labels[int(c)]) for c in np.unique(classes)]
    several = len(labels) * (len(labels) - 1)
    if len(labels) > MOST_CLASSES or len(swapped.across) < FEWEST_PAIRS * several:
        return
    for place, name in enumerate(swapped.places):
        for one, gates in labels:
            for other, image in labels:
                pairs = swapped.across if one != other else swapped.within
                own = (classes[pairs.donors] == one) & (classes[pairs.receivers] == other)
                if not own.any():
                    continue
                dyads = Dyads(pairs.donors[own], pairs.receivers[own])
                answers = pairs.answers[OTHER][place][own]
                follows, stays = answers == one, answers == other
                shares = (follows, stays, ~(follows | stays))
                yield SwapCell(
                    name, gates, image, len(dyads), *(_known(dyads.share(s)) for s in shares)
                )


def describe(swap: Swap) -> list[str]:
    """Return what came out in sentences; the command line and the page say the same."""
    swapped, whole = swap.swapped, swap.all_blocks
    own = "that the network has right" if swapped.labelled else "of the classes it answers"
    found = [
        f"With all gates of an image of another class, the answer follows the gates in "
        f"{_percent(whole.follows)} of {whole.pairs:,} pairs, stays that of the image in "
        f"{_percent(whole.stays)}, and is a third class in {_percent(whole.neither)} "
        f"({len(swapped.images)} images {own}, {len(swap.classes)} classes)."
    ]
    chance = [f"the same gates with channels shuffled make it {_percent(whole.shuffled)}"]
    if whole.third is not None:
        chance.insert(0, f"any one third class is answered in {_percent(whole.third, 2)}")
    said = {
        HOLDS: "the answer follows the gates beyond what a disturbance does",
        FAILS: "the answer does not follow the gates",
        UNKNOWN: "whether it follows the gates beyond a disturbance cannot be said",
    }[whole.verdict]
    found.append(f"A disturbance alone: {', and '.join(chance)}. So {said}.")
    if whole.lift is not None and whole.lift.low is not None and whole.lift.high is not None:
        # An interval around 0 shows no direction; it need not be small for that.
        moved = (
            "rise"
            if whole.lift.above(0)
            else "fall"
            if whole.lift.below(0)
            else "neither rise nor fall beyond chance"
        )
        found.append(
            f"Below the answer, the log odds of the gates' class against third classes {moved}: "
            f"{whole.lift.value:+.2f} [{whole.lift.low:+.2f}, {whole.lift.high:+.2f}]."
        )
    if whole.within is not None:
        found.append(
            f"All gates of another image of its own class change the answer in {_percent(whole.within)}, of "
            f"another class in {_percent(whole.disturbed)}."
        )
    following = [r.place for r in swap.rates[:-1] if r.verdict == HOLDS]
    alone = ", ".join(following) if following else "none"
    found.append(f"Blocks whose gates alone the answer follows beyond a disturbance: {alone}.")
    return found


def _percent(estimate: Estimate, digits: int = 1) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.{digits}f}%"
    return (
        f"{100 * estimate.value:.{digits}f}% [{100 * estimate.low:.{digits}f}, "
        f"{100 * estimate.high:.{digits}f}]"
    )
