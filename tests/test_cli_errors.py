"""Exit codes and error lines: one line that says what was expected, what was found and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run, Said, Tiny
from PIL import Image

import seviz
from seviz.networks.architectures.registry import build

SAMPLE = seviz.sample("se_resnet_digits")

pytestmark = pytest.mark.usefixtures("elsewhere")


def error_line(said: Said) -> str:
    """Return the last line on stderr, which must be the only line of the error."""
    assert said.out == ""
    assert "Traceback" not in said.err
    *remarks, last = said.err.splitlines()
    assert last.startswith("seviz: ")
    assert not any(r.startswith("seviz: ") for r in remarks)
    return last


# -------------------------------------------------------------------------------------------------
# 2: usage


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["bogus"], ['Unknown command "bogus"', "activations"]),
        (["inspect"], ["expected seviz inspect CKPT", "found no CKPT"]),
        (["inspect", "a.pt", "b.pt"], ["b.pt"]),
        (["inspect", "a.pt", "--bogus"], ["--bogus"]),
        (["inspect", "a.pt", "--input-size", "3", "x"], ["--input-size", "x"]),
        (["inspect", "a.pt", "--interpolation", "cubic"], ["cubic", "bicubic"]),
        (["inspect", "a.pt", "--arch-args", "reduction"], ["'reduction'", "reduction=8"]),
        (["inspect", "timm:seresnet5"], ["'seresnet5'", "closest", "seresnet50"]),
        (["inspect", "timm:seresnet18", "--arch", "se_resnet20"], ["--arch", "timm:seresnet18"]),
        (["collect", "a.pt", "--data", "digits", "-b", "some"], ["whole number", "-b", "'some'"]),
        (["collect", "a.pt", "--data", "digits", "--labels", "mine"], ["mine", "model", "data"]),
        (["collect", "a.pt", "--data", "digits", "-b", "0"], ["--batch-size of at least 1"]),
        (["ablate", "a.pt", "--data", "digits", "-b", "0"], ["--batch-size of at least 1"]),
        (["report", "a.pt", "--data", "digits", "-j", "-1"], ["--workers of at least 0"]),
        (["collect", SAMPLE], ["expected --data", str(SAMPLE)]),
        (["activations", SAMPLE], ["expected --data", f"{SAMPLE} is not a record"]),
        (["activations", "a.pt", "--channels", "0"], ["--channels", "'0'", "or all"]),
        (["activations", "a.pt", "--channels", "-5"], ["--channels"]),
        (["activations", "a.pt", "--format", "gif"], ["png, svg, pdf", "gif"]),
        (["activations", "a.pt", "--format"], ["png, svg, pdf", "none"]),
    ],
)
def test_usage(run: Run, elsewhere: Path, words: list[str], parts: list[str]) -> None:
    said = run(*words)
    assert said.code == 2
    line = error_line(said)
    assert all(part in line for part in parts), line
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--classes", "11"], ["found '11'", "closest: 1"]),
        (["--classes", "3", "cat"], ["found 'cat'", "10 classes"]),
        (["--blocks", "SE_9_1"], ["found 'SE_9_1'", "SE_2_1 ... SE_4_2", "'all'"]),
        (["--data", "digits"], ["the record", "leave it out to redraw"]),
    ],
)
def test_usage_with_a_record(
    run: Run, digits_record: Path, elsewhere: Path, words: list[str], parts: list[str]
) -> None:
    said = run("activations", digits_record, *words, "-o", "out/of/this")
    assert said.code == 2
    line = error_line(said)
    assert all(part in line for part in parts), line
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("command", ["collect", "activations", "confusion", "report", "ablate"])
def test_a_missing_file_is_the_first_thing_to_know(run: Run, elsewhere: Path, command: str) -> None:
    said = run(command, "missing.pt")
    assert said.code == 3
    assert "found nothing at missing.pt" in error_line(said)
    assert not list(elsewhere.iterdir())


def test_a_typing_error_costs_no_pass(run: Run, elsewhere: Path) -> None:
    """Classes and blocks are looked up before the first image is read."""
    for words in (["--classes", "seven"], ["--blocks", "SE_9_9"]):
        said = run("activations", SAMPLE, "--data", "digits", *words)
        assert said.code == 2
        assert words[1] in error_line(said)
        assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("command", ["inspect", "collect"])
def test_a_record_where_a_checkpoint_belongs(run: Run, digits_record: Path, command: str) -> None:
    for record in (digits_record, digits_record / "record.npz"):
        said = run(command, record)
        assert said.code == 2
        assert f"'seviz activations {record}' draws it" in error_line(said)


@pytest.mark.parametrize("output", ["file", "file/below", "broken", "results.npz"])
def test_where_results_cannot_go(run: Run, elsewhere: Path, output: str) -> None:
    """Known before the pass, not after it."""
    Path("file").write_text("mine")
    Path("broken").symlink_to("nowhere")
    for words in (["collect", SAMPLE, "--data", "digits"], ["demo"]):
        said = run(*words, "-o", output)
        assert said.code == 2
        assert "expected a folder for the results" in error_line(said)
        assert said.err.count("\n") == 1
    assert sorted(p.name for p in elsewhere.iterdir()) == ["broken", "file"]
    assert Path("file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written_to(run: Run, elsewhere: Path) -> None:
    Path("locked").mkdir(mode=0o500)
    said = run("collect", SAMPLE, "--data", "digits", "-o", "locked/below")
    assert said.code == 2
    assert "no permission to write at locked" in error_line(said)


def test_a_disk_that_is_full(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, digits_record: Path
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "out/activations.svg")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    said = run("activations", digits_record, "--blocks", "SE_2_1", "-o", "out")
    assert said.code == 2
    assert "No space left on device at out/activations.svg" in error_line(said)
    assert "bug" not in said.err
    assert not [p for p in elsewhere.rglob("*") if p.is_file()]


# -------------------------------------------------------------------------------------------------
# 3: checkpoint


@pytest.mark.parametrize("command", ["inspect", "collect", "activations"])
def test_a_checkpoint_that_is_not_there(run: Run, elsewhere: Path, command: str) -> None:
    data = [] if command == "inspect" else ["--data", "digits"]
    said = run(command, "nowhere.pt", *data)
    assert said.code == 3
    assert "found nothing at nowhere.pt" in error_line(said)
    assert not list(elsewhere.iterdir())


def test_a_damaged_checkpoint(run: Run, tiny: Tiny) -> None:
    Path("cut.pt").write_bytes(tiny.path.read_bytes()[:-100])
    said = run("inspect", "cut.pt", "--json")
    assert said.code == 3
    assert "cut.pt" in error_line(said)


def test_weights_of_another_architecture(run: Run, tiny: Tiny) -> None:
    said = run("inspect", tiny.path, "--arch-args", "reduction=2")
    assert said.code == 3
    assert "instead of" in error_line(said)


def test_a_network_without_se(run: Run, elsewhere: Path, pictures: Path) -> None:
    torch.save(build("resnet14", widths=(4, 4, 4)).state_dict(), "twin.pt")
    named = ["--arch", "resnet14", "--arch-args", "widths=(4,4,4)", "--input-size", "3", "12", "12"]
    said = run("collect", "twin.pt", *named, "--data", pictures)
    assert said.code == 3
    line = error_line(said)
    assert "expected SE blocks in this network, found none: no other gate or attention" in line
    assert sorted(p.name for p in elsewhere.iterdir()) == ["twin.pt"]


def test_images_of_another_size(run: Run, tiny: Tiny, pictures: Path) -> None:
    said = run("collect", tiny.path, "--data", pictures, "--input-size", "1", "12", "12")
    assert said.code == 3
    assert "images of size 1x12x12" in error_line(said)


# -------------------------------------------------------------------------------------------------
# 4: data


def test_data_that_is_not_there(run: Run, elsewhere: Path) -> None:
    for data, found in (("nowhere", "found nothing at 'nowhere'"), ("digits:x", "'digits:x'")):
        said = run("collect", SAMPLE, "--data", data)
        assert said.code == 4
        assert found in error_line(said)
    said = run("collect", SAMPLE, "--data", "digits", "--split", "dev")
    assert said.code == 4
    assert "train, test, all" in error_line(said)
    assert not list(elsewhere.iterdir())


def test_folders_that_are_no_classes(run: Run, tiny: Tiny, elsewhere: Path) -> None:
    for name in ("lion", "tiger"):
        (elsewhere / "zoo" / name).mkdir(parents=True)
        Image.new("RGB", (12, 12)).save(elsewhere / "zoo" / name / "1.png")
    said = run("collect", tiny.path, "--data", "zoo")
    assert said.code == 4
    line = error_line(said)
    assert "ant, bee, cat, dog" in line
    assert "lion, tiger" in line
    assert "--labels data" in line
    assert sorted(p.name for p in elsewhere.iterdir()) == ["zoo"]


def test_a_class_without_images(run: Run, tiny: Tiny, pictures: Path, elsewhere: Path) -> None:
    said = run("activations", tiny.path, "--data", pictures, "--classes", "ant", "bee")
    assert said.code == 4
    assert "expected images of 'bee', found none" in error_line(said)
    assert not list(elsewhere.iterdir())


def test_a_damaged_record(run: Run, digits_record: Path, elsewhere: Path) -> None:
    content = bytearray((digits_record / "record.npz").read_bytes())
    where = content.find(b"gates/SE_4_2/sum.npy") + 200
    content[where] ^= 0xFF
    Path("record.npz").write_bytes(content)
    said = run("activations", "record.npz", "--format", "svg", "-o", "out")
    assert said.code == 4
    assert "expected an intact record" in error_line(said)
    assert not Path("out").exists()


# -------------------------------------------------------------------------------------------------
# 5: device and memory; 1: the unexpected


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there(run: Run, elsewhere: Path, device: str) -> None:
    said = run("collect", SAMPLE, "--data", "digits", "--device", device)
    assert said.code == 5
    line = error_line(said)
    assert f"found --device {device}" in line
    assert "cpu" in line
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (MemoryError(), 5, "--batch-size"),
        (RuntimeError("strange\nthings"), 1, "RuntimeError: strange things; this is a bug"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_no_command_expects(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, part: str
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("seviz.cli.inspect.open_model", fail)
    said = run("inspect", "x.pt")
    assert said.code == code
    assert part in error_line(said)
    assert said.err.count("\n") == 1


# -------------------------------------------------------------------------------------------------
# Tracebacks


@pytest.mark.parametrize(
    ("words", "debug", "shown"),
    [
        ([], None, False),
        (["-v"], None, False),
        (["-v", "-v"], None, True),
        (["-vv"], None, True),
        (["--verbose", "--verbose"], None, True),
        ([], "1", True),
        ([], "0", False),
    ],
)
def test_a_traceback_only_when_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], debug: str | None, shown: bool
) -> None:
    if debug is not None:
        monkeypatch.setenv("SEVIZ_DEBUG", debug)
    said = run("inspect", "nowhere.pt", *words)
    assert said.code == 3
    assert ("Traceback (most recent call last)" in said.err) == shown
    last = said.err.splitlines()[-1]
    assert last.startswith("seviz: expected a checkpoint file, found nothing at nowhere.pt")


def test_an_error_is_said_even_when_quiet(run: Run) -> None:
    said = run("inspect", "nowhere.pt", "-q")
    assert said.code == 3
    assert "found nothing at nowhere.pt" in error_line(said)


def test_a_failed_pass_leaves_nothing(run: Run, tiny: Tiny, elsewhere: Path) -> None:
    """Weights that are no numbers, and the user's word that they may be: found out in the pass."""
    broken = {k: v.clone() for k, v in tiny.model.state_dict().items()}
    broken["layer1.0.se.fc.2.weight"][:] = np.nan
    torch.save(broken, "nan.pt")
    (elsewhere / "pictures" / "ant").mkdir(parents=True)
    Image.new("RGB", (12, 12), (90, 60, 30)).save("pictures/ant/1.png")
    said = run("activations", "nan.pt", *tiny.words, "--data", "pictures", "--allow-nan")
    assert said.code == 3
    assert "SE_2_1" in error_line(said)
    assert sorted(p.name for p in elsewhere.iterdir()) == ["nan.pt", "pictures"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["channel", "a", "b", "c", "d"],
            "expected RUN CHANNEL CKPT and options for seviz channel, found d besides;",
        ),
        (["audit", "a", "b"], "expected CKPT and options for seviz audit, found b besides;"),
        (["doctor", "x", "y"], "expected options alone for seviz doctor, found x, y besides;"),
    ],
)
def test_words_too_many(run: Run, words: list[str], said: str) -> None:
    found = run(*words)
    assert found.code == 2
    assert said in found.err
    assert f"seviz {words[0]} --help" in found.err
