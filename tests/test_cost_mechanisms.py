"""What gates of other kinds than SE cost: by hand, by torch's counter, and under no other name."""

from __future__ import annotations

import json
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import Refuses, sampled
from dialects import Block, Net, conv_se, settle
from mechanisms import FOREIGN, AuthorsCBAM, AuthorsECA, Foreign
from timm.layers import EcaModule
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seviz.cost.audit import audit_network
from seviz.errors import DataError, NoSEBlockError, UsageError
from seviz.figures import block_bars, stage_bars
from seviz.results.cost import Audit
from seviz.results.mechanisms import BY_KEY
from seviz.tables import render, tables_of

SIZE = (3, 32, 32)
READ = {e.name: e for e in FOREIGN}
# The module on each branch is the gate, the whole gate and nothing else.
WHOLE = [
    e
    for e in FOREIGN
    if e.key and not BY_KEY[e.key].per_pixel and BY_KEY[e.key].form != "branches"
    if e.name != "cbam-gate-only"  # followed by its spatial half
]
SAYS_SE = re.compile(r"\bSE\b|Squeeze-and")


class Mixed(Net):
    """SE, then ECA, then CBAM."""

    def __init__(self) -> None:
        kinds = iter([conv_se, AuthorsECA, AuthorsCBAM])

        def block(inputs: int, channels: int, stride: int) -> nn.Module:
            return Block(inputs, channels, stride, se=next(kinds))

        super().__init__(block)


def counted(model: nn.Module, size: tuple[int, ...] = SIZE) -> int:
    """Return the MACs of one image as torch counts them: two FLOPs each."""
    device = next(model.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *size, device=device))
    return int(counter.get_total_flops()) // 2


def test_eca_by_hand() -> None:
    """Maps of 16 x 32 x 32 twice, then 24 x 16 x 16; a kernel of 3 in each block."""
    audit = audit_network(READ["eca-authors"].build(), SIZE, mechanism="eca")
    work, elements = audit.work, 2 * 16 * 32 * 32 + 24 * 16 * 16
    assert work is not None
    assert (audit.word, audit.se_params, audit.formula) == ("ECA", 3 * 3, 9)
    assert work.fc_macs == 3 * (16 + 16 + 24)
    assert work.squeeze_adds == work.scale_multiplications == elements
    assert work.map_bytes == 3 * 4 * elements
    assert (audit.reduction, audit.hidden_rule, audit.sweep) == (None, "", ())
    assert [round(s.share, 9) for s in audit.stages] == [round(2 / 3, 9), round(1 / 3, 9)]


def test_cbam_by_hand() -> None:
    """C to C / 4 and back, with biases, once for each of two pools; and the same at C / 2."""
    model = READ["cbam-authors"].build()
    audit = audit_network(model, SIZE, mechanism="cbam", reductions=[2, 4])
    small, large = 2 * 16 * 4, 2 * 24 * 6
    assert any("its channel half here: a spatial half" in note for note in audit.notes)
    assert audit.work is not None
    assert audit.se_params == 2 * (small + 4 + 16) + large + 6 + 24
    assert audit.work.fc_macs == 2 * (2 * small + large)
    assert (audit.reduction, audit.formula) == (4, 2 * small + large)
    wide, same = audit.sweep
    assert wide.se_params == 2 * (2 * small + 8 + 16) + 2 * large + 12 + 24
    assert (same.se_params, same.macs) == (
        audit.se_params,
        audit.totals.macs if audit.totals else 0,
    )
    assert wide.macs is not None
    assert same.macs is not None
    assert wide.macs - same.macs == audit.work.fc_macs
    assert (wide.paper, same.paper) == (None, None)


def test_attention_pooling_does_not_grow_with_the_bottleneck() -> None:
    """GC: the weights C of its pooling stay; so do a MAC for each number of the map, twice."""
    audit = audit_network(READ["gc-mul"].build(), SIZE, mechanism="gc", reductions=[2])
    layers, elements = 2 * 2 * 16 * 4 + 2 * 24 * 6, 2 * 16 * 32 * 32 + 24 * 16 * 16
    assert audit.work is not None
    assert audit.work.fc_macs == layers + 2 * elements
    (wide,) = audit.sweep
    assert audit.totals is not None
    assert wide.macs == audit.totals.macs + layers


@pytest.mark.parametrize("entry", sampled(WHOLE, 8), ids=attrgetter("name"))
def test_with_and_without_are_what_torch_counts(entry: Foreign) -> None:
    """The network without the gates is one whose modules pass their maps on, replaced by hand."""
    model = entry.build()
    audit = audit_network(model, SIZE, mechanism=entry.key)
    assert audit.totals is not None
    assert audit.not_counted == ()
    assert audit.totals.macs == counted(model)
    assert audit.params == sum(p.numel() for p in model.parameters())
    if audit.twin_macs is not None:
        assert audit.twin_macs == audit.macs_without_se
    for block in model.blocks:
        block.se = nn.Identity()
    assert audit.macs_without_se == counted(model)
    assert audit.params_without_se == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "entry", sampled([e for e in FOREIGN if e.weights is not None], 6), ids=attrgetter("name")
)
def test_the_closed_form_is_that_of_the_weights(entry: Foreign) -> None:
    audit = audit_network(entry.build(), SIZE, mechanism=entry.key)
    last = audit.blocks[-1].params
    assert (last.weights, last.formula, last.rounding) == (entry.weights, entry.weights, 0)


