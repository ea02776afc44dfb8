#!/usr/bin/env python3
"""Time an audit with its twin against fvcore, ptflops and torchinfo, on six networks of the SENet paper.

    python benchmarks/audit.py

All begin at the name of the network. An audit builds it on the meta device, counts every operator,
attributes them to the SE blocks and runs the twin without SE as well; the others count the network alone.
fvcore and ptflops need memory for the weights; torchinfo works on the meta device too. Rounds alternate;
medians of several after one that is not counted. Prints a table and puts it into ``README.md`` beside this
file. Needs ``pip install '.[bench]'``.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from common import machine, table, write_section

NAMES = (
    "legacy_seresnet50",
    "legacy_seresnet101",
    "legacy_seresnet152",
    "legacy_seresnext50_32x4d",
    "legacy_seresnext101_32x4d",
    "legacy_senet154",
)
SIZE = (3, 224, 224)
ROUNDS = 5
TARGET = 6.0  # seconds for all six, on two cores


def ours(name: str) -> int:
    """Audit a network; return its MACs."""
    import seviz

    audit = seviz.audit(f"timm:{name}", SIZE)
    assert audit.totals is not None
    assert audit.twin_macs == audit.macs_without_se
    return audit.totals.macs


def built(name: str, device: str) -> Any:
    """Return a network; its weights are left as the memory comes."""
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(name).eval()
    return model if device == "meta" else model.to_empty(device=device)


def fvcore(name: str) -> int:
    """Count a network with fvcore."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(built(name, "cpu"), torch.zeros(1, *SIZE))
    return int(analysis.unsupported_ops_warnings(False).total())


def ptflops(name: str) -> int:
    """Count a network with ptflops, as it does by default."""
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        built(name, "cpu"), SIZE, as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return int(macs)


def torchinfo(name: str) -> int:
    """Count a network with torchinfo."""
    from torchinfo import summary

    found = summary(built(name, "meta"), (1, *SIZE), device="meta", verbose=0)
    return int(found.total_mult_adds)


CONTESTANTS: dict[str, Callable[[str], int]] = {
    "seviz": ours,
    "fvcore": fvcore,
    "ptflops": ptflops,
    "torchinfo": torchinfo,
}


def measured(name: str) -> tuple[list[float], list[int]]:
    """Return the median seconds of each contestant for a network, and the MACs that each counts."""
    taken: dict[str, list[float]] = {who: [] for who in CONTESTANTS}
    macs = []
    for _ in range(ROUNDS + 1):
        macs = []
        for who, count in CONTESTANTS.items():
            start = time.perf_counter()
            macs.append(count(name))
            taken[who].append(time.perf_counter() - start)
    return [statistics.median(own[1:]) for own in taken.values()], macs


def main() -> None:
    """Measure, print, write."""
    warnings.simplefilter("ignore")
    rows, counted, times = [], [], []
    for name in NAMES:
        seconds, macs = measured(name)
        times.append(seconds)
        rows.append((name, *(f"{s:.2f} s" for s in seconds)))
        counted.append((name, *(f"{m / 1e9:.3f}" for m in macs)))
        print(*rows[-1], flush=True)
    whole = [sum(column) for column in zip(*times, strict=True)]
    rows.append(("all six", *(f"{s:.2f} s ({s / whole[0]:.1f} x)" for s in whole)))
    header = ("audit with twin", *list(CONTESTANTS)[1:])
    lines = [
        f"{machine()}; medians of {ROUNDS} rounds after one that is not counted.",
        "",
        *table(("time", *header), rows),
        "",
        f"Target for all six: {TARGET:.0f} s. The others count one network, an audit two.",
        "",
        *table(("GMACs counted", *header), counted),
    ]
    print("\n".join(lines))
    write_section("Audits against other counters", lines)


if __name__ == "__main__":
    main()
