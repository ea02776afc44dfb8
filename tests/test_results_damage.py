"""Records that were damaged or edited: refused in one line, or of no other numbers; never a bug."""

from __future__ import annotations

import json
import random
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
from conftest import Refuses
from synthetic import record_of_gates, with_predictions

from seviz.analysis import scores
from seviz.errors import DataError
from seviz.results.evaluation import Evaluation
from seviz.results.files import is_record
from seviz.results.record import Record

SEED, MUTANTS = 20, 400


def good_record() -> Record:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [10, 8, 12])
    gates = [1 / (1 + np.exp(-rng.normal(size=(30, width)))) for width in (6, 4)]
    gates = [g.astype(np.float32).astype(np.float64) for g in gates]
    record = record_of_gates(gates, labels, ["ant", "bee", "cat"], indices=np.arange(30))
    record = with_predictions(record)
    return replace(record, header=replace(record.header, missing=("elk",), notes=("a note",)))


def everything(path: Path) -> dict[str, Any]:
    """Use a record as commands do, and return its numbers."""
    record = Record.load(path)
    frame = record.to_frame()
    record._repr_html_()
    evaluation = Evaluation.of_record(record)
    for block in record.blocks:
        stats = record.stats(block.name)
        assert (stats.low <= stats.count[:, None]).all()
        assert (stats.minimum <= stats.maximum).all()
        assert stats.high.shape == stats.low.shape
        sampled = record.sample(block.name)
        assert sampled is None or len(sampled.rows) == len(sampled.gates)
        assert block.reduction > 0
    found = scores(evaluation)
    record.verify()
    return {
        "mean": frame["mean"].tolist(),
        "std": frame["std"].tolist(),
        "count": record.count.tolist(),
        "top1": record.top1,
        "counts": evaluation.counts.tolist(),
        "top5": found.top5,
    }


def test_hundreds_of_mutants(tmp_path: Path) -> None:
    path = good_record().save(tmp_path)
    content, right = mutants.members(path), everything(path)
    accepted, begin = [], time.process_time()
    for number in range(MUTANTS):
        damaged, what = mutants.archive(content, "meta.json", random.Random(SEED + number))
        path.write_bytes(damaged)
        try:
            numbers = everything(path)
        except DataError as exc:
            message = str(exc)
            assert message.startswith("expected ")
            assert message.isprintable()
            assert "found" in message, what
            continue
        except Exception as exc:
            raise AssertionError(f"mutant {number} ({what}): {exc!r}") from exc
        accepted.append(what)
        for name, value in right.items():
            missing = name == "top5" and numbers[name] is None  # which a record may be without
            assert missing or numbers[name] == value, f"mutant {number} ({what}): other {name}"
    # Harmless ones: other words in the header, fields and arrays that may be absent.
    assert len(accepted) < MUTANTS // 3
    assert time.process_time() - begin < 30


# -------------------------------------------------------------------------------------------------
# One by one


def edited(
    folder: Path,
    meta: Callable[[dict[str, Any]], Any] | None = None,
    arrays: dict[str, Callable[[Any], Any]] | None = None,
) -> Path:
    path = good_record().save(folder)
    content = mutants.members(path)
    if meta is not None:
        values = json.loads(content["meta.json"])
        meta(values)
        content["meta.json"] = json.dumps(values).encode()
    for name, change in (arrays or {}).items():
        old = mutants.unpack_array(content[f"{name}.npy"])
        content[f"{name}.npy"] = mutants.pack_array(change(old))
    path.write_bytes(mutants.packed(content))
    return path


