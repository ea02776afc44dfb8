"""The file of an audit: there and back, and damaged."""

from __future__ import annotations

import json
import random
from pathlib import Path

import mutants
import pytest

from seviz.errors import DataError
from seviz.results.cost import Audit

SAMPLES = Path(__file__).parents[1] / "reports"


@pytest.mark.parametrize("name", ["se_resnet_digits", "se_resnet20_cifar10"])
def test_hundreds_of_mutants(name: str, tmp_path: Path) -> None:
    whole = Audit.load(SAMPLES / name)
    values = json.loads((SAMPLES / name / "audit.json").read_text(encoding="utf-8"))
    path = tmp_path / "audit.json"
    refused = 0
    for number in range(150):
        changed, what = mutants.document(values, random.Random(number))
        path.write_text(json.dumps(changed))
        try:
            found = Audit.load(path)
        except DataError:
            refused += 1
            continue
        except Exception as exc:
            raise AssertionError(f"mutant {number} ({what}): {exc!r}") from exc
        assert len(found.stages) <= len(whole.blocks), what
        assert all(isinstance(c.printed, tuple) for c in found.conventions), what
    assert refused > 50
