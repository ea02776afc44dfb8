"""``seviz compare``: two checkpoints on images, two records, cost alone."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import seviz
from seviz.networks.architectures.registry import build

DIGITS = seviz.sample("se_resnet_digits")
FILES = ["compare.png", "compare.svg", "compare_blocks.csv", "compare_classes.csv"]


@pytest.fixture(scope="module")
def nudged(tmp_path_factory):
    """Return the digits network with slightly other weights in the last layer and the last block."""
    payload = torch.load(DIGITS, weights_only=True)
    torch.manual_seed(0)
    for name, tensor in payload["state_dict"].items():
        if name.startswith("fc") or ".se." in name:
            tensor.add_(0.1 * torch.randn_like(tensor))
    path = tmp_path_factory.mktemp("nudged") / "nudged.pt"
    torch.save(payload, path)
    return path


def labels_right(path, images, true):
    loaded = seviz.load(path)
    with torch.no_grad():
        return (loaded.model(images).argmax(1) == true).numpy()


def test_two_checkpoints_image_by_image(run, elsewhere, nudged):
    said = run("compare", DIGITS, nudged, "--data", "digits", "-o", "out", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    from seviz.collect.options import PassOptions
    from seviz.collect.prepare import prepare

    ready = prepare(seviz.load(DIGITS), "digits", PassOptions())
    batches = list(ready.batches())
    images = torch.cat([b.images for b in batches])
    true = torch.tensor(ready.targets)[torch.cat([b.rows for b in batches])]
    first, second = (labels_right(path, images, true) for path in (DIGITS, nudged))
    assert found["paired"]
    assert found["top1"]["lost"] == (first & ~second).sum()
    assert found["top1"]["won"] == (~first & second).sum()
    assert found["top1"]["before"] == pytest.approx(first.mean())
    params = sum(p.numel() for p in seviz.load(DIGITS).model.parameters())
    assert found["a"]["params"] == found["b"]["params"] == params
    assert [b["block"] for b in found["blocks"]] == [
        "SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2", "SE_4_1", "SE_4_2",
    ]  # fmt: skip
    assert sorted(p.name for p in (elsewhere / "out").glob("*.*")) == FILES
    assert len(found["per_class"]) == 10
    for folder in ("a_se_resnet_digits", "b_nudged"):
        assert (elsewhere / "out" / folder / "record.npz").is_file()
    with (elsewhere / "out" / "compare_classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["class"] for r in rows} == set("0123456789")
    assert sum(int(r["images"]) for r in rows) == 364


def test_the_table_of_the_notes(run, elsewhere):
    torch.save(build("resnet20").state_dict(), "plain.pt")
    torch.save(build("se_resnet20").state_dict(), "se.pt")
    said = run("compare", "plain.pt", "se.pt")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("network "))
    header, first, second, difference = lines[start : start + 4]
    # Of what is known of neither there is no column.
    assert header.split() == ["network", "parameters", "MACs", "paper's", "GFLOPs", "SE", "blocks"]
    params = [sum(p.numel() for p in build(n).parameters()) for n in ("resnet20", "se_resnet20")]
    assert f"{params[0]:,}" in first
    assert f"{params[1]:,}" in second
    assert f"{params[1] - params[0]:+,} ({params[1] / params[0] - 1:+.2%})" in difference
    assert "not known" in said.out


def test_records_need_no_torch_and_no_images(digits_record, elsewhere):
    code = (
        "import sys; from seviz.cli import main\n"
        f"code = main(['compare', {str(digits_record)!r}, {str(digits_record)!r}, '-o', 'out', '-q'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=elsewhere
    )
    assert result.stdout.splitlines()[-1] == "0 False"
    assert "(A)" in result.stdout
    assert "same top-1" in result.stdout
    assert (elsewhere / "out" / "compare.png").is_file()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("RECORD", "RECORD", "--data", "digits"), 2, "found it with two records"),
        (("RECORD", "RECORD", "--top", "0"), 2, "--top as at least 1"),
        (("RECORD", "RECORD", "--format", "gif"), 2, "--format as any of"),
        (("RECORD", "nothing.pt"), 3, "nothing.pt"),
    ],
)
def test_refused(words, code, said, run, digits_record, elsewhere):
    found = run("compare", *(digits_record if w == "RECORD" else w for w in words), "-o", "out")
    assert found.code == code
    assert said in found.err
    assert not (elsewhere / "out").exists()


def test_findings_side_by_side(run, elsewhere, digits_record, tmp_path):
    record = seviz.Record.load(digits_record)
    stuck = {}
    for name, array in record.arrays.items():
        stuck[name] = np.array(array)
        if "/SE_3_1/" in name or name == "sample/SE_3_1":
            n = record.count[:, None]
            half = {"sum": 0.5 * n, "sumsq": 0.25 * n, "minimum": 0.5, "maximum": 0.5}
            stuck[name][:] = half.get(name.rpartition("/")[2], 0.5 if "sample" in name else 0)
    other = replace(record, arrays=stuck).save(tmp_path / "stuck")
    said = run("compare", digits_record, other, "-o", "out")
    assert said.code == 0, said.err
    shares = {b.block: b.class_share for b in seviz.findings(record).blocks}
    rows = [line.split() for line in said.out.splitlines() if line.startswith("SE_4_2")]
    assert rows[-1][1] == f"{shares['SE_4_2'].value:.3f}"
    assert any(
        row[:3] == ["SE_2_1", "hardly", "moves"] for row in map(str.split, said.out.splitlines())
    )
    assert "deeper blocks are class-specific" in said.out
    assert "(B): all gates of SE_3_1 sit at 0.50" in " ".join(said.out.split())
    found = json.loads(run("compare", digits_record, other, "-o", "out", "--json").out)
    assert len(found["findings"]) == 2
    assert found["warnings"][0].partition(": ")[2].startswith("all gates of SE_3_1 sit at 0.50")


def test_python(digits_record):
    record = seviz.Record.load(digits_record)
    compared = seviz.compare(record, str(digits_record))
    assert compared.top1.delta == 0
    assert [b.correlation for b in compared.blocks] == pytest.approx([1.0] * 6)
