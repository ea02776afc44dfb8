#!/usr/bin/env python3
"""Make the report of Google's MobileNetV3-Small on one image of each class of ImageNet.

    python reports/mobilenet_v3_small_in1k.py mobilenet_v3_small_in1k.tflite path/to/val

The first file is the quantised TFLite network of 1,001 outputs, the second a folder of images by class
(WordNet ids or names). Neither is part of this repository. Written beside this script: figures, tables and
text; no image, no weights. The same images go through the TFLite interpreter (package ai-edge-litert), and
every number of ours stands beside its own.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from matplotlib.figure import Figure

import seviz
from seviz.analysis.proportions import PairedDifference, Share, paired_difference, wilson
from seviz.cli import main as run_seviz
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.collect.prepared import Prepared
from seviz.cost.audit import network_cost
from seviz.cost.latency import measure
from seviz.figures.saving import save_figure
from seviz.gates import Tap
from seviz.networks import LoadedModel
from seviz.networks.formats.tflite.schema import GraphEntry, read_graph
from seviz.pruning.folding import Folded, fold
from seviz.results.cost import Latency
from seviz.results.stats import Floats

HERE = Path(__file__).resolve().parent / "mobilenet_v3_small_in1k"
LINES = "activations_lines"
CLASSES = "senet-paper"
FOLDED = ("SE_2_1", "SE_3_4")
PAIRS = 200
WIDTH = 110
# What is read beside the gates: the numbers that those of SE_2_1 are made from.
SUMS = "sums of SE_2_1"
Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Run:
    """What one way of running the network gave.

    Attributes:
        gates: By block, [images, channels].
        answers: The largest output of each image.
        outputs: All outputs, [images, classes].
    """

    gates: dict[str, Numbers]
    answers: npt.NDArray[np.int64]
    outputs: Numbers


def images(ready: Prepared) -> Iterator[tuple[torch.Tensor, npt.NDArray[np.int64]]]:
    """Yield batches as the network gets them, and the output that is right for each image."""
    targets = np.asarray(ready.targets)
    for batch in ready.batches():
        yield batch.images, targets[batch.rows.numpy()]


def ours(network: LoadedModel, ready: Prepared) -> tuple[Run, npt.NDArray[np.int64]]:
    """Run the network as seviz reads it; return what is right beside it."""
    gates: dict[str, list[Numbers]] = {b.name: [] for b in ready.blocks}
    outputs, right = [], []
    found = seviz.find(network.model, network.preprocessing.input_size)
    with Tap(network.model, found.se_readings) as tap, torch.inference_mode():
        for batch, true in images(ready):
            outputs.append(network.model(batch).numpy())
            for name, gate in tap.take().items():
                gates[name].append(gate.numpy())
            right.append(true)
    joined = np.concatenate(outputs)
    by_block = {name: np.concatenate(parts) for name, parts in gates.items()}
    return Run(by_block, joined.argmax(1), joined), np.concatenate(right)


def plainly(network: torch.nn.Module, ready: Prepared) -> Numbers:
    """Return the outputs of a network alone, [images, classes]."""
    with torch.inference_mode():
        return np.concatenate([network(batch).numpy() for batch, _ in images(ready)])


def interpreted(
    file: Path, graph: GraphEntry, ready: Prepared, places: dict[str, int], *, delegate: bool
) -> Run:
    """Run the same images through the TFLite interpreter.

    Args:
        file: The network.
        graph: What is in it.
        ready: The images.
        places: The tensor of each block's gate.
        delegate: With XNNPACK, as it runs by default, or with its own kernels.
    """
    kernels = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = Interpreter(
        str(file),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=kernels,
        num_threads=1,
    )
    run.allocate_tensors()
    source, answer = run.get_input_details()[0], run.get_output_details()[0]
    scale, zero = source["quantization"]
    gates: dict[str, list[Floats]] = {name: [] for name in places}
    outputs: list[Floats] = []
    for batch, _ in images(ready):
        pixels = (batch.permute(0, 2, 3, 1) / scale + zero).round().clamp(0, 255).byte().numpy()
        for image in pixels:
            run.set_tensor(source["index"], image[None])
            run.invoke()
            for name, place in places.items():
                gates[name].append(real(run, graph, place))
            outputs.append(real(run, graph, answer["index"]))
    joined = np.stack(outputs).astype(np.float32)
    by_block = {name: np.stack(parts).astype(np.float32) for name, parts in gates.items()}
    return Run(by_block, joined.argmax(1), joined)


def real(run: Interpreter, graph: GraphEntry, place: int) -> Floats:
    """Return what the whole numbers of one tensor stand for, flat."""
    given = graph.tensors[place].quantised
    assert given is not None
    whole = run.get_tensor(place).reshape(-1).astype(np.float64)
    return np.asarray((whole - given.zero[0]) * given.scale[0])


def gate_places(graph: GraphEntry, blocks: Sequence[str]) -> dict[str, int]:
    """Return the tensor of each block's gate: the small factor of a product of two computed tensors."""
    found = []
    for operator in graph.operators:
        shapes = [graph.tensors[t] for t in operator.inputs]
        if operator.kind == "MUL" and all(t.numbers is None for t in shapes):
            found.append(min(operator.inputs, key=lambda t: np.prod(graph.tensors[t].shape)))
    places = dict(zip(blocks, found, strict=True))
    makers = {t: o for o in graph.operators for t in o.outputs}
    # A gate is a sixth of what relu6(x + 3) gives: two operators, whose first input is the one that counts.
    added = makers[places[FOLDED[0]]].inputs[0]
    return {**places, SUMS: makers[added].inputs[0]}


