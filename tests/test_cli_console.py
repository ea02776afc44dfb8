"""What a terminal sees: as wide as it is, marked where it matters; a pipe sees plain text."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import Run, at_night, crossed

from seviz.cli.console import ROOM, Speaker
from seviz.tables import Column, Table

MARK = re.compile(r"\x1b\[\d*m")


def on_a_terminal(words: list[str], columns: int, **more: str) -> str:
    """Return what a command prints on a terminal so many columns wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "NO_COLOR", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "seviz", *words],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**kept, "TERM": "xterm", **more},
    )
    os.close(theirs)
    read = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so where the other end is closed
            break
        if not part:
            break
        read += part
    os.close(ours)
    assert process.wait() == 0
    return read.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("columns", "command"), crossed([60, 80, 120], ["activations", "confusion"], of=2)
)
def test_lines_are_no_wider_than_the_terminal(
    command: str, columns: int, digits_record: Path, tmp_path: Path
) -> None:
    words = [command, str(digits_record), "-o", str(tmp_path), "--format", "svg"]
    lines = on_a_terminal(words, columns).splitlines()
    text = [x for x in lines if not x.startswith(("wrote ", "record: "))]  # paths stay whole
    assert max(map(len, text)) <= columns  # marks counted
    assert any(MARK.search(x) for x in text)
    assert "class share" in " ".join(lines) or command == "confusion"


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, at_night({"TERM": "dumb"})], ids=str)
def test_no_colour_where_none_is_wanted(
    plain: dict[str, str], digits_record: Path, tmp_path: Path
) -> None:
    words = ["confusion", str(digits_record), "-o", str(tmp_path), "--format", "svg"]
    marked = on_a_terminal(words, 100)
    said = on_a_terminal(words, 100 - ROOM, **plain)
    assert not MARK.search(said)
    # A marked line has room for its marks, so that the text is that of a narrower terminal.
    assert said == MARK.sub("", marked)


def test_a_pipe_has_no_marks_and_all_columns(
    run: Run, digits_record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    words = ("activations", digits_record, "-o", tmp_path, "--format", "svg")
    said = run(*words).out
    assert "\x1b" not in said
    assert "left out, for the terminal" not in said
    assert "dead channels" in said
    monkeypatch.setenv("COLUMNS", "100")  # where a width is asked for, a pipe has one
    said = run(*words).out
    assert "left out, for the terminal" in said
    assert "\x1b" not in said
    assert max(len(x) for x in said.splitlines() if not x.startswith("wrote ")) <= 100


def test_a_redraw_shows_what_was_asked_for(digits_record: Path, tmp_path: Path) -> None:
    words = ["activations", str(digits_record), "-o", str(tmp_path), "--format", "svg"]
    words += ["--blocks", "SE_4_1", "--classes", "3", "8"]
    lines = on_a_terminal(words, 80).splitlines()
    assert len(lines) <= 30
    assert {w for x in lines for w in re.findall(r"SE_\d_\d", x)} == {"SE_4_1"}


def test_files_of_one_name_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    speaker = Speaker(as_json=False, quiet=False)
    speaker.wrote([Path("o/a.png"), Path("o/b.csv"), Path("o/a.svg"), Path("o/a.csv")])
    assert capsys.readouterr().out == "wrote o/a.png .svg .csv\nwrote o/b.csv\n"


def test_json_says_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    speaker = Speaker(as_json=True, quiet=False)
    speaker.say("text")
    speaker.table(Table("t", "caption", (Column("a", "a"),), (("x",),)))
    speaker.wrote([Path("a")])
    speaker.document({"a": 1})
    assert capsys.readouterr().out == '{"schema_version": 1, "a": 1}\n'


def test_a_note_is_said_once_and_all_else_as_often_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    speaker = Speaker(as_json=False, quiet=False)
    for text in ("note: assumed", "wrote a", "note: assumed", "wrote a", "note: other"):
        speaker.remark(text)
    assert capsys.readouterr().err.split("\n")[:-1] == [
        "note: assumed",
        "wrote a",
        "wrote a",
        "note: other",
    ]


LONG = "x" * 5000 + "y" * 5000


def test_a_name_of_thousands_of_letters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (Column("class", "class"), Column("n", "images", "d"))
    table = Table("t", f"of {LONG}", columns, ((LONG, 5), ("cat", 7)), (f"note on {LONG}",))

    def said() -> list[str]:
        speaker = Speaker(as_json=False, quiet=False)
        speaker.table(table)
        speaker.say(f"The class {LONG} is often taken for cat.")
        speaker.line(f"class {LONG}")
        speaker.line(f"wrote /{'a' * 200}")
        return capsys.readouterr().out.splitlines()

    monkeypatch.setenv("COLUMNS", "80")
    lines = said()
    assert [len(x) for x in lines if len(x) > 80] == [len("wrote /") + 200]  # a path stays whole
    assert sum("xxxx…yyyy" in x for x in lines) == 5
    assert len(lines) < 30
    assert any(re.search(r"x…y+ +5$", x) for x in lines)  # still a table
    monkeypatch.delenv("COLUMNS")
    assert sum(LONG in x for x in said()) == 5  # a pipe has all of it


def test_a_remark_is_no_longer_than_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    Speaker(as_json=False, quiet=False).remark(f"note: {LONG}\x1b[2J\nb")
    said = capsys.readouterr().err
    assert len(said) < 1600
    assert said.endswith("y\\x1b[2J\\nb\n")
