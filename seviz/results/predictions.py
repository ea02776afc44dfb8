"""One row per image: what it is, what it was taken for, and how surely. Needs NumPy, never torch.

Written by ``seviz confusion --predictions``, and read from any tool that writes CSV or Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError, UsageError
from seviz.results.columns import Column, Wanted, read_text
from seviz.results.evaluation import Calibration, Evaluation, Floats, Ints
from seviz.results.files import (
    PREDICTION_SUFFIXES,
    csv_writer,
    inert,
    is_predictions,
    written_whole,
)
from seviz.results.notebook import summary_html
from seviz.results.parquet import pyarrow_for, read_parquet
from seviz.results.record import CALIBRATION_BINS, TOP
from seviz.results.shares import shown_share
from seviz.results.spelling import class_names, composed, whole_number
from seviz.results.totals import check_no_totals, repeated

MOST_CLASSES = 10_000
# Different classes and rows below which it is no sign of anything that most are one off.
_FEW, _FEW_ROWS = 3, 10
# What other tools call the columns; the first name of each is ours.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "true": "true y_true label true_label true_class target targets actual actual_class actual_label "
        "truth ground_truth groundtruth gt gold gold_label labels reference expected y y_test y_actual",
        "predicted": "predicted y_pred prediction predicted_label predicted_class pred pred_label "
        "pred_class predictions preds y_hat y_predicted predict",
        "confidence": "confidence conf score probability prob max_prob max_probability pred_prob",
        "path": "path file filename file_name filepath file_path image image_path",
    }.items()
}

# Taken where there is none of those: what is as often called so and is something else.
WEAK: Mapping[str, tuple[str, ...]] = {
    "true": ("class", "class_name", "class_id", "category", "true_index"),
    "predicted": ("predicted_index",),
}
TOPS = tuple(f"top{k}" for k in range(1, TOP + 1))
INDICES = {"true_index": "true", "predicted_index": "predicted"}


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """The answer for each image.

    Attributes:
        labels: Names of the classes, in order.
        true: Position of each image's class in ``labels``, int64 [N].
        predicted: Position of the predicted class, int64 [N].
        confidence: Probability of the predicted class, 0..1, float64 [N], where it is known.
        paths: Name of each image below the folder of the data, where it is known.
        top: Positions of the k classes with the largest outputs, largest first, int64 [N, k].
        probability: Their probabilities, float64 [N, k].
        subject: What was evaluated on what, for people.
        notes: Remarks on how the table was read.
    """

    labels: tuple[str, ...]
    true: Ints
    predicted: Ints
    confidence: Floats | None = None
    paths: tuple[str, ...] | None = None
    top: Ints | None = None
    probability: Floats | None = None
    subject: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.true)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how many answers to how many classes, and how many are right."""
        right = float((self.true == self.predicted).mean()) if len(self) else None
        numbers = {
            "images": f"{len(self):,}",
            "classes": f"{len(self.labels):,}",
            "top-1": shown_share(right, ".2%") if right is not None else "",
        }
        hint = "seviz.scores(table.evaluation()); seviz.confusion(table.evaluation())"
        return summary_html(self.subject or "answers", numbers, hint)

    def evaluation(self) -> Evaluation:
        """Return the counts of the classes that occur, as true class or as predicted one.

        >>> table = PredictionTable(("cat", "dog"), np.array([0, 0, 1]), np.array([0, 1, 1]))
        >>> table.evaluation().counts.tolist()
        [[1, 1], [0, 1]]
        """
        used = np.union1d(self.true, self.predicted)
        classes = len(used)
        true, predicted = (np.searchsorted(used, which) for which in (self.true, self.predicted))
        cells = np.bincount(true * classes + predicted, minlength=classes**2)
        right = true == predicted
        top5 = None
        if self.top is not None and len(self.labels) > TOP <= self.top.shape[1]:
            hits = (self.top[:, :TOP] == self.true[:, None]).any(axis=1)
            top5 = np.bincount(true[hits], minlength=classes)
        calibration = None
        if self.confidence is not None:
            calibration = _calibrate(true, right, self.confidence, classes)
        return Evaluation(
            labels=tuple(self.labels[i] for i in used),
            counts=cells.reshape(classes, classes),
            top5=top5,
            calibration=calibration,
            subject=self.subject,
        )


