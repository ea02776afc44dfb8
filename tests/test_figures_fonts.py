"""Letters that the font of the figures has not: another font's, or boxes that are told once."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from PIL import Image

from seviz.figures import save_figure
from seviz.figures.fonts import _TOLD, _chosen, families
from seviz.figures.text import set_plain, text_width

OWN = set(get_font(findfont("DejaVu Sans")).get_charmap())
# Matplotlib brings this font, with letters that its own lacks.
STIX = sorted(
    c for c in set(get_font(findfont("STIXGeneral")).get_charmap()) - OWN if chr(c).isalpha()
)
NOWHERE = "\U0001e922\U0001e923"  # of the Adlam script


def drawn(name: str, folder: Path) -> np.ndarray:
    figure = Figure(figsize=(1, 1))
    set_plain(figure.text(0.1, 0.4, "", fontsize=30), name)
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


def test_boxes_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if set(map(ord, NOWHERE)) & set().union(*map(set, _charmaps())):
        pytest.skip("this machine has a font with every letter")
    _chosen.cache_clear()
    _TOLD.clear()
    with caplog.at_level(logging.WARNING, "seviz"):
        drawn(NOWHERE[0], tmp_path)
        drawn(NOWHERE, tmp_path)
    (said,) = caplog.messages
    assert f"no font of this machine has {NOWHERE[0]}, for one: boxes stand" in said


def _charmaps() -> list[dict[int, int]]:
    from seviz.figures.fonts import _others

    return [dict(get_font(path).get_charmap()) for _, path in _others()]
