"""Numbers from records. Never imports torch."""

from seviz.analysis.calibration import CalibrationCurve, ConfidenceBin, calibration_curve
from seviz.analysis.class_share import ClassShare, class_share
from seviz.analysis.confusion import (
    ClassScores,
    Confused,
    Scores,
    most_confused,
    normalised,
    ranked_confusions,
    scores,
)
from seviz.analysis.gate_confusion import (
    BlockContrast,
    GateConfusion,
    describe_gate_confusion,
    explain_pair,
    gate_confusion,
    gate_distances,
)
from seviz.analysis.intervals import Share, wilson
from seviz.analysis.ordering import class_order, confusion_rate

__all__ = [
    "BlockContrast",
    "CalibrationCurve",
    "ClassScores",
    "ClassShare",
    "ConfidenceBin",
    "Confused",
    "GateConfusion",
    "Scores",
    "Share",
    "calibration_curve",
    "class_order",
    "class_share",
    "confusion_rate",
    "describe_gate_confusion",
    "explain_pair",
    "gate_confusion",
    "gate_distances",
    "most_confused",
    "normalised",
    "ranked_confusions",
    "scores",
    "wilson",
]
