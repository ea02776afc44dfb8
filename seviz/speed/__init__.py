"""Faster ways to the same numbers: checked against the untouched network, on copies of it."""

from seviz.speed.choice import Choice
from seviz.speed.chosen import Chosen, Speed
from seviz.speed.halving import Halving
from seviz.speed.lending import lent, sums_device
from seviz.speed.memory import keeping_memory
from seviz.speed.precision import full_float32
from seviz.speed.threads import few_threads
from seviz.speed.ways import Answer, Eager, Way

__all__ = [
    "Answer",
    "Choice",
    "Chosen",
    "Eager",
    "Halving",
    "Speed",
    "Way",
    "few_threads",
    "full_float32",
    "keeping_memory",
    "lent",
    "sums_device",
]
