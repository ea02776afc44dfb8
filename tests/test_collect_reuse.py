"""The record in the output folder is used again where it is that of the very pass, and only there."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
import torch
from conftest import Run, Said, Tiny, at_night

import seviz
from seviz.collect.cache_key import digest, network_request, runs_versioned_code
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.reuse import fitting_record
from seviz.data import open_source
from seviz.networks import LoadedModel
from seviz.results.record import Record

USED = "is of this very pass and is used again; --no-cache collects anew"

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def images(pictures: Path, elsewhere: Path) -> Path:
    shutil.copytree(pictures, elsewhere / "images")
    return elsewhere / "images"


@pytest.fixture
def collect(run: Run, tiny: Tiny, images: Path) -> Callable[..., Said]:
    """Return ``seviz collect ... -o out``; the name of the command may be another."""

    def call(*words: object, name: str = "collect", spec: object = tiny.path) -> Said:
        given = ["--data", images, "-j", "0", "-o", "out", *words]
        return run(name, spec, *given)

    return call


def used(said: Said) -> bool:
    """Return whether the record was used; it is said in one line, or not at all."""
    assert said.code == 0, said.err
    assert said.err.count("used again") <= 1
    return f"the record out/record.npz {USED}" in said.err.splitlines()


@pytest.mark.usefixtures("no_figures")
def test_the_same_pass_is_not_made_twice(
    collect: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = collect()
    assert not used(first)
    written = Path("out/record.npz").read_bytes()

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pass")

    monkeypatch.setattr("seviz.collect.execute.run", never)
    again = collect()
    assert used(again)
    assert again.out == first.out
    assert Path("out/record.npz").read_bytes() == written
    # Other commands, and what is no part of the numbers.
    assert used(collect("-b", "7"))
    assert used(collect("--strict"))
    assert used(collect("--format", "svg", name="activations"))
    assert used(collect("--format", "svg", "--allow-missing", name="confusion"))
    assert collect("--no-cache").err.endswith("a pass; this is a bug in seviz, -v -v shows where\n")


def test_quietly(collect: Callable[..., Said]) -> None:
    collect()
    said = collect("-q")
    assert (said.code, said.err) == (0, "")


def test_no_cache(collect: Callable[..., Said]) -> None:
    collect()
    change_header(created="2020-02-02T02:02:02+00:00")
    assert not used(collect("--no-cache"))
    assert Record.load("out").header.created > "2020-02-02T02:02:02+00:00"
    assert used(collect())


def touch(images: Path) -> None:
    os.utime(images / "cat/07.png", ns=(1, 1))


def grow(images: Path) -> None:
    status = os.stat(images / "cat/07.png")
    with open(images / "cat/07.png", "ab") as file:
        file.write(b"\0")
    os.utime(images / "cat/07.png", ns=(status.st_atime_ns, status.st_mtime_ns))


def remove(images: Path) -> None:
    (images / "cat/07.png").unlink()


def rename(images: Path) -> None:
    (images / "cat/07.png").rename(images / "cat/07a.png")


def move(images: Path) -> None:
    (images / "cat/07.png").rename(images / "dog/77.png")


@pytest.mark.parametrize("change", [touch, move, *map(at_night, (grow, remove, rename))])
def test_other_images(
    collect: Callable[..., Said], images: Path, change: Callable[..., None]
) -> None:
    collect()
    change(images)
    assert not used(collect())
    assert used(collect())


@pytest.mark.parametrize(
    "words",
    [
        ["--num-samples", "3"],
        at_night(["--num-samples", "20"]),  # all of them, as it happens
        at_night(["--labels", "data"]),
        ["--amp"],
        at_night(["--mean", "0.1", "0.2", "0.3"]),
        at_night(["--interpolation", "nearest"]),
        at_night(["--input-size", "3", "8", "8"]),
        ["--arch", "se_resnet14", "--arch-args", "reduction=4", "widths=(8,8,16)", "num_classes=4"],
    ],
    ids=lambda words: words[0],
)
def test_other_options(collect: Callable[..., Said], words: list[str]) -> None:
    collect()
    fits = used(collect(*words))
    # Named or read from the file, it is the same architecture.
    assert fits == (words[0] == "--arch")
    assert used(collect(*words))


def test_other_weights_of_the_same_file(
    run: Run, tiny: Tiny, images: Path, collect: Callable[..., Said]
) -> None:
    """A file with raw and averaged weights is two networks under one hash."""
    raw = tiny.model.state_dict()
    averaged = {k: v * 0.9 if v.is_floating_point() else v for k, v in raw.items()}
    torch.save({"state_dict": raw, "state_dict_ema": averaged}, "both.pt")
    words = (*tiny.words,)
    assert not used(collect(*words, spec="both.pt"))
    mean = Record.load("out").stats("SE_4_2").mean
    assert used(collect(*words, "--ema", spec="both.pt"))
    assert not used(collect(*words, "--no-ema", spec="both.pt"))
    assert not np.allclose(Record.load("out").stats("SE_4_2").mean, mean)


def test_another_checkpoint(collect: Callable[..., Said], tiny: Tiny) -> None:
    collect()
    content = torch.load(tiny.path, weights_only=True)
    content["note"] = "the same weights in another file"
    torch.save(content, "tiny.pt")
    assert not used(collect(spec="tiny.pt"))


def test_random_weights_are_others_each_time(run: Run, images: Path) -> None:
    words = ["--arch-args", "pretrained=false", "num_classes=4", "--input-size", "3", "32", "32"]
    words += ["--data", images, "--num-samples", "1", "--labels", "data", "-o", "out"]
    for seed in (0, 1):
        torch.manual_seed(seed)
        assert not used(run("collect", "timm:seresnet18", *words))
    torch.manual_seed(1)
    assert used(run("collect", "timm:seresnet18", *words))


def test_code_of_ones_own_is_never_taken_for_granted(run: Run, tiny: Tiny, images: Path) -> None:
    """The function changes, the name does not."""
    torch.save(tiny.model.state_dict(), "bare.pt")
    Path("net.py").write_text("from seviz.networks.architectures.registry import build as make\n")
    words = ["--arch", "net.py:make", "--arch-args", "name=se_resnet14", *tiny.words[3:]]
    for _ in range(2):
        assert not used(run("collect", "bare.pt", *words, "--data", images, "-o", "out"))
    assert Record.load("out").header.request == ""


def test_which_code_is_known(tiny: Tiny) -> None:
    loaded = seviz.load(tiny.path)
    assert runs_versioned_code(loaded)
    assert runs_versioned_code(replace(loaded, architecture="timm:hf-hub:timm/seresnet50.a1_in1k"))
    assert not runs_versioned_code(replace(loaded, architecture="my.module:make(depth=3)"))
    assert not runs_versioned_code(replace(loaded, format="torch.save, whole network"))

    class Own(torch.nn.ReLU):
        pass

    assert not runs_versioned_code(replace(loaded, model=torch.nn.Sequential(loaded.model, Own())))


@pytest.mark.usefixtures("no_figures")
def test_predictions_of_single_images_are_in_no_record(collect: Callable[..., Said]) -> None:
    words = ["--allow-missing", "--format", "svg", "--predictions", "each.csv"]
    for _ in range(2):
        assert not used(collect(*words, name="confusion"))
        assert Path("each.csv").exists()
        Path("each.csv").unlink()
    assert used(collect())  # the record of that pass serves where they are not asked for


def test_a_record_with_skipped_images(collect: Callable[..., Said], images: Path) -> None:
    (images / "ant/90.png").write_text("not a picture")
    assert not used(collect())
    again = collect()
    assert used(again)
    assert "warning: 1 images could not be read: ant/90.png" in again.err
    said = collect("--strict")
    assert said.code == 4
    assert "found ant/90.png" in said.err


def change_header(**values: object) -> None:
    path = Path("out/record.npz")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(content["meta.json"])
    for name, value in values.items():
        if value is None:
            del meta["header"][name]
        else:
            meta["header"][name] = value
    content["meta.json"] = json.dumps(meta).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_partial_record_and_one_of_an_older_seviz(collect: Callable[..., Said]) -> None:
    for values in ({"partial": True}, {"request": None}, {"request": ""}):
        assert not used(collect("--no-cache"))
        change_header(**values)
        assert Record.load("out").header.images == 60  # it loads
        assert not used(collect())


@pytest.mark.parametrize("content", [at_night(b""), b"PK", at_night(b"a record once"), None])
def test_a_damaged_record_is_named_and_replaced(
    collect: Callable[..., Said], content: bytes | None
) -> None:
    Path("out").mkdir()
    if content is None:
        described = json.dumps({"schema_version": 1}).encode()
        content = mutants.packed({"meta.json": described})
    Path("out/record.npz").write_bytes(content)
    said = collect()
    assert not used(said)
    (line,) = [x for x in said.err.splitlines() if "collected anew" in x]
    assert line.startswith("warning: out/record.npz is not used and collected anew: expected ")
    assert used(collect())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        at_night(("gates/SE_2_1/sum", lambda a: a * 100)),
        ("gates/SE_2_1/low", lambda a: a + 1000),  # which no redraw of curves would read
        at_night(("confusion", lambda a: a + 1)),
        at_night(("sample/row", lambda a: a + 4)),
    ],
)
def test_an_edited_record_is_named_and_replaced(
    collect: Callable[..., Said], name: str, change: Callable[[Any], Any]
) -> None:
    collect()
    path = Path("out/record.npz")
    whole = path.read_bytes()
    content = mutants.members(path)
    array = change(mutants.unpack_array(content[f"{name}.npy"]))
    path.write_bytes(mutants.packed({**content, f"{name}.npy": mutants.pack_array(array)}))
    said = collect()
    assert not used(said)
    assert f" in {name.replace('/row', '/index')} in out/record.npz" in said.err
    assert len(path.read_bytes()) == len(whole)
    assert used(collect())


def test_a_sum_of_records_is_of_no_pass(tiny: Tiny, images: Path) -> None:
    net = seviz.load(tiny.path)
    record = seviz.collect(net, str(images))
    ready = prepare(net, str(images), PassOptions())
    record.save("one")
    (record + record).save("two")
    assert fitting_record("one", ready) is not None
    assert fitting_record("two", ready) is None
    assert fitting_record("nothing", ready) is None


def test_other_versions(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = seviz.load(tiny.path)
    now = digest(network_request(loaded))
    assert digest(network_request(seviz.load(tiny.path))) == now
    monkeypatch.setattr("seviz.collect.cache_key.version", lambda name: "0.0.1")
    assert digest(network_request(loaded)) != now


def test_strides_are_in_no_tensor(tiny: Tiny) -> None:
    loaded: LoadedModel = seviz.load(tiny.path)
    before = digest(network_request(loaded))
    loaded.model.conv1.stride = (2, 2)  # type: ignore[union-attr,assignment]
    assert digest(network_request(loaded)) != before


def test_a_copy_elsewhere_has_other_times_alone(images: Path, elsewhere: Path) -> None:
    shutil.copytree(images, elsewhere / "far" / "images", copy_function=shutil.copyfile)
    one, other = open_source("images"), open_source("far/images")
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint(times=True) != other.fingerprint(times=True)
    for file in sorted((elsewhere / "images").rglob("*.png")):
        copy = elsewhere / "far" / file.relative_to(elsewhere)
        os.utime(copy, ns=(1, file.stat().st_mtime_ns))
    assert one.fingerprint(times=True) == other.fingerprint(times=True)
    few = np.array([3, 5])
    assert one.fingerprint(few) == other.fingerprint(few) != one.fingerprint(few[:1])


def test_files_are_hashed_without_being_read(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked once for its size and time: a million images are looked at before each pass."""
    source = open_source("images")
    asked: list[object] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **k: asked.append(path) or real(path, **k))

    def read(*args: object, **kwargs: object) -> None:
        raise AssertionError("a file is opened")

    monkeypatch.setattr("builtins.open", read)
    monkeypatch.setattr(os, "open", read)
    source.fingerprint(times=True)
    assert len(asked) == len({os.fspath(path) for path in asked}) == len(source) == 60  # type: ignore[call-overload]
