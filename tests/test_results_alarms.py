"""What a user must be warned of, on counts made up by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from synthetic import make_header

from seviz.results.alarms import _spread, alarms
from seviz.results.classes import ClassTable
from seviz.results.input_fit import InputFit
from seviz.results.record import Record


def record(confusion: npt.ArrayLike, fit: InputFit | None = None) -> Record:
    counts = np.asarray(confusion, np.int64)
    classes = ClassTable.from_labels([f"c{i}" for i in range(len(counts))])
    header = replace(make_header(int(counts.sum())), fit=fit, num_classes=counts.shape[1])
    arrays = {"confusion": counts, "count": counts.sum(axis=1)}
    return Record(header, classes, (), arrays)


def test_a_good_network_raises_none() -> None:
    assert alarms(record([[8, 1, 1], [2, 7, 1], [0, 1, 9]])) == ()
    assert alarms(record(np.eye(10) * 100 + 5)) == ()


def test_constant_answers() -> None:
    (said,) = alarms(record([[0, 20, 0], [0, 20, 0], [0, 20, 0]]))
    assert "answers are constant: c1 for all 60 images of 3 classes" in said
    (said,) = alarms(record([[0, 50, 0], [0, 49, 1], [0, 50, 0]]))
    assert "c1 for 149 of 150 images" in said
    wide = np.zeros((3, 5), int)
    wide[:, 4] = 10
    (said,) = alarms(record(wide))
    assert "output 4 for all 30 images" in said


def test_constant_answers_for_one_class_are_right() -> None:
    assert alarms(record([[20, 0, 0], [0, 0, 0], [0, 0, 0]])) == ()
    assert alarms(record([[0, 20, 0], [0, 0, 0], [0, 0, 0]])) == ()


@pytest.mark.parametrize(
    ("confusion", "chance"),
    [
        (np.full((10, 10), 10), "10.00%"),
        (np.full((4, 4), 9) + np.eye(4, dtype=int), "25.00%"),
        # A third of the images are of the class that nine of ten answers name: 0.9/3 + 0.1/3... by hand
        ([[90, 10], [180, 20]], "36.67%"),  # 1/3 * 0.9 + 2/3 * 0.1
    ],
)
def test_answers_at_chance(confusion: npt.ArrayLike, chance: str) -> None:
    (said,) = alarms(record(confusion))
    assert said.startswith("top-1 is at chance")
    assert f"{chance} would be" in said


def test_answers_below_chance_are_in_another_order() -> None:
    (said,) = alarms(record(np.roll(np.eye(10, dtype=int) * 100, 1, axis=1)))
    assert said.startswith(
        "top-1 is below chance: 0.00% of 1,000 images are right, and 10.00% would"
    )
    assert "the classes seem to be in another order" in said


def test_few_classes_that_are_told_apart_are_not_at_chance() -> None:
    # Nine of ten images are of one class, and chance is 82 %: what is right beyond that counts.
    assert alarms(record([[900, 0], [0, 100]])) == ()
    assert alarms(record([[178, 0], [0, 20]])) == ()
    # All four cats among sixty airplanes got the only four answers "cat": 1 in 635,376 shuffles.
    airplanes = np.zeros((2, 3), int)
    airplanes[0], airplanes[1] = (49, 0, 11), (0, 4, 0)
    assert alarms(record(airplanes)) == ()
    (said,) = alarms(record([[810, 90], [90, 10]]))
    assert said.startswith("top-1 is at chance: 82.00%")


@pytest.mark.parametrize("seed", range(3))
def test_the_spread_is_that_of_shuffled_answers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, answers = rng.choice(4, 60, p=[0.6, 0.2, 0.1, 0.1]), rng.choice(4, 60)
    counted = [np.bincount(x, minlength=4) for x in (true, answers)]
    found = [np.sum(true == rng.permutation(answers)) for _ in range(20_000)]
    assert _spread(*counted, 60) == pytest.approx(np.std(found), rel=0.02)


def test_a_little_above_chance_is_above_it() -> None:
    # 200 of 1,000 right where shuffled answers give 100.
    above = np.full((10, 10), 80 // 9)
    np.fill_diagonal(above, 20)
    assert alarms(record(above)) == ()
    # Of thousands of images even 11 % is surely more than 10 %, and still of no use.
    nearly = np.full((10, 10), 989)
    np.fill_diagonal(nearly, 1099)
    (said,) = alarms(record(nearly))
    assert said.startswith("top-1 is at chance: 10.99%")


@pytest.mark.parametrize("confusion", [[[1, 1], [1, 1]], [[2, 1], [2, 1]], np.ones((3, 3))])
def test_few_images_tell_nothing(confusion: npt.ArrayLike) -> None:
    assert alarms(record(confusion)) == ()


def test_the_misfit_comes_first_and_alone_says_why() -> None:
    fit = InputFit(images=128, norms=6, first=0.5, misfit=0.5)
    said = alarms(record(np.full((10, 10), 10), fit))
    assert said[0] == fit.sentence
    assert said[1].startswith("top-1 is at chance")
    assert "preprocessing?" not in said[1]
    assert alarms(record(np.eye(3) * 10, InputFit(unknown="no norm"))) == ()
    assert alarms(record(np.eye(3) * 10, InputFit(images=64, misfit=0.01))) == ()


def test_without_predictions_there_is_nothing_to_say() -> None:
    bare = record(np.eye(3))
    assert alarms(replace(bare, arrays={"count": bare.arrays["count"]})) == ()
