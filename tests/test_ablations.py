"""The result of an ablation: what it holds comes back from a file, and what is none is refused."""

from __future__ import annotations

import json

import pytest

from seviz.ablations import Ablation, Replaced
from seviz.errors import DataError
from seviz.schema import SCHEMA_VERSION


@pytest.fixture
def ablation():
    one = Replaced("SE_2_1", ("SE_2_1",), lost=6, won=2, params=72, macs=64)
    both = Replaced("SE_2_2", ("SE_2_1", "SE_2_2"), lost=12, won=2, params=144, macs=128)
    return Ablation(
        checkpoint="net.pt",
        checkpoint_sha256="0" * 64,
        architecture="net",
        source="pictures",
        split="val",
        images=100,
        right=90,
        by="block",
        gates="mean",
        seed=0,
        params=1000,
        se_params=144,
        macs=5000,
        single=(one, one),
        cumulative=(one, both),
        versions={"torch": "2"},
        notes=("a note",),
    )


def test_shares(ablation):
    assert ablation.top1 == 0.9
    assert ablation.top1_with(ablation.cumulative[1]) == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["", "mine.json"])
def test_round_trip(ablation, tmp_path, name):
    path = ablation.save(tmp_path / name)
    assert path == tmp_path / (name or "ablation.json")
    assert Ablation.load(tmp_path / name) == ablation
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{}", '{"schema_version": 99}', json.dumps({"schema_version": SCHEMA_VERSION})],
)
def test_what_is_none_is_refused(text, tmp_path, refuses):
    (tmp_path / "ablation.json").write_text(text)
    with refuses(DataError, "ablation", "seviz ablate"):
        Ablation.load(tmp_path)


def test_nothing_there(tmp_path, refuses):
    with refuses(DataError, "seviz ablate"):
        Ablation.load(tmp_path / "none")
