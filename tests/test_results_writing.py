"""Files that appear whole or not at all, in folders that others write to as well."""

from __future__ import annotations

import ast
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Run

import seviz
from seviz.results import writing
from seviz.results.writing import drop_unfinished, remove_left_overs, written_whole

posix = pytest.mark.skipif(os.name == "nt", reason="links, signals and locks of POSIX")
# Writes half of a file, says so, and waits to be killed.
HALF = """
import sys, time
from pathlib import Path
from seviz.results.writing import written_whole
with written_whole(Path(sys.argv[1])) as temporary, temporary.open("wb") as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""
# Writes the same file over and over, each time 200 times the same letter.
OFTEN = """
import sys
from pathlib import Path
from seviz.results.writing import written_whole
for _ in range(300):
    with written_whole(Path(sys.argv[1])) as temporary, temporary.open("wb") as file:
        for _ in range(200):
            file.write(sys.argv[2].encode())
            file.flush()
"""


@pytest.fixture(autouse=True)
def _untidied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_tidied", set())


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_folder_is_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.txt"
    with written_whole(target) as temporary:
        temporary.write_text("é\n", encoding="utf-8", newline="\r\n")
        assert not target.exists()
    assert target.read_bytes() == "é\r\n".encode()
    assert names(target.parent) == ["c.txt"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "c.bin"
    target.write_bytes(b"old")
    with pytest.raises(UnicodeEncodeError), written_whole(target) as temporary:
        temporary.write_text("new \ud800", encoding="utf-8")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["c.bin"]


@posix
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with written_whole(tmp_path / "a") as temporary:
            temporary.write_bytes(b"")
        (tmp_path / "b").write_bytes(b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(tmp_path / n).st_mode) for n in "ab"]
    assert modes == [0o640, 0o640]


def test_the_longest_of_names(tmp_path: Path) -> None:
    target = tmp_path / ("名" * 85)  # 255 bytes in UTF-8
    with written_whole(target) as temporary:
        temporary.write_bytes(b"x")
    assert target.read_bytes() == b"x"


@posix
@pytest.mark.parametrize("planted", ["link", "dangling", "file"])
def test_what_lies_in_the_way_is_not_written_to(
    planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the name is guessed: the file is opened exclusively, and another name taken."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    guessed = folder / f".c.txt.{'0' * 16}.seviz-tmp"
    if planted == "file":
        guessed.write_text("precious")
    else:
        guessed.symlink_to(victim if planted == "link" else tmp_path / "none")
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(tokens))
    monkeypatch.setattr(writing, "remove_left_overs", lambda folder: None)
    with written_whole(folder / "c.txt") as temporary:
        temporary.write_bytes(b"mine")
    assert (folder / "c.txt").read_bytes() == b"mine"
    assert victim.read_text() == "precious"
    assert not (tmp_path / "none").exists()
    assert os.path.lexists(guessed)


@posix
def test_a_link_that_takes_the_place_while_writing_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with written_whole(tmp_path / "c.txt") as temporary:
        (name,) = (n for n in names(tmp_path) if n.startswith("."))
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(victim)
        temporary.write_bytes(b"mine")
    assert victim.read_text() == "precious"


@posix
def test_a_link_at_the_place_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "c.txt").symlink_to(victim)
    with written_whole(tmp_path / "c.txt") as temporary:
        temporary.write_bytes(b"mine")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "c.txt").is_symlink()


def test_names_cannot_be_guessed(tmp_path: Path) -> None:
    seen = set()
    for _ in range(50):
        with written_whole(tmp_path / "c") as temporary:
            (name,) = (n for n in names(tmp_path) if n.startswith("."))
            seen.add(name)
            temporary.write_bytes(b"")
    assert len(seen) == 50


@contextmanager
def writer(target: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HALF, str(target)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            yield process
        finally:
            process.kill()


@posix
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    with writer(tmp_path / "dead.npz") as dead:
        dead.send_signal(signal.SIGKILL)
        dead.wait(timeout=30)
    assert [n[:10] for n in names(tmp_path)] == [".dead.npz."]
    with writer(tmp_path / "alive.npz"):  # the next run, which tidies first
        assert [n[:11] for n in names(tmp_path)] == [".alive.npz."]
        remove_left_overs(tmp_path)
        assert [n[:11] for n in names(tmp_path)] == [".alive.npz."]


def test_files_of_others_stay(tmp_path: Path) -> None:
    kept = [".c.0.tmp", "c.seviz-tmp", f".c.{'0' * 15}.seviz-tmp", f".c.{'g' * 16}.seviz-tmp"]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f".f.{'0' * 16}.seviz-tmp").mkdir()
    gone = tmp_path / f".c.{'0' * 16}.seviz-tmp"
    gone.write_bytes(b"half")
    remove_left_overs(tmp_path)
    assert names(tmp_path) == sorted([*kept, f".f.{'0' * 16}.seviz-tmp"])


@posix
def test_a_forked_process_looks_for_left_overs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that its parent has looked through may be gone, and another have its number."""
    remove_left_overs(tmp_path)
    left = tmp_path / f".c.{'0' * 16}.seviz-tmp"
    left.touch()
    remove_left_overs(tmp_path)
    assert left.exists()  # once in a process
    monkeypatch.setattr("os.getpid", lambda: -1)
    remove_left_overs(tmp_path)
    assert not left.exists()


