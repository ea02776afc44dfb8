"""Files of results: records, states of passes, audits, ablations, tables of predictions."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import mutants
import numpy as np

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


def _read_packed(path: Path) -> Content:
    return {name: value for name, value in _read_record(path).items() if "mean of" not in name}


def _judge_packed(path: Path) -> Content:
    content = mutants.members(path)
    meta = json.loads(content["meta.json"])
    count, confusion = (mutants.unpack_array(content[f"{n}.npy"]) for n in ("count", "confusion"))
    right = confusion[range(len(count)), [entry["index"] for entry in meta["classes"]]]
    return {
        "count": count,
        "images": int(count.sum()),
        "labels": [entry["label"] for entry in meta["classes"]],
        "top1": int(right.sum()) / int(count.sum()),
    }


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


_CLASSES = ("ant", "bee", "cat")


def _make_distances(folder: Path) -> Path:
    path = folder / "distances.csv"
    path.write_text("class,other,distance\nant,bee,1.5\nbee,cat,2\nant,cat,0.25\n")
    return path


def _read_distances(path: Path) -> Content:
    from seviz.results.classes import ClassTable
    from seviz.results.distances import read_distances

    return {"distances": read_distances(path, ClassTable.from_labels(_CLASSES))}


def _make_log(folder: Path) -> Path:
    path = folder / "log.csv"
    path.write_text("epoch,loss,top1\n1,0.5,40\n2,0.25,60\n3,0.125,\n")
    return path


def _read_log(path: Path) -> Content:
    from seviz.results.tracking import read_log

    log = read_log(path)
    return {"epochs": log.epochs, **log.columns}


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


def _table(file: str) -> Any:
    def make(folder: Path) -> Path:
        from seviz.results.predictions import PredictionTable, write_predictions

        rng = random.Random(1)
        labels = ("ant", "bee", "čáp", "=dog")
        true = np.array([rng.randrange(4) for _ in range(40)])
        other = np.array([rng.randrange(4) for _ in range(40)])
        sure = np.array([rng.random() for _ in range(40)])
        paths = tuple(f"{labels[t]}/{i}.png" for i, t in enumerate(true))
        table = PredictionTable(labels, true, np.where(sure < 0.6, true, other), sure, paths)
        return write_predictions(table, folder / file)

    return make


def _read_table(path: Path) -> Content:
    from seviz.analysis import scores
    from seviz.results.predictions import read_predictions

    table = read_predictions(path)
    evaluation = table.evaluation()
    scores(evaluation)
    return {"rows": len(table), "top1": float(np.mean(table.true == table.predicted))}


def _judge_table(path: Path) -> Content:
    import pandas

    from seviz.results.spelling import composed

    if path.suffix == ".parquet":
        frame = pandas.read_parquet(path)
    else:
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    frame = frame[(frame != "").any(axis=1)]
    true, predicted = ([composed(str(v).strip()) for v in frame[n]] for n in ("true", "predicted"))
    return {
        "rows": len(frame),
        "top1": float(np.mean([a == b for a, b in zip(true, predicted, strict=True)])),
    }


READERS = (
    Reader("record", "result", _make_record, _read_record, _judge_record, "meta.json"),
    Reader("packed record", "result", _make_packed, _read_packed, _judge_packed, "meta.json"),
    Reader("features.npz", "result", _make_features, _read_features, _judge_features),
    Reader("distances.csv", "table", _make_distances, _read_distances, None),
    Reader("training log", "table", _make_log, _read_log, None),
    Reader("resume file", "result", _make_state, _read_state, _judge_state, "state.json"),
    Reader("audit.json", "result", _make_audit, _read_audit, _judge_audit),
    Reader("ablation.json", "result", _make_ablation, _read_ablation, _judge_ablation),
    Reader("predictions.csv", "table", _table("p.csv"), _read_table, _judge_table),
    Reader("predictions.parquet", "table", _table("p.parquet"), _read_table, _judge_table),
)
