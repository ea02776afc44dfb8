"""Memory that a pass frees is used again by it, and given back after it.

The system may take pages back at any time, so that there are fewer than a process left: that memory serves
again is read off what malloc says of itself, and pages are counted only where there must be few.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="glibc alone is told, and says what it holds from 2.33 on",
)

# Allocates and frees 64 MB, then 48 MB many times, and prints the bytes that are held meanwhile: of the
# heap, which malloc keeps, those mapped for one block alone, which go with it, and those in memory.
# Small blocks come to lie in what was freed, differently from run to run: 48 MB may not fit into it then,
# and the heap grows, but not each time.
PROBE = """
import ctypes, json, os
import torch
from seviz.collect.fast import keeping_memory

class Said(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split())]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Said

def said():
    now = mallinfo()
    pages = int(open("/proc/self/statm").read().split()[1])
    return {"heap": now.arena, "mapped": now.hblkhd, "resident": pages * os.sysconf("SC_PAGE_SIZE")}

def held(floats=3 << 22):
    block = torch.ones(floats)
    return said()

torch.set_num_threads(1)
torch.ones(1 << 24)
found = {"before": said(), "outside": held()}
with keeping_memory():
    torch.ones(1 << 24)
    found["kept"] = said()
    found["inside"] = [held() for _ in range(20)]
    found["freed"] = said()
    with keeping_memory():
        found["nested"] = held()
    found["after a nested one"] = held()
    found["freed again"] = said()
found["after"] = said()
found["later"] = held(1 << 26)
found["at last"] = said()
print(json.dumps(found))
"""
LARGE, SMALL, FEW = 64 << 20, 48 << 20, 1 << 20


def probed(**environment: str) -> dict[str, dict[str, int]]:
    """Return what was held at each point, in bytes more than at the beginning."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    found = json.loads(done.stdout)
    for number, each in enumerate(found.pop("inside")):
        found[f"inside, {number}"] = each
    before = found.pop("before")
    return {
        place: {where: now[where] - before[where] for where in before}
        for place, now in found.items()
    }


def test_the_same_memory_serves_again_and_goes_back_at_the_end() -> None:
    found = probed()
    assert found["outside"]["mapped"] == pytest.approx(SMALL, abs=FEW)
    kept = found["kept"]["heap"]
    assert kept > LARGE - FEW
    inside = [
        place for place in found if place.startswith(("inside", "nested", "after a", "freed"))
    ]
    assert len(inside) == 24
    for place in inside:
        assert abs(found[place]["mapped"]) < FEW, place
        assert kept - FEW < found[place]["heap"] < kept + 2 * SMALL, place
    for place in ("after", "at last"):
        assert found[place]["resident"] < LARGE / 10, place
        assert abs(found[place]["mapped"]) < FEW, place
    assert found["later"]["mapped"] > 3 * LARGE


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "value"),
    [("GLIBC_TUNABLES", "glibc.malloc.mmap_max=100"), ("MALLOC_MMAP_THRESHOLD_", "1048576")],
)
def test_what_the_user_has_set_stays(name: str, value: str) -> None:
    found = probed(**{name: value})
    assert found["inside, 0"]["mapped"] == pytest.approx(SMALL, abs=FEW)
    assert abs(found["inside, 0"]["heap"]) < FEW


def test_numbers_are_the_same_bits() -> None:
    import torch

    from seviz.collect.fast import keeping_memory

    torch.manual_seed(0)
    layer, images = torch.nn.Conv2d(3, 8, 3), torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        plain = layer(images)
        with keeping_memory():
            kept = layer(images)
    assert torch.equal(plain, kept)


def test_small_rests_beside_aligned_maps_are_joined_while_a_pass_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No fast bins (M_MXFAST, 1), in which they would lie between free maps; glibc's 128 bytes afterwards."""
    from seviz.collect.fast import keeping_memory, memory

    told: dict[int, int] = {}

    class Library:
        def mallopt(self, name: int, value: int) -> int:
            told[name] = value
            return 1

        def malloc_trim(self, pad: int) -> int:
            return 1

    monkeypatch.setattr(memory, "_glibc", Library)
    with keeping_memory():
        assert told[1] == 0
        assert told[-4] == 0
    assert told[1] == 128
    assert told[-4] == 65_536
