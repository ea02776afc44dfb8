"""A network over its training: order of epochs, logs, numbers against NumPy, and what is drawn."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from synthetic import record_of_gates
from torch.nn import functional as F

import seviz
from seviz.analysis.class_share import variance_parts
from seviz.analysis.findings.estimates import Drawn
from seviz.analysis.findings.stripes import between_channels
from seviz.analysis.tracking import Track, track_of
from seviz.errors import DataError, UsageError
from seviz.figures import save_figure, stripes_figure, track_figure
from seviz.figures.captions import caption
from seviz.networks import save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.stats import BlockStats
from seviz.results.tracking import Moment, epochs_of, read_log, series
from seviz.tables import render, tables_of

EPOCHS = (0, 2, 10)


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small SE network on handwritten digits; return the folder of its checkpoints and its log."""
    from seviz.data.builtin import digits

    folder = tmp_path_factory.mktemp("training")
    names, splits = digits()
    prep = seviz.load(seviz.sample("se_resnet_digits")).preprocessing
    pixels, labels = splits["train"]
    x = (torch.tensor(pixels)[:, None].float() / 255 - prep.mean[0]) / prep.std[0]
    y = torch.tensor(labels)
    args: dict[str, Any] = {"in_chans": 1, "reduction": 4, "widths": (8, 8, 16)}
    torch.manual_seed(0)
    net = build("se_resnet14", num_classes=10, **args)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    rows = []
    for epoch in EPOCHS:
        net.train()
        for part in torch.randperm(len(x)).split(32) if epoch else ():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[part]), y[part])
            loss.backward()
            optimizer.step()
            rows.append((epoch, loss.item(), ""))
        net.eval()
        save_checkpoint(
            folder / f"epoch_{epoch}.pt",
            net,
            arch="se_resnet14",
            arch_args=args,
            classes=names,
            preprocessing=prep,
        )
        rows.append((epoch, "", 50.0 + epoch))
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "train_loss", "val_acc"), *rows])
    return folder


@pytest.fixture(scope="session")
def followed(training: Path) -> Track:
    return seviz.track(
        sorted(training.glob("*.pt")),
        "digits",
        log=training / "log.csv",
        folder=training / "records",
    )


# Order


@pytest.mark.parametrize(
    ("paths", "epochs"),
    [
        (["epoch_1.pt", "epoch_10.pt", "epoch_2.pt"], [1, 10, 2]),
        (["epoch=3-step=400.ckpt", "epoch=12-step=90-v1.ckpt"], [3, 12]),
        (["se_resnet50_ep07.pth.tar", "se_resnet50_ep11.pth.tar"], [7, 11]),
        (["checkpoint-500/model.safetensors", "checkpoint-80/model.safetensors"], [500, 80]),
        (["step_2_final_9.pt", "step_2_final_8.pt"], [9, 8]),
        (["runs/3/record.npz", "runs/1/record.npz"], [3, 1]),
        (["records/e_3", "records/e_1"], [3, 1]),
        (["start.pt", "end.pt"], [1, 2]),
        (["only/record.npz"], [1]),
    ],
)
def test_epochs_are_read_off_names(paths: list[str], epochs: list[int]) -> None:
    assert [epoch for _, epoch in epochs_of(paths)] == epochs


@pytest.mark.parametrize(
    ("paths", "part"),
    [
        (["a/epoch_1.pt", "a/epoch_1.pt"], "twice"),
        (["epoch_1_a.pt", "epoch_1_b.pt"], "both of epoch 1"),
        (["e10.pt", "e2.pt", "init.pt"], "found none in 'init'"),
        (["epoch_3.pt", "best.pt"], "found none in 'best'"),
    ],
)
def test_two_of_an_epoch(paths: list[str], part: str, refuses: Refuses) -> None:
    with refuses(UsageError, part):
        epochs_of(paths)


# Logs


