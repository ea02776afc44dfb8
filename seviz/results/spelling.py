"""Which texts in two columns of classes are one class: equal ones, and those that are read as one number.

Tools write a class in many ways: ``3`` comes back as ``3.0`` from a column that once had a gap, ``007`` as
``7``, a decomposed letter as a composed one. Where two texts may be one class or two, the answer would be
another accuracy, so it is an error that names them, never a guess.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from urllib.parse import unquote

from seviz.errors import DataError
from seviz.results.classes import normalise

# What spreadsheets and pandas write for a cell without a value; a class may be called so, too.
GAPS = frozenset({"nan", "NaN", "-nan", "<NA>", "#N/A", "NaT"})
_NUMBER_GAPS = frozenset({*GAPS, "NA", "N/A", "n/a", "None", "none", "null", "NULL", "NONE", "?"})
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.0*)?", re.ASCII)
_NUMERIC = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,6})?", re.ASCII)
_WNID = re.compile(r"n\d{8}")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.0*)?", re.ASCII)
# A list of one: ``['cat']``, ``(3,)``, ``tensor([3])``.
_LISTED = re.compile(r"(?:tensor|array)?[\[(]{1,3}([^\[\]()]*?),?[\])]{1,3}")
# Several classes in one cell: ``['cat', 'dog']``, ``cat|dog``.
_LIST = re.compile(r"[\[({](.*)[\])}]", re.DOTALL)
_BETWEEN = re.compile(r"[,;|]")
_STRAIGHT = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201f"), '"'),
}
_QUOTED = re.compile(r"b?(['\"])(.*)\1", re.DOTALL)


def composed(text: str) -> str:
    """Return a text with its letters composed, as they are typed; some systems take them apart."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def whole_number(text: str) -> int | None:
    """Return a whole number that is written as such, without leading zeros, or as pandas does: ``3.0``.

    >>> whole_number("3.0"), whole_number("03"), whole_number("9" * 5000)
    (3, None, None)
    """
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None


def plain_number(text: str) -> float:
    """Return the number that a cell holds, with blanks around it or not; NaN and infinity are numbers.

    Python also reads ``1_5`` and digits of other scripts as numbers; no other reader of tables does.

    Raises:
        ValueError: If it is none.

    >>> plain_number(" 1e-3")
    0.001
    """
    if "_" in text or not text.strip().isascii():
        raise ValueError(text)
    return float(text)


def class_names(true: Iterable[str], predicted: Iterable[str], file: str) -> dict[str, str]:
    """Return the name of the class that each text of two columns stands for.

    Args:
        true: The different texts of the true classes.
        predicted: Those of the predicted ones.
        file: Name of the table, for messages.

    Raises:
        DataError: If two texts may be one class, or the columns name classes in different ways.

    >>> class_names(["1.0", "2.0"], ["1", "2"], "a.csv")
    {'1.0': '1', '2.0': '2', '1': '1', '2': '2'}
    """
    columns = {"true": list(true), "predicted": list(predicted)}
    every = [*columns["true"], *columns["predicted"]]
    _check_gaps(columns, file)
    _check_kinds(columns, file)
    numbers = {text: whole_number(text) for text in every}
    if None not in numbers.values():
        for texts in columns.values():
            _check_once(texts, numbers, file)
        return {text: str(number) for text, number in numbers.items()}
    _check_one_each(columns, file)
    _check_look_alikes(columns, file)
    return {text: text for text in every}


def _check_gaps(columns: Mapping[str, list[str]], file: str) -> None:
    """Refuse what stands for no value: in one column alone, or among numbers."""
    for name, texts in columns.items():
        others = columns["predicted" if name == "true" else "true"]
        values = [t for t in (*texts, *others) if t not in _NUMBER_GAPS]
        numeric = bool(values) and all(_NUMERIC.fullmatch(t) for t in values)
        for text in texts:
            if (text in GAPS and text not in others) or (numeric and text in _NUMBER_GAPS):
                raise DataError(
                    f"expected a class in every row of {file}, found {text!r} as a {name} one, which most "
                    "tools write for a gap; fill it in, or take the rows out"
                )


