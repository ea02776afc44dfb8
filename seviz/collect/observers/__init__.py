"""What watches a pass."""

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
    "Predictions",
    "Probabilities",
    "Reduction",
    "Tables",
]
