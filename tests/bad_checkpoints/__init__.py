"""Tables of files that are no usable checkpoint; each module adds its cases to `CASES`."""

from bad_checkpoints import arguments, contents, exhausting, traps, weights
from bad_checkpoints.cases import CASES

__all__ = ["CASES", "arguments", "contents", "exhausting", "traps", "weights"]
