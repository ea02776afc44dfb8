"""Tables that users write: distances of classes, logs of trainings, predictions."""

from __future__ import annotations

import csv
import io
import random
import re
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np

from fuzz.reader import Content, Reader

_CLASSES = ("ant", "bee", "cat")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _number(cell: str) -> float | None:
    return float(cell) if _NUMBER.fullmatch(cell) else None


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _make_distances(folder: Path) -> Path:
    path = folder / "distances.csv"
    path.write_text("class,other,distance\nant,bee,1.5\nbee,cat,2\nant,cat,0.25\n")
    return path


def _make_square(folder: Path) -> Path:
    path = folder / "square.csv"
    path.write_text(
        ",ant,bee,elk,cat\nant,0,1.5,7,0.25\nbee,1.5,0,8,2\nelk,7,8,0,9\ncat,0.25,2,9,0\n"
    )
    return path


def _read_distances(path: Path) -> Content:
    from seviz.results.classes import ClassTable
    from seviz.results.distances import read_distances

    return {"distances": read_distances(path, ClassTable.from_labels(_CLASSES))}


def _class(cell: str) -> int | None:
    """Return the place of a class by its name or its number, however it is written."""
    word = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", cell).casefold()
    if word in _CLASSES:
        return _CLASSES.index(word)
    return int(word) if re.fullmatch("0*[012]", word) else None


def _judge_distances(path: Path) -> Content:
    """Read by hand: a line for each pair, with or without titles, or a square."""
    rows = [[c.strip() for c in row] for row in csv.reader(io.StringIO(_text(path), newline=""))]
    rows = [row for row in rows if row]
    if len(rows[0]) == len(rows) and [row[0] for row in rows[1:]] == rows[0][1:]:
        pairs = [
            (row[0], name, cell)
            for row in rows[1:]
            for name, cell in zip(rows[0][1:], row[1:], strict=True)
        ]
    else:
        assert {len(row) for row in rows} == {3}
        pairs = [(a, b, cell) for a, b, cell in rows[_number(rows[0][2]) is None :]]
    found = np.full((3, 3), np.nan)
    for one, other, cell in pairs:
        value, places = _number(cell), (_class(one), _class(other))
        assert value is not None
        assert value >= 0
        if None not in places:
            for place in (places, places[::-1]):
                assert np.isnan(found[place]) or found[place] == value or places[0] == places[1]
                found[place] = value
    np.fill_diagonal(found, 0)
    return {"distances": found}


def _make_log(folder: Path) -> Path:
    path = folder / "log.csv"
    path.write_text("epoch,loss,top1\n1,0.5,40\n2,0.25,60\n3,0.125,\n")
    return path


def _make_log_of_steps(folder: Path) -> Path:
    """As Lightning writes it: a row for training and one for validation of each epoch."""
    path = folder / "metrics.csv"
    path.write_text(
        'epoch;step;train loss;"val;acc"\n0;9;1.5;\n0;9;;0.25\n1;19;0.75;\n1;19;;0.5\n2;29;1e-3;\n'
    )
    return path


def _read_log(path: Path) -> Content:
    from seviz.results.tracking import read_log

    log = read_log(path)
    return {"epochs": log.epochs, **{f"column {k}": np.array(v) for k, v in log.columns.items()}}


def _shown(title: str) -> str:
    """Return the name of a column: what is not seen is escaped, and a long one lacks its middle."""
    letters = (
        c if c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in title.strip()
    )
    name = "".join(letters)
    return name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}"


def _judge_log(path: Path) -> Content:
    """Read by hand, with the separator by which there is a column of epochs."""
    for separator in ",;\t":
        rows = list(csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator))
        rows = [row for row in rows if row]
        titles = [_shown(title) for title in rows[0]] if rows else []
        if "epoch" in map(str.lower, titles):
            break
    key = [title.lower() for title in titles].index("epoch")
    known: dict[float, dict[str, float]] = {}
    for row in rows[1:]:
        epoch = _number(row[key].strip()) if key < len(row) else None
        if epoch is None or abs(epoch) > 1e9:
            continue
        own = known.setdefault(epoch, {})
        for place, (title, cell) in enumerate(zip(titles, row, strict=False)):
            value = _number(cell.strip())
            if place != key and value is not None and abs(value) <= 1e100:
                own[title] = value
    epochs = sorted(known)
    return {
        "epochs": tuple(epochs),
        **{
            f"column {title}": np.array([known[e].get(title, np.nan) for e in epochs])
            for title in titles
        },
    }


def _table(file: str) -> Any:
    def make(folder: Path) -> Path:
        from seviz.results.predictions import PredictionTable, write_predictions

        rng = random.Random(1)
        labels = ("ant", "bee", "čáp", "=dog")
        true = np.array([rng.randrange(4) for _ in range(40)])
        other = np.array([rng.randrange(4) for _ in range(40)])
        sure = np.array([rng.random() for _ in range(40)])
        paths = tuple(f"{labels[t]}/{i}.png" for i, t in enumerate(true))
        table = PredictionTable(labels, true, np.where(sure < 0.6, true, other), sure, paths)
        return write_predictions(table, folder / file)

    return make


def _read_table(path: Path) -> Content:
    from seviz.analysis import scores
    from seviz.results.predictions import read_predictions

    table = read_predictions(path)
    evaluation = table.evaluation()
    scores(evaluation)
    return {"rows": len(table), "top1": float(np.mean(table.true == table.predicted))}


def _judge_table(path: Path) -> Content:
    import pandas

    from seviz.results.spelling import composed

    if path.suffix == ".parquet":
        frame = pandas.read_parquet(path)
    else:
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    frame = frame[(frame != "").any(axis=1)]
    true, predicted = ([composed(str(v).strip()) for v in frame[n]] for n in ("true", "predicted"))
    return {
        "rows": len(frame),
        "top1": float(np.mean([a == b for a, b in zip(true, predicted, strict=True)])),
    }


READERS = (
    Reader("distances.csv", "table", _make_distances, _read_distances, _judge_distances),
    Reader("distances, square", "table", _make_square, _read_distances, _judge_distances),
    Reader("training log", "table", _make_log, _read_log, _judge_log),
    Reader("training log of steps", "table", _make_log_of_steps, _read_log, _judge_log),
    Reader("predictions.csv", "table", _table("p.csv"), _read_table, _judge_table),
    Reader("predictions.parquet", "table", _table("p.parquet"), _read_table, _judge_table),
)
