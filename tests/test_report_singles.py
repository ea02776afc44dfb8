"""Single channels and single images in the report: numbers against NumPy, pictures against the images."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Refuses, Run, Tiny
from PIL import Image
from synthetic import record_of_gates

import seviz
from seviz.analysis import view_channel
from seviz.analysis.channel_overview import channel_overview
from seviz.data.recorded import images_of
from seviz.data.sources import open_source
from seviz.errors import DataError, UsageError
from seviz.report.names import sentence
from seviz.report.thumbnails import MOST_BYTES, SIDE, make_thumbnails, small
from seviz.results.predictions import PredictionTable
from seviz.results.record import Record

IMAGES = 120


@pytest.fixture(scope="module")
def gates() -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.2, 0.8, (IMAGES, 5)), rng.uniform(0.2, 0.8, (IMAGES, 7))
    second[:, 3] = 0.9 - 0.5 * first[:, 2] + rng.normal(0, 0.01, IMAGES)
    second[:, 6] = 0.5  # never moves
    return [first, second]


@pytest.fixture(scope="module")
def record(gates: list[Any]) -> Record:
    rng = np.random.default_rng(1)
    positions = rng.permutation(1000)[:IMAGES]
    return record_of_gates(
        gates, np.repeat(np.arange(3), 40), ["ant", "bee", "cat"], indices=positions
    )


def test_an_overview_of_channels_is_what_is_said_of_each(record: Record) -> None:
    blocks = {b.name: range(b.channels) for b in record.blocks}
    found = channel_overview(record, blocks, [0, 1, 2])
    for name, one in found.items():
        kept = record.sample(name)
        assert kept is not None
        assert one.quartiles is not None
        for channel in one.channels.tolist():
            view = view_channel(record, f"{name}:{channel}")
            if not view.largest:  # it never moves: no image is at an end
                assert one.largest_gates[channel].max() == one.smallest_gates[channel].min()
                continue
            assert [f"image {p}" for p in one.largest[channel]] == [
                i.name for i in view.largest[:6]
            ]
            assert [f"image {p}" for p in one.smallest[channel]] == [
                i.name for i in view.smallest[:6]
            ]
            companions = [(c.block, c.channel) for c in view.companions[:6]]
            assert [(b, c) for b, c, _ in one.companions[channel]] == companions
            for row in range(3):
                expected = np.percentile(kept.gates[kept.rows == row, channel], (25, 50, 75))
                np.testing.assert_allclose(one.quartiles[:, row, channel], expected, rtol=1e-6)
    block, channel, r = found["SE_2_1"].companions[2][0]
    assert (block, channel) == ("SE_3_1", 3)
    assert r == pytest.approx(-1, abs=0.01)
    assert found["SE_3_1"].companions[6] == ()


def test_records_without_single_images_have_no_overview(gates: list[Any]) -> None:
    old = record_of_gates(gates, np.repeat(np.arange(3), 40), ["ant", "bee", "cat"])
    assert channel_overview(old, {"SE_2_1": range(5)}, [0, 1, 2]) == {}


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "F", "CMYK", "1"])
@pytest.mark.parametrize("size", [(8, 8), (640, 200)])
def test_pictures_are_small(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    if mode in ("I;16", "F"):
        image = Image.fromarray(
            (noise[..., 0] * 200.0).astype(np.uint16 if mode == "I;16" else np.float32)
        )
    else:
        image = Image.fromarray(noise).convert(mode)
    made = Image.open(io.BytesIO(small(image)))
    assert made.format == "JPEG"
    assert max(made.size) == min(SIDE, max(size))
    assert len(small(image)) <= MOST_BYTES  # noise is the worst there is


def test_no_picture_is_larger_than_is_said() -> None:
    """Black and white at random in every pixel: what JPEG is worst at."""
    noise = np.random.default_rng(0).integers(0, 2, (SIDE, SIDE)).astype(np.uint8) * 255
    assert len(small(Image.fromarray(noise))) <= MOST_BYTES


def test_half_of_the_pictures_are_of_confusions_and_half_of_channels(record: Record) -> None:
    positions = record.arrays["sample/index"].tolist()
    table = PredictionTable(
        ("ant", "bee", "cat"),
        true=np.array([0, 0, 0, 1, 1, 2, 2]),
        predicted=np.array([1, 1, 0, 2, 1, 2, 0]),
        confidence=np.array([0.6, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5]),
        paths=tuple("abcdefg"),
    )
    at = [2001, 2002, 2003, 2004, 2005, 2006, 2007]  # none of the sample
    made = make_thumbnails(
        record,
        10,
        image=lambda i: Image.new("RGB", (9, 9), (i % 256, 0, 0)),
        name=lambda i: f"/home/me/pictures/{i}.png",
        link=lambda i: f"pictures/{i}.png",
        predictions=table,
        positions=at,
    )
    assert made.confused == {
        ("ant", "bee"): (2002, 2001),
        ("bee", "cat"): (2004,),
        ("cat", "ant"): (2007,),
    }
    wrong = set(made.pictures) & set(at)
    assert wrong == {2001, 2002, 2004, 2007}
    assert len(made.pictures) == 10
    assert set(made.pictures) - wrong <= set(positions)
    said = made.page_data()
    assert said["2001"]["name"] == "2001.png"
    assert said["2001"]["href"] == "pictures/2001.png"
    shown = Image.open(io.BytesIO(base64.b64decode(said["2001"]["src"])))
    assert abs(int(np.asarray(shown.convert("RGB"))[4, 4, 0]) - 2001 % 256) < 8


def test_images_that_cannot_be_read_are_left_out(record: Record) -> None:
    def broken(position: int) -> Image.Image:
        raise OSError("cut off")

    assert not make_thumbnails(record, 5, image=broken, name=str).pictures


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    made: dict[str, Any] = json.loads(found[1])
    return made


@pytest.mark.usefixtures("no_figures")
def test_a_report_has_pictures_on_request_alone(
    run: Run, tiny: Tiny, pictures: Path, elsewhere: Path
) -> None:
    arguments = ("report", tiny.path, "--data", pictures, "-o", "out", "--formats", "svg")
    assert run(*arguments).code == 0
    assert "thumbs" not in data_of(elsewhere / "out/report.html")
    assert run(*arguments, "--thumbnails", "4").code == 0
    data = data_of(elsewhere / "out/report.html")
    with_pictures = {k: v for k, v in data["thumbs"].items() if "src" in v}
    assert 1 <= len(with_pictures) <= 4
    for said in with_pictures.values():
        assert (elsewhere / "out" / said["href"]).is_file()
        assert said["name"].endswith(Path(said["href"]).name)
    again = run("report", "out", "--thumbnails", "3", "--data", pictures, "-o", "again")
    assert again.code == 0
    data = data_of(elsewhere / "again/report.html")
    assert sum("src" in v for v in data["thumbs"].values()) == 3
    refused = run("report", "out", "--data", pictures)
    assert refused.code == 2
    assert "--thumbnails" in refused.err
    assert run("report", "out", "--thumbnails", "0").code == 2


def test_thumbnails_are_of_the_records_own_images(record: Record, refuses: Refuses) -> None:
    with refuses(DataError, "images of the record"):
        seviz.thumbnails(record, "digits")
    with refuses(UsageError, "at least 1"):
        seviz.thumbnails(record, "digits", 0)
    with refuses(DataError, "names"):
        seviz.thumbnails(record, [(np.zeros((1, 3, 8, 8)), [0])])


@pytest.mark.usefixtures("no_pictures")
def test_all_pairs_of_a_thousand_classes_are_in_the_file(tmp_path: Path) -> None:
    from synthetic import make_record, with_predictions

    large = with_predictions(make_record(((1, 16),), [f"class {i:04}" for i in range(1000)]))
    text = seviz.write_report(large, tmp_path).read_text(encoding="utf-8")
    packed = re.search(r'id="csv-pairs">(.*?)</script>', text)
    assert packed is not None
    lines = zlib.decompress(base64.b64decode(packed[1])).decode().splitlines()
    matrix = large.arrays["confusion"].copy()
    np.fill_diagonal(matrix, 0)
    assert len(lines) - 1 == np.count_nonzero(matrix) > 5000
    assert sum(int(line.split(",")[2]) for line in lines[1:]) == matrix.sum()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size: of norms", "Size: of norms."),
        ("SE has 4,032 parameters.", "SE has 4,032 parameters."),
        ("se_net.pt is small", "se_net.pt is small."),
        ("p: exact", "p: exact."),
        ("timm/x", "timm/x."),
        ("", ""),
    ],
)
def test_sentences_begin_with_capitals_and_names_as_they_are(text: str, expected: str) -> None:
    assert sentence(text) == expected


def test_images_of_the_same_name_in_another_order_are_refused(
    digits_record: Path, refuses: Refuses
) -> None:
    """Positions in a record would name the images of other classes."""
    record = Record.load(digits_record)
    digits = open_source("digits")
    positions, rows = record.arrays["sample/index"], record.arrays["sample/row"]
    assert images_of(record, digits) is digits
    order = np.argsort(digits.labels, kind="stable")
    assert not np.array_equal(digits.labels[order][positions], rows)
    sorted_by_class = replace(digits, labels=digits.labels[order])
    with refuses(DataError, "in its order"):
        seviz.thumbnails(record, sorted_by_class, 3)


def test_answers_for_other_images_are_refused(digits_record: Path, refuses: Refuses) -> None:
    answers = PredictionTable(("0", "1"), np.array([0]), np.array([1]), paths=("elsewhere/17.png",))
    with refuses(DataError, "elsewhere/17.png"):
        seviz.thumbnails(Record.load(digits_record), "digits", 3, predictions=answers)


def test_the_page_judges_what_others_say_as_findings_do(record: Record, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    seviz.write_report(record, page)
    text = html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
    found = seviz.findings(record)
    assert len(found.literature) == 3
    for one in (*found.statements, *found.literature):
        assert f"“{one.claim}”" in text
        assert one.reason in text
    assert "arXiv 2304.06345" in text
