"""Faster ways to the same numbers: checked against the untouched network, on copies of it."""

from seviz.collect.fast.backends import Answer, Backend, Eager
from seviz.collect.fast.choice import Choice
from seviz.collect.fast.chosen import Chosen, Speed
from seviz.collect.fast.halving import Halving
from seviz.collect.fast.memory import keeping_memory
from seviz.collect.fast.precision import full_float32, sums_device
from seviz.collect.fast.threads import few_threads

__all__ = [
    "Answer",
    "Backend",
    "Choice",
    "Chosen",
    "Eager",
    "Halving",
    "Speed",
    "few_threads",
    "full_float32",
    "keeping_memory",
    "sums_device",
]
