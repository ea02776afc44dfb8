"""Numbers and paths on the command line: whatever is written there, the answer is one line."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from conftest import Run

from seviz.cli import app
from seviz.cli.numbers import bare, number, whole_number

# What Python, or the parser of words, would take for a number, and nobody means.
NO_NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e400",
    "\u0663",
    "1_0",
    "0x10",
    "",
    " 3",
    "x\x1b[2J",
    "9" * 5000,
)
NOT_WHOLE = (*NO_NUMBERS, "2.7", "3.0", "1e3")


def numeric_options() -> list[tuple[str, str, type]]:
    """Return command, option and type of every option that takes numbers."""
    found = []
    for command in app:
        if command.startswith("-"):
            continue
        for argument in app[command].assemble_argument_collection():
            kind = bare(argument.hint)
            kind = bare(get_args(kind)[0]) if get_origin(kind) is tuple else kind
            if kind in (int, float) and not argument.parameter.count:
                found.append((command, argument.name, kind))
    return found


def test_there_are_such_options() -> None:
    found = numeric_options()
    assert len(found) > 100
    assert {kind for _, _, kind in found} == {int, float}


def refused(run: Run, command: str, option: str, word: str) -> None:
    """The words that a command needs need not be there: what is refused is refused before they are read."""
    needed = ["a.pt"] * {"compare": 2, "image": 2, "channel": 2, "demo": 0}.get(command, 1)
    said = run(command, *needed, f"{option}={word}")
    line = said.err.removesuffix("\n")
    assert said.code == 2, (command, option, word, said.err)
    assert re.fullmatch("seviz: expected [^\n\x1b]{20,280}", line), (command, option, word, line)


@pytest.mark.usefixtures("elsewhere")
def test_what_is_no_number_is_refused(run: Run) -> None:
    """All words at two options, and one word at each option of any command."""
    for option, words in (("--batch-size", NOT_WHOLE), ("--crop-pct", NO_NUMBERS)):
        for word in words:
            refused(run, "collect", option, word)
    others = {option: (command, kind) for command, option, kind in numeric_options()}
    for place, (option, (command, kind)) in enumerate(others.items()):
        words = NOT_WHOLE if kind is int else NO_NUMBERS
        refused(run, command, option, words[place % len(words)])
    assert list(Path().iterdir()) == []


@pytest.mark.nightly
@pytest.mark.usefixtures("elsewhere")
def test_what_is_no_number_is_refused_by_every_option_of_every_command(run: Run) -> None:
    for command, option, kind in numeric_options():
        for word in NOT_WHOLE if kind is int else NO_NUMBERS:
            refused(run, command, option, word)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("collect", "a.pt", "--data", "d", "-j", "99999"), "-j of at most 1,024, found 99999"),
        (("collect", "a.pt", "--data", "d", "-b", "9999999"), "-b of at most 1,048,576"),
        (
            ("collect", "a.pt", "--data", "d", "--num-samples", "9999999999"),
            "at most 2,147,483,647",
        ),
        (("activations", "a", "--ylim", "0", "1e300"), "--ylim of at most 1,000,000,000"),
        (
            ("audit", "a.pt", "--max-se-params-pct", "-1"),
            "--max-se-params-pct in per cent of at least 0",
        ),
        (("activations", "a", "--channels", "9" * 5000), "--channels as a number of at least 1"),
        (("collect", "a.pt", "--data", "d", "--shard", "\u0661/\u0662"), "--shard as i/n"),
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_numbers_beyond_sense(run: Run, words: tuple[str, ...], part: str) -> None:
    said = run(*words)
    assert said.code in (2, 3)
    assert part in said.err or said.code == 3, said.err


def test_a_default_of_the_project_is_checked_too(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("seviz.toml").write_text("crop-pct = inf\n")
    said = run("collect", "a.pt", "--data", "d")
    assert said.code == 2
    assert "for --crop-pct in " in said.err
    Path("seviz.toml").write_text("")
    monkeypatch.setenv("SEVIZ_BATCH_SIZE", "1_0")
    said = run("collect", "a.pt", "--data", "d")
    assert said.code == 2
    assert "SEVIZ_BATCH_SIZE" in said.err
    assert "'1_0'" in said.err


def test_numbers_are_read_as_people_write_them() -> None:
    assert [whole_number(w) for w in ("16", "+3", "-2", "007")] == [16, 3, -2, 7]
    assert [number(w) for w in ("0.5", ".5", "5.", "5e-1", "-2", "1E3")] == [
        0.5,
        0.5,
        5,
        0.5,
        -2,
        1e3,
    ]


def test_an_input_of_no_memory_ends_at_once(run: Run, tiny: Any, pictures: Path) -> None:
    """What cannot be traced without memory is not tried with it."""
    for size in (["2147483647", "12", "12"], ["3", "2147483647", "2147483647"]):
        said = run("collect", tiny.path, "--data", pictures, "--input-size", *size, "-o", "o")
        assert said.code in (2, 3), said.err
        assert said.err.splitlines()[-1].startswith("seviz: expected ")
    picture = next(pictures.rglob("*.png"))
    said = run("image", tiny.path, picture, "--input-size", "3", "65536", "65536")
    assert said.code == 2
    assert "expected an input of at most 67,108,864 pixels" in said.err


def test_paths_that_no_system_has(run: Run, tiny: Any, pictures: Path, elsewhere: Path) -> None:
    """Results cannot go there, which is said before the pass."""
    (elsewhere / "broken").symlink_to("nowhere")
    for output, part in (
        ("n" * 300, "a name that is too long"),
        ("d/" * 3000, "a name that is too long"),
        ("broken", "a link to nothing"),
        ("/dev/null", "a file"),
        ("x.npz", "name the folder"),
    ):
        said = run("collect", tiny.path, "--data", pictures, "-o", output)
        assert said.code == 2
        assert re.fullmatch(
            "seviz: expected a folder for the results, found [^\n]+", said.err.strip()
        )
        assert part in said.err
        assert len(said.err) < 300
    assert sorted(p.name for p in elsewhere.iterdir()) == ["broken"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_names_that_are_no_text(run: Run, tiny: Any, elsewhere: Path) -> None:
    name = os.fsdecode(b"caf\xe9.pt")
    shutil.copy(tiny.path, elsewhere / name)
    said = run("inspect", name)
    assert said.code == 3
    assert "expected a file name in UTF-8" in said.err
    assert r"caf\udce9.pt" in said.err
    said = run("fold", tiny.path, "--data", "d", "--blocks", "all", "-o", name)
    assert said.code == 2
    assert "--output as a name in UTF-8" in said.err
