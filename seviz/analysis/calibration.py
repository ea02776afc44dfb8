"""How far a network's confidence can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from seviz.results.evaluation import Evaluation


@dataclass(frozen=True)
class ConfidenceBin:
    """The images of one range of confidence.

    Attributes:
        low: Lower end of the range, not in it.
        high: Upper end, in it.
        count: Images.
        confidence: Their mean confidence; ``None`` without images.
        accuracy: The share of them that was predicted right; ``None`` without images.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class CalibrationCurve:
    """Confidence against accuracy.

    Attributes:
        ece: Expected calibration error, 0..1.
        confidence: Mean confidence of all images.
        accuracy: Share of all images that was predicted right.
        bins: The ranges of confidence, from low to high.
    """

    ece: float
    confidence: float
    accuracy: float
    bins: tuple[ConfidenceBin, ...]


def calibration_curve(evaluation: Evaluation) -> CalibrationCurve | None:
    r"""Return confidence against accuracy; ``None`` if it was not recorded, or there is no image.

    The expected calibration error (Guo et al., arXiv 1706.04599, equation 3) over bins of equal width,
    with n_b of N images in bin b:

        ECE = sum_b n_b / N  |accuracy_b - confidence_b|

    Confidence is the probability that the network gives to the class it predicts.
    """
    table = evaluation.calibration
    if table is None or not table.count.any():
        return None
    count = table.count.sum(axis=0).tolist()
    confidence = table.confidence.sum(axis=0).tolist()
    correct = table.correct.sum(axis=0).tolist()
    images, size = sum(count), len(count)
    return CalibrationCurve(
        ece=sum(abs(r - c) for r, c in zip(correct, confidence, strict=True)) / images,
        confidence=sum(confidence) / images,
        accuracy=sum(correct) / images,
        bins=tuple(
            ConfidenceBin(b / size, (b + 1) / size, n, c / n if n else None, r / n if n else None)
            for b, (n, c, r) in enumerate(zip(count, confidence, correct, strict=True))
        ),
    )