def put(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        place: Any = values
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda m: m.pop("header"), "expected an object as header, found null"),
        (put("header", "images", value="30"), 'a whole number as header.images, found "30"'),
        (put("header", "images", value=True), "a whole number as header.images, found true"),
        (put("header", "images", value=31), "30 images in count and 31 in the header"),
        (put("header", "images", value=10**400), "a number of more than 18 digits"),
        (lambda m: m["header"].pop("source"), "expected header.source, found none"),
        (put("header", "skipped", value=["a"]), "a list as header.skipped[0]"),
        (put("header", "preprocessing", "mean", value=["0"]), "header.preprocessing.mean[0]"),
        (put("header", "preprocessing", "input_size", value=[3, 0]), "[3, 0] as header.preproc"),
        (put("header", "preprocessing", "input_size", value=[]), "[] as header.preprocessing"),
        (put("header", "preprocessing", "input_size", value=[12, 1000]), None),
        (put("header", "num_classes", value=2), "a shape of 3 x 3 instead of 3 x 2 in confusion"),
        (lambda m: m["classes"].append(m["classes"][0]), "the class index 0 twice"),
        (put("classes", 1, "label", value="ant"), None),  # namesakes are told apart by their index
        (put("classes", 1, "index", value=2), "the class index 2 twice"),
        (put("classes", 1, "index", value=-1), "too small as the index of class 'bee'"),
        (put("classes", 1, "index", value=3), "class index 3 beside 3 outputs in confusion"),
        (put("classes", value=[]), "no class"),
        (lambda m: m["blocks"].append(m["blocks"][0]), "the block 'SE_2_1' twice"),
        (put("blocks", 0, "name", value="SE_9_9"), "gates/SE_2_1/sum and no such block"),
        (
            put("blocks", 0, "channels", value=7),
            "a shape of 3 x 6 instead of 3 x 7 in gates/SE_2_1",
        ),
        (put("blocks", 0, "hidden", value=0), "too small as the hidden of 'SE_2_1'"),
        (put("blocks", 0, "gate", value="0.5*sigmoid"), "gates of 0.5*sigmoid outside of 0 to 0.5"),
        (put("schema_version", value=3), "schema version 1, found 3"),
        (put("schema_version", value=None), "schema version 1, found None"),
        # Of a newer seviz: left out.
        (put("header", "weather", value={"rain": 1}), None),
        (put("blocks", 0, "mechanism", value="SE"), None),
        (put("classes", 0, "colour", value="red"), None),
        (put("something", value=[1]), None),
    ],
)
def test_an_edited_description(
    change: Callable[[dict[str, Any]], Any], part: str | None, tmp_path: Path, refuses: Refuses
) -> None:
    path = edited(tmp_path, change)
    if part is None:
        assert everything(path)["count"] == [10, 8, 12]
        return
    with refuses(DataError, part, "collect it again"):
        everything(path)


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("count", lambda a: a * 2, "60 images in count and 30 in the header"),
        ("count", lambda a: a[::-1].copy(), "that do not "),
        ("count", lambda a: a.astype(np.int32), "int32 instead of int64 in count"),
        ("confusion", lambda a: a + 1000, "rows that do not add up"),
        ("confusion", lambda a: a - 2**40, "negative counts in confusion"),
        ("confusion", lambda a: a[:, :2], "a shape of 3 x 2 instead of 3 x 3 in confusion"),
        ("top5", lambda a: a + 20, "more hits than images in top5"),
        ("calibration_count", lambda a: a + 1, "do not add up"),
        ("calibration_correct", lambda a: a * 0, "other right answers than the confusion counts"),
        ("calibration_confidence", lambda a: a * np.nan, "NaN or infinity"),
        ("calibration_confidence", lambda a: a / 2, "confidences outside of their bin"),
        ("gates/SE_2_1/sum", lambda a: a * 100, "mean gates of sigmoid outside of 0 to 1"),
        ("gates/SE_2_1/sum", lambda a: a * np.nan, "NaN or infinity in gates/SE_2_1/sum"),
        ("gates/SE_2_1/sum", lambda a: a[:1], "a shape of 1 x 6 instead of 3 x 6"),
        ("gates/SE_2_1/sum", lambda a: a * 0.1, "means below the least gate"),
        ("gates/SE_2_1/sum", lambda a: a.astype("f2"), "float16 instead of float64"),
        ("gates/SE_2_1/sum", lambda a: np.zeros((3, 6), "S8"), "an array of |S8"),
        ("gates/SE_3_1/sumsq", lambda a: a * 0.5, "squares that do not go with the sums"),
        ("gates/SE_3_1/sumsq", lambda a: a * 9, "squares that do not go with the sums"),
        ("gates/SE_3_1/minimum", lambda a: a + 0.9, "the least gate"),
        ("gates/SE_3_1/minimum", lambda a: a * -np.inf, "the least gate"),
        ("gates/SE_3_1/maximum", lambda a: a + 2, "gates of sigmoid outside of 0 to 1"),
        ("gates/SE_3_1/low", lambda a: a + 50, "more gates at the ends than images"),
        ("gates/SE_3_1/high", lambda a: a - 50, "more gates at the ends than images"),
        ("sample/index", lambda a: a - 5, "negative positions"),
        ("sample/row", lambda a: a + 3, "images of a class that there is not"),
        ("sample/row", lambda a: a * 0, "more images of a class than there are"),
        ("sample/row", lambda a: a[:-1], "30 positions beside 29 classes"),
        ("sample/SE_2_1", lambda a: a[:-1], "29 images instead of 30 in sample/SE_2_1"),
        ("sample/SE_2_1", lambda a: a + 1, "gates beyond the least or the greatest"),
        ("sample/SE_2_1", lambda a: a * np.inf, "NaN or infinity"),
    ],
)
def test_edited_numbers(
    name: str, change: Callable[[Any], Any], part: str, tmp_path: Path, refuses: Refuses
) -> None:
    path = edited(tmp_path, arrays={name: change})
    with refuses(DataError, part, "collect it again"):
        everything(path)
    with refuses(DataError, part):
        Record.load(path).verify()


def test_numbers_are_checked_when_they_are_read_and_not_before(
    tmp_path: Path, refuses: Refuses
) -> None:
    record = Record.load(edited(tmp_path, arrays={"gates/SE_2_1/sum": lambda a: a * 100}))
    assert record.stats("SE_3_1").mean.shape == (3, 4)
    assert record.stats("SE_2_1").maximum.max() <= 1
    for _ in range(2):  # and every time
        with refuses(DataError, "mean gates"):
            _ = record.stats("SE_2_1").mean


