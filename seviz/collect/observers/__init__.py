"""The one pass over a source, and what watches it."""

from seviz.collect.forward import Passed, interrupts, resolve_device, run
from seviz.collect.observers.gates import GateSums, MergedObserver, Observation, Observer
from seviz.collect.observers.predictions import EachPrediction, Predictions, Probabilities
from seviz.collect.observers.remarks import ImageRemarks
from seviz.collect.observers.sample import GateSample
from seviz.collect.observers.state import Exchange, KeptState, Reduction, Tables

__all__ = [
    "EachPrediction",
    "Exchange",
    "GateSample",
    "GateSums",
    "ImageRemarks",
    "KeptState",
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
