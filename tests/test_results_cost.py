"""The result of an audit: JSON there and back, and how numbers are printed."""

from __future__ import annotations

import json

import pytest

from seviz.cost import audit_network, audit_parameters
from seviz.networks.architectures.registry import build
from seviz.results.cost import Audit, Convention, SweepRow


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audit_network(build("se_resnet14"), (3, 32, 32), name="ours", reductions=(2, 4))


def test_json_there_and_back(audit: Audit) -> None:
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    alone = audit_parameters([b.block for b in audit.blocks], audit.params)
    assert Audit.from_dict(json.loads(json.dumps(alone.to_dict()))) == alone


@pytest.mark.parametrize(
    ("name", "without", "with_se", "printed"),
    [
        ("paper", 3_869_999_999, 3_870_000_000, ("3.86 G", "3.87 G")),
        ("paper", 568_740_352, 571_929_600, ("569 M", "572 M")),
        ("macs", 3_857_973_248, 3_860_488_192, ("3.858 G", "3.860 G")),
        ("macs", 40_813_184, 40_817_216, ("40.8 M", "40.8 M")),
        ("fvcore", None, 3_881_762_816, ("-", "3.882 G")),
    ],
)
def test_printed(name: str, without: int | None, with_se: int, printed: tuple[str, str]) -> None:
    assert Convention(name, with_se, without, "").printed == printed


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
