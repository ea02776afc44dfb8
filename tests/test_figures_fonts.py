"""Letters that the font of the figures has not: another font's, or numbers, and told once."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from PIL import Image

from seviz.figures import save_figure
from seviz.figures.fonts import _SHAPING, _TOLD, _chosen, drawable, families, font_of, left_to_right
from seviz.figures.text import set_plain, shown_name, text_width

OWN = set(get_font(findfont("DejaVu Sans")).get_charmap())
# Matplotlib brings this font, with letters that its own lacks.
STIX = sorted(
    c for c in set(get_font(findfont("STIXGeneral")).get_charmap()) - OWN if chr(c).isalpha()
)
# Whether this matplotlib shapes text.
SHAPES = tuple(map(int, matplotlib.__version__.split(".")[:2])) >= _SHAPING
NOWHERE = "\U0001e922\U0001e923"  # of the Adlam script


def drawn(name: str, folder: Path, *, marks: str = "") -> np.ndarray:
    figure = Figure(figsize=(1, 1))
    text = figure.text(0.1, 0.4, "", fontsize=10)
    set_plain(text, name)
    text.set_text(marks + text.get_text())  # of names they are escaped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (path,) = save_figure(figure, folder / "x", "png")
    return np.asarray(Image.open(path))


def test_letters_of_other_fonts(tmp_path: Path) -> None:
    one, other = (chr(c) for c in STIX[:2])
    assert families("plain, čáp") == ()
    (used,) = families(f"a{one}")
    assert ord(one) in get_font(findfont(used)).get_charmap()
    assert not np.array_equal(drawn(one, tmp_path), drawn(other, tmp_path))
    assert text_width(8)(one) > 0


@pytest.fixture
def nothing_told() -> None:
    if set(map(ord, NOWHERE)) & set().union(*map(set, _charmaps())):
        pytest.skip("this machine has a font with every letter")
    _chosen.cache_clear()
    _TOLD.clear()


@pytest.mark.usefixtures("nothing_told")
def test_numbers_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "seviz"):
        one = drawn(NOWHERE[0], tmp_path)
        other = drawn(NOWHERE[1], tmp_path)
        drawn(NOWHERE, tmp_path)
    assert not np.array_equal(one, other)  # boxes would be alike
    (said,) = caplog.messages
    assert f"no font of this machine has {NOWHERE[0]}, for one: numbers stand" in said
    assert "install Noto Sans Adlam (package fonts-noto-core" in said


@pytest.mark.usefixtures("nothing_told")
def test_numbers_of_letters_in_a_row() -> None:
    assert drawable(f"a {NOWHERE} b") == "a U+1E922 U+1E923 b"
    assert drawable(NOWHERE[0] + "\u200d" + NOWHERE[1]) == "U+1E922 U+1E923"  # as emoji are joined
    assert drawable(NOWHERE * 3) == "U+1E922 U+1E923 … U+1E923"
    width = text_width(8)
    assert shown_name(NOWHERE[0], 10.0, width) == "U+1E922"
    assert "…" in shown_name(NOWHERE * 3, 0.4, width)


@pytest.mark.parametrize(
    ("letters", "font"),
    [
        ("犬", "Noto Sans CJK"),
        ("ひ", "Noto Sans CJK"),
        ("개", "Noto Sans CJK"),
        ("ห", "Noto Sans Thai"),
        ("ह", "Noto Sans Devanagari"),
        ("\u0939\u093f"[1], "Noto Sans Devanagari"),
        ("ب", "Noto Sans Arabic"),
        ("🐕", "Symbola"),
    ],
)
def test_the_font_that_is_named(letters: str, font: str) -> None:
    assert font_of(letters)[0] == font


def test_letters_that_join_want_a_new_matplotlib(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _TOLD.clear()
    with caplog.at_level(logging.WARNING, "seviz"):
        families("كلب")
        assert not caplog.messages or not SHAPES
        monkeypatch.setattr("matplotlib.__version__", "3.10.8")
        _TOLD.clear()
        caplog.clear()
        families("dog")
        assert not caplog.messages
        families("كلب")
        families("שלום")
    (said,) = caplog.messages
    assert "matplotlib 3.10.8 draws letters that join" in said


def test_sentences_run_from_left_to_right_around_names() -> None:
    mark, dog = "\u200e", "كلب صغير"
    assert left_to_right(dog) == dog
    assert left_to_right("dog, 개") == "dog, 개"
    assert left_to_right(f"{dog} is taken for {dog}: 1 image\ncat") == (
        f"{mark}{dog}{mark} is taken for {dog}{mark}: 1 image\n{mark}cat"
    )
    assert left_to_right(left_to_right(f"{dog}: SE")) == left_to_right(f"{dog}: SE")


@pytest.mark.skipif(not SHAPES, reason="this matplotlib draws letters one by one")
def test_arabic_is_joined_and_runs_from_right_to_left(tmp_path: Path) -> None:
    # Alone a letter has the form of its own; a mark that keeps letters from joining makes all of them so.
    joined, apart = drawn("بتث", tmp_path), drawn("ب\u200cت\u200cث", tmp_path)
    assert (joined < 128).any(axis=-1).any(axis=0).sum() < (apart < 128).any(axis=-1).any(
        axis=0
    ).sum()
    # The same letters in the other direction, told to run so: the same picture as by themselves.
    forced = drawn("بتث", tmp_path, marks="\u202e")
    assert np.array_equal(forced, joined)


def _charmaps() -> list[dict[int, int]]:
    from seviz.figures.fonts import _others

    return [dict(get_font(path).get_charmap()) for _, path in _others()]
