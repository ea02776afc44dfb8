#!/usr/bin/env python3
"""Count true and false alarms of the fit check, over networks, preprocessings and kinds of samples.

    python benchmarks/input_fit.py path/to/cifar10 path/to/imagenet/val FOLDER

``FOLDER`` holds the networks that ``input_fit_networks.py`` trained; the sample checkpoints are added. A file
``NAME.py`` in it, with a function ``load()`` that returns a `seviz.LoadedModel` for ImageNet's images, is one
more. Prints two tables and writes them into ``docs/input-fit.md``: what is said of each wrong preprocessing,
and how often a right one raises an alarm.
"""

from __future__ import annotations

import re
import runpy
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import HERE, machine, table

import seviz
from seviz.collect.input_fit import check_input
from seviz.collect.input_ways import other_constants
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.data import Source, open_source
from seviz.data.base import FolderSource
from seviz.networks import LoadedModel
from seviz.results.input_fit import InputFit
from seviz.results.preprocessing import Preprocessing, turned

PAGE = HERE.parent / "docs" / "input-fit.md"
IMAGENET = Preprocessing()
DRAWS, SINGLE, PAIRS, IMAGES, FEW = 4, 2, 2, 64, 16


def wrong_ways(right: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    """Yield ways to prepare images that users take by mistake, with what the tables call them."""
    channels, height, width = right.input_size

    def constants(mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
        whole = Preprocessing((3, height, width), mean, std).for_channels(channels)
        order = turned if right.channel_order == "bgr" else tuple
        return replace(right, mean=order(whole.mean), std=order(whole.std))

    yield "0..1", constants((0.0,) * 3, (1.0,) * 3)
    yield "0..255", constants((0.0,) * 3, (1 / 255,) * 3)
    yield "-1..1", constants((0.5,) * 3, (0.5,) * 3)
    yield "ImageNet", constants(IMAGENET.mean, IMAGENET.std)
    if channels == 3:
        other = {"rgb": "bgr", "bgr": "rgb"}[right.channel_order]
        yield "BGR", replace(right, channel_order=other)
        caffe = (0.48, 0.46, 0.41), (0.225, 0.225, 0.225)
        yield (
            "BGR, other means",
            replace(right, channel_order=other, mean=caffe[0], std=caffe[1]),
        )
    yield "size x 2", replace(right, input_size=(channels, 2 * height, 2 * width))
    yield "size / 2", replace(right, input_size=(channels, height // 2, width // 2))


def part(source: Source, chosen: npt.NDArray[np.intp]) -> Source:
    """Return some images of a source."""
    if isinstance(source, FolderSource):
        return replace(source, labels=source.labels[chosen], files=source.files[chosen])
    return replace(source, labels=source.labels[chosen], pixels=source.pixels[chosen])


def samples(source: Source) -> Iterator[tuple[str, Source]]:
    """Yield small parts of a source, by kind."""
    random = np.random.default_rng(0)
    for count in (IMAGES, FEW):
        for _ in range(DRAWS):
            yield f"{count} images", part(source, random.permutation(len(source))[:count])
    labels = source.labels
    for kind, count, size in (("one class", SINGLE, 1), ("two classes", PAIRS, 2)):
        for first in range(count):
            classes = [(first + step) % len(source.folders) for step in range(size)]
            where = np.flatnonzero(np.isin(labels, classes))
            if len(where) >= IMAGES:
                yield kind, part(source, random.permutation(where)[:256])


def checked(loaded: LoadedModel, source: Source, prepared: Preprocessing) -> InputFit:
    """Return the result of the check for images that are prepared in some way."""
    named = replace(loaded, preprocessing=prepared, classes=None)
    return check_input(prepare(named, source, PassOptions(labels="data", require_se=False)))


def near(one: Preprocessing, other: Preprocessing, means: float, stds: float) -> bool:
    """Return whether two ways differ by less than that in mean, and by less than that share in std."""
    same = (one.input_size, one.channel_order) == (other.input_size, other.channel_order)
    apart = np.abs(np.subtract(one.mean, other.mean)).max()
    return bool(same and apart < means and np.abs(np.divide(one.std, other.std) - 1).max() < stds)


def is_named(fit: InputFit, right: Preprocessing, taken: Preprocessing) -> bool:
    """Return whether the right way is among those that are said not to be told apart."""
    if right.input_size != taken.input_size:
        size = f"{right.input_size[1]} x {right.input_size[2]} pixels"
        return any(size in name or "half or twice" in name for name in fit.alike)
    ways = [way.prepared for way in other_constants(taken) if way.name in fit.alike]
    return any(near(way, right, 0.03, 0.05) for way in ways)


def result(fit: InputFit, right: Preprocessing, taken: Preprocessing) -> str:
    """Return a cell of the table."""
    if near(taken, right, 0.005, 0.01):
        return "the same"
    if fit.is_alarm:
        return f"**{fit.misfit:.3f}**" + ("" if fit.verdict == "does not fit" else " +")
    return f"{fit.misfit:.3f} " + ("n.d." if is_named(fit, right, taken) else "UNSAID")


def main() -> None:
    """Measure, print, write."""
    warnings.simplefilter("ignore")
    cifar10, imagenet, folder = sys.argv[1:4]
    places = {"cifar10": cifar10, "imagenet": imagenet, "digits": "digits"}
    sources = {
        name: open_source(place, split=None if name == "imagenet" else "test")
        for name, place in places.items()
    }
    networks = [*sorted((HERE.parent / "sample_checkpoints").glob("*.pt"))]
    networks += sorted(Path(folder).glob("*.p[ty]"))
    names = [name for name, _ in wrong_ways(IMAGENET)]
    rows, false = (
        [],
        {kind: [0, 0] for kind in ("all", "64 images", "16 images", "one class", "two classes")},
    )
    largest = dict.fromkeys(false, 0.0)
    for path in networks:
        is_code = path.suffix == ".py"
        loaded = runpy.run_path(str(path))["load"]() if is_code else seviz.load(path)
        kind = "digits" if "digits" in path.stem else "cifar10"
        source = sources["imagenet" if path.stem == "resnet" or is_code else kind]
        right = loaded.preprocessing
        own = checked(loaded, source, right)
        counted = [("all", own)]
        counted += [(kind, checked(loaded, s, right)) for kind, s in samples(source)]
        for kind, fit in counted:
            false[kind][0] += fit.is_alarm
            false[kind][1] += 1
            largest[kind] = max(largest[kind], fit.misfit)
            if fit.is_alarm:
                print(f"false alarm: {path.stem}, {kind}: {fit.sentence}", flush=True)
        found = {
            name: result(checked(loaded, source, taken), right, taken)
            for name, taken in wrong_ways(right)
        }
        shown = f"{right.describe().partition(' (')[0]}"
        rows.append((path.stem, f"{own.misfit:.3f}", *(found.get(n, "") for n in names)))
        print(" | ".join(rows[-1]), shown, flush=True)
    missed = sum("UNSAID" in cell for row in rows for cell in row)
    lines = [
        *table(("network", "right", *names), rows),
        "",
        *table(
            ("right preprocessing, images", "checks", "false alarms", "largest misfit"),
            [
                (kind, str(of), str(count), f"{largest[kind]:.3f}")
                for kind, (count, of) in false.items()
            ],
        ),
        "",
        f"Wrong ways that were neither flagged nor named: {missed}. Measured with {machine()}.",
    ]
    print("\n".join(lines))
    print(f"{missed} wrong ways neither flagged nor named; {false['all'][0]} false alarms")
    before = PAGE.read_text(encoding="utf-8")
    marks = "<!-- tables -->", "<!-- end of tables -->"
    place = re.compile(f"{marks[0]}.*{marks[1]}", re.DOTALL)
    text = "\n".join([marks[0], "", *lines, "", marks[1]])
    PAGE.write_text(place.sub(lambda _: text, before), encoding="utf-8")


if __name__ == "__main__":
    main()
