"""Numbers from records. Never imports torch."""

from seviz.analysis.ablation import Effect, cumulative_effects, single_effects
from seviz.analysis.calibration import CalibrationCurve, ConfidenceBin, calibration_curve
from seviz.analysis.channel import ChannelView, view_channel
from seviz.analysis.channels import ChannelRanking, rank_channels
from seviz.analysis.class_share import ClassShare, class_share
from seviz.analysis.comparison import ClassChange, Comparison, compare_subjects
from seviz.analysis.confusion import (
    ClassScores,
    Confused,
    Scores,
    describe_confusions,
    most_confused,
    normalised,
    ranked_confusions,
    scores,
)
from seviz.analysis.findings import (
    BlockFindings,
    Estimate,
    Findings,
    SelectiveChannel,
    Statement,
    findings,
    gate_warnings,
    selective_channels,
)
from seviz.analysis.gate_comparison import BlockComparison, compare_gates
from seviz.analysis.gate_confusion import (
    BlockContrast,
    GateConfusion,
    describe_gate_confusion,
    explain_pair,
    gate_confusion,
    gate_distances,
)
from seviz.analysis.ordering import class_order, confusion_rate
from seviz.analysis.proportions import (
    PairedDifference,
    Share,
    UnpairedDifference,
    paired_difference,
    unpaired_difference,
    wilson,
)
from seviz.analysis.several import PairComparison, SeveralComparison, compare_several
from seviz.analysis.shift import Shift, WorldShift, shift_of
from seviz.analysis.shift_blocks import BlockShift
from seviz.analysis.swap import Swap, SwapCell, SwapRates, swap_of
from seviz.analysis.tracking import BlockMoment, Track, track_of

__all__ = [
    "BlockComparison",
    "BlockContrast",
    "BlockFindings",
    "BlockMoment",
    "BlockShift",
    "CalibrationCurve",
    "ChannelRanking",
    "ChannelView",
    "ClassChange",
    "ClassScores",
    "ClassShare",
    "Comparison",
    "ConfidenceBin",
    "Confused",
    "Effect",
    "Estimate",
    "Findings",
    "GateConfusion",
    "PairComparison",
    "PairedDifference",
    "Scores",
    "SelectiveChannel",
    "SeveralComparison",
    "Share",
    "Shift",
    "Statement",
    "Swap",
    "SwapCell",
    "SwapRates",
    "Track",
    "UnpairedDifference",
    "WorldShift",
    "calibration_curve",
    "class_order",
    "class_share",
    "compare_gates",
    "compare_several",
    "compare_subjects",
    "confusion_rate",
    "cumulative_effects",
    "describe_confusions",
    "describe_gate_confusion",
    "explain_pair",
    "findings",
    "gate_confusion",
    "gate_distances",
    "gate_warnings",
    "most_confused",
    "normalised",
    "paired_difference",
    "rank_channels",
    "ranked_confusions",
    "scores",
    "selective_channels",
    "shift_of",
    "single_effects",
    "swap_of",
    "track_of",
    "unpaired_difference",
    "view_channel",
    "wilson",
]
