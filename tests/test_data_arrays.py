"""Images in the array files of NumPy and PyTorch."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from seviz.data import open_source
from seviz.errors import DataError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)


def images(source) -> np.ndarray:
    return np.stack([np.asarray(source.image(i)) for i in range(len(source))])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (PIXELS, PIXELS),
        (PIXELS.transpose(0, 3, 1, 2), PIXELS),
        (PIXELS[..., 0], PIXELS[..., 0]),
        (PIXELS[..., :1], PIXELS[..., 0]),
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS.astype(np.float32), PIXELS),
        ((PIXELS / 255).astype(np.float32), PIXELS),
        (PIXELS[..., 0] > 100, (PIXELS[..., 0] > 100) * 255),
    ],
)
def test_layouts_and_types(tmp_path, stored, expected):
    np.save(tmp_path / "x.npy", stored)
    source = open_source(str(tmp_path / "x.npy"))
    assert np.array_equal(images(source), expected)
    assert (source.labelled, source.folders, source.image_name(3)) == (False, ("all",), "x/3")


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("data", "targets")])
def test_labels_by_number(tmp_path, keys):
    np.savez(tmp_path / "d.npz", **{keys[0]: PIXELS, keys[1]: np.array([7, 0, 7, 10, 0])})
    source = open_source(str(tmp_path / "d.npz"))
    assert source.folders == ("0", "7", "10")
    assert source.labels.tolist() == [1, 0, 1, 2, 0]


def test_labels_by_name_and_names_by_number(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.array(list("babca")))
    source = open_source(str(tmp_path / "a.npz"))
    assert (source.folders, source.labels.tolist()) == (("a", "b", "c"), [1, 0, 1, 2, 0])
    np.savez(
        tmp_path / "b.npz",
        images=PIXELS,
        labels=np.array([[2], [0], [2], [2], [0]]),
        names=["x", "y", "z"],
    )
    source = open_source(str(tmp_path / "b.npz"))
    assert (source.folders, source.counts.tolist()) == (("x", "y", "z"), [2, 0, 3])


@pytest.mark.parametrize("words", ["x_{}", "{}_images"])
def test_parts(tmp_path, words):
    """Keras' mnist.npz, and MedMNIST."""
    label = words.replace("x", "y").replace("images", "labels")
    arrays = {words.format("train"): PIXELS[:3], label.format("train"): np.arange(3)}
    arrays |= {words.format("test"): PIXELS[3:], label.format("test"): np.arange(2)}
    np.savez(tmp_path / "d.npz", **arrays)
    source = open_source(str(tmp_path / "d.npz"))
    assert source.split == "test"
    assert np.array_equal(images(source), PIXELS[3:])
    assert "no --split given" in source.notes[0]
    train = open_source(str(tmp_path / "d.npz"), split="train")
    assert np.array_equal(images(train), PIXELS[:3])
    assert train.labels.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="split 'val'"):
        open_source(str(tmp_path / "d.npz"), split="val")


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (np.zeros((4, 4)), "found float64 [4, 4]"),
        (np.zeros((2, 4, 4, 5), np.uint8), "[2, 4, 4, 5]"),
        (np.zeros((0, 4, 4), np.uint8), "[0, 4, 4]"),
        (np.full((2, 4, 4), 1000, np.uint16), "found 1000 to 1000"),
        (np.full((2, 4, 4), -1.5), "found -1.5 to -1.5"),
        (np.full((2, 4, 4), np.nan), "nan"),
        # 0 to 1, resampled with overshoot: as 0 to 255 it would be black.
        (np.linspace(0, 1.04, 32).reshape(2, 4, 4), "found 0 to 1.04"),
        (np.linspace(0, 2.2, 32, dtype=np.float32).reshape(2, 4, 4), "found 0 to 2.2"),
        (np.full((2, 4, 4), "a"), "found <U1"),
        (np.array([{}], object), "Python objects"),
    ],
)
def test_what_are_no_pixels_is_refused(tmp_path, stored, why):
    np.save(tmp_path / "x.npy", stored, allow_pickle=True)
    assert why in refusal(tmp_path / "x.npy")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_black_images_are_said(tmp_path, dtype):
    """Black and white as 0 and 1 may be meant as such; floating-point numbers are, others are not."""
    np.save(tmp_path / "x.npy", np.eye(4)[None].astype(dtype))
    source = open_source(str(tmp_path / "x.npy"))
    white = 255 if dtype is np.float64 else 1
    assert np.array_equal(images(source), np.eye(4)[None] * white)
    said = "the brightest pixel of the images of x.npy is 1 of 255: nearly black"
    assert (said in source.notes) == (white == 1)
    np.save(tmp_path / "x.npy", np.eye(4)[None].astype(dtype) * 200)
    assert open_source(str(tmp_path / "x.npy")).notes == ()


