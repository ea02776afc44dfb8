"""Whether a network is as sure as it is right, in a sentence."""

from __future__ import annotations

from seviz.analysis import CalibrationCurve, Share


def describe_calibration(calibration: CalibrationCurve, top1: Share) -> str:
    """Say whether the network is as sure as it is right, as far as the images tell."""
    numbers = (
        f"mean confidence {calibration.confidence:.1%}, accuracy {calibration.accuracy:.1%} "
        f"[{100 * top1.low:.1f}, {100 * top1.high:.1f}], expected calibration error {calibration.ece:.1%}"
    )
    if top1.low <= calibration.confidence <= top1.high:
        return f"Whether the network is surer than it is right cannot be said: {numbers}."
    surer = calibration.confidence > top1.high
    return f"The network is {'surer' if surer else 'less sure'} than it is right: {numbers}."
