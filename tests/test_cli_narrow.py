"""A terminal of 40 columns, and one that says it has one: lines fit, and words are whole."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import at_night, crossed

import seviz
from seviz.cli import main
from seviz.cli.console import NARROWEST
from seviz.tables.text import columns_of

pytestmark = pytest.mark.usefixtures("elsewhere")
DIGITS = str(seviz.sample("se_resnet_digits"))
# What is said of a narrow terminal alone.
MORE = {"left", "out", "for", "the", "terminal", "is", "narrow"}


class Terminal(io.StringIO):
    """Text that a terminal would show."""

    def isatty(self) -> bool:
        return True


def said(words: tuple[str, ...], stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", stream)
        assert main(list(words)) == 0
    return stream.getvalue()


def plain(text: str) -> set[str]:
    """Return the words of a text, without what joins them."""
    return set(re.sub(r"[,:](?=\s|$)", " ", text).split())


COMMANDS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "inspect": lambda record: ("inspect", DIGITS),
    "audit": lambda record: ("audit", DIGITS, "--sweep", "2", "4", "-o", "out"),
    "confusion": lambda record: ("confusion", record, "--format", "svg", "-o", "out"),
    "activations": lambda record: (
        *("activations", record, "--classes", "1", "2", "--format", "svg", "-o", "out"),
    ),
    "compare": lambda record: ("compare", record, record, "--format", "svg", "-o", "out"),
    "shift": lambda record: (
        *("shift", record, "--against", record, "--format", "svg", "-o", "out"),
    ),
    "swap": lambda record: (
        *("swap", DIGITS, "--data", "digits", "--pairs", "9", "--blocks", "SE_2"),
        *("--num-samples", "3", "--format", "svg", "-o", "out"),
    ),
}


@pytest.mark.parametrize(("name", "columns"), crossed(COMMANDS, [40, 1], of=2))
def test_words_are_whole(
    name: str, columns: int, digits_record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("r").symlink_to(digits_record)
    words = COMMANDS[name]("r")
    wide = said(words, io.StringIO(), monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = said(words, Terminal(), monkeypatch)
    most = max(columns, NARROWEST)
    long = [line for line in narrow.split("\n") if columns_of(line) > most]
    assert [line for line in long if not line.startswith(("wrote ", "record: "))] == []
    assert max(columns_of(line) for line in wide.split("\n")) > most
    titles = {word for word in plain(narrow) if f"{word}:" in narrow or f"{word}," in narrow}
    assert plain(narrow) - plain(wide) - MORE - titles == set()


@pytest.mark.parametrize("form", ["csv", at_night("latex")])
def test_what_a_program_reads_is_as_it_is(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    words = ("audit", DIGITS, "--format", form, "-o", "out")
    assert said(words, Terminal(), monkeypatch) == said(words, io.StringIO(), monkeypatch)
