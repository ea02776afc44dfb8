"""The process in which damaged files are read: one reader, one file after another, as it is told.

Replies go to a pipe of their own, since libraries speak on standard output. A reply after the reading and one
after the judging, so that whoever waits knows what it is that crashes, or takes for ever.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import seviz
from fuzz import corpus
from fuzz.damage import damaged
from fuzz.reader import Content, Reader, differences
from fuzz.readers import READERS

# What a file must never make its reader do; "pickle.find_class" is Python's own reader of pickles.
FORBIDDEN = frozenset(
    {
        *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"),
        *("pickle.find_class", "socket.connect", "socket.bind", "socket.getaddrinfo"),
    }
)
# Address space beyond what the process has: what asks for more is refused by the system.
_ROOM = 6 << 30
_COPY = str(Path(seviz.__file__).parent / "networks/formats/keras/hdf5_copy.py")
_watched: list[list[str]] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not (_watched and event in FORBIDDEN):
        return
    # HDF5 is copied in a process of its own, by a script of seviz, since its library may crash.
    if not (
        event == "subprocess.Popen" and args[0] == sys.executable and _COPY in map(str, args[1])
    ):
        _watched[-1].append(event)


sys.addaudithook(_watch)


@contextmanager
def watching() -> Iterator[list[str]]:
    """Give the list of what is done that must not be."""
    done: list[str] = []
    _watched.append(done)
    try:
        yield done
    finally:
        _watched.remove(done)


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def read(reader: Reader, path: Path) -> tuple[dict[str, Any], Content | None]:
    """Read one file, and return what came of it."""
    from seviz.errors import SevizError

    measured = Path("/proc/self/clear_refs").exists()
    if measured:
        _reset_peak()
    before, begin = _memory("VmRSS") if measured else 0, time.process_time()
    found: Content | None = None
    outcome, said = "accepted", ""
    with watching() as done, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = reader.read(path)
        except SevizError as exc:
            outcome, said = "refused", str(exc)
            if not (said.startswith("expected ") and ", found " in said and said.isprintable()):
                outcome = "badly refused"
        except Exception as exc:
            outcome, said = "bug", f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}"
    if done:
        outcome, said = "forbidden", ", ".join(sorted(set(done)))
    seconds = time.process_time() - begin
    peak = _memory("VmHWM") - before if measured else 0
    return {"outcome": outcome, "said": said, "seconds": seconds, "peak": peak}, found


def judge(reader: Reader, path: Path, found: Content, whole: Content) -> tuple[str, str]:
    """Return whether what was read is what somebody else reads, and where it is not."""
    if reader.judge is None:
        return "not judged", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            judged, other = reader.judge(path), "other"
    except Exception:
        # The judge cannot read it: then it has to be what was there before the damage, or a part of it.
        judged, other = whole, "alone and other"
    wrong = differences(reader, found, judged)
    return ("same", "") if not wrong else (other, ", ".join(wrong)[:200])


def main() -> None:
    name, replies = sys.argv[1], os.fdopen(int(sys.argv[2]), "w")
    reader = next(r for r in READERS if r.name == name)

    def reply(**values: Any) -> None:
        replies.write(json.dumps(values) + "\n")
        replies.flush()

    with tempfile.TemporaryDirectory() as folder:
        path = reader.make(Path(folder))
        content = path.read_bytes()
        first, whole = read(reader, path)
        judged = judge(reader, path, whole or {}, {})
        reply(ready=True, whole=[*judged, first["said"]], size=len(content))
        _limit()
        for line in sys.stdin:
            asked = json.loads(line)
            if "corpus" in asked:
                data, what = corpus.CASES[asked["corpus"]].make(), asked["corpus"]
            else:
                rng = random.Random(f"{asked['seed']} {name} {asked['number']}")
                data, what = damaged(content, rng, document=reader.document)
            path.write_bytes(data)
            reply(what=what, size=len(data))
            result, found = read(reader, path)
            reply(**result)
            if result["outcome"] == "accepted":
                verdict, where = judge(reader, path, found or {}, whole or {})
                reply(verdict=verdict, where=where)


def _limit() -> None:
    """Keep this machine from harm: a file that asks for everything gets an error."""
    try:
        import resource

        now = _memory("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (now + _ROOM, now + _ROOM))
    except (ImportError, OSError, ValueError):
        pass


if __name__ == "__main__":
    main()
