"""``seviz collect``: from images to a record, and everything its reader must know about the pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, Said, Tiny
from PIL import Image
from sklearn.metrics import accuracy_score

import seviz
from seviz.results.files import SCHEMA_VERSION
from seviz.results.record import Record

SAMPLE = seviz.sample("se_resnet_digits")
SLOW = """
import os, signal
import torch
from seviz.networks.architectures.registry import build

class Interrupted(torch.nn.Module):
    passes = 0

    def __init__(self, after, times, **kwargs):
        super().__init__()
        self.net = build("se_resnet14", **kwargs)
        self.after, self.times = after, times

    def load_state_dict(self, state, **kwargs):
        return self.net.load_state_dict(state, **kwargs)

    def state_dict(self, *args, **kwargs):
        return self.net.state_dict(*args, **kwargs)

    def forward(self, x):
        out = self.net(x)
        # Whether the input fits is looked at with one image, and in the first layers: that is no batch.
        if not x.is_meta and len(x) > 1:
            Interrupted.passes += 1
            if Interrupted.passes == self.after:
                for _ in range(self.times):
                    os.kill(os.getpid(), signal.SIGINT)
        return out

def make(after, times=1, **kwargs):
    Interrupted.passes = 0
    return Interrupted(after, times, **kwargs)
