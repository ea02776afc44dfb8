"""Watches a process that reads damaged files, and counts what came of each."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
# Seconds of a processor that a file may take, and of a clock on a busy machine; bytes beyond its own.
MOST_SECONDS, MOST_WALL, MOST_MEMORY = 10.0, 120.0, 1 << 30
# What must not happen.
FAULTS = (
    *("crash", "hang", "memory", "bug", "badly refused", "forbidden"),
    *("other", "alone and other"),
)


@dataclass(frozen=True)
class Fault:
    """A file that did what no file may.

    Attributes:
        reader: The reader.
        asked: What makes the file again: seed and number, or the name in the corpus.
        what: How it was damaged.
        outcome: What it did.
        said: The message, or what differs.
    """

    reader: str
    asked: dict[str, Any]
    what: str
    outcome: str
    said: str

    def __str__(self) -> str:
        return f"{self.reader} {self.asked} ({self.what}): {self.outcome}: {self.said}"


@dataclass
class Tally:
    """What came of the files of one reader.

    Attributes:
        counts: How many had each outcome.
        faults: Those that did what no file may.
        seconds: The longest time of a processor.
        peak: The most memory, bytes.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    peak: int = 0


class Lost(Exception):  # noqa: N818
    """The process died, or was ended because it took too long; the message says which."""


class Child:
    """A process of `fuzz.child`.

    Args:
        reader: Name of its reader.
    """

    def __init__(self, reader: str) -> None:
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.child", reader, str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[writing],
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"},
        )
        os.close(writing)
        self._replies: IO[bytes] = os.fdopen(reading, "rb", 0)
        self._errors: list[str] = []
        self._buffer = b""
        self.whole = self.reply(MOST_WALL, MOST_WALL)["whole"]

    def ask(self, **what: Any) -> None:
        """Name the next file."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def reply(self, processor: float = MOST_SECONDS, clock: float = MOST_WALL) -> dict[str, Any]:
        """Wait for the next reply.

        Raises:
            Lost: If the process dies, or takes more seconds of its processor, or of the clock.
        """
        begin, used = time.monotonic(), self._used()
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if selector.select(0.5):
                    more = self._replies.read(65536)
                    if not more:
                        raise Lost(f"crash: {self._ended()}")
                    self._buffer += more
                elif self._used() - used > processor or time.monotonic() - begin > clock:
                    self.close()
                    raise Lost(f"hang: over {processor:g} s")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._ended()

    def _ended(self) -> str:
        _, errors = self._process.communicate()
        self._replies.close()
        last = errors.strip().splitlines()[-1:] or [""]
        return f"exit code {self._process.returncode} {last[0][:200]}"

    def _used(self) -> float:
        """Return the seconds of a processor that the process has used; of the clock where nobody tells."""
        try:
            content = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return time.monotonic()
        user, system = content.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def run(reader: str, asked: Iterable[dict[str, Any]], *, until: float = float("inf")) -> Tally:
    """Read damaged files.

    Args:
        reader: Name of the reader.
        asked: What makes each: ``seed`` and ``number``, or ``corpus``.
        until: Time of ``time.monotonic`` at which no further one is begun.
    """
    tally = Tally()
    child: Child | None = None
    for one in asked:
        if time.monotonic() > until:
            break
        if child is None:
            child = Child(reader)
            if child.whole[0] not in ("same", "not judged"):
                raise AssertionError(f"{reader}: the whole file is read otherwise: {child.whole}")
        what, phase = "", "making"
        try:
            child.ask(**one)
            made = child.reply(MOST_WALL, MOST_WALL)
            what, phase = made["what"], "reading"
            result = child.reply()
            tally.seconds = max(tally.seconds, result["seconds"])
            tally.peak = max(tally.peak, result["peak"])
            outcome, said = result["outcome"], result["said"]
            if result["peak"] > made["size"] + MOST_MEMORY:
                outcome, said = "memory", f"{result['peak'] >> 20:,} MB; {said}"
            elif result["seconds"] > MOST_SECONDS:
                outcome, said = "hang", f"{result['seconds']:.0f} s; {said}"
            if result["outcome"] == "accepted":
                phase = "judging"
                verdict = child.reply(6 * MOST_SECONDS)
                if outcome == "accepted":
                    outcome, said = verdict["verdict"], verdict["where"]
        except Lost as lost:
            if phase == "making":
                raise
            child = None
            outcome, _, said = str(lost).partition(": ")
            if phase == "judging":
                outcome = "not judged"
        tally.counts[outcome] += 1
        if outcome in FAULTS:
            tally.faults.append(Fault(reader, one, what, outcome, said))
    if child is not None:
        child.close()
    return tally


def numbered(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield what makes damaged files, one after the other."""
    return ({"seed": seed, "number": number} for number in range(count))
