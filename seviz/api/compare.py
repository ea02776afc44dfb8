"""Two networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from seviz.results.record import Record
from seviz.results.spec import open_spec
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from seviz.analysis import Comparison
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions
    from seviz.data.loaders import Loading


def compare(
    a: Record | Network,
    b: Record | Network,
    data: Data | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> Comparison:
    """Compare two networks: accuracy, cost, the classes that gained and lost, gates.

    Args:
        a: A record, a network (any module, or from `seviz.load`), or the file of one of these.
        b: The other; all differences are the second minus the first.
        data: Images for both networks, as for `seviz.collect`: they are then compared image by image.
        options: How the passes are made.
        loading: Of batches of your own: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Raises:
        DataError: If both were evaluated, and share no image or no class.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> seviz.compare(digits, digits, "digits").top1.delta
    0.0
    """
    from seviz.analysis import compare_subjects

    return compare_subjects(*(_subject(each, data, options, loading) for each in (a, b)))


def _subject(
    of: Record | Network, data: Data | None, options: PassOptions | None, loading: Loading
) -> Subject:
    if isinstance(of, str | Path) and (spec := open_spec(of)).is_record:
        of = spec.record
    if isinstance(of, Record):
        return Subject(of.header.checkpoint, of)
    from seviz.collect.examine import examine

    return examine(of, data, options, loading)
