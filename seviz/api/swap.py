"""The gates of one image in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seviz.api.passes import met_network

if TYPE_CHECKING:
    from seviz.analysis import Swap
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions


def swap_gates(
    network: Network,
    data: Data,
    options: PassOptions | None = None,
    *,
    classes: Sequence[str] = (),
    blocks: Sequence[str] = ("all",),
    pairs: int | None = None,
    seed: int = 0,
    **more: Any,
) -> Swap:
    """Count how often the answer follows the gates when an image passes with those of another image.

    Each block alone, and all at once; beside what a disturbance alone gives: the same gates with their
    channels shuffled, the mean gates of their class, gates of another image of the same class.

    The class of an image is what the network answers to it; where labels are known, only images that it
    has right take part. Images (at most 256) and pairs are a sample that ``seed`` draws; pairs share images,
    and intervals count them as such (`seviz.analysis.dyads`).

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: Images, as for `seviz.collect`.
        options: How the passes are made, and which kind of gates is meant (``mechanism``).
        classes: Classes between which gates are exchanged; all of them by default, of many a sample.
        blocks: Names, stages, or ``["all"]``.
        pairs: Pairs of two classes, at most; 720 by default.
        seed: Of the sample, and of shuffled channels.
        more: ``progress`` as for `seviz.ablate`; of batches ``inputs`` and ``output``, as for
            `seviz.collect`, and ``class_names`` for what their labels are called.

    Returns:
        Shares with intervals; `seviz.tables.tables_of` and `seviz.figures.swap_figure` take it.

    Raises:
        NoSEBlockError: If the network has no such block.
        DataError: If there are no images of two classes.
        UsageError: If an argument is not understood.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> swap = seviz.swap_gates(digits, "digits", classes=["0", "1"], pairs=20)
    >>> swap.all_blocks.pairs, len(swap.rates), swap.all_blocks.verdict
    (20, 7, 'cannot be said')
    """
    from seviz.analysis import swap_of
    from seviz.collect.options import PassOptions
    from seviz.collect.pairs import PAIRS
    from seviz.collect.swap import swapped_gates

    loaded, source, chosen = met_network(network, data, classes, options or PassOptions(), more)
    swapped = swapped_gates(
        loaded,
        source,
        chosen,
        classes=classes,
        blocks=blocks,
        pairs=PAIRS if pairs is None else pairs,
        seed=seed,
        **more,
    )
    return swap_of(swapped)
