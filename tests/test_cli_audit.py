"""``seviz audit`` as a user calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run, Tiny, at_night

import seviz

NAME = "timm:legacy_seresnet50"


@pytest.fixture
def document(run: Run, tmp_path: Path, no_network: None) -> dict[str, Any]:
    said = run("audit", NAME, "--json", "--sweep", 2, 4, 8, 16, 32, "-o", tmp_path)
    assert said.code == 0
    parsed: dict[str, Any] = json.loads(said.out)
    return parsed


@pytest.mark.usefixtures("no_figures")
def test_json_has_the_fixed_keys(document: dict[str, Any], tmp_path: Path) -> None:
    assert document["schema_version"] == 1
    params = document["params"]
    assert params == {
        "total": 28_088_024,
        "se": 2_530_992,
        "without_se": 25_557_032,
        "increase": 2_530_992 / 25_557_032,
    }
    macs = document["macs"]
    assert macs["total"] == 3_860_488_192
    assert macs["without_se"] == 3_857_973_248
    assert (macs["se_fc"], macs["se_squeeze"], macs["se_scale"]) == (
        2_514_944,
        5_519_360,
        5_519_360,
    )
    assert document["flops"]["total"] == 2 * macs["total"]
    paper = document["paper_gflops"]
    assert (paper["without_se"], paper["with_se"]) == (3.86, 3.87)
    sizes = {row["reduction"]: row for row in document["sweep"]}
    assert sizes[2]["params"] == 45_699_240
    assert [r for r, row in sizes.items() if not row["fits"]] == [8]
    assert len(document["blocks"]) == 16
    assert document["blocks"][-1]["name"] == "SE_5_3"
    assert round(document["stages"][-1]["share"], 3) == 0.625
    assert document["latency"] is None
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert saved == {k: v for k, v in document.items() if k != "files"}


def test_files(document: dict[str, Any], tmp_path: Path) -> None:
    names = {"audit.csv", "audit.json"}
    names |= {f"audit_{what}.{kind}" for what in ("stages", "blocks") for kind in ("png", "svg")}
    assert (
        {Path(f).name for f in document["files"]} == names == {p.name for p in tmp_path.iterdir()}
    )
    with (tmp_path / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(r["params"]) for r in rows) == 2_530_992
    assert sum(int(r["fc_macs"]) for r in rows) == 2_514_944


@pytest.mark.usefixtures("no_figures")
def test_text_names_the_convention_of_every_number(
    run: Run, tmp_path: Path, no_network: None
) -> None:
    said = run("audit", NAME, "--sweep", 2, 8, "-o", tmp_path)
    assert said.code == 0
    lines = said.out.splitlines()

    def line(start: str) -> str:
        plain = (" ".join(x.split()) for x in lines)
        return next(x for x in plain if x.startswith(start))

    assert line("parameters") == "parameters 28,088,024 25,557,032 2,530,992 +9.90%"
    assert line("MACs ") == "MACs 3,860,488,192 3,857,973,248 2,514,944 +0.07%"
    assert line("FLOPs, 2 x MACs").endswith("7,720,976,384 7,715,946,496 5,029,888 +0.07%")
    assert line("FLOPs, paper ").startswith("FLOPs, paper 3.87 G 3.86 G ")
    assert line("FLOPs, paper:").startswith("FLOPs, paper: arXiv 1709.01507, 1 MAC = 1")
    assert line("squeeze, additions").endswith("5,519,360")
    assert line("scale, multiplications").endswith("5,519,360")
    assert "62.5%" in line("5 ")
    # The map of a block is read twice and written once, its parameters are read once.
    assert line("bytes moved ").split()[4] == f"{12 * 5_519_360 + 4 * 2_530_992:,}"
    moved = [float(x.split()[-2]) for x in lines if x.startswith("SE_")]
    assert sum(moved) == pytest.approx(76.36, abs=0.09)
    assert line("2 45,699,240").endswith("45.7 45.8 45.7 without biases")
    assert line("8 30,603,912").endswith("30.6 30.7 30.7 with biases")
    assert (
        "(2/r) sum N C², r = 16: 2,514,944 weights; counted 2,530,992: +16,048 biases"
        in " ".join(said.out.split())
    )
    assert "without biases does not give the paper's for r = 8" in said.out
    assert "with biases does not give the paper's for r = 2" in said.out
    assert "not counted: nothing" in said.out


@pytest.mark.usefixtures("no_figures")
def test_conventions_side_by_side(run: Run, tmp_path: Path, no_network: None) -> None:
    words = ("--convention", "paper", "macs", "torch", "fvcore", "--json", "-o", tmp_path)
    said = run("audit", "timm:legacy_seresnet18", *words)
    names = [c["name"] for c in json.loads(said.out)["conventions"]]
    assert names == ["paper", "macs", "torch", "fvcore"]


@pytest.mark.usefixtures("no_figures")
def test_thresholds(run: Run, tmp_path: Path, no_network: None) -> None:
    kept = run(
        "audit", NAME, "--max-se-params-pct", 12, "--max-se-macs-pct", 1, "-o", tmp_path / "a"
    )
    assert (kept.code, kept.err) == (0, "")
    over = run("audit", NAME, "--max-se-params-pct", 9.9, "-o", tmp_path / "b")
    assert over.code == 1
    assert "9.903 % parameters, more than the 9.9 % allowed" in over.err
    assert "28,088,024" in over.out
    assert (tmp_path / "b" / "audit.json").exists()
    both = run("audit", NAME, "--max-se-macs-pct", 0.05, "--json", "-o", tmp_path / "c")
    assert both.code == 1
    assert len(json.loads(both.out)["exceeded"]) == 1


@pytest.mark.usefixtures("no_figures")
def test_insertion(run: Run, tmp_path: Path, no_network: None) -> None:
    said = run("audit", "torchvision:vgg16_bn", "--insert-se", "-o", tmp_path)
    assert said.code == 0
    assert "15.47 G" in said.out
    assert "15.48 G" in said.out
    assert "no batch norm in a plain chain" in said.out
    assert "inserted 13 SE blocks" in said.out
    words = ("--insert-se", "--reduction", 8, "--after", r"layer\d", "--json", "-o", tmp_path)
    said = run("audit", "torchvision:resnet18", *words)
    document = json.loads(said.out)
    assert document["inserted"] == ["layer1", "layer2", "layer3", "layer4"]
    assert {b["reduction"] for b in document["blocks"]} == {8}


@pytest.mark.usefixtures("no_figures")
def test_latency(run: Run, tmp_path: Path, tiny: Tiny) -> None:
    said = run(
        "audit", tiny.path, "--latency", "-b", 2, "--device", "cpu", "--json", "-o", tmp_path
    )
    assert said.code == 0
    latency = json.loads(said.out)["latency"]
    assert latency["with_se_ms"] > 0
    assert latency["without_se_ms"] > 0
    assert latency["ratio_low"] <= latency["ratio"] <= latency["ratio_high"]
    assert [r["batch"] for r in latency["runs"]] == [1, 2]
    assert "timing on cpu" in said.err
    said = run("audit", tiny.path, "--latency", "-b", 2, "--device", "cpu", "-o", tmp_path)
    assert "164 -> 167 ms" in said.out


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("kind", "begin"),
    [
        ("latex", "% Cost of SE in tiny.pt, input 3x12x12"),
        at_night(("markdown", "Cost of SE in tiny.pt")),
        at_night(("html", "<table>")),
        ("csv", "stage,blocks"),
    ],
)
def test_tables_alone_on_stdout(
    run: Run, tmp_path: Path, kind: str, begin: str, tiny: Tiny
) -> None:
    said = run("audit", tiny.path, "--format", kind, "-o", tmp_path)
    assert said.code == 0
    assert said.out.startswith(begin)
    assert "wrote" not in said.out


@pytest.mark.usefixtures("no_figures")
def test_a_checkpoint_file(run: Run, tmp_path: Path, tiny: Tiny) -> None:
    said = run("audit", tiny.path, "--json", "-o", tmp_path)
    document = json.loads(said.out)
    assert document["input_size"] == [3, 12, 12]
    assert document["params"]["total"] == sum(p.numel() for p in tiny.model.parameters())


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("torchvision:resnet18",), 3, ("expected SE blocks", "--insert-se")),
        ((NAME, "--insert-se"), 3, ("16 SE blocks", "leave --insert-se out")),
        ((NAME, "--reduction", 8), 2, ("--reduction with --insert-se",)),
        ((NAME, "--after", "x"), 2, ("--after with --insert-se",)),
        ((NAME, "-b", 8), 2, ("--batch-size with --latency",)),
        ((NAME, "--latency", "-b", 0), 2, ("--batch-size of at least 1",)),
        ((NAME, "--convention", "thop"), 2, ("expected --convention", "thop")),
        ((NAME, "--sweep", 0), 2, ("reduction ratios of at least 1",)),
        ((NAME, "--arch", "se_resnet20"), 2, ("--arch with a checkpoint file",)),
        (("timm:legacy_seresnet51",), 2, ("legacy_seresnet50",)),
        (("nothing.pt",), 3, ("nothing.pt",)),
    ],
)
def test_errors(
    run: Run,
    tmp_path: Path,
    no_network: None,
    words: tuple[object, ...],
    code: int,
    parts: tuple[str, ...],
) -> None:
    said = run("audit", *words, "-o", tmp_path)
    assert said.code == code, said.err
    assert said.err.count("\n") == 1
    for part in parts:
        assert part in said.err


def test_a_record_is_refused(run: Run, digits_record: Path, tmp_path: Path) -> None:
    said = run("audit", digits_record, "-o", tmp_path)
    assert said.code == 2
    assert "found the record" in said.err


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """Return a file of a network that nobody knows: SE-ResNet-50 under other names."""
    from seviz.networks.arch import build_architecture
    from seviz.networks.building import no_random_numbers

    with no_random_numbers():
        model = build_architecture(NAME, {})
    weights = {k.replace("conv", "c"): v.zero_() for k, v in model.state_dict().items()}
    torch.save(weights, tmp_path / "x.pt")
    return tmp_path / "x.pt"


@pytest.mark.usefixtures("no_figures")
def test_weights_without_a_network(run: Run, unknown: Path, tmp_path: Path) -> None:
    said = run("audit", unknown, "--json", "--sweep", 4, "-o", tmp_path / "out")
    assert said.code == 0
    parsed = json.loads(said.out)
    # As in the audit of the network itself, which the paper's authors published.
    assert parsed["params"]["total"] == 28_088_024
    assert parsed["params"]["se"] == 2_530_992
    assert parsed["macs"] is None
    assert parsed["sweep"][0]["params"] == 35_635_688
    assert len(parsed["blocks"]) == 16
    said = run("audit", unknown, "-o", tmp_path / "out")
    assert "28,088,024" in said.out
    assert "parameters only" in said.err
    assert run("audit", unknown, "--max-se-params-pct", 9, "-o", tmp_path / "out").code == 1


@pytest.mark.parametrize(
    "option",
    [
        ["--latency"],
        *map(at_night, (["--insert-se"], ["--convention", "macs"], ["--max-se-macs-pct", "1"])),
    ],
)
def test_operations_need_a_network(
    run: Run, unknown: Path, tmp_path: Path, option: list[str]
) -> None:
    said = run("audit", unknown, *option, "-o", tmp_path / "out")
    assert said.code == 3
    assert "tensors that fit none" in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("elsewhere")
def test_a_network_whose_blocks_are_all_folded_away(run: Run) -> None:
    digits = seviz.sample("se_resnet_digits")
    words = ["--data", "digits", "--blocks", "all", "--pairs", "1", "--no-export", "-o", "slim.pt"]
    said = run("fold", digits, *words)
    assert said.code == 0, said.err
    assert "of 1 pair no ratio can be said; give --pairs" in said.out
    said = run("audit", "slim.pt", "--max-se-params-pct", "0", "-o", "out")
    assert said.code == 0, said.err
    assert "SE has 0 of the network's 174,970 parameters" in said.out
    assert "SE by stage" not in said.out
    # se_resnet14(reduction=4) has 180,346, and 5,376 of SE; the shift that a constant gate leaves is none.
    assert 180_346 - 5_376 == 174_970
