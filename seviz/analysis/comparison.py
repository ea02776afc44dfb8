"""Two networks side by side: accuracy, cost, classes, gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seviz.analysis.findings import Findings, findings
from seviz.analysis.gate_comparison import BlockComparison, compare_gates
from seviz.analysis.proportions import (
    Difference,
    PairedDifference,
    holm,
    paired_difference,
    unpaired_difference,
)
from seviz.errors import DataError
from seviz.results.evaluation import Evaluation
from seviz.results.notebook import Shown
from seviz.results.predictions import PredictionTable
from seviz.results.record import TOP, Record
from seviz.results.subject import Subject

NAMED = 5


@dataclass(frozen=True)
class ClassChange:
    """One class in both networks.

    Attributes:
        name: Its label.
        images: Its images in the second network's pass.
        recall: How its recall changes.
        p_adjusted: The p-value, adjusted for having looked at every class (Holm, 1979).
    """

    name: str
    images: int
    recall: Difference
    p_adjusted: float

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation, all classes considered."""
        return self.p_adjusted < 0.05


@dataclass(frozen=True)
class Comparison(Shown):
    """A second network against a first.

    Attributes:
        a: The first network.
        b: The second; all differences are the second minus the first.
        top1: How the share of right predictions changes; ``None`` where they are not known.
        top5: The same for the five largest outputs.
        classes: The classes that both have, largest gain of recall first.
        blocks: The blocks that both have.
        findings: What the gates of each show; ``None`` where there is no record with SE.
        notes: What was not compared, and how far the comparison holds.
    """

    a: Subject
    b: Subject
    top1: Difference | None
    top5: Difference | None
    classes: tuple[ClassChange, ...]
    blocks: tuple[BlockComparison, ...]
    findings: tuple[Findings | None, Findings | None]
    notes: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Return whether the same images were compared one by one."""
        return isinstance(self.top1, PairedDifference)

    @property
    def one_network(self) -> bool:
        """Return whether both records are of one network, on two sets of images."""
        if self.a.record is None or self.b.record is None:
            return False
        one, other = self.a.record.header, self.b.record.header
        same = bool(one.checkpoint_sha256) and one.checkpoint_sha256 == other.checkpoint_sha256
        return same and (one.source, one.split) != (other.source, other.split)

    def describe(self) -> str:
        """Return in a sentence whether one network is better; of one network first how its gates drift."""
        return " ".join(self.sentences())

    def sentences(self) -> list[str]:
        """Return what was found, a sentence each."""
        return [*([self._drift()] if self.one_network else []), self._accuracy()]

    def _drift(self) -> str:
        assert self.a.record is not None
        assert self.b.record is not None
        places = [
            f"{h.source} {h.split}".strip() for h in (self.a.record.header, self.b.record.header)
        ]
        said = f"One network on two sets of images: {places[0]} (A) and {places[1]} (B)"
        if not self.blocks:
            return f"{said}."
        most = max(self.blocks, key=lambda b: b.drift)
        least = min(self.blocks, key=lambda b: b.drift)
        between = (
            f", least in {least.block} ({least.drift:.4f})" if least.block != most.block else ""
        )
        return (
            f"{said}; its class means drift most in {most.block} ({most.drift:.4f}, root mean square over "
            f"classes and channels){between}. What of that is more than chance, seviz shift --against tells."
        )

    def _accuracy(self) -> str:
        found = self.top1
        if found is None:
            return "Which of the two is more accurate is not known: no predictions were compared."
        delta = 100 * found.delta
        if delta:
            word = "higher" if delta > 0 else "lower"
            said = f"The top-1 of {self.b.name} is {abs(delta):.2f} points {word} than that of {self.a.name}"
        else:
            said = f"{self.b.name} and {self.a.name} have the same top-1"
        interval = f"95 % interval of the difference {shown_interval(found)} points"
        if isinstance(found, PairedDifference):
            test = (
                f"McNemar p = {shown_p(found.p_value)} on {found.images:,} images, of which {found.lost:,} "
                f"are right in {self.a.name} alone and {found.won:,} in {self.b.name} alone"
            )
        else:
            test = f"p = {shown_p(found.p_value)}, single images not known"
        verdict = (
            "the difference is significant at the 5 % level"
            if found.significant
            else "the difference is not significant: images drawn anew could turn it round"
        )
        return f"{said}; {interval}, {test}: {verdict}."


def shown_interval(found: Difference) -> str:
    """Return an interval in points."""
    return f"[{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def shown_p(p: float) -> str:
    """Return a p-value as papers print it.

    >>> shown_p(0.0000321), shown_p(0.0432), shown_p(0.0)
    ('0.000032', '0.043', '<1e-300')
    """
    if p < 1e-300:
        return "<1e-300"
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.6f}" if p >= 1e-6 else f"{p:.0e}"


def compare_subjects(a: Subject, b: Subject) -> Comparison:
    """Compare two networks from what is known of them.

    Where both kept a prediction for each image, images are told by their names and compared one by
    one; else shares are compared as if their images had nothing to do with one another.

    Args:
        a: The first network.
        b: The second.

    Raises:
        DataError: If both were evaluated, and share no image or no class.
    """
    notes: list[str] = []
    top1, top5, classes = compare_accuracy(a, b, notes)
    blocks: list[BlockComparison] = []
    if a.record is not None and b.record is not None and a.record.blocks and b.record.blocks:
        blocks, left = compare_gates(a.record, b.record)
        if left:
            more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
            notes.append(f"not compared: {'; '.join(left[:NAMED])}{more}")
    found = gate_findings(a), gate_findings(b)
    return Comparison(a, b, top1, top5, classes, tuple(blocks), found, tuple(notes))


def compare_accuracy(
    a: Subject, b: Subject, notes: list[str]
) -> tuple[Difference | None, Difference | None, tuple[ClassChange, ...]]:
    """Return how top-1, top-5 and the recall of each class change from one network to another.

    Args:
        a: The first network.
        b: The second.
        notes: To which is added what was not compared, and how far the comparison holds.

    Raises:
        DataError: If both were evaluated, and share no image or no class.
    """
    if a.predictions is not None and b.predictions is not None:
        return _paired(a.predictions, b.predictions, notes)
    if a.record is not None and b.record is not None:
        return _unpaired(a.record, b.record, notes)
    return None, None, ()


def gate_findings(subject: Subject) -> Findings | None:
    """Return what the gates of a network show; ``None`` where there is no record with gates."""
    record = subject.record
    return findings(record, subject.ablation) if record is not None and record.blocks else None


def _paired(
    a: PredictionTable, b: PredictionTable, notes: list[str]
) -> tuple[Difference, Difference | None, tuple[ClassChange, ...]]:
    first, second = _same_images(a, b, notes)
    names = np.array(a.labels, dtype=object)[a.true[first]]
    if (names != np.array(b.labels, dtype=object)[b.true[second]]).any():
        raise DataError(
            "expected each image in the same class for both networks, found some that are not; give both "
            "the same data in the same order (no loader that shuffles), and checkpoints that name their "
            "classes alike"
        )
    right = (a.true == a.predicted)[first], (b.true == b.predicted)[second]
    changes: list[tuple[str, int, Difference]] = []
    for name in dict.fromkeys(names):
        own = names == name
        changes.append((name, int(own.sum()), paired_difference(right[0][own], right[1][own])))
    top = _in_top(a), _in_top(b)
    top5 = None
    if top[0] is not None and top[1] is not None:
        top5 = paired_difference(top[0][first], top[1][second])
    return paired_difference(*right), top5, _ranked(changes)


def _same_images(
    a: PredictionTable, b: PredictionTable, notes: list[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the positions in both tables of the images that both have."""
    if a.paths is None or b.paths is None:
        if len(a) != len(b):
            raise DataError(
                f"expected the same images in both, found {len(a)} and {len(b)} without names; give a "
                "column of paths"
            )
        return np.arange(len(a)), np.arange(len(a))
    places = {path: i for i, path in enumerate(b.paths)}
    pairs = [(i, places[path]) for i, path in enumerate(a.paths) if path in places]
    if not pairs:
        raise DataError(
            f"expected images that both networks saw, found none among {len(a)} and {len(b)}; give both "
            "the same data"
        )
    if len(pairs) < max(len(a), len(b)):
        notes.append(
            f"compared on the {len(pairs):,} images that both saw ({len(a):,}, {len(b):,})"
        )
    first, second = np.array(pairs).T
    return first, second


