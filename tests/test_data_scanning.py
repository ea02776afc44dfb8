"""What is in a folder: each real file once, everything else counted; no waiting, no endless loops."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from seviz.data import open_source
from seviz.data.rasters import RASTERS, SPECIAL, begins_as_raster, has_raster_suffix, read_raster
from seviz.errors import DataError

PICTURE = Image.new("RGB", (16, 16), (200, 30, 60))


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.save(path, "PNG")
    return path


def names(source) -> list[str]:
    return [source.image_name(i) for i in range(len(source))]


KINDS = [
    *((".jpe", "JPEG"), (".jfif", "JPEG"), (".tga", "TGA"), (".ico", "ICO"), (".avif", "AVIF")),
    *((".jp2", "JPEG2000"), (".dib", "DIB"), (".pbm", "PPM"), (".qoi", "QOI"), (".TIF", "TIFF")),
    *((".webp", "WEBP"), (".pcx", "PCX"), (".sgi", "SGI"), (".apng", "PNG")),
]


@pytest.mark.parametrize(("suffix", "kind"), KINDS)
def test_every_suffix_of_the_table_is_read(tmp_path, suffix, kind):
    (tmp_path / "a").mkdir()
    PICTURE.save(tmp_path / f"a/1{suffix}", kind)
    source = open_source(str(tmp_path))
    assert names(source) == [f"a/1{suffix}"]
    assert source.notes == ()
    red, green, blue = source.image(0).convert("RGB").getpixel((8, 8))
    assert abs(red - 200) + abs(green - 30) + abs(blue - 60) < 12


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000"]
)
@pytest.mark.parametrize("name", ["0001", "frame.17"])
def test_images_without_a_suffix_are_told_by_their_content(tmp_path, kind, name):
    (tmp_path / "a").mkdir()
    PICTURE.save(tmp_path / "a" / name, kind)
    (tmp_path / "a/readme").write_text("P3 is not what this says")
    source = open_source(str(tmp_path))
    assert names(source) == [f"a/{name}"]
    assert source.notes == ("left out: 1 files that are no images (a/readme)",)


def test_everything_else_is_counted_and_named(tmp_path):
    png(tmp_path / "a/1.png")
    for name in ("a/labels.csv", "a/x.npy", "a/.DS_Store", "a/deep/notes.txt", "index.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (note,) = open_source(str(tmp_path)).notes
    assert note == (
        "left out: 4 files that are no images (first: index.txt), 1 hidden (a/.DS_Store)"
    )


def test_programs_are_never_started(tmp_path, monkeypatch):
    """Pillow's decoders of EPS and WMF call out; the content, not the name, chooses them."""
    assert not set(RASTERS) & {"EPS", "WMF", "FITS", "HDF5", "GRIB", "BUFR", "PDF", "MPEG"}
    called = tmp_path / "called"
    gs = tmp_path / "bin/gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\necho > '{called}'\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gs.parent}:{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    for name in ("1.png", "1.jpg", "1.tif", "1.tga"):
        (tmp_path / name).write_bytes(eps)
        with pytest.raises(OSError, match=r"cannot identify"):
            read_raster(tmp_path / name)
    with pytest.raises(DataError, match="not an image"):
        open_source(str(tmp_path / "1.png"))
    (tmp_path / "mine.py").write_text("def batches(): ...\n")
    with pytest.raises(DataError, match=r"function in it that gives batches: mine.py:FUNCTION"):
        open_source(str(tmp_path / "mine.py"))
    assert not called.exists()
    Image.init()  # the test can fail: with Pillow's own choice the program runs
    with (tmp_path / "1.png").open("rb") as stream, pytest.raises(OSError, match=r"\w"):
        Image.open(stream).load()
    assert called.exists()


def special(folder: Path, kind: str) -> Path:
    path = folder / "1.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        # Its path may have no more than about a hundred letters.
        here = os.getcwd()
        os.chdir(folder)
        try:
            socket.socket(socket.AF_UNIX).bind("1.png")
        finally:
            os.chdir(here)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_never_waited_for(tmp_path, kind):
    png(tmp_path / "a/2.png")
    path = special(tmp_path / "a", kind)
    source = open_source(str(tmp_path))
    assert names(source) == ["a/2.png"]
    assert source.notes == ("left out: 1 pipes, sockets or devices (a/1.png)",)
    # Also where it comes after the folder was read, or is named itself.
    with pytest.raises(OSError, match=rf"{SPECIAL}|No such device"):
        read_raster(path)
    assert not begins_as_raster(os.fsencode(path))
    with pytest.raises(DataError):
        open_source(str(path))
    if kind == "pipe":
        with pytest.raises(OSError, match=SPECIAL):
            read_raster(path)


