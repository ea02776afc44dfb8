"""Whether a network is as sure as it is right, in a sentence."""

from __future__ import annotations

from seviz.analysis import CalibrationCurve, Share
from seviz.results.shares import shown_share


def describe_calibration(calibration: CalibrationCurve, top1: Share) -> str:
    """Say whether the network is as sure as it is right, as far as the images tell."""
    numbers = (
        f"mean confidence {shown_share(calibration.confidence)}, "
        f"accuracy {shown_share(calibration.accuracy)} [{100 * top1.low:.1f}, {100 * top1.high:.1f}], "
        f"expected calibration error {shown_share(calibration.ece)}"
    )
    if top1.low <= calibration.confidence <= top1.high:
        return f"Whether the network is surer than it is right cannot be said: {numbers}."
    surer = calibration.confidence > top1.high
    return f"The network is {'surer' if surer else 'less sure'} than it is right: {numbers}."