def _in_top(table: PredictionTable) -> npt.NDArray[np.bool_] | None:
    if table.top is None or table.top.shape[1] < TOP or len(table.labels) <= TOP:
        return None
    return np.asarray((table.top[:, :TOP] == table.true[:, None]).any(axis=1))


def _unpaired(
    a: Record, b: Record, notes: list[str]
) -> tuple[Difference | None, Difference | None, tuple[ClassChange, ...]]:
    for key in ("source", "split", "images", "num_classes"):
        first, second = getattr(a.header, key), getattr(b.header, key)
        if first != second:
            notes.append(
                f"the records differ in their {key.replace('_', ' ')}: {first} and {second}"
            )
    for record in (a, b):
        if record.header.partial:
            notes.append(
                f"the record of {record.header.checkpoint} is partial: its pass was interrupted"
            )
    if a.top1 is None or b.top1 is None:
        notes.append("accuracy is not compared: a record has no predictions")
        return None, None, ()
    notes.append(
        "records hold no single images: differences are taken between independent shares, which gives "
        "wider intervals than a paired comparison; compare the checkpoints with --data for that"
    )
    one, two = Evaluation.of_record(a), Evaluation.of_record(b)
    shared = [name for name in one.labels if name in two.labels]
    if not shared:
        raise DataError(
            "expected classes that both records have, found none; compare records of the same data"
        )
    if len(shared) < max(len(one.labels), len(two.labels)):
        notes.append(
            f"compared on the {len(shared)} classes that both have ({len(one.labels)}, {len(two.labels)})"
        )
        one, two = one.only(shared), two.only(shared)
    changes: list[tuple[str, int, Difference]] = []
    for name in shared:
        i, j = one.labels.index(name), two.labels.index(name)
        counts = [int(n) for n in (one.correct[i], one.support[i], two.correct[j], two.support[j])]
        if counts[1] and counts[3]:
            changes.append((name, counts[3], unpaired_difference(*counts)))
    top1 = _difference(one.correct, one.images, two.correct, two.images)
    top5 = None
    if one.top5 is not None and two.top5 is not None:
        top5 = _difference(one.top5, one.images, two.top5, two.images)
    return top1, top5, _ranked(changes)


def _difference(
    right_a: npt.NDArray[np.int64], images_a: int, right_b: npt.NDArray[np.int64], images_b: int
) -> Difference | None:
    if not images_a or not images_b:
        return None
    return unpaired_difference(int(right_a.sum()), images_a, int(right_b.sum()), images_b)


def _ranked(changes: Sequence[tuple[str, int, Difference]]) -> tuple[ClassChange, ...]:
    adjusted = holm([change.p_value for *_, change in changes])
    made = [
        ClassChange(name, images, change, p)
        for (name, images, change), p in zip(changes, adjusted, strict=True)
    ]
    return tuple(sorted(made, key=lambda c: -c.recall.delta))
