"""What a heat map says in words: titles, small print, caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seviz.analysis.profiles import Profile
from seviz.figures.heat_layout import HeatLayout
from seviz.figures.text import two_digits
from seviz.results.record import Record

_CHANCE = "°"


def _most(profile: Profile) -> str:
    if not profile.compared:
        return ""
    return f"|Δ| ≤ {two_digits(profile.largest)}{_CHANCE if profile.within_chance else ''}"


def _channels(profile: Profile) -> str:
    drawn, every = profile.deviation.shape[1], profile.block.channels
    return f"{every:,} channels" if drawn == every else f"{drawn:,} of {every:,} channels drawn"


WAYS: tuple[Callable[[Profile], str], ...] = (
    lambda p: _channels(p) + (f", largest {_most(p)}".replace("≤ ", "") if p.compared else ""),
    lambda p: f"C = {p.block.channels}" + (f", {_most(p)}" if p.compared else ""),
    _most,
    lambda p: _most(p).replace("|Δ| ", "").replace("≤ ", ""),
)


def notes(record: Record, found: Sequence[Profile], layout: HeatLayout) -> list[str]:
    """Return the small print: what a reader must know before trusting the figure."""
    said = []
    if record.header.partial:
        said.append(f"Partial record: interrupted after {record.header.images:,} images.")
    said.append(_rule(found, layout))
    said.append(_chance(record, found))
    per_pixel = dict.fromkeys(p.block.kind for p in found if p.block.mechanism.per_pixel)
    said += [
        f"{kind}: the gate differs from pixel to pixel; its spatial mean is drawn."
        for kind in per_pixel
    ]
    return [" ".join(said)]


def _rule(found: Sequence[Profile], layout: HeatLayout) -> str:
    """Say how classes and channels stand, and what shares a cell."""
    classes = layout.group(layout.classes, False)
    widths = [p.deviation.shape[1] for p in found]
    channels = sorted({layout.group(width, True) for width in widths} - {1})
    said = ["Classes and, within each block, channels that deviate alike stand together."]
    parts = []
    if classes > 1:
        parts.append(
            f"each row is the mean of {classes} neighbouring classes of {layout.classes:,}"
        )
    if channels:
        span = str(channels[0]) if len(channels) == 1 else f"{channels[0]} to {channels[-1]}"
        everywhere = all(layout.group(width, True) > 1 for width in widths)
        parts.append(
            f"each column{'' if everywhere else ' of the larger blocks'} is the mean of {span} neighbouring "
            "channels"
        )
    thin = [p.block.channels for w, p in zip(widths, found, strict=True) if w < p.block.channels]
    if thin:
        low, high = min(thin), max(thin)
        where = (
            ""
            if len(found) == 1
            else f" in each {'' if len(thin) == len(found) else 'larger '}block"
        )
        every = f"{low:,} to {high:,}" if high > low else f"{low:,}"
        parts.append(
            f"{max(widths):,} of {every} channels drawn{where}, evenly spaced, but the largest |Δ| is that "
            "of all"
        )
    if layout.step > 1:
        parts.append(f"every {_nth(layout.step)} class is named")
    if parts:
        joined = "; ".join(parts)
        said.append(f"{joined[0].upper()}{joined[1:]}.")
    return " ".join(said)


def _nth(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ends.get(number % 10, 'th')}"


def _chance(record: Record, found: Sequence[Profile]) -> str:
    """Say how large the largest deviation would be if gates knew nothing of the class, or why not."""
    if not any(p.compared for p in found):
        return "One class: nothing to compare."
    known = [p.chance for p in found if p.chance is not None]
    if not known:
        return (
            "With one image of each class there is no telling what chance does to these deviations."
        )
    low, high = two_digits(min(known)), two_digits(max(known))
    span = low if low == high else f"{low} to {high}, by block"
    said = (
        f"|Δ|: size of a deviation; titles have the largest. Chance alone would give one of {span} "
        "(exceeded in at most 5 % of cases)."
    )
    if any(p.within_chance for p in found):
        said += f" {_CHANCE} no more than that."
    return said


def caption_of(
    record: Record, found: Sequence[Profile], shown: Sequence[str], layout: HeatLayout
) -> tuple[str, ...]:
    """Return the sentences of the caption."""
    drawn = len(shown)
    seen = int(np.count_nonzero(record.count))
    of = f"all {seen:,} classes" if drawn == seen else f"{drawn:,} of {seen:,} classes"
    if drawn <= 12 and drawn != seen:
        of += f" ({', '.join(shown)})"
    most = max(found, key=lambda p: p.largest)
    largest = f"The largest deviation is {two_digits(most.largest)}, in {most.block.name}."
    blocks = ", ".join(p.block.name for p in found[:12]) + (", ..." if len(found) > 12 else "")
    fewest = int(record.count[record.count > 0].min())
    return (
        f"Mean gate of each class minus the mean over all classes: {record.header.architecture} on "
        f"{int(record.count.sum()):,} images, {of}, blocks {blocks}.",
        largest if most.compared else "",
        *notes(record, found, layout),
        f"The class with the fewest images has {fewest:,}.",
    )
