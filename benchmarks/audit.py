#!/usr/bin/env python3
"""Time an audit with its twin against fvcore's count, on six networks of the SENet paper.

    python benchmarks/audit.py

Both begin at the name of the network. An audit builds it on the meta device, counts every operator,
attributes them to the SE blocks and runs the twin without SE as well; fvcore needs memory for the
weights, and counts the network alone. Rounds alternate; medians of several after one that is not counted.
Prints a table and writes it to ``audit.md`` beside this file.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

NAMES = (
    "legacy_seresnet50",
    "legacy_seresnet101",
    "legacy_seresnet152",
    "legacy_seresnext50_32x4d",
    "legacy_seresnext101_32x4d",
    "legacy_senet154",
)
ROUNDS = 5
TARGET = 6.0  # seconds for all six, on two cores


def ours(name: str) -> int:
    """Audit a network; return its MACs."""
    import seviz

    audit = seviz.audit(f"timm:{name}", (3, 224, 224))
    assert audit.totals is not None
    assert audit.twin_macs == audit.macs_without_se
    return audit.totals.macs


def fvcore(name: str) -> int:
    """Count a network with fvcore; its weights are left as the memory comes."""
    import timm
    import torch
    from fvcore.nn import FlopCountAnalysis

    with torch.device("meta"):
        model = timm.create_model(name)
    model = model.to_empty(device="cpu").eval()
    analysis = FlopCountAnalysis(model, torch.zeros(1, 3, 224, 224))
    return int(analysis.unsupported_ops_warnings(False).total())


def seconds(count: Callable[[str], int]) -> list[float]:
    """Return the time that each network takes."""
    taken = []
    for name in NAMES:
        start = time.perf_counter()
        count(name)
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    """Measure, print, write."""
    warnings.simplefilter("ignore")
    rounds = [(seconds(ours), seconds(fvcore)) for _ in range(ROUNDS + 1)][1:]
    mine, theirs = (
        [statistics.median(times) for times in zip(*side, strict=True)]
        for side in zip(*rounds, strict=True)
    )
    lines = [
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; medians of "
        f"{ROUNDS} rounds after one that is not counted.",
        "",
        "| network | audit with twin | fvcore, no twin | audit / fvcore |",
        "|---|---|---|---|",
    ]
    named = zip((*NAMES, "all six"), (*mine, sum(mine)), (*theirs, sum(theirs)), strict=True)
    lines += [f"| {n} | {a:.2f} s | {b:.2f} s | {a / b:.2f} |" for n, a, b in named]
    lines += ["", f"Target for all six: {TARGET:.0f} s."]
    print("\n".join(lines))
    (Path(__file__).parent / "audit.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
