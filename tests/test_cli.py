"""The command line from end to end: exit codes, JSON, files, and what is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import seviz
from seviz.cli import main
from seviz.results.record import Record

DIGITS = str(seviz.sample("se_resnet_digits"))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of the digits, as a command made it."""
    folder = tmp_path_factory.mktemp("digits")
    assert main(["collect", DIGITS, "--data", "digits", "-o", str(folder), "-q"]) == 0
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths must not reach the checkout."""
    monkeypatch.chdir(tmp_path)


def document(words: Sequence[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    """Run a command with --json; return the one document that it prints."""
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refusal(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command that fails; return its exit code and its one line."""
    capsys.readouterr()
    code = main(list(words))
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith("seviz: ")
    return code, lines[-1]


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(["inspect", DIGITS], capsys)
    assert found["schema_version"] == 1
    assert found["architecture"] == "se_resnet14(in_chans=1, reduction=4)"
    assert found["num_classes"] == 10
    assert [b["name"] for b in found["blocks"]][::5] == ["SE_2_1", "SE_4_2"]
    keys = {"name", "path", "stage", "index", "channels", "hidden", "reduction", "gate", "params"}
    assert all(keys <= b.keys() for b in found["blocks"])
    assert found["blocks"][-1]["params"] == 2 * 64 * 16
    assert found["params"] == sum(p.numel() for p in seviz.load(DIGITS).model.parameters())
    assert main(["inspect", DIGITS]) == 0
    text = capsys.readouterr().out
    assert "SE_4_2" in text
    assert "layer3.1.se" in text


def test_activations_writes_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["activations", DIGITS, "--data", "digits", "--classes", "3", "8"]
    made = document(words, capsys)
    folder = Path("reports/se_resnet_digits")
    assert made["record"] == str(folder / "record.npz")
    names = ("activations", "network_map", "depth")
    figures = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert made["figures"] == [str(folder / name) for name in figures]
    assert made["images"] == 364
    assert made["classes"] == [str(i) for i in range(10)]
    assert made["skipped"] == []
    assert made["drawn"]["classes"] == ["3", "8"]
    with Image.open(folder / "activations.png") as image:
        assert image.size[0] > 1000
    assert sorted(p.name for p in folder.iterdir()) == [
        "activations.csv",
        "activations.png",
        "activations.svg",
        "depth.png",
        "depth.svg",
        "findings.csv",
        "network_map.png",
        "network_map.svg",
        "record.npz",
        "selective_channels.csv",
    ]
    assert Record.load(folder).header.command.startswith("seviz activations se_resnet_digits.pt")


