"""The one pass over a source, and what watches it."""

from seviz.observe.observers import GateSums, Observation, Observer, Predictions
from seviz.observe.run import Passed, resolve_device, run

__all__ = ["GateSums", "Observation", "Observer", "Passed", "Predictions", "resolve_device", "run"]
