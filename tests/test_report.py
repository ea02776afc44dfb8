"""The report as a file: what is in it, that it is the same each time, and how it is asked for."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Refuses, Tiny, at_night
from page_text import read
from statsmodels.stats.proportion import proportion_confint
from synthetic import SE_RESNET_50, make_record, with_predictions

import seviz
from seviz.analysis import CalibrationCurve, Share
from seviz.errors import DataError
from seviz.report.calibrated import describe_calibration
from seviz.report.data import LEVELS, packed, quantised, script_json
from seviz.report.names import prose_without_folders
from seviz.results.ablation import Ablation
from seviz.results.cost import Audit
from seviz.results.record import Record

MEGABYTE = 1e6


# A report takes as long as it has blocks.
TWO_BLOCKS = ((1, 16), (1, 64))


@pytest.fixture(scope="module")
def record() -> Record:
    return with_predictions(make_record(TWO_BLOCKS, ["ant", "bee", "cat"], images=20))


@pytest.fixture(scope="module")
def page(record: Record, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the report of the record, made on the second of January 1970."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "86400")
        path = seviz.write_report(record, tmp_path_factory.mktemp("report"))
    return path.read_text(encoding="utf-8")


def script(text: str, name: str) -> str:
    found = re.search(
        rf'<script type="[^"]*" id="{re.escape(name)}">(.*?)</script>', text, re.DOTALL
    )
    assert found is not None
    return found[1]


def unpacked(text: str, name: str, width: int = 2) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the numbers of a blob, as its definition says: planes of bytes, deflated, in base64."""
    planes = np.frombuffer(
        zlib.decompress(base64.b64decode(script(text, f"blob-{name}"))), np.uint8
    )
    weights = 256 ** np.arange(width)
    return np.asarray(planes.reshape(width, -1).T @ weights)


def test_quantised_numbers_come_back() -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 1000)
    back = quantised(values, -1, 3) / LEVELS * 4 - 1
    np.testing.assert_allclose(back, values, atol=4 / LEVELS / 2)
    planes = np.frombuffer(
        zlib.decompress(base64.b64decode(packed([np.array([1, 515], np.uint16)]))), np.uint8
    )
    assert planes.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a&b", "\u2028"])
def test_json_cannot_leave_its_script(text: str) -> None:
    shown = script_json({"x": text})
    assert not set(shown) & set("<>&\u2028")
    assert json.loads(shown) == {"x": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seviz report /home/me/x.pt --data cifar10:/data/c", "seviz report x.pt --data cifar10:c"),
        (r"C:\Users\me\x.pt", "x.pt"),
        (r"--data \\server\me\pictures", "--data pictures"),
        ("'/home/me/my x.pt'", "'my x.pt'"),
        ("3x32x32, 1/2 and/or ratio 5/4", "3x32x32, 1/2 and/or ratio 5/4"),
        ("https://arxiv.org/abs/1709.01507", "https://arxiv.org/abs/1709.01507"),
    ],
)
def test_folders_of_this_machine_are_left_out(text: str, expected: str) -> None:
    assert prose_without_folders(text) == expected


