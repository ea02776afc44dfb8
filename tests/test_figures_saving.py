"""Figures on disk: whole, the same every time, text that stays text."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from PIL import Image
from synthetic import CIFAR, CIFAR_LABELS, make_record

from seviz.errors import UsageError
from seviz.figures import gate_curves, save_figure

TESTS = Path(__file__).parent


def draw():
    record = make_record(CIFAR, CIFAR_LABELS)
    classes = record.classes.choose(["cat", "ship"])
    return gate_curves(record, classes, [record.blocks[0], *record.blocks[7:]], spread=True)


def test_writes_png_and_svg_beside_each_other(tmp_path):
    stem = tmp_path / "new" / "seresnet50.in1k"
    paths = save_figure(draw(), stem)
    assert paths == [Path(f"{stem}.png"), Path(f"{stem}.svg")]
    assert sorted(p.name for p in stem.parent.iterdir()) == sorted(p.name for p in paths)
    with Image.open(paths[0]) as image:
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert image.width == 1440


def test_text_in_svg_stays_text(tmp_path):
    (path,) = save_figure(draw(), tmp_path / "figure", ["svg"])
    content = path.read_text()
    for text in ("SE_2_1", "C = 64", "cat", "ship", "channel index"):
        assert f">{text}</text>" in content
    assert "<dc:date>" not in content


def test_pdf(tmp_path):
    (path,) = save_figure(draw(), tmp_path / "figure", ["pdf"])
    assert path.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in path.read_bytes()


def test_unknown_format_writes_nothing(tmp_path):
    with pytest.raises(UsageError, match="among png, svg, pdf, found 'jpeg', 'gif'"):
        save_figure(draw(), tmp_path / "figure", ["png", "jpeg", "gif"])
    assert not list(tmp_path.iterdir())


def test_one_format_may_be_a_plain_string_and_twice_is_once(tmp_path):
    figure = draw()
    assert save_figure(figure, tmp_path / "a", "svg") == [tmp_path / "a.svg"]
    assert save_figure(figure, tmp_path / "b", ["svg", "svg"]) == [tmp_path / "b.svg"]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    figure = draw()
    (path,) = save_figure(figure, tmp_path / "figure", ["png"])
    old = path.read_bytes()

    def half(target, **_):
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, tmp_path / "figure", ["png"])
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


SCRIPT = """
import hashlib, sys
from pathlib import Path
from test_figures_saving import draw
from seviz.figures import save_figure
for path in save_figure(draw(), Path(sys.argv[1]), ["png", "svg", "pdf"]):
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_same_record_same_bytes_in_another_process(tmp_path):
    paths = save_figure(draw(), tmp_path / "here", ["png", "svg", "pdf"])
    here = [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    there = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "there")],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert there.stdout.split() == here


def test_settings_of_the_user_neither_matter_nor_change(tmp_path):
    figure = draw()
    plain = [p.read_bytes() for p in save_figure(figure, tmp_path / "a")]
    theirs = {"savefig.bbox": "tight", "savefig.transparent": True, "svg.fonttype": "path"}
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        assert [p.read_bytes() for p in save_figure(figure, tmp_path / "b")] == plain
        assert dict(matplotlib.rcParams) == before
