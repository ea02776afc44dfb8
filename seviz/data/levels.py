"""Class folders inside folders: which part of the path is the class.

``dogs/pug`` may be the class "pug" in a group, or the class "dogs" with a folder for each breed. The
network's class names decide; without them, nothing but the well-known layouts is taken for either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from seviz.errors import DataError


def has_levels(folders: Sequence[str]) -> bool:
    """Return whether there are folders inside folders."""
    return any("/" in f for f in folders)


def levels_that_fit(folders: Sequence[str], fits: Callable[[str], bool]) -> tuple[list[str], ...]:
    """Return every way of naming the folders that fits best; folders of one class share its name.

    Args:
        folders: Paths of the class folders, ``dogs/pug``.
        fits: Whether a name is a class.

    Raises:
        DataError: If ``cat`` is a class and several folders of that name are in folders of their own, as
            where these are parts of a data set.
    """
    ways = list(_ways(folders))
    scores = [sum(map(fits, names)) for names in ways]
    best = [names for names, score in zip(ways, scores, strict=True) if score == max(scores) > 0]
    for names in best:
        if names != _tops(folders):
            _refuse_repeated(folders, names)
    return tuple(best)


def own_level(folders: Sequence[str]) -> tuple[list[str], str]:
    """Return the folders' names as classes of their own, and a remark.

    Raises:
        DataError: If it is not known which part of the path is the class.
    """
    tops = dict.fromkeys(_tops(folders))
    tails = [f.partition("/")[2] or f for f in folders]
    if len(tops) == 1 or all(len(top) == 1 for top in tops):
        _refuse_repeated(folders, tails)
        return tails, (f"the classes are the folders inside {_some(list(tops))}: {_some(tails)}")
    _refuse_repeated(folders, tails)
    raise DataError(
        f"expected one folder of images per class, found folders inside folders ({_some(folders)}); give "
        f"one of {_some(list(tops))}, put the class folders side by side, or give a list of paths and "
        "classes (list.csv)"
    )


def level_of_count(folders: Sequence[str], count: int) -> list[str] | None:
    """Return the names of the outer or inner folders, whichever are so many; ``None`` for both or none.

    Raises:
        DataError: If those are inner folders, and several outer ones have one of that name.
    """
    inner = [f.rpartition("/")[2] for f in folders]
    fitting = [names for names in (_tops(folders), inner) if len(set(names)) == count]
    if len(fitting) != 1:
        return None
    if fitting[0] is inner:
        _refuse_repeated(folders, inner)
    return fitting[0]


def _ways(folders: Sequence[str]) -> Iterator[list[str]]:
    yield list(folders)
    yield [f"/{f}" for f in folders]
    yield [f.partition("/")[2] or f for f in folders]
    yield [f.rpartition("/")[2] for f in folders]
    yield _tops(folders)


def _tops(folders: Sequence[str]) -> list[str]:
    return [f.partition("/")[0] for f in folders]


def _refuse_repeated(folders: Sequence[str], names: Sequence[str]) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for folder, name in zip(folders, names, strict=True):
        places[name].append(folder)
    for name, found in places.items():
        if len(found) > 1:
            tops = list(dict.fromkeys(_tops(found)))
            raise DataError(
                f"expected one folder for the class {name!r}, found {_some(found)}: parts of a data set? "
                f"name one: --split {tops[0]}"
            )


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f", ... ({len(names)} folders)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
