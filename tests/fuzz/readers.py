"""All readers, those of untrusted bytes first."""

from __future__ import annotations

from fuzz import checkpoints, images, results

READERS = (*checkpoints.READERS, *results.READERS, *images.READERS)
