"""The paper's statements, judged: each verdict where it is built to come out, and none without grounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import Refuses
from statsmodels.stats.contingency_tables import mcnemar
from synthetic import record_of_gates

from seviz.analysis import findings
from seviz.analysis.findings import Findings, sentences
from seviz.analysis.findings.verdicts import third
from seviz.errors import UsageError
from seviz.results.ablation import Ablation, Replaced
from seviz.results.record import Record

SHALLOW, DEEP = "shallow blocks are class-agnostic", "deeper blocks are class-specific"
SATURATES, LAST = "a late block saturates", "the last blocks matter less"
CLASSES, EACH, CHANNELS = 6, 50, 16


def network(
    own: Sequence[float], *, saturated: Sequence[int] = (), still: Sequence[int] = (), **header: Any
) -> Record:
    """Return a network whose blocks know of the class as much as ``own`` says."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    blocks = []
    for place, size in enumerate(own):
        effect = size * rng.normal(size=(CLASSES, CHANNELS))
        noise = 0.5 * rng.normal(size=(len(labels), CHANNELS))
        gates = 1 / (1 + np.exp(-(effect[labels] + noise)))
        if place in saturated:
            gates = 0.9 + 0.1 * np.sqrt(gates)
        blocks.append(0.5 + 0.001 * (gates - 0.5) if place in still else gates)
    names = [f"c{k}" for k in range(CLASSES)]
    return record_of_gates(blocks, labels, names, indices=np.arange(len(labels)), **header)


def verdicts(found: Findings) -> dict[str, str]:
    assert [s.claim for s in found.statements] == [SHALLOW, DEEP, SATURATES, LAST]
    return {s.claim: s.verdict for s in found.statements}


def ablation(costs: Sequence[tuple[int, int]], **changes: Any) -> Ablation:
    """Return the ablation of a network that has 900 of 1,000 images right; (lost, won) by block."""
    single = tuple(
        Replaced(f"SE_{i + 2}_1", (f"SE_{i + 2}_1",), lost, won, 100, 1000)
        for i, (lost, won) in enumerate(costs)
    )
    made = Ablation(
        checkpoint="se_net.pt",
        checkpoint_sha256="0" * 64,
        architecture="se_net",
        source="pictures",
        split="val",
        images=1000,
        right=900,
        by="block",
        gates="mean",
        seed=0,
        params=1000,
        se_params=300,
        macs=10_000,
        single=single,
        cumulative=(),
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("own", "shallow", "deep"),
    [
        # Class explains own^2 / (own^2 + 0.25) of the variance, and a little less through the sigmoid.
        ([0.02, 0.03, 0.3, 0.5, 1.0, 1.0], "holds", "holds"),
        ([1.0, 1.0, 0.5, 0.5, 0.3, 0.3], "does not hold", "does not hold"),
        ([0.02, 0.03, 1.0, 1.0, 0.03, 0.02], "holds", "does not hold"),
        ([0.7, 0.7, 0.7, 0.7, 1.2, 1.2], "does not hold", "holds"),
        ([0.0] * 6, "cannot be said", "cannot be said"),
    ],
    ids=["as-the-paper", "reversed", "in-the-middle", "all-specific", "class-free"],
)
def test_depth(own: list[float], shallow: str, deep: str) -> None:
    found = findings(network(own))
    assert verdicts(found)[SHALLOW] == shallow
    assert verdicts(found)[DEEP] == deep


def test_a_verdict_rests_on_the_whole_interval() -> None:
    """From class-free to class-specific in small steps; between them a step of which nothing is said."""
    said = []
    for size in np.linspace(0.05, 0.5, 16):
        statement = findings(network([size] * 3)).statements[0]
        first = statement.numbers["first_third"]
        assert first.low is not None
        assert first.high is not None
        assert (statement.verdict == "holds") == (first.high < 0.1)
        assert (statement.verdict == "does not hold") == (first.low > 0.1)
        said.append(statement.verdict)
    order = ["holds", "cannot be said", "does not hold"]
    assert said == sorted(said, key=order.index)
    assert set(said) == set(order)


