"""Names from files in figures: of classes, files, networks, columns; whatever is in them, they are text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import crowds
import numpy as np
import pytest
import synthetic
from conftest import sampled
from matplotlib.figure import Figure
from measuring import texts
from test_figures_cost import cost

from seviz.analysis import compare_several, compare_subjects, findings, view_channel
from seviz.figures import shift_figure, swap_figure
from seviz.figures.captions import caption
from seviz.figures.catalogue import drawn_from
from seviz.figures.channel import channel_figure
from seviz.figures.image_block import image_block
from seviz.figures.image_overview import image_overview
from seviz.figures.saving import save_figure
from seviz.results.ablation import Ablation, Replaced
from seviz.results.cost import Audit, Totals
from seviz.results.evaluation import Evaluation
from seviz.results.subject import Subject

# Markup of formulas that ends in an error, what legends leave out, what terminals obey, what turns a line.
HOSTILE = (
    "_hidden",
    "$\\frac{x$",
    "\x1b[2Jred\x07",
    "two\nlines",
    "\u202eright",
    "z" * 3000,
    "a\x00b\x85c",
)
NAME = "_$\\alpha{$\x1b]0;owned\x07\n" + "n" * 300


def labels(count: int) -> list[str]:
    return [f"{HOSTILE[i % len(HOSTILE)]}{i // len(HOSTILE) or ''}" for i in range(count)]


@pytest.fixture(autouse=True)
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make up results whose every name is hostile."""
    made = synthetic.make_header

    def header(images: int, **changes: Any) -> Any:
        names = dict.fromkeys(("checkpoint", "architecture", "source", "split"), NAME)
        return made(images, **{**names, **changes})

    monkeypatch.setattr(synthetic, "make_header", header)
    monkeypatch.setattr(crowds, "labels", labels)
    monkeypatch.setattr(crowds, "LONG", HOSTILE[1])


def check(figure: Figure, folder: Path) -> str:
    """Make sure that a figure can be drawn and saved; return what is seen of it."""
    said = "\n".join(one.text for one in texts(figure, 72))
    (file,) = save_figure(figure, folder / "figure", ["svg"], dpi=72)
    ElementTree.parse(file)
    for text in (said, caption(figure)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), repr(text)
    assert "z" * 1000 not in said
    return said


def record(classes: int = 7) -> Any:
    made = crowds.sampled_record(classes, 3)
    return synthetic.with_predictions(made)


def test_figures_of_a_record(tmp_path: Path) -> None:
    drawn = {}
    for result in (record(), findings(record()), Evaluation.of_record(record())):
        drawn |= {d.stem: check(figure, tmp_path) for d, figure in drawn_from(result)}
    assert {"activations", "activations_lines", "activations_ridges", "confusion"} <= set(drawn)
    assert "_hidden" in drawn["activations_lines"]
    assert "$\\frac{x$" in drawn["confusion"]
    printed = [
        d.stem for d, figure in drawn_from(record(), printed=True) if check(figure, tmp_path)
    ]
    assert "maps" in printed


MADE: dict[str, Callable[[], Figure]] = {
    "swap": lambda: swap_figure(crowds.swap_with(7, 3)),
    "channel": lambda: channel_figure(view_channel(record(), "SE_2_1:3")),
    "overview": lambda: image_overview(crowds.explained_with(3, 2)),
    "block": lambda: image_block(crowds.explained_with(3, 2), "SE_2_1"),
    "compare": lambda: _first(compare_subjects(*_subjects(2))),
    "several": lambda: _first(compare_several(_subjects(3))),
    "shift": lambda: shift_figure(crowds.shift_with([NAME], 3)),
    "ablation": lambda: _first(_ablation()),
}


def _first(result: Any) -> Figure:
    return next(figure for _, figure in drawn_from(result))


def _subjects(count: int) -> list[Subject]:
    made = []
    for place in range(count):
        one = synthetic.make_record(((2, 8),), labels(6), images=100, seed=place)
        right = np.random.default_rng(place).integers(60, 100, 6)
        counts = np.diag(right)
        counts[np.arange(6), (np.arange(6) + 1) % 6] = 100 - right
        one.arrays["confusion"] = counts  # type: ignore[index]
        made.append(Subject(f"{NAME}{place}", one))
    return made


def _ablation() -> Ablation:
    parts = tuple(Replaced(n, (n,), 5, 1, 40, 9) for n in ("SE_2_1", "SE_2_2", "SE_3_1"))
    return Ablation(
        checkpoint=NAME, checkpoint_sha256="0" * 64, architecture=NAME, source=NAME, split=NAME, images=100,
        right=80, by="block", gates="one", seed=0, params=1000, se_params=120, macs=900, single=parts,
        cumulative=parts,
    )  # fmt: skip


@pytest.mark.parametrize("name", sampled(MADE, 2))
def test_figures_of_other_results(name: str, tmp_path: Path) -> None:
    assert check(MADE[name](), tmp_path)


def test_figures_of_an_audit(tmp_path: Path) -> None:
    blocks = tuple(cost(stage, index, 8, 16) for stage, index in ((2, 1), (2, 2), (3, 1)))
    audit = Audit(
        NAME, (3, 32, 32), 9000, 120, 0, 4, "C / r", blocks, Totals(10**6, 0, 0, 4 * 10**6, 3 * 10**6, False)
    )  # fmt: skip
    drawn = {d.stem: check(figure, tmp_path) for d, figure in drawn_from(audit)}
    assert set(drawn) == {"audit_stages", "audit_blocks"}
    for said in drawn.values():
        assert "$\\alpha{$" in said
        assert "n" * 60 not in said


def test_a_picture_that_is_called_as_cameras_call_it(tmp_path: Path) -> None:
    """A name that begins with "_" is one that matplotlib leaves out of a legend."""
    explained = crowds.explained_with(1, 1)
    (one,) = explained.images
    named = replace(explained, images=(replace(one, name="_DSC1.JPG"),))
    assert "_DSC1.JPG" in check(image_block(named, "SE_2_1"), tmp_path)
