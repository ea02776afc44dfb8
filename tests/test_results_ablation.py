"""The result of an ablation: there and back, and what is no such result."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import mutants
import pytest
from conftest import Refuses

from seviz.errors import DataError
from seviz.results.ablation import Ablation, Replaced


def make(**changed: object) -> Ablation:
    values: dict[str, object] = {
        "checkpoint": "net.pt",
        "checkpoint_sha256": "0" * 64,
        "architecture": "a_network",
        "source": "pictures",
        "split": "val",
        "images": 200,
        "right": 150,
        "by": "block",
        "gates": "mean",
        "seed": 0,
        "params": 10_000,
        "se_params": 600,
        "macs": 1_000_000,
        "dtype": "float32",
        "single": (
            Replaced("SE_2_1", ("SE_2_1",), 12, 2, 100, 90),
            Replaced("SE_3_1", ("SE_3_1",), 0, 0, 500, 480),
        ),
        "cumulative": (
            Replaced("SE_3_1", ("SE_3_1",), 0, 0, 500, 480),
            Replaced("SE_2_1", ("SE_3_1", "SE_2_1"), 20, 5, 600, 570),
        ),
        "skipped": (("ant/cut.png", "truncated"),),
        "notes": ("a remark",),
        "versions": {"torch": "2.6"},
    }
    return Ablation(**{**values, **changed})  # type: ignore[arg-type]


def test_there_and_back(tmp_path: Path) -> None:
    result = make()
    for target in (tmp_path / "new" / "folder", tmp_path / "named.json"):
        path = result.save(target)
        assert Ablation.load(path) == Ablation.load(target) == result
    assert json.loads((tmp_path / "named.json").read_text())["schema_version"] == 1
    assert Ablation.from_dict(result.to_dict()) == result


def test_shares() -> None:
    result = make()
    assert result.top1 == 0.75
    assert [result.top1_with(part) for part in result.single] == [0.7, 0.75]
    assert result.top1_with(result.cumulative[-1]) == 0.675


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 1, "single": 3}', "\x00"],
)
def test_something_else(text: str, tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "ablation.json"
    path.write_text(text)
    with refuses(DataError, "seviz ablate"):
        Ablation.load(tmp_path)


def test_other_versions_and_nothing(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(DataError, "seviz ablate"):
        Ablation.load(tmp_path)
    path = make().save(tmp_path)
    for version in (2, None):
        values = json.loads(path.read_text())
        path.write_text(json.dumps({**values, "schema_version": version}))
        with refuses(DataError, "schema version 1"):
            Ablation.load(path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"images": "200"}, 'a whole number as ablation.images, found "200"'),
        ({"images": 0}, "150 right ones of 0 images"),
        ({"right": 201}, "201 right ones of 200 images"),
        ({"by": "channel"}, "block or stage as ablation.by"),
        ({"single": 3}, "a list as ablation.single, found 3"),
        ({"macs": -1}, "a negative number"),
        ({"versions": ["torch"]}, "an object as ablation.versions"),
    ],
)
def test_edited(change: dict[str, Any], part: str, tmp_path: Path, refuses: Refuses) -> None:
    path = make().save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with refuses(DataError, part, "seviz ablate"):
        Ablation.load(path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"lost": 151}, "151 images lost"),
        ({"won": 51}, "51 won of 150 right ones of 200"),
        ({"blocks": []}, "no blocks"),
        ({"name": "SE_3_1"}, "'SE_3_1' twice"),
    ],
)
def test_an_edited_part(
    change: dict[str, Any], part: str, tmp_path: Path, refuses: Refuses
) -> None:
    path = make().save(tmp_path)
    values = json.loads(path.read_text())
    values["single"][0] |= change
    path.write_text(json.dumps(values))
    with refuses(DataError, part):
        Ablation.load(path)


def test_what_a_newer_seviz_adds_is_left_out(tmp_path: Path) -> None:
    path = make().save(tmp_path)
    values = json.loads(path.read_text())
    values["weather"] = values["single"][1]["weather"] = "rain"
    path.write_text(json.dumps(values))
    assert Ablation.load(path) == make()


def test_hundreds_of_mutants(tmp_path: Path) -> None:
    path = make().save(tmp_path)
    values = json.loads(path.read_text())
    for number in range(500):
        changed, what = mutants.document(values, random.Random(number))
        path.write_text(json.dumps(changed))
        try:
            result = Ablation.load(path)
        except DataError:
            continue
        for one in (*result.single, *result.cumulative):
            assert 0 <= result.top1_with(one) <= 1, what
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False)), what