def test_the_last_number_of_an_epoch_counts(training: Path) -> None:
    log = read_log(training / "log.csv")
    assert log.epochs == EPOCHS
    with (training / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    last = [float(r["train_loss"]) for r in rows if r["epoch"] == "10" and r["train_loss"]][-1]
    assert log.columns["train_loss"][2] == last
    assert np.isnan(log.columns["train_loss"][0])
    assert log.accuracies["val_acc"] == (0.5, 0.52, 0.6)  # percentages are shares
    assert list(log.losses) == ["train_loss"]


@pytest.mark.parametrize(
    "text",
    [
        "Epoch;loss;acc\n1;0.5;0.25\n2;0.25;0.5\n",
        "\ufeffstep,epoch,loss,acc,note\n7,1,0.5,0.25,a\n8,2,0.25,0.5,b\n",
        "epoch\tloss\tacc\n2\t0.25\t0.5\n1\t0.5\t0.25\n",
    ],
)
def test_logs_of_several_makers(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    log = read_log(tmp_path / "log.csv")
    assert log.epochs == (1, 2)
    assert log.losses == {"loss": (0.5, 0.25)}
    assert log.accuracies == {"acc": (0.25, 0.5)}


def test_a_log_is_read_as_other_readers_read_it(tmp_path: Path) -> None:
    """Python's own numbers have underscores, and its own lines end in more than line feeds."""
    text = "epoch,loss,note\n1,1_5,a\x0bb\n2,0.5,\u0664\n3,0.25,c\u2028d\n"
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    log = read_log(tmp_path / "log.csv")
    assert log.epochs == (1, 2, 3)
    assert list(log.columns) == ["loss"]
    assert log.columns["loss"][1:] == (0.5, 0.25)
    assert np.isnan(log.columns["loss"][0])


HOSTILE = ("\x1b[2J\nloss", "_loss", "$\\frac{loss", "loss" + "x" * 5000, "acc\u202e$")
SHOWN = ("\\x1b[2J\\nloss", "_loss", "$\\frac{loss", f"loss{36 * 'x'}…{39 * 'x'}", "acc\\u202e$")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a log whose names no terminal and no legend should obey, with numbers that no axis has."""
    rows = [
        ("epoch", *HOSTILE),
        (0, 0.5, 1, 2, 3, 0.5),
        (2, "1e308", "nan", "inf", "-1e308", "1e400"),
        (10, 0.25, "", "1e99", "5e-324", 0.75),
        ("1e300", 1, 1, 1, 1, 1),
    ]
    with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "log.csv"


def test_names_of_a_log_are_text_and_its_numbers_finite(
    hostile: Path, followed: Track, tmp_path: Path
) -> None:
    log = read_log(hostile)
    assert log.epochs == (0, 2, 10)
    assert tuple(log.columns) == SHOWN
    assert [v for values in log.columns.values() for v in values if np.isfinite(v)] == [
        *(0.5, 0.25, 1, 2, 1e99, 3, 5e-324, 0.5, 0.75)
    ]
    assert log.notes == (
        "note: left out 6 numbers of log.csv, in the column \\x1b[2J\\nloss and 5 more: not finite, or "
        "beyond any loss",
    )
    track = replace(followed, log=log)
    figure = track_figure(track)
    loss, accuracy = figure.axes[:2]
    named = [text.get_text() for text in loss.get_legend().get_texts()]
    assert named[:3] == list(SHOWN[:3])
    assert re.fullmatch("lossx+…x+", named[3])
    assert [t.get_text() for t in accuracy.get_legend().get_texts()] == [
        "of these images",
        SHOWN[4],
    ]
    ElementTree.parse(save_figure(figure, tmp_path / "f", ["png", "svg"])[1])
    for kind in ("text", "csv", "html", "latex", "markdown"):
        for table in tables_of(track).values():
            assert not re.search("[\x00-\x08\x0e-\x1f\u202e]", render(table, kind))


def test_a_log_of_many_columns_has_lines_for_the_first(followed: Track, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    names = [f"loss {i}" for i in range(150)]
    path.write_text(f"epoch,{','.join(names)}\n" + "".join(f"{e}{150 * ',1'}\n" for e in EPOCHS))
    figure = track_figure(replace(followed, log=read_log(path)))
    assert len(figure.axes[0].get_lines()) == 6
    assert "144 more columns of the log are in the table." in caption(figure)


@pytest.mark.usefixtures("elsewhere")
def test_what_is_left_out_of_a_log_is_said(
    training: Path, followed: Track, hostile: Path, run: Run
) -> None:
    records = [training / "records" / f"epoch_{e}" for e in EPOCHS]
    said = run("track", *records, "--log", hostile, "-o", "out", "--formats", "svg")
    assert said.code == 0, said.err
    assert "left out 6 numbers of log.csv" in said.err
    assert not re.search("[\x00-\x08\x0e-\x1f\u202e]", said.out + said.err)
    assert "Warning" not in said.err


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"", b"epoch,loss\n,1\n", b"\xff\xfe\xfa", b"epoch,loss,loss\n1,2,3\n"],
)
def test_what_is_no_log(tmp_path: Path, refuses: Refuses, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with refuses(DataError, "log.csv"):
        read_log(tmp_path / "log.csv")
    with refuses(DataError, "No such file"):
        read_log(tmp_path / "nothing.csv")


# Numbers


def stats_of(gates: np.ndarray, rows: np.ndarray) -> BlockStats:
    classes = [gates[rows == k] for k in range(rows.max() + 1)]
    return BlockStats(
        np.array([len(g) for g in classes]),
        *(np.stack([(g**power).sum(0) for g in classes]) for power in (1, 2)),
        *(np.stack([reduce(g, 0) for g in classes]) for reduce in (np.min, np.max)),
        *(np.stack([keep(g).sum(0) for g in classes]) for keep in (lambda g: g < 0.05, lambda g: g > 0.95)),
    )  # fmt: skip


def share(gates: np.ndarray) -> float:
    """Return the same from NumPy's variances: of all entries, that of the column means."""
    return float(gates.mean(0).var() / gates.var())


def test_variance_between_channels() -> None:
    rng = np.random.default_rng(0)
    stripes = np.tile([0.2, 0.5, 0.9], (8, 1))
    rows = np.repeat([0, 1], 4)
    found = between_channels(variance_parts(stats_of(stripes, rows)))
    assert found is not None
    assert found.value == pytest.approx(1)
    alike = np.repeat(rng.random((8, 1)), 3, axis=1)  # every channel the same
    found = between_channels(variance_parts(stats_of(alike, rows)))
    assert found is not None
    assert found.value == pytest.approx(0, abs=1e-12)
    assert between_channels(variance_parts(stats_of(np.full((8, 3), 0.5), rows))) is None
    gates = rng.random((8, 3))
    found = between_channels(variance_parts(stats_of(gates, rows)))
    assert found is not None
    assert found.value == pytest.approx(share(gates), rel=1e-12)


def test_its_interval_is_that_of_the_bootstrap() -> None:
    """Images drawn again within their classes, as `Drawn` says."""
    rng = np.random.default_rng(1)
    rows = np.repeat([0, 1, 2], [60, 90, 150])
    centres = rng.random((3, 12))
    gates = centres[rows] + 0.2 * rng.standard_normal((300, 12)) + 0.1 * rng.random((300, 1))
    stats = stats_of(gates, rows)
    drawn = Drawn.of(rows, stats.count)
    assert drawn is not None
    found = between_channels(variance_parts(stats), drawn, gates)
    assert found is not None
    own = [gates[rows == k] for k in range(3)]
    again = [
        share(np.concatenate([g[rng.integers(0, len(g), len(g))] for g in own]))
        for _ in range(2000)
    ]
    assert found.high is not None
    assert (found.high - found.value) / 1.96 == pytest.approx(np.std(again), rel=0.08)


def test_numbers_are_those_of_own_hooks(training: Path, followed: Track) -> None:
    assert followed.epochs == list(EPOCHS)
    loaded = seviz.load(training / "epoch_10.pt")
    net, prep = loaded.model, loaded.preprocessing
    caught: list[torch.Tensor] = []
    handles = [
        m.register_forward_hook(lambda m, i, o: caught.append(o.flatten(1)))
        for m in net.modules()
        if isinstance(m, torch.nn.Sigmoid)
    ]
    from seviz.data.builtin import digits

    pixels, labels = digits()[1]["test"]
    with torch.no_grad():
        out = net((torch.tensor(pixels)[:, None].float() / 255 - prep.mean[0]) / prep.std[0])
    for handle in handles:
        handle.remove()
    right = (out.argmax(1).numpy() == labels).mean()
    last = followed.top1[-1]
    assert last is not None
    assert last.value == pytest.approx(right)
    assert last.value > 0.9
    for name, gates in zip(followed.names, caught, strict=True):
        found, own = followed.of(name)[-1], gates.double().numpy()
        assert found.epoch == 10
        assert found.mean == pytest.approx(own.mean(), rel=1e-5)
        assert found.spread.value == pytest.approx(own.std(0).mean(), rel=1e-4)
        assert found.between_channels is not None
        assert found.between_channels.value == pytest.approx(share(own), rel=1e-4)
        beyond = ((own > 0.95) | (own < 0.05)).mean()
        assert found.saturated.value == pytest.approx(beyond, abs=1e-9)
        assert found.dead is not None
        assert found.dead.value == (own.std(0) < 0.01).sum()
        for estimate in (found.spread, found.between_channels):
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.low < estimate.value < estimate.high


def test_no_gate_at_the_ends_has_an_interval_as_in_the_findings() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    gates = rng.uniform(0.3, 0.7, (40, 5)).astype(np.float32)
    record = record_of_gates([gates], labels, "abcd", indices=np.arange(40))
    (found,) = track_of([Moment("net", 1, record)]).blocks
    assert found.saturated.value == 0
    # The rule of three: of 40 images none, so surely (at 95 %) less than 7.2 % have one.
    assert (found.saturated.low, found.saturated.high) == (0, pytest.approx(1 - 0.05 ** (1 / 40)))
    assert found.saturated.high == seviz.findings(record).blocks[0].high.high


def test_what_is_no_series(training: Path, followed: Track, refuses: Refuses) -> None:
    network = seviz.load(training / "epoch_2.pt")
    fewer = seviz.collect(network, "digits", seviz.PassOptions(num_samples=2))
    own = followed.moments[0].record()
    with refuses(DataError, "number of images"):
        series([own, fewer])
    one_block = seviz.collect(network, "digits", seviz.PassOptions(blocks=("SE_2",)))
    with refuses(DataError, "different blocks"):
        series([own, one_block])
    with refuses(UsageError, "expected images"):
        seviz.track([training / "epoch_2.pt"])
    with refuses(UsageError, "found none"):
        series([])


# Tables and figures


def test_tables(followed: Track) -> None:
    tables = tables_of(followed)
    assert list(tables) == ["track_epochs", "track_changes", "track"]
    rows = tables["track"].records()
    assert len(rows) == len(EPOCHS) * len(followed.names)
    assert {"spread_low", "class_share_high", "between_channels"} <= set(rows[0])
    epochs = tables["track_epochs"].records()
    assert [r["epoch"] for r in epochs] == list(EPOCHS)
    assert [r["log_val_acc"] for r in epochs] == [50, 52, 60]
    assert epochs[0]["log_train_loss"] is None
    own = [r["spread"] for r in rows if r["epoch"] == 2]
    assert epochs[1]["spread"] == pytest.approx(np.mean(own))
    for kind in ("text", "csv", "html", "latex", "markdown"):
        assert all(render(table, kind) for table in tables.values())
    assert "<table" in followed._repr_html_()


def test_the_figure_has_a_panel_for_each_number(followed: Track) -> None:
    panels = track_figure(followed).axes
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles[:4] == ["loss, of the log", "top-1", "spread over images", "class share"]
    assert len(titles) == 7
    spread = panels[2].get_lines()
    for line, name in zip(spread, followed.names, strict=True):
        assert list(line.get_xdata()) == list(EPOCHS)
        assert list(line.get_ydata()) == [b.spread.value for b in followed.of(name)]
    logged = {str(line.get_label()): line for line in panels[1].get_lines()}
    assert list(logged["val_acc"].get_ydata()) == [0.5, 0.52, 0.6]
    alone = track_figure(Track(followed.moments[:1], followed.top1[:1], followed.blocks[:6], 364))
    assert len(alone.axes) == 6


def test_stripes_are_the_gates_of_single_images(followed: Track) -> None:
    figure = stripes_figure(followed, [10, 0], ["SE_4_2"])
    assert figure is not None
    first, second = (panel for panel in figure.axes if panel.images)
    assert first.get_title().startswith("epoch 10\n")
    assert second.get_title().startswith("epoch 0\n")
    shown = np.asarray(first.images[0].get_array())
    record = followed.moments[2].record()
    sample = record.sample("SE_4_2")
    assert sample is not None
    gates = sample.gates[: len(shown)].astype(np.float32)
    order = np.lexsort((record.arrays["sample/index"][: len(shown)], sample.rows[: len(shown)]))
    assert (shown == gates[order]).all()
    with pytest.raises(UsageError):
        stripes_figure(followed, [3])
    with pytest.raises(UsageError):
        stripes_figure(followed, blocks=["SE_9"])


# The command line


@pytest.mark.usefixtures("elsewhere")
def test_the_command(training: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(training.glob("*.pt"))
    said = run(
        "track", *files, "--data", "digits", "--log", training / "log.csv", "-o", "out", "--json"
    )
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    assert [e["epoch"] for e in shown["epochs"]] == list(EPOCHS)
    assert {Path(f).name for f in shown["figures"]} == {
        f"{stem}.{kind}" for stem in ("track", "track_stripes") for kind in ("png", "svg")
    }
    assert all(Path(f).is_file() for f in (*shown["figures"], *shown["csv"]))
    assert [Path(e["record"]).parent.name for e in shown["epochs"]] == [
        f"epoch_{e}" for e in EPOCHS
    ]
    assert len(shown["blocks"]) == 18

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("collected again")

    # One more checkpoint costs one more pass, and nothing is collected twice.
    monkeypatch.setattr("seviz.collect.run.execute", forbidden)
    again = run("track", *files, "--data", "digits", "-o", "out", "--formats", "svg")
    assert again.code == 0, again.err
    assert "The network over 3 epochs" in again.out
    assert "log" not in Path("out/track_epochs.csv").read_text()
    # From the records: without images, without networks.
    with monkeypatch.context() as patch:
        patch.setattr("seviz.figures.catalogue.FIGURES", ())
        for words in ((*files, "-o", "out"), ("out/epoch_0", "out/epoch_10", "-o", "two")):
            assert run("track", *words).code == 0
    said = run("track", *files, "--data", "digits", "-o", "out", "--epochs", "3")
    assert said.code == 2
    assert "found 3" in said.err


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("nothing_1.pt",), 3, "found nothing"),
        ((), 2, "CKPT"),
        (("sample", "sample"), 2, "twice"),
        (("sample",), 2, "expected --data"),
        (("sample", "--data", "digits", "--log", "no.csv"), 4, "no.csv"),
    ],
)
def test_what_cannot_be_followed(run: Run, words: tuple[str, ...], code: int, part: str) -> None:
    sample = str(seviz.sample("se_resnet_digits"))
    said = run("track", *(sample if word == "sample" else word for word in words))
    assert said.code == code
    assert part in said.err
    assert said.err.count("\n") == 1


