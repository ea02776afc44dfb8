"""Records: saving, loading, merging."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import record_of_gates

from seviz.errors import DataError
from seviz.results.classes import ClassInfo, ClassTable
from seviz.results.files import is_record
from seviz.results.header import Header
from seviz.results.preprocessing import Preprocessing
from seviz.results.record import Record

WIDTHS = (8, 4)


def random_record(seed: int = 0, images: int = 30, classes: int = 3) -> Record:
    rng = np.random.default_rng(seed)
    gates = [rng.random((images, width)) for width in WIDTHS]
    return record_of_gates(gates, rng.integers(0, classes, images), "abc"[:classes])


def same(a: Record, b: Record) -> bool:
    return (
        a.header == b.header
        and a.classes == b.classes
        and a.blocks == b.blocks
        and a.arrays.keys() == b.arrays.keys()
        and all(np.array_equal(a.arrays[k], b.arrays[k]) for k in a.arrays)
        and all(a.arrays[k].dtype == b.arrays[k].dtype for k in a.arrays)
    )


def test_round_trip(tmp_path: Path) -> None:
    record = random_record()
    header = replace(
        record.header,
        skipped=(("cat/1.png", "truncated"),),
        missing=("dog",),
        partial=True,
        notes=("a note", "名前 <b>"),
        preprocessing=Preprocessing((1, 8, 8), (0.5,), (0.25,), "bilinear", 1.0, "checkpoint"),
        versions={"torch": "2"},
    )
    record = replace(record, header=header)
    path = record.save(tmp_path / "a" / "run.npz")
    assert path == tmp_path / "a" / "run.npz"
    assert same(Record.load(path), record)
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]


def test_a_folder_gets_and_gives_its_record(tmp_path: Path) -> None:
    record = random_record()
    assert record.save(tmp_path) == tmp_path / "record.npz"
    assert same(Record.load(tmp_path), record)
    assert is_record(tmp_path)
    assert is_record(tmp_path / "record.npz")


def test_numpy_reads_the_arrays(tmp_path: Path) -> None:
    record = random_record()
    with np.load(record.save(tmp_path)) as arrays:
        assert np.array_equal(arrays["count"], record.count)
        name = f"gates/{record.blocks[0].name}/sum"
        assert np.array_equal(arrays[name], record.arrays[name])


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    one = random_record().save(tmp_path / "one.npz").read_bytes()
    assert one == random_record().save(tmp_path / "two.npz").read_bytes()


def test_class_details_survive(tmp_path: Path) -> None:
    record = random_record()
    table = ClassTable(
        (
            ClassInfo("crane", 134, "n02012849", ("bird",), "large bird", "n02012849"),
            ClassInfo("crane", 517, "n03126707"),
            ClassInfo("pug", 254),
        )
    )
    loaded = Record.load(replace(record, classes=table).save(tmp_path))
    assert loaded.classes == table
    assert loaded.classes.labels == ["crane (n02012849)", "crane (n03126707)", "pug"]


@given(cut=st.integers(0, 30), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_two_halves_make_the_whole(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gates = [rng.random((30, width)) for width in WIDTHS]
    labels = rng.integers(0, 3, 30)

    def part(at: slice) -> Record:
        return record_of_gates([g[at] for g in gates], labels[at], "abc")

    merged = part(slice(None, cut)) + part(slice(cut, None))
    assert merged.header.images == 30
    assert merged.count.tolist() == np.bincount(labels, minlength=3).tolist()
    for block, every in zip(merged.blocks, gates, strict=True):
        stats = merged.stats(block.name)
        for k in np.unique(labels):
            own = every[labels == k]
            np.testing.assert_allclose(stats.mean[k], own.mean(0), atol=1e-12)
            np.testing.assert_allclose(stats.std[k], own.std(0), atol=1e-7)
            np.testing.assert_allclose(stats.minimum[k], own.min(0), atol=1e-7)
            np.testing.assert_allclose(stats.maximum[k], own.max(0), atol=1e-7)


@pytest.mark.parametrize("what", ["checkpoint", "preprocessing", "dtype", "classes", "blocks"])
def test_records_of_different_things_do_not_merge(what: str) -> None:
    record = random_record()
    changes: dict[str, Any] = {
        "checkpoint": {"header": replace(record.header, checkpoint_sha256="f" * 64)},
        "preprocessing": {
            "header": replace(record.header, preprocessing=Preprocessing(crop_pct=1))
        },
        "dtype": {"header": replace(record.header, dtype="bfloat16 autocast")},
        "classes": {"classes": ClassTable.from_labels(["x", "y", "z"])},
        "blocks": {"blocks": record.blocks[:-1]},
    }
    with pytest.raises(DataError, match=f"the same {what}"):
        _ = record + replace(record, **changes[what])


def test_a_partial_half_makes_a_partial_whole() -> None:
    record = random_record()
    partial = replace(record, header=replace(record.header, partial=True))
    assert (record + partial).header.partial
    assert not (record + record).header.partial


def test_top1() -> None:
    record = random_record()
    assert record.top1 is None
    confusion = np.array([[8, 1, 1], [0, 5, 5], [2, 2, 6]])
    arrays = {**record.arrays, "confusion": confusion}
    assert replace(record, arrays=arrays).top1 == 19 / 30
    nothing = {**record.arrays, "confusion": np.zeros((3, 3), np.int64)}
    assert replace(record, arrays=nothing).top1 is None


def test_top1_of_a_source_with_some_of_the_classes() -> None:
    record = random_record(classes=2)
    table = ClassTable((ClassInfo("b", 1), ClassInfo("d", 3)))
    confusion = np.array([[1, 6, 2, 1], [4, 0, 0, 6]])
    record = replace(record, classes=table, arrays={**record.arrays, "confusion": confusion})
    assert record.top1 == 12 / 20


def test_unknown_block() -> None:
    with pytest.raises(KeyError, match="SE_9_9"):
        random_record().stats("SE_9_9")


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    loaded = Record.load(random_record().save(tmp_path))
    (tmp_path / "record.npz").unlink()
    with pytest.raises(DataError, match="expected an intact record"):
        _ = loaded.stats(loaded.blocks[0].name).mean


@pytest.mark.parametrize(
    "content",
    [b"", b"plain text", b"PK\x03\x04 not a zip", None],
    ids=["empty", "text", "zip", "npz"],
)
def test_other_files_are_no_records(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    if content is None:
        np.savez(path, a=np.zeros(3))
    else:
        path.write_bytes(content)
    assert not is_record(path)
    with pytest.raises(DataError, match=r"expected a seviz record.*seviz collect"):
        Record.load(path)


def test_no_record(tmp_path: Path) -> None:
    assert not is_record(tmp_path)
    with pytest.raises(DataError, match="found nothing"):
        Record.load(tmp_path)


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    path = random_record().save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        meta = json.loads(archive.read("meta.json"))
    meta["schema_version"] = 99
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", json.dumps(meta))
    with pytest.raises(DataError, match="schema version 2 or schema version 1, found 99"):
        Record.load(path)


def test_a_failed_save_leaves_the_old_record(tmp_path: Path) -> None:
    record = random_record()
    path = record.save(tmp_path)
    before = path.read_bytes()
    broken = replace(record, header=replace(record.header, versions={"torch": float("nan")}))  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="JSON"):
        broken.save(tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["record.npz"]


def test_header_from_json() -> None:
    header = random_record().header
    assert isinstance(header, Header)
    assert header.skipped == ()


def test_to_frame() -> None:
    record = random_record()
    frame = record.to_frame()
    assert list(frame.columns) == ["block", "class", "channel", "mean", "std", "count"]
    assert len(frame) == 3 * sum(WIDTHS)
    row = frame[(frame["block"] == "SE_3_1") & (frame["class"] == "b") & (frame["channel"] == 2)]
    stats = record.stats("SE_3_1")
    assert row["mean"].item() == stats.mean[1, 2]
    assert row["std"].item() == stats.std[1, 2]
    assert row["count"].item() == stats.count[1]
