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
from seviz.figures.captions import caption, caption_of_file, set_caption
from seviz.figures.saving import replaced

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
    with pytest.raises(UsageError, match="among png, svg, pdf, eps, tiff, found 'jpeg', 'gif'"):
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


@pytest.mark.nightly
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


def test_settings_of_the_user_are_respected_but_for_the_size(tmp_path):
    figure = draw()
    with Image.open(save_figure(figure, tmp_path / "a", "png")[0]) as image:
        plain = image.size
    theirs = {
        "savefig.bbox": "tight",
        "savefig.transparent": True,
        "savefig.dpi": 100,
    }
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        (png,) = save_figure(figure, tmp_path / "b", "png")
        assert dict(matplotlib.rcParams) == before
    with Image.open(png) as image:
        assert image.size == tuple(n // 2 for n in plain)
        assert image.convert("RGBA").getpixel((1, 1))[3] == 0


@pytest.mark.parametrize("kind", ["eps", "tiff"])
def test_formats_of_journals(tmp_path, kind):
    (one,) = save_figure(draw(), tmp_path / "one", kind, dpi=300)
    (other,) = save_figure(draw(), tmp_path / "other", kind, dpi=300)
    assert one.read_bytes() == other.read_bytes()
    if kind == "tiff":
        with Image.open(one) as image:
            assert image.width == 2160
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    else:
        assert one.read_bytes().startswith(b"%!PS-Adobe-3.0 EPSF-3.0")


def test_saving_eps_leaves_the_figure_as_it_was(tmp_path):
    figure = draw()
    before = save_figure(figure, tmp_path / "before", "png")[0].read_bytes()
    save_figure(figure, tmp_path / "figure", "eps")
    assert save_figure(figure, tmp_path / "after", "png")[0].read_bytes() == before


@pytest.mark.parametrize("dpi", [20, 5000])
def test_dots_that_nobody_prints(tmp_path, dpi):
    with pytest.raises(UsageError, match="expected 50 to 1,200 dots per inch, found"):
        save_figure(draw(), tmp_path / "figure", "png", dpi=dpi)


def test_the_caption_goes_along(tmp_path):
    figure = draw()
    assert caption(figure).startswith(
        "Mean gate of each channel, as in figure 7 of the SENet paper"
    )
    png, svg, pdf = save_figure(figure, tmp_path / "figure", ["png", "svg", "pdf"])
    with Image.open(png) as image:
        assert image.text["Description"] == caption(figure)
    assert caption_of_file(png) == caption_of_file(svg) == caption(figure)
    assert b"/Subject" in pdf.read_bytes()
    set_caption(figure, "Größe & <Ärger> 猫.")
    for path in save_figure(figure, tmp_path / "figure", ["png", "svg"]):
        assert caption_of_file(path) == "Größe & <Ärger> 猫."
    assert caption_of_file(tmp_path / "none.png") == ""


def test_what_another_choice_drew_is_told(tmp_path):
    figure = draw()
    stem = tmp_path / "figure"
    assert replaced(figure, stem, ["png"]) == ""
    save_figure(figure, stem, ["png", "svg"])
    assert replaced(figure, stem, ["png", "svg"]) == ""
    set_caption(figure, "Something else.")
    for kind in ("png", "svg"):
        said = replaced(figure, stem, [kind])
        assert f"figure.{kind} is drawn anew; it showed: Mean gate of each channel" in said
        assert "cat, ship" in said


def test_names_that_xml_cannot_hold(tmp_path):
    """Control characters of a name reach matplotlib's SVG as they are: no reader would open it."""
    from xml.etree import ElementTree

    record = make_record(CIFAR, ["a\x1b[31m\x07\x00", "b"], source="s\x1b[0m")
    figure = gate_curves(record, record.classes.choose(["0", "1"]), record.blocks[:1])
    figure.text(0, 0, "x\x1by")
    said = "an \x1b escape"
    set_caption(figure, said)
    save_figure(figure, tmp_path / "f", ["svg"])
    texts = "".join(ElementTree.parse(tmp_path / "f.svg").getroot().itertext())
    assert "x\ufffdy" in texts
    assert replaced(figure, tmp_path / "f", ["svg"]) == ""