def _calibrate(
    true: npt.NDArray[np.intp], right: npt.NDArray[np.bool_], confidence: Floats, classes: int
) -> Calibration:
    place = np.clip(np.ceil(confidence * CALIBRATION_BINS), 1, CALIBRATION_BINS).astype(int) - 1
    cell = true * CALIBRATION_BINS + place
    shape, size = (classes, CALIBRATION_BINS), classes * CALIBRATION_BINS
    return Calibration(
        np.bincount(cell, minlength=size).reshape(shape),
        np.asarray(np.bincount(cell, confidence, minlength=size), np.float64).reshape(shape),
        np.bincount(cell[right], minlength=size).reshape(shape),
    )


def write_predictions(table: PredictionTable, path: str | Path) -> Path:
    """Write one row per image, as CSV or as Parquet by the suffix of ``path``.

    The columns are ``path``, ``true``, ``true_index``, ``predicted``, ``predicted_index``,
    ``confidence``, then ``top1`` ... ``top5`` and ``probability1`` ... ``probability5``; what is not
    known is left out. In CSV, a name that a spreadsheet would run as a formula gets an apostrophe before
    it, which `read_predictions` takes off.

    Raises:
        UsageError: If the suffix is none of .csv, .tsv, .parquet, .pq, or Parquet needs pyarrow.
    """
    target = Path(path)
    check_writable(target)
    names = np.array(table.labels, dtype=object)
    columns: dict[str, Any] = {}
    if table.paths is not None:
        columns["path"] = list(table.paths)
    for kind, which in (("true", table.true), ("predicted", table.predicted)):
        columns |= {kind: names[which].tolist(), f"{kind}_index": which.tolist()}
    if table.confidence is not None:
        columns["confidence"] = table.confidence.tolist()
    for name, places, shown in (
        ("top", table.top, names),
        ("probability", table.probability, None),
    ):
        if places is not None:
            for k in range(places.shape[1]):
                values = places[:, k] if shown is None else shown[places[:, k]]
                columns[f"{name}{k + 1}"] = values.tolist()
    with written_whole(target) as temporary:
        if target.suffix.lower() in (".csv", ".tsv"):
            with temporary.open("w", newline="", encoding="utf-8") as file:
                separator = "\t" if target.suffix.lower() == ".tsv" else ","
                writer = csv_writer(file, separator)
                writer.writerow(columns)
                shown_columns = [_shown(c) for c in columns.values()]
                writer.writerows(zip(*shown_columns, strict=True))
        else:
            pyarrow, parquet = pyarrow_for(target)
            with temporary.open("wb") as file:
                parquet.write_table(pyarrow.table(columns), file)
    return target


def check_writable(path: str | Path) -> None:
    """Make sure that predictions can be written under this name, before a pass and not after it.

    Raises:
        UsageError: If the suffix is none of ours, or Parquet is wanted and pyarrow is not installed.
    """
    target = Path(path)
    if not is_predictions(target):
        raise UsageError(
            f"expected a name that ends in {', '.join(PREDICTION_SUFFIXES)} for the predictions, found "
            f"{target.name!r}; end it in .csv"
        )
    if target.suffix.lower() in PREDICTION_SUFFIXES[2:]:
        pyarrow_for(target)


def _shown(values: list[Any]) -> list[Any]:
    if values and isinstance(values[0], float):
        return [f"{v:.9g}" for v in values]
    return list(map(inert, values)) if values and isinstance(values[0], str) else values


