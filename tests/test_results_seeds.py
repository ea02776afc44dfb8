"""Seeds that no generator takes are refused, everywhere in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Refuses, Run

import seviz
from seviz.errors import UsageError
from seviz.results.record import Record
from seviz.results.seeds import checked_seed


@pytest.mark.parametrize("seed", [0, 7, np.int64(3), 2**64 - 1, True])
def test_what_numpy_takes(seed: Any) -> None:
    np.random.default_rng(seed)
    assert checked_seed(seed) == int(seed)


@pytest.mark.parametrize(
    ("seed", "found"),
    [
        (-1, "-1"),
        (2**64, "18446744073709551616"),
        (1.5, "1.5"),
        ("1", "'1'"),
        (None, "None"),
    ],
)
def test_what_is_none(seed: Any, found: str, refuses: Refuses) -> None:
    with refuses(UsageError, f"expected a seed from 0 to {2**64 - 1}, found {found}"):
        checked_seed(seed)


def test_one_too_long_to_be_written_out(refuses: Refuses) -> None:
    with refuses(UsageError, "found one of 16,610 bits"):
        checked_seed(10**5000)


@pytest.mark.parametrize("command", ["swap", "ablate"])
def test_before_a_checkpoint_is_read(run: Run, command: str) -> None:
    for seed in ("-1", str(2**64)):
        said = run(command, "absent.pt", "--data", "digits", "--seed", seed)
        assert said.code == 2
        assert f"expected a seed from 0 to {2**64 - 1}, found {seed}" in said.err.splitlines()[-1]


def test_in_python(digits_record: Path, refuses: Refuses) -> None:
    network, record = seviz.load(seviz.sample("se_resnet_digits")), Record.load(digits_record)
    with refuses(UsageError, "expected a seed", "-1"):
        seviz.ablate(network, "digits", gates="shuffle", seed=-1)
    with refuses(UsageError, "expected a seed", "-1"):
        seviz.swap_gates(network, "digits", seed=-1)
    with refuses(UsageError, "expected a seed", "-1"):
        seviz.gate_confusion(record, seed=-1)
