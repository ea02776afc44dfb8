"""``seviz report`` and ``seviz demo`` as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, Tiny
from page_text import read

import seviz
from seviz.results.record import Record

MEGABYTE = 1e6

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.usefixtures("no_pictures")
def test_one_pass_makes_everything(run: Run, tiny: Tiny, pictures: Path, elsewhere: Path) -> None:
    said = run(
        "report", tiny.path, "--data", pictures, "--classes", "cat", "-o", "out", "--formats", "svg",
        "--json",
    )  # fmt: skip
    assert said.code == 0
    document = json.loads(said.out)
    assert document["bytes"] == Path(document["report"]).stat().st_size
    names = {p.name for p in (elsewhere / "out").iterdir()}
    assert {"report.html", "record.npz", "audit.json", "audit.csv", "activations.svg"} <= names
    assert {
        "activations_spread.svg",
        "confusion.svg",
        "confusion.csv",
        "reliability.svg",
    } <= names
    assert not any(n.endswith(".png") for n in names)
    assert {Path(f).name for f in (*document["figures"], *document["csv"])} <= names
    text = (elsewhere / "out" / "report.html").read_text(encoding="utf-8")
    assert str(elsewhere) not in text
    assert str(pictures.parent) not in text
    first = (elsewhere / "out" / "report.html").read_bytes()
    again = run("report", "out", "--classes", "cat")
    assert again.code == 0
    assert (elsewhere / "out" / "report.html").read_bytes() == first


def test_from_a_record_without_torch(digits_record: Path, elsewhere: Path) -> None:
    code = (
        "import sys; from seviz.cli import main; import seviz.report.build as build; "
        "build.pictures = lambda inputs: {}; "
        f"code = main(['report', {str(digits_record)!r}, '-o', 'again', '-q']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=elsewhere)
    assert (elsewhere / "again" / "report.html").exists()


@pytest.mark.usefixtures("no_figures")
def test_networks_without_se_get_one_too(run: Run, elsewhere: Path) -> None:
    from seviz.networks import save_checkpoint
    from seviz.networks.architectures.registry import build

    model = build("resnet20", num_classes=10, in_chans=1)
    plain = save_checkpoint(
        elsewhere / "plain.pt",
        model,
        arch="resnet20",
        arch_args={"in_chans": 1},
        classes=[str(i) for i in range(10)],
        preprocessing=seviz.Preprocessing((1, 8, 8), (0.3,), (0.4,), "bilinear", 1.0),
    )
    said = run("report", plain, "--data", "digits", "-o", "out", "-q")
    assert said.code == 0
    words, _ = read(elsewhere / "out" / "report.html")
    assert "no Squeeze-and-Excitation block" in words
    assert "This network has no SE. With 9 SE blocks put into it" in words


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("SAMPLE",), 2, "--data"),
        (("RECORD", "--data", "digits"), 2, "expected --data with a checkpoint"),
        (("RECORD", "--classes", "eleven"), 2, "eleven"),
        (("RECORD", "--formats", "gif"), 2, "gif"),
        (("SAMPLE", "--data", "digits", "--classes", "eleven"), 2, "eleven"),
    ],
)
def test_refusals(
    run: Run, digits_record: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    places = {"SAMPLE": str(seviz.sample("se_resnet_digits")), "RECORD": str(digits_record)}
    said = run("report", *(places.get(w, w) for w in words), "-o", "out")
    assert said.code == code
    assert part in said.err
    assert not Path("out/report.html").exists()


@pytest.mark.nightly
def test_demo(run: Run, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    said = run("demo", "--json", "-q")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    assert document["report"] == "reports/demo/report.html"
    report = elsewhere / "reports" / "demo" / "report.html"
    assert document["bytes"] == report.stat().st_size <= 3 * MEGABYTE
    magic = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml"}
    for figure in document["figures"]:
        assert Path(figure).read_bytes().startswith(magic[Path(figure).suffix])
    assert {"activations.png", "activations_spread.svg"} <= {
        Path(f).name for f in document["figures"]
    }
    assert Path("reports/demo/activations_spread.svg").stat().st_size > 10_000
    words, _ = read(report)
    assert "99.18%" in words
    assert shown == []


@pytest.mark.parametrize("wanted", [True, False])
def test_the_demo_opens_for_a_person(
    run: Run, monkeypatch: pytest.MonkeyPatch, elsewhere: Path, wanted: bool
) -> None:
    from seviz.cli import report as reporting

    shown: list[str] = []
    made = reporting.Made(elsewhere / "report.html", elsewhere / "record.npz", False)
    made.report.write_text("")
    monkeypatch.setattr("webbrowser.open", shown.append)
    monkeypatch.setattr(reporting, "make", lambda *args: made)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    said = run("demo", "-o", "out", "-q", *(() if wanted else ("--no-open",)))
    assert said.code == 0
    # Its size may stand on the next line of a terminal.
    assert any(line.startswith(f"report: {made.report}") for line in said.out.splitlines()[-2:])
    assert shown == ([made.report.as_uri()] if wanted else [])


@pytest.mark.usefixtures("no_figures")
def test_an_interrupted_pass_is_marked(
    run: Run, monkeypatch: pytest.MonkeyPatch, digits_record: Path, elsewhere: Path
) -> None:
    record = Record.load(digits_record)
    reached = record.count * (np.arange(10) < 3)
    arrays = {
        name: array
        if name == "count" or array.ndim == 0
        else np.where(
            (reached > 0).reshape(-1, *[1] * (array.ndim - 1)), array, np.zeros_like(array)
        )
        for name, array in record.arrays.items()
        if not name.startswith("sample/")
    }
    for name, end in (("minimum", np.inf), ("maximum", -np.inf)):  # of no image
        for block in record.blocks:
            arrays[f"gates/{block.name}/{name}"][reached == 0] = end
    header = replace(record.header, partial=True, images=int(reached.sum()))
    partial = replace(record, header=header, arrays={**arrays, "count": reached})
    monkeypatch.setattr("seviz.collect.run.execute", lambda *args, **kwargs: partial)
    said = run("demo", "--json")
    assert said.code == 130
    assert json.loads(said.out)["partial"] is True
    words, _ = read(elsewhere / "reports" / "demo" / "report.html")
    assert f"interrupted after {reached.sum()} images" in words
    assert "the pass ended before there were images of 4, 7" in words
