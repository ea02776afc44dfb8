"""Which class of the network the images of a folder belong to: by name, never by position.

Numbering the folders of a data set (as ImageFolder does) gives every class after a missing or empty
folder the label of its neighbour, and no error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from seviz.data.levels import has_levels, levels_that_fit, own_level
from seviz.errors import DataError, UsageError
from seviz.results.classes import CARPENTERS_PLANE, ClassInfo, ClassTable, normalise

Labels = Literal["model", "data"]


@dataclass(frozen=True, eq=False)
class Match:
    """The classes of a pass, and which folder holds which.

    Attributes:
        table: The classes that have images, in the order of the record's rows: that of the
            network's outputs, or of the folders where these are classes of their own.
        row_of_folder: Row of each folder of the source, int64 [F]; -1 where it is left out.
        missing: Labels of the classes that have no image.
        extra: Folders that are no class of the network.
        is_model: Whether ``table`` holds classes of the network, so that predictions can be
            compared.
        notes: Remarks on how folders were matched.
    """

    table: ClassTable
    row_of_folder: npt.NDArray[np.int64]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    is_model: bool = True
    notes: tuple[str, ...] = ()


def match_classes(
    source_folders: Sequence[str],
    counts: Sequence[int] | npt.NDArray[np.int64],
    model_classes: ClassTable | None,
    *,
    labels: Labels = "model",
    labelled: bool = True,
) -> Match:
    """Match folders to the network's classes by WordNet id, label, synonym, then index.

    Args:
        source_folders: Names of the folders.
        counts: Number of images in each, [F].
        model_classes: Classes of the network; None where their names are not known.
        labels: ``data`` makes each folder a class of its own, whatever the network's are.
        labelled: Whether the folders are classes at all; else they stay groups of their own.

    Raises:
        DataError: If there are no images, no folder is a class, a folder's name fits several
            classes, several folders are one class, or the folders lie in folders and it is not known
            which of them are the classes.
        UsageError: If ``labels`` is neither ``model`` nor ``data``.

    >>> zoo = ClassTable.from_labels(["ant", "bee", "cat"])
    >>> match = match_classes(["Cat", "ant", "dog"], [5, 5, 5], zoo)
    >>> match.table.labels, match.row_of_folder.tolist(), match.missing, match.extra
    (['ant', 'cat'], [1, 0, -1], ('bee',), ('dog',))
    """
    if labels not in ("model", "data"):
        raise UsageError(f"expected labels 'model' or 'data', found {labels!r}; give one of them")
    full = [f for f, count in enumerate(counts) if count]
    if not full:
        raise DataError(
            f"expected images in the class folders, found none in {_some(source_folders)}; "
            "check the folder and --split"
        )
    if not labelled:
        return _own_classes(source_folders, full)
    if model_classes is None or labels == "data":
        if not has_levels(source_folders):
            return _own_classes(source_folders, full)
        names, note = own_level(source_folders)
        return replace(_own_classes(names, full), notes=(note,))
    if has_levels(source_folders):
        source_folders = _network_level(source_folders, full, model_classes)
    return _network_classes(source_folders, full, model_classes)


def _own_classes(folders: Sequence[str], full: list[int]) -> Match:
    names = list(dict.fromkeys(folders[f] for f in full))
    row_of = {name: row for row, name in enumerate(names)}
    rows = np.full(len(folders), -1, dtype=np.int64)
    rows[full] = [row_of[folders[f]] for f in full]
    classes = tuple(ClassInfo(name, row, folder=name) for row, name in enumerate(names))
    empty = tuple(folder for folder, row in zip(folders, rows, strict=True) if row < 0)
    return Match(ClassTable(classes), rows, missing=empty, is_model=False)


def _network_level(folders: Sequence[str], full: list[int], model: ClassTable) -> list[str]:
    """Return what part of their paths the folders are called by the network."""
    ways = levels_that_fit(folders, lambda name: bool(model.rows(name)))
    if not ways:
        return [f.rpartition("/")[2] for f in folders]
    meant = {tuple(tuple(model.rows(names[f])) for f in full) for names in ways}
    if len(meant) > 1:
        first, other = (f"{names[full[0]]!r}" for names in (ways[0], ways[-1]))
        raise DataError(
            f"expected folders that name a class each, found {folders[full[0]]!r}, which may be {first} or "
            f"{other}; put the class folders side by side"
        )
    return ways[0]


def _network_classes(folders: Sequence[str], full: list[int], model: ClassTable) -> Match:
    fits = [model.rows(folder) for folder in folders]
    of_class: dict[int, list[int]] = defaultdict(list)
    for f in full:
        if len(fits[f]) > 1:
            raise _ambiguous(folders[f], [model.classes[r] for r in fits[f]])
        if fits[f]:
            of_class[fits[f][0]].append(f)
    if not of_class:
        raise _no_match([folders[f] for f in full], model)
    for row, positions in of_class.items():
        if len({folders[f] for f in positions}) > 1:
            names = ", ".join(repr(folders[f]) for f in positions)
            raise DataError(
                f"expected one folder for the class {model.classes[row].describe()}, found "
                f"{names}; merge them into one"
            )
    order = sorted(range(len(model)), key=lambda r: model.classes[r].index)
    kept = [r for r in order if r in of_class]
    shown = model.labels
    chosen = [of_class[r][0] for r in kept]
    table = ClassTable(
        tuple(
            replace(model.classes[r], folder=folders[f]) for r, f in zip(kept, chosen, strict=True)
        )
    )
    return Match(
        table,
        _rows(len(folders), [of_class[r] for r in kept]),
        missing=tuple(shown[r] for r in order if r not in of_class),
        extra=tuple(dict.fromkeys(f for f, rows in zip(folders, fits, strict=True) if not rows)),
        notes=_remarks(table),
    )


def _rows(folders: int, groups: list[list[int]]) -> npt.NDArray[np.int64]:
    rows = np.full(folders, -1, dtype=np.int64)
    for row, group in enumerate(groups):
        rows[group] = row
    return rows


def _remarks(table: ClassTable) -> tuple[str, ...]:
    notes = []
    numbers = [c for c in table.classes if (c.folder or "").isdecimal() and not _is_name(c)]
    if numbers:
        notes.append(
            f"matched by index, not by name: {_some([c.folder or '' for c in numbers])} "
            f"(folder {numbers[0].folder} is {numbers[0].label})"
        )
    if any(
        c.wnid == CARPENTERS_PLANE and normalise(c.folder or "") == "plane" for c in table.classes
    ):
        notes.append(
            "the folder 'plane' is the class of the carpenter's plane (n03954731); "
            "aeroplanes belong in a folder 'airliner'"
        )
    return tuple(notes)


def _is_name(info: ClassInfo) -> bool:
    return normalise(info.folder or "") in map(normalise, (info.label, *info.synonyms))


def _ambiguous(folder: str, classes: list[ClassInfo]) -> DataError:
    listed = "; ".join(c.describe() for c in classes)
    how = "WordNet id" if all(c.wnid for c in classes) else "index"
    return DataError(
        f"expected a folder for one class, found {folder!r}, a name of {len(classes)} classes: "
        f"{listed}; name the folder by its {how}"
    )


def _no_match(folders: list[str], model: ClassTable) -> DataError:
    close = {folder: model.closest(folder, 1) for folder in folders[:5]}
    hints = [f"{folder!r} is close to {found[0]!r}" for folder, found in close.items() if found]
    return DataError(
        f"expected folders named after the network's classes ({_some(model.labels, 'classes')}), "
        f"found {_some(folders)}, none of them a class{''.join('; ' + h for h in hints)}; rename "
        "them, or make the folders classes of their own with --labels data"
    )


def _some(names: Sequence[str], what: str = "folders", most: int = 5) -> str:
    if not names:
        return f"no {what}"
    more = f", ... ({len(names)} {what})" if len(names) > most else ""
    return ", ".join(names[:most]) + more
