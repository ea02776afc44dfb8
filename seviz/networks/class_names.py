"""What the outputs of a network are called, in whatever form a file of weights or of names holds it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seviz.networks.formats.pickles import Array
from seviz.networks.imagenet import NUM_CLASSES, imagenet_classes
from seviz.results.classes import ClassTable

# What training scripts call their class names, letters and small alone.
WORDS = frozenset(
    (
        *("classes", "classnames", "names", "labels", "labelnames", "categories", "classlabels"),
        *("idxtoclass", "indextoclass", "idx2class", "idtolabel", "idtoclass", "idxtolabel"),
        *("idlabel", "idclass", "idxlabel", "indexlabel", "intstr", "indexclass", "idxclass"),
        *(
            "classtoidx",
            "labeltoid",
            "classtoindex",
            "labelid",
            "classid",
            "classidx",
            "labeltoidx",
        ),
        *("classindices", "classindex", "labelmap", "targetnames", "classlist", "classestoidx"),
        *("idname", "idtoname", "nametoid", "nameid", "synsets"),
        *("indextoname", "indexname", "idxtoname", "idxname", "nametoindex", "nametoidx"),
        *("inttolabel", "intlabel", "labeltoint", "labelint", "inttoclass", "intclass"),
        *("classmap", "classmapping", "labelmapping", "idmap", "classdict", "labelsdict"),
        *("labeldict", "vocab", "labelencoder", "labelsmap", "classesdict", "cattoname"),
    )
)
# A thousand names are 30 kilobytes.
MOST_BYTES = 4 << 20
_DEPTH = 5


def table_of(names: Sequence[str]) -> ClassTable:
    """Return the classes of these names; a thousand that are ImageNet's get its ids and synonyms."""
    return imagenet_classes() if _are_imagenets(names) else ClassTable.from_labels(list(names))


def _are_imagenets(names: Sequence[str]) -> bool:
    """Return whether names are those of ImageNet's thousand classes, in their order."""
    if len(names) != NUM_CLASSES:
        return False
    known = imagenet_classes()
    return all(index in known.rows(name) for index, name in enumerate(names))


def _differ(names: Sequence[str]) -> bool:
    """Return whether each class has a name of its own; in short lists ImageNet's two cranes do not."""
    return len(set(names)) == len(names) or _are_imagenets(names)


def classes_in(facts: Mapping[str, Any], outputs: int | None) -> ClassTable | None:
    """Return the class names that a training script left in its file, if they are as many as the outputs.

    Args:
        facts: What the file holds besides tensors, by dotted path.
        outputs: How many outputs the network has.

    >>> classes_in({"class_to_idx.dog": 1, "class_to_idx.cat": 0}, 2).labels
    ['cat', 'dog']
    >>> classes_in({"hparams.id2label": {0: "cat", 1: "dog"}}, 2).labels
    ['cat', 'dog']
    """
    fitting = [names for names in _named(facts) if len(names) == outputs]
    folders = next((names for names in fitting if all(map(str.isdecimal, names))), None)
    for names in fitting:
        for key, entries in _spread(facts).items():
            called = renamed(table_of(names), entries, by_label=is_by_label(key))
            if called is not None:
                return called
    others = [names for names in fitting if names is not folders]
    table = table_of((others or fitting)[0]) if fitting else None
    if folders is None or table is None:
        return table
    return with_folders(table, ClassTable.from_labels(folders))


def is_by_label(key: str) -> bool:
    """Return whether something is called like names by the label of a class, not by its number."""
    return plain_word(key.rpartition(".")[2]) == "cattoname"


def renamed(
    table: ClassTable, document: Any, *, by_label: bool = False, depth: int = 0
) -> ClassTable | None:
    """Return the classes as a document calls them that has a name for each label.

    Folders are often numbers (from 1 on), which stand as text in the order of the outputs (1, 10, 100, 2),
    and a file beside says what they show. Labels stay as further names, for the folders are called so.

    Args:
        table: The classes.
        document: Names by label, or what holds such.
        by_label: Whether that is known; numbers from 0 on may be those of the outputs.
        depth: How deep in a document this is.

    >>> renamed(ClassTable.from_labels(["1", "10", "2"]), {"1": "rose", "2": "iris", "10": "lily"}).labels
    ['rose', 'lily', 'iris']
    """
    if not isinstance(document, Mapping) or depth > _DEPTH:
        return None
    entries = {str(key): _last(value) for key, value in document.items()}
    labels = [info.label for info in table.classes]
    found = [name for label in labels if (name := entries.get(label)) is not None]
    numbers = [str(number) for number in range(len(labels))]
    is_either = not by_label and labels != numbers and set(labels) == set(numbers)
    if len(found) == len(labels) == len(set(found)) and not is_either and found != labels:
        return None if any(map(str.isdecimal, found)) else _with_names(table, found)
    inner = (
        renamed(table, value, by_label=by_label or is_by_label(str(key)), depth=depth + 1)
        for key, value in document.items()
    )
    return next((called for called in inner if called is not None), None)


