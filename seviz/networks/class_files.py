"""Files that name a network's outputs: beside its checkpoint, or given by the user."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.errors import UsageError
from seviz.networks.class_names import (
    MOST_BYTES,
    WORDS,
    in_order,
    is_by_label,
    names_from,
    names_within,
    plain_word,
    renamed,
    table_of,
)
from seviz.results.classes import ClassTable
from seviz.results.totals import is_total

# Files that name classes where they lie beside a checkpoint, the plainest first.
_BESIDE = (
    *("classes.txt", "class_names.txt", "labels.txt", "names.txt", "class_to_idx.json"),
    *("idx_to_class.json", "class_indices.json", "id2label.json", "classes.json"),
    *("class_names.json", "labels.json", "label_map.json", "index_to_name.json"),
    *("classes.names", "obj.names", "labelmap.txt", "label_map.txt", "classes.csv", "labels.csv"),
    *("classes.yaml", "data.yaml", "classes.npy", "config.json"),
)
# What notebooks call the names of folders that are numbers.
_CALLED = "cat_to_name.json"
_HEADERS = frozenset({"name", "label", "class", "classname", "labelname", "category"})
# PyYAML reads a hundred kilobytes a second.
_MOST_YAML, _MOST_COLUMNS = 2**19, 64
_FORMATS = "a name per line, JSON, YAML, CSV or .npy"


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
        names, left_out = without_total(names or [], outputs)
        if names and len(names) == outputs:
            note = f"the classes are named by {name} beside the checkpoint"
            return table_of(names), f"{note}, but {left_out}" if left_out else note
        if names and outputs is not None and name != _BESIDE[-1]:
            unfit = unfit or (
                f"{name} beside the checkpoint names {len(names)} classes, the network has {outputs} "
                "outputs: not used"
            )
    return None, unfit


def classes_in_folder(folder: Path, outputs: int | None) -> tuple[ClassTable, str] | None:
    """Return the class names in a file of a folder, as of a data set, and what the file is called.

    Args:
        folder: The folder.
        outputs: How many outputs the network has; files of other counts are not looked at.
    """
    for name in _BESIDE:
        try:
            names = _read(folder / name) if os.path.isfile(folder / name) else None
        except (OSError, ValueError, RecursionError):
            continue
        names, _ = without_total(names or [], outputs)
        if names and len(names) == outputs:
            return table_of(names), name
    return None


def without_total(names: list[str], outputs: int | None) -> tuple[list[str], str | None]:
    """Return names without a row of sums at their end, and a remark.

    The number of outputs tells it from a class that is called so.

    Args:
        names: In the order of the outputs.
        outputs: How many the network has.

    >>> without_total(["cat", "dog", "Total"], 2), without_total(["cat", "dog", "all"], 3)[1]
    ((['cat', 'dog'], "the last, 'Total', is left out: a row of sums"), None)
    """
    if outputs and len(names) == outputs + 1 and is_total(names[-1]):
        return names[:-1], f"the last, {names[-1]!r}, is left out: a row of sums"
    return names, None


def classes_called(table: ClassTable, checkpoint: Path) -> tuple[ClassTable, str | None]:
    """Return classes whose labels are numbers or WordNet ids as a file beside the checkpoint calls them.

    Args:
        table: What the checkpoint calls them.
        checkpoint: The file, or the folder that holds it.

    Returns:
        The classes, and a remark where their names come from such a file.
    """
    if not all(re.fullmatch(r"\d{1,8}|n\d{8}", info.label) for info in table.classes):
        return table, None
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    for name in (_CALLED, *(name for name in _BESIDE if name.endswith(".json"))):
        try:
            called = _called(table, folder / name)
        except (OSError, ValueError, RecursionError):
            continue
        if called is not None:
            return called, f"the classes are called as {name} beside the checkpoint says"
    return table, None


def _called(table: ClassTable | None, path: Path) -> ClassTable | None:
    """Return classes as a document calls them by their labels.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is not what its name says.
    """
    if table is None or path.suffix.lower() not in (".json", ".yaml", ".yml"):
        return None
    text = _text_of(_content(path))
    document = _literal(text) if path.suffix.lower() == ".json" else _yaml(text)
    return renamed(table, document, by_label=is_by_label(path.stem))


def read_class_names(path: str | Path, known: ClassTable | None = None) -> ClassTable:
    """Return the classes that a file names, in the order of the network's outputs.

    Args:
        path: A name per line (with its number before or after it, if all have one), CSV, JSON or YAML (a
            list, names by number, or numbers by name, as such or as ``names``, ``id2label`` ...), or a
            ``.npy`` of text.
        known: What the checkpoint calls them: JSON or YAML may have a name for each of these labels.

    Raises:
        UsageError: If it cannot be read, or names no classes.
    """
    path = Path(path).expanduser()
    try:
        called = _called(known, path)
        if called is not None:
            return called
        names = _read(path)
    except OSError as exc:
        raise UsageError(
            f"expected a file of class names, found {exc.strerror or exc} at {path}; give --class-names FILE"
        ) from exc
    except (ValueError, RecursionError) as exc:
        reason = " ".join(str(exc).split())[:100]
        raise UsageError(
            f"expected class names ({_FORMATS}) in {path.name}, found what cannot be read ({reason}); "
            "save it anew"
        ) from exc
    if not names:
        raise UsageError(
            f"expected class names ({_FORMATS}) in {path.name}, found {_unusable(path)}; a name for each "
            "output, in order"
        )
    return table_of(names)


def _read(path: Path) -> list[str] | None:
    """Return the names in a file.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is not what its name says.
    """
    suffix = path.suffix.lower()
    content = _content(path)
    if suffix == ".npy":
        return names_from(_array(path))
    return names_in_text(content, suffix)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise OSError(
            f"no file {path.name}" if not path.exists() else f"{path.name} is no file of bytes"
        )
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES:,} bytes")
    return path.read_bytes()


def _text_of(raw: bytes) -> str:
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    return raw.decode("utf-16" if wide else "utf-8-sig")


def names_in_text(raw: bytes, suffix: str) -> list[str] | None:
    """Return the names in the content of a file of text.

    Args:
        raw: Its content.
        suffix: The end of its name, small.

    Raises:
        ValueError: If it is not what its name says.
    """
    text = _text_of(raw)
    if suffix in (".yaml", ".yml"):
        return names_within(_yaml(text))
    if suffix == ".json" or text.lstrip()[:1] in ("[", "{"):
        return names_within(_literal(text))
    if suffix in (".csv", ".tsv"):
        stream = io.StringIO(text, newline="")
        first = text.partition("\n")[0]
        # Where a comma is the decimal one.
        between = ";" if ";" in first and "," not in first else ","
        try:
            return _columns(
                list(csv.reader(stream, delimiter="\t" if suffix == ".tsv" else between))
            )
        except csv.Error as exc:
            raise ValueError(f"no table: {exc}") from exc
    return _lines([line.strip() for line in text.splitlines() if line.strip()])


def _unusable(path: Path) -> str:
    """Return what a file holds that names no outputs."""
    try:
        document = json.loads(_text_of(_content(path)))
    except (OSError, ValueError, RecursionError):
        return "none"
    known = document if isinstance(document, dict) else {}
    keys = sorted(int(key) for key in known if key.isdecimal() and len(key) < 10)
    if len(keys) < 2 or keys[0] == 0:
        return "none"
    return (
        f"numbers from {keys[0]} to {keys[-1]}, and whether output 0 is number {keys[0]}, or the numbers are "
        "folders in the order of text (1, 10, 2), is not said"
    )


def _literal(text: str) -> Any:
    """Return a document in JSON, or as Python prints a list or a dict.

    Raises:
        ValueError: If it is neither.
    """
    try:
        return json.loads(text)
    except ValueError as exc:
        # A backslash means other things in the two: damaged JSON would be read as names of nobody.
        if "\\" in text:
            raise
        try:
            return ast.literal_eval(text.strip())
        except (SyntaxError, TypeError, MemoryError, ValueError):
            raise exc from None


def _yaml(text: str) -> object:
    """Return a document of YAML.

    Raises:
        ValueError: If it is none, or larger than its slow reader is given, or has an alias: of those a line
            makes a document without end.
    """
    import yaml  # type: ignore[import-untyped]

    if len(text) > _MOST_YAML:
        raise ValueError(f"over {_MOST_YAML:,} letters of YAML")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("an alias of YAML")
        return yaml.safe_load(text)
    except (ValueError, RecursionError):
        raise
    except Exception as exc:  # a tag on what it does not fit is a KeyError, an IndexError ...
        raise ValueError(f"no YAML: {exc}") from exc


def _array(path: Path) -> npt.NDArray[np.generic]:
    """Return an array, mapped: a header that claims more than the file holds is refused by the system.

    Raises:
        ValueError: If it cannot be read.
    """
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as exc:  # what a damaged header makes NumPy do is anybody's guess
        raise ValueError(f"no array of text: {exc}") from exc


def _lines(lines: list[str]) -> list[str] | None:
    """Return the names of lines, by the number before or after each where all have one."""
    before = [re.match(r"(\d{1,8})\s*[:,;\s]\s*(\S.*)$", line) for line in lines]
    ahead = [(int(m[1]), m[2]) for m in before if m is not None]
    behind = [pair for line in lines if (pair := _number_behind(line)) is not None]
    for pairs in (ahead, behind):
        ordered = in_order([(number, name.strip("'\", ")) for number, name in pairs], len(lines))
        if ordered is not None:
            return ordered
    quoted = [re.fullmatch(r"(['\"])(.+)\1,?", line) for line in lines]
    bare = [m[2] for m in quoted if m is not None]
    return names_from(bare if len(bare) == len(lines) else lines)


def _number_behind(line: str) -> tuple[int, str] | None:
    """Return the number at the end of a line and what is before it and a separator.

    By hand, for a pattern takes the square of the blanks in a line.
    """
    number = re.search(r"(?<!\d)\d{1,8}$", line[-9:])
    if number is None:
        return None
    rest = line[: len(line) - len(number[0])]
    name = rest.rstrip()
    if name == rest:
        name = rest[:-1].rstrip() if rest[-1:] in (":", ",", ";") else ""
    return (int(number[0]), name) if name else None


def _columns(rows: list[list[str]]) -> list[str] | None:
    """Return the names of a table with or without a header: numbers in a column of their own, or in order."""
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    for body in (rows, rows[1:]):
        if not body or len({len(row) for row in body}) != 1:
            continue
        width = len(body[0])
        if width > _MOST_COLUMNS:
            return None
        numbers = [
            c for c in range(width) if all(row[c].isdecimal() and len(row[c]) < 10 for row in body)
        ]
        texts = [c for c in range(width) if c not in numbers]
        if len(body) < len(rows):  # the column that the header calls so
            texts.sort(key=lambda c: plain_word(rows[0][c]) not in WORDS | _HEADERS)
        for number in numbers:
            for name in texts:
                ordered = in_order([(int(row[number]), row[name]) for row in body], len(body))
                if ordered is not None:
                    return ordered
    header = bool(rows) and len(rows[0]) > 0 and plain_word(rows[0][0]) in WORDS | _HEADERS
    if all(len(row) == 1 for row in rows):
        return names_from([row[0] for row in rows[1 if header else 0 :]])
    return None
