"""``seviz activations``: the paper's figure, its numbers, and drawing again."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run, Said, Tiny
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import seviz
from seviz.results.files import SCHEMA_VERSION
from seviz.results.record import Record

SAMPLE = seviz.sample("se_resnet_digits")
MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Draw nothing; return what was asked to be drawn."""
    asked: list[dict[str, Any]] = []

    def note(record: Record, classes: Any, blocks: Any, **options: Any) -> Figure:
        names = {"classes": [c.name for c in classes], "blocks": [b.name for b in blocks]}
        asked.append({**names, **options})
        return Figure()

    for name in ("heat_map", "gate_curves", "ridges"):
        monkeypatch.setattr(f"seviz.figures.{name}", note)
    for name in ("depth", "network_map"):
        monkeypatch.setattr(f"seviz.figures.{name}", lambda found, **options: Figure())
    return asked


def made(
    folder: str,
    stem: str = "activations",
    formats: Sequence[str] = ("png", "svg"),
    others: Sequence[str] = ("depth",),
) -> list[str]:
    """Return the files of one drawing, the record apart; a redraw has no map of the network."""
    figures = [f"{name}.{kind}" for name in (stem, *others) for kind in formats]
    tables = [f"{stem}.csv", "findings.csv", "selective_channels.csv"]
    return sorted(f"{folder}/{name}" for name in (*figures, *tables))


def document(said: Said) -> dict[str, Any]:
    assert said.out.count("\n") == 1
    values: dict[str, Any] = json.loads(said.out)
    assert values["schema_version"] == SCHEMA_VERSION
    return values


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_from_checkpoint_to_figure(run: Run, elsewhere: Path) -> None:
    said = run("activations", SAMPLE, "--data", "digits", "--classes", "3", "8", "--json")
    assert said.code == 0
    values = document(said)
    folder = "reports/se_resnet_digits"
    drawn = made(folder, others=("depth", "network_map"))
    assert files(elsewhere) == sorted([*drawn, f"{folder}/record.npz"])
    assert values["record"] == f"{folder}/record.npz"
    names = [
        f"{n}.{kind}" for n in ("activations", "network_map", "depth") for kind in ("png", "svg")
    ]
    assert values["figures"] == [f"{folder}/{name}" for name in names]
    for figure in values["figures"]:
        content = Path(figure).read_bytes()
        assert content.startswith(MAGIC[Path(figure).suffix])
        assert len(content) > 5000
    assert values["images"] == 364
    assert values["classes"] == [str(d) for d in range(10)]
    assert values["skipped"] == []
    # Two blocks a stage: the last of stages 2 and 3, and all of stage 4.
    assert values["drawn"] == {
        "classes": ["3", "8"],
        "blocks": ["SE_2_2", "SE_3_2", "SE_4_1", "SE_4_2"],
    }
    assert len(values["blocks"]) == 6


def test_the_numbers_are_those_of_a_hook_and_numpy(run: Run) -> None:
    words = ["--classes", "3", "8", "--blocks", "SE_4_2", "--format", "svg"]
    assert run("activations", SAMPLE, "--data", "digits", *words, "-o", "out").code == 0
    net = seviz.load(SAMPLE)
    raw = load_digits()
    # Every fifth image of each class is a test image.
    test = np.concatenate([np.flatnonzero(raw.target == d)[::5] for d in range(10)])
    pixels = np.round(raw.images[test] * (255 / 16)) / 255
    pixels = (pixels - net.preprocessing.mean[0]) / net.preprocessing.std[0]
    kept: list[torch.Tensor] = []
    layer = net.model.get_submodule("layer3.1.se.fc")
    handle = layer.register_forward_hook(lambda m, a, out: kept.append(out))
    with torch.no_grad():
        net.model(torch.from_numpy(pixels[:, None]).float())
    handle.remove()
    gates = kept[0].double().numpy()
    own = {d: gates[raw.target[test] == int(d)] for d in "0123456789"}
    expected = {d: (own[d].mean(axis=0), own[d].std(axis=0), len(own[d])) for d in "38"}
    everything = np.mean([g.mean(axis=0) for g in own.values()], axis=0)
    expected["all"] = (everything, gates.std(axis=0), len(gates))
    table = rows("out/activations.csv")
    assert len(table) == 3 * gates.shape[1]
    for row in table:
        mean, std, count = expected[row["class"]]
        channel = int(row["channel"])
        assert row["block"] == "SE_4_2"
        assert float(row["mean"]) == pytest.approx(mean[channel], abs=1e-6)
        assert float(row["std"]) == pytest.approx(std[channel], abs=1e-5)
        assert int(row["count"]) == count


