"""From results to the file: what each section needs, then the templates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.analysis.ablation import describe_ablation
from seviz.analysis.cost import describe_cost
from seviz.figures.depth import PANELS
from seviz.report import ablation as ablating
from seviz.report import confusion, cost, depth, provenance, summary
from seviz.report.channel_panel import Singles, single_channels
from seviz.report.charts import line_styles
from seviz.report.data import script_json, text_packed
from seviz.report.embedding import chart_item, content_policy, scripts, stylesheet
from seviz.report.gates import HEIGHT, Gates, channel_chart, gate_items, gates
from seviz.report.inputs import Inputs, gather
from seviz.report.leading import leading
from seviz.report.maps import matrix_chart, palettes
from seviz.report.names import prose_without_folders, short, shown
from seviz.report.network import network
from seviz.report.page import environment
from seviz.report.pictures import pictures
from seviz.results.ablation import Ablation
from seviz.results.cost import Audit
from seviz.results.files import written_whole
from seviz.results.record import Record
from seviz.tables import tables_of
from seviz.tables.confusion import calibration_table, classes_table, pairs_table
from seviz.tables.csv_files import to_csv
from seviz.tables.findings import SOURCES, blocks_table
from seviz.tables.table import Table

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from seviz.report.thumbnails import Thumbnails

REPORT_NAME = "report.html"


def write_report(
    source: Record | str | Path,
    output: str | Path,
    classes: Sequence[str] = (),
    *,
    audit: Audit | None = None,
    ablation: Ablation | None = None,
    full: bool = False,
    thumbnails: Thumbnails | None = None,
) -> Path:
    """Write one HTML file that holds everything a record says, and needs nothing else.

    Args:
        source: A record, its file or its folder; an audit and an ablation beside it are shown too if they
            are of the same network.
        output: The ``.html`` file; a folder gets ``report.html``.
        classes: Classes that are drawn first; every class can be chosen on the page.
        audit: Shown in place of the file beside the record.
        ablation: Shown in place of the file beside the record.
        full: Embed every channel of every class, however large the file becomes. Otherwise, of a large
            network, every class is there on an even sample of each block's channels, and ``classes`` on
            all of them.
        thumbnails: Pictures of single images, from `seviz.thumbnails`; none by default. They are images of
            your data: a report that has them is shared as these may be.

    Returns:
        The file. The same results give the same bytes.

    Raises:
        DataError: If there is no record, it holds no image, or another seviz wrote it.
        UsageError: If a class is unknown.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> write_report(record, "digits.html", ["4", "7"])  # doctest: +SKIP
    PosixPath('digits.html')
    """
    inputs = gather(source, classes=classes, audit=audit, ablation=ablation, full=full)
    inputs = replace(inputs, thumbnails=thumbnails)
    target = Path(output)
    if target.suffix.lower() not in (".html", ".htm"):
        target = target / REPORT_NAME
    text = render(inputs)
    with written_whole(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return target


def render(inputs: Inputs) -> str:
    """Return the page."""
    codes = scripts()
    page = {
        **_context(inputs),
        "codes": codes,
        "styles": stylesheet(),
        "policy": content_policy(codes),
        "made": _made(inputs.record),
    }
    blocks = [block.name for block in inputs.record.blocks]
    return environment(blocks).get_template("report.html.j2").render(page)


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    name: str
    title: str


def _context(inputs: Inputs) -> dict[str, Any]:
    """Return everything the templates show; they compute nothing."""
    record = inputs.record
    charts: dict[str, figure] = {}
    blobs: dict[str, str] = {}
    drawn = gates(inputs) if record.blocks else None
    singles = _singles(inputs, drawn) if drawn is not None else None
    sections = [Section("summary", "Findings")]
    page_data: dict[str, Any] = {"palettes": palettes(), "styles": line_styles()}
    if drawn is not None:
        sections += [Section("gates", "Gates"), Section("depth", "Depth")]
        _add_gates(inputs, drawn, charts, blobs, page_data)
    if singles is not None:
        page_data["singles"] = singles.page_data()
        blobs |= {f"single-{name}": blob for name, blob in singles.blobs.items()}
    if inputs.audit is not None:
        sections.append(Section("cost", "Cost"))
        charts |= cost.cost_charts(inputs.audit)
    if inputs.ablation is not None:
        sections.append(Section("ablation", "Ablation"))
        charts["ablation"] = ablating.ablation_chart(inputs.ablation)
        if inputs.ablation.cumulative:
            charts["pareto"] = ablating.pareto_chart(inputs.ablation)
    if inputs.thumbnails is not None:
        page_data["thumbs"] = inputs.thumbnails.page_data()
    confused = None
    if inputs.evaluation is not None:
        sections.append(Section("confusion", "Confusion"))
        confused = _add_confusion(inputs, charts, blobs, page_data)
    sections.append(Section("provenance", "Provenance"))
    items = gate_items(drawn) if drawn is not None else {}
    items |= {name: chart_item(made) for name, made in charts.items()}
    whole = {
        "depth": _depth(inputs) if drawn is not None else None,
        "cost": _cost(inputs, charts),
        "ablation": _ablation(inputs),
        "confusion": confused,
        "counts": provenance.counts_table(inputs) if inputs.evaluation is None else None,
    }
    return {
        "title": summary.title(inputs),
        "architecture": shown(record.header.architecture),
        "subject": shown(
            prose_without_folders(f"{record.header.source} {record.header.split}".strip())
        ),
        "sections": sections,
        "network": network(inputs) if record.blocks else None,
        "numbers": summary.key_numbers(inputs),
        "alarms": summary.alarms(inputs),
        "fit": summary.fit(inputs),
        "leading": leading(inputs),
        "sentences": summary.sentences(inputs),
        "judged": summary.judged(inputs),
        "claimed_by": SOURCES,
        "word": record.word,
        "method": inputs.findings.method,
        "gates": drawn,
        "singles": singles,
        **whole,
        "facts": provenance.facts(inputs),
        "notes": provenance.notes(inputs),
        "definitions": provenance.definitions(inputs),
        "skipped": provenance.skipped_table(inputs),
        "pictures": pictures(inputs),
        "charts": {name: script_json(item) for name, item in items.items()},
        "heights": {
            **dict.fromkeys(items, HEIGHT),
            **{name: made.height for name, made in charts.items()},
        },
        "blobs": blobs,
        "data": script_json(page_data),
        "files": {table.name: text_packed(to_csv(table)) for table in _saved(whole)},
    }


def _singles(inputs: Inputs, drawn: Gates) -> Singles | None:
    """Return what single images say of the channels that the page has."""
    channels = {
        panel.name: panel.meta["sample"] or range(panel.meta["channels"]) for panel in drawn.panels
    }
    known = inputs.thumbnails.names if inputs.thumbnails is not None else {}
    return single_channels(inputs.record, channels, drawn.rows, known)


def _saved(parts: dict[str, Any]) -> list[Table]:
    """Return the tables that the page hands out as files: whole, however few of their rows it shows."""
    found = []
    for name, part in parts.items():
        if part is None:
            continue
        if name == "counts":
            found.append(part)
        elif name == "depth":
            found.append(part["table"])
        elif name == "confusion":
            found += [part["every_pair"], *filter(None, [part["classes"]])]
        else:
            found += part["tables"]
    return found


def _add_gates(
    inputs: Inputs,
    drawn: Gates,
    charts: dict[str, figure],
    blobs: dict[str, str],
    page_data: dict[str, Any],
) -> None:
    record = inputs.record
    place = {row: i for i, row in enumerate(drawn.rows)}
    labels = [record.classes.labels[row] for row in drawn.rows]
    wnids = [record.classes.classes[row].wnid for row in drawn.rows]
    page_data["gates"] = {
        "classes": [shown(label) for label in labels],
        "short": [short(label) for label in labels],
        "synonyms": [wnid or "" for wnid in wnids],
        "chosen": [place[c.row] for c in inputs.chosen],
        "named": list(drawn.named),
        "first": drawn.first,
        "blocks": [p.meta for p in drawn.panels],
    }
    for panel in drawn.panels:
        blobs[f"gates-{panel.name}"] = panel.blob
    charts["channel"] = channel_chart(drawn.lowest, drawn.highest)
    tall = min(max(220, 90 + 15 * len(labels)), 560)
    charts["heat"] = matrix_chart(
        "heat",
        height=tall,
        x="channel",
        y="class",
        fields=[("class", "row"), ("channel", "column"), ("gate", "value"), ("less “all”", "more")],
        unit="gate",
    )
    charts["alike"] = matrix_chart(
        "alike",
        height=min(max(300, 90 + 18 * len(labels)), 620),
        x="",
        y="",
        fields=[("class", "row"), ("and", "column"), ("distance", "value")],
        unit="distance",
    )
    for part in PANELS:
        charts[part.name] = depth.depth_chart(part, inputs.findings)


def _depth(inputs: Inputs) -> dict[str, Any]:
    return {
        "charts": [(p.name, p.title.capitalize(), p.text, depth.legend(p)) for p in PANELS],
        "table": blocks_table(inputs.findings),
    }


def _cost(inputs: Inputs, charts: dict[str, figure]) -> dict[str, Any] | None:
    if inputs.audit is None:
        return None
    titles = {
        "cost-params": "Parameters",
        "cost-operations": "Operations for one image",
        "cost-bytes": "Bytes moved for one image",
    }
    return {
        "sentence": describe_cost(inputs.audit),
        "tables": list(tables_of(inputs.audit).values()),
        "charts": [(name, title) for name, title in titles.items() if name in charts],
        "layers": "fully connected layers" if inputs.audit.is_se else "layers",
        "parts": len([name for name in titles if name in charts]) > 1,
    }


def _ablation(inputs: Inputs) -> dict[str, Any] | None:
    if inputs.ablation is None:
        return None
    done = inputs.ablation
    where = f"All on the same {done.images:,} images of {prose_without_folders(done.source)}."
    return {
        "sentence": shown(f"{describe_ablation(done)} {where}"),
        "tables": [table for table in tables_of(done).values() if table.rows],
        "pareto": bool(inputs.ablation.cumulative),
        "word": done.word,
    }


def _add_confusion(
    inputs: Inputs, charts: dict[str, figure], blobs: dict[str, str], page_data: dict[str, Any]
) -> dict[str, Any]:
    assert inputs.evaluation is not None
    packed = confusion.matrix(inputs.evaluation)
    page_data["confusion"] = {**packed.meta, "images": _cells(inputs, packed.meta)}
    blobs["confusion"] = packed.blob
    rows = len(inputs.evaluation.labels)
    charts["confusion"] = matrix_chart(
        "confusion",
        height=min(max(340, 90 + 26 * rows), 680),
        x="predicted class",
        y="true class",
        fields=[("true", "row"), ("predicted", "column"), ("images", "value"), ("share", "more")],
        unit="images",
        numbers=True,
    )
    pairs, most = pairs_table(inputs.evaluation), confusion.MOST_PAIRS
    found = inputs.scores
    calibration = found.calibration if found is not None else None
    if calibration is not None:
        charts["reliability"] = confusion.reliability_chart(calibration)
    return {
        "pairs": pairs.first(most),
        "every_pair": pairs,
        "more": f"{most} of {len(pairs):,} pairs of classes; the CSV file and the matrix have all."
        if len(pairs) > most
        else "",
        "printed": confusion.PRINTED,
        "classes": classes_table(found) if found is not None else None,
        "calibration": calibration,
        "bins": calibration_table(calibration) if calibration is not None else None,
        "orders": list(packed.meta["orders"]),
        "images": bool(page_data["confusion"]["images"]),
    }


def _cells(inputs: Inputs, meta: dict[str, Any]) -> dict[str, list[int]]:
    """Return the images behind the cells of the confusion matrix, by row and column."""
    if inputs.thumbnails is None:
        return {}
    rows, columns = ({name: i for i, name in enumerate(meta[k])} for k in ("rows", "columns"))
    return {
        f"{rows[shown(true)]},{columns[shown(predicted)]}": list(images)
        for (true, predicted), images in inputs.thumbnails.confused.items()
        if shown(true) in rows and shown(predicted) in columns
    }


def _made(record: Record) -> str:
    """Return what the page says of its own making: never the time of day, unless that was given."""
    import datetime
    from importlib.metadata import version

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal() and len(epoch) < 12:  # up to the year 5138
        day = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date().isoformat()
    else:
        day = record.header.created[:10]
    return f"seviz {version('seviz')}" + (f", {day}" if day else "")