def agreement(mine: Run, theirs: Run, kernels: Run) -> list[dict[str, Any]]:
    """Return one row per block: how near the gates are to the interpreter's, and how much they move."""
    rows = []
    for name, gates in mine.gates.items():
        other, again = theirs.gates[name], kernels.gates[name]
        rows.append(
            {
                "block": name,
                "channels": gates.shape[1],
                "smallest": float(other.min()),
                "largest": float(other.max()),
                "spread": float(other.std(axis=0).mean()),
                "largest_spread": float(other.std(axis=0).max()),
                "largest_range": float(np.ptp(other, axis=0).max()),
                "spread_seviz": float(gates.std(axis=0).mean()),
                "correlation": correlation(gates, other),
                "correlation_of_kernels": correlation(again, other),
                "mean_difference": float(np.abs(gates - other).mean()),
                "largest_difference": float(np.abs(gates - other).max()),
            }
        )
    return rows


def correlation(a: Numbers, b: Numbers) -> float | str:
    """Return Pearson's correlation over images and channels; of constants, whether they are equal."""
    if np.ptp(b) == 0:
        return "equal" if np.allclose(a, b, rtol=0, atol=1e-6) else "different"
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def every_gate(mine: Run, theirs: Run) -> list[dict[str, Any]]:
    """Return one row per channel: its gate over all images, here and in the interpreter."""
    return [
        {
            "block": name,
            "channel": channel,
            "mean": mean(gates[:, channel]),
            "std": float(gates[:, channel].std()),
            "smallest": float(gates[:, channel].min()),
            "largest": float(gates[:, channel].max()),
            "interpreter_mean": mean(theirs.gates[name][:, channel]),
            "interpreter_std": float(theirs.gates[name][:, channel].std()),
        }
        for name, gates in mine.gates.items()
        for channel in range(gates.shape[1])
    ]


def mean(values: Numbers) -> float:
    """Return a mean in float64."""
    return float(values.mean(dtype=np.float64))


