"""The processors that this process may use, and how a pass divides them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_DESCRIBED = Path("/proc/cpuinfo")
# What Linux calls the instructions of x86 and of ARM that compute in a type.
_INSTRUCTIONS = {
    "bfloat16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
    "float16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
}
# A GPU is soon faster than four processes decode; on processors the network itself is what takes time.
_MOST_WORKERS = {"cpu": 4, "gpu": 16}


@dataclass(frozen=True)
class Division:
    """Who gets how many processors.

    The network gets all of them: the workers run at a lower priority, so they decode on what it leaves,
    and on everything while it waits for them.

    Attributes:
        threads: Most threads for the network on the CPU; ``None`` where the user has set their number.
        workers: Processes that decode images.
    """

    threads: int | None
    workers: int


def divide(processes: int = 1, *, gpu: bool = False) -> Division:
    """Return how many threads and workers one of several equal processes on this machine is to have.

    Args:
        processes: Passes that share the processors.
        gpu: Whether the network runs on a GPU.
    """
    own = max(1, available() // processes)
    told = any(name in os.environ for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    return Division(None if told else own, min(own, _MOST_WORKERS["gpu" if gpu else "cpu"]))


def available(cgroups: Path = _CGROUPS) -> int:
    """Return the number of processors that this process may keep busy.

    Under ``taskset``, or in a container with a quota, that is fewer than the machine has; PyTorch starts a
    thread for each processor that it sees, and in a container they wait for one another.

    Args:
        cgroups: Where Linux says what quota there is.
    """
    seen = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        seen = len(os.sched_getaffinity(0))
    quota = _quota(cgroups)
    return seen if quota is None else max(1, min(seen, round(quota)))


def computes_in(name: str, described: Path = _DESCRIBED) -> bool:
    """Return whether the processor is known to have instructions for a shorter type than float32.

    Args:
        name: ``bfloat16`` or ``float16``.
        described: Where Linux says what the processor has.
    """
    if "ONEDNN_MAX_CPU_ISA" in os.environ:  # the user holds back what there is
        return False
    try:
        lines = described.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    found = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return not _INSTRUCTIONS[name].isdisjoint(next(found, "").split())


def _quota(cgroups: Path) -> float | None:
    """Return the processor time per time that this container is allowed, ``None`` for any."""
    try:
        if (file := cgroups / "cpu.max").exists():  # version 2
            most, period = file.read_text(encoding="ascii").split()
        else:
            most, period = (
                (cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        return None if most in ("max", "-1") else int(most) / int(period)
    except (OSError, ValueError):
        return None
