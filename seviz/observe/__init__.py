"""The one pass over a source, and what watches it."""

from seviz.observe.observers import GateSums, Observation, Observer
from seviz.observe.predictions import EachPrediction, Predictions, Probabilities
from seviz.observe.run import Passed, interrupts, resolve_device, run
from seviz.observe.sampling import GateSample

__all__ = [
    "EachPrediction",
    "GateSample",
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