def test_drawing_again(run: Run, digits_record: Path, elsewhere: Path) -> None:
    """From the record alone, in its folder, for other classes; the record stays as it is."""
    shutil.copytree(digits_record, "mine")
    before = Path("mine/record.npz").read_bytes()
    words = ["--classes", "0", "7", "--blocks", "SE_2", "--format", "pdf", "svg"]
    said = run("activations", "mine", *words)
    assert (said.code, said.err) == (0, "")
    expected = [*made("mine", formats=("pdf", "svg")), "mine/record.npz"]
    assert files(elsewhere) == sorted(expected)
    lines = said.out.splitlines()
    assert lines[-5:] == [
        "wrote mine/activations.pdf .svg .csv",
        "wrote mine/depth.pdf .svg",
        "wrote mine/findings.csv",
        "wrote mine/selective_channels.csv",
        "record: mine/record.npz",
    ]
    # What was asked for, and no more: the table has the two blocks of the stage, nothing is judged.
    assert {x.split()[0] for x in lines if x.startswith("SE_")} == {"SE_2_1", "SE_2_2"}
    assert not any("SENet paper" in x for x in lines)
    assert len(lines) < 36
    assert Path("mine/record.npz").read_bytes() == before
    assert Path("mine/activations.pdf").read_bytes().startswith(MAGIC[".pdf"])
    table = rows("mine/activations.csv")
    assert {(r["block"], r["class"]) for r in table} == {
        (f"SE_2_{i}", c) for i in (1, 2) for c in ("0", "7", "all")
    }


def test_a_record_by_its_file(run: Run, digits_record: Path, elsewhere: Path, drawn: Any) -> None:
    said = run("activations", digits_record / "record.npz", "-o", "out", "--json")
    assert said.code == 0
    assert document(said)["record"] == str(digits_record / "record.npz")
    assert files(elsewhere) == made("out")


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"channels": "all", "classes": [str(d) for d in range(10)]}),
        (["--style", "heat", "--channels", "8"], {"channels": 8}),
        (["--style", "lines"], {"channels": 50, "spread": False, "classes": ["0", "2", "4", "6"]}),
        (["--style", "lines", "--channels", "all"], {"channels": "all"}),
        (["--spread"], {"channels": 50, "spread": True}),
        (["--style", "ridges"], {"channels": None, "classes": [str(d) for d in range(10)]}),
        (["--classes", "9", "0"], {"classes": ["9", "0"]}),
        (["--blocks", "SE_4", "SE_2_1"], {"blocks": ["SE_2_1", "SE_4_1", "SE_4_2"]}),
        (["--blocks", "all"], {"blocks": [f"SE_{s}_{i}" for s in (2, 3, 4) for i in (1, 2)]}),
        (["--blocks", "layer2.0.se"], {"blocks": ["SE_3_1"]}),
    ],
    ids=" ".join,
)
def test_what_is_drawn(
    run: Run,
    digits_record: Path,
    drawn: list[dict[str, Any]],
    elsewhere: Path,
    words: list[str],
    asked: Any,
) -> None:
    said = run("activations", digits_record, *words, "--format", "svg", "-o", "out", "--json")
    assert said.code == 0
    (got,) = drawn
    assert {k: got[k] for k in asked} == asked
    styles = {"--spread": "_spread", "lines": "_lines", "ridges": "_ridges"}
    stem = "activations" + next((end for word, end in styles.items() if word in words), "")
    assert files(elsewhere) == made("out", stem, ("svg",))
    values = document(said)
    assert values["figures"] == [f"out/{n}.svg" for n in (stem, "depth")]
    assert values["drawn"] == {k: got[k] for k in ("classes", "blocks")}


def test_every_block_has_its_rows(run: Run, digits_record: Path, drawn: Any) -> None:
    words = ["--blocks", "all", "--channels", "2", "--classes", "5", "--format", "svg"]
    assert run("activations", digits_record, *words, "-o", "out").code == 0
    # 16, 32 and 64 channels, two blocks each; the class and all of them.
    assert len(rows("out/activations.csv")) == 2 * 2 * (16 + 32 + 64)


def test_a_band_of_the_spread(run: Run, digits_record: Path) -> None:
    words = ["--blocks", "SE_4_2", "--classes", "1", "--format", "svg"]
    words = [*words, "--style", "lines"]
    assert run("activations", digits_record, *words, "-o", "out").code == 0
    assert run("activations", digits_record, *words, "--spread", "-o", "out").code == 0
    plain, band = (Path("out", f"activations{s}.svg").read_text() for s in ("_lines", "_spread"))
    assert "<path" in plain
    assert plain != band


def test_no_class_is_named(run: Run, digits_record: Path, drawn: list[dict[str, Any]]) -> None:
    assert run("activations", digits_record, "--classes", "--blocks", "-o", "out").code == 0
    (got,) = drawn
    assert len(got["classes"]) == 10


