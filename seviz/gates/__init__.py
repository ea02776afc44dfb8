"""Finding SE gates by data flow, and reading them without a trace."""

from seviz.gates.find import Found, OtherMechanism, Trace, TracedBlock, find, trace
from seviz.gates.inputs import Example, Inputs
from seviz.gates.tap import Tap, evaluating, require_weights, uncompiled, unwrap

__all__ = [
    "Example",
    "Found",
    "Inputs",
    "OtherMechanism",
    "Tap",
    "Trace",
    "TracedBlock",
    "evaluating",
    "find",
    "require_weights",
    "trace",
    "uncompiled",
    "unwrap",
]
