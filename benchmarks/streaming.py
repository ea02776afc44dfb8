#!/usr/bin/env python3
"""Measure a pass over tar shards: memory against images, and speed against webdataset's own loader.

    python benchmarks/streaming.py --cifar10 FOLDER [--images 200000]

The JPEG files of CIFAR-10 (class folders, as ``seviz`` reads them) are written again and again, under new
names, into shards of 10,000 images (webdataset's naming); SE-ResNet-20 of ``sample_checkpoints`` reads
them. Peak memory is of the process that computes, without those that decode: of a pass over few images
and one over all, and of the latter also after its first 2,000, since equal passes of two processes differ
by 150 MB or so. Each way is a fresh process, and they take turns; the images per second are of its whole
pass without imports. The shards are removed in the end. Prints a table and puts it into ``README.md``
beside this file.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import machine, peak_memory, table, write_section

TITLE = "Streaming from tar shards"
CHECKPOINT = Path(__file__).resolve().parent.parent / "sample_checkpoints/se_resnet20_cifar10.pt"
FEW, EACH, BATCH, WORKERS = 2_000, 10_000, 250, 1


def write_shards(source: Path, folder: Path, images: int) -> None:
    """Write shards of JPEG files and classes."""
    files = sorted(source.rglob("*.jpg")) or sorted(source.rglob("*.png"))
    if not files:
        raise SystemExit(f"expected images of CIFAR-10 in {source}, found none")
    numbers = {name: n for n, name in enumerate(sorted({f.parent.name for f in files}))}
    step = max(1, len(files) // images)  # few images are of all classes, too
    kept = [(_jpeg(f), str(numbers[f.parent.name]).encode()) for f in files[::step]]
    stream = itertools.islice(itertools.cycle(kept), images)
    for shard in range(-(-images // EACH)):
        with tarfile.open(folder / f"shard-{shard:06}.tar", "w") as archive:
            for number, (picture, label) in enumerate(itertools.islice(stream, EACH)):
                for suffix, content in (("jpg", picture), ("cls", label)):
                    member = tarfile.TarInfo(f"{shard:06}{number:06}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def _jpeg(file: Path) -> bytes:
    if file.suffix == ".jpg":
        return file.read_bytes()
    from PIL import Image

    made = io.BytesIO()
    Image.open(file).convert("RGB").save(made, "JPEG", quality=95)
    return made.getvalue()


def with_seviz(data: str) -> dict[str, float]:
    """Collect a record; return seconds, images and memory."""
    import seviz

    network = seviz.load(CHECKPOINT)
    options = seviz.PassOptions(batch_size=BATCH, workers=WORKERS, labels="model")
    seen, early = 0, 0.0

    def after_batch(count: int) -> None:
        nonlocal seen, early
        seen += count
        if seen >= FEW and not early:
            early = peak_memory()

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], None]]:
        yield after_batch

    begin = time.perf_counter()
    record = seviz.collect(network, data, options, progress=progress, tell=lambda text: None)
    seconds = time.perf_counter() - begin
    top1 = float(record.top1 or 0)
    return {
        "seconds": seconds,
        "images": record.header.images,
        "early": early,
        "memory": peak_memory(),
        "top1": top1,
    }


def with_webdataset(data: str) -> dict[str, float]:
    """Run the network over webdataset's loader, and count right answers; return the same."""
    import torch
    import webdataset

    import seviz

    network = seviz.load(CHECKPOINT)
    mean, std = (
        torch.tensor(v)[:, None, None]
        for v in (network.preprocessing.mean, network.preprocessing.std)
    )

    def prepared(image: Any) -> Any:
        return (image - mean) / std

    begin = time.perf_counter()
    samples = webdataset.WebDataset(data, shardshuffle=False, empty_check=False)
    samples = samples.decode("torchrgb").to_tuple("jpg", "cls").map_tuple(prepared, int)
    loader = webdataset.WebLoader(samples.batched(BATCH), batch_size=None, num_workers=WORKERS)
    images, right = 0, 0
    with torch.inference_mode():
        for batch, labels in loader:
            right += int((network.model(batch).argmax(1) == labels).sum())
            images += len(batch)
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "images": images,
        "memory": peak_memory(),
        "top1": right / images,
    }


WAYS = {"seviz.collect": with_seviz, "webdataset": with_webdataset}


def once(way: str, data: str) -> dict[str, float]:
    """Return what one fresh process measured."""
    words = [sys.executable, __file__, "--once", way, data]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(way, found, flush=True)
    return found


def measured(source: Path, images: int, rounds: int, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield what, measured, target."""
    few, many = folder / "few", folder / "many"
    for place, count in ((few, FEW), (many, images)):
        place.mkdir(parents=True)
        write_shards(source, place, count)
    last = -(-images // EACH) - 1
    whole = str(many / f"shard-{{000000..{last:06}}}.tar")
    small = once("seviz.collect", str(few / "shard-000000.tar"))["memory"]
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(once("webdataset", whole))
        ours.append(once("seviz.collect", whole))
    assert {run["images"] for run in (*ours, *theirs)} == {images}
    assert abs(ours[0]["top1"] - theirs[0]["top1"]) < 2e-3, "they read other images"
    early, memory = (statistics.median(run[when] for run in ours) for when in ("early", "memory"))
    yield (f"peak memory of a pass over {FEW:,} images", f"{small:.0f} MB", "")
    yield (f"the same over {images:,}", f"{memory:.0f} MB ({memory / small:.3f} of that)", "1.03")
    yield (
        f"of that pass, end against the first {FEW:,} images",
        f"{early:.0f} MB, {memory:.0f} MB ({memory / early:.3f})",
        "1.03",
    )
    speeds = [[r["images"] / r["seconds"] for r in runs] for runs in (ours, theirs)]
    own, other = (statistics.median(s) for s in speeds)
    ratio = statistics.median(a / b for a, b in zip(*speeds, strict=True))
    yield ("webdataset's loader and a bare forward loop", f"{other:,.0f} images/s", "")
    yield ("`seviz.collect`", f"{own:,.0f} images/s ({ratio:.2f} of that)", "0.95")


def main() -> None:
    """Measure, and write the section."""
    if sys.argv[1:2] == ["--once"]:
        print(json.dumps(WAYS[sys.argv[2]](sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="say that other programs ran beside it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(asked.cifar10, asked.images, asked.rounds, Path(folder)))
    busy = "; other programs ran beside it" if asked.busy else ""
    lines = [
        f"{asked.images:,} JPEG files of 32 x 32 in shards of {EACH:,}, SE-ResNet-20, batches of {BATCH}, "
        f"{WORKERS} process that decodes; medians of {asked.rounds} rounds in turns{busy}. {machine()}.",
        "",
        *table(("what", "measured", "target"), rows),
    ]
    print("\n".join(lines))
    write_section(TITLE, lines)


if __name__ == "__main__":
    main()
