"""States of passes that were damaged or edited: refused in one line, or the same sums; never a bug."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
import torch
from conftest import Refuses
from synthetic import make_blocks

from seviz.collect.fast import Choice
from seviz.collect.observers import (
    EachPrediction,
    GateSample,
    GateSums,
    KeptState,
    Observation,
    Predictions,
    Probabilities,
)
from seviz.collect.resume import Checkpointer, Done
from seviz.errors import DataError, UsageError
from seviz.results.checking import Facts

SEED, MUTANTS = 7, 400
BLOCKS = make_blocks(((1, 6), (1, 4)))
FACTS = Facts(rows=3, targets=[0, 2, 3], outputs=6, images=None, blocks=BLOCKS)
REQUEST = {"data": "pictures", "classes": ["a", "b", "c"], "--num-samples": None}
DONE = Done(12, 14, (("a/1.png", "truncated"), ("b/2.png", "truncated")))
CPU = torch.device("cpu")


class Remarks:
    """Something that outlives its process and is no array of the record."""

    def state(self) -> dict[str, torch.Tensor]:
        return {"said": torch.tensor([0, 1])}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        assert set(state["said"].tolist()) <= {0, 1}

    def merge(self, exchange: Any) -> None: ...


UNTOLD = ("Choice/change", "Probabilities/kind", "EachPrediction/index", "GateSample/index")


def holders() -> dict[str, KeptState]:
    probabilities = Probabilities()
    kept: list[Any] = [
        GateSums(BLOCKS, 3, CPU),
        GateSample(BLOCKS, CPU),
        Predictions(FACTS.targets, 6, CPU, probabilities),
        EachPrediction(probabilities),
        probabilities,
        Choice(),
        Remarks(),
    ]
    return {type(one).__name__: one for one in kept}


def watch(kept: dict[str, KeptState]) -> None:
    torch.manual_seed(0)
    for begin in (0, 6):
        batch = Observation(
            rows=torch.tensor([0, 1, 2, 1, 2, 2]),
            gates={b.name: torch.rand(6, b.channels) for b in BLOCKS},
            logits=torch.randn(6, 6),
            indices=torch.arange(begin, begin + 6),
        )
        for one in kept.values():
            if hasattr(one, "update"):
                one.update(batch)


def state_of(kept: dict[str, KeptState]) -> dict[str, Any]:
    found = {
        f"{owner}/{name}": tensor.numpy().copy()
        for owner, one in kept.items()
        for name, tensor in one.state().items()
    }
    order = found["GateSample/index"].argsort(kind="stable")  # the order of a sample has no meaning
    sample = {n: a[order] for n, a in found.items() if n.startswith("GateSample/")}
    return {**found, **sample}


@pytest.fixture
def kept_file(tmp_path: Path) -> Path:
    kept = holders()
    keeper = Checkpointer(tmp_path)
    keeper.start(REQUEST, kept, FACTS)
    watch(kept)
    keeper.keep(DONE)
    return keeper.path


def resume(path: Path) -> tuple[Done, dict[str, Any]]:
    kept = holders()
    done = Checkpointer(path.parent, resume=True).start(REQUEST, kept, FACTS)
    return done, state_of(kept)


def test_what_was_kept_comes_back(kept_file: Path) -> None:
    kept = holders()
    watch(kept)
    done, state = resume(kept_file)
    assert done == DONE
    for name, expected in state_of(kept).items():
        np.testing.assert_array_equal(state[name], expected, name)
        assert state[name].dtype == expected.dtype, name


def test_a_pass_that_was_kept_before_its_first_image(tmp_path: Path) -> None:
    keeper = Checkpointer(tmp_path)
    keeper.start(REQUEST, holders(), FACTS)
    keeper.keep(Done(0, 2, DONE.skipped))
    assert resume(keeper.path)[0] == Done(0, 2, DONE.skipped)


def test_hundreds_of_mutants(kept_file: Path) -> None:
    content = mutants.members(kept_file)
    right = resume(kept_file)
    accepted, begin = [], time.process_time()
    for number in range(MUTANTS):
        damaged, what = mutants.archive(content, "state.json", random.Random(SEED + number))
        kept_file.write_bytes(damaged)
        try:
            done, state = resume(kept_file)
        except (DataError, UsageError) as exc:
            message = str(exc)
            assert message.startswith("expected ")
            assert message.isprintable()
            assert "start anew without --resume" in message, what
            continue
        except Exception as exc:
            raise AssertionError(f"mutant {number} ({what}): {exc!r}") from exc
        accepted.append(what)
        assert (done.images, done.tried) == (right[0].images, right[0].tried), what
        for name, expected in right[1].items():
            # Which images they were, and what the outputs were taken for, no sum tells.
            if name not in UNTOLD:
                same = np.array_equal(state[name], expected)
                close = not same and what.startswith(("one ", "NaN", "infinity"))
                assert same or close, f"mutant {number} ({what}): other {name}"
    assert len(accepted) < MUTANTS // 4
    assert time.process_time() - begin < 60


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("GateSums/count", lambda a: a * 2, "24 images in count and 12 in the header"),
        ("GateSums/sum", lambda a: a * np.nan, "finite gates, found NaN"),
        ("GateSums/sum", lambda a: a * 50, "mean gates of sigmoid outside of 0 to 1"),
        ("GateSums/sum", lambda a: a[:, :-1], "a shape of 3 x 9 instead of 3 x 10"),
        ("GateSums/low", lambda a: a + 100, "more gates at the ends than images"),
        ("GateSums/minimum", lambda a: a.astype(np.float64), "float64 instead of float32"),
        ("GateSample/rows", lambda a: a + 5, "images of a class that there is not"),
        ("GateSample/gates", lambda a: a[:, :1], "a shape of 12 x 1 instead of n x 10"),
        ("GateSample/gates", lambda a: a[:5], "damage"),
        ("Predictions/confusion", lambda a: a + 1, "labels from 0 to 2, found 1 images"),
        ("Predictions/top5", lambda a: np.append(a[:-1] + 9, a[-1]), "more hits than images"),
        ("EachPrediction/index", lambda a: a[:-1], "predictions of 11 images instead of 12"),
        ("EachPrediction/predicted", lambda a: a + 6, "images or classes that there are not"),
        ("EachPrediction/probability", lambda a: a * np.nan, "that there are not"),
        ("Probabilities/kind", lambda a: a + 50, "damage in Probabilities"),
        ("Choice/change", lambda a: a + 50, "damage in Choice"),
    ],
)
def test_edited_states(
    name: str, change: Any, part: str, kept_file: Path, refuses: Refuses
) -> None:
    content = mutants.members(kept_file)
    array = change(mutants.unpack_array(content[f"{name}.npy"]))
    content[f"{name}.npy"] = mutants.pack_array(array)
    kept_file.write_bytes(mutants.packed(content))
    with refuses(DataError, part, "start anew without --resume"):
        resume(kept_file)


def test_a_pass_without_blocks(tmp_path: Path, refuses: Refuses) -> None:
    """Its counts of images are those of its predictions."""
    facts = replace(FACTS, blocks=())

    def alone() -> dict[str, KeptState]:
        kept = holders()
        return {name: kept[name] for name in ("Predictions", "Probabilities")}

    kept = alone()
    keeper = Checkpointer(tmp_path)
    keeper.start(REQUEST, kept, facts)
    watch(kept)
    keeper.keep(DONE)
    assert Checkpointer(tmp_path, resume=True).start(REQUEST, alone(), facts) == DONE
    keeper.keep(Done(11, 13, DONE.skipped))
    with refuses(DataError, "12 images in count and 11"):
        Checkpointer(tmp_path, resume=True).start(REQUEST, alone(), facts)


# -------------------------------------------------------------------------------------------------
# Two processes, one folder

RIVAL = """
import sys, time
from pathlib import Path
from seviz.results.writing import claim_folder
assert claim_folder(Path(sys.argv[1]))
print("claimed", flush=True)
time.sleep(60)
"""


@contextmanager
def rival(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", RIVAL, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "claimed\n"
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_of_two_passes_into_one_folder_the_second_is_told(tmp_path: Path, refuses: Refuses) -> None:
    own = tmp_path / "record.resume.npz"
    with rival(tmp_path):
        own.write_bytes(b"the rival's")
        told: list[str] = []
        keeper = Checkpointer(tmp_path, tell=told.append)
        keeper.start(REQUEST, holders(), FACTS)
        assert not keeper.is_due
        keeper.keep(DONE)
        keeper.clear()
        assert own.read_bytes() == b"the rival's"
        assert sum("another process collects into" in line for line in told) == 1
        with refuses(UsageError, "alone", "another process"):
            Checkpointer(tmp_path, resume=True).start(REQUEST, holders(), FACTS)
    told.clear()
    keeper = Checkpointer(tmp_path, tell=told.append)  # its claim ended with it
    keeper.start(REQUEST, holders(), FACTS)
    assert [line for line in told if "another process" in line] == []
    keeper.keep(Done())
    again = Checkpointer(tmp_path, resume=True)  # in one process there is no rival
    assert again.start(REQUEST, holders(), FACTS) == Done()
    again.clear()
    assert not own.exists()
    with rival(tmp_path):
        pass