@pytest.mark.usefixtures("no_pictures")
def test_same_record_same_bytes(record: Record, tmp_path: Path) -> None:
    """In a fresh process, and in one in which another report was made.

    That figures are the same, other tests show.
    """
    record.save(tmp_path)
    code = (
        "import seviz, seviz.report.build as build; build.pictures = lambda inputs: {}; "
        f"seviz.write_report({str(tmp_path)!r}, {str(tmp_path / 'a.html')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    seviz.write_report(make_record(TWO_BLOCKS[:1]), tmp_path / "other.html")
    again = seviz.write_report(tmp_path, tmp_path / "b.html").read_bytes()
    assert again == (tmp_path / "a.html").read_bytes()


def test_source_date_epoch_is_the_date(page: str) -> None:
    assert ", 1970-01-02." in page


def test_gates_are_embedded_to_sixteen_bits(record: Record, page: str) -> None:
    data = json.loads(script(page, "data"))
    for meta in data["gates"]["blocks"]:
        stats, channels = record.stats(meta["name"]), meta["channels"]
        words = unpacked(page, f"gates-{meta['name']}")
        size = meta["high"] - meta["low"]
        means = (
            words[3 * channels : 6 * channels].reshape(3, channels) / LEVELS * size + meta["low"]
        )
        np.testing.assert_allclose(means, stats.mean, atol=size / LEVELS)
        stds = words[6 * channels :].reshape(3, channels) / LEVELS * meta["widest"]
        np.testing.assert_allclose(stds, stats.std, atol=meta["widest"] / LEVELS)
    counts = unpacked(page, "confusion", data["confusion"]["bytes"]).reshape(3, 3)
    assert counts.tolist() == record.arrays["confusion"].tolist()


# By day reports of other shapes show that no more channels of each block are embedded than there is room for.
@pytest.mark.nightly
def test_imagenet_shape_fits_into_ten_megabytes(tmp_path: Path) -> None:
    names = [f"class {i:04}" for i in range(1000)]
    large = with_predictions(make_record(SE_RESNET_50, names))
    path = seviz.write_report(large, tmp_path, ["class 0007", "class 0999"])
    assert path.stat().st_size <= 10 * MEGABYTE
    text = path.read_text(encoding="utf-8")
    gates = json.loads(script(text, "data"))["gates"]
    assert len(gates["classes"]) == 1000
    assert sum(b["channels"] for b in gates["blocks"]) == 15_104
    meta = gates["blocks"][-1]
    sample = meta["sample"]
    assert len(sample) >= 50
    assert (sample[0], sample[-1]) == (0, 2047)
    words, stats = unpacked(text, "gates-SE_5_3"), large.stats("SE_5_3")
    every = words[3 * 2048 :][: 1000 * len(sample)].reshape(1000, len(sample)) / LEVELS
    np.testing.assert_allclose(every, stats.mean[:, sample], atol=1 / LEVELS)
    named = words[3 * 2048 + 2000 * len(sample) :][: 2 * 2048].reshape(2, 2048) / LEVELS
    np.testing.assert_allclose(named, stats.mean[[7, 999]], atol=1 / LEVELS)


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_full_embeds_every_channel(tmp_path: Path) -> None:
    record = make_record(((1, 4096),), [f"c{i}" for i in range(400)])
    for full in (False, True):
        text = seviz.write_report(record, tmp_path, full=full).read_text(encoding="utf-8")
        (meta,) = json.loads(script(text, "data"))["gates"]["blocks"]
        assert (meta["sample"] is None) == full
        assert len(unpacked(text, "gates-SE_2_1")) > (2 * 400 * 4096 if full else 0)


@pytest.mark.parametrize(
    "name",
    [
        at_night("se_resnet20_cifar10"),
        at_night("senet_notes_cifar10"),
        "resnet20_cifar10",
    ],
)
def test_small_reports_are_small(name: str, tmp_path: Path) -> None:
    folder = Path(__file__).parent.parent / "reports" / name
    path = seviz.write_report(folder, tmp_path)
    assert path.stat().st_size <= 3 * MEGABYTE
    text = path.read_text(encoding="utf-8")
    gates = [b.name for b in Record.load(folder).blocks]
    assert all(f'data-panel="{b}"' in text for b in gates)
    if not gates:
        assert 'id="gates"' not in text
        assert "no Squeeze-and-Excitation block" in text


@pytest.mark.usefixtures("no_pictures")
def test_what_is_said_and_where_it_comes_from(record: Record, tmp_path: Path) -> None:
    header = replace(
        record.header,
        command="seviz report net.pt --data pictures",
        versions={"torch": "9.9"},
        skipped=(("cat/7.png", "cut off"),),
        missing=("cow",),
        extra=("yak",),
        notes=("taken for ImageNet's classes",),
        partial=True,
    )
    said, loads = read(seviz.write_report(replace(record, header=header), tmp_path))
    matrix = record.arrays["confusion"]
    assert f"{matrix.trace() / 60:.2%}" in said
    for part in (
        "seviz report net.pt --data pictures", "torch 9.9", "cat/7.png", "cut off", "cow", "yak",
        "taken for ImageNet's classes", "interrupted after 60 images", "0" * 64, "Wilson", "Eta squared",
        header.preprocessing.describe(), "images could not be read",
    ):  # fmt: skip
        assert part in said
    assert all(v.startswith(("#", "data:image/svg+xml")) for v in loads)


@pytest.mark.usefixtures("no_pictures")
def test_audit_beside_the_record_is_of_the_same_network(
    record: Record, tiny: Tiny, tmp_path: Path
) -> None:
    record.save(tmp_path)
    audit = seviz.audit(tiny.path, sweep=(2,))
    ours = replace(audit, checkpoint_sha256=record.header.checkpoint_sha256)
    assert Audit.load(ours.save(tmp_path)) == ours
    said, _ = read(seviz.write_report(tmp_path, tmp_path))
    assert f"{audit.se_params:,}" in said
    assert f"{audit.sweep[0].params:,}" in said
    replace(audit, checkpoint_sha256="1" * 64).save(tmp_path)
    said, _ = read(seviz.write_report(tmp_path, tmp_path))
    assert "audit.json beside the record was left out: it is of another network" in said
    assert f"{audit.se_params:,}" not in said
    (tmp_path / "audit.json").write_text('{"schema_version": 0}')
    said, _ = read(seviz.write_report(tmp_path, tmp_path))
    assert "another seviz wrote it" in said


@pytest.mark.usefixtures("no_pictures")
def test_names_stand_on_the_page_as_they_are_spelled(tmp_path: Path) -> None:
    names = ["می\u200cشود", "👩\u200d👧", "ice\u00a0cream", "a\u202eb"]
    record = with_predictions(make_record(TWO_BLOCKS, names, images=20))
    said, _ = read(seviz.write_report(record, tmp_path))
    for name in names[:2]:
        assert name in said
    assert "u200" not in said
    assert r"a\u202eb" in said


@pytest.mark.usefixtures("no_pictures")
def test_other_ablations_are_left_out(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path)
    Ablation(
        "net.pt", "1" * 64, "net", "d", "", 9, 8, "block", "one", 0, 1, 1, 1, (), ()
    ).save(tmp_path)  # fmt: skip
    said, _ = read(seviz.write_report(tmp_path, tmp_path))
    assert "ablation.json beside the record was left out: it is of another network" in said


def test_records_that_cannot_be_read(tmp_path: Path, record: Record, refuses: Refuses) -> None:
    with refuses(DataError, "seviz collect"):
        seviz.write_report(tmp_path, tmp_path)
    empty = replace(record, arrays={**record.arrays, "count": 0 * record.count})
    with refuses(DataError, "with images"):
        seviz.write_report(empty, tmp_path)
    with refuses(DataError, "schema version 1, found 99"):
        seviz.write_report(_other_version(record, tmp_path, 99), tmp_path)


def _other_version(record: Record, folder: Path, version: int) -> Path:
    import zipfile

    with zipfile.ZipFile(record.save(folder / "now.npz")) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    meta = {**json.loads(parts["meta.json"]), "schema_version": version}
    with zipfile.ZipFile(folder / "other.npz", "w") as new:
        for name, data in {**parts, "meta.json": json.dumps(meta).encode()}.items():
            new.writestr(name, data)
    return folder / "other.npz"


def test_notebooks_show_a_record_at_no_cost(record: Record) -> None:
    html = record._repr_html_()
    assert "<script" not in html
    assert f"{record.top1:.2%}" in html
    assert all(block.name in html for block in record.blocks)
    assert len(html) < 5000
    named = replace(record, header=replace(record.header, checkpoint="<b>.pt"))
    assert "&lt;b&gt;.pt" in named._repr_html_()
    empty = replace(record, arrays={**record.arrays, "count": 0 * record.count})
    assert "top-1</th><td>" in empty._repr_html_() or empty.top1 is None


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (0.9, "The network is surer than it is right: mean confidence 90.0%, accuracy 80.0%"),
        (
            0.85,
            "Whether the network is surer than it is right cannot be said: mean confidence 85.0%",
        ),
        (0.7, "The network is less sure than it is right: mean confidence 70.0%, accuracy 80.0%"),
    ],
)
def test_surer_than_right_only_beyond_the_interval(confidence: float, said: str) -> None:
    curve = CalibrationCurve(ece=0.05, confidence=confidence, accuracy=0.8, bins=())
    # 80 of 100: the 95 % interval of Wilson is 71.1 to 86.7 %.
    low, high = proportion_confint(80, 100, method="wilson")
    text = describe_calibration(curve, Share(0.8, low, high, 80, 100))
    assert text.startswith(said)
    assert "[71.1, 86.7], expected calibration error 5.0%" in text