def test_blocks_that_hardly_move_are_left_out() -> None:
    """Their class share is high; with them the first third would be specific."""
    found = findings(network([1.0, 1.0, 0.02, 0.02, 0.5, 1.0, 1.0, 1.0], still=(0, 1)))
    assert verdicts(found)[SHALLOW] == "holds"
    shallow = found.statements[0]
    assert "SE_4_1 and SE_5_1" in shallow.reason
    assert "Left out, for they hardly move: SE_2_1 and SE_3_1." in shallow.reason
    assert any(s.startswith("Gates hardly move in SE_2_1 (spread 0.000") for s in sentences(found))


def test_numbers_of_a_statement_are_those_of_its_blocks() -> None:
    found = findings(network([0.2, 0.3, 0.4, 0.5, 0.6, 0.7]))
    corrected = [b.corrected.value for b in found.blocks if b.corrected]
    numbers = found.statements[1].numbers
    assert numbers["first_third"].value == pytest.approx(np.mean(corrected[:2]))
    assert numbers["last_third"].value == pytest.approx(np.mean(corrected[-2:]))
    assert numbers["difference"].value == pytest.approx(
        np.mean(corrected[-2:]) - np.mean(corrected[:2])
    )


def test_the_interval_of_a_difference_knows_what_blocks_share() -> None:
    """A block that is there twice differs from itself by nothing, for every image."""
    one = network([0.8])
    names = {f"sample/SE_{i}_1": one.arrays["sample/SE_2_1"] for i in (2, 3)}
    two = network([0.8, 0.8])
    arrays = {**two.arrays, **names}
    for kind in ("sum", "sumsq", "minimum", "maximum", "low", "high"):
        arrays[f"gates/SE_3_1/{kind}"] = arrays[f"gates/SE_2_1/{kind}"]
    difference = findings(replace(two, arrays=arrays)).statements[1].numbers["difference"]
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (0, 0, 0), abs=1e-12
    )


@pytest.mark.parametrize(
    ("saturated", "verdict"), [((5,), "holds"), ((0,), "does not hold"), ((), "does not hold")]
)
def test_saturation(saturated: tuple[int, ...], verdict: str) -> None:
    """0.9 + 0.1 sqrt(g) is above 0.95 where g is above 0.25: seven in ten."""
    found = findings(network([0.8] * 6, saturated=saturated))
    assert verdicts(found)[SATURATES] == verdict


def test_one_late_block_is_not_the_most_saturated_of_one() -> None:
    found = findings(network([0.8] * 3, saturated=(2,)))
    (said,) = [s.reason for s in found.statements if s.claim == SATURATES]
    last = found.blocks[-1].block
    assert said.startswith(f"{last} has gates at the ends: ")


def test_gates_without_ends_do_not_saturate() -> None:
    record = network([0.8] * 3)
    arrays = {**record.arrays}
    arrays["gates/SE_4_1/maximum"] = 2 * arrays["gates/SE_4_1/maximum"] + 1
    found = findings(replace(record, arrays=arrays))
    assert verdicts(found)[SATURATES] == "cannot be said"
    assert "not confined to 0..1" in found.statements[2].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("partial", "was interrupted after 300 images"),
        ("one block", "one block, which is neither shallow nor deep"),
        ("one class", "One class alone has images"),
        ("old", "collect it again"),
        ("still", "No blocks of the network move"),
        ("one moves", "1 block of the network moves"),
    ],
)
def test_nothing_is_said_without_grounds(change: str, reason: str) -> None:
    own = [0.02, 0.3, 1.0]
    record = {
        "partial": lambda: network(own, partial=True),
        "one block": lambda: network([1.0]),
        "one class": lambda: one_class(network(own)),
        "old": lambda: without_sample(network(own)),
        "still": lambda: network(own, still=(0, 1, 2)),
        "one moves": lambda: network(own, still=(0, 1)),
    }[change]()
    found = findings(record)
    for statement in found.statements[:2]:
        assert statement.verdict == "cannot be said"
        assert reason in statement.reason
    assert any("partial" in w for w in found.warnings) == (change == "partial")


def without_sample(record: Record) -> Record:
    return replace(record, arrays={k: v for k, v in record.arrays.items() if "sample" not in k})


