"""Records of many classes: packed bit for bit, read by class, refused when damaged."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path

import mutants
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from synthetic import make_record, record_of_gates, with_predictions

from seviz.errors import DataError
from seviz.results import tables
from seviz.results.packing import Packed, Shape, pack
from seviz.results.record import Record
from seviz.results.stats import BlockStats


def packed(table: np.ndarray, base: np.ndarray) -> Packed:
    data = pack(table, lambda span: base[span])
    shape = Shape(table.shape[0], table.shape[1], table.dtype)
    return Packed(lambda place, size: data[place : place + size], len(data), shape, "a table")


@given(data=st.data(), kind=st.sampled_from(["f2", "f4", "f8", "i4"]), rows=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_any_bits_come_back(data: st.DataObject, kind: str, rows: int) -> None:
    """NaN, infinities, zeros of both signs and all else, whatever was foretold."""
    shape = (rows, data.draw(st.integers(1, 5)))
    words = f"u{np.dtype(kind).itemsize}"
    table, base = (data.draw(arrays_of.arrays(words, shape)).view(kind) for _ in range(2))
    found = packed(table, base)
    made = [found.rows(found.shape.span(g), lambda s: base[s]) for g in range(found.shape.groups)]
    assert b"".join(part.tobytes() for part in made) == table.tobytes()


def test_what_is_foretold_costs_nothing() -> None:
    table = np.random.default_rng(0).random((64, 4096))
    assert len(pack(table, lambda span: table[span])) < 400
    assert len(pack(table, lambda span: np.zeros_like(table[span]))) > 0.8 * table.nbytes


def many_classes(
    images: int, *, labels: str, seed: int = 0, width: int = 600, scale: float = 2
) -> Record:
    """Return a record of 90 classes; gates as float32 sigmoids give them."""
    rng = np.random.default_rng(seed)
    of = {
        "one each": np.arange(images) % 90,
        "any": rng.integers(0, 85, images),
        "few": rng.integers(0, 20, images),
    }[labels]
    logits = [rng.normal(scale=scale, size=(images, width)) for _ in range(2)]
    gates = [(1 / (1 + np.exp(-g))).astype(np.float32) for g in logits]
    record = record_of_gates(
        gates, of, [f"c{k}" for k in range(90)], indices=rng.permutation(images)
    )
    return with_predictions(record)


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PACKED_FROM", 0)


def identical(one: Record, other: Record) -> None:
    assert one.header == other.header
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        assert other.arrays[name].dtype == array.dtype, name
        assert other.arrays[name].shape == array.shape, name
        assert other.arrays[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize(
    ("images", "labels"), [(90, "one each"), (60, "any"), (400, "any"), (400, "few"), (1, "few")]
)
@pytest.mark.usefixtures("packs")
def test_records_come_back_to_the_bit(images: int, labels: str, tmp_path: Path) -> None:
    record = many_classes(images, labels=labels)
    path = record.save(tmp_path)
    meta = json.loads(zipfile.ZipFile(path).read("meta.json"))
    assert meta["schema_version"] == 2
    assert "gates/SE_2_1/sumsq" in meta["packed"]
    loaded = Record.load(path)
    identical(record, loaded)
    loaded.verify()
    # And once more, from the file.
    identical(record, Record.load(loaded.save(tmp_path / "again")))


@pytest.mark.usefixtures("packs")
def test_some_classes_are_read_alone(tmp_path: Path) -> None:
    record = many_classes(200, labels="any", width=4096)
    path = record.save(tmp_path)
    rows = [80, 3, 88, 3]
    for block in record.blocks:
        whole = record.stats(block.name)
        part = Record.load(path).stats(block.name)
        some = part.of(rows)
        for field in BlockStats.__dataclass_fields__:
            assert getattr(some, field).tobytes() == getattr(whole, field)[rows].tobytes(), field
        assert part.all_mean.tobytes() == whole.all_mean.tobytes()
        assert part.all_std.tobytes() == whole.all_std.tobytes()
        assert whole.of(rows).mean.tobytes() == whole.mean[rows].tobytes()
    peaks = []
    for wanted in ([1], range(90)):
        loaded = Record.load(path)
        tracemalloc.start()
        _ = loaded.stats("SE_2_1").of(wanted).sumsq
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert 2 * peaks[0] < peaks[1]


def test_one_image_of_each_class_takes_a_gate_each(tmp_path: Path) -> None:
    """As a float32 that hardly shrinks: the other fields and the sample follow from it."""
    record = many_classes(90, labels="one each", width=6000, scale=0.3)
    path = record.save(tmp_path)
    gates = 90 * 2 * 6000
    assert json.loads(zipfile.ZipFile(path).read("meta.json"))["schema_version"] == 2
    assert path.stat().st_size < 3.2 * gates
    identical(record, Record.load(path))


def test_small_records_stay_plain(tmp_path: Path) -> None:
    record = make_record(((1, 8), (1, 4)))
    path = record.save(tmp_path)
    assert json.loads(zipfile.ZipFile(path).read("meta.json"))["schema_version"] == 1
    assert np.array_equal(np.load(path)["gates/SE_2_1/sum"], record.arrays["gates/SE_2_1/sum"])


def test_a_class_without_images_that_has_gates_is_not_packed(packs: None, tmp_path: Path) -> None:
    """What no pass leaves behind is written as it is, and refused when it is read."""
    record = many_classes(60, labels="few")
    name = "gates/SE_2_1/sum"
    array = record.arrays[name].copy()
    array[89] = 1
    path = Record(
        record.header, record.classes, record.blocks, {**record.arrays, name: array}
    ).save(tmp_path)
    with pytest.raises(DataError, match="gates of a class without images in gates/SE_2_1/sum"):
        Record.load(path).verify()


def damaged(path: Path, name: str, change: object) -> Path:
    content = mutants.members(path)
    data = bytearray(content[name])
    content[name] = bytes(change(data))  # type: ignore[operator]
    path.write_bytes(b"")
    with zipfile.ZipFile(path, "w") as archive:
        for member, own in content.items():
            archive.writestr(member, own)
    return path


def flipped(data: bytearray) -> bytearray:
    data[len(data) * 3 // 4] ^= 1
    return data


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("packed/gates/SE_2_1/sumsq", flipped, "a wrong checksum in gates/SE_2_1/sumsq"),
        ("packed/gates/SE_3_1/minimum", flipped, "a wrong checksum in gates/SE_3_1/minimum"),
        ("packed/sample/SE_2_1", flipped, "a wrong checksum in sample/SE_2_1"),
        ("packed/gates/SE_2_1/sum", lambda d: d[:5], "bytes in gates/SE_2_1/sum"),
        ("packed/gates/SE_2_1/sum", lambda d: b"\xff" * len(d), "in gates/SE_2_1/sum"),
        ("packed/SE_2_1", lambda d: d[:-1], "bytes in packed/SE_2_1"),
        ("meta.json", lambda d: d.replace(b'"float64"', b'"float16"', 1), "float16 in gates/"),
        (
            "meta.json",
            lambda d: d.replace(b'"gates/SE_2_1/sum": "float64", ', b""),
            "no gates/SE_2_1/sum",
        ),
        (
            "meta.json",
            lambda d: d.replace(b'"schema_version": 2', b'"schema_version": 3'),
            "found 3",
        ),
    ],
)
@pytest.mark.usefixtures("packs")
def test_damage_is_named(name: str, change: object, part: str, tmp_path: Path) -> None:
    path = damaged(many_classes(60, labels="any").save(tmp_path), name, change)
    with pytest.raises(DataError, match=part):
        Record.load(path).verify()
    if "SE_2_1/sumsq" in name:
        with pytest.raises(DataError, match=part):
            _ = Record.load(path).stats("SE_2_1").of([0]).sumsq


@pytest.mark.usefixtures("packs")
def test_rows_that_no_pass_leaves_behind_are_refused(tmp_path: Path) -> None:
    record = many_classes(200, labels="any")
    name = "gates/SE_2_1/sum"
    arrays = {**record.arrays, name: record.arrays[name] * 0.1}
    path = Record(record.header, record.classes, record.blocks, arrays).save(tmp_path)
    with pytest.raises(DataError, match="means below the least gate"):
        _ = Record.load(path).stats("SE_2_1").of([2, 3]).mean
