"""Tables as CSV files, whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seviz.results.files import written_whole


def number(value: float | None) -> str:
    """Return a number with nine digits; nothing for what is undefined."""
    return "" if value is None else f"{value:.9g}"


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a header and rows; return the path."""
    target = Path(path)
    with (
        written_whole(target) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return target
