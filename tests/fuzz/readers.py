"""All readers, those of untrusted bytes first."""

from __future__ import annotations

from fuzz import checkpoints, images, results, tables

READERS = (*checkpoints.READERS, *results.READERS, *tables.READERS, *images.READERS)
