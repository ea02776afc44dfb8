"""Gates under other images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.errors import UsageError
from seviz.results.record import Record
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.analysis import Shift
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions


def shift(
    network: Record | Network,
    data: Data | None = None,
    *,
    against: Data | Record | None = None,
    against_split: str | None = None,
    corrupt: Sequence[str] = (),
    severity: Sequence[int] = (),
    options: PassOptions | None = None,
    folder: str | Path | None = None,
    twin: Network | None = None,
    **collecting: Any,
) -> Shift:
    """Measure how far the gates move when the images change, block by block, beyond chance.

    Args:
        network: As for `seviz.collect`; or a record, with another as ``against``.
        data: The clean images, as for `seviz.collect`; a record needs none.
        against: Other images, likewise.
        against_split: Part of those; that of ``options`` by default.
        corrupt: What is done to the clean images instead: ``brightness``, ``contrast``, ``noise``, ``blur``,
            ``jpeg``, as in ImageNet-C.
        severity: How much, 1 to 5; 1, 3 and 5 by default, and 0 leaves images as they are.
        options: How the passes are made.
        folder: Where the record of each world is kept, in a folder of its name; one that is of the very
            same pass is used again.
        twin: A network without gates that is to pass through the same worlds: accuracy and features of both.
        collecting: Further arguments of `seviz.collect`, such as ``resume`` and ``tell``.

    Returns:
        Drift of each block, accuracy and answers in each world, and which block drifts first;
        `seviz.tables.tables_of` and `seviz.figures.shift_figure` take it.

    Raises:
        UsageError: If neither or both of ``against`` and ``corrupt`` are given, or one is unknown.
        DataError: If two records are not of one network, or there are fewer than two images.
        KeyboardInterrupt: If a pass was interrupted; what was collected is used again.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> moved = seviz.shift(digits, "digits", corrupt=["contrast"], severity=[1])
    >>> len(moved.worlds[0].significant), print(moved.first[0])
    contrast: SE_2_1 is the first block whose gates drift at severity 1
    (6, None)
    """
    from seviz.analysis import shift_of
    from seviz.results.shift import World, record_worlds

    others: list[World] = []

    if isinstance(network, str | Path) and (spec := open_spec(network)).is_record:
        network = spec.record
    if isinstance(network, Record):
        if isinstance(against, str | Path):
            against = Record.load(against)
        if not isinstance(against, Record) or corrupt or data is not None:
            raise UsageError(
                "expected another record as against= of a record, and no images, found something else; "
                "give a network for passes"
            )
        if twin is not None:
            raise UsageError(
                "expected a twin of a network, found one of a record; give networks for passes"
            )
        worlds = record_worlds(network, against)
    else:
        from seviz.collect.shift import shifted_worlds, twin_worlds

        if data is None:
            raise UsageError("expected images for a network, found none; give data=")
        asked: dict[str, Any] = {
            "against": against,
            "against_split": against_split,
            "corrupt": corrupt,
            "severity": severity,
            **collecting,
        }
        worlds = shifted_worlds(network, data, options=options, folder=folder, **asked)
        if twin is not None:
            others = twin_worlds(twin, data, options=options, folder=folder, **asked)
    return shift_of(worlds[0], worlds[1:], others)
