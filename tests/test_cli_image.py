"""``seviz image``: text, files, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, Tiny

import seviz


@pytest.fixture(autouse=True)
def _nowhere(elsewhere: Path) -> None:
    pass


def test_one_picture_without_a_record(run: Run, tiny: Tiny, pictures: Path, tmp_path: Path) -> None:
    said = run("image", tiny.path, pictures / "cat" / "03.png", "-o", "out")
    assert said.code == 0, said.err
    found = seviz.explain_image(tiny.path, pictures / "cat" / "03.png")
    (image,) = found.images
    answer = f"03.png: {image.top[0].label} ({image.top[0].probability:.1%})"
    assert said.out.startswith(answer)
    assert "no record of this checkpoint: gates are measured against 1" in said.err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    blocks = {f"image_{b.block.name}.png" for b in image.blocks}
    assert names == {"image.html", "image.png", "image.csv", "image_channels.csv", *blocks}
    for block in image.blocks:
        assert f"{block.held['neutral'].kept:.1%}" in said.out


@pytest.mark.nightly
def test_the_record_of_the_checkpoint_is_found(
    run: Run, tiny: Tiny, pictures: Path, tmp_path: Path
) -> None:
    assert run("collect", tiny.path, "--data", pictures).code == 0
    words = ["image", tiny.path, "ant/00.png", "21", "--data", pictures, "--blocks", "SE_3_1"]
    said = run(*words, "--channels", "1", "--json", "-o", "out")
    assert said.code == 0, said.err
    assert "mean gates from reports/tiny/record.npz" in said.err
    document = json.loads(said.out)
    assert document["schema_version"] == 1
    assert document["recorded"] == 60
    assert [i["image"] for i in document["images"]] == ["ant/00.png", "cat/01.png"]
    record = seviz.Record.load("reports/tiny")
    (block,) = document["images"][0]["blocks"]
    assert block["reference"] == pytest.approx(record.stats("SE_3_1").sum.sum(0) / 60, rel=1e-6)
    assert len(block["up"]) == len(block["down"]) == 1
    assert {Path(f).name for f in document["files"]} == {p.name for p in Path("out").iterdir()}
    # Where the results go there is a record, too; one that is named comes first.
    named = run(*words, "--record", "reports/tiny", "-q")
    assert named.code == 0
    assert named.err == ""


def test_what_is_refused(run: Run, tiny: Tiny, pictures: Path, digits_record: Path) -> None:
    photo = pictures / "cat" / "03.png"
    for words, code, part in (
        (["image", tiny.path], 2, "IMAGE"),
        (["image", digits_record, photo], 2, "which holds no network"),
        (["image", tiny.path, photo, "--format", "gif"], 2, "found gif"),
        (["image", tiny.path, photo, "--channels", "0"], 2, "--channels"),
        (["image", tiny.path, "none.jpg"], 4, "nothing at none.jpg"),
        (["image", tiny.path, photo, "--record", digits_record], 4, "with other weights"),
        (["image", "none.pt", photo], 3, "none.pt"),
        (["image", tiny.path, photo, "--device", "cuda:99"], 5, "cuda:99"),
    ):
        said = run(*words)
        assert said.code == code, said.err
        assert part in said.err.splitlines()[-1]


def test_redrawing_needs_no_torch() -> None:
    code = "import sys, seviz.report.image, seviz.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
