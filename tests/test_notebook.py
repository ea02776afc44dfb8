"""What a notebook shows: figures as pictures, results as small tables, nothing drawn twice."""

from __future__ import annotations

import inspect
import io
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from conftest import Tiny
from PIL import Image

import seviz
from seviz.analysis import Comparison, Scores, SeveralComparison, Shift, Track
from seviz.figures import comparison, cost, depth
from seviz.figures.shown import Figure
from seviz.gates import Found
from seviz.networks import LoadedModel
from seviz.report.folder import Written
from seviz.report.thumbnails import Thumbnails
from seviz.results.predictions import PredictionTable


@pytest.fixture(scope="module")
def network(tiny: Tiny) -> Any:
    return seviz.load(tiny.path)


@pytest.fixture(scope="module")
def record(network: Any, pictures: Path) -> seviz.Record:
    return seviz.collect(network, str(pictures), seviz.PassOptions(workers=0))


def formatter() -> Any:
    core = pytest.importorskip("IPython.core.interactiveshell")
    shell = core.InteractiveShell()
    # As a kernel has it; a terminal shows text alone.
    shell.display_formatter.active_types = list(shell.display_formatter.format_types)
    return shell.display_formatter


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_figure_shows_itself_without_a_backend(record: seviz.Record) -> None:
    assert mpl.get_backend().lower() == "agg"
    figure = seviz.activations(record, ["cat"])
    data, metadata = formatter().format(figure)
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert np.asarray(picture.convert("L")).min() < 128  # something is drawn
    assert metadata["image/png"]["width"] == round(96 * figure.get_figwidth())
    assert picture.width >= 1.4 * metadata["image/png"]["width"]


def test_every_figure_is_one(record: seviz.Record, network: Any, pictures: Path) -> None:
    audit, found = seviz.audit(network), seviz.findings(record)
    for figure in (
        seviz.activations(record),
        seviz.confusion(record),
        seviz.reliability_diagram(seviz.evaluate(record)),
        depth(found),
        cost.stage_bars(audit),
        cost.block_bars(audit),
        comparison(seviz.compare(record, record)),
    ):
        assert isinstance(figure, Figure)
        assert repr(figure).startswith("<Figure size ")


def test_a_figure_is_drawn_once_until_it_changes(
    record: seviz.Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = seviz.activations(record, ["cat"])
    drawn: list[int] = []
    save = Figure.savefig

    def counted(self: Figure, *args: Any, **kwargs: Any) -> None:
        drawn.append(1)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", counted)
    first = figure._repr_png_()[0]  # type: ignore[attr-defined]
    assert figure._repr_png_()[0] is first  # type: ignore[attr-defined]
    assert len(drawn) == 1
    figure.axes[0].set_title("another")
    assert figure._repr_png_()[0] != first  # type: ignore[attr-defined]
    assert len(drawn) == 2


def test_results_are_small_tables(record: seviz.Record, network: Any, pictures: Path) -> None:
    options = seviz.PassOptions(workers=0)
    ablation = seviz.ablate(network, str(pictures), options)
    results: dict[str, tuple[Any, str]] = {
        "findings": (seviz.findings(record), record.blocks[0].name),
        "scores": (seviz.scores(seviz.evaluate(record)), "ant"),
        "evaluation": (seviz.evaluate(record), "ant"),
        "audit": (seviz.audit(network), "parameters"),
        "ablation": (ablation, ablation.single[0].name),
        "comparison": (seviz.compare(record, record), "top-1"),
    }
    for name, (result, word) in results.items():
        html = result._repr_html_()
        assert html.startswith("<table"), name
        assert word.lower() in html.lower(), name
        assert html.count("<tr") <= 2 * 13, name


def test_networks_and_what_is_made_of_them_are_small_tables(
    network: Any, record: seviz.Record
) -> None:
    found = seviz.find(network.model, (3, 12, 12))
    folded = seviz.fold(network, [record.blocks[-1].name], record)
    block = record.blocks[-1]
    shown: list[tuple[Any, tuple[str, ...]]] = [
        (network, ("tiny.pt", f"{network.params:,}", "se_resnet14", "12x12")),
        (found, (block.name, block.path, str(block.channels))),
        (folded, (block.name, f"{folded.params_after:,} after")),
        (record, ("tiny.pt", "pictures", f"{record.header.images} of")),
    ]
    for result, words in shown:
        html, line = result._repr_html_(), repr(result)
        assert html.startswith("<table")
        assert html.count("<tr") <= 2 * 13
        for word in words:
            assert word in html, (line, word, html)
        assert "\n" not in line
        assert len(line) < 200
    nothing = seviz.find(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), (3, 8, 8))
    assert "no SE block" in nothing._repr_html_()
    assert repr(nothing) == "<Found 0 SE blocks>"


# What a notebook prints well by itself: a file's name, a network's layers, a dict of numbers, a list of rows
# (each one line; `tables_of` takes selective channels).
ELSEWHERE: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(
            Comparison,
            Figure,
            Found,
            LoadedModel,
            PredictionTable,
            Scores,
            SeveralComparison,
            Shift,
        ),
        *(Thumbnails, Track, Written),
    )
}
PLAIN = ("Path", "nn.Module", "dict[str, float]", "list[")


def test_every_public_function_returns_what_shows_itself() -> None:
    """Told by its annotation: a class of the module that it is from, or one that all have."""
    seen = set()
    for name in seviz.__all__:
        function = getattr(seviz, name)
        if isinstance(function, type):
            continue
        home = import_module(seviz._HOMES[name])
        function = vars(home).get(name, function)
        for kind in str(inspect.signature(function).return_annotation).split(" | "):
            if kind.startswith(PLAIN):
                continue
            made = vars(home).get(kind) or getattr(seviz, kind, None) or ELSEWHERE[kind]
            assert hasattr(made, "_repr_html_") or hasattr(made, "_repr_png_"), (name, kind)
            seen.add(kind)
    assert {"Record", "Audit", "Ablation", "Figure", "Findings", "Folded", "Results"} <= seen


def test_names_are_text_and_long_tables_end() -> None:
    from seviz.results.evaluation import Evaluation

    labels = ["<script>alert(1)</script>", *(f"c{n}" for n in range(40))]
    found = seviz.scores(Evaluation.of_record(_record(labels)))
    html = found._repr_html_()
    assert "<script>" not in html
    assert "and 29 more rows" in html


def _record(labels: list[str]) -> seviz.Record:
    from seviz.networks.architectures.registry import build

    x = torch.rand(41, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return seviz.collect(
        build("se_resnet14", num_classes=41), [(x, torch.arange(41))], classes=labels
    )
