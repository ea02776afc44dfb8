"""Damaged files for every reader, a few of each: see the package ``fuzz``, and ``make fuzz`` for many."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import corpus
from fuzz.__main__ import RESULT, page
from fuzz.child import judge, read
from fuzz.damage import damaged
from fuzz.harness import FAULTS, Lost, Tally, numbered, run
from fuzz.reader import Content, Reader
from fuzz.readers import READERS

from seviz.errors import DataError

# Each starts a process, which imports torch: of these formats a crash would be the library's, in C.
WATCHED = ("torch.save", "Keras HDF5", "images.parquet")
FEW = 2


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_few(reader: Reader, tmp_path: Path) -> None:
    """In this process: the whole file is read as its judge reads it, and a few damaged ones do no harm."""
    path = reader.make(tmp_path)
    content = path.read_bytes()
    result, whole = read(reader, path)
    assert result["outcome"] == "accepted", result
    assert whole is not None
    judged = "same" if reader.judge is not None else "not judged"
    assert judge(reader, path, whole, {}) == (judged, "")
    for number in range(FEW):
        data, what = damaged(content, random.Random(f"7 {number}"), document=reader.document)
        path.write_bytes(data)
        result, found = read(reader, path)
        assert result["outcome"] in ("accepted", "refused"), (number, what, result)
        if found is not None:
            assert judge(reader, path, found, whole)[0] == judged, (number, what)


@pytest.mark.parametrize("name", corpus.CASES)
def test_what_failed_once(name: str, tmp_path: Path) -> None:
    case = corpus.CASES[name]
    reader = next(r for r in READERS if r.name == case.reader)
    path = reader.make(tmp_path)
    _, whole = read(reader, path)
    path.write_bytes(case.make())
    begin = time.process_time()
    result, found = read(reader, path)
    assert result["outcome"] in ("accepted", "refused"), result
    assert time.process_time() - begin < 10
    assert result["peak"] < 1 << 30
    if found is not None:
        assert judge(reader, path, found, whole or {})[0] == "same"


# -------------------------------------------------------------------------------------------------
# The harness sees what it is there for


def _reader(
    read: Callable[[Path], Content], judge: Callable[[Path], Content] | None = None
) -> Reader:
    return Reader("a test", "result", lambda folder: folder / "x", read, judge)


def _raise(exc: Exception) -> Callable[[Path], Content]:
    def fails(path: Path) -> Content:
        raise exc

    return fails


def _shell(path: Path) -> Content:
    os.system("true")
    return {}


def _greedy(path: Path) -> Content:
    return {"sum": float(np.ones(40 << 20).sum())}


def test_what_a_reader_does_is_seen() -> None:
    here = Path("x")
    assert read(_reader(_raise(KeyError("a"))), here)[0]["outcome"] == "bug"
    assert read(_reader(_raise(DataError("no good"))), here)[0]["outcome"] == "badly refused"
    assert (
        read(_reader(_raise(DataError("expected a, found b; do c"))), here)[0]["outcome"]
        == "refused"
    )
    shell = read(_reader(_shell), here)[0]
    assert (shell["outcome"], shell["said"]) == ("forbidden", "os.system")
    if Path("/proc/self/clear_refs").exists():
        assert read(_reader(_greedy), here)[0]["peak"] > 300 << 20


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), "same"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.5]), "other"),
        (np.array([1.0]), np.array([[1.0]]), "other"),
        (np.array([1.0]), None, "alone and other"),
    ],
)
def test_other_numbers_are_seen(ours: Any, theirs: Any, outcome: str) -> None:
    judging = _raise(ValueError("cannot")) if theirs is None else lambda path: {"a": theirs}
    reader = _reader(lambda path: {"a": ours}, judging)
    assert judge(reader, Path("x"), {"a": ours}, {"a": ours + 1})[0] == outcome
    if theirs is None:  # what the whole file says, a damaged one may say
        assert judge(reader, Path("x"), {"a": ours}, {"a": ours})[0] == "same"


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("import os; os.abort()", "crash: exit code -6"),
        ("while True: pass", "hang: over 1 s"),
    ],
)
def test_a_process_that_is_lost(does: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    from fuzz.harness import Child

    start = subprocess.Popen
    code = f"import os, sys\nos.write(int(sys.argv[1]), b'{{\"whole\": []}}\\n')\n{does}"

    def other(words: list[str], **how: Any) -> Any:
        return start([words[0], "-c", code, words[-1]], **how)

    monkeypatch.setattr(subprocess, "Popen", other)
    child = Child("PNG")
    with pytest.raises(Lost, match=re.escape(told)):
        child.reply(1.0)


@pytest.mark.nightly
def test_a_process_of_its_own() -> None:
    """The damage is the same for the same seed, and what comes of it is counted."""
    asked = list(numbered(3, 6))
    tally, again = run("classes.json", asked), run("classes.json", asked)
    assert tally.counts == again.counts
    assert tally.counts.total() == 6
    assert tally.faults == []


def test_the_last_result_is_of_the_readers_of_today_and_good() -> None:
    rows = [line.split("|")[1:-1] for line in RESULT.read_text(encoding="utf-8").splitlines()]
    found = {row[0].strip(): [cell.strip() for cell in row[2:]] for row in rows if len(row) == 9}
    assert [name for name in found if name not in ("reader", "---")] == [r.name for r in READERS]
    for name, (files, *_, bad, _, most) in found.items():
        if name not in ("reader", "---"):
            assert (int(files) >= 300, bad, int(most) < 1024) == (True, "0", True), name


def test_the_page_of_results() -> None:
    tally = Tally()
    tally.counts.update(["refused", "same", "same", "not judged"])
    line = list(page({"PNG": tally}, 0))[-1]
    assert line == "| PNG | image | 4 | 1 | 2 | 1 | 0 | 0.0 | 0 |"
    assert set(FAULTS).isdisjoint(("refused", "same", "not judged"))
