"""One channel in sentences, which rest on whole intervals."""

from __future__ import annotations

from seviz.analysis.channel import ChannelView, needed
from seviz.analysis.findings.estimates import FEWEST
from seviz.results.channels import MEAN, PASSED_ON, ZERO

# Channels of a network of some size, where none could be looked at.
_MANY = 500


def describe_channel(view: ChannelView) -> list[str]:
    """Return what can be said of one channel, in sentences that rest on whole intervals."""
    return [
        f"{view.name}: mean gate {view.mean:.3f}, standard deviation {view.spread:.3f}, from "
        f"{view.low:.3f} to {view.high:.3f} over {view.images:,} images of {view.source}.",
        *_on_classes(view),
        *shared_gates(view),
        *_on_companions(view),
        *_on_weights(view),
        *_on_answers(view),
    ]


def _on_classes(view: ChannelView) -> list[str]:
    if not view.moves:
        return [
            "Its gate hardly moves (standard deviation below 0.01): it does not tell images apart."
        ]
    if view.class_share is None or view.chance is None:
        seen = f"{view.images:,} images of {len(view.classes)} classes"
        return [f"What it does with classes cannot be said ({seen})."]
    share = f"{view.class_share:.1%} of its variance lies between classes"
    said = f"{share} ({view.chance:.1%} by chance)"
    first, last = view.classes[0], view.classes[-1]
    if first.mean.low is None or last.mean.high is None:
        few = f"needs about {FEWEST} images of each class"
        return [f"{said}; which class opens it cannot be said ({few})."]
    if first.mean.low <= last.mean.high:
        return [
            f"{said}; that one class opens it more than another cannot be said (intervals overlap)."
        ]
    return [
        f"{said}: most open for {first.name} ({first.mean.value:.3f}), least for {last.name} "
        f"({last.mean.value:.3f})."
    ]


def shared_gates(view: ChannelView) -> list[str]:
    """Return what is said of images that share a gate, and so open or close a channel no more than others."""
    ends = (("largest", view.largest_shared), ("smallest", view.smallest_shared))
    return [f"{one.sentence(end, view.where)}." for end, one in ends if one is not None]


def _on_companions(view: ChannelView) -> list[str]:
    if not view.looked_at and view.sampled > FEWEST:
        return []  # a gate that does not move moves with no other
    more = needed(view.looked_at or _MANY)
    if not view.companions and view.sampled < more:
        few = f"{view.sampled} images in the sample; needs about {more}"
        return [f"Which channels move with it cannot be said ({few})."]
    count = f"over {view.sampled:,} images, for {view.looked_at:,} channels together"
    if not view.companions:
        return [f"No other channel is known to move with it ({count})."]
    one = view.companions[0]
    low, high = one.correlation.low, one.correlation.high
    return [
        f"{view.moving:,} of {view.looked_at:,} other channels are known to move with it or against it; "
        f"closest is {one.block}:{one.channel} (r = {one.correlation.value:+.2f} [{low:+.2f}, "
        f"{high:+.2f}], {count})."
    ]


def _on_weights(view: ChannelView) -> list[str]:
    if view.around is None or not view.around.read_by:
        return []
    share, even = float(view.around.share[view.channel]), 1 / view.block.channels
    place = 1 + int((view.around.norm > view.around.norm[view.channel]).sum())
    beside = f"; {PASSED_ON}" if view.around.passed_on else ""
    return [
        f"{share:.2%} of the squared weights of {', '.join(view.around.read_by)} hang on it (an equal part "
        f"would be {even:.2%}): number {place} of {view.block.channels}{beside}."
    ]


def _on_answers(view: ChannelView) -> list[str]:
    said = []
    for how, words in ((MEAN, "at its mean"), (ZERO, "at 0, as if the channel were cut out")):
        found = view.effect(how)
        if found is None:
            continue
        low, high = 100 * found.low, 100 * found.high
        change = f"{100 * found.delta:+.2f} points of top-1 [{low:+.2f}, {high:+.2f}]"
        if found.low <= 0 <= found.high:
            change += "; that it matters cannot be said"
        said.append(f"Held {words}, over {found.images:,} images: {change}.")
    return said
