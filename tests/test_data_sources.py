"""Sources: what the user writes after --data, and what is found there."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seviz.data import open_source
from seviz.data.builtin import digits
from seviz.data.cifar10 import cache_folder
from seviz.errors import DataError

CIFAR10_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def png(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path, "PNG")
    return path


def names(source) -> list[str]:
    return [source.image_name(i) for i in range(len(source))]


def refusal(spec: str | Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(spec), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_class_folders_are_listed_in_order_with_their_images(tmp_path):
    for file in ("pets/dog/2.png", "pets/dog/10.png", "pets/cat/b.png", "pets/Ant/z.png"):
        png(tmp_path / file)
    source = open_source(str(tmp_path / "pets"))
    assert (source.name, source.split, source.notes) == ("pets", "", ())
    assert source.folders == ("Ant", "cat", "dog")
    # Byte order: upper case before lower case, "10" before "2".
    assert names(source) == ["Ant/z.png", "cat/b.png", "dog/10.png", "dog/2.png"]
    assert source.labels.dtype == np.int64
    assert source.labels.tolist() == [0, 1, 2, 2]
    assert source.counts.tolist() == [1, 1, 2]


def test_images_are_decoded_in_their_stored_mode(tmp_path):
    png(tmp_path / "a/1.png", (1, 2, 3))
    Image.new("L", (5, 5), 77).save(tmp_path / "a/2.png")
    source = open_source(str(tmp_path))
    first, second = source.image(0), source.image(1)
    assert (first.mode, first.size, first.getpixel((0, 0))) == ("RGB", (4, 3), (1, 2, 3))
    assert (second.mode, second.getpixel((0, 0))) == ("L", 77)


def test_empty_folders_stay_and_nested_images_count_for_their_class(tmp_path):
    png(tmp_path / "b/deep/deeper/1.png")
    png(tmp_path / "c/1.png")
    (tmp_path / "a").mkdir()
    source = open_source(str(tmp_path))
    assert source.folders == ("a", "b", "c")
    assert source.counts.tolist() == [0, 1, 1]
    assert names(source) == ["b/deep/deeper/1.png", "c/1.png"]


def test_extensions_in_any_case_and_nothing_hidden(tmp_path):
    kept = ["1.PNG", "2.JPEG", "3.jpg", "4.Tiff", "5.webp", "6.gif", "7.bmp", "8.ppm", "9.pgm"]
    left_out = ["notes.txt", "labels.csv", ".hidden.png", "._1.PNG", ".DS_Store", "png", "x.npy"]
    (tmp_path / "a").mkdir()
    for file in (*kept, *left_out):
        (tmp_path / "a" / file).write_bytes(b"x")
    for hidden in (".ipynb_checkpoints", "__MACOSX", ".git"):
        png(tmp_path / hidden / "1.png")
        png(tmp_path / "a" / hidden / "1.png")
    source = open_source(str(tmp_path))
    assert source.folders == ("a",)
    assert names(source) == [f"a/{k}" for k in kept]


def test_links_are_followed_and_loops_end(tmp_path):
    png(tmp_path / "elsewhere/1.png")
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    (data / "a/loop").symlink_to(data)
    (data / "a/self").symlink_to(data / "a/self")
    (data / "a/gone.png").symlink_to(tmp_path / "nowhere.png")
    source = open_source(str(data))
    assert source.folders == ("a", "linked")
    # The broken link counts as an image, so that the pass reports it; the loop adds nothing.
    assert names(source) == ["a/gone.png", "linked/1.png"]
    (note,) = source.notes
    assert "1 links to what is counted elsewhere (a/loop)" in note
    assert "1 broken links (a/self)" in note


@pytest.mark.skipif(os.name == "nt", reason="file names are text on Windows")
def test_file_names_that_are_not_utf8(tmp_path):
    png(tmp_path / "caf\u00e9/1.png")
    raw = os.fsencode(tmp_path / "caf\u00e9") + b"/caf\xe9.png"
    try:
        os.rename(os.fsencode(tmp_path / "caf\u00e9/1.png"), raw)
    except OSError:
        pytest.skip("the file system refuses names that are not UTF-8")
    source = open_source(str(tmp_path))
    assert source.folders == ("caf\u00e9",)
    assert names(source) == ["caf\u00e9/caf\ufffd.png"]
    names(source)[0].encode("utf-8")
    assert source.image(0).size == (4, 3)


@pytest.mark.parametrize(
    ("splits", "taken"),
    [
        (("train", "val", "test"), "test"),
        (("train", "val"), "val"),
        (("train", "validation"), "validation"),
        (("train", "Test", "val"), "Test"),
    ],
)
def test_without_a_split_the_test_part_is_taken_and_said(tmp_path, splits, taken):
    for split in splits:
        png(tmp_path / split / "cat/1.png")
    source = open_source(str(tmp_path))
    assert source.split == taken
    assert source.folders == ("cat",)
    assert names(source) == [f"{taken}/cat/1.png"]
    (note,) = source.notes
    assert repr(taken) in note
    assert all(s in note for s in splits)


def test_a_named_split(tmp_path):
    png(tmp_path / "train/cat/1.png")
    png(tmp_path / "train/dog/2.png")
    png(tmp_path / "test/cat/3.png")
    source = open_source(str(tmp_path), split="train")
    assert (source.split, source.notes) == ("train", ())
    assert names(source) == ["train/cat/1.png", "train/dog/2.png"]
    message = refusal(tmp_path, split="val")
    assert "'val'" in message
    assert "test, train" in message
    assert "--split" in message


def test_no_split_is_guessed(tmp_path):
    png(tmp_path / "train/cat/1.png")
    message = refusal(tmp_path)
    assert "only train" in message
    assert "--split train" in message


def test_classes_called_train_and_test(tmp_path):
    for file in ("car/1.png", "train/1.png", "test/1.png"):
        png(tmp_path / file)
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == ("", ("car", "test", "train"))


def test_nested_class_called_train(tmp_path):
    png(tmp_path / "car/red/1.png")
    png(tmp_path / "train/steam/1.png")
    assert open_source(str(tmp_path)).folders == ("car", "train")


def test_a_test_split_without_classes_is_passed_over(tmp_path):
    png(tmp_path / "train/cat/1.png")
    png(tmp_path / "val/cat/2.png")
    png(tmp_path / "test/00001.png")
    assert open_source(str(tmp_path)).split == "val"


def test_images_outside_class_folders_are_noted(tmp_path):
    png(tmp_path / "a/1.png")
    png(tmp_path / "loose.png")
    source = open_source(str(tmp_path))
    assert names(source) == ["a/1.png"]
    assert source.notes == ("left out: 1 images outside the class folders",)


def test_refusals_name_what_was_expected_and_found(tmp_path):
    assert "found nothing" in refusal("no/such/folder")
    assert "'digits'" in refusal("https://example.org/x.zip")
    (tmp_path / "empty").mkdir()
    assert "found no folders and no images;" in refusal(tmp_path / "empty")
    assert "found nothing" in refusal("cifar10:")
    assert "found nothing" in refusal("")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_may_not_be_read(tmp_path):
    png(tmp_path / "a/1.png")
    (tmp_path / "a").chmod(0)
    try:
        assert "Permission denied" in refusal(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o700)


def test_the_name_is_never_a_path(tmp_path, monkeypatch):
    png(tmp_path / "birds/a/1.png")
    monkeypatch.chdir(tmp_path / "birds")
    for spec in (".", "../birds", "../birds/", str(tmp_path / "birds")):
        source = open_source(spec)
        assert source.name == "birds"
        assert names(source) == ["a/1.png"]
    monkeypatch.chdir(tmp_path)
    assert source.image(0).size == (4, 3)


def test_the_fingerprint_follows_names_and_sizes(tmp_path):
    file = png(tmp_path / "one/a/1.png")
    png(tmp_path / "two/a/1.png")
    first = open_source(str(tmp_path / "one")).fingerprint()
    # By hand: name, NUL, size, newline.
    expected = hashlib.sha256(b"a/1.png\0%d\n" % file.stat().st_size).hexdigest()
    assert first == expected
    assert open_source(str(tmp_path / "two")).fingerprint() == first
    with file.open("ab") as stream:
        stream.write(b"more")
    assert open_source(str(tmp_path / "one")).fingerprint() != first
    (tmp_path / "two/a/1.png").rename(tmp_path / "two/a/2.png")
    assert open_source(str(tmp_path / "two")).fingerprint() != first


def test_each_folder_is_read_once_and_no_file_is_looked_at(tmp_path, monkeypatch):
    """A folder tells what its files are: a million of them would take minutes to ask one by one."""
    asked = []
    for name in ("stat", "lstat", "scandir", "listdir", "open"):
        real = getattr(os, name)

        def call(path, *args, name=name, real=real, **kwargs):
            asked.append((name, os.fsencode(path)))
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, name, call)
    calls = []
    for files in (3, 300):
        root = tmp_path / str(files)
        for c in range(4):
            (root / f"class{c}").mkdir(parents=True)
            for i in range(files):
                (root / f"class{c}/{i}.jpg").touch()
        asked.clear()
        source = open_source(str(root))
        assert source.counts.tolist() == [files] * 4
        # Above the root there are as many folders as the machine has.
        below = [(name, path) for name, path in asked if path.startswith(os.fsencode(root))]
        assert not any(path.endswith(b".jpg") for _, path in below)
        read = [path for name, path in below if name in ("scandir", "listdir")]
        assert len(read) == len(set(read)) == 1 + 4
        calls.append(len(below))
    assert calls[0] == calls[1]
    assert source.image_name(301) == "class1/1.jpg"


def test_sources_can_be_pickled(tmp_path):
    png(tmp_path / "a/1.png", (9, 8, 7))
    copy = pickle.loads(pickle.dumps(open_source(str(tmp_path))))
    assert copy.image(0).getpixel((0, 0)) == (9, 8, 7)
    assert pickle.loads(pickle.dumps(open_source("digits"))).labels.shape == (364,)


def test_digits():
    source = open_source("digits")
    labels, (pixels, truth) = digits()[0], digits()[1]["test"]
    assert (source.name, source.split, source.in_memory) == ("digits", "test", True)
    assert source.folders == tuple(labels) == tuple("0123456789")
    assert source.labels.tolist() == truth.tolist()
    assert source.image_name(17) == "digits/test/17"
    assert source.image(17).mode == "L"
    assert np.array_equal(np.asarray(source.image(17)), pixels[17])
    sizes = {s: len(open_source("digits", split=s)) for s in ("train", "test", "all")}
    assert sizes == {"train": 1433, "test": 364, "all": 1797}
    assert source.fingerprint() == open_source("digits").fingerprint()
    assert source.fingerprint() != open_source("digits", split="all").fingerprint()
    assert "'val'" in refusal("digits", split="val")


def test_a_folder_called_digits_is_pointed_out(tmp_path, monkeypatch):
    png(tmp_path / "digits/a/1.png")
    monkeypatch.chdir(tmp_path)
    (note,) = open_source("digits").notes
    assert "./digits" in note
    assert open_source("./digits").folders == ("a",)


def test_cifar10_in_folders(tmp_path):
    for name in CIFAR10_NAMES:
        png(tmp_path / "test" / name / "0001.png")
        png(tmp_path / "train" / name / "0001.png")
    source = open_source(f"cifar10:{tmp_path}")
    assert (source.name, source.split, source.folders) == ("cifar10", "test", CIFAR10_NAMES)
    assert source.notes == ()
    assert names(source)[3] == "test/cat/0001.png"
    assert open_source(f"cifar10:{tmp_path}", split="train").split == "train"
    assert "train or test" in refusal(f"cifar10:{tmp_path}", split="val")


@pytest.fixture
def cifar10_batches(tmp_path, monkeypatch):
    """CIFAR-10 as torchvision keeps it, with two images per batch."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    pixels = np.arange(2 * 3072, dtype=np.int64).reshape(2, 3072).astype(np.uint8)

    def write(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    train = [write(f"data_batch_{i}", {"data": pixels, "labels": [i, i + 1]}) for i in range(1, 6)]
    test = [write("test_batch", {"data": pixels, "labels": [3, 0]})]
    meta = write("batches.meta", {"label_names": list(CIFAR10_NAMES)})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", test)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": meta[1]})
    return folder, pixels


