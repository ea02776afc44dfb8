"""What the command line says: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from seviz.collect.distributed import launched
from seviz.errors import RecordWarning, SevizError, one_line, printable
from seviz.results.files import SCHEMA_VERSION

if TYPE_CHECKING:
    from seviz.tables.table import Table

# Lines that the details of an error take at most.
MOST_LINES = 10
# Columns of a sentence in a file or a pipe, which has no width; and of a terminal, at least.
PIPED = 110
NARROWEST = 40
# Letters of a path that stays whole on any terminal, to be copied from there; a longer word is none.
LONGEST_PATH = 1024
MARKS = {"head": "\x1b[1m", "strong": "\x1b[1m", "faint": "\x1b[2m", "alarm": "\x1b[33m"}
ROOM = len(MARKS["alarm"]) + len("\x1b[0m")


class Speaker:
    """Prints results and remarks, as the output options ask; of several processes, the first one does.

    Args:
        as_json: Print one JSON document and no text on stdout.
        quiet: No progress and no remarks.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._json, self._quiet = as_json, quiet
        self._mute = not launched().first
        self._noted: set[str] = set()
        terminal = sys.stdout.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self._colours = terminal and not plain
        # Marks are characters, too, for who counts them: a line has room for its own.
        room = ROOM if self._colours else 0
        # A pipe has no width of its own; where one is asked for, lines are as wide as that.
        asked = terminal or os.environ.get("COLUMNS", "").isdigit()
        self._width = max(NARROWEST, get_terminal_size().columns - room) if asked else None

    def remark(self, text: str) -> None:
        """Say something on stderr that is no result; a note is said once."""
        if self._quiet or self._mute or text in self._noted:
            return
        if text.startswith("note: "):
            self._noted.add(text)
        print(one_line(text), file=sys.stderr)

    def line(self, text: str = "") -> None:
        """Print one line of the result; on a terminal that is narrower several, but a path stays whole."""
        if self._json or self._mute:
            return
        from seviz.tables.text import columns_of, shortened, wrapped

        shown, width = printable(text), self._width
        if width is not None:
            shown = shortened(shown, max(LONGEST_PATH, width), width // 2)
        if width is not None and max(map(columns_of, shown.split()), default=0) < width:
            shown = wrapped(shown, width, indent="  ")
        print(shown)

    def raw(self, text: str) -> None:
        """Print text for a program, as it is."""
        if not (self._json or self._mute):
            print(printable(text))

    def say(self, text: str, mark: str = "") -> None:
        """Print a sentence of the result, in lines as wide as the terminal; ``strong`` where it matters."""
        if self._json or self._mute:
            return
        from seviz.tables.text import shortened, wrapped

        shown = printable(text)
        if self._width is not None:
            shown = shortened(shown, self._width - 2)
        for line in wrapped(shown, self._width or PIPED, indent="  ").split("\n"):
            print(self._marked(line, mark))

    def answer(self, sentences: Sequence[str]) -> None:
        """Print what a result says: the answer first, and what else is to be said of it."""
        for place, sentence in enumerate(sentences):
            self.say(sentence, "" if place else "strong")

    def tables(self, tables: Iterable[Table]) -> None:
        """Print those that have rows."""
        for table in tables:
            if table.rows:
                self.table(table)

    def table(self, table: Table) -> None:
        """Print a table under its caption and above its notes.

        Plain text where it is piped, so that it can be grepped and pasted into an issue.
        """
        if self._json or self._mute:
            return
        from seviz.tables.text import to_text

        if table.caption:
            self.say(table.caption, "head")
        print(to_text(table, self._width, self._marked if self._colours else None))
        for note in table.notes:
            self.say(note, "faint")
        print()

    def wrote(self, files: Iterable[Path]) -> None:
        """Print the files that were written, those of one name in one line."""
        kinds: dict[Path, list[str]] = {}
        for file in files:
            kinds.setdefault(file.with_suffix(""), []).append(file.suffix)
        for stem, suffixes in kinds.items():
            self.raw(f"wrote {stem}{' '.join(dict.fromkeys(suffixes))}")

    def _marked(self, text: str, how: str) -> str:
        return f"{MARKS[how]}{text}\x1b[0m" if how and self._colours else text

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


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Say what passes inside of other work warn of as the command line says it: each once, on one line."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if not issubclass(category, RecordWarning):
            plain(message, category, *rest)
        elif str(message) not in said:
            said.add(str(message))
            print(one_line(f"warning: {message}"), file=sys.stderr)

    with warnings.catch_warnings():
        plain = warnings.showwarning
        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("always", RecordWarning)
        yield


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
