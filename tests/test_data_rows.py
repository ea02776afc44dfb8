"""Images in shards, Parquet, zip files and data sets: the same record as from a folder."""

from __future__ import annotations

import gc
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, Tiny
from picture_forms import LABELLED, add, as_shards, as_zip, files

import seviz
from seviz.data import open_source
from seviz.data.shards import Window, expanded, members
from seviz.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

# Of a loader nothing is known but its batches.
FORMS = {name: form for name, form in LABELLED.items() if name != "loader_of_a_function"}
OPTIONS = seviz.PassOptions(fast=False, batch_size=8, workers=0)


@pytest.fixture(scope="module")
def network(tiny: Tiny) -> Any:
    return seviz.load(tiny.path)


@pytest.mark.parametrize("form", FORMS)
def test_sources_are_told_apart_and_can_be_pickled(
    form: str, pictures: Path, tmp_path: Path
) -> None:
    spec = FORMS[form](pictures, tmp_path)
    source = open_source(spec)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.image(3).tobytes() == source.image(3).tobytes()  # type: ignore[union-attr]
    assert copy.fingerprint() == source.fingerprint()  # type: ignore[union-attr]
    some = np.arange(5)
    assert source.fingerprint(some) != source.fingerprint()  # type: ignore[union-attr]
    assert str(tmp_path) not in source.image_name(0) + source.name  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its files open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards_are_read_as_webdataset_reads_them(pictures: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    spec = as_shards(pictures, tmp_path)
    theirs = [
        (sample["png"], sample["cls"].decode())
        for sample in webdataset.WebDataset(f"file:{spec}", shardshuffle=False)
    ]
    gc.collect()
    source: Any = open_source(spec)
    assert [source.encoded(i) for i in range(len(source))] == [png for png, _ in theirs]
    assert [source.folders[n] for n in source.labels] == [name for _, name in theirs]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read_as_python_reads_it(form: int, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    names = ["a.png", "deep/" + "d" * 90 + "/b.png", "é/c.png"]
    if form != tarfile.USTAR_FORMAT:
        names.append("long/" + "n" * 200 + ".png")
    with tarfile.open(path, "w", format=form) as tar:
        tar.addfile(directory("deep"))
        for n, name in enumerate(names):
            add(tar, name, b"x" * (700 * n))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with tarfile.open(path) as tar:
        theirs = [(m.name, m.offset_data, m.size) for m in tar if m.isfile()]
    with path.open("rb", buffering=0) as file:
        ours = [
            (os.fsdecode(n), at, size) for n, at, size in members(Window(file), path.stat().st_size)
        ]
    assert ours == theirs


def directory(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def test_folders_in_shards_are_classes_where_nothing_else_is(
    pictures: Path, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(pictures, "pets")
    source: Any = open_source(str(tmp_path / "t.tar"))
    assert source.folders == ("ant", "cat", "dog")
    assert "their folders in the shards" in source.notes[0]
    with tarfile.open(tmp_path / "u.tar", "w") as tar:
        add(tar, "1.png", b"x")
    assert not open_source(str(tmp_path / "u.tar")).labelled  # type: ignore[union-attr]


def test_braces_and_wildcards(tmp_path: Path) -> None:
    for name in ("a-8.tar", "a-9.tar", "a-10.tar", "val-0.tar", "train-0.tar"):
        (tmp_path / name).touch()

    def short(spec: str) -> list[str]:
        return [os.path.basename(p) for p in expanded(str(tmp_path / spec))]

    assert short("a-{8..10}.tar") == ["a-8.tar", "a-9.tar", "a-10.tar"]
    assert short("{val,train}-0.tar") == ["val-0.tar", "train-0.tar"]
    assert short("a-*.tar") == ["a-10.tar", "a-8.tar", "a-9.tar"]
    with pytest.raises(DataError, match=r"expected the shard a-11\.tar"):
        short("a-{8..11}.tar")
    with pytest.raises(DataError, match="at most 1,000,000 shards"):
        short("a-{0..99999999999999}.tar")
    with pytest.raises(DataError, match="at most 1,000,000 shards"):
        short("a-{0..9999}-{0..9999}.tar")
    with pytest.raises(DataError, match="found none"):
        short("b-*.tar")


def shard(tmp_path: Path, *entries: tuple[str, bytes]) -> Path:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, content in entries:
            add(tar, name, content)
    return tmp_path / "s.tar"


def cut_short(tmp_path: Path) -> Path:
    path = shard(tmp_path, ("a.png", b"x" * 5000))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "f.tar")
    return tmp_path / "f.tar"


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "compressed": (
        lambda t: written(t / "s.tar.gz", b"\x1f\x8b" + b"x" * 600),
        "compressed: store it as it is",
    ),
    "no tar": (lambda t: written(t / "s.tar", b"x" * 1024), "no tar file"),
    "cut short": (cut_short, "it is cut short"),
    "a pipe": (fifo, "a pipe, socket or device"),
    "no images": (lambda t: shard(t, ("a.cls", b"1")), "found none"),
    "a class missing": (
        lambda t: shard(t, ("a.png", b"x"), ("a.cls", b"cat"), ("b.png", b"x")),
        "found none for 1 of 2 .first: b.png",
    ),
    "no zip": (lambda t: written(t / "s.zip", b"x" * 99), "expected a zip file of images"),
    "no parquet": (lambda t: written(t / "s.parquet", b"PAR1xxxx"), "unreadable"),
    "no hub": (lambda t: t / "absent", "expected a data set at hf:absent"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    if what == "no hub":
        pytest.importorskip("datasets")
    make, message = REFUSED[what]
    spec = str(make(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        open_source(f"hf:{spec}" if what == "no hub" else spec)
    assert "\n" not in str(caught.value)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"


def hostile(kind: str, tmp_path: Path, pictures: Path) -> str:
    """Return a source whose second image is a program, and whose third is damaged."""
    good = files(pictures)[0][0].read_bytes()
    parts = [good, EPS, good[:60]]
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "h.zip", "w") as archive:
            for n, content in enumerate(parts):
                archive.writestr(f"ant/{n}.png", content)
            archive.writestr("ant/../../up.png", good)
        return str(tmp_path / "h.zip")
    if kind == "parquet":
        table = pyarrow.table({"image": parts, "label": ["ant"] * 3})
        parquet.write_table(table, tmp_path / "h.parquet")
        return str(tmp_path / "h.parquet")
    entries: Iterator[tuple[str, bytes]] = (
        pair for n, c in enumerate(parts) for pair in ((f"{n}.png", c), (f"{n}.cls", b"ant"))
    )
    return str(shard(tmp_path, *entries))


@pytest.mark.parametrize("kind", ["zip", "parquet", "tar"])
def test_images_that_cannot_be_read_are_left_out(
    kind: str, network: Any, pictures: Path, tmp_path: Path
) -> None:
    record = seviz.collect(network, hostile(kind, tmp_path, pictures), OPTIONS)
    assert record.count.sum() >= 1
    assert len(record.header.skipped) == 2
    assert record.header.skipped[0][1] == "not an image"


def test_a_zip_bomb_is_left_out(pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ant/bomb.png", b"\0" * 2**26)
        archive.write(files(pictures)[0][0], "ant/good.png")
    source: Any = open_source(str(tmp_path / "b.zip"))
    assert [source.image_name(i) for i in range(len(source))] == ["ant/good.png"]
    assert "left out: 1 images that are hidden, locked, or claim to unpack to too much" in (
        source.notes
    )


def test_parts(pictures: Path, tmp_path: Path, run: Run) -> None:
    spec = as_zip(pictures, tmp_path)
    assert open_source(spec).split == "val"
    assert open_source(spec, split="training").split == "train"
    with pytest.raises(DataError, match="expected a folder 'x'"):
        open_source(spec, split="x")
    for name in ("val", "train"):
        with tarfile.open(tmp_path / f"{name}-0.tar", "w") as tar:
            add(tar, f"{name}.png", b"x")
    both = str(tmp_path / "{val,train}-0.tar")
    source: Any = open_source(both, split="train")
    assert source.image_name(0) == "train.png"
    with pytest.raises(DataError, match="found val, train"):
        open_source(both, split="x")
