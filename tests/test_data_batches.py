"""Batches: the same images and rows whatever the workers, and nothing lost without a word."""

from __future__ import annotations

import io
import math
import multiprocessing
import os
import signal
import struct
import time
import zlib
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional

from seviz.data import Batches, make_batches, match_classes, open_source
from seviz.data.base import ArraySource
from seviz.data.batches import _piece
from seviz.data.workers import Watched
from seviz.errors import DataError, DeviceError, UsageError
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import Preprocessing

EIGHT = Preprocessing((3, 8, 8), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0)
DIGIT = Preprocessing((1, 8, 8), (0.0,), (1.0,), "bilinear", 1.0)
CLASSES = ClassTable.from_labels(["a", "b", "c", "d"])


def encoded(seed: int, kind: str = "PNG") -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Classes a, c and d of the network with 3, 2 and 4 images; "junk" is none of its classes."""
    for name, count in (("a", 3), ("c", 2), ("d", 4), ("junk", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").write_bytes(encoded(10 * ord(name[0]) + i))
    return tmp_path


@cache
def open_digits():
    return open_source("digits")


def batches_of(spec: str | Path, preprocessing: Preprocessing = EIGHT, **options):
    source = open_digits() if spec == "digits" else open_source(str(spec))
    classes = None if spec == "digits" else CLASSES
    match = match_classes(source.folders, source.counts, classes)
    return make_batches(source, match, preprocessing, **{"batch_size": 4, "workers": 0, **options})


def everything(batches) -> tuple[torch.Tensor, list[int], list[int]]:
    seen = list(batches)
    return (
        torch.cat([b.images for b in seen]),
        torch.cat([b.rows for b in seen]).tolist(),
        torch.cat([b.indices for b in seen]).tolist(),
    )


def test_images_rows_and_indices(folder):
    batches = batches_of(folder)
    assert batches.total == 9
    seen = list(batches)
    assert [len(b) for b in seen] == [4, 4, 1]
    first = seen[0]
    assert first.images.shape == (4, 3, 8, 8)
    assert first.images.dtype == torch.float32
    assert first.rows.dtype == first.indices.dtype == torch.int64
    images, rows, indices = everything(batches)
    # "b" has no folder, "junk" no class: rows are a, c, d.
    assert rows == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert indices == list(range(9))
    files = sorted(p for p in folder.glob("[acd]/*.png"))
    for image, file in zip(images, files, strict=True):
        assert torch.equal(image, functional.to_tensor(Image.open(file)))
    assert batches.skipped == []


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(folder, workers):
    (folder / "a/1.png").write_bytes(b"not an image")
    alone = batches_of(folder)
    images, rows, indices = everything(alone)
    others = batches_of(folder, workers=workers, batch_size=2)
    assert others.workers == workers
    their_images, their_rows, their_indices = everything(others)
    assert torch.equal(images, their_images)
    assert (rows, indices) == (their_rows, their_indices)
    assert indices == [0, 2, 3, 4, 5, 6, 7, 8]
    assert alone.skipped == others.skipped == [("a/1.png", "not an image")]


@pytest.mark.nightly
@pytest.mark.skipif(os.name == "nt", reason="spawn is what Windows does anyway")
def test_spawned_workers_change_nothing(folder):
    images, rows, indices = everything(batches_of(folder))
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        spawned = everything(batches_of(folder, workers=1))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert torch.equal(images, spawned[0])
    assert (rows, indices) == spawned[1:]


@settings(max_examples=15)
@given(batch_size=st.integers(1, 400), num_samples=st.none() | st.integers(1, 50))
def test_batch_size_changes_nothing(batch_size, num_samples):
    batches = batches_of("digits", DIGIT, batch_size=batch_size, num_samples=num_samples)
    images, rows, indices = everything(batches)
    source = open_digits()
    assert batches.total == len(indices)
    assert rows == source.labels[indices].tolist()
    expected = torch.from_numpy(source.pixels[indices]).unsqueeze(1) / 255
    assert torch.equal(images, expected)
    counts = np.bincount(rows, minlength=10)
    most = num_samples or 50
    assert counts.tolist() == np.minimum(source.counts, most).tolist()
    for digit in range(10):
        own = [i for i in indices if source.labels[i] == digit]
        assert own == np.flatnonzero(source.labels == digit)[: len(own)].tolist()
    assert indices == sorted(indices)


@pytest.mark.parametrize(("workers", "piece"), [(0, 2), (2, 2), (3, 1)])
def test_a_batch_is_the_same_in_whatever_pieces_it_is_decoded(folder, monkeypatch, workers, piece):
    whole = everything(batches_of(folder, batch_size=4))
    monkeypatch.setattr("seviz.data.batches._PIECE", piece * math.prod(EIGHT.input_size))
    batches = batches_of(folder, batch_size=4, workers=workers)
    assert batches.piece == piece
    pieces = everything(batches)
    assert torch.equal(whole[0], pieces[0])
    assert whole[1:] == pieces[1:]
    assert [len(b) for b in batches] == [len(b) for b in batches_of(folder, batch_size=4)]


@pytest.mark.parametrize(
    ("batch", "numbers", "expected"),
    [(256, 3 * 224 * 224, 32), (32, 3 * 224 * 224, 32), (100, 3 * 224 * 224, 25), (2048, 3 * 32 * 32, 1024),
     (256, 64, 256), (5, 10**9, 1)],
)  # fmt: skip
def test_images_that_a_worker_decodes_at_a_time(batch, numbers, expected):
    assert _piece(batch, numbers) == expected


def test_digits_need_no_workers():
    assert batches_of("digits", DIGIT, workers=None).workers == 0


def test_default_workers(folder, monkeypatch):
    monkeypatch.setattr("seviz.data.processors.available", lambda: 32)
    assert batches_of(folder, workers=None, batch_size=1).workers == 4
    assert batches_of(folder, workers=None, batch_size=5).workers == 2
    # One batch: starting a process would only cost time.
    assert batches_of(folder, workers=None, batch_size=9).workers == 0
    assert batches_of(folder, workers=16, batch_size=5).workers == 2


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_images_are_skipped_counted_and_listed(folder, workers):
    jpeg = encoded(1, "JPEG")
    (folder / "a/0.png").write_bytes(b"")
    (folder / "a/1.png").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "a/2.png").write_text("hello")
    (folder / "c/0.png").write_bytes(encoded(2)[:60])
    (folder / "c/1.png").write_bytes(huge_png(20_000, 20_000))
    (folder / "d/0.png").unlink()
    (folder / "d/0.png").symlink_to(folder / "nowhere.png")
    Image.new("F", (8, 8)).save(folder / "d/1.tif")
    (folder / "d/1.png").unlink()
    batches = batches_of(folder, workers=workers)
    images, rows, indices = everything(batches)
    assert images.shape == (2, 3, 8, 8)
    assert (rows, indices) == ([2, 2], [7, 8])
    reasons = dict(batches.skipped)
    assert list(reasons) == [
        *("a/0.png", "a/1.png", "a/2.png", "c/0.png", "c/1.png", "d/0.png", "d/1.tif")
    ]
    assert reasons["a/0.png"] == "empty file"
    assert "truncated" in reasons["a/1.png"].lower()
    assert reasons["a/2.png"] == "not an image"
    assert "bomb" in reasons["c/1.png"]
    assert reasons["d/0.png"] == "No such file or directory"
    assert "floating-point" in reasons["d/1.tif"]
    for reason in reasons.values():
        assert reason
        assert "\n" not in reason
        assert str(folder) not in reason
    assert batches.total == 9 == len(batches.skipped) + len(indices)


def test_images_that_vanish_after_listing_are_skipped(folder):
    batches = batches_of(folder)
    (folder / "d/3.png").unlink()
    assert everything(batches)[2] == list(range(8))
    assert batches.skipped == [("d/3.png", "No such file or directory")]


def test_a_second_pass_counts_afresh(folder):
    (folder / "a/0.png").write_bytes(b"")
    batches = batches_of(folder)
    first = everything(batches)
    second = everything(batches)
    assert torch.equal(first[0], second[0])
    assert len(batches.skipped) == 1


def test_a_batch_without_a_readable_image_is_left_out(folder):
    for name in ("a/0.png", "a/1.png"):
        (folder / name).write_bytes(b"")
    assert [b.indices.tolist() for b in batches_of(folder, batch_size=2)] == [
        [2, 3],
        [4, 5],
        [6, 7],
        [8],
    ]


def test_a_source_without_a_readable_image_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"")
    batches = batches_of(tmp_path)
    with pytest.raises(DataError, match=r"none among 1 \(first: a/1.png: empty file\)"):
        list(batches)
    assert len(batches.skipped) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_strict_names_the_file(folder, workers):
    (folder / "c/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"found c/1\.png: empty file; .*--strict") as caught:
        list(batches_of(folder, workers=workers, strict=True, batch_size=2))
    assert "\n" not in str(caught.value)


def test_readable_images_that_pillow_warns_of(folder, recwarn):
    # Pillow warns from 89 megapixels on, and refuses from 179 on.
    (folder / "a/0.png").write_bytes(huge_png(10_000, 9_000))
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\xff\x01\x12\x00\x03"
    values = Image.open(io.BytesIO(encoded(1)))
    values.save(folder / "a/1.png", "JPEG", exif=exif)
    clear = values.quantize(8)
    clear.save(folder / "a/2.png", "PNG", transparency=bytes([0, 128]))
    batches = batches_of(folder)
    assert everything(batches)[2] == list(range(9))
    assert batches.skipped == []
    assert list(recwarn) == []


def test_moving_pictures_give_their_first_frame(tmp_path):
    (tmp_path / "a").mkdir()
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (255, 0)]
    for file in ("1.gif", "2.webp", "3.tif", "4.png"):
        options = {"lossless": True} if file == "2.webp" else {}
        frames[0].save(tmp_path / "a" / file, save_all=True, append_images=frames[1:], **options)
    images, _, _ = everything(batches_of(tmp_path))
    assert images[:, :, 4, 4].tolist() == [[1.0, 0.0, 0.0]] * 4


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"workers": -1}, {"num_samples": 0}, {"num_samples": -3}]
)
def test_numbers_that_make_no_sense_are_refused(folder, options):
    with pytest.raises(UsageError, match="of at least"):
        batches_of(folder, **options)


def test_the_users_random_numbers_stay_as_they_are(folder):
    state = torch.get_rng_state()
    list(batches_of(folder))
    list(batches_of(folder, workers=1))
    assert torch.equal(torch.get_rng_state(), state)


@dataclass(frozen=True, eq=False)
class Told(ArraySource):
    """Images whose pixels say at which priority they were decoded."""

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (8, 8), (os.nice(0),) * 3)


@pytest.mark.skipif(os.name == "nt", reason="priorities are told differently on Windows")
def test_workers_leave_the_processors_to_the_network():
    source = Told(
        name="told",
        split="",
        folders=("a",),
        labels=np.zeros(4, np.int64),
        pixels=np.zeros((4, 8, 8, 3), np.uint8),
    )
    match = match_classes(source.folders, source.counts, None)
    for workers, expected in ((0, os.nice(0)), (2, min(os.nice(0) + 10, 19))):
        for batch in make_batches(source, match, EIGHT, batch_size=2, workers=workers):
            assert (batch.images * 255).round().unique().tolist() == [expected]


@dataclass(frozen=True, eq=False, kw_only=True)
class Deadly(ArraySource):
    """Kills the process that decodes its sixth image, as the kernel does when memory runs out."""

    parent: int
    after: float

    def image(self, index: int) -> Image.Image:
        if index == 5 and os.getpid() != self.parent:
            time.sleep(self.after)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().image(index)


def deadly_batches(after: float) -> Batches:
    source = Deadly(
        name="deadly",
        split="",
        folders=("a",),
        labels=np.zeros(16, np.int64),
        pixels=np.zeros((16, 8, 8, 3), np.uint8),
        parent=os.getpid(),
        after=after,
    )
    match = match_classes(source.folders, source.counts, None)
    return make_batches(source, match, EIGHT, batch_size=2, workers=2)


# The loader's handler may strike in a callback whose errors Python only reports.
told_anywhere = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@told_anywhere
def test_a_killed_worker_is_an_error_not_a_wait():
    with pytest.raises(DeviceError, match="found one killed"):
        list(deadly_batches(after=0))


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@told_anywhere
@pytest.mark.nightly  # it waits for seconds; one that dies at once is above
def test_a_worker_killed_while_the_network_computes_is_told_at_the_next_batch():
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(deadly_batches(after=0.5))
    next(batches)
    end = time.monotonic() + 2
    while time.monotonic() < end:  # both workers read ahead meanwhile, and one of them dies
        time.sleep(0.01)
    with pytest.raises(DeviceError, match="found one killed"):
        list(batches)
    del batches
    after = signal.getsignal(signal.SIGCHLD)
    assert after == handler or "torch" in after.__module__


@pytest.mark.parametrize("error", [ConnectionResetError, EOFError])
def test_a_worker_that_dies_while_it_hands_a_batch_over(error):
    def torn():
        yield 1
        raise error(104, "reset")

    batches = iter(Watched(torn(), 2))
    assert next(batches) == 1
    with pytest.raises(DeviceError, match="expected 2 worker processes"):
        next(batches)


def test_other_errors_of_a_worker_stay_what_they_are():
    def broken():
        raise RuntimeError("of the user's own source")
        yield

    with pytest.raises(RuntimeError, match="user's own"):
        list(Watched(broken(), 2))


def interrupted_pass(folder: Path, told: Connection, errors: Path) -> None:
    os.setsid()
    os.dup2(os.open(errors, os.O_CREAT | os.O_WRONLY), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for batch in batches_of(folder, workers=2, batch_size=1):
            told.send(len(batch))
            time.sleep(600)
    except KeyboardInterrupt:
        told.send("interrupted")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent differently on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_ctrl_c_ends_the_pass_at_once_and_quietly(folder, tmp_path):
    listen, told = multiprocessing.Pipe(duplex=False)
    # A fork, since a fresh process would spend its time on importing torch.
    process = multiprocessing.get_context("fork").Process(
        target=interrupted_pass, args=(folder, told, tmp_path / "errors.txt")
    )
    process.start()
    assert listen.poll(300)
    assert listen.recv() == 1
    # To the whole group, workers included, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    process.join(timeout=300)
    assert process.exitcode == 0
    assert listen.recv() == "interrupted"
    assert (tmp_path / "errors.txt").read_text() == ""
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)
