"""``seviz channel`` and ``seviz channels``: text, files, JSON, exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, Tiny

import seviz


@pytest.fixture(autouse=True)
def _nowhere(elsewhere: Path) -> None:
    pass


@pytest.fixture(scope="module")
def digits() -> str:
    return str(seviz.sample("se_resnet_digits"))


def test_a_channel_of_a_record(run: Run, digits_record: Path) -> None:
    said = run("channel", digits_record, "SE_4_2:29", "-o", "out")
    assert said.code == 0, said.err
    assert said.out.startswith("SE_4_2:29: mean gate 0.469")
    assert "most open for 6" in said.out
    stem = "channel_SE_4_2_29"
    assert {p.name for p in Path("out").iterdir()} == {
        f"{stem}.png",
        f"{stem}.svg",
        f"{stem}_classes.csv",
        f"{stem}_images.csv",
        f"{stem}_companions.csv",
    }


def test_a_channel_with_its_network_and_images(run: Run, digits_record: Path, digits: str) -> None:
    words = ["channel", digits_record, "SE_4_2:29", digits, "--data", "digits", "--format", "svg"]
    said = run(*words, "--json", "-o", "out")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert document["schema_version"] == 1
    assert document["channel"] == "SE_4_2:29"
    assert document["weights"]["read_by"] == ["fc.weight"]
    assert [e["held"] for e in document["effects"]] == ["mean", "zero"]
    assert document["largest"][0]["name"] == "digits/test/42"
    assert document["images_of"] == "all 364 images of digits test"
    assert {Path(f).name for f in document["files"]} == {p.name for p in Path("out").iterdir()}


def test_the_ranking(run: Run, digits_record: Path, digits: str) -> None:
    words = ["channels", digits_record, digits, "--blocks", "SE_2_1", "-o", "out"]
    said = run(*words, "--ablate", "mean", "--data", "digits")
    assert said.code == 0, said.err
    assert "16 channels of 1 blocks" in said.out
    with Path("out/channels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["rank"]) for r in rows] == list(range(1, 17))
    assert sorted(int(r["channel"]) for r in rows) == list(range(16))
    for row in rows:
        assert float(row["importance"]) == pytest.approx(float(row["mean"]) * float(row["norm"]))
        assert float(row["delta_low"]) <= float(row["delta"]) <= float(row["delta_high"])
    document = json.loads(run(*words, "--json").out)
    assert len(document["channels"]) == 16
    assert document["held"] is None


def test_a_record_alone_ranks_by_mean_gates(run: Run, digits_record: Path) -> None:
    said = run("channels", digits_record, "-o", "out")
    assert said.code == 0
    assert "no checkpoint: ranked by the mean gate alone" in said.err


def test_what_is_refused(run: Run, digits_record: Path, digits: str, tiny: Tiny) -> None:
    for words, code, part in (
        (["channel", digits, "SE_4_2:29"], 2, "expected a record"),
        (["channel", digits_record, "SE_4_2:99"], 2, "from 0 to 63"),
        (["channel", digits_record, f"SE_4_2:{'9' * 5000}"], 2, "SE_4_2"),
        (["channel", digits_record, "SE_4_2:1", "--format", "gif"], 2, "gif"),
        (["channel", digits_record, "SE_4_2:1", tiny.path], 4, "with other weights"),
        (["channels", digits_record, "--ablate", "mean", "--data", "digits"], 2, "no checkpoint"),
        (["channels", digits_record, digits, "--ablate", "mean"], 2, "no --data"),
        (["channels", digits_record, digits, "--data", "digits"], 2, "--ablate"),
        (["channels", digits_record, "--blocks", "SE_9"], 2, "SE_9"),
    ):
        said = run(*words)
        assert said.code == code, said.err
        assert part in said.err.splitlines()[-1]


@pytest.mark.parametrize("words", [["channel", "RUN", "SE_4_2:29"], ["channels", "RUN"]])
def test_a_record_needs_no_torch(words: list[str], digits_record: Path) -> None:
    given = [str(digits_record) if w == "RUN" else w for w in [*words, "-o", "out"]]
    code = (
        f"import sys; from seviz.cli import main; main({given!r}); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
