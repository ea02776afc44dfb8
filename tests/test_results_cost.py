"""The result of an audit: JSON there and back, and how numbers are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import Refuses

from seviz.analysis.cost import describe_cost
from seviz.cost import audit_network, audit_parameters
from seviz.errors import DataError
from seviz.networks.architectures.registry import build
from seviz.results.cost import Audit, BlockWork, Convention, Latency, SweepRow


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audit_network(build("se_resnet14"), (3, 32, 32), name="ours", reductions=(2, 4))


def timed(audit: Audit) -> Audit:
    times = tuple(Latency("cpu", n, 20, 2.0 + n, 1.0, 2.1, 2.0, 2.2, 1) for n in (1, 8))
    return replace(audit, latency=times, checkpoint_sha256="0" * 64, inserted=("a", "b"))


def alone(audit: Audit) -> Audit:
    return audit_parameters([b.block for b in audit.blocks], audit.params)


@pytest.mark.parametrize("change", [lambda a: a, timed, alone])
def test_json_there_and_back(
    audit: Audit, change: Callable[[Audit], Audit], tmp_path: Path
) -> None:
    changed = change(audit)
    assert Audit.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed
    assert Audit.load(changed.save(tmp_path, {"more": 1})) == changed


@pytest.mark.parametrize("change", [lambda a: a, timed, alone])
def test_files_of_an_older_seviz_load(
    audit: Audit, change: Callable[[Audit], Audit], tmp_path: Path
) -> None:
    """These hold the fields of the class under ``result``, beside the keys that scripts read."""
    changed = change(audit)
    fields = asdict(changed)
    fields["blocks"] = [{**asdict(b), "block": b.block.to_dict()} for b in changed.blocks]
    document = {**changed.to_dict(), "schema_version": 1, "result": fields}
    (tmp_path / "audit.json").write_text(json.dumps(document))
    assert Audit.load(tmp_path) == changed


def test_what_is_no_audit(tmp_path: Path, refuses: Refuses) -> None:
    for text, part in (
        ("{", "something else"),
        ("[]", "something else"),
        ('{"schema_version": 1}', "something else"),
        ('{"schema_version": 99}', "schema version 1, found 99"),
    ):
        (tmp_path / "audit.json").write_text(text)
        with refuses(DataError, part):
            Audit.load(tmp_path)


def test_each_number_is_there_once(audit: Audit) -> None:
    """Numbers by hand that stand for nothing else are in the document in one place."""
    work = BlockWork(1_000_003, 1_000_033, 1_000_037, 1_000_039, 1_000_081, 1_000_099)
    params = replace(audit.blocks[0].params, weights=2_000_003, per_hidden=2_000_029)
    totals = replace(
        audit.totals, norm_elements=3_000_017, pool_elements=3_000_029, bytes_without_se=3_000_047
    )  # type: ignore[type-var]
    first = replace(audit.blocks[0], work=work, params=params)
    changed = replace(
        audit, blocks=(first, *audit.blocks[1:]), totals=totals, running_stats=4_000_037
    )
    text = json.dumps(changed.to_dict())
    numbers = (
        *asdict(work).values(),
        2_000_003,
        2_000_029,
        3_000_017,
        3_000_029,
        3_000_047,
        4_000_037,
    )
    assert [text.count(str(n)) for n in numbers] == [1] * len(numbers)
    assert text.count('"SE_2_1"') == 1


def test_memory_adds_up(audit: Audit) -> None:
    assert audit.totals is not None
    se = audit.totals.bytes_moved - audit.totals.bytes_without_se
    assert sum(b.bytes_moved or 0 for b in audit.blocks) == audit.se_bytes == se
    assert sum(s.bytes_moved or 0 for s in audit.stages) == se
    # Of 16 x 32 x 32: read twice, written once; two kernels of 16 x 1 and their parameters.
    assert audit.blocks[0].bytes_moved == 12 * 16 * 32 * 32 + 4 * audit.blocks[0].params.total
    assert alone(audit).blocks[0].bytes_moved is alone(audit).se_bytes is None


def test_sentences(audit: Audit) -> None:
    said = describe_cost(replace(audit, params=11_000, se_params=1_000))
    assert said.startswith(
        "SE has 1,000 of the network's 11,000 parameters: +10.00% over the network"
    )
    said = describe_cost(replace(audit, inserted=("a", "b")))
    assert said.startswith("This network has no SE. With 2 SE blocks put into it (r = 16), SE has ")
    said = describe_cost(replace(audit, inserted=("a",), reduction=None))
    assert said.startswith("This network has no SE. With 1 SE block put into it, SE has ")


@pytest.mark.parametrize(
    ("name", "without", "with_se", "printed"),
    [
        ("paper", 3_869_999_999, 3_870_000_000, ("3.86 G", "3.87 G")),
        ("paper", 568_740_352, 571_929_600, ("569 M", "572 M")),
        ("macs", 3_857_973_248, 3_860_488_192, ("3.858 G", "3.860 G")),
        ("macs", 40_813_184, 40_817_216, ("40.8 M", "40.8 M")),
        ("fvcore", None, 3_881_762_816, ("-", "3.882 G")),
        ("paper", 175_744, 182_912, ("0.176 M", "0.183 M")),
        ("fvcore", 8_999_400, 9_000_600, ("8.999 M", "9.001 M")),
    ],
)
def test_printed(name: str, without: int | None, with_se: int, printed: tuple[str, str]) -> None:
    found = Convention(name, with_se, without, "")
    assert found.printed == printed
    assert [
        n is None or float(t.split()[0]) == pytest.approx(1000 * n if "M" in t else n)
        for n, t in zip(map(found.giga, (without, with_se)), printed, strict=True)
    ] == [True, True]


def test_sums(audit: Audit) -> None:
    work = audit.work
    assert work is not None
    # Three stages of two blocks: 16 x 32 x 32, 32 x 16 x 16 and 64 x 8 x 8, hidden C / 16.
    maps = [2 * c * s * s for c, s in ((16, 32), (32, 16), (64, 8))]
    assert work.squeeze_adds == sum(maps)
    assert work.operations == 2 * sum(maps) + sum(4 * c * c // 16 for c in (16, 32, 64))
    assert work.map_bytes == 12 * sum(maps)
    assert [s.work.squeeze_adds for s in audit.stages if s.work is not None] == maps
    assert sum(s.share for s in audit.stages) == pytest.approx(1)
    assert sum(s.params for s in audit.stages) == audit.se_params
    assert audit.params_increase == audit.se_params / (audit.params - audit.se_params)
    assert audit.convention("fvcore") is None


def test_a_size_fits_to_one_decimal_of_a_million() -> None:
    row = SweepRow(2, 0, 0, None, 45_749_999, 45_752_360, paper=45.7)
    assert (row.fits(row.size), row.fits(row.size_with_biases)) == (True, False)
