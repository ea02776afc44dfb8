"""What ``seviz compare`` says of three networks and more: one JSON document, or text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.compare_text import difference_document, network_document
from seviz.cli.console import Speaker
from seviz.cli.findings_text import say_warnings

if TYPE_CHECKING:
    from seviz.analysis import SeveralComparison
    from seviz.analysis.geometry import Geometry
    from seviz.analysis.several import PairComparison


def document_of_several(compared: SeveralComparison, written: Sequence[Path]) -> Mapping[str, Any]:
    """Return the JSON document."""
    from seviz.tables.several import depth_table

    depth = depth_table(compared)
    return {
        "networks": [
            {
                **network_document(subject),
                "mechanism": compared.mechanism(place),
                "top1": asdict(share) if (share := compared.top1[place]) is not None else None,
                "gate_params": compared.gate_params(place),
            }
            for place, subject in enumerate(compared.subjects)
        ],
        "paired": compared.paired,
        "finding": compared.describe(),
        "sentences": compared.sentences(),
        "pairs": [_pair(compared, pair) for pair in compared.pairs],
        "depth": depth.records() if depth is not None else [],
        "geometries": [_geometry(compared, one) for one in compared.geometries],
        "files": [str(path) for path in written],
        "findings": [asdict(f) if f is not None else None for f in compared.findings],
        "warnings": list(_warnings(compared)),
        "notes": list(compared.notes),
    }


def _pair(compared: SeveralComparison, pair: PairComparison) -> dict[str, Any]:
    return {
        "first": compared.names[pair.first],
        "second": compared.names[pair.second],
        "top1": difference_document(pair.top1),
        "p_adjusted": pair.p_adjusted,
        "significant": pair.significant,
    }


def _geometry(compared: SeveralComparison, one: Geometry) -> dict[str, Any]:
    return {
        **asdict(one),
        "first": compared.names[one.first],
        "second": compared.names[one.second],
    }


def _warnings(compared: SeveralComparison) -> Iterator[str]:
    for name, found in zip(compared.names, compared.findings, strict=True):
        for text in found.warnings if found is not None else ():
            yield f"{name}: {text}"


def say_several(
    compared: SeveralComparison, top: int, written: Sequence[Path], speaker: Speaker
) -> None:
    """Print the text: what was found, then the networks, every two, class shares and geometries."""
    from seviz.tables import tables_of

    speaker.answer(compared.sentences())
    speaker.line()
    say_warnings(list(_warnings(compared)), speaker)
    for name, table in tables_of(compared).items():
        left = 0 if name == "networks" else max(0, len(table) - top)
        shown = table.first(top) if left else table
        more = (f"and {left:,} more; --top lists more, {name}.csv has all",) if left else ()
        speaker.table(replace(shown, notes=(*table.notes, *more)))
    for note in compared.notes:
        speaker.remark(f"note: {note}")
    speaker.wrote(written)
