"""Memory that a pass frees is used again by it, and given back after it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")

# Allocates and frees 64 MB four times, and prints how many pages the system had to bring for it.
PROBE = """
import json, resource
from contextlib import nullcontext
import torch
from seviz.collect.fast import keeping_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1])

def pages(times):
    before = faults()
    for _ in range(times):
        torch.ones(1 << 24)
    return faults() - before

torch.set_num_threads(1)
pages(1)
found = {"outside": pages(4), "resident before": resident()}
with keeping_memory():
    pages(1)
    found["inside"] = pages(4)
    with keeping_memory():
        pass
    found["after a nested one"] = pages(4)
    found["resident inside"] = resident()
found["resident after"] = resident()
torch.ones(1 << 26)
found["resident later"] = resident()
print(json.dumps(found))
"""
# What 64 MB are in pages; huge ones would make it fewer, and none of this worth telling.
PAGES = (64 << 20) // os.sysconf("SC_PAGE_SIZE")


def probed(**environment: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_the_same_pages_serve_again_and_go_back_at_the_end() -> None:
    found = probed()
    if found["outside"] < 4 * PAGES:
        pytest.skip("this system gives huge pages")
    assert found["inside"] < 2 * PAGES  # a fresh place once at most, as others are freed around it
    assert found["after a nested one"] < 2 * PAGES
    assert found["resident inside"] > found["resident before"] + PAGES * 0.9
    assert found["resident after"] < found["resident before"] + PAGES * 0.1
    assert found["resident later"] < found["resident before"] + PAGES * 1.1  # of four times as many


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "1048576"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=100")],
)
def test_what_the_user_has_set_stays(name: str, value: str) -> None:
    found = probed(**{name: value})
    assert found["inside"] >= found["outside"] > 0


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
