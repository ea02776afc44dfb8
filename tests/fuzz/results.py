"""Files of results: records, states of passes, audits, ablations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mutants
import numpy as np

from fuzz.packed import packed_sums
from fuzz.reader import Content, Reader


def _make_record(folder: Path) -> Path:
    from test_results_damage import good_record

    return good_record().save(folder)


def _read_record(path: Path) -> Content:
    from test_results_damage import everything

    from seviz.results.record import Record

    numbers = everything(path)
    record = Record.load(path)
    found: dict[str, Any] = {
        "count": record.count,
        "top1": numbers["top1"],
        "images": record.header.images,
    }
    found["labels"] = [info.label for info in record.classes.classes]
    for block in record.blocks:
        found[f"mean of {block.name}"] = record.stats(block.name).mean
    return found


def _judge_record(path: Path) -> Content:
    content = mutants.members(path)
    meta = json.loads(content["meta.json"])
    arrays = {
        name: mutants.unpack_array(data) for name, data in content.items() if name.endswith(".npy")
    }
    count = arrays["count.npy"]
    found: dict[str, Any] = {"count": count, "images": int(count.sum())}
    found["labels"] = [entry["label"] for entry in meta["classes"]]
    right = arrays["confusion.npy"][
        range(len(count)), [entry["index"] for entry in meta["classes"]]
    ]
    found["top1"] = int(right.sum()) / int(count.sum())
    for block in meta["blocks"]:
        with np.errstate(all="ignore"):
            mean = arrays[f"gates/{block['name']}/sum.npy"] / count[:, None]
        found[f"mean of {block['name']}"] = mean
    return found


def _make_packed(folder: Path) -> Path:
    from seviz.results import tables

    usual = tables.PACKED_FROM
    tables.PACKED_FROM = 0
    try:
        return _make_record(folder)
    finally:
        tables.PACKED_FROM = usual


def _judge_packed(path: Path) -> Content:
    content = mutants.members(path)
    meta = json.loads(content["meta.json"])
    count, confusion = (mutants.unpack_array(content[f"{n}.npy"]) for n in ("count", "confusion"))
    right = confusion[range(len(count)), [entry["index"] for entry in meta["classes"]]]
    found: dict[str, Any] = {
        "count": count,
        "images": int(count.sum()),
        "labels": [entry["label"] for entry in meta["classes"]],
        "top1": int(right.sum()) / int(count.sum()),
    }
    for block in meta["blocks"]:
        with np.errstate(all="ignore"):
            mean = packed_sums(content, block["name"], count) / count[:, None]
        found[f"mean of {block['name']}"] = mean
    return found


def _make_features(folder: Path) -> Path:
    from seviz.results.features import SampledFeatures

    values = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    return SampledFeatures(np.arange(12), values).save(folder / "features.npz", "today")


def _read_features(path: Path) -> Content:
    from seviz.errors import DataError
    from seviz.results.features import SampledFeatures

    found = SampledFeatures.load(path, "today")
    if found is None:
        raise DataError("expected features, found none that serve; they are made again")
    return {"index": found.index, "values": found.values}


def _judge_features(path: Path) -> Content:
    content = mutants.members(path)
    return {name: mutants.unpack_array(content[f"{name}.npy"]) for name in ("index", "values")}


def _make_state(folder: Path) -> Path:
    from test_collect_restored import DONE, FACTS, REQUEST, holders, watch

    from seviz.collect.resume import Checkpointer

    kept = holders()
    keeper = Checkpointer(folder)
    keeper.start(REQUEST, kept, FACTS)
    watch(kept)
    keeper.keep(DONE)
    return keeper.path


def _read_state(path: Path) -> Content:
    from test_collect_restored import resume, state_of  # noqa: F401

    done, state = resume(path)
    return {**state, "images": done.images, "tried": done.tried}


def _judge_state(path: Path) -> Content:
    content = mutants.members(path)
    document = json.loads(content["state.json"])
    found: dict[str, Any] = {name: document[name] for name in ("images", "tried")}
    arrays = {n[:-4]: mutants.unpack_array(c) for n, c in content.items() if n.endswith(".npy")}
    order = arrays["GateSample/index"].argsort(kind="stable")
    sample = {n: a[order] for n, a in arrays.items() if n.startswith("GateSample/")}
    return {**found, **arrays, **sample}


def _make_audit(folder: Path) -> Path:
    from seviz.cost.entry import audit

    return audit("se_resnet14", (3, 16, 16), sweep=(2, 4)).save(folder)


def _read_audit(path: Path) -> Content:
    from seviz.results.cost import Audit
    from seviz.tables import tables_of

    made = Audit.load(path)
    made.to_dict()
    tables_of(made)
    found: dict[str, Any] = {"params": made.params, "se": made.se_params, "name": made.name}
    found["macs"] = made.totals.macs if made.totals is not None else None
    found["blocks"] = [block.block.name for block in made.blocks]
    return found


def _judge_audit(path: Path) -> Content:
    values = json.loads(path.read_text(encoding="utf-8"))
    macs = values["macs"]
    return {
        "params": values["params"]["total"],
        "se": values["params"]["se"],
        "name": values["name"],
        "macs": macs["total"] if values["totals"] is not None else None,
        "blocks": [block["name"] for block in values["blocks"]],
    }


def _make_ablation(folder: Path) -> Path:
    from seviz.results.ablation import Ablation, Replaced

    names = ("SE_2_1", "SE_3_1", "SE_4_1")
    single = tuple(Replaced(n, (n,), 9 - 2 * i, i, 100 + i, 1000 + i) for i, n in enumerate(names))
    together = tuple(
        Replaced(n, names[: i + 1], 10 + i, 2, 100 * (i + 1), 1000 * (i + 1))
        for i, n in enumerate(names)
    )
    made = Ablation(
        *("net.pt", "0" * 64, "se_resnet14", "digits", "test", 100, 80, "block", "mean"),
        *(0, 10_000, 400, 10**6, single, together),
    )
    return made.save(folder)


def _read_ablation(path: Path) -> Content:
    from seviz.results.ablation import Ablation
    from seviz.tables import tables_of

    made = Ablation.load(path)
    tables_of(made)
    found: dict[str, Any] = {
        name: getattr(made, name) for name in ("images", "right", "params", "macs")
    }
    return {**found, "single": [(s.name, s.lost, s.won) for s in made.single]}


def _judge_ablation(path: Path) -> Content:
    values = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = {name: values[name] for name in ("images", "right", "params", "macs")}
    return {**found, "single": [(s["name"], s["lost"], s["won"]) for s in values["single"]]}


READERS = (
    Reader("record", "result", _make_record, _read_record, _judge_record, "meta.json"),
    Reader("packed record", "result", _make_packed, _read_record, _judge_packed, "meta.json"),
    Reader("features.npz", "result", _make_features, _read_features, _judge_features),
    Reader("resume file", "result", _make_state, _read_state, _judge_state, "state.json"),
    Reader("audit.json", "result", _make_audit, _read_audit, _judge_audit),
    Reader("ablation.json", "result", _make_ablation, _read_ablation, _judge_ablation),
)