def write_rows(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table; numbers with six digits."""
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row.values()])


def draw_all_images(mine: Run) -> Figure:
    """Draw, by channel in the order of its mean, the gates of all images: what no class is needed for."""
    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    panels = figure.subplots(3, 3, sharey=True).ravel()
    for panel, (name, gates) in zip(panels, mine.gates.items(), strict=True):
        order = np.argsort(gates.mean(axis=0, dtype=np.float64), kind="stable")
        low, first, middle, third, high = np.percentile(
            gates[:, order], [0, 5, 50, 95, 100], axis=0
        )
        across = np.arange(gates.shape[1])
        panel.fill_between(across, low, high, color="#56B4E9", alpha=0.35, lw=0, label="all images")
        panel.fill_between(
            across, first, third, color="#0072B2", alpha=0.55, lw=0, label="90 % of images"
        )
        panel.plot(across, middle, color="black", lw=1.1, label="median")
        panel.set_title(name, loc="left", fontsize=10)
        panel.set_title(f"C = {gates.shape[1]}", loc="right", fontsize=9, color="0.4")
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_ylim(-0.03, 1.03)
        panel.grid(axis="y", color="0.9")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel("channel, in the order of its mean gate", fontsize=10)
    figure.supylabel("gate", fontsize=10)
    return figure


@dataclass(frozen=True, eq=False)
class Found:
    """All that is said in the text."""

    images: int
    mine: Share
    theirs: Share
    kernels: Share
    same: Share
    same_kernels: Share
    paired: PairedDifference
    blocks: list[dict[str, Any]]
    folds: list[dict[str, Any]]
    latency: Latency
    sums: tuple[float, float]


def share(right: npt.NDArray[np.bool_]) -> Share:
    """Return a share with its interval."""
    found = wilson(int(right.sum()), len(right))
    assert found is not None
    return found


def most_common(gates: Numbers) -> Floats:
    """Return for each channel the gate that most images have, [channels]."""
    found = []
    for column in gates.T:
        values, counts = np.unique(column, return_counts=True)
        found.append(values[counts.argmax()])
    return np.asarray(found, dtype=np.float64)


def mean_gate(gates: Numbers) -> Floats:
    """Return the mean gate of each channel, [channels]."""
    return np.asarray(gates.mean(axis=0, dtype=np.float64))


def folding(
    network: LoadedModel, names: tuple[str, ...], how: str, before: Run, ready: Prepared, true: Any
) -> tuple[dict[str, Any], Folded]:
    """Fold blocks at fixed gates; return what changes over all images, and what is saved."""
    fixed = most_common if how == "most common" else mean_gate
    folded = fold(network, names, {name: fixed(before.gates[name]) for name in names})
    outputs = plainly(folded.loaded.model, ready)
    answers = outputs.argmax(1)
    change = paired_difference(before.answers == true, answers == true)
    size = network.preprocessing.input_size
    macs = [network_cost(m.model, size).macs for m in (folded.original, folded.loaded)]
    row = {
        "blocks": " ".join(names),
        "gates": how,
        "parameters_before": folded.params_before,
        "parameters_after": folded.params_after,
        "macs_before": macs[0],
        "macs_after": macs[1],
        "images": len(true),
        "equal_outputs": int((outputs == before.outputs).all(axis=1).sum()),
        "equal_answers": int((answers == before.answers).sum()),
        "largest_change": float(np.abs(outputs - before.outputs).max()),
        "top1_before": change.before,
        "top1_after": change.after,
        "lost": change.lost,
        "won": change.won,
    }
    return row, folded


def told(*words: str) -> str:
    """Run a command of seviz, and return what it says, up to the list of files."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = run_seviz(words)
    if code:
        sys.exit(code)
    return said.getvalue().partition("wrote ")[0].rstrip()


def figure_and_findings(file: str, data: str) -> None:
    """Run `seviz activations` as a user does, and keep the figure, its table and what it says."""
    drawn = [f"{name}.{form}" for name in ("activations", LINES) for form in ("png", "svg")]
    kept = (*drawn, "activations.csv", "findings.csv")
    with tempfile.TemporaryDirectory() as folder:
        words = (
            "--data",
            data,
            "--classes",
            CLASSES,
            "--blocks",
            "all",
            "--style",
            "both",
            "-o",
            folder,
        )
        said = told("activations", file, *words)
        for name in kept:
            (HERE / name).write_bytes((Path(folder) / name).read_bytes())
    (HERE / "findings.txt").write_text(f"{said}\n", encoding="utf-8")


def make(file: str, data: str) -> None:
    """Make the whole folder."""
    HERE.mkdir(exist_ok=True)
    figure_and_findings(file, data)
    network = seviz.load(file)
    ready = prepare(network, data, PassOptions())
    graph = read_graph(Path(file).read_bytes(), Path(file).name)
    places = gate_places(graph, [b.name for b in ready.blocks])
    mine, true = ours(network, ready)
    theirs = interpreted(Path(file), graph, ready, places, delegate=True)
    kernels = interpreted(Path(file), graph, ready, places, delegate=False)
    blocks = agreement(mine, theirs, kernels)
    write_rows("interpreter.csv", blocks)
    write_rows("gates.csv", every_gate(mine, theirs))
    save_figure(draw_all_images(mine), HERE / "gates_of_all_images")
    each = [
        folding(network, names, how, mine, ready, true)
        for names, how in (
            ((FOLDED[0],), "mean"),
            ((FOLDED[1],), "mean"),
            ((FOLDED[1],), "most common"),
            (FOLDED, "mean"),
            (FOLDED, "most common"),
        )
    ]
    write_rows("folding.csv", [row for row, _ in each])
    folded = each[-1][1]
    size = network.preprocessing.input_size
    latency = measure(
        folded.original.model, folded.loaded.model, size, batch=1, device="cpu", pairs=PAIRS
    )
    found = Found(
        len(true),
        share(mine.answers == true),
        share(theirs.answers == true),
        share(kernels.answers == true),
        share(mine.answers == theirs.answers),
        share(kernels.answers == theirs.answers),
        paired_difference(theirs.answers == true, mine.answers == true),
        blocks,
        [row for row, _ in each],
        latency,
        (float(theirs.gates[SUMS].min()), float(theirs.gates[SUMS].max())),
    )
    write_text(found)
    write_readme(found)


def write_text(found: Found) -> None:
    """Write the numbers in one place."""
    lines = [
        f"images                                        {found.images:,}",
        f"top-1, seviz                                  {found.mine}",
        f"top-1, TFLite interpreter                     {found.theirs}",
        f"top-1, TFLite interpreter without XNNPACK     {found.kernels}",
        f"same answer, seviz and interpreter            {found.same}",
        f"same answer, interpreter with and without     {found.same_kernels}",
        f"right in the interpreter alone / seviz alone  {found.paired.lost} / {found.paired.won}, "
        f"p = {found.paired.p_value:.2g}",
        "",
        "gates of all images; correlations over images and channels",
        f"{'block':6}  channels  {'interpreter':18}  spread  largest range  correlation  own two kernels  "
        "largest difference",
    ]
    for row in found.blocks:
        ends = f"{row['smallest']:.4f} to {row['largest']:.4f}"
        ours, kernels = (
            v if isinstance(v, str) else f"{v:.4f}"
            for v in (row["correlation"], row["correlation_of_kernels"])
        )
        lines.append(
            f"{row['block']}  {row['channels']:8}  {ends:18}  {row['spread']:.4f}  "
            f"{row['largest_range']:13.4f}  {ours:>11}  {kernels:>15}  {row['largest_difference']:18.4f}"
        )
    lines.append("")
    for row in found.folds:
        before, after = (f"{row[f'parameters_{when}']:,}" for when in ("before", "after"))
        lines.append(
            f"folded {row['blocks']} at the {row['gates']} gate: parameters {before} -> {after}, "
            f"MACs {row['macs_before']:,} -> {row['macs_after']:,}, outputs equal to the last bit for "
            f"{row['equal_outputs']:,} of {row['images']:,} images, largest change of a probability "
            f"{row['largest_change']:.2g}, same answer for {row['equal_answers']:,}, top-1 "
            f"{row['top1_before']:.2%} -> {row['top1_after']:.2%} ({row['lost']} lost, {row['won']} won)"
        )
    time = found.latency
    lines.append(
        f"one image on a CPU in PyTorch, both folded: {time.with_se_ms:.2f} -> {time.without_se_ms:.2f} ms, "
        f"before takes {time.ratio:.3f} times as long [{time.ratio_low:.3f}, {time.ratio_high:.3f}]"
    )
    (HERE / "numbers.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def wrapped(text: str) -> str:
    """Return Markdown with its paragraphs and lists in lines of one width."""
    blocks = []
    for block in text.strip().split("\n\n"):
        if block.startswith("- "):
            items = [" ".join(item.split()) for item in block.split("\n- ")]
            items = [items[0], *(f"- {item}" for item in items[1:])]
            filled = [textwrap.fill(item, WIDTH, subsequent_indent="  ") for item in items]
            blocks.append("\n".join(filled))
        elif block.startswith(("|", "#", "`" * 3, "!")):
            blocks.append(block)
        else:
            blocks.append(textwrap.fill(" ".join(block.split()), WIDTH))
    return "\n\n".join(blocks) + "\n"


def write_readme(found: Found) -> None:
    """Write what was found, for people."""
    by_name = {row["block"]: row for row in found.blocks}
    first, fourth = (by_name[name] for name in FOLDED)
    numbers = [
        row["correlation"] for row in found.blocks if not isinstance(row["correlation"], str)
    ]
    own = [
        row["correlation_of_kernels"]
        for row in found.blocks
        if not isinstance(row["correlation_of_kernels"], str)
    ]
    alone, flat, _, both, _ = found.folds
    time, images = found.latency, f"{found.images:,}"
    gone = both["parameters_before"] - both["parameters_after"]
    less = both["macs_before"] - both["macs_after"]
    text = f"""# MobileNetV3-Small, trained on ImageNet by Google

`mobilenet_v3_small_in1k.tflite` is the quantised network (uint8, 224 x 224) of TensorFlow's model
garden: nine SE
blocks, 1,001 outputs, really trained on ImageNet-1k. The images are {images}, one of each class. Neither is
here; `reports/mobilenet_v3_small_in1k.py` makes everything in this folder from the two.

```bash
seviz activations mobilenet_v3_small_in1k.tflite --data path/to/val --classes senet-paper --blocks all
```

![Gates of one image of goldfish, pug, plane and cliff, minus the mean over all](activations.png)

*The paper's four classes, a row each: the gates of one image minus the mean over the {images} images.
Channels that deviate alike stand together.*

![Gate by channel for one image of goldfish, pug, plane and cliff](activations_lines.png)

*The same as lines, as the paper has them (`--style lines`): the gates of one image each, "all" is the mean
over the {images} images; 50 channels of each block are drawn.*

![Gates of all images by channel, channels in the order of their mean](gates_of_all_images.png)

*All {images} images, all channels. A block without a band gives every image the same gates.*

## What was found

- **Accuracy**: {found.mine.value:.2%} top-1, 95 % interval {found.mine.low:.2%} to {found.mine.high:.2%}.
- **SE_2_1 does nothing.** Its gates are {first["smallest"]:.5f}, the largest number that their 8 bits
  can say, for
  every one of 16 channels and {images} images, in the TFLite interpreter too.
- **SE_3_4 does not look at the image.** Its gates differ from channel to channel, from 0 to 1, but no
  channel's gate
  moves by more than {fourth["largest_range"]:.4f} over the {images} images (standard deviation
  {fourth["spread"]:.4f} on average, {fourth["largest_spread"]:.4f} at most). For these images it
is a fixed scale.
- The gates of the last block, SE_4_3, differ most from image to image (standard deviation
  {by_name["SE_4_3"]["spread"]:.3f}); those of SE_3_1 are 1 for most channels.

## Folding the two

| folded | gates held at | parameters | MACs | equal outputs | same answer | top-1 |
|---|---|---|---|---|---|---|
"""
    for row in found.folds:
        text += (
            f"| {row['blocks'].replace(' ', ', ')} | {row['gates']} | "
            f"-{row['parameters_before'] - row['parameters_after']:,} | "
            f"-{row['macs_before'] - row['macs_after']:,} | {row['equal_outputs']:,} | "
            f"{row['equal_answers']:,} | {row['top1_before']:.2%} -> {row['top1_after']:.2%} "
            f"({row['lost']} lost, {row['won']} won) |\n"
        )
    text += f"""
Folding SE_2_1 changes nothing: all {alone["equal_outputs"]:,} outputs are equal to the last bit.
Folding SE_3_4 is
no such thing: its gates move by single steps of their 8 bits, and a change by a part of a step at one place
becomes other roundings everywhere behind it. {flat["equal_answers"]:,} of {images} answers stay, and
the accuracy does
({flat["lost"]} images lost, {flat["won"]} won). Rounding alone does as much: the
interpreter's own two sets of kernels give the same answer for {found.same_kernels.count:,} images.

Saved are {gone:,} of {both["parameters_before"]:,} parameters ({gone / both["parameters_before"]:.2%}) and
{less:,} of {both["macs_before"]:,} MACs ({less / both["macs_before"]:.3%}): the two blocks are small.
In time next to nothing, on a busy machine: one image took {time.with_se_ms:.2f} ms before and
{time.without_se_ms:.2f} ms after, in PyTorch on a CPU (medians of {time.pairs} pairs; the ratio of the
pairs was {time.ratio:.3f}, 95 % interval {time.ratio_low:.3f} to {time.ratio_high:.3f}). The interpreter's
time was not measured, as nothing is written back to TFLite.

## How near the interpreter

seviz computes in float32 on the numbers that the 8 bits stand for, and rounds every map as the file
says. On the
same pixels, with the TFLite interpreter (ai-edge-litert, XNNPACK, as it runs by default) as the reference:

| | top-1 | same answer as the interpreter | gates: correlation by block |
|---|---|---|---|
| seviz | {found.mine.value:.2%} | {found.same.value:.2%} | {min(numbers):.4f} to {max(numbers):.4f} |
| the interpreter without XNNPACK | {found.kernels.value:.2%} | {found.same_kernels.value:.2%} | \
{min(own):.4f} to {max(own):.4f} |
| the interpreter | {found.theirs.value:.2%} | | |

So seviz is nearer to the interpreter than the interpreter's two sets of kernels are to each other.
SE_2_1 has no
correlation: it is the same constant in all three. The numbers of each block are in `interpreter.csv`, of each
channel in `gates.csv`, of each fold in `folding.csv`.

## What cannot be said

- One image of each class is no class: there are no class means, no spread within a class, and no share of the
  gates that class explains. Two rows that differ in the figure are two images that differ.
- The images are a sample of their own, not ImageNet's validation set, and the accuracy is of these
  {images}; the
  labels are taken as they came, and a few may be wrong.
- How images were cut is not in the file: the central 87.5 % is assumed.
- That two blocks do nothing is seen on these images. The sums behind SE_2_1's gates, which are 1 from
  3 on, are
  {found.sums[0]:.2f} to {found.sums[1]:.2f} there; other kinds of images (noise, drawings) were not tried.
"""
    (HERE / "README.md").write_text(wrapped(text), encoding="utf-8")


if __name__ == "__main__":
    given = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    given.add_argument("network", help="mobilenet_v3_small_in1k.tflite")
    given.add_argument("data", help="folder of images by class")
    asked = given.parse_args()
    make(asked.network, asked.data)