def test_heat_and_lines_beside_each_other(run: Run, digits_record: Path, drawn: Any) -> None:
    words = ("--style", "both", "--spread", "--format", "svg", "-o", "out", "--json")
    values = document(run("activations", digits_record, *words))
    assert values["figures"][:2] == ["out/activations.svg", "out/activations_spread.svg"]
    assert [len(got["classes"]) for got in drawn] == [10, 4]


def test_print_options_reach_the_figure(run: Run, digits_record: Path, drawn: Any) -> None:
    words = ("--width", "8.5", "--palette", "grey", "--rename", "3=three", "8=a = b", "--letters")
    more = ("--style", "lines", "--ylim", "0.2", "0.8", "--own-axes", "--font", "dejavu serif")
    assert run("activations", digits_record, *words, *more, "-o", "out").code == 0
    (look,) = [got["look"] for got in drawn]
    assert look.width == pytest.approx(8.5 / 2.54)
    assert (look.palette, look.letters, look.free, look.ylim) == ("gray", True, True, (0.2, 0.8))
    assert look.rename == {"3": "three", "8": "a = b"}
    assert look.font == "DejaVu Serif"


def test_unknown_names_are_refused_before_the_pass(run: Run) -> None:
    words = ("--data", "digits", "-o", "out", "--rename", "nosuch=foo")
    found = run("activations", SAMPLE, *words)
    assert found.code == 2
    assert "expected the names of classes to rename, found 'nosuch'" in found.err
    assert not Path("out/record.npz").exists()


def test_names_may_be_changed_about(run: Run, digits_record: Path, drawn: Any) -> None:
    assert run("activations", digits_record, "--rename", "3=8", "8=3", "-o", "out").code == 0
    assert drawn[0]["look"].rename == {"3": "8", "8": "3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--width", "wide"], "expected a width of 5 to 120 cm, or column or page, found 'wide'"),
        (["--font", "Nosuch Sans"], "expected a font of this machine, found 'Nosuch Sans'"),
        (["--palette", "blurple"], "found 'blurple'"),
        (
            ["--palette", "tab10"],
            "a continuous colour map of matplotlib or two colours, found tab10",
        ),
        (["--palette", "red", "lime", "blue", "--style", "both"], "found red lime blue"),
        (["--rename", "3"], "expected a new name as OLD=NEW, found '3'"),
        (["--rename", "nosuch=foo"], "expected the names of classes to rename, found 'nosuch'"),
        (["--rename", "3=x", "8=x"], "expected a name of its own for each class, found 'x' twice"),
        (["--rename", "3=8"], "found '8' twice"),
        (["--rename", "3=x", "3=y"], "expected one new name for '3', found x and y"),
        (["--ylim", "1", "0"], "the lower first, found 1.0 0.0"),
        (["--dpi", "9"], "expected 50 to 1,200 dots per inch, found 9"),
        (
            ["--style", "ridges", "--spread"],
            "expected lines for their spread, found the style ridges",
        ),
    ],
)
def test_looks_that_cannot_be(run: Run, digits_record: Path, words: list[str], said: str) -> None:
    found = run("activations", digits_record, *words, "-o", "out")
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1
    assert not Path("out").exists()


def test_what_another_choice_drew_is_not_lost_in_silence(run: Run, digits_record: Path) -> None:
    words = ("--blocks", "SE_2_1", "--format", "svg", "-o", "out")
    assert run("activations", digits_record, *words, "--classes", "3", "8").err == ""
    assert run("activations", digits_record, *words, "--classes", "3", "8").err == ""
    said = run("activations", digits_record, *words, "--classes", "1")
    assert said.err.startswith("note: out/activations.svg is drawn anew; it showed: Mean gate")
    assert "2 of 10 classes (" in said.err


def test_images_of_ones_own(run: Run, tiny: Tiny, pictures: Path, drawn: Any) -> None:
    said = run("activations", tiny.path, "--data", pictures, "--json", "-o", "out")
    assert said.code == 0
    values = document(said)
    assert values["classes"] == ["ant", "cat", "dog"]
    assert values["drawn"]["classes"] == ["ant", "cat", "dog"]
    assert values["missing"] == ["bee"]
    assert "note: no images of bee" in said.err


def test_quiet(run: Run, tiny: Tiny, pictures: Path, drawn: Any) -> None:
    said = run("activations", tiny.path, "--data", pictures, "-q")
    assert (said.code, said.err) == (0, "")


def test_a_failed_drawing_leaves_the_record(
    run: Run, digits_record: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass took an hour; the figure can be drawn again."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("seviz.figures.heat_map", fail)
    said = run("activations", SAMPLE, "--data", "digits", "--num-samples", "2", "-o", "out")
    assert said.code == 1
    assert files(elsewhere) == ["out/record.npz"]
    assert Record.load("out").header.images == 20
