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
FILES = ["compare.html", "compare.png", "compare.svg", "compare_blocks.csv", "compare_classes.csv"]


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
        (("RECORD", str(DIGITS)), 4, "found a record and a network without images; give --data"),
    ],
)
def test_refused(words, code, said, run, digits_record, elsewhere):
    found = run("compare", *(digits_record if w == "RECORD" else w for w in words), "-o", "out")
    assert found.code == code
    assert said in found.err
    assert not (elsewhere / "out").exists()


@pytest.mark.usefixtures("no_figures")
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


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Return checkpoints of four small networks that differ in their gates alone."""
    from seviz.networks.formats.own import save_checkpoint
    from seviz.results.preprocessing import Preprocessing

    folder = tmp_path_factory.mktemp("kinds")
    made = {}
    for kind in ("", "se_", "eca_", "cbam_"):
        torch.manual_seed(0)
        args = {"in_chans": 1, "widths": [4, 6, 8]}
        model = build(f"{kind}resnet14", **args)
        made[kind] = save_checkpoint(
            folder / f"{kind}net.pt",
            model,
            arch=f"{kind}resnet14",
            arch_args=args,
            classes=[str(i) for i in range(10)],
            preprocessing=Preprocessing(
                (1, 8, 8), (0.3,), (0.4,), crop_pct=1.0, origin="checkpoint"
            ),
        )
    return list(made.values())


@pytest.mark.nightly
def test_four_mechanisms_on_images(run, elsewhere, kinds):
    said = run("compare", *kinds, "--data", "digits", "-o", "out", "--format", "svg", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert [n["mechanism"] for n in found["networks"]] == ["none", "SE", "ECA", "CBAM"]
    assert [n["gates"] for n in found["networks"]] == [{}, {"se": 6}, {"eca": 6}, {"cbam": 6}]
    plain, *gated = found["networks"]
    for network in gated:
        assert network["gate_params"] == network["params"] - plain["params"] > 0
    assert found["paired"]
    assert len(found["pairs"]) == 6
    # Each of the three that have gates against each other; one row more where the chosen do not match.
    named = {(g["first"], g["second"]) for g in found["geometries"]}
    assert named == {("se_net", "eca_net"), ("se_net", "cbam_net"), ("eca_net", "cbam_net")}
    assert {row["block"].split("_")[0] for row in found["depth"]} == {"SE", "ECA", "CBAM"}
    written = {p.name for p in (elsewhere / "out").glob("*.*")}
    assert written == {
        "compare.html", "compare.svg", "compare_networks.csv", "compare_pairs.csv", "compare_depth.csv",
        "compare_geometry.csv",
    }  # fmt: skip
    with (elsewhere / "out" / "compare_pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["delta"]) for r in rows] == pytest.approx(
        [p["top1"]["delta"] for p in found["pairs"]]
    )
    records = [elsewhere / "out" / n for n in ("a_net", "b_se_net", "c_eca_net", "d_cbam_net")]
    again = run("compare", *records, "-o", "again", "--format", "svg")
    assert again.code == 0, again.err
    assert "score test" in again.out


@pytest.mark.usefixtures("no_figures")
def test_thresholds_of_several(run, elsewhere, kinds):
    words = ("compare", *kinds[:3], "--data", "digits", "-o", "out", "--format", "svg", "--json")
    said = run(*words, "--min-top1", "99")
    assert said.code == 1
    exceeded = json.loads(said.out)["exceeded"]
    assert [line.split(":")[0] for line in exceeded] == ["se_net", "eca_net"]


def test_four_mechanisms_cost_without_images(run, elsewhere, kinds):
    said = run("compare", *kinds)
    assert said.code == 0, said.err
    assert "6 ECA" in said.out
    assert not list(elsewhere.glob("reports/*/compare.svg"))
