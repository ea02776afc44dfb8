"""Networks side by side: two, or any number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from seviz.errors import UsageError
from seviz.results.mechanisms import ALL
from seviz.results.record import Record
from seviz.results.spec import open_spec
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from seviz.analysis import Comparison, SeveralComparison
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions
    from seviz.data.loaders import Loading


@overload
def compare(
    a: Record | Network,
    b: Record | Network,
    data: Data | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> Comparison: ...


@overload
def compare(
    a: Sequence[Record | Network],
    b: Data | None = None,
    data: Data | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> Comparison | SeveralComparison: ...


def compare(
    a: Record | Network | Sequence[Record | Network],
    b: Record | Network | Data | None = None,
    data: Data | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> Comparison | SeveralComparison:
    """Compare networks: accuracy, cost, the classes that gained and lost, gates.

    Args:
        a: A record, a network (any module, or from `seviz.load`), or the file of one of these; or a list of
            two or more of them.
        b: The other; all differences are the second minus the first. After a list the images: ``data``.
        data: Images for all networks, as for `seviz.collect`: they are then compared image by image.
        options: How the passes are made. Of three networks and more the gates of each are read, of whatever
            kind, unless these say otherwise.
        loading: Of batches of your own: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Returns:
        Of three or more, a `seviz.analysis.SeveralComparison`.

    Raises:
        DataError: If networks were evaluated, and share no image or no class.
        UsageError: If there are fewer than two.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> seviz.compare(digits, digits, "digits").top1.delta
    0.0
    >>> print(seviz.compare([digits] * 3).describe())
    Which of the networks is more accurate is not known: no predictions were compared.
    """
    from seviz.analysis import compare_several, compare_subjects

    several = isinstance(a, list | tuple)
    networks: list[Any] = list(a) if isinstance(a, list | tuple) else [a, b]
    if several and b is not None:
        if data is not None:
            raise UsageError(
                "expected images once after a list of networks, found a second network beside it; put all "
                "networks into the list"
            )
        data = b
    if len(networks) < 2 or any(n is None for n in networks):
        raise UsageError(
            f"expected two networks or more, found {sum(n is not None for n in networks)}; give another one"
        )
    if len(networks) == 2:
        return compare_subjects(*(_subject(each, data, options, loading) for each in networks))
    if options is None:
        from seviz.collect.options import PassOptions

        options = replace(PassOptions(), mechanism=ALL)
    return compare_several([_subject(each, data, options, loading) for each in networks])


def _subject(
    of: Record | Network, data: Data | None, options: PassOptions | None, loading: Loading
) -> Subject:
    if isinstance(of, str | Path) and (spec := open_spec(of)).is_record:
        of = spec.record
    if isinstance(of, Record):
        return Subject(of.header.checkpoint, of)
    from seviz.collect.examine import examine

    return examine(of, data, options, loading)
