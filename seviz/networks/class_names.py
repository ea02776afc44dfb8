"""What the outputs of a network are called, in whatever form a file of weights or of names holds it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    if len(names) == NUM_CLASSES:
        known = imagenet_classes()
        if all(index in known.rows(name) for index, name in enumerate(names)):
            return known
    return ClassTable.from_labels(list(names))


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
    for names in _named(facts):
        if len(names) == outputs:
            return table_of(names)
    return None


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
    return found if found and len(found) == len(names) == len(set(found)) else None


def _named(facts: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield every set of names in the facts: first those in one value, then those spread over paths."""
    spread: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in facts.items():
        parts = key.split(".")
        for place, part in enumerate(parts):
            if plain_word(part) not in WORDS:
                continue
            rest = ".".join(parts[place + 1 :])
            if rest:
                spread[".".join(parts[: place + 1])][rest] = value
            elif (names := names_from(value)) is not None:
                yield names
            break
    for table in spread.values():
        names = names_from(table)
        if names is not None:
            yield names


def plain_word(text: str) -> str:
    """Return a word as `WORDS` spells it."""
    return re.sub(r"[^a-z]", "", text.lower())


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _numbered(key: Any, value: Any) -> tuple[int, str] | None:
    """Return number and name of one entry: ``0: "cat"``, ``"cat": 0``, ``"0": ["n02123045", "tabby"]``."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        value = value[-1]
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
    return names if len(set(names)) == len(names) else None


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
