"""The table of what was measured."""

from __future__ import annotations

from typing import Any

from common import table

GAPS = ("gaps", "gaps of a late host")
ORDER = (
    "bare",
    "bare, channels last",
    "bare, CUDA graph",
    "bare, compiled",
    "hooks and lists",
    "Captum",
    "seviz --no-fast",
    "seviz",
    "seviz --torchcompile",
)


def written(results: dict[str, Any]) -> list[str]:
    """Return the lines of the section."""
    machine = results["machine"]
    about = ", ".join(f"{k} {v}" for k, v in machine.items() if k != "device")
    lines = [f"{about}; `python benchmarks/gpu.py`, all numbers in `gpu.json`.", ""]
    if (tests := results.get("tests")) is not None:
        said = ", ".join(f"{k}: {v}" for k, v in tests.items() if k != "seconds")
        lines += [f"Tests that need a GPU: {said}.", ""]
    if "passes" in results:
        lines += _passes(results["passes"])
    if "waits" in results:
        rows = [
            (
                key,
                *(f"{100 * v[g]:.1f} %" if g in v else "" for g in GAPS),
                str(sum(v["stops of the host"].values())),
            )
            for key, v in results["waits"].items()
            if isinstance(v, dict)
        ]
        lines += [
            *table(
                ("a pass of seviz", "no kernel runs", "for more than 20 µs", "stops in 10 batches"),
                rows,
            ),
            "",
        ]
    for name, title in (
        ("files", "JPEG files of 500 x 375"),
        ("commands", "whole commands, seconds"),
    ):
        if name in results:
            rows = [(k, str(v)) for k, v in results[name].items() if k != "seconds"]
            lines += [*table((title, "measured"), rows), ""]
    return lines[:-1]


def _passes(found: dict[str, Any]) -> list[str]:
    rows = []
    for key, ways in found.items():
        if not isinstance(ways, dict) or "left out" in ways:
            continue
        for name in ORDER:
            if name in ways:
                rows.append((key, name, *_cells(ways[name])))
    header = ("network", "way", "images/s", "time / bare", "peak MB")
    return [*table(header, rows), ""]


def _cells(way: dict[str, Any]) -> tuple[str, str, str]:
    if "failed" in way:
        return (way["failed"][:60], "", "")
    return (
        f"{way['images_per_s']:,}",
        f"{way['against_bare']:.3f}",
        str(way.get("memory_mb", "")),
    )
