"""A pass that is made in parts: over several processes, or in several attempts, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seviz.collect.distributed import Ranks
from seviz.collect.forward import Passed
from seviz.collect.observers import KeptState
from seviz.collect.prepared import AnyBatches, Prepared
from seviz.collect.resume import Checkpointer, Done
from seviz.data import none_readable
from seviz.results.checking import Facts


class Shard:
    """What this process has to do of a pass.

    Args:
        ready: The pass.
        batches: All of its images.
        kept: What holds the state of the pass, one of each type.
        ranks: The processes that share it.
        keeper: Keeps the state, and knows what was done before.

    Attributes:
        batches: The images that are left for this process.

    Raises:
        CheckpointError: If it is to be resumed with another network.
        DataError: If it is to be resumed with other images, or the processes were given different ones.
        UsageError: If it is to be resumed with other options.
    """

    def __init__(
        self,
        ready: Prepared,
        batches: AnyBatches,
        kept: Sequence[KeptState],
        ranks: Ranks,
        keeper: Checkpointer | None,
    ) -> None:
        self._kept = {type(holder).__name__: holder for holder in kept}
        self._ranks, self._keeper = ranks, keeper
        share = batches.share(ranks.rank, ranks.size)
        if ranks.several:
            # Copies of the files on other machines have other times.
            same = {**ready.request, "images": batches.fingerprint(times=False)}
            ranks.require_same({n: v for n, v in same.items() if "times" not in n})
        self._before = Done()
        if keeper is not None:
            asked = {
                **ready.request,
                "device": str(ready.device),
                "images of this process": f"{share.start} to {share.stop} of {batches.total}",
            }
            facts = Facts(
                rows=len(ready.match.table),
                targets=ready.targets,
                outputs=ready.found.outputs,
                images=None,
                blocks=ready.blocks,
            )
            self._before = keeper.start(asked, self._kept, facts)
        for name, reason in self._before.skipped:
            batches.refuse_if_strict(name, reason)
        left = share[self._before.tried :]
        whole = not self._before.tried and len(share) == len(batches.share(0, 1))
        self.batches: AnyBatches = batches if whole else batches.only(left)
        self._images = 0

    def after_each(self, tell: Callable[[int], Any] | None) -> Callable[[int], None]:
        """Return what the pass is to call after each batch; it calls ``tell`` in turn."""

        def on_batch(count: int) -> None:
            self._images += count
            if tell is not None:
                tell(count)
            if self._keeper is not None and self._keeper.is_due:
                self._keep()

        return on_batch

    def end(self, passed: Passed) -> Done:
        """Merge the parts of all processes, and return how far the pass has come as a whole.

        Raises:
            KeyboardInterrupt: If Ctrl-C ended one of several processes.
            DataError: If no image can be read.
            DeviceError: If a process is gone.
        """
        if passed.interrupted:
            self._keep()
            if self._ranks.several:
                raise KeyboardInterrupt
        before = self._before
        parts = self._ranks.gather(
            (before.images + passed.images, (*before.skipped, *self.batches.skipped))
        )
        images = sum(count for count, _ in parts)
        skipped = tuple(one for _, names in parts for one in names)
        if not images and not passed.interrupted:
            raise none_readable(skipped)
        for holder in self._kept.values():
            holder.merge(self._ranks)
        return Done(images, images + len(skipped), skipped)

    def _keep(self) -> None:
        position = self.batches.position(self._images)
        if self._keeper is None or position is None:
            return
        tried, skipped = position
        before = self._before
        self._keeper.keep(
            Done(
                before.images + self._images,
                before.tried + tried,
                (*before.skipped, *self.batches.skipped[:skipped]),
            )
        )
