"""What follows from the parts that a user gives, and what is still assumed then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seviz.results.preprocessing import ASSUMED, Preprocessing

NOTHING_TOLD = Preprocessing(origin="ImageNet's", assumed=ASSUMED)
TIMMS = Preprocessing(origin="timm", crop_pct=0.95)


def test_nothing_given_changes_nothing():
    assert NOTHING_TOLD.changed(mean=None, crop_pct=None) is NOTHING_TOLD


def test_who_told_does_not_make_a_difference():
    assert replace(TIMMS, origin="us") == TIMMS
    assert replace(TIMMS, assumed=("mean",)) == TIMMS
    assert replace(TIMMS, crop_mode="squash") != TIMMS


def test_another_size_takes_the_whole_image():
    for before in (NOTHING_TOLD, TIMMS):
        changed = before.changed(input_size=[3, 32, 32])
        assert (changed.input_size, changed.crop_pct) == ((3, 32, 32), 1.0)
        assert before.changed(input_size=(3, 32, 32), crop_pct=0.9).crop_pct == 0.9
    assert TIMMS.changed(input_size=(3, 224, 224)).crop_pct == 0.95
    assert TIMMS.changed(input_size=(1, 224, 224)).crop_pct == 0.95


def test_constants_follow_the_channels():
    grey = Preprocessing(mean=(0.2, 0.3, 0.7), std=(0.1, 0.2, 0.3)).changed(input_size=(1, 8, 8))
    assert (grey.mean, grey.std) == (pytest.approx((0.4,)), pytest.approx((0.2,)))
    clear = Preprocessing(mean=(0.2, 0.3, 0.7)).changed(input_size=(4, 8, 8))
    assert clear.mean == pytest.approx((0.2, 0.3, 0.7, 0.4))
    wide = Preprocessing((1, 8, 8), (0.4,), (0.2,)).changed(input_size=(3, 8, 8))
    assert (wide.input_size, wide.mean) == ((3, 8, 8), (0.4,))  # one serves every channel
    assert Preprocessing().changed(input_size=(1, 8, 8), mean=(0.9,), std=(0.8,)).mean == (0.9,)
    one = Preprocessing(mean=(0.5,), std=(0.5,)).changed(input_size=(1, 8, 8))
    assert one.mean == (0.5,)


def test_constants_follow_the_order_of_the_colours():
    colours = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    turned = colours.changed(channel_order="bgr")
    assert (turned.mean, turned.std) == ((0.3, 0.2, 0.1), (0.6, 0.5, 0.4))
    assert colours.changed(channel_order="bgr", mean=(0.7, 0.8, 0.9)).mean == (0.7, 0.8, 0.9)
    assert colours.changed(channel_order="rgb") == colours


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"mean": (0, 0, 0)}, ("std", "input_size", "crop_pct")),
        ({"input_size": (3, 8, 8)}, ("mean", "std")),
        ({"crop_pct": 1.0, "std": (1, 1, 1)}, ("mean", "input_size")),
        ({"interpolation": "nearest"}, ASSUMED),
        ({"input_size": (3, 8, 8), "mean": (0, 0, 0), "std": (1, 1, 1)}, ()),
    ],
)
def test_what_is_given_is_not_assumed(given, left):
    changed = NOTHING_TOLD.changed(**given)
    assert changed.assumed == left
    remark = changed.remark
    if not left:
        assert remark is None
        assert changed.told_by == "given"
        return
    assert remark is not None
    for part in ASSUMED:
        option = f"--{part.replace('_', '-')}"
        assert (option in remark) == (part in left)


def test_values_made_by_hand_are_no_default():
    assert Preprocessing().told_by == "default"
    assert Preprocessing(mean=(0.1, 0.2, 0.3)).told_by == "given"
    assert Preprocessing().changed(mean=(0, 0, 0)).told_by == "default; mean given"
    assert Preprocessing().changed(input_size=(3, 8, 8)).told_by == "default; size given"
    own = Preprocessing((1, 8, 8), (0.3,), (0.4,), crop_pct=1.0)
    assert own.changed(mean=(0.5,)).told_by == "given"
    assert own.describe().endswith("std 0.4 (given)")


def test_given_bit_by_bit():
    changed = NOTHING_TOLD.changed(mean=(0, 0, 0)).changed(std=(1, 1, 1))
    assert changed.told_by == "ImageNet's size and crop assumed; mean and std given"
    assert "mean 0 0 0, std 1 1 1 (ImageNet's size" in changed.describe()
    assert changed.changed(input_size=(3, 8, 8)).remark is None


def test_the_line_for_people_says_what_is_unusual():
    line = Preprocessing(crop_mode="border", channel_order="bgr").describe()
    assert line.startswith("3x224x224, BGR, bicubic, crop 0.875 border, mean")


def test_dicts_of_an_older_seviz():
    old = Preprocessing().to_dict()
    for name in ("crop_mode", "channel_order", "assumed", "given"):
        del old[name]
    assert Preprocessing.from_dict(old) == Preprocessing()
    read = Preprocessing.from_dict({**old, "origin": "ImageNet's, assumed"})
    assert read.assumed == ASSUMED
    assert read.told_by == "ImageNet's, assumed"