def test_where_the_closed_form_is_not_that_of_the_network() -> None:
    """Gathering in three small steps is not gathering by one kernel as large as the map."""
    audit = audit_network(READ["ge-theta-plus-steps"].build(), SIZE, mechanism="ge")
    assert audit.formula is None
    assert all(b.params.rounding is None for b in audit.blocks)


def test_the_maps_of_a_selective_kernel_stay() -> None:
    """Its convolutions are the network's; by hand, of C = 16, 16, 24: C -> C / 4 -> 2 C, of [N, C]."""
    audit = audit_network(READ["sk-stacked"].build(), SIZE, mechanism="sk")
    assert audit.work is not None
    assert audit.work.fc_macs == 3 * (2 * 16 * 4 + 24 * 6) == audit.formula
    # Each of two maps is scaled.
    assert audit.work.scale_multiplications == 2 * (2 * 16 * 32 * 32 + 24 * 16 * 16)
    apart = audit_network(READ["sk-apart"].build(), SIZE, mechanism="sk").work
    assert apart is not None
    assert apart.scale_multiplications == audit.work.scale_multiplications
    assert apart.fc_macs == audit.work.fc_macs


def test_a_network_of_timm() -> None:
    with torch.device("meta"):
        model = timm.create_model("ecaresnet26t", pretrained=False).eval()
    size = (3, 64, 64)
    audit = audit_network(model, size, mechanism="eca")
    modules = [m for m in model.modules() if isinstance(m, EcaModule)]
    assert len(audit.blocks) == len(modules) == 8
    assert audit.se_params == sum(p.numel() for m in modules for p in m.parameters())
    assert audit.totals is not None
    assert audit.totals.macs == counted(model, size)
    assert audit.twin_macs == audit.macs_without_se
    assert audit.work is not None
    assert audit.work.fc_macs == sum(
        b.block.channels * b.block.facts["kernel"] for b in audit.blocks
    )


# -------------------------------------------------------------------------------------------------
# Names


def keys(value: Any) -> set[str]:
    """Return the keys of a document, at every depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(("name", "key"), [("eca-authors", "eca"), ("cbam-authors", "cbam")])
def test_nothing_says_se(name: str, key: str, tmp_path: Path) -> None:
    ratios = [2] if key == "cbam" else []
    audit = audit_network(READ[name].build(), SIZE, name="net", mechanism=key, reductions=ratios)
    document = json.loads(audit.save(tmp_path).read_text(encoding="utf-8"))
    assert document["mechanism"] == key
    assert not [k for k in keys(document) if {"se", "fc"} & set(k.split("_"))]
    assert document["params"]["gates"] == audit.se_params
    assert document["macs"]["gates_layers"] == 2 * document["macs"]["total"] - (
        document["macs"]["total"] + document["macs"]["without_gates"]
    )
    assert Audit.load(tmp_path) == audit
    tables = tables_of(audit).values()
    assert not any(
        SAYS_SE.search(render(table, kind)) for table in tables for kind in ("html", "csv")
    )
    assert all("{" not in c.title for table in tables for c in table.columns)
    for draw in (stage_bars, block_bars):
        texts = [t.get_text() for t in draw(audit).findobj(lambda a: hasattr(a, "get_text"))]
        assert not any(map(SAYS_SE.search, texts))
        assert any(audit.word in text for text in texts)


def test_each_kind_is_counted_on_its_own() -> None:
    """C = 16 with hidden 4: SE 2 C h + h + C; ECA 3; CBAM of C = 24 2 C h + h + C."""
    model = settle(Mixed())
    found = {key: audit_network(model, SIZE, mechanism=key) for key in ("se", "eca", "cbam", "all")}
    params = {key: audit.se_params for key, audit in found.items()}
    alone = zip(("se", "eca", "cbam"), model.blocks, strict=True)
    own = {key: sum(p.numel() for p in block.se.parameters()) for key, block in alone}
    assert params == {**own, "all": sum(own.values())}
    assert [a.word for a in found.values()] == ["SE", "ECA", "CBAM", "SE + ECA + CBAM"]
    assert len({a.totals.macs for a in found.values() if a.totals}) == 1
    together = found["all"]
    assert [s.name for s in together.stages] == ["SE_2", "ECA_2", "CBAM_2"]
    assert sum(s.share for s in together.stages) == pytest.approx(1)
    assert Audit.from_dict(json.loads(json.dumps(together.to_dict()))) == together


def test_an_audit_of_se_says_nothing_new() -> None:
    document = audit_network(settle(Mixed()), SIZE).to_dict()
    assert "mechanism" not in document
    assert list(document["params"]) == ["total", "se", "without_se", "increase"]
    assert list(document["macs"]) == [
        *("total", "without_se", "se_fc", "se_squeeze", "se_scale", "increase"),
    ]


def test_what_cannot_be_counted(refuses: Refuses, tmp_path: Path) -> None:
    model = READ["eca-authors"].build()
    with refuses(UsageError, "--sweep", "found ECA"):
        audit_network(model, SIZE, mechanism="eca", reductions=[8])
    with refuses(NoSEBlockError, "expected CBAM blocks", "--mechanism eca reads those"):
        audit_network(model, SIZE, mechanism="cbam")
    file = audit_network(model, SIZE, mechanism="eca").save(tmp_path)
    text = file.read_text(encoding="utf-8").replace('"mechanism": "eca"', '"mechanism": "xyz"')
    file.write_text(text, encoding="utf-8")
    with refuses(DataError, "'xyz'", "update seviz"):
        Audit.load(tmp_path)