def with_folders(table: ClassTable, own: ClassTable | None) -> ClassTable:
    """Return classes that answer to the numbers, too, that the checkpoint calls them by.

    Folder "10" is often output 2, in the order of text; its index would say otherwise.
    """
    if own is None or len(own) != len(table) or own.labels == [str(n) for n in range(len(own))]:
        return table
    if not all(info.label.isdecimal() for info in own.classes):
        return table
    pairs = zip(table.classes, own.classes, strict=True)
    return ClassTable(
        tuple(
            replace(info, synonyms=tuple(dict.fromkeys((*info.synonyms, mine.label))))
            for info, mine in pairs
        )
    )


def _with_names(table: ClassTable, names: Sequence[str]) -> ClassTable:
    """Return classes under other names, their labels further ones."""
    return ClassTable(
        tuple(
            replace(info, label=name, synonyms=(info.label, *info.synonyms))
            for info, name in zip(table.classes, names, strict=True)
        )
    )


def _last(value: Any) -> str | None:
    """Return the name in an entry: ``"tabby"``, ``["n02123045", "tabby"]``."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        value = value[-1]
    return _text(value)


def names_from(value: Any, depth: int = 0) -> list[str] | None:
    """Return the names that a list, an array or a dict holds, in the order of their numbers.

    >>> names_from({"1": "dog", "0": "cat"}), names_from({"cat": 0, "dog": 1}), names_from(["cat", 3])
    (['cat', 'dog'], ['cat', 'dog'], None)
    """
    if isinstance(value, Array):
        value = value.texts
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        return _from_text(value, depth)
    if isinstance(value, Mapping):
        pairs = [_numbered(key, name) for key, name in value.items()]
        return in_order([pair for pair in pairs if pair is not None], len(pairs))
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return None
    if value and all(isinstance(v, Mapping) and "name" in v for v in value):
        if all("id" in v for v in value):
            pairs = [_numbered(v["id"], v["name"]) for v in value]
            by_number = in_order([pair for pair in pairs if pair is not None], len(pairs))
            if by_number is not None:
                return by_number
        value = [v["name"] for v in value]
    names = [_text(v) for v in value]
    found = [name for name in names if name is not None]
    return found if found and len(found) == len(names) and _differ(found) else None


def _named(facts: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield every set of names in the facts: first those in one value, then those spread over paths."""
    spread = _spread(facts)
    for table in (*(t[""] for t in spread.values() if "" in t), *spread.values()):
        names = names_from(table)
        if names is not None:
            yield names


def _spread(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the facts hold under each of the known words; under no name what is one value."""
    spread: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in facts.items():
        parts = key.split(".")
        for place, part in enumerate(parts):
            if plain_word(part) in WORDS:
                spread[".".join(parts[: place + 1])][".".join(parts[place + 1 :])] = value
                break
    return spread


def plain_word(text: str) -> str:
    """Return a word as `WORDS` spells it."""
    return re.sub(r"[^a-z]", "", text.lower())


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _numbered(key: Any, value: Any) -> tuple[int, str] | None:
    """Return number and name of one entry: ``0: "cat"``, ``"cat": 0``, ``"0": ["n02123045", "tabby"]``."""
    if isinstance(value, list | tuple):
        value = _last(value)
    for number, name in ((key, _text(value)), (value, _text(key))):
        if name is None or isinstance(number, bool):
            continue
        if isinstance(number, int | np.integer):
            return int(number), name
    if isinstance(key, str) and key.isdecimal() and len(key) < 9 and isinstance(value, str):
        return int(key), value
    return None


def in_order(pairs: Sequence[tuple[int, str]], wanted: int) -> list[str] | None:
    """Return the names by number, if every number from 0 on is there once."""
    # From 1 on, it would be a guess whether the names or the outputs are one off.
    numbers = sorted(number for number, _ in pairs)
    if not pairs or len(pairs) != wanted or numbers != list(range(len(pairs))):
        return None
    names = [name for _, name in sorted(pairs)]
    return names if _differ(names) else None


def _from_text(text: str, depth: int) -> list[str] | None:
    """Return the names in JSON, as safetensors keep it."""
    if text[:1] not in ("[", "{") or len(text) > MOST_BYTES:
        return None
    try:
        return names_within(json.loads(text), depth + 1)
    except (ValueError, RecursionError):
        return None


def names_within(value: Any, depth: int = 0) -> list[str] | None:
    """Return the names of a document: those that it is, or those under one of the known words."""
    names = names_from(value, depth)
    if names is not None or not isinstance(value, Mapping) or depth > _DEPTH:
        return names
    known = sorted(value, key=lambda key: plain_word(str(key)) not in WORDS)
    for key in known:
        inner = value[key]
        is_named = plain_word(str(key)) in WORDS
        if is_named or isinstance(inner, Mapping):
            names = (
                names_within(inner, depth + 1)
                if isinstance(inner, Mapping)
                else names_from(inner, depth)
            )
            if names is not None and (is_named or len(names) > 1):
                return names
    return None