def test_redraw_from_a_record(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["activations", str(record), "--classes", "1", "--blocks", "all", "--channels", "all"]
    made = document([*words, "--format", "pdf", "-o", "out"], capsys)
    assert made["figures"] == ["out/activations.pdf", "out/depth.pdf"]
    assert Path("out/activations.pdf").read_bytes()[:5] == b"%PDF-"
    assert made["drawn"]["blocks"] == [b["name"] for b in made["blocks"]]
    spread = document(["activations", str(record), "--spread", "-o", "out"], capsys)
    assert spread["figures"][0] == "out/activations_spread.png"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["activations", "{record}", "--classes", "elephant"], 2, "expected a class"),
        (["activations", "{record}", "--blocks", "SE_9_9"], 2, "SE_2_1 ... SE_4_2"),
        (["activations", "{record}", "--channels", "none"], 2, "--channels"),
        (["activations", "{record}", "--format", "gif"], 2, "png, svg, pdf"),
        (["activations", "{record}", "--data", "digits"], 2, "found it with the record"),
        (["activations", DIGITS], 2, "expected --data"),
        (["activations", DIGITS, "--data", "digits", "--classes", "elephant"], 2, "elephant"),
        (["activations", DIGITS, "--data", "nowhere"], 4, "nowhere"),
        (["activations", DIGITS, "--data", "digits", "--device", "cuda:77"], 5, "cuda:77"),
        (["activations", DIGITS, "--data", "cifar10"], 4, "--download"),
        (["inspect", "missing.pt"], 3, "found nothing at missing.pt"),
        (
            ["compare", "a.pt"],
            2,
            "expected seviz compare A B [MORE ...], found no B; seviz compare",
        ),
        (
            ["channel", "run"],
            2,
            "expected seviz channel RUN CHANNEL, found no CHANNEL; seviz channel",
        ),
        (
            ["collect", "a.pt", "--data"],
            2,
            "expected a value after --data, found none; seviz collect",
        ),
        (["inspect", DIGITS, "--arch", "se_resnet21"], 2, "se_resnet20"),
        (["inspect", DIGITS, "--arch", "se_resnet20"], 3, "missing"),
        (["inspect", DIGITS, "--arch-args", "reduction"], 2, "NAME=VALUE"),
        (["inspect", "timm:seresnet51"], 2, "closest: seresnet50"),
        (["inspect", DIGITS, "--nothing"], 2, "--nothing"),
        (["invent"], 2, "invent"),
        (["collect", "{record}"], 2, "found the record"),
    ],
    ids=lambda v: " ".join(Path(w).name for w in v) if isinstance(v, list) else "",
)
def test_refusals(
    words: list[str],
    code: int,
    says: str,
    record: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEVIZ_CACHE_DIR", str(Path.cwd()))
    found, line = refusal([w.replace("{record}", str(record)) for w in words], capsys)
    assert found == code
    assert says in line
    assert list(Path.cwd().iterdir()) == []


def test_a_network_without_se(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["inspect", "torchvision:resnet18", "--arch-args", "pretrained=false"]
    code, line = refusal(words, capsys)
    assert code == 3
    assert "found none" in line


def test_unreadable_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("3", "8"):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 90).save(tmp_path / "in" / name / "a.png")
    (tmp_path / "in" / "3" / "b.png").write_bytes(b"no image")
    (tmp_path / "in" / "other").mkdir()
    Image.new("L", (8, 8), 90).save(tmp_path / "in" / "other" / "a.png")
    made = document(["collect", DIGITS, "--data", "in", "-o", "out"], capsys)
    assert made["images"] == 2
    assert [s["image"] for s in made["skipped"]] == ["3/b.png"]
    assert made["extra"] == ["other"]
    assert made["missing"] == ["0", "1", "2", "4", "5", "6", "7", "9"]
    code, line = refusal(["collect", DIGITS, "--data", "in", "-o", "strict", "--strict"], capsys)
    assert code == 4
    assert "3/b.png" in line
    assert not Path("strict").exists()
    words = ["activations", DIGITS, "--data", "in", "-o", "out", "--classes", "5"]
    code, line = refusal(words, capsys)
    assert code == 4
    assert "found none in the data" in line


def test_quiet_says_nothing_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", DIGITS, "--data", "digits", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_debugging_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEVIZ_DEBUG", "1")
    assert main(["inspect", "missing.pt"]) == 3
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.delenv("SEVIZ_DEBUG")
    assert main(["inspect", "missing.pt", "-v", "-v"]) == 3
    assert "Traceback" in capsys.readouterr().err


# Interrupts itself, as Ctrl-C does, while the second batch is in the network.
INTERRUPTED = """
import os, signal
from seviz.networks.architectures.registry import build

passes = -1  # one image goes through before the pass, to learn which layers come first

def interrupt(module, args, output):
    global passes
    passes += not args[0].is_meta
    if passes == 2:
        os.kill(os.getpid(), signal.SIGINT)

def make(**kwargs):
    model = build("se_resnet14", **kwargs)
    model.register_forward_hook(interrupt)  # what looks at the first layers alone does not come here
    return model
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process")
def test_ctrl_c_keeps_what_was_collected(tmp_path: Path) -> None:
    """The record is marked as partial, and holds as many images as it says."""
    (tmp_path / "own.py").write_text(INTERRUPTED)
    words = [sys.executable, "-m", "seviz", "collect", DIGITS, "--data", "digits", "-b", "4"]
    words += ["--arch", "own.py:make", "-o", "out", "--arch-args", "in_chans=1", "reduction=4"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    record = Record.load(tmp_path / "out")
    assert record.header.partial
    assert record.header.images == record.count.sum() == 8
    assert "holds 8 images and is marked as partial" in done.stderr