def test_gates_without_bounds_are_held_to_their_extremes(tmp_path: Path, refuses: Refuses) -> None:
    def unbounded(values: dict[str, Any]) -> None:
        for block in values["blocks"]:
            block["gate"] = "relu"

    assert everything(edited(tmp_path, unbounded))["count"] == [10, 8, 12]
    path = edited(tmp_path, unbounded, {"gates/SE_2_1/sum": lambda a: a * 100})
    with refuses(DataError, "above the greatest"):
        everything(path)


def test_a_class_without_images(tmp_path: Path, refuses: Refuses) -> None:
    labels = np.repeat([0, 2], [4, 3])
    record = record_of_gates([np.random.default_rng(0).random((7, 5))], labels, "abc")
    path = record.save(tmp_path)
    Record.load(path).verify()
    content = mutants.members(path)
    for field in ("minimum", "maximum", "sum", "sumsq"):
        name = f"gates/{record.blocks[0].name}/{field}.npy"
        array = mutants.unpack_array(content[name])
        array[1] = 0.25
        path.write_bytes(mutants.packed({**content, name: mutants.pack_array(array)}))
        with refuses(DataError, "gates of a class without images"):
            Record.load(path).verify()


def test_an_older_record_has_no_calibration_and_no_sample(tmp_path: Path) -> None:
    path = good_record().save(tmp_path)
    content = mutants.members(path)
    kept = {n: c for n, c in content.items() if not n.startswith(("sample", "calibration"))}
    path.write_bytes(mutants.packed(kept))
    record = Record.load(path)
    record.verify()
    assert Evaluation.of_record(record).calibration is None
    assert record.sample("SE_2_1") is None


def test_arrays_of_a_newer_seviz_are_left_alone(tmp_path: Path) -> None:
    path = good_record().save(tmp_path)
    content = mutants.members(path)
    content["weather/rain.npy"] = mutants.pack_array(np.array([np.nan, -1]))
    path.write_bytes(mutants.packed(content))
    assert everything(path)["count"] == [10, 8, 12]


def test_a_flipped_bit_in_what_is_drawn(tmp_path: Path, refuses: Refuses) -> None:
    path = good_record().save(tmp_path)
    whole = path.read_bytes()
    sums = mutants.members(path)["gates/SE_2_1/sum.npy"][-48:]
    at = whole.index(sums)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with refuses(DataError, "damage at gates/SE_2_1/sum", "CRC"):
        _ = Record.load(path).stats("SE_2_1").mean


def test_another_file_in_its_place_is_noticed(tmp_path: Path, refuses: Refuses) -> None:
    path = good_record().save(tmp_path)
    record = Record.load(path)
    good_record().save(tmp_path)
    with refuses(DataError, "another file than was opened"):
        _ = record.stats("SE_2_1").mean


@pytest.mark.parametrize("bomb", ["text", "array", "unknown"])
def test_what_unpacks_to_far_more_than_it_is(bomb: str, tmp_path: Path, refuses: Refuses) -> None:
    path = good_record().save(tmp_path)
    content = mutants.members(path)
    if bomb == "text":
        content["meta.json"] = content["meta.json"][:-1] + b" " * (20 << 20) + b"}"
    elif bomb == "array":
        content["gates/SE_2_1/sum.npy"] += b"\0" * (20 << 20)
    else:
        content["weather.npy"] = mutants.pack_array(np.zeros(10))
    data = mutants.packed(content, compress_type=zipfile.ZIP_DEFLATED)
    if bomb == "unknown":  # the directory says that there are 4 GB
        size = len(content["weather.npy"]).to_bytes(4, "little")
        at = data.rindex(size, 0, data.rindex(b"weather.npy"))
        data = data[:at] + b"\xfe\xff\xff\xff" + data[at + 4 :]
    path.write_bytes(data)
    with refuses(DataError, "bytes", "collect it again"):
        everything(path)


def test_objects_are_never_unpickled(tmp_path: Path, refuses: Refuses) -> None:
    path = good_record().save(tmp_path)
    content = mutants.members(path)
    stream = content["count.npy"].replace(b"'<i8'", b"'|O' ")
    path.write_bytes(mutants.packed({**content, "count.npy": stream}))
    with refuses(DataError, "an array of object"):
        Record.load(path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"schema_version": 1, "schema_version": 1}', '"schema_version" twice'),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "schema version 1, found None"),
        ("{", "no JSON"),
        ('{"schema_version": 1, "header": NaN}', "an object as header, found nan"),
    ],
)
def test_a_description_that_is_none(text: str, part: str, tmp_path: Path, refuses: Refuses) -> None:
    path = good_record().save(tmp_path)
    path.write_bytes(mutants.packed({**mutants.members(path), "meta.json": text.encode()}))
    with refuses(DataError, part):
        Record.load(path)


def test_a_file_called_record_is_one(tmp_path: Path) -> None:
    (tmp_path / "record.npz").write_bytes(b"damaged")
    assert is_record(tmp_path)
    assert is_record(tmp_path / "record.npz")
