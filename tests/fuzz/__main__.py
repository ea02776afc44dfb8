"""``python -m fuzz``: damaged files for every reader; see the package."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from fuzz import corpus
from fuzz.harness import MOST_SECONDS, Tally, numbered, run
from fuzz.readers import READERS

RESULT = Path(__file__).resolve().parent.parent / "fuzz.md"
LIBRARIES = ("torch", "safetensors", "h5py", "numpy", "pillow", "pyarrow")
# Files of each reader, of a run that is kept.
_WHOLE = 300


def page(tallies: Mapping[str, Tally], seed: int) -> Iterator[str]:
    """Return the lines of ``fuzz.md``."""
    kinds = {reader.name: reader.kind for reader in READERS}
    yield from ("# Last result of `make fuzz`", "")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield f"{datetime.now(UTC):%Y-%m-%d}; seed {seed}; {versions}."
    yield ""
    yield (
        "Accepted: read, and every number is what the format's own library reads. Bad: a crash, a hang of "
        f"over {MOST_SECONDS:g} s, over a gigabyte of memory, an error that is no line, another number."
    )
    yield ""
    yield "| reader | kind | files | refused | accepted | not judged | bad | longest, s | most memory, MB |"
    yield "|---" * 9 + "|"
    for name, tally in tallies.items():
        counts = tally.counts
        numbers = (
            counts.total(),
            counts["refused"],
            counts["same"],
            counts["not judged"],
            len(tally.faults),
        )
        cells = [
            name,
            kinds[name],
            *map(str, numbers),
            f"{tally.seconds:.1f}",
            str(tally.peak >> 20),
        ]
        yield "| " + " | ".join(cells) + " |"


def _with_others(tallies: Mapping[str, Tally], seed: int) -> list[str]:
    """Return the page, with the rows of before of readers that were not run, in the order of readers."""
    before = RESULT.read_text(encoding="utf-8").splitlines() if RESULT.exists() else []
    lines = list(page(tallies, seed))
    rows = {line.split("|")[1].strip(): line for line in (*before, *lines) if line.startswith("| ")}
    head = [line for line in lines if not line.startswith("| ") or line.startswith("| reader")]
    return [*head, *(rows[reader.name] for reader in READERS if reader.name in rows)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", help="names of readers; all by default")
    parser.add_argument(
        "-n", "--count", type=int, default=300, help="damaged files for each reader"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="end after so many, each reader its share")
    asked = parser.parse_args()
    chosen = [r for r in READERS if r.name in asked.readers] if asked.readers else list(READERS)
    if len(chosen) < len(asked.readers):
        parser.error(f"the readers are {', '.join(r.name for r in READERS)}")
    tallies: dict[str, Tally] = {}
    for reader in chosen:
        until = time.monotonic() + (asked.seconds / len(chosen) if asked.seconds else 1e9)
        kept = [
            {"corpus": name} for name, case in corpus.CASES.items() if case.reader == reader.name
        ]
        tally = run(reader.name, [*kept, *numbered(asked.seed, asked.count)], until=until)
        tallies[reader.name] = tally
        print(
            reader.name,
            dict(tally.counts),
            f"{tally.seconds:.1f} s",
            f"{tally.peak >> 20} MB",
            flush=True,
        )
        for fault in tally.faults:
            print(f"  {fault}", flush=True)
    if asked.count >= _WHOLE and not asked.seconds:
        RESULT.write_text("\n".join(_with_others(tallies, asked.seed)) + "\n", encoding="utf-8")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
