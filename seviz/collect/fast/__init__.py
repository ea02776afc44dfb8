"""Faster ways to the same numbers: checked against the untouched network, on copies of it."""

from seviz.collect.fast.ahead import sent_ahead
from seviz.collect.fast.backends import Answer, Backend, Eager
from seviz.collect.fast.choice import Choice
from seviz.collect.fast.chosen import Chosen, Speed
from seviz.collect.fast.emulated import slower_here
from seviz.collect.fast.halving import Halving
from seviz.collect.fast.memory import keeping_memory
from seviz.collect.fast.precision import full_float32, sums_device
from seviz.collect.fast.reduced import REDUCED, Reduced, reduced
from seviz.collect.fast.threads import few_threads

__all__ = [
    "REDUCED",
    "Answer",
    "Backend",
    "Choice",
    "Chosen",
    "Eager",
    "Halving",
    "Reduced",
    "Speed",
    "few_threads",
    "full_float32",
    "keeping_memory",
    "reduced",
    "sent_ahead",
    "slower_here",
    "sums_device",
]
