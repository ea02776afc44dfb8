"""Every figure in print: a column of a paper, grey, lettered; with few classes or blocks and very many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import crowds
import matplotlib
import pytest
from conftest import Refuses, Run, at_night
from matplotlib.figure import Figure
from measuring import check_readable, texts

import seviz
from seviz.errors import UsageError
from seviz.figures import comparison, shift_figure, stripes_figure, swap_figure, track_figure
from seviz.figures.captions import caption
from seviz.figures.channel import channel_figure
from seviz.figures.image_block import image_block
from seviz.figures.image_overview import image_overview
from seviz.figures.look import Look
from seviz.figures.tracking import track_panels

Draw = Callable[..., Figure]
KINDS = ("brightness", "contrast", "noise")
STAGES = ((3, 16), (4, 32), (6, 64), (3, 128))
MADE: dict[str, tuple[Draw, Callable[[], Any]]] = {
    "shift": (shift_figure, lambda: crowds.shift_with(KINDS, 3)),
    "shift, 50 blocks": (shift_figure, lambda: crowds.shift_with(KINDS[:1], 50, (5,))),
    "track": (track_figure, lambda: crowds.track_with(16, 3)),
    "stripes": (stripes_figure, lambda: crowds.track_with(3, 6)),
    "swap": (swap_figure, lambda: crowds.swap_with(10, 16)),
    "swap, 300 classes": (swap_figure, lambda: crowds.swap_with(300, 3)),
    "channel": (channel_figure, lambda: crowds.channel_of(10, 3)),
    "channel, 300 classes": (channel_figure, lambda: crowds.channel_of(300, 3)),
    "compare": (comparison, lambda: crowds.comparison_of(10, STAGES)),
    "compare, 1000 classes": (comparison, lambda: crowds.comparison_of(1000, STAGES[:1])),
    "overview": (image_overview, lambda: crowds.explained_with(16, 2)),
    "overview, 50 blocks": (image_overview, lambda: crowds.explained_with(50, 1)),
    "block": (lambda of, **how: image_block(of, "SE_2_1", **how), lambda: crowds.explained_with(3, 2)),
}  # fmt: skip


# By day where there is most to draw.
PLAIN = {"shift", "swap", "channel", "compare", "overview", "stripes"}


@pytest.mark.parametrize("name", [at_night(name) if name in PLAIN else name for name in MADE])
def test_readable_in_a_column_and_on_a_page(name: str) -> None:
    draw, make = MADE[name]
    of = make()
    own = draw(of)
    check_readable(own)
    column = draw(of, look=Look.of(width=8.5))
    assert column.get_figwidth() == pytest.approx(8.5 / 2.54)
    check_readable(column)
    assert caption(own).split(".")[0] == caption(column).split(".")[0] != ""
    # A figure of one's own is cleared and used again.
    lettered = draw(of, look=Look.of(width=8.5, letters=True, palette="grey"), figure=column)
    assert lettered is column
    said = check_readable(lettered)
    assert any("(a)" in one.text for one in said)
    assert column.get_figwidth() == pytest.approx(8.5 / 2.54)


@pytest.mark.parametrize(
    "name", ["channel", "compare", "block", *map(at_night, ("swap", "overview"))]
)
def test_classes_bear_their_new_names(name: str) -> None:
    draw, make = MADE[name]
    of = make()
    before = [one.text for one in texts(draw(of))]
    after = [one.text for one in texts(draw(of, look=Look.of(rename={"class 0": "zebra"})))]
    assert not any("zebra" in text for text in before)
    assert any("zebra" in text for text in after)


@pytest.mark.parametrize(
    "name", ["shift", "track", "channel", "compare", "overview", at_night("swap")]
)
def test_colours_and_fonts_are_those_that_were_asked_for(name: str) -> None:
    draw, make = MADE[name]
    of = make()

    def colours(figure: Figure) -> set[str]:
        drawn = [line.get_color() for panel in figure.axes for line in panel.get_lines()]
        drawn += [p.get_facecolor() for panel in figure.axes for p in panel.patches]
        return {matplotlib.colors.to_hex(c) for c in drawn}

    chosen = draw(of, look=Look.of(palette=["#123456", "#654321"], font="STIXGeneral"))
    assert colours(chosen) & {"#123456", "#654321"}
    assert not colours(draw(of)) & {"#123456", "#654321"}
    assert chosen.axes[-1].title.get_fontfamily()[0] == "STIXGeneral"


def test_settings_of_matplotlib_are_respected() -> None:
    of = crowds.shift_with(KINDS[:1], 3)
    with matplotlib.rc_context(
        {"axes.prop_cycle": matplotlib.cycler(color=["#112233", "#445566", "#778899"])}
    ):
        figure = shift_figure(of)
    used = {line.get_color() for line in figure.axes[0].get_lines()}
    assert {"#112233", "#445566", "#778899"} <= used


def test_on_panels_of_ones_own(refuses: Refuses) -> None:
    import matplotlib.pyplot as plt

    shift, track = crowds.shift_with(KINDS[:2], 3), crowds.track_with(3, 3)
    own, panels = plt.subplots(1, 2)
    assert shift_figure(shift, axes=list(panels)) is own
    assert [p.get_title(loc="left") for p in panels] == list(KINDS[:2])
    assert all(len(p.get_lines()) > 3 for p in panels)
    with refuses(UsageError, "a panel for each of 2", "found 1"):
        shift_figure(shift, axes=[panels[0]])
    titles = track_panels(track)
    own, panels = plt.subplots(len(titles), 1)
    assert track_figure(track, axes=list(panels)) is own
    assert panels[0].get_title(loc="left") == titles[0]
    with refuses(UsageError, "found 1", f"give {len(titles)}"):
        track_figure(track, axes=[panels[0]])
    own, panel = plt.subplots()
    assert channel_figure(crowds.channel_of(4, 3), ax=panel) is own
    assert len(panel.get_yticks()) == 4
    plt.close("all")


WORDS = ("--width", "8.5", "--dpi", "100", "--letters", "--palette", "grey")


def test_the_commands_take_them(run: Run, digits_record: Any, tmp_path: Any) -> None:
    """A PNG is as wide as was asked, at the dots that were asked for."""
    from PIL import Image

    asked = (*WORDS, "--rename", "0=zero", "--format", "png", "-o", str(tmp_path), "-q")
    done = run("channel", str(digits_record), "SE_4_1:3", *asked)
    assert done.code == 0, done.err
    done = run("compare", str(digits_record), str(digits_record), *asked)
    assert done.code == 0, done.err
    for stem in ("channel_SE_4_1_3", "compare"):
        with Image.open(tmp_path / f"{stem}.png") as drawn:
            assert drawn.width == pytest.approx(100 * 8.5 / 2.54, abs=1)


@pytest.mark.parametrize("command", ["channel", "compare", "image", "shift", "swap", "track"])
def test_what_cannot_be_is_refused_before_the_work(run: Run, command: str) -> None:
    words = {
        "channel": ("none.npz", "SE_2_1:0"),
        "compare": ("a.pt", "b.pt"),
        "image": ("a.pt", "b.png"),
    }
    given = words.get(command, ("a.pt",))
    for wrong, part in ((("--width", "1"), "5 to 120 cm"), (("--dpi", "7"), "dots per inch")):
        done = run(command, *given, *wrong)
        assert done.code == 2, (command, wrong, done.err)
        assert part in done.err


@pytest.mark.parametrize(
    ("words", "part"),
    [(("--rename", "nine=9"), "names of classes to rename"), (("--classes", "0", "nine"), "nine")],
)
def test_classes_are_refused_before_any_image_passes(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], part: str
) -> None:
    def passed(*_: Any) -> None:
        raise AssertionError("an image passed")

    monkeypatch.setattr("seviz.collect.swap.check_input", passed)
    monkeypatch.setattr("seviz.collect.swap.trace", passed)
    done = run("swap", seviz.sample("se_resnet_digits"), "--data", "digits", *words)
    assert done.code == 2, done.err
    assert part in done.err