def read_predictions(path: str | Path) -> PredictionTable:
    """Read a table of predictions from any tool: CSV, TSV or Parquet with a row of column names.

    A column of true and one of predicted classes are needed, by name or by index; confidence, path and
    ``top1`` ... are taken where they are there. Columns may be called as scikit-learn, pandas users and
    other tools call them (``y_true``, ``label``, ``target``; ``y_pred``, ``prediction``; ``score``).
    Classes are ordered by ``true_index`` and ``predicted_index`` where the table has these, else by
    number where all are numbers, else by name.

    Whole numbers are one class however a column writes them (``3``, ``3.0``); with leading zeros they are
    names, and ``007`` is another class than ``7``. Where the two columns seem to write one class in two ways,
    that is an error.

    Raises:
        DataError: If there is no such file, a column is missing or there twice, a cell is empty, a class may
            be one or two, a row is one of sums, a confidence is not between 0 and 1, or there are more than
            16,777,216 rows.
        UsageError: If it is Parquet, and pyarrow is not installed.
    """
    source = Path(path)
    if not source.is_file():
        raise DataError(
            f"expected a table of predictions at {source}, found nothing; check the path"
        )
    read_columns = read_parquet if source.suffix.lower() in PREDICTION_SUFFIXES[2:] else read_text
    read = read_columns(source, lambda names: _wanted(names, source.name))
    if not read.rows:
        raise DataError(f"expected rows in {source.name}, found only column names; write it again")
    classes = {role: _composed(column) for role, column in read.classes.items()}
    for role in ("true", "predicted", *TOPS):
        if role in classes and (row := classes[role].first_row("")) is not None:
            raise DataError(
                f"expected a class in every row of {source.name}, found none for {role!r} in row {row}; "
                "fill it in, or take the row out"
            )
    true, predicted = classes["true"], classes["predicted"]
    named = class_names(true.texts, predicted.texts, source.name)
    if len(set(named.values())) > MOST_CLASSES:
        raise DataError(
            f"expected at most {MOST_CLASSES:,} classes in {source.name}, found "
            f"{len(set(named.values())):,}; check which columns hold the classes"
        )
    check_no_totals(
        read.last,
        true,
        predicted,
        lambda: _indices(classes, named, source.name) is not None,
        source.name,
    )
    top = _top(classes, named)
    labels, position = _order(classes, named, top, source.name)

    def places(column: Column) -> Ints:
        return np.array([position[t] for t in column.texts], np.int64)[column.codes]

    at = places(true), places(predicted)
    _check_beginning(*at, labels, source.name)
    best = np.stack([places(column) for column in top], axis=1) if top else None
    _check_top(best, labels, source.name)
    paths = read.texts.get("path")
    again = repeated(paths, at[0]) if paths is not None else None
    return PredictionTable(
        labels=labels,
        true=at[0],
        predicted=at[1],
        confidence=_confidence(read.numbers.get("confidence"), source.name),
        paths=tuple(paths) if paths is not None else None,
        top=best,
        subject=source.name,
        notes=(again,) if again is not None else (),
    )


def _wanted(names: Sequence[str], file: str) -> Wanted:
    """Return which columns are read."""
    plain = [re.sub(r"\W+", "_", name.strip()).lower() for name in names]
    picked = {role: _pick(role, plain, file) for role in SYNONYMS}
    for role in ("true", "predicted"):
        if picked[role] is None:
            shown = ", ".join(plain[:20]) + (", ..." if len(plain) > 20 else "")
            raise DataError(
                f"expected a column {role!r} in {file}, found {shown or 'none'}; rename one (also known: "
                f"{', '.join(SYNONYMS[role][1:6])}), in a CSV in UTF-8"
            )
    extra = (name for name in (*TOPS, *INDICES) if name in plain)
    used = {role: name for role, name in picked.items() if name is not None}
    used |= {name: name for name in extra}
    for name in used.values():
        if plain.count(name) > 1:
            raise DataError(
                f"expected one column {name!r} in {file}, found {plain.count(name)}; rename or take out what "
                "is not meant"
            )
    places = {role: plain.index(name) for role, name in used.items()}
    others = ("confidence", "path")
    return Wanted(
        classes={role: place for role, place in places.items() if role not in others},
        numbers={role: place for role, place in places.items() if role == "confidence"},
        texts={role: place for role, place in places.items() if role == "path"},
    )


def _pick(role: str, columns: Sequence[str], file: str) -> str | None:
    """Return the column of this role; our own name for it goes before those of others."""
    there = [name for name in SYNONYMS[role] if name in columns]
    there = there or [name for name in WEAK.get(role, ()) if name in columns][:1]
    if len(there) > 1 and there[0] != role and role in ("true", "predicted"):
        raise DataError(
            f"expected one column for the {role} class in {file}, found {', '.join(there)}; rename the "
            f"right one to {role!r}"
        )
    return there[0] if there else None


def _composed(column: Column) -> Column:
    """Return a column whose texts have their letters composed, each text once."""
    texts = [composed(text) for text in column.texts]
    if len(set(texts)) == len(texts):
        return Column(tuple(texts), column.codes)
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return Column(tuple(place), np.array([place[t] for t in texts], np.int64)[column.codes])


