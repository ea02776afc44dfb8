"""Figures of single images: maps over pictures, as another library brings them to size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Tiny
from measuring import check_readable

import seviz
from seviz.analysis.image import describe_image, flips
from seviz.figures.image_block import image_block
from seviz.figures.image_overview import image_overview
from seviz.figures.overlay import laid_over, limit, plane, resized, scale_strip, upsampled
from seviz.report.image import write_image
from seviz.results.blocks import SEBlock
from seviz.results.image import (
    Answer,
    ChannelMaps,
    ExplainedBlock,
    ExplainedImage,
    Held,
    ImageExplanation,
)
from seviz.tables import render, tables_of
from seviz.tables.image import image_channels_table


@pytest.mark.parametrize(("low", "high"), [((3, 5), (24, 7)), ((8, 8), (8, 8)), ((1, 1), (4, 6))])
def test_maps_are_brought_to_size_as_torch_does(
    low: tuple[int, int], high: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).normal(size=low)
    expected = F.interpolate(torch.from_numpy(values)[None, None], high, mode="bilinear")[0, 0]
    np.testing.assert_allclose(upsampled(values, *high), expected, atol=1e-12)


def test_maps_of_other_ranks() -> None:
    np.testing.assert_array_equal(plane(np.arange(8.0), 2.0), [[0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(plane(np.array([[[1.0]], [[3.0]]])), [[2]])
    assert plane(np.array(2.0)).shape == (1, 1)


def test_colours_tell_the_sign_and_the_picture_stays_where_there_is_nothing() -> None:
    picture = np.full((2, 3, 3), 100, np.uint8)
    values = np.array([[0.0, 2.0, -2.0], [0.0, 1.0, -1.0]])
    over = laid_over(picture, values, 2.0).astype(int)
    # 0.45 * 255 + 0.55 * 100, where nothing is laid over it.
    np.testing.assert_array_equal(over[:, 0], [[170] * 3] * 2)
    red, blue = over[0, 1], over[0, 2]
    # 92 % vermilion (213, 94, 0), 92 % blue (0, 114, 178).
    np.testing.assert_array_equal(red, np.round(0.92 * np.array([213, 94, 0]) + 0.08 * 169.75))
    np.testing.assert_array_equal(blue, np.round(0.92 * np.array([0, 114, 178]) + 0.08 * 169.75))
    assert 170 < over[1, 1, 0] < red[0]
    assert limit(values, np.array([3.0]), np.array([])) == 3.0
    np.testing.assert_array_equal(laid_over(picture, 0 * values, 0.0), np.full((2, 3, 3), 170))
    strip = scale_strip(9, 2).astype(int)
    assert strip[0, 0, 0] > strip[4, 0, 0] > strip[8, 0, 0]


def test_pictures_are_brought_to_about_a_size() -> None:
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert resized(small, 7).shape == (6, 6, 3)
    np.testing.assert_array_equal(resized(small, 7)[::3, ::3], small)
    assert resized(np.zeros((100, 50, 3), np.uint8), 20).shape == (20, 10, 3)


def explanation() -> ImageExplanation:
    """Return one made by hand: two blocks of four channels, and names that are markup."""
    maps = tuple(
        ChannelMaps(c, np.ones((2, 2), np.float32), np.eye(2, dtype=np.float32)) for c in range(4)
    )
    top = (Answer("a <b>", 0, 0.75), Answer("$x$", 1, 0.25))
    other = Held((Answer("$x$", 1, 0.6), Answer("a <b>", 0, 0.4)), 0.4)
    same = Held((Answer("a <b>", 0, 0.8), Answer("$x$", 1, 0.2)), 0.8)
    blocks = tuple(
        ExplainedBlock(
            block=SEBlock(
                name, f"b.{name}", 2, i, 4, 2, "sigmoid", "mean", "standard", (), 0, (2, 2)
            ),
            gates=np.array([0.9, 0.1, 0.5, 0.5], np.float32),
            reference=np.full(4, 0.5, np.float32),
            spread=np.full(4, 0.2, np.float32),
            own_class=np.full(4, 0.6, np.float32),
            up=maps[:1],
            down=maps[1:2],
            held={"mean": other if i == 1 else same, "neutral": same},
        )
        for i, name in ((1, "SE_2_1"), (2, "SE_2_2"))
    )
    image = ExplainedImage(
        "<i>.png", np.zeros((8, 8, 3), np.uint8), top, blocks, {"mean": other, "neutral": same}
    )
    return ImageExplanation(
        "x.pt", "", "net", (3, 8, 8), (image,), "mean", "the mean gate over 1,000 images of x", 1000
    )


def test_sentences() -> None:
    explained = explanation()
    (image,) = explained.images
    assert [b.block.name for b in flips(image, "mean")] == ["SE_2_1"]
    assert flips(image, "neutral") == []
    answer, mean, neutral, unusual = describe_image(explained, image)
    assert answer == "<i>.png: a <b> (75.0%), then $x$ (25.0%)."
    assert "changes the answer in 1 of 2: SE_2_1 (to $x$)." in mean
    assert "the answer becomes $x$ (60.0%)" in mean
    assert "changes the answer nowhere; a <b> moves most in SE_2_1, from 75.0% to 80.0%" in neutral
    # sqrt((0.16 + 0.16) / 4) / 0.2
    assert "SE_2_1: 1.41 times as far as those of the 1,000 images" in unusual


def test_tables() -> None:
    explained = explanation()
    tables = tables_of(explained)
    assert list(tables) == ["image_answers", "image_blocks", "image_channels"]
    first, second = tables["image_answers"].records()
    assert (first["answer"], first["probability"], first["all_mean"]) == ("a <b>", 0.75, 0.4)
    assert (second["answer"], second["all_mean"], second["all_neutral"]) == ("$x$", 0.6, 0.2)
    row, _ = tables["image_blocks"].records()
    assert (row["block"], row["kept_mean"], row["answer_mean"]) == ("SE_2_1", 0.4, "$x$")
    assert row["distance"] == pytest.approx(np.sqrt(0.08))
    every = image_channels_table(explained, "SE_2_2", every=True).records()
    assert [r["channel"] for r in every] == [0, 1, 2, 3]
    assert [r["end"] for r in every] == ["up", "down", "", ""]
    assert every[0]["moved"] == pytest.approx(0.4)
    assert "a &lt;b&gt;" in render(tables["image_answers"], "html")
    assert "SE_2_1" in explained._repr_html_()


def test_figures_say_what_they_show() -> None:
    explained = explanation()
    text = " ".join(t.get_text() for t in _texts(image_overview(explained)))
    assert "net: what SE does to this image" in text
    assert "<i>.png" in text
    words = [t.get_text() for t in _texts(image_block(explained, "SE_2_2"))]
    assert "SE_2_2: 4 channels, maps of 2x2, before and after the gate" in words
    assert {"0: 0.900", "1: 0.100", "mean 0.500; ±1", "a <b> 75.0%", "held at mean: 80.0%"} <= set(
        words
    )


@pytest.mark.parametrize("count", [6, 16, 40])
def test_new_answers_are_not_written_over_each_other(count: int) -> None:
    explained = explanation()
    image = explained.images[0]
    names = [f"new answer {k}" for k in range(2 * count)]

    def held(k: int) -> Held:
        kept = 0.1 + 0.25 * (7 * k % (2 * count)) / count
        return Held((Answer(names[k], 2 + k, 0.7), Answer("a <b>", 0, kept)), kept)

    blocks = tuple(
        replace(
            image.blocks[0],
            block=replace(image.blocks[0].block, name=f"SE_2_{k}"),
            held={"mean": held(k), "neutral": held(count + k)},
        )
        for k in range(count)
    )
    many = replace(explained, images=(replace(image, blocks=blocks),))
    figure = image_overview(many)
    texts = check_readable(figure)
    panel = next(a for a in figure.axes if "one block held" in a.get_title(loc="left"))
    named = [t.get_text() for t in panel.texts]
    assert len(named) >= 4
    said = " ".join(t.text for t in texts)
    left = 2 * count - len(named)
    assert (f"{left} new answers without room for their names: image.csv" in said) == (left > 0)
    assert ("image.csv" in said) == (left > 0)


def test_the_answer_with_all_held_is_named_where_it_was_none_of_the_first() -> None:
    explained = explanation()
    image = explained.images[0]
    other = Held((Answer("zebra", 7, 0.6), Answer("a <b>", 0, 0.3)), 0.3)
    image = replace(image, all_held={**image.all_held, "mean": other})
    figure = image_overview(replace(explained, images=(image,)))
    check_readable(figure)
    panel = next(a for a in figure.axes if "all blocks held" in a.get_title(loc="left"))
    assert [t.get_text() for t in panel.get_yticklabels()] == ["a <b>", "$x$", "zebra"]
    row = panel.get_yticks()[2]
    (points,) = [line for line in panel.get_lines() if line.get_marker() == "o"]
    assert dict(zip(points.get_ydata(), points.get_xdata(), strict=True))[row] == pytest.approx(60)


def test_the_legend_has_what_is_drawn() -> None:
    explained = explanation()
    image = explained.images[0]
    blocks = tuple(replace(b, held={"neutral": b.held["neutral"]}) for b in image.blocks)
    image = replace(image, blocks=blocks, all_held={"neutral": image.all_held["neutral"]})
    alone = replace(explained, images=(image,), recorded=0, reference="neutral")
    known = [t.get_text() for t in image_overview(alone).legends[0].get_texts()]
    assert known == ["held at 1: no gates", "the network as it is"]
    known = [t.get_text() for t in image_overview(explained).legends[0].get_texts()]
    assert known == ["held at the mean gate", "held at 1: no gates", "the network as it is"]


def _texts(figure: object) -> list[object]:
    from matplotlib.text import Text

    return [t for t in figure.findobj(Text) if t.get_text()]  # type: ignore[attr-defined]


def test_files(tmp_path: Path) -> None:
    written = write_image(explanation(), tmp_path, ["svg"])
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == sorted(p.name for p in written.files)
    assert names == ["image.csv", "image.html", "image.svg", "image_SE_2_1.svg", "image_SE_2_2.svg",
                     "image_channels.csv"]  # fmt: skip
    page = (tmp_path / "image.html").read_text(encoding="utf-8")
    places = re.findall('role="region" aria-label="([^"]*)"', page)
    assert len(places) == len(set(places)) > 2
    assert "a &lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("data:image/") == 3
    assert "http" not in page.replace("http-equiv", "")
    first = page
    write_image(explanation(), tmp_path, ["svg"])
    assert (tmp_path / "image.html").read_text(encoding="utf-8") == first


def test_nothing_to_answer_and_no_picture(tmp_path: Path, tiny: Tiny) -> None:
    headless = torch.nn.Sequential(*list(seviz.load(tiny.path).model.children())[:4])
    found = seviz.explain_image(headless.eval(), torch.rand(2, 3, 12, 12), blocks=["SE_2_1"])
    assert len(found.images) == 2
    write_image(found, tmp_path)
    page = (tmp_path / "image.html").read_text(encoding="utf-8")
    assert "no score per class" in page
    blind = torch.nn.Sequential(torch.nn.Conv2d(5, 3, 1), headless)
    found = seviz.explain_image(blind.eval(), torch.rand(5, 12, 12), blocks=["SE_2_1"])
    assert found.images[0].picture is None
    write_image(found, tmp_path)
