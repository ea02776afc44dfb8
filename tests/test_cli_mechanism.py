"""``--mechanism`` in every command, on a small network with ECA."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run, Said

import seviz
from seviz.errors import NoSEBlockError, UsageError
from seviz.figures import track_figure
from seviz.results.mechanisms import BY_KEY, MECHANISMS, chosen, word_of
from seviz.results.record import Record

CODE = """
import torch
from torch import nn


class ECA(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        y = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * y.view(len(x), -1, 1, 1)


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.eca = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), ECA()

    def forward(self, x):
        return torch.relu(x + self.eca(self.norm(self.conv(x))))


def network():
    body = [nn.Conv2d(3, 8, 3, padding=1), Branch(), nn.MaxPool2d(2), Branch()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
"""
# SE with the squeeze of the paper is SE-ResNet's; what is written in upper case is its name alone.
SAYS_SE = re.compile(r"\bSE\b|\bSE_\d|Squeeze-and-Excitation")


@dataclass(frozen=True)
class Written:
    """A checkpoint, and the words that make a network of it."""

    path: Path
    words: list[str]


@pytest.fixture
def eca(elsewhere: Path) -> Written:
    code = elsewhere / "ecanet.py"
    code.write_text(CODE, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(CODE, names)
    torch.manual_seed(0)
    model = names["network"]()
    for name, p in model.named_parameters():
        if "eca" in name:
            torch.nn.init.normal_(p, std=3)
    torch.save(model.state_dict(), elsewhere / "eca.pt")
    size = ["--input-size", "3", "12", "12", "--crop-pct", "1"]
    return Written(elsewhere / "eca.pt", ["--arch", f"{code}:network", *size])


def document(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    values: dict[str, Any] = json.loads(said.out)
    return values


def test_the_word() -> None:
    assert {m.word for m in MECHANISMS} == {
        *("SE", "NoSqueeze", "eSE", "ECA", "CBAM", "BAM", "GE", "GC", "SK", "split attention"),
        *("SRM", "FCA", "GCT"),
    }
    assert word_of([BY_KEY["eca"], BY_KEY["se"], BY_KEY["eca"]]) == "ECA + SE"
    with pytest.raises(UsageError):
        chosen("xyz")


def test_the_error_names_the_option(run: Run, eca: Written, pictures: Path) -> None:
    data = ["--data", pictures, "--labels", "data"]
    for words in (["inspect"], ["collect", *data], ["audit"]):
        said = run(words[0], eca.path, *eca.words, *words[1:])
        assert said.code == 3
        assert "expected SE blocks in this network, found none: 2 x ECA" in said.err
        assert "--mechanism eca reads those" in said.err
    said = run("inspect", eca.path, *eca.words, "--mechanism", "cbam")
    assert said.code == 3
    assert "expected CBAM blocks" in said.err
    said = run("inspect", eca.path, *eca.words, "--mechanism", "xyz")
    assert said.code == 2
    assert "expected a kind of gate (se, gate, ese, eca" in said.err


def test_the_error_names_the_option_in_every_command(
    run: Run, eca: Written, pictures: Path
) -> None:
    data = ["--data", pictures, "--labels", "sorted", "-j", "0"]
    commands = {
        "activations": data,
        "ablate": data,
        "fold": [*data, "--blocks", "all", "-o", "slim.pt"],
        "image": [],
        "swap": data,
        "shift": [*data, "--corrupt", "noise"],
    }
    for name, more in commands.items():
        images = [next(pictures.rglob("*.png"))] if name == "image" else []
        said = run(name, eca.path, *images, *eca.words, *more)
        assert said.code == 3, (name, said.err)
        assert "found none: 2 x ECA" in said.err, name
        assert "--mechanism eca reads those" in said.err, name


@pytest.fixture
def series(eca: Written) -> list[Path]:
    """Return checkpoints of two epochs of a network with ECA."""
    files = [eca.path.with_name(f"epoch_{epoch}.pt") for epoch in (1, 2)]
    for file in files:
        shutil.copy(eca.path, file)
    return files


OTHERS = re.compile(r"no SE, but 2 x ECA .*; --mechanism eca reads those")


def test_a_series_without_such_gates_names_the_option(
    run: Run, eca: Written, series: list[Path], pictures: Path
) -> None:
    data = ["--data", pictures, "--labels", "sorted", "-j", "0", "--formats", "svg"]
    said = run("track", *series, *eca.words, *data, "-o", "out")
    assert said.code == 0, said.err
    assert re.search(f"note: no gates are drawn: {OTHERS.pattern}", said.err)
    assert not list(Path("out").glob("*.svg"))
    # A record says so later, too, to whoever asks it for gates.
    records = [Path("out/epoch_1"), Path("out/epoch_2")]
    again = run("track", *records, "-o", "two", "--formats", "svg")
    assert re.search(f"note: no gates are drawn: {OTHERS.pattern}", again.err)
    asked = run("activations", records[0])
    assert asked.code == 3
    assert OTHERS.search(asked.err)
    track = seviz.track(records)
    with pytest.raises(NoSEBlockError, match=OTHERS):
        track_figure(track)
    drawn = run("track", *series, *eca.words, *data, "--mechanism", "eca", "-o", "three")
    assert drawn.code == 0, drawn.err
    assert "ECA_2_1" in Path("three/track.csv").read_text(encoding="utf-8")
    assert not SAYS_SE.search(drawn.out)


def test_a_look_inside_of_a_training_names_the_option(eca: Written) -> None:
    names: dict[str, Any] = {}
    exec(CODE, names)
    network, batch = names["network"](), (torch.rand(4, 3, 12, 12), torch.arange(4) % 3)
    with pytest.raises(NoSEBlockError, match=r"--mechanism eca reads those .*PassOptions"):
        seviz.monitor(network, [batch])
    options = seviz.PassOptions(mechanism="eca", fast=False)
    found = seviz.monitor(network, [batch], options=options)
    assert {name.partition("/")[0] for name in found} == {"ECA_2_1", "ECA_3_1", "top1"}


def test_compare_says_which_gates_it_leaves_out(run: Run, eca: Written) -> None:
    said = run("compare", eca.path, eca.path, *eca.words, "-o", "out")
    assert said.code == 0
    assert (
        "has none of the gates that are compared, but eca: --mechanism eca or --mechanism all"
        in said.err
    )
    assert (
        "but eca"
        not in run("compare", eca.path, eca.path, *eca.words, "--mechanism", "eca", "-o", "out").err
    )


def test_inspect(run: Run, eca: Written) -> None:
    values = document(run("inspect", eca.path, *eca.words, "--mechanism", "eca", "--json"))
    assert [b["name"] for b in values["blocks"]] == ["ECA_2_1", "ECA_3_1"]
    assert (values["mechanism"], values["gates_params"]) == ("eca", 6)
    assert "se_params" not in values
    said = run("inspect", eca.path, *eca.words, "--mechanism", "eca")
    assert said.code == 0
    assert "ECA blocks" in said.out
    assert not SAYS_SE.search(said.out)


@pytest.mark.usefixtures("no_figures")
def test_audit(run: Run, eca: Written) -> None:
    asked = ["audit", eca.path, *eca.words, "--mechanism", "eca"]
    values = document(run(*asked, "--json", "-o", "out"))
    assert values["params"]["gates"] == 6
    # A kernel of 3 on 8 channels, twice; 12 x 12, then 6 x 6.
    assert values["macs"]["gates_layers"] == 48
    assert values["macs"]["gates_squeeze"] == 8 * (144 + 36)
    said = run(*asked, "-o", "out")
    assert said.out.startswith("ECA has 6 of the network's ")
    assert not SAYS_SE.search(said.out)
    failed = run(*asked, "-o", "out", "--max-se-params-pct", "0.001")
    assert failed.code == 1
    assert "exceeded: ECA adds" in failed.err
    for more in (["--sweep", "8"], ["--insert-se"]):
        assert run(*asked, *more).code == 2
    for kind in ("latex", "csv"):
        assert not SAYS_SE.search(run(*asked, "--format", kind).out)


@pytest.mark.usefixtures("no_figures")
def test_a_record_knows_its_kind(run: Run, eca: Written, pictures: Path) -> None:
    data = ["--data", pictures, "--labels", "sorted", "-o", "out"]
    named = [*eca.words, "--mechanism", "eca"]
    values = document(run("collect", eca.path, *named, *data, "--json"))
    assert [b["name"] for b in values["blocks"]] == ["ECA_2_1", "ECA_3_1"]
    assert Record.load("out").mechanisms == ("eca",)
    again = run("activations", "out", "-o", "drawn")
    assert again.code == 0
    assert "What the SENet paper says of its networks, for the ECA of this network, of which" in (
        " ".join(again.out.split())
    )
    assert run("activations", "out", "-o", "drawn", "--mechanism", "eca").code == 0
    refused = run("activations", "out", "--mechanism", "cbam")
    assert refused.code == 2
    assert "found ECA in out" in refused.err
    # The record in the folder serves for the kind that it is of, and for no other.
    assert run("activations", eca.path, *named, "-o", "out").code == 0
    other = run("activations", eca.path, *eca.words, "--mechanism", "se", "-o", "out")
    assert other.code == 2
    assert "expected --data" in other.err


@pytest.mark.usefixtures("no_figures")
def test_ablate_and_fold(run: Run, eca: Written, pictures: Path) -> None:
    data = ["--data", pictures, "--labels", "sorted"]
    named = [*eca.words, "--mechanism", "eca"]
    values = document(run("ablate", eca.path, *named, *data, "-o", "out", "--json"))
    assert [b["name"] for b in values["blocks"]] == ["ECA_2_1", "ECA_3_1"]
    assert values["baseline"]["gates_params"] == 6
    saved = json.loads(Path("out/ablation.json").read_text(encoding="utf-8"))
    assert saved["gates_params"] == 6
    assert "se_params" not in saved
    said = run("ablate", eca.path, *named, *data, "-o", "out")
    assert "ECA has 6 of the network's" in said.out
    assert not SAYS_SE.search(said.out)
    words = ["--blocks", "ECA_3", "-o", "slim.pt", "--pairs", "0", "--no-export"]
    values = document(run("fold", eca.path, *named, *data, *words, "--json"))
    assert [b["name"] for b in values["blocks"]] == ["ECA_3_1"]
    assert values["params_before"] - values["params_after"] == 3
    slim = document(run("inspect", "slim.pt", *named, "--json"))
    assert slim["architecture"].endswith("1 ECA block folded")
    assert [b["name"] for b in slim["blocks"]] == ["ECA_2_1"]


def test_compare(run: Run, eca: Written) -> None:
    named = [*eca.words, "--mechanism", "eca"]
    said = run("compare", eca.path, eca.path, *named, "-o", "both")
    assert said.code == 0
    assert not SAYS_SE.search(said.out), said.out
    values = document(run("compare", eca.path, eca.path, *named, "-o", "both", "--json"))
    assert values["a"]["se_blocks"] == 0
    assert values["a"]["gates"] == {"eca": 2}


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_report(run: Run, eca: Written, pictures: Path) -> None:
    data = ["--data", pictures, "--labels", "sorted", "-o", "out"]
    named = [*eca.words, "--mechanism", "eca"]
    assert run("ablate", eca.path, *named, *data).code == 0
    assert run("report", eca.path, *named, *data, "--format", "png").code == 0
    page = Path("out/report.html").read_text(encoding="utf-8")
    # The page's own code is everybody's; what is said is in the rest.
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    text = re.sub(r"data:[\w/+]+;base64,[\w+/=]+", "", text)
    assert "ECA blocks" in text
    assert "ECA parameters" in text
    said = SAYS_SE.search(text)
    assert said is None, text[said.start() - 200 : said.end() + 200]
    assert run("report", eca.path, *eca.words, "--mechanism", "cbam", *data).code == 3


@pytest.mark.nightly
@pytest.mark.usefixtures("no_figures")
def test_images_and_channels(run: Run, eca: Written, pictures: Path) -> None:
    """What a record says of its gates holds for the network, too."""
    data = ["--data", pictures, "--labels", "sorted", "-o", "out"]
    assert run("collect", eca.path, *eca.words, "--mechanism", "eca", *data).code == 0
    picture = pictures / "ant" / "00.png"
    values = document(run("image", eca.path, picture, *eca.words, "-o", "out", "--json"))
    assert [b["name"] for b in values["images"][0]["blocks"]] == ["ECA_2_1", "ECA_3_1"]
    said = run("image", eca.path, picture, *eca.words, "--mechanism", "eca", "-o", "alone")
    assert said.code == 0
    assert not SAYS_SE.search(said.out)
    said = run("channels", "out", eca.path, *eca.words, "-o", "ranked")
    assert said.code == 0, said.err
    assert "ECA_3_1" in said.out