def _check_kinds(columns: Mapping[str, list[str]], file: str) -> None:
    """Refuse a column of names beside one of numbers, or of WordNet ids."""
    true, predicted = ({_kind(text) for text in texts} for texts in columns.values())
    if len(true) == len(predicted) == 1 and true != predicted:
        raise _unlike(columns["true"][0], columns["predicted"][0], file)


def _kind(text: str) -> str:
    if _NUMERIC.fullmatch(text):
        return "number"
    return "WordNet id" if _WNID.fullmatch(text) else "name"


def _check_once(texts: Iterable[str], numbers: Mapping[str, int | None], file: str) -> None:
    """Refuse a column that writes one number in two ways."""
    written: dict[int | None, str] = {}
    for text in texts:
        other = written.setdefault(numbers[text], text)
        if other != text:
            raise DataError(
                f"expected each class written in one way in {file}, found {other!r} and {text!r} in one "
                "column; write both alike"
            )


def _check_one_each(columns: Mapping[str, list[str]], file: str) -> None:
    """Refuse a cell of several classes: the five best, or the labels of an image that has more than one."""
    known = {text for texts in columns.values() for text in texts}
    shared = set(columns["true"]).intersection(columns["predicted"])
    for name, texts in columns.items():
        for text in texts:
            listed = _LIST.fullmatch(text)
            # "black, white" may be a class of its own where both columns have it.
            if (listed is None and text in shared) or not _BETWEEN.search(text):
                continue
            parts = [part.strip(" '\"") for part in _BETWEEN.split(listed[1] if listed else text)]
            if len(parts) > 1 and known.issuperset(filter(None, parts)):
                raise DataError(
                    f"expected one class in each cell of {file}, found {_short(text)} as a {name} one, which "
                    "lists several; write the first, or the one that counts"
                )


def _check_look_alikes(columns: Mapping[str, list[str]], file: str) -> None:
    """Refuse two texts, each in one of the columns alone, that read alike."""
    shared = set(columns["true"]).intersection(columns["predicted"])
    own = [[t for t in texts if t not in shared] for texts in columns.values()]
    # Letters may be classes, "a" and "A": case counts, unless it is all that the columns differ in.
    for reading in (_reading,) if shared else (_reading, normalise):
        read = {reading(text): text for text in own[0]}
        for text in own[1]:
            if (other := read.get(reading(text))) is not None:
                raise _unlike(other, text, file)
    if not shared and min(map(len, own)) > 1:  # not one answer could be right
        raise _unlike(own[0][0], own[1][0], file)


def _reading(text: str) -> str:
    """Return what a text is read as: without the quotes of Python, numbers without their zeros.

    Letters that are not seen are left out, quotes are straight, signs are what HTML and addresses write for
    them, and what stands between words is one sign: ``hot_dog``, ``hot dog`` and ``hot%20dog`` read alike,
    and so do ``class_01`` and ``class 1``.
    """
    plain = unicodedata.normalize("NFKC", html.unescape(unquote(text))).translate(_STRAIGHT)
    listed = _LISTED.fullmatch(plain)
    plain = listed[1] if listed is not None else plain
    quoted = _QUOTED.fullmatch(plain)
    plain = quoted[2] if quoted is not None else plain
    if _WNID.fullmatch(plain.lower()):
        return plain.lower()
    if not plain.isascii():
        kinds = [(letter, unicodedata.category(letter)) for letter in plain]
        plain = "".join("-" if kind == "Pd" else c for c, kind in kinds if kind != "Cf")
    plain = plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain
    if not _NUMERIC.fullmatch(plain):
        apart = re.sub(r"(?<=\w)(?:[\s-]|_)+(?=\w)", " ", plain.strip())
        # "class_01", "class 1", "class1"
        return re.sub(r"(?<=[^\W\d]) (?=\d)", "", re.sub(r"(?<!\d)0+(?=\d)", "", apart))
    sign, digits, exponent = Decimal(plain).as_tuple()
    figures = "".join(map(str, digits)).lstrip("0")
    bare = figures.rstrip("0")
    if not bare:
        return "number 0"
    return f"number {'-' * sign}{bare}e{int(exponent) + len(figures) - len(bare)}"


def _unlike(true: str, predicted: str, file: str) -> DataError:
    return DataError(
        f"expected true and predicted classes named alike in {file}, found {_short(true)} and "
        f"{_short(predicted)}; write both in the same way"
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