def _confidence(numbers: Floats | None, file: str) -> Floats | None:
    if numbers is None:
        return None
    # Rounding may leave a little more than 1.
    wrong = ~((numbers >= 0) & (numbers <= 1 + 1e-6))
    if wrong.any():
        raise DataError(
            f"expected confidences from 0 to 1 in {file}, found {numbers[wrong][0]:g} in row "
            f"{int(np.argmax(wrong)) + 1}; write probabilities, or take the column out"
        )
    return np.asarray(np.minimum(numbers, 1.0))


def _top(classes: Mapping[str, Column], named: Mapping[str, str]) -> list[Column]:
    """Return the columns of the largest outputs, as far as they serve for counting the five largest."""
    there = [name in classes for name in (*TOPS, "")]
    top = [classes[name] for name in TOPS[: there.index(False) if False in there else TOP]]
    return [] if len(top) < TOP and len(set(named.values())) > len(top) else top


def _check_beginning(true: Ints, predicted: Ints, labels: Sequence[str], file: str) -> None:
    """Refuse columns one of which numbers the classes from 0, the other from 1."""
    numbers = [whole_number(label) for label in labels]
    known = np.array([n if n is not None and abs(n) < MOST_CLASSES else -2 for n in numbers])
    mine, theirs = known[true], known[predicted]
    if (mine == theirs).any() or min(mine.min(), theirs.min()) < -1 or len(mine) < _FEW_ROWS:
        return
    step = int(mine.min() - theirs.min())
    if min(len(set(mine)), len(set(theirs))) < _FEW or mine.max() - theirs.max() != step:
        return
    share = float((theirs + step == mine).mean())
    if abs(step) == 1 and share > 1 / 2:
        raise DataError(
            f"expected true and predicted classes numbered alike in {file}, found {mine.min()} to "
            f"{mine.max()} and {theirs.min()} to {theirs.max()}: no row is right so, and {share:.0%} are "
            f"where {theirs.min()} stands for {mine.min()}; number both from 0"
        )


def _check_top(top: Ints | None, labels: Sequence[str], file: str) -> None:
    if top is None:
        return
    ordered = np.sort(top, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        row = int(np.argmax(twice))
        found = next(i for i in top[row] if (top[row] == i).sum() > 1)
        raise DataError(
            f"expected different classes in top1, top2, ... of {file}, found {labels[found]!r} twice in row "
            f"{row + 1}; write it again"
        )


def _order(
    classes: Mapping[str, Column], named: Mapping[str, str], top: Sequence[Column], file: str
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the labels in order, and the position of the class that each text stands for."""
    every = dict(named)
    numeric = all(whole_number(name) is not None for name in named.values())
    for column in top:
        for text in column.texts:
            number = whole_number(text)
            every.setdefault(text, str(number) if numeric and number is not None else text)
    counted = set(named.values())
    known: dict[str, Any] = {name: name for name in counted}
    if indices := _indices(classes, named, file):
        known = dict(indices)
    elif numeric:
        known = {name: whole_number(name) for name in counted}
    # What only stands among the five largest outputs comes last: it is no class that is counted.
    first = sorted(counted, key=lambda name: known[name])
    labels = (*first, *sorted(set(every.values()) - counted))
    place = {name: i for i, name in enumerate(labels)}
    return labels, {text: place[name] for text, name in every.items()}


def _indices(
    classes: Mapping[str, Column], named: Mapping[str, str], file: str
) -> dict[str, int] | None:
    """Return the index of each class, where the table says it of all of them."""
    found: dict[str, int] = {}
    names: dict[int, str] = {}
    for role, of in INDICES.items():
        if role not in classes or of not in classes:
            return None
        index, column = classes[role], classes[of]
        for pair in np.unique(column.codes * len(index.texts) + index.codes).tolist():
            text, number = divmod(pair, len(index.texts))
            name, place = named[column.texts[text]], whole_number(index.texts[number])
            if place is None:
                return None
            if found.setdefault(name, place) != place or names.setdefault(place, name) != name:
                raise DataError(
                    f"expected one index for each class in {file}, found {name!r} with {place} beside "
                    f"{found[name]} ({names.get(place, name)!r}); make names and indices go together, or "
                    "take the columns of indices out"
                )
    return found
