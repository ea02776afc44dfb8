"""Run the tests that are marked ``nightly``, and write what came of them to ``nightly.md`` beside this file.

    make nightly
    python tests/nightly.py tests/test_zoo_sweep.py

They take every case of what other tests show on a few: each network of the zoos, each way of writing SE.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULT = HERE / "nightly.md"
HEADER = ("test", "cases", "passed", "skipped", "failed", "minutes", "outcomes", "with")
LIBRARIES = ("torch", "torchvision", "timm", "fvcore", "numpy")


@dataclass
class Sweep:
    """What came of all cases of one test.

    Attributes:
        counts: Number of cases that passed, were skipped, failed.
        seconds: Time of all of them together.
        outcomes: How often each was what a test calls its outcome.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    def row(self, name: str, words: str) -> tuple[str, ...]:
        """Return the row of the table; the words tell when it was, and with what."""
        known = [str(self.counts[kind]) for kind in ("passed", "skipped", "failed")]
        outcomes = ", ".join(f"{n} {what}" for what, n in self.outcomes.most_common())
        return (name, str(self.counts.total()), *known, f"{self.seconds / 60:.1f}", outcomes, words)


def sweeps(report: str) -> dict[str, Sweep]:
    """Return the sweeps of a report in JUnit's XML, by name: ``test_file.py::test_name``.

    >>> found = sweeps('<suite><testcase classname="tests.test_x" name="test_a[1]" time="3"/></suite>')
    >>> found["test_x.py::test_a"].row("a", "today")
    ('a', '1', '1', '0', '0', '0.1', '', 'today')
    """
    found: dict[str, Sweep] = {}
    for case in ET.fromstring(report).iter("testcase"):
        file = case.attrib["classname"].rpartition(".")[2]
        sweep = found.setdefault(f"{file}.py::{case.attrib['name'].partition('[')[0]}", Sweep())
        bad = any(case.find(kind) is not None for kind in ("failure", "error"))
        skipped = case.find("skipped") is not None
        sweep.counts["failed" if bad else "skipped" if skipped else "passed"] += 1
        sweep.seconds += float(case.attrib["time"])
        for said in case.iterfind("properties/property[@name='outcome']"):
            sweep.outcomes[said.attrib["value"]] += 1
    return dict(sorted(found.items()))


def page(found: Iterable[Iterable[str]]) -> Iterator[str]:
    """Return the lines of ``nightly.md``."""
    yield from ("# Last results of `make nightly`", "")
    yield from ("| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER))
    yield from ("| " + " | ".join(row) + " |" for row in found)


def rows(text: str) -> dict[str, dict[str, str]]:
    """Return the rows of ``nightly.md`` by name of the test, with the names of columns."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return {
        cells[0]: dict(zip(HEADER, cells, strict=True))
        for cells in lines
        if "::" in "".join(cells[:1])
    }


def main() -> int:
    """Run them all and keep the results; of files or tests that are named, those alone."""
    more = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = ["-m", "nightly", "-n", "auto", "--dist", "worksteal", f"--junitxml={report}"]
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *words, *more], check=False, cwd=HERE.parent
        ).returncode
        found = sweeps(report.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    made = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}"
    kept = rows(RESULT.read_text(encoding="utf-8")) if more else {}
    new = {name: sweep.row(name, made) for name, sweep in found.items()}
    every = {**{name: tuple(row.values()) for name, row in kept.items()}, **new}
    RESULT.write_text(
        "\n".join(page(every[name] for name in sorted(every))) + "\n", encoding="utf-8"
    )
    print("\n".join(page(new.values())))
    return code


if __name__ == "__main__":
    sys.exit(main())