def test_cifar10_as_torchvision_keeps_it(cifar10_batches):
    folder, pixels = cifar10_batches
    for spec in (f"cifar10:{folder.parent}", f"cifar10:{folder}"):
        source = open_source(spec)
        assert (source.name, source.split, source.folders) == ("cifar10", "test", CIFAR10_NAMES)
        assert source.labels.tolist() == [3, 0]
        assert source.image_name(1) == "cifar10/test/1"
        # The files hold the planes of an image one after the other.
        expected = pixels[1].reshape(3, 32, 32).transpose(1, 2, 0)
        assert np.array_equal(np.asarray(source.image(1)), expected)
    assert len(open_source(f"cifar10:{folder}", split="train")) == 10


def test_damaged_cifar10_is_refused(cifar10_batches):
    folder, _ = cifar10_batches
    (folder / "test_batch").write_bytes(b"damaged")
    message = refusal(f"cifar10:{folder.parent}")
    assert "damaged" in message
    assert "--download" in message


def test_cifar10_is_looked_for_in_the_cache_and_never_fetched_unasked(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    def no_network(self) -> None:
        raise AssertionError("tried to download")

    monkeypatch.setattr(CIFAR10, "download", no_network)
    monkeypatch.setenv("SEVIZ_CACHE_DIR", str(tmp_path / "own"))
    message = refusal("cifar10")
    assert str(tmp_path / "own" / "cifar10") in message
    assert "--download" in message
    assert "170 MB" in message
    assert "cifar10:DIR" in message
    monkeypatch.delenv("SEVIZ_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "seviz"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "seviz"


def test_cifar10_is_fetched_when_asked(tmp_path, monkeypatch, capsys):
    from torchvision.datasets import CIFAR10

    asked = []

    def fail(self) -> None:
        asked.append(Path(self.root))
        print("Downloading")
        raise RuntimeError("no route\nto host")

    monkeypatch.setattr(CIFAR10, "download", fail)
    message = refusal(f"cifar10:{tmp_path}", download=True)
    assert asked == [tmp_path]
    assert "no route to host" in message
    assert "network" in message
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(
    "SEVIZ_CIFAR10" not in os.environ, reason="SEVIZ_CIFAR10 does not name a folder of CIFAR-10"
)
def test_the_real_cifar10():
    source = open_source(f"cifar10:{os.environ['SEVIZ_CIFAR10']}")
    assert source.folders == CIFAR10_NAMES
    assert source.counts.tolist() == [1000] * 10
    assert source.image(5000).size == (32, 32)


def test_the_forms_are_written_in_one_place():
    """Help, errors and docstrings read the table."""
    import seviz
    from seviz.data.sources import FORMS, known_forms

    package = Path(seviz.__file__).parent
    for form in FORMS:
        if len(form.written) < 8:  # "digits" is a word as well
            continue
        holding = [
            p.relative_to(package).as_posix()
            for p in package.rglob("*.py")
            if form.written in p.read_text(encoding="utf-8").replace("``", "")
        ]
        assert holding in (["data/sources.py"], ["data/cifar10.py", "data/sources.py"]), (
            form.written
        )
        assert form.written in known_forms()


def test_help_and_errors_name_every_form(capsys):
    from seviz.cli import main
    from seviz.data.sources import FORMS

    for words in (
        ["collect", "--help"],
        ["collect", "timm:lcnet_035", "--arch-args", "pretrained=false"],
    ):
        with pytest.raises(SystemExit):
            raise SystemExit(main(words))
        said = " ".join("".join(capsys.readouterr()).replace("\u2502", " ").split())
        for form in FORMS[1:]:
            assert form.written in said


def test_the_page_on_data_names_every_form():
    from seviz.data.sources import FORMS

    page = Path(__file__).parents[1] / "docs" / "data.md"
    text = page.read_text(encoding="utf-8").replace("\\|", "|")
    for form in FORMS:
        assert form.written in text


def test_the_first_form_that_fits_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    png(tmp_path / "cifar10.csv/a/1.png")
    assert open_source("cifar10.csv").folders == ("a",)
    png(tmp_path / "x.csv.png")
    assert open_source("x.csv.png").name == "x.csv.png"
    assert "found nothing" in refusal("x" * 5000)
    assert "found nothing" in refusal("a\0b")
    assert "neither a file nor a folder" in refusal("/dev/null")
