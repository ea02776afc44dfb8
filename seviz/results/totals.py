"""Rows of a table that are no image of their own: sums and means under it, and images that it has twice.

People and spreadsheets put sums there. A class may be called "all" or "mean"; what a row is called is a sign
of sums only where nothing else in the table is called so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError
from seviz.results.classes import normalise
from seviz.results.columns import Column

# As normalised; in the languages of spreadsheets.
_CALLED = (
    "total|totals|grand total|sub total|subtotal|in total|sum|sums|summary|average|averages|avg|mean|means|"
    "median|std|overall|all|count|accuracy|support|macro avg|micro avg|weighted avg|gesamt|gesamtsumme|"
    "insgesamt|summe|mittelwert|durchschnitt|somme|moyenne|total général|ensemble|suma|promedio|media|"
    "total general|totale|somma|soma|média|totaal|gemiddelde|итого|всего|среднее|сумма|总计|合计|总数|平均|"
    "平均值|合計|総計|합계|총계|평균"
)
_WORDS = frozenset(_CALLED.split("|"))
# Images below which numbers may be the sum of the others by chance.
_FEW_ROWS = 10


def is_total(text: str) -> bool:
    """Return whether a row of sums or means may be called so.

    >>> is_total("Grand Total:"), is_total("totem")
    (True, False)
    """
    # Long texts are paths or sentences; the words are short.
    return len(text) <= 32 and normalise(re.sub(r"^[\s*#=]+|[\s*:=.]+$", "", text)) in _WORDS


def total_beside(last: Sequence[Mapping[int, str]]) -> str | None:
    """Return what the last row of a table is called outside of its columns of classes, if by such a word.

    Args:
        last: The last two rows, as `Read.last`; a column that always says "mean" is of something else.
    """
    if len(last) < 2:
        return None
    before, row = last
    named = (text for place, text in row.items() if text != before.get(place) and is_total(text))
    return next(named, None)


def check_no_totals(
    last: Sequence[Mapping[int, str]],
    true: Column,
    predicted: Column,
    indexed: Callable[[], bool],
    file: str,
) -> None:
    """Refuse a table of answers with a row of sums or means in it: it would count as an image.

    Args:
        last: The last two rows, as `Read.last`.
        true: The true classes.
        predicted: The predicted ones.
        indexed: Whether the table has an index for each class, which makes it one whatever it is called.
        file: Its name, for messages.

    Raises:
        DataError: If there is one.
    """
    beside = total_beside(last)
    if beside is not None:
        raise _refused(repr(beside), len(true.codes), file)
    for column, other in ((true, predicted), (predicted, true)):
        # What a class is called would be found, or missed, elsewhere as well.
        times = np.bincount(column.codes, minlength=len(column.texts))
        for place in np.flatnonzero(times == 1).tolist():
            text = column.texts[place]
            if is_total(text) and text not in other.texts and not indexed():
                raise _refused(repr(text), int(np.argmax(column.codes == place)) + 1, file)
    if len(true.codes) > _FEW_ROWS and _is_sum(true) and _is_sum(predicted):
        found = f"{true.texts[true.codes[-1]]}, the sum or the mean of all others,"
        raise _refused(found, len(true.codes), file)


def _is_sum(column: Column) -> bool:
    """Return whether the last number is the sum, or the mean, of all others, and like none of them."""
    try:
        numbers = np.array([float(text) for text in column.texts])
    except ValueError:
        return False
    last, *_ = column.codes[-1:].tolist()
    others = np.bincount(column.codes[:-1], minlength=len(numbers))
    if others[last] or not np.isfinite(numbers).all():
        return False
    total, most = float(others @ numbers), float(numbers[others > 0].max())
    is_mean = np.isclose(numbers[last], total / others.sum(), rtol=1e-4, atol=0) and (
        numbers[last] != np.rint(numbers[last])
    )
    return bool(is_mean) or (numbers[last] == total and total > 2 * most)


def _refused(found: str, row: int, file: str) -> DataError:
    return DataError(
        f"expected an image in every row of {file}, found {found} in row {row}, as in a row of sums; take it "
        "out, or rename what is called so"
    )


def repeated(paths: Sequence[str], classes: npt.NDArray[np.int64]) -> str | None:
    """Return a remark where rows name an image of one class that a row before them names.

    Args:
        paths: Of each row, [N]; empty where it is not known.
        classes: True class of each row, int64 [N]: images of two folders are often called alike.

    >>> repeated(["a.png", "b.png", "a.png"], np.array([0, 0, 0]))
    '1 of 3 rows name an image that a row before them names (a.png): it counts once for each row'
    >>> repeated(["1.png", "1.png", "", ""], np.array([0, 1, 1, 1]))
    """
    named = [path for path in paths if path]
    if len(set(named)) == len(named):
        return None
    seen: set[tuple[str, int]] = set()
    again = []
    for pair in zip(paths, classes.tolist(), strict=True):
        if pair[0] and pair in seen:
            again.append(pair[0])
        seen.add(pair)
    if not again:
        return None
    return (
        f"{len(again):,} of {len(paths):,} rows name an image that a row before them names "
        f"({again[0]}): it counts once for each row"
    )
