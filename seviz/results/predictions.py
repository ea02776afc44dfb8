"""One row per image: what it is, what it was taken for, and how surely. Needs NumPy, never torch.

Written by ``seviz confusion --predictions``, and read from any tool that writes CSV or Parquet.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seviz.errors import DataError, UsageError
from seviz.results.evaluation import Calibration, Evaluation, Floats, Ints
from seviz.results.files import (
    PREDICTION_SUFFIXES,
    inert,
    is_predictions,
    lively,
    written_whole,
)
from seviz.results.record import CALIBRATION_BINS, TOP

MOST_CLASSES = 10_000
# What other tools call the columns; the first name of each is ours.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "true": "true y_true label true_label true_class target targets actual truth ground_truth gt "
        "labels reference expected y",
        "predicted": "predicted y_pred prediction predicted_label predicted_class pred pred_label "
        "pred_class predictions preds y_hat",
        "confidence": "confidence conf score probability prob max_prob max_probability pred_prob",
        "path": "path file filename file_name filepath file_path image image_path",
    }.items()
}

Columns = dict[str, list[str]]


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
    """

    labels: tuple[str, ...]
    true: Ints
    predicted: Ints
    confidence: Floats | None = None
    paths: tuple[str, ...] | None = None
    top: Ints | None = None
    probability: Floats | None = None
    subject: str = ""

    def __len__(self) -> int:
        return len(self.true)

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
        if self.top is not None and self.top.shape[1] >= min(TOP, len(self.labels)):
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
                writer = csv.writer(file, delimiter=separator, lineterminator="\n")
                writer.writerow(columns)
                shown_columns = [_shown(c) for c in columns.values()]
                writer.writerows(zip(*shown_columns, strict=True))
        else:
            pyarrow, parquet = _pyarrow(target)
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
        _pyarrow(target)


def _shown(values: list[Any]) -> list[Any]:
    if values and isinstance(values[0], float):
        return [f"{v:.9g}" for v in values]
    return list(map(inert, values)) if values and isinstance(values[0], str) else values


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            f"expected pyarrow for {path.name}, found it not installed; pip install 'seviz[parquet]', or "
            "use .csv"
        ) from None
    return pyarrow, pyarrow.parquet


def read_predictions(path: str | Path) -> PredictionTable:
    """Read a table of predictions from any tool: CSV, TSV or Parquet with a row of column names.

    A column of true and one of predicted classes are needed, by name or by index; confidence, path and
    ``top1`` ... are taken where they are there. Columns may be called as scikit-learn, pandas users and
    other tools call them (``y_true``, ``label``, ``target``; ``y_pred``, ``prediction``; ``score``).
    Classes are ordered by ``true_index`` and ``predicted_index`` where the table has these, else by
    number where all are numbers, else by name.

    Raises:
        DataError: If there is no such file, a column is missing or there twice, a cell is empty, or a
            confidence is not between 0 and 1.
        UsageError: If it is Parquet, and pyarrow is not installed.
    """
    source = Path(path)
    if not source.is_file():
        raise DataError(
            f"expected a table of predictions at {source}, found nothing; check the path"
        )
    read: Callable[[Path], Columns] = (
        _read_parquet if source.suffix.lower() in PREDICTION_SUFFIXES[2:] else _read_csv
    )
    columns = {re.sub(r"\W+", "_", n.strip()).lower(): v for n, v in read(source).items()}
    found = {role: _pick(role, columns, source.name) for role in SYNONYMS}
    true, predicted = found["true"], found["predicted"]
    if true is None or predicted is None:
        absent = "true" if true is None else "predicted"
        raise DataError(
            f"expected a column {absent!r} in {source.name}, found {', '.join(columns) or 'none'}; rename "
            f"one (also known: {', '.join(SYNONYMS[absent][1:6])})"
        )
    if not true:
        raise DataError(f"expected rows in {source.name}, found only column names; write it again")
    for name, values in (("true", true), ("predicted", predicted)):
        if "" in values:
            raise DataError(
                f"expected a class in every row of {source.name}, found none for {name!r} in row "
                f"{values.index('') + 1}; fill it in, or take the row out"
            )
    top = [columns[f"top{k}"] for k in range(1, TOP + 1) if f"top{k}" in columns]
    if len(top) < TOP and len({*true, *predicted}) > len(top):
        top = []
    labels, position = _classes(true, predicted, top, columns, source.name)
    return PredictionTable(
        labels=labels,
        true=np.array([position[v] for v in true], np.int64),
        predicted=np.array([position[v] for v in predicted], np.int64),
        confidence=_confidence(found["confidence"], source.name),
        paths=tuple(found["path"]) if found["path"] is not None else None,
        top=np.array([[position[v] for v in t] for t in top], np.int64).T if top else None,
        subject=source.name,
    )


