"""The one pass over a source, and what watches it."""

from seviz.observe.observers import GateSums, Observation, Observer
from seviz.observe.predictions import EachPrediction, Predictions, Probabilities
from seviz.observe.run import Passed, interrupts, resolve_device, run

__all__ = [
    "EachPrediction",
    "GateSums",
    "Observation",
    "Observer",
    "Passed",
    "Predictions",
    "Probabilities",
    "interrupts",
    "resolve_device",
    "run",
]
