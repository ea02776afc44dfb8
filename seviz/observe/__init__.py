"""The one pass over a source, and what watches it."""

from seviz.observe.observers import GateSums, MergedObserver, Observation, Observer
from seviz.observe.predictions import EachPrediction, Predictions, Probabilities
from seviz.observe.run import Passed, interrupts, resolve_device, run
from seviz.observe.sampling import GateSample
from seviz.observe.states import Exchange, Kept, Reduction, Tables

__all__ = [
    "EachPrediction",
    "Exchange",
    "GateSample",
    "GateSums",
    "Kept",
    "MergedObserver",
    "Observation",
    "Observer",
    "Passed",
    "Predictions",
    "Probabilities",
    "Reduction",
    "Tables",
    "interrupts",
    "resolve_device",
    "run",
]
