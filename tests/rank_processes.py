"""Several processes of a pass as forks of this one, since what takes long in a launch is importing torch."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """What one process left behind."""

    code: int | None
    out: str
    err: str


def forked(
    size: int,
    words: Sequence[str],
    cwd: Path,
    within: Callable[[int], AbstractContextManager[Any]] = lambda rank: nullcontext(),
) -> list[Ended]:
    """Run one command line in several processes, as torchrun would on one machine.

    Args:
        size: Number of processes.
        words: The command line.
        cwd: Where they run.
        within: Returns what process of this number runs in; says more on its standard error at the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        # They meet in a file: a port that is free now may not be when they listen.
        processes = [
            context.Process(target=_run, args=(rank, size, list(words), cwd, Path(folder), within))
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return [
            Ended(process.exitcode, *(Path(folder, f"{n}.{rank}").read_text() for n in (1, 2)))
            for rank, process in enumerate(processes)
        ]


def _run(
    rank: int,
    size: int,
    words: list[str],
    cwd: Path,
    folder: Path,
    within: Callable[[int], AbstractContextManager[Any]],
) -> None:
    import torch
    import torch.distributed

    from seviz.cli import main

    for number in (1, 2):
        os.dup2(os.open(folder / f"{number}.{rank}", os.O_CREAT | os.O_WRONLY), number)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
    os.chdir(cwd)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    torch.set_num_threads(1)  # the threads of the process that was forked are not here
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size
    )
    with within(rank):
        try:
            code = main(words)
        except SystemExit as exc:
            code = int(exc.code or 0)
    sys.exit(code)