def _read_csv(path: Path) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            # The one of the usual separators that the line of column names has most of.
            rows = list(csv.reader(file, delimiter=max(",;\t", key=first.count)))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(
            f"expected a table in UTF-8, found {path.name} unreadable ({exc}); save it as CSV"
        ) from exc
    names, rows = (rows[0], [row for row in rows[1:] if row]) if rows else ([], [])
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise DataError(
                f"expected {len(names)} cells in each row of {path.name}, found {len(row)} in row "
                f"{number}; quote names that hold the separator"
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {n: [lively(v.strip()) for v in c] for n, c in zip(names, columns, strict=True)}


def _read_parquet(path: Path) -> Columns:
    pyarrow, parquet = _pyarrow(path)
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as exc:
        raise DataError(
            f"expected a Parquet file, found {path.name} unreadable ({' '.join(str(exc).split())[:100]}); "
            "write it again"
        ) from exc
    return {
        name: ["" if v is None else str(v).strip() for v in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _pick(role: str, columns: Columns, file: str) -> list[str] | None:
    """Return the column of this role; our own name for it goes before those of others."""
    there = [name for name in SYNONYMS[role] if name in columns]
    if len(there) > 1 and there[0] != role and role in ("true", "predicted"):
        raise DataError(
            f"expected one column for the {role} class in {file}, found {', '.join(there)}; rename the "
            f"right one to {role!r}"
        )
    return columns[there[0]] if there else None


def _confidence(values: list[str] | None, file: str) -> Floats | None:
    if values is None:
        return None
    try:
        numbers = np.array([float(v) for v in values])
    except ValueError as exc:
        raise DataError(
            f"expected numbers as confidences in {file}, found {exc.args[0].partition(': ')[2]}; write "
            "probabilities, or take the column out"
        ) from None
    # Rounding may leave a little more than 1.
    wrong = ~((numbers >= 0) & (numbers <= 1 + 1e-6))
    if wrong.any():
        raise DataError(
            f"expected confidences from 0 to 1 in {file}, found {numbers[wrong][0]:g}; write "
            "probabilities, or take the column out"
        )
    return np.asarray(np.minimum(numbers, 1.0))


def _classes(
    true: list[str], predicted: list[str], top: Sequence[list[str]], columns: Columns, file: str
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the labels in order, and the position of each way in which a cell may name one."""
    names = {*true, *predicted}
    numbers = {name: _number(name) for name in names.union(*top)}
    kinds = [{numbers[n] is not None for n in cells} for cells in (set(true), set(predicted))]
    if len(kinds[0]) == len(kinds[1]) == 1 and kinds[0] != kinds[1]:
        raise DataError(
            f"expected true and predicted classes named alike in {file}, found {true[0]!r} and "
            f"{predicted[0]!r}; write both as names or both as indices"
        )
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"expected at most {MOST_CLASSES:,} classes in {file}, found {len(names):,}; check which "
            "columns hold the classes"
        )
    indices = {
        name: _number(index)
        for which, cells in (("true_index", true), ("predicted_index", predicted))
        for name, index in zip(cells, columns.get(which, ()), strict=False)
    }
    places = [indices.get(name) for name in names]
    if None not in places and len(set(places)) == len(names):
        known: dict[str, Any] = indices
    elif None not in numbers.values():
        # pandas writes whole numbers as 3.0 where a column once had a gap.
        known = numbers
    else:
        known = {name: name for name in names}
    # What only stands among the five largest outputs comes last: it is no class that is counted.
    first = sorted((n for n in numbers if n in known), key=lambda n: known[n])
    ranked = [*first, *sorted(n for n in numbers if n not in known)]
    shown = {n: str(numbers[n]) if known is numbers else n for n in ranked}
    place = {label: i for i, label in enumerate(dict.fromkeys(shown.values()))}
    return tuple(place), {name: place[label] for name, label in shown.items()}


def _number(text: str) -> int | None:
    return int(text.partition(".")[0]) if re.fullmatch(r"-?\d+(\.0*)?", text) else None
