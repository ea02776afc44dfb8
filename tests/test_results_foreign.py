"""Small files beside records that anybody may have written: features, distances, logs, lists of names."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
from conftest import Refuses
from test_results_damage import everything, good_record

from seviz.errors import DataError, UsageError
from seviz.networks.class_files import read_class_names
from seviz.networks.formats.tflite.labels import classes_packed
from seviz.results import tables
from seviz.results.ablation import Ablation
from seviz.results.classes import ClassTable
from seviz.results.cost import Audit
from seviz.results.distances import read_distances
from seviz.results.features import SampledFeatures
from seviz.results.record import Record
from seviz.results.tracking import read_log

THREE = ClassTable.from_labels(["ant", "bee", "cat"])


# -------------------------------------------------------------------------------------------------
# Features of single images: what does not serve is made again


def header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def features(path: Path, how: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    arrays = {
        "made": mutants.pack_array(np.array("m")),
        "index": mutants.pack_array(np.arange(3)),
        "values": mutants.pack_array(np.ones((3, 4), np.float32)),
    }
    content = {f"{name}.npy": data for name, data in {**arrays, **members}.items()}
    path.write_bytes(mutants.packed(content, compress_type=how))
    return path


def test_features_that_serve(tmp_path: Path) -> None:
    found = SampledFeatures.load(features(tmp_path / "f.npz"), "m")
    assert found is not None
    assert found.values.tolist() == [[1.0] * 4] * 3
    assert SampledFeatures.load(tmp_path / "f.npz", "another") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"values": header((2**40, 4))},
        {"values": header((3, 2**30)) + bytes(48)},
        {"values": b"\x93NUMPY\x01\x00\x10\x00{'descr':((((((\n"},
        {"values": mutants.pack_array(np.full((3, 4), np.nan, np.float32))},
        {"index": mutants.pack_array(np.array([0, -1, 2]))},
        {"index": mutants.pack_array(np.array([1, 1, 2]))},
        {"made": header((2**40,))},
        {"made": b""},
        {"how": zipfile.ZIP_DEFLATED},  # which may unpack to anything
    ],
)
def test_features_that_do_not(damage: dict[str, Any], tmp_path: Path) -> None:
    assert SampledFeatures.load(features(tmp_path / "f.npz", **damage), "m") is None


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", mutants.pack_array(np.ones(3))])
def test_other_files_in_the_place_of_features(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_bytes(content)
    assert SampledFeatures.load(tmp_path / "f.npz", "m") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_no_reader_waits_for_a_pipe(tmp_path: Path) -> None:
    for name in ("record.npz", "ablation.json", "audit.json", "log.csv", "features.npz"):
        os.mkfifo(tmp_path / name)
    assert SampledFeatures.load(tmp_path / "features.npz", "m") is None
    readers: list[Callable[[], object]] = [
        lambda: Record.load(tmp_path),
        lambda: Ablation.load(tmp_path),
        lambda: Audit.load(tmp_path),
        lambda: read_log(tmp_path / "log.csv"),
        lambda: read_distances(tmp_path / "log.csv", THREE),
        lambda: read_distances("/dev/zero", THREE),
    ]
    for reader in readers:
        with pytest.raises(DataError, match="a pipe, a socket or a device"):
            reader()


# -------------------------------------------------------------------------------------------------
# Tables of text


def test_all_pairs_of_many_classes_are_read_in_a_moment(tmp_path: Path) -> None:
    names = [f"class {k}" for k in range(200)]
    lines = [f"{a},{b},{abs(i - j)}" for i, a in enumerate(names) for j, b in enumerate(names)]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    begin = time.process_time()
    found = read_distances(tmp_path / "d.csv", ClassTable.from_labels(names))
    assert time.process_time() - begin < 1
    assert found[3, 150] == 147


@pytest.mark.parametrize("words", ["1_5", "\u0664", "nan", "inf", "-1", "1e400", "0x10", ""])
def test_no_distance(tmp_path: Path, words: str, refuses: Refuses) -> None:
    (tmp_path / "d.csv").write_text(f"ant,bee,2\nant,cat,{words}\n", encoding="utf-8")
    with refuses(DataError, "expected distances of 0 or more"):
        read_distances(tmp_path / "d.csv", THREE)


def test_damaged_json_is_not_read_by_other_rules(tmp_path: Path, refuses: Refuses) -> None:
    """What Python prints is read as well, where nothing means one thing here and another there."""
    path = tmp_path / "names.json"
    path.write_text("['ant', \"bee's\", None]")
    with refuses(UsageError, "expected class names"):
        read_class_names(path)
    path.write_text("['ant', \"bee's\"]")
    assert read_class_names(path).labels == ["ant", "bee's"]
    path.write_text(r'["ant", "\u010d\10d"]')
    with refuses(UsageError, "what cannot be read"):
        read_class_names(path)


def test_a_log_that_is_no_csv(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "log.csv"
    path.write_text('epoch,a\n1,"' + "x" * 200_000)
    with refuses(DataError, "expected CSV in", "name another file"):
        read_log(path)
    path.write_text("x" * 5000 + ",b\n1,2\n")
    with pytest.raises(DataError) as told:
        read_log(path)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tag.yaml", "- !!bool maybe\n"),
        ("tag.yaml", "- !!int ''\n"),
        ("tag.yaml", "- !!timestamp x\n"),
        (
            "aliases.yaml",
            "a: &a {x: {y: 1}}\n"
            + "".join(
                f"{b}: &{b} {{{', '.join(f'k{j}: *{a}' for j in range(30))}}}\n"
                for a, b in zip("abcdefgh", "bcdefghi", strict=True)
            ),
        ),
        ("large.yaml", "- a\n" * 200_000),
        ("field.csv", "name\n" + "x" * 200_000),
        ("wide.csv", ",".join("a" * 50_000) + "\n" + ",".join("1" * 50_000)),
    ],
)
def test_names_that_are_refused_in_a_moment(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    begin = time.process_time()
    with pytest.raises(UsageError, match="expected class names"):
        read_class_names(tmp_path / name)
    assert time.process_time() - begin < 2


def test_a_line_of_blanks(tmp_path: Path) -> None:
    blanks = " " * 100_000
    (tmp_path / "names.txt").write_text(f"a{blanks}b\nc\n")
    assert read_class_names(tmp_path / "names.txt").labels == [f"a{blanks}b", "c"]


def test_numbers_behind_names(tmp_path: Path) -> None:
    for text in ("b, 1\na,0", "b  1\na\t0", "b : 1\na;0", "b 00000001\na,'0 0"):
        (tmp_path / "names.txt").write_text(text)
        labels = read_class_names(tmp_path / "names.txt").labels
        assert [label[0] for label in labels] == ["a", "b"], text
    (tmp_path / "names.txt").write_text("b 100000001\na 0")
    assert read_class_names(tmp_path / "names.txt").labels == ["b 100000001", "a 0"]


def test_labels_in_an_archive_of_traps(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    content = {f"{i}.csv": b"name\n" + b"x" * 200_000 for i in range(5)}
    content["labels.txt"] = b"ant\nbee"
    path.write_bytes(b"a graph" + mutants.packed(content, compress_type=zipfile.ZIP_DEFLATED))
    found = classes_packed(path, 2)
    assert found is not None
    assert found[0].labels == ["ant", "bee"]
    # Together they are not more than one may be.
    many = {f"{i:02}.txt": (b"a" * 1023 + b"\n") * 2**11 for i in range(5)}
    many["zz.txt"] = b"ant\nbee"
    path.write_bytes(b"a graph" + mutants.packed(many, compress_type=zipfile.ZIP_DEFLATED))
    assert classes_packed(path, 2) is None
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("labels.txt", b"ant\nbee" * 99)
    whole = bytearray(path.read_bytes())
    whole[60:80] = b"\xff" * 20
    path.write_bytes(whole)
    assert classes_packed(path, 2) is None


# -------------------------------------------------------------------------------------------------
# Packed records


def head_of(path: Path, place: int, value: float) -> None:
    """Change one number of what is kept over all classes: middle gates, means, deviations of 6 channels."""
    content = mutants.members(path)
    numbers = np.frombuffer(content["packed/SE_2_1"], "<f8").copy()
    numbers[place] = value
    path.write_bytes(mutants.packed({**content, "packed/SE_2_1": numbers.tobytes()}))


@pytest.mark.parametrize(("place", "value"), [(6, np.nan), (6, 40.0), (12, -1.0), (12, np.inf)])
def test_means_that_gates_cannot_have(
    place: int, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PACKED_FROM", 0)
    path = good_record().save(tmp_path)
    assert np.isfinite(Record.load(path).stats("SE_2_1").all_mean).all()
    head_of(path, place, value)
    with pytest.raises(DataError, match="means over all images that gates cannot have"):
        _ = Record.load(path).stats("SE_2_1").all_mean


def test_packed_records_that_were_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    monkeypatch.setattr(tables, "PACKED_FROM", 0)
    path = good_record().save(tmp_path)
    whole, content = path.read_bytes(), mutants.members(path)
    everything(path)
    head_of(path, 7, 0.011)  # possible, but not theirs
    with refuses(DataError, "means over all classes that are not of the tables of SE_2_1"):
        Record.load(path).verify()
    # One bit of what all tables hang on: the archive has a checksum of it.
    damaged = bytearray(whole)
    damaged[whole.index(content["packed/SE_2_1"])] ^= 1
    path.write_bytes(damaged)
    with refuses(DataError, "a wrong checksum in packed/SE_2_1"):
        everything(path)
    plain = {"gates/SE_2_1/sum.npy": mutants.pack_array(np.zeros((3, 6)))}
    path.write_bytes(mutants.packed({**content, **plain}))
    with refuses(DataError, "gates/SE_2_1/sum both packed and plain"):
        Record.load(path)


def test_defaults_of_a_key_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seviz.cli.config import read_settings

    (tmp_path / "seviz.toml").write_text("a." * 20_000 + "a = 1\n")
    monkeypatch.chdir(tmp_path)
    begin = time.process_time()
    with pytest.raises(UsageError, match="more than 200 parts"):
        read_settings()
    assert time.process_time() - begin < 2
    # Somebody else's long line is no such key.
    (tmp_path / "seviz.toml").unlink()
    numbers = ", ".join(["1.5"] * 500)
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.x]\ny = [{numbers}]\n[tool.seviz]\ndata = 'digits'\n"
    )
    read_settings()
