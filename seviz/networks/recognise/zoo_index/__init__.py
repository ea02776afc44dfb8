"""Which networks of timm and torchvision have tensors of such shapes and names.

Building each of some 1,450 networks to compare would take minutes, so ``networks.json`` holds what is
needed to choose the few that are then built and compared in full: the number of tensors of each
shape (matrices and filters, not vectors), and a checksum of the names. ``python -m
seviz.networks.recognise.zoo_index.make`` writes it anew for the timm and torchvision that are installed.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seviz.networks.recognise.views import Shape, View

FILE = Path(__file__).with_name("networks.json")


@dataclass(frozen=True)
class Entry:
    """What is known of one network without building it.

    Attributes:
        name: ``timm:NAME`` or ``torchvision:NAME``.
        shapes: Number of tensors of each shape with at least two dimensions.
        names: Checksum of the tensors' names.
    """

    name: str
    shapes: Mapping[Shape, int]
    names: int


@dataclass(frozen=True)
class Ranked:
    """One network beside a view.

    Attributes:
        name: ``timm:NAME`` or ``torchvision:NAME``.
        likeness: Shared shapes over all shapes of the two, each as often as it occurs; from 0 to 1.
        same_names: Whether all names are the same.
    """

    name: str
    likeness: float
    same_names: bool


def rank(view: View) -> list[Ranked]:
    """Return all networks of the zoos, the most alike first; equal names count most."""
    shapes, names = histogram(view), names_hash(view)
    size = sum(shapes.values())
    ranked = []
    for entry in entries():
        shared = sum(min(n, shapes.get(shape, 0)) for shape, n in entry.shapes.items())
        everything = size + sum(entry.shapes.values()) - shared
        ranked.append(Ranked(entry.name, shared / max(1, everything), entry.names == names))
    return sorted(ranked, key=lambda r: (not r.same_names, -r.likeness))


def histogram(view: View) -> Counter[Shape]:
    """Count the shapes with at least two dimensions."""
    return Counter(shape for shape in view.shapes.values() if len(shape) > 1)


def names_hash(view: View) -> int:
    """Return a checksum of the names, in any order."""
    return zlib.crc32("\n".join(sorted(view.shapes)).encode(errors="surrogatepass"))


@cache
def entries() -> tuple[Entry, ...]:
    """Return the index."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    shapes = [tuple(shape) for shape in content["shapes"]]
    return tuple(
        Entry(name, {shapes[i]: n for i, n in zip(row[1::2], row[2::2], strict=True)}, row[0])
        for name, row in content["networks"].items()
    )


def dumps(found: Iterable[Entry]) -> str:
    """Return the index as text, one network a line."""
    listed = sorted(found, key=lambda e: e.name)
    known = sorted({shape for entry in listed for shape in entry.shapes})
    number = {shape: n for n, shape in enumerate(known)}
    rows = []
    for entry in listed:
        row = [entry.names]
        for shape in sorted(entry.shapes):
            row += [number[shape], entry.shapes[shape]]
        rows.append(f"{json.dumps(entry.name)}:{json.dumps(row, separators=(',', ':'))}")
    shapes = json.dumps([list(shape) for shape in known], separators=(",", ":"))
    return f'{{"shapes":{shapes},"networks":{{\n' + ",\n".join(rows) + "\n}}\n"