def one_class(record: Record) -> Record:
    labels = np.zeros(EACH, np.int64)
    gates = [record.arrays[f"sample/{b.name}"][:EACH] for b in record.blocks]
    return record_of_gates(gates, labels, "ab", indices=np.arange(EACH))


def test_two_classes() -> None:
    labels = np.repeat([0, 1], 100)
    rng = np.random.default_rng(0)
    blocks = [
        1 / (1 + np.exp(-(s * rng.normal(size=(2, 12))[labels] + 0.5 * rng.normal(size=(200, 12)))))
        for s in (0.02, 1.5)
    ]
    found = findings(record_of_gates(blocks, labels, "ab", indices=np.arange(200)))
    assert verdicts(found)[SHALLOW] == "holds"
    assert verdicts(found)[DEEP] == "holds"


def test_the_last_blocks_need_an_ablation() -> None:
    found = findings(network([0.2, 0.8, 0.8], still=(2,)))
    assert verdicts(found)[LAST] == "cannot be said"
    assert "'seviz ablate' measures it" in found.statements[3].reason
    assert "SE_4_1 hardly moves" in found.statements[3].reason
    # Where none moves, the last ones are not compared with anything.
    found = findings(network([0.2, 0.8, 0.8], still=(0, 1, 2)))
    assert "plausible" not in found.statements[3].reason


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ([(200, 10), (150, 12), (12, 10)], "holds"),
        ([(12, 10), (9, 10), (150, 12)], "does not hold"),
        ([(30, 10), (25, 12), (20, 10)], "cannot be said"),
    ],
)
def test_the_last_blocks_matter_less(costs: list[tuple[int, int]], verdict: str) -> None:
    found = findings(network([0.5] * 3), ablation(costs))
    assert verdicts(found)[LAST] == verdict
    numbers = found.statements[3].numbers
    drops = [(lost - won) / 10 for lost, won in costs]
    assert numbers["last"].value == pytest.approx(drops[2])
    assert numbers["rest"].value == pytest.approx(np.mean(drops[:2]))
    assert numbers["difference"].value == pytest.approx(np.mean(drops[:2]) - drops[2])


def test_the_cost_of_one_block_and_mcnemar_agree() -> None:
    """The interval of a single block leaves out 0 where McNemar's test is clear."""
    for lost, won, clear in ((60, 20, True), (25, 20, False)):
        found = findings(network([0.5] * 2), ablation([(0, 0), (lost, won)]))
        cost = found.statements[3].numbers["last"]
        assert (mcnemar([[0, lost], [won, 0]]).pvalue < 0.01) == clear
        assert cost.above(0) == clear


def test_by_stage_the_last_stage_is_the_last() -> None:
    costs = [(10, 10), (100, 0), (100, 0), (100, 0), (100, 0), (10, 10)]
    by_stage = findings(network([0.5] * 6), ablation(costs, by="stage"))
    assert by_stage.statements[3].numbers["last"].value == 0
    by_block = findings(network([0.5] * 6), ablation(costs))
    assert by_block.statements[3].numbers["last"].value == pytest.approx(5)


@pytest.mark.parametrize("change", [{"partial": True}, {"single": ()}])
def test_an_ablation_that_says_nothing(change: dict[str, Any]) -> None:
    found = findings(network([0.5] * 3), ablation([(1, 2), (3, 4)], **change))
    assert verdicts(found)[LAST] == "cannot be said"


def test_an_ablation_of_another_network_is_refused(refuses: Refuses) -> None:
    with refuses(UsageError, "expected an ablation of se_net.pt"):
        findings(network([0.5] * 3), ablation([(1, 2)] * 3, checkpoint_sha256="f" * 64))


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 1), (3, 1), (5, 2), (9, 3), (16, 5)])
def test_thirds(count: int, size: int) -> None:
    assert third(count) == size
    assert count == 1 or 2 * size <= count


def test_a_document_of_everything() -> None:
    import json

    found = findings(network([0.02, 0.3, 1.0]), ablation([(200, 10), (150, 12), (12, 10)]))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["blocks"][2]["beyond_chance"] is True
    assert values["statements"][3]["numbers"]["last"]["value"] == pytest.approx(0.2)
    assert values["sentences"] == sentences(found)
