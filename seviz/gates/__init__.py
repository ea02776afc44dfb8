"""Finding SE gates by data flow, and reading them without a trace."""

from seviz.gates.find import Found, OtherMechanism, find
from seviz.gates.tap import Tap, evaluating, unwrap

__all__ = ["Found", "OtherMechanism", "Tap", "evaluating", "find", "unwrap"]
