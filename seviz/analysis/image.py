"""What is said of single images: what SE changes of the answer, and how far their gates are from usual."""

from __future__ import annotations

from collections.abc import Iterator

from seviz.results.image import MEAN, NEUTRAL, ExplainedBlock, ExplainedImage, ImageExplanation
from seviz.results.shares import shown_share

HELD = {MEAN: "at its mean over all images", NEUTRAL: "at 1, as if it had no gate,"}
ALL_HELD = {MEAN: "at their means", NEUTRAL: "at 1"}
_MOST_NAMED = 4


def flips(image: ExplainedImage, how: str) -> list[ExplainedBlock]:
    """Return the blocks without which another class is answered, in forward order.

    Args:
        image: The image.
        how: What gates are held at: ``mean`` or ``neutral``.
    """
    held = [b for b in image.blocks if how in b.held]
    return [b for b in held if b.held[how].index != image.top[0].index]


def describe_image(explained: ImageExplanation, image: ExplainedImage) -> list[str]:
    """Return what can be said of one image, in sentences.

    Args:
        explained: The whole.
        image: One of its images.
    """
    return [
        *_answer(image),
        *(s for how in (MEAN, NEUTRAL) for s in _held(image, how)),
        *_unusual(explained, image),
    ]


def _answer(image: ExplainedImage) -> Iterator[str]:
    if not image.top:
        yield f"{image.name}: the network gives no score per class, so there is no answer to compare."
        return
    first, *rest = image.top
    then = f", then {rest[0].label} ({shown_share(rest[0].probability)})" if rest else ""
    yield f"{image.name}: {first.label} ({shown_share(first.probability)}){then}."


def _held(image: ExplainedImage, how: str) -> Iterator[str]:
    if how not in image.all_held:
        return
    own = image.top[0]
    changed, held = flips(image, how), [b for b in image.blocks if how in b.held]
    if changed:
        named = [f"{b.block.name} (to {b.held[how].top[0].label})" for b in changed]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        said = f"changes the answer in {len(changed)} of {len(held)}: {', '.join(named[:_MOST_NAMED])}{more}"
    else:
        most = max(held, key=lambda b: abs(b.held[how].kept - own.probability))
        said = (
            f"changes the answer nowhere; {own.label} moves most in {most.block.name}, from "
            f"{shown_share(own.probability)} to {shown_share(most.held[how].kept)}"
        )
    together = image.all_held[how]
    stays = "is still" if together.index == own.index else "becomes"
    yield (
        f"One block held {HELD[how]} {said}. With all blocks {ALL_HELD[how]}, the answer {stays} "
        f"{together.top[0].label} ({shown_share(together.top[0].probability)})."
    )


def _unusual(explained: ImageExplanation, image: ExplainedImage) -> Iterator[str]:
    known = [(b.unusual, b) for b in image.blocks if b.unusual is not None]
    if known:
        far, block = max(known, key=lambda pair: pair[0])
        yield (
            f"Its gates are furthest from their means in {block.block.name}: {far:.2f} times as far as "
            f"those of the {explained.recorded:,} images of the record on average (root mean square)."
        )


def caution(explained: ImageExplanation) -> str:
    """Return what one image does not tell."""
    return (
        f"This is what {explained.word} does to one image; seviz ablate counts how often answers change over "
        "many."
    )
