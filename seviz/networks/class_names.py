"""What the outputs of a network are called: in its file, beside it, or in a list that the user gives."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seviz.errors import UsageError
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
    )
)
# Files that name classes where they lie beside a checkpoint, the plainest first.
_BESIDE = (
    *("classes.txt", "class_names.txt", "labels.txt", "names.txt", "class_to_idx.json"),
    *("idx_to_class.json", "class_indices.json", "id2label.json", "classes.json"),
    *("class_names.json", "labels.json", "label_map.json", "config.json"),
)
# A thousand names are 30 kilobytes.
_MOST_BYTES = 4 << 20
_DEPTH = 5
_FORMATS = "a name per line, JSON, YAML, CSV or .npy"


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


def classes_beside(checkpoint: Path, outputs: int | None) -> tuple[ClassTable | None, str | None]:
    """Return the class names in a file beside a checkpoint, and a remark.

    Args:
        checkpoint: The file, or the folder that holds it.
        outputs: How many outputs the network has; files of other counts are not used, and said.
    """
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    unfit = None
    for name in (f"{checkpoint.stem}_classes.txt", f"{checkpoint.stem}.classes.txt", *_BESIDE):
        try:
            names = _read(folder / name) if os.path.isfile(folder / name) else None
        except (OSError, ValueError, RecursionError):
            continue
        if names and len(names) == outputs:
            return table_of(names), f"the classes are named by {name} beside the checkpoint"
        if names and outputs is not None and name != _BESIDE[-1]:
            unfit = unfit or (
                f"{name} beside the checkpoint names {len(names)} classes, the network has {outputs} "
                "outputs: not used"
            )
    return None, unfit


def read_class_names(path: str | Path) -> ClassTable:
    """Return the classes that a file names, in the order of the network's outputs.

    Args:
        path: A name per line (with its number before or after it, if all have one), CSV, JSON or YAML (a
            list, names by number, or numbers by name, as such or as ``names``, ``id2label`` ...), or a
            ``.npy`` of text.

    Raises:
        UsageError: If it cannot be read, or names no classes.
    """
    path = Path(path).expanduser()
    try:
        names = _read(path)
    except OSError as exc:
        raise UsageError(
            f"expected a file of class names, found {exc.strerror or exc} at {path}; give --class-names FILE"
        ) from exc
    except (ValueError, RecursionError) as exc:
        reason = " ".join(str(exc).split())[:100]
        raise UsageError(
            f"expected class names ({_FORMATS}) in {path.name}, found what cannot be read ({reason})"
        ) from exc
    if not names:
        raise UsageError(
            f"expected class names ({_FORMATS}) in {path.name}, found none; a name for each output, in order"
        )
    return table_of(names)


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
        return _in_order([pair for pair in pairs if pair is not None], len(pairs))
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return None
    if value and all(isinstance(v, Mapping) and "name" in v for v in value):
        if all("id" in v for v in value):
            pairs = [_numbered(v["id"], v["name"]) for v in value]
            by_number = _in_order([pair for pair in pairs if pair is not None], len(pairs))
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
            if _word(part) not in WORDS:
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


def _word(text: str) -> str:
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


def _in_order(pairs: Sequence[tuple[int, str]], wanted: int) -> list[str] | None:
    """Return the names by number, if every number from 0 on is there once."""
    # From 1 on, it would be a guess whether the names or the outputs are one off.
    numbers = sorted(number for number, _ in pairs)
    if not pairs or len(pairs) != wanted or numbers != list(range(len(pairs))):
        return None
    names = [name for _, name in sorted(pairs)]
    return names if len(set(names)) == len(names) else None


def _from_text(text: str, depth: int) -> list[str] | None:
    """Return the names in JSON, as safetensors keep it."""
    if text[:1] not in ("[", "{") or len(text) > _MOST_BYTES:
        return None
    try:
        return _within(json.loads(text), depth + 1)
    except (ValueError, RecursionError):
        return None


def _within(value: Any, depth: int = 0) -> list[str] | None:
    """Return the names of a document: those that it is, or those under one of the known words."""
    names = names_from(value, depth)
    if names is not None or not isinstance(value, Mapping) or depth > _DEPTH:
        return names
    known = sorted(value, key=lambda key: _word(str(key)) not in WORDS)
    for key in known:
        inner = value[key]
        is_named = _word(str(key)) in WORDS
        if is_named or isinstance(inner, Mapping):
            names = (
                _within(inner, depth + 1)
                if isinstance(inner, Mapping)
                else names_from(inner, depth)
            )
            if names is not None and (is_named or len(names) > 1):
                return names
    return None


def _read(path: Path) -> list[str] | None:
    """Return the names in a file.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is not what its name says.
    """
    if not path.is_file():
        raise OSError(
            f"no file {path.name}" if not path.exists() else f"{path.name} is no file of bytes"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"over {_MOST_BYTES:,} bytes")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return names_from(np.load(path, allow_pickle=False))
    raw = path.read_bytes()
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = raw.decode("utf-16" if wide else "utf-8-sig")
    if suffix in (".yaml", ".yml"):
        import yaml  # type: ignore[import-untyped]

        try:
            return _within(yaml.safe_load(text))
        except yaml.YAMLError as exc:
            raise ValueError(f"no YAML: {exc}") from exc
    if suffix == ".json" or text.lstrip()[:1] in ("[", "{"):
        return _within(json.loads(text))
    if suffix in (".csv", ".tsv"):
        return _columns(
            list(csv.reader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","))
        )
    return _lines([line.strip() for line in text.splitlines() if line.strip()])


def _lines(lines: list[str]) -> list[str] | None:
    """Return the names of lines, by the number before or after each where all have one."""
    before = [re.match(r"(\d{1,8})\s*[:,;\s]\s*(\S.*)$", line) for line in lines]
    after = [re.match(r"(.*\S)\s*[:,;\s]\s*(\d{1,8})$", line) for line in lines]
    for matches, number, name in ((before, 1, 2), (after, 2, 1)):
        found = [m for m in matches if m is not None]
        ordered = _in_order([(int(m[number]), m[name].strip("'\", ")) for m in found], len(lines))
        if ordered is not None:
            return ordered
    return names_from(lines)


def _columns(rows: list[list[str]]) -> list[str] | None:
    """Return the names of a table with or without a header: numbers in a column of their own, or in order."""
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    for body in (rows, rows[1:]):
        if not body or len({len(row) for row in body}) != 1:
            continue
        width = len(body[0])
        numbers = [c for c in range(width) if all(row[c].isdecimal() for row in body)]
        texts = [c for c in range(width) if c not in numbers]
        for number in numbers:
            for name in texts:
                ordered = _in_order([(int(row[number]), row[name]) for row in body], len(body))
                if ordered is not None:
                    return ordered
    header = (
        bool(rows) and len(rows[0]) > 0 and _word(rows[0][0]) in WORDS | {"name", "label", "class"}
    )
    if all(len(row) == 1 for row in rows):
        return names_from([row[0] for row in rows[1 if header else 0 :]])
    return None