"""

pytestmark = pytest.mark.usefixtures("elsewhere")


def document(said: Said) -> dict[str, Any]:
    assert said.out.count("\n") == 1
    values: dict[str, Any] = json.loads(said.out)
    assert values["schema_version"] == SCHEMA_VERSION
    return values


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def damaged(pictures: Path, elsewhere: Path) -> Path:
    """Return the pictures with three files among them that are no images."""
    folder = elsewhere / "damaged"
    shutil.copytree(pictures, folder)
    whole = (folder / "ant" / "00.png").read_bytes()
    (folder / "ant" / "90.png").write_bytes(whole[:60])
    (folder / "cat" / "91.jpg").write_bytes(b"")
    (folder / "dog" / "92.png").write_text("not a picture")
    return folder


def test_json_and_files(run: Run, tiny: Tiny, pictures: Path, elsewhere: Path) -> None:
    said = run("collect", tiny.path, "--data", pictures, "-b", "7", "-j", "0", "--json")
    assert said.code == 0
    values = document(said)
    assert files(elsewhere) == ["reports/tiny/record.npz"]
    assert values["record"] == "reports/tiny/record.npz"
    assert values["images"] == 60
    assert values["classes"] == ["ant", "cat", "dog"]
    assert values["missing"] == ["bee"]
    assert (values["extra"], values["skipped"], values["figures"]) == ([], [], [])
    assert values["partial"] is False
    assert [b["name"] for b in values["blocks"]] == [
        f"SE_{s}_{i}" for s in (2, 3, 4) for i in (1, 2)
    ]
    assert "note: no images of bee" in said.err.splitlines()

    pixels, labels = [], []
    for label, name in ((0, "ant"), (2, "cat"), (3, "dog")):
        for file in sorted((pictures / name).iterdir()):
            pixels.append(np.asarray(Image.open(file)).transpose(2, 0, 1) / 255)
            labels.append(label)
    x = torch.from_numpy((np.stack(pixels) - 0.5) / 0.25).float()
    with torch.no_grad():
        predicted = tiny.model(x).argmax(dim=1).numpy()
    assert values["top1"] == accuracy_score(labels, predicted)


def test_text(run: Run, tiny: Tiny, pictures: Path) -> None:
    said = run("collect", tiny.path, "--data", pictures, "-o", "here")
    assert said.code == 0
    lines = said.out.splitlines()
    assert ": 60 images of 3 classes, top-1 " in lines[0]
    assert [line.split()[0] for line in lines if line.startswith("SE_")][-1] == "SE_4_2"
    assert lines[-1] == "record: here/record.npz"
    assert said.err.splitlines()[0].startswith("network: se_resnet14(reduction=4")


def test_a_second_run_replaces_the_record(run: Run, tiny: Tiny, pictures: Path) -> None:
    for images in (1, 2):
        words = ["--data", pictures, "--num-samples", str(images), "-o", "out", "-q"]
        assert run("collect", tiny.path, *words).code == 0
        assert Record.load("out").header.images == 3 * images
        assert files(Path("out")) == ["record.npz"]


def test_quiet(run: Run, tiny: Tiny, damaged: Path) -> None:
    said = run("collect", tiny.path, "--data", damaged, "-q")
    assert (said.code, said.err) == (0, "")
    assert said.out


@pytest.mark.parametrize(
    ("variable", "quiet", "shown"), [("1", 0, True), ("1", 1, False), ("", 0, False)]
)
def test_progress_only_on_a_terminal(
    run: Run,
    tiny: Tiny,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    quiet: int,
    shown: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", variable)  # rich takes stderr for a terminal
    said = run("collect", tiny.path, "--data", pictures, "-b", "4", *["-q"] * quiet)
    assert said.code == 0
    assert ("collecting gates" in said.err) == shown
    assert "collecting" not in said.out


def test_images_that_cannot_be_read(run: Run, tiny: Tiny, damaged: Path) -> None:
    said = run("collect", tiny.path, "--data", damaged, "--json")
    assert said.code == 0
    values = document(said)
    assert values["images"] == 60
    assert [s["image"] for s in values["skipped"]] == ["ant/90.png", "cat/91.jpg", "dog/92.png"]
    assert [s["reason"] for s in values["skipped"]][1:] == ["empty file", "not an image"]
    (warning,) = [line for line in said.err.splitlines() if "could not be read" in line]
    assert warning.startswith("warning: 3 images could not be read: ant/90.png (")
    assert "cat/91.jpg (empty file), dog/92.png (not an image)" in warning


def test_strict(run: Run, tiny: Tiny, damaged: Path, elsewhere: Path) -> None:
    before = files(elsewhere)
    said = run("collect", tiny.path, "--data", damaged, "--strict", "--json")
    assert (said.code, said.out) == (4, "")
    assert "found ant/90.png: " in said.err.splitlines()[-1]
    assert "leave out --strict" in said.err.splitlines()[-1]
    assert files(elsewhere) == before
    assert not Path("reports").exists()


def test_folders_that_are_no_class_of_the_network(
    run: Run, tiny: Tiny, pictures: Path, elsewhere: Path
) -> None:
    shutil.copytree(pictures, "more")
    Path("more/dog").rename("more/elk")
    values = document(said := run("collect", tiny.path, "--data", "more", "--json"))
    assert values["classes"] == ["ant", "cat"]
    assert values["missing"] == ["bee", "dog"]
    assert values["extra"] == ["elk"]
    assert values["images"] == 40
    assert "note: left out, no class of the network: elk" in said.err.splitlines()
    assert "note: no images of bee, dog" in said.err.splitlines()


def test_folders_as_classes_of_their_own(run: Run, tiny: Tiny, pictures: Path) -> None:
    shutil.copytree(pictures, "more")
    Path("more/dog").rename("more/elk")
    words = ["--data", "more", "--labels", "data", "--json"]
    values = document(run("collect", tiny.path, *words))
    assert values["classes"] == ["ant", "cat", "elk"]
    assert (values["missing"], values["extra"], values["images"]) == ([], [], 60)
    assert values["top1"] is None


def test_a_single_image(run: Run, tiny: Tiny) -> None:
    """Numbers that one image does not give are null, not NaN."""
    Path("one/ant").mkdir(parents=True)
    Image.new("RGB", (12, 12), (90, 60, 30)).save("one/ant/1.png")
    values = document(run("collect", tiny.path, "--data", "one", "--json"))
    assert values["images"] == 1
    assert {b["class_share"] for b in values["blocks"]} == {None}
    assert run("collect", tiny.path, "--data", "one").code == 0


def test_a_gate_without_squeeze(run: Run, pictures: Path) -> None:
    from seviz.networks.architectures.registry import build

    torch.save(build("senet_notes", filters=8, blocks=2, reduction=2).state_dict(), "notes.pt")
    pairs = ["filters=8", "blocks=2", "reduction=2", "squeeze=false"]
    named = ["--arch", "senet_notes", "--arch-args", *pairs, "--input-size", "3", "12", "12"]
    said = run("collect", "notes.pt", *named, "--data", pictures)
    assert said.code == 3
    assert "2 x gate without squeeze" in said.err.splitlines()[-1]
    said = run("collect", "notes.pt", *named, "--data", pictures, "--without-squeeze", "--json")
    assert said.code == 0
    values = document(said)
    assert [b["name"] for b in values["blocks"]] == ["GATE_2_1", "GATE_2_2"]
    assert "names no classes" in said.err


def test_options_reach_the_pass(run: Run, tiny: Tiny, pictures: Path) -> None:
    words = ["--mean", "0.1", "0.2", "0.3", "--std", "0.5", "0.6", "0.7", "--crop-pct", "0.9"]
    words += ["--interpolation", "nearest", "--input-size", "3", "8", "10", "--device", "cpu"]
    words += ["--amp", "--amp-dtype", "bfloat16", "--num-samples", "3"]
    said = run("collect", tiny.path, "--data", pictures, *words, "-o", "out")
    assert said.code == 0
    header = Record.load("out").header
    prepared = header.preprocessing
    assert prepared.input_size == (3, 8, 10)
    assert (prepared.mean, prepared.std) == ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert (prepared.crop_pct, prepared.interpolation) == (0.9, "nearest")
    assert prepared.told_by == "given"
    assert header.dtype == "bfloat16 autocast"
    assert header.images == 9


def test_a_record_shows_no_folder_of_this_machine(
    run: Run, tiny: Tiny, pictures: Path, elsewhere: Path
) -> None:
    torch.save(tiny.model.state_dict(), "bare.pt")
    (elsewhere / "code").mkdir()
    Path("code/the_net.py").write_text(
        "from seviz.networks.architectures.registry import build as make\n"
    )
    arch = ["--arch", f"{elsewhere}/code/the_net.py:make", "--arch-args", "name=se_resnet14"]
    words = [*arch, *tiny.words[3:], f"--data={pictures}", "-o", elsewhere / "out"]
    assert run("collect", elsewhere / "bare.pt", *words).code == 0
    record = Record.load("out")
    assert record.header.architecture.startswith("the_net.py:make(name=se_resnet14, reduction=4")
    assert record.header.command.startswith("seviz collect bare.pt --arch the_net.py:make --arch-")
    assert f"--data={pictures.name}" in record.header.command
    for text in (repr(record.header), record.header.command):
        assert str(elsewhere) not in text
        assert str(pictures.parent) not in text


# -------------------------------------------------------------------------------------------------
# Ctrl-C


def interrupted(run: Run, tiny: Tiny, pictures: Path, after: int, times: int) -> Said:
    torch.save(tiny.model.state_dict(), "bare.pt")
    Path("slow_net.py").write_text(SLOW)
    given = tiny.words[tiny.words.index("--arch-args") + 1 :]
    words = [
        "--arch",
        "slow_net.py:make",
        "--arch-args",
        f"after={after}",
        f"times={times}",
        *given,
    ]
    return run("collect", "bare.pt", *words, "--data", pictures, "-b", "4", "-j", "0", "--json")


def test_the_first_interrupt_keeps_what_was_seen(run: Run, tiny: Tiny, pictures: Path) -> None:
    said = interrupted(run, tiny, pictures, after=7, times=1)
    assert said.code == 130
    values = document(said)
    assert (values["partial"], values["images"]) == (True, 28)
    record = Record.load(values["record"])
    assert record.header.partial
    # Twenty ants, eight cats, no dog: batches of four in the order of the folders.
    assert record.count.tolist() == [20, 8, 0]
    for block in record.blocks:
        stats = record.stats(block.name)
        assert np.isfinite(stats.mean[:2]).all()
        assert not stats.sum[2].any()
    assert "interrupted: the record holds 28 images" in said.err
    assert run("activations", values["record"], "--format", "svg").code == 0


def test_the_second_interrupt_ends_it_at_once(run: Run, tiny: Tiny, pictures: Path) -> None:
    said = interrupted(run, tiny, pictures, after=3, times=2)
    assert (said.code, said.out) == (130, "")
    assert said.err.splitlines()[-1] == "seviz: interrupted"
    assert not Path("reports").exists()
    assert tiny.path.exists()