def test_folders_that_link_to_each_other(tmp_path):
    count = 8
    for i in range(count):
        png(tmp_path / f"c/d{i}/0.png")
        for j in range(count):
            if i != j:
                (tmp_path / f"c/d{i}/l{j}").symlink_to(f"../d{j}")
    png(tmp_path / "e/1.png")
    source = open_source(str(tmp_path))
    assert names(source) == [*(f"c/d{i}/0.png" for i in range(count)), "e/1.png"]
    (note,) = source.notes
    assert f"{count * (count - 1)} links to what is counted elsewhere (first: c/d0/l1)" in note


def test_each_real_file_once_whatever_leads_to_it(tmp_path):
    store = tmp_path / "store"
    for name in ("1.png", "2.png", "deep/3.png"):
        png(store / name)
    data = tmp_path / "data"
    png(data / "a/0.png")
    (data / "a/copy.png").symlink_to(data / "a/0.png")  # of a file of its own class
    (data / "a/1.png").symlink_to(store / "1.png")
    (data / "b").mkdir()
    (data / "b/again.png").symlink_to(store / "1.png")  # of one that a link gave already
    (data / "b/all").symlink_to(store)
    (data / "b/part").symlink_to(store / "deep")
    (data / "c").symlink_to(data / "a")  # a class that is another
    source = open_source(str(data))
    assert names(source) == ["a/0.png", "a/1.png", "b/all/2.png", "b/all/deep/3.png"]
    assert source.folders == ("a", "b", "c")
    assert "5 links to what is counted elsewhere" in source.notes[0]


def test_links_that_lead_up_end(tmp_path):
    png(tmp_path / "data/a/1.png")
    png(tmp_path / "data/b/1.png")
    for place, target in (("a/up", tmp_path), ("a/root", tmp_path / "data"), ("b/self", Path("."))):
        (tmp_path / "data" / place).symlink_to(target)
    assert names(open_source(str(tmp_path / "data"))) == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize("letters", [1, 20])
def test_twelve_hundred_nested_folders(tmp_path, letters):
    """With names of 20 letters no path reaches the last ones, which are said to be out of reach."""
    png(tmp_path / "data/a/1.png")
    png(tmp_path / "data/b/1.png")
    here = os.open(tmp_path / "data/a", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("x" * letters, dir_fd=here)
        inner = os.open("x" * letters, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    start = time.process_time()
    source = open_source(str(tmp_path / "data"))
    assert time.process_time() - start < 5
    assert names(source) == ["a/1.png", "b/1.png"]
    assert ("cannot be opened" in "".join(source.notes)) == (letters == 20)
    assert all(len(note) < 6000 for note in source.notes)
    subprocess.run(["rm", "-rf", tmp_path / "data"], check=True)  # shutil knows no such depth


def test_suffixes_alone_are_no_images():
    assert not has_raster_suffix(b".png")
    assert not has_raster_suffix(b"png")
    assert has_raster_suffix(b"a.PNG")
    suffixes = [s for found in RASTERS.values() for s in found]
    assert len(set(suffixes)) == len(suffixes)


def test_a_file_with_two_names_is_one_image(tmp_path):
    """Hard links: nothing tells which name came first, so it is the first in order."""
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        png(tmp_path / name)
    os.link(tmp_path / "a/1.png", tmp_path / "a/again.png")
    os.link(tmp_path / "a/2.png", tmp_path / "b/0.png")
    source = open_source(str(tmp_path))
    assert names(source) == ["a/1.png", "a/2.png", "b/1.png"]
    assert source.counts.tolist() == [2, 1]
    (note,) = source.notes
    assert note == "left out: 2 hard links to what is counted elsewhere (first: a/again.png)"
    copy = png(tmp_path / "b/2.png")  # the same bytes, another file
    assert len(open_source(str(tmp_path))) == 4
    assert copy.stat().st_nlink == 1


def test_a_flat_folder_has_each_file_once(tmp_path):
    png(tmp_path / "1.png")
    os.link(tmp_path / "1.png", tmp_path / "2.png")
    (tmp_path / "0.png").symlink_to("1.png")
    outside = png(tmp_path.parent / f"{tmp_path.name}-outside.png")
    for name in ("x.png", "y.png"):
        (tmp_path / name).symlink_to(outside)
    source = open_source(str(tmp_path))
    assert names(source) == ["1.png", "x.png"]
    assert "1 hard links" in source.notes[-1]
    assert "2 links to what is counted elsewhere" in source.notes[-1]


def test_a_number_of_another_file_system_is_another_file(tmp_path):
    from seviz.data import hard_links

    first, second = png(tmp_path / "a/1.png"), png(tmp_path / "b/1.png")
    files = [[b"a/1.png"], [b"b/1.png"]]
    number_of = hard_links.repeated(files, [[7], [7]])
    assert number_of == {b"a/1.png": 7, b"b/1.png": 7}
    assert hard_links.hard_links(os.fsencode(tmp_path), files, number_of) == set()
    assert hard_links.repeated(files, [[0], [0]]) == {}
    assert not first.samefile(second)