def test_damaged_files(tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS)
    whole = (tmp_path / "x.npz").read_bytes()
    np.save(tmp_path / "y.npy", PIXELS)
    for name, content in (
        ("a.npz", whole[:200]),
        ("b.npz", b"nothing"),
        ("c.npy", (tmp_path / "y.npy").read_bytes()[:100]),
        ("d.npy", b""),
        ("e.npy", (tmp_path / "y.npy").read_bytes().replace(b"(5, 4, 6, 3)", b"(50, 4, 6, 3")),
        ("f.npy", (tmp_path / "y.npy").read_bytes().replace(b"(5, 4, 6, 3)", b"(5, 4, 6,99)")),
    ):
        (tmp_path / name).write_bytes(content)
        assert "expected" in refusal(tmp_path / name)


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    header = {"descr": "|u1", "fortran_order": False, "shape": (1100, 1024, 1024)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(1100):
            file.write(bytes(2**20))
    assert "packed into" in refusal(path)


def test_labels_that_do_not_fit(tmp_path):
    for labels in (np.zeros(4, int), np.zeros(5), np.zeros((5, 3), int)):
        np.savez(tmp_path / "x.npz", images=PIXELS, labels=labels)
        assert "a label" in refusal(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=np.arange(5), names=["a", "b"])
    assert "found 0 to 4" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("stored", "folders", "labels"),
    [
        (lambda x: x, ("all",), [0] * 5),
        (lambda x: x.permute(0, 3, 1, 2), ("all",), [0] * 5),
        (lambda x: (x, torch.tensor([7, 0, 7, 10, 0])), ("0", "7", "10"), [1, 0, 1, 2, 0]),
        (lambda x: [x, list("babca")], ("a", "b", "c"), [1, 0, 1, 2, 0]),
        (lambda x: {"x": x, "y": torch.tensor([0, 1, 1, 0, 1])}, ("0", "1"), [0, 1, 1, 0, 1]),
        (
            lambda x: {"images": x, "labels": [2, 0, 2, 2, 0], "names": ["x", "y", "z"], "note": 1},
            ("x", "y", "z"),
            [2, 0, 2, 2, 0],
        ),
    ],
)
def test_tensors(tmp_path, stored, folders, labels):
    torch.save(stored(torch.from_numpy(PIXELS)), tmp_path / "x.pt")
    source = open_source(str(tmp_path / "x.pt"))
    assert np.array_equal(images(source), PIXELS)
    assert (source.folders, source.labels.tolist()) == (folders, labels)
    assert source.labelled == (folders != ("all",))


class Harmful:
    def __reduce__(self):
        return bytearray, (1 << 40,)


@pytest.mark.parametrize(
    ("stored", "how", "why"),
    [
        (Harmful(), {}, "found Python objects"),
        (torch.nn.Linear(2, 2), {}, "found Python objects"),
        (torch.zeros(3), {"_use_new_zipfile_serialization": False}, "what cannot be read"),
        (torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1 << 20, 1 << 10, 1), {}, "cannot be read"),
        ({"weight": torch.zeros(3, 3)}, {}, r"found weight \[3, 3\]"),
        ({"optimizer": 1}, {}, "found no arrays"),
    ],
)
def test_files_of_torch_that_hold_no_images(tmp_path, stored, how, why):
    torch.save(stored, tmp_path / "x.pt", **how)
    with pytest.raises(DataError, match=why) as caught:
        open_source(str(tmp_path / "x.pt"))
    assert "\n" not in str(caught.value)


def test_a_tensor_of_another_checksum(tmp_path):
    torch.save(torch.from_numpy(PIXELS), tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    place = content.index(PIXELS.tobytes())
    (tmp_path / "x.pt").write_bytes(content[:place] + b"\xff\x00" + content[place + 2 :])
    with pytest.raises(DataError, match="found what cannot be read"):
        open_source(str(tmp_path / "x.pt"))