def test_a_pipe_and_a_link_among_left_overs(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    os.mkfifo(folder / f".p.{'0' * 16}.seviz-tmp")
    (folder / f".l.{'0' * 16}.seviz-tmp").symlink_to(victim)
    remove_left_overs(folder)  # does not wait for the writer of the pipe
    assert len(names(folder)) == 2
    assert victim.read_text() == "precious"


@posix
def test_of_two_writers_one_wins_whole(tmp_path: Path) -> None:
    target = tmp_path / "c.bin"
    words = [[sys.executable, "-c", OFTEN, str(target), letter] for letter in "ab"]
    both = [subprocess.Popen(w) for w in words]
    seen = set()
    while any(p.poll() is None for p in both):
        if target.exists():
            seen.add(target.read_bytes())
    assert [p.wait() for p in both] == [0, 0]
    assert seen <= {b"a" * 200, b"b" * 200}
    assert seen
    assert names(tmp_path) == ["c.bin"]


@posix
def test_what_lasts_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, move = os.fsync, Path.replace

    def watched_sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def watched_move(self: Path, target: Path) -> Path:
        done.append("move")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_move)
    for durable in (False, True):
        with written_whole(tmp_path / "c", durable=durable) as temporary:
            temporary.write_bytes(b"x")
    assert done == ["move", "file", "move", "folder"]


def test_without_locks_of_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "fcntl", None)
    (tmp_path / f".c.{'0' * 16}.seviz-tmp").write_bytes(b"half")
    for content in (b"one", b"two"):
        with written_whole(tmp_path / "c") as temporary:
            temporary.write_bytes(content)
    assert names(tmp_path) == ["c"]
    assert (tmp_path / "c").read_bytes() == b"two"


# Calls that make files: none of them is given a path of the user's.
MAKES_FILES = re.compile(
    r"\.(write_text|write_bytes|savefig|to_csv|to_parquet|tofile)$|^(torch\.save|np\.savez?|open)$"
)


def test_everything_that_writes_a_file_writes_it_so() -> None:
    root = Path(seviz.__file__).parent
    loose = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
            name = ast.unparse(call.func)
            modes = [a.value for a in call.args if isinstance(a, ast.Constant)]
            opens = name.endswith("open") and any(
                isinstance(m, str) and re.fullmatch(r"[wxa]b?\+?|r\+b?", m) for m in modes
            )
            if opens or (MAKES_FILES.search(name) and not name.endswith("open")):
                loose.append(f"{path.relative_to(root)}: {ast.unparse(call)[:80]}")
    unsafe = [
        one for one in loose if not re.search(r"temporary\.|\(file|, file|\(stream|, stream", one)
    ]
    assert unsafe == [
        # Nothing that stays: standard output that has gone, a copy in a folder of its own.
        "cli/__init__.py: open(os.devnull, 'w')",
        # A figure that a user saves where they say.
        "figures/shown.py: super().savefig(*args, **options)",
        "networks/formats/keras/files.py: weights.open('wb')",
        "results/writing.py: self.open('w', encoding=encoding, newline=newline)",
        "results/writing.py: self.open('wb')",
    ]


CLAIMS = """
import sys, time
from pathlib import Path
from seviz.results.writing import claim_folder
assert claim_folder(Path(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""


@posix
def test_two_writers_into_one_folder_are_told(
    run: Run, digits_record: Path, tmp_path: Path
) -> None:
    """Each command that only draws; those that collect say so before."""
    words = ("activations", digits_record, "--format", "svg", "-o", tmp_path / "out")
    (tmp_path / "out").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMS, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        said = run(*words)
        other.stdin.close()
    assert said.code == 0
    assert "warning: another seviz writes into" in said.err
    assert "another seviz" not in run(*words).err


def test_every_command_that_draws_claims_its_folder() -> None:
    """Whatever command is added: what is written into a folder is preceded by the claim."""
    cli = Path(seviz.__file__).parent / "cli"
    written = {
        path.name: [
            match[0] for match in re.finditer(r"\bclaim\(|= write_\w+\(", path.read_text("utf-8"))
        ]
        for path in sorted(cli.glob("*.py"))
    }
    calls = {name: found for name, found in written.items() if found}
    assert len(calls) >= 12
    # The report of a checkpoint is written by the pass, which has claimed the folder.
    assert [
        name for name, found in calls.items() if found[0] != "claim(" and name != "report.py"
    ] == []


@posix
def test_a_process_that_ends_at_once_drops_what_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no file of another process: one that was forked meanwhile has the same list."""

    def ends() -> None:
        with written_whole(tmp_path / "a.txt") as temporary:
            with monkeypatch.context() as patched:
                patched.setattr("os.getpid", lambda: -1)
                drop_unfinished()
            assert len(names(tmp_path)) == 1
            temporary.write_bytes(b"half")
            drop_unfinished()
            assert names(tmp_path) == []

    with pytest.raises(FileNotFoundError):  # nothing is left that could be moved to its place
        ends()
    with written_whole(tmp_path / "b.txt") as temporary:
        temporary.write_bytes(b"whole")
    drop_unfinished()
    assert names(tmp_path) == ["b.txt"]