@pytest.mark.usefixtures("no_figures")
@pytest.mark.usefixtures("elsewhere")
def test_an_interrupted_series_goes_on(
    training: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seviz.collect.run as passes

    files = sorted(training.glob("*.pt"))
    made, real = [], passes.execute

    def once(*args: Any, **kwargs: Any) -> Any:
        if made:
            raise KeyboardInterrupt
        made.append(real(*args, **kwargs))
        return made[0]

    monkeypatch.setattr(passes, "execute", once)
    assert run("track", *files, "--data", "digits", "-o", "out").code == 130
    monkeypatch.setattr(passes, "execute", lambda *a, **k: made.append(0) or real(*a, **k))
    assert run("track", *files, "--data", "digits", "-o", "out", "--formats", "svg").code == 0
    assert len(made) == 3


def test_one_checkpoint_has_one_column_for_each_number(followed: Track) -> None:
    from seviz.tables.tracking import changes_table

    first = followed.moments[0]
    blocks = tuple(b for b in followed.blocks if b.epoch == first.epoch)
    table = changes_table(
        replace(followed, moments=(first,), top1=followed.top1[:1], blocks=blocks)
    )
    keys = [c.key for c in table.columns]
    assert not [k for k in keys if k.endswith("_last")]
    assert len([k for k in keys if k.endswith("_first")]) == len(keys) - 1
    assert "one checkpoint is no series" in table.notes[-1]
