"""What the command line says: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from seviz.collect.distributed import launched
from seviz.errors import SevizError, one_line, printable
from seviz.results.files import SCHEMA_VERSION

# Lines that the details of an error take at most.
MOST_LINES = 10


class Speaker:
    """Prints results and remarks, as the output options ask; of several processes, the first one does.

    Args:
        as_json: Print one JSON document and no text on stdout.
        quiet: No progress and no remarks.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._json, self._quiet = as_json, quiet
        self._mute = not launched().first

    def remark(self, text: str) -> None:
        """Say something on stderr that is no result."""
        if not (self._quiet or self._mute):
            print(printable(text), file=sys.stderr)

    def line(self, text: str = "") -> None:
        """Print one line of the result."""
        if not (self._json or self._mute):
            print(printable(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a plain table: the first column to the left, the others to the right.

        Plain text, so that it can be piped, grepped and pasted into an issue.
        """
        if self._json or self._mute:
            return
        cells = [[printable(c) for c in row] for row in (columns, *rows)]
        widths = [max(len(r[i]) for r in cells) for i in range(len(columns))]
        left = {i for i in range(len(columns)) if i == 0 or not _numeric(rows, i)}
        for row in cells:
            shown = [
                c.ljust(w) if i in left else c.rjust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            print("  ".join(shown).rstrip())

    def document(self, values: Mapping[str, Any]) -> None:
        """Print the JSON document, if that was asked for."""
        if self._json and not self._mute:
            print(json.dumps({"schema_version": SCHEMA_VERSION, **values}, allow_nan=False))

    @contextmanager
    def progress(
        self, total: int, what: str = "collecting gates"
    ) -> Iterator[Callable[[int], Any]]:
        """Show a bar with rate and time left on stderr while images go through; only on a terminal."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.0f} images/s" if task.speed else "")

        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=self._quiet or self._mute or not console.is_terminal,
            transient=True,
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)


def share_of_rest(part: int, whole: int) -> str:
    """Return how much a part of the parameters adds to the rest, in brackets; nothing if it is all.

    >>> share_of_rest(1, 5)
    ' (+25.0% over the network without them)'
    """
    return f" (+{part / (whole - part):.1%} over the network without them)" if part < whole else ""


def say_details(error: SevizError, *, as_json: bool) -> None:
    """Print the lists that an error comes with: all of them as JSON, else at most ten lines."""
    if not error.details:
        return
    if as_json:
        print(
            json.dumps(
                {
                    "schema_version": SCHEMA_VERSION,
                    "error": str(error),
                    "exit_code": error.exit_code,
                    "details": {kind: list(names) for kind, names in error.details.items()},
                }
            )
        )
        return
    # Blocks are alike: layer1.0.se.fc.weight and layer2.1.se.fc.weight are one line.
    groups = [
        (kind, pattern, count)
        for kind, names in error.details.items()
        for pattern, count in Counter(
            re.sub(r"\d+", "*", name.partition(" ")[0]) for name in names
        ).most_common()
    ]
    shown = groups if len(groups) <= MOST_LINES else groups[: MOST_LINES - 1]
    for kind, pattern, count in shown:
        print(one_line(f"  {kind}: {count} x {pattern}"), file=sys.stderr)
    if len(groups) > len(shown):
        rest = sum(count for *_, count in groups[len(shown) :])
        print(f"  and {rest} more; --json lists all of them", file=sys.stderr)


def _numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    cells = [r[column].strip("<>% ") for r in rows]
    return all(c in {"", "-"} or c[:1].isdigit() or c[:1] in "+-." for c in cells)
