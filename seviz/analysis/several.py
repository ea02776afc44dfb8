"""Three networks and more side by side: accuracy, cost, class share along the depth, class geometry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from seviz.analysis.comparison import compare_accuracy, gate_findings, shown_p
from seviz.analysis.findings import Findings
from seviz.analysis.geometry import Geometry, compare_geometries, most_specific
from seviz.analysis.proportions import (
    SIGNIFICANT,
    Difference,
    PairedDifference,
    Share,
    holm,
    wilson,
)
from seviz.errors import DataError
from seviz.results.blocks import params_of
from seviz.results.mechanisms import BY_KEY, word_of
from seviz.results.notebook import Shown
from seviz.results.subject import Subject, told_apart

# What no comparison of single networks can show.
CAUTION = (
    "What differs is these trained networks: the tests are over images. Another seed gives each of them "
    "another accuracy; what a mechanism is worth takes several trainings of each."
)
# With fewer images of a class its mean gate is partly noise, the same noise in all networks.
_FEW_IMAGES = 20


@dataclass(frozen=True)
class PairComparison:
    """The accuracy of two of the networks.

    Attributes:
        first: Place of the first in the list.
        second: Place of the second; the difference is the second minus the first.
        top1: How the share of right predictions changes.
        p_adjusted: The p-value, adjusted for having looked at every two networks (Holm, 1979).
    """

    first: int
    second: int
    top1: Difference
    p_adjusted: float

    @property
    def significant(self) -> bool:
        """Return whether chance is an unlikely explanation, all pairs considered."""
        return self.p_adjusted < SIGNIFICANT


@dataclass(frozen=True)
class SeveralComparison(Shown):
    """Three networks or more.

    Attributes:
        subjects: The networks, in the order in which they were given.
        top1: Share of right predictions of each; ``None`` where they are not known.
        pairs: Every two networks whose predictions are known.
        findings: What the gates of each show; ``None`` for a network without gates or without a pass.
        geometries: How alike classes are gated in every two networks that have gates.
        notes: What was not compared, and how far the comparison holds.
    """

    subjects: tuple[Subject, ...]
    top1: tuple[Share | None, ...]
    pairs: tuple[PairComparison, ...]
    findings: tuple[Findings | None, ...]
    geometries: tuple[Geometry, ...]
    notes: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Return whether the same images were compared one by one, in every two networks."""
        return bool(self.pairs) and all(isinstance(p.top1, PairedDifference) for p in self.pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the networks."""
        return tuple(s.name for s in self.subjects)

    def gates(self, place: int) -> dict[str, int] | None:
        """Return how many blocks of each kind a network has, by its word; ``None`` where not known."""
        subject = self.subjects[place]
        if subject.record is not None:
            return dict(Counter(block.mechanism.key for block in subject.record.blocks))
        return dict(subject.cost.gates) if subject.cost is not None else None

    def mechanism(self, place: int) -> str:
        """Return what the gates of a network are called together; ``none`` where there are none."""
        gates = self.gates(place)
        if gates is None:
            return ""
        return word_of(BY_KEY[key] for key in gates) if gates else "none"

    def gate_params(self, place: int) -> int | None:
        """Return the parameters of the gates of a network; ``None`` where not known."""
        subject = self.subjects[place]
        if subject.record is not None:
            return params_of(subject.record.blocks)
        return subject.cost.gate_params if subject.cost is not None else None

    @property
    def chosen(self) -> tuple[Geometry, ...]:
        """Return the geometries of the blocks with the largest class share, one for every two networks."""
        return tuple(g for g in self.geometries if g.chosen)

    @property
    def matched(self) -> tuple[Geometry, ...]:
        """Return the geometries of blocks at matching depth."""
        return tuple(g for g in self.geometries if g.matched)

    def describe(self) -> str:
        """Return in a sentence whether some of the networks are better than others."""
        known = [(share, name) for share, name in zip(self.top1, self.names, strict=True) if share]
        if not self.pairs or not known:
            return (
                "Which of the networks is more accurate is not known: no predictions were compared."
            )
        best, name = max(known, key=lambda pair: pair[0].value)
        apart = [p for p in self.pairs if p.significant]
        count = len(self.pairs)
        test = "McNemar" if self.paired else "score test"
        said = f"The highest top-1 is that of {name}, {best}"
        if not apart:
            p = min(pair.p_adjusted for pair in self.pairs)
            return (
                f"{said}; no two of the {len(known)} networks differ significantly (smallest p {shown_p(p)}, "
                f"{test}, Holm over {count} pairs): images drawn anew could change their order."
            )
        listed = "; ".join(self._said(p) for p in sorted(apart, key=lambda p: -abs(p.top1.delta)))
        return (
            f"{said}. {len(apart)} of {count} pairs differ{'s' * (len(apart) == 1)} significantly ({test}, "
            f"Holm over {count} pairs): {listed}."
        )

    def _said(self, pair: PairComparison) -> str:
        names = self.names[pair.first], self.names[pair.second]
        top1 = pair.top1
        better, worse = names[::-1] if top1.delta > 0 else names
        low, high = (top1.low, top1.high) if top1.delta > 0 else (-top1.high, -top1.low)
        points = f"{100 * abs(top1.delta):.2f} points [{100 * low:.2f}, {100 * high:.2f}]"
        return f"{better} is {points} above {worse}"

    def sentences(self) -> list[str]:
        """Return what the comparison shows, a sentence for each of its parts."""
        return [s for s in (self.describe(), self._cost(), self._shares(), self._alike()) if s]

    def _cost(self) -> str:
        said = []
        for place, subject in enumerate(self.subjects):
            own, cost = self.gate_params(place), subject.cost
            if cost is None or not self.gates(place) or own is None:
                continue
            share = f", {own / cost.params:.2%} of {cost.params:,}" if cost.params else ""
            said.append(f"{self.mechanism(place)} {own:,}{share} ({subject.name})")
        return f"Parameters of the gates: {'; '.join(said)}." if said else ""

    def _shares(self) -> str:
        said = []
        for found, name in zip(self.findings, self.names, strict=True):
            best = most_specific(found) if found is not None else None
            if best is None or best.class_share is None:
                continue
            share = best.class_share
            ends = (
                f" [{share.low:.2f}, {share.high:.2f}]"
                if share.low is not None and share.high is not None
                else ""
            )
            said.append(f"{share.value:.2f}{ends} in {best.block} of {name}")
        return f"The largest class share is {', '.join(said)}." if said else ""

    def _alike(self) -> str:
        return " ".join(s for s in (self._alike_in_depth(), self._alike_in_chosen()) if s)

    def _alike_in_depth(self) -> str:
        known = [g.correlation for g in self.matched if g.moves and g.correlation is not None]
        if not known:
            return ""
        values = sorted(c.value for c in known)
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        return (
            f"Class geometry: in {len(known)} pairs of blocks at matching depth the distances between "
            f"classes correlate by {middle:+.2f} in the median ({values[0]:+.2f} to {values[-1]:+.2f}); "
            f"surely above 0 in {sum(c.above(0) for c in known)}."
        )

    def _alike_in_chosen(self) -> str:
        known = [g for g in self.chosen if g.correlation is not None]
        if not known:
            return ""
        values = [g.correlation.value for g in known if g.correlation is not None]
        sure = [g for g in known if g.correlation is not None and g.correlation.above(0)]
        if len(known) == 1:
            pair = f"{self.names[known[0].first]} and {self.names[known[0].second]}"
            word = "" if sure else ", not surely above 0"
            return (
                f"In the blocks with the largest class share of {pair} the distances between classes "
                f"correlate by {values[0]:+.2f}{word}."
            )
        return (
            "In the blocks with the largest class share the distances between classes correlate by "
            f"{min(values):+.2f} to {max(values):+.2f}; surely above 0 in {len(sure)} of {len(known)} pairs "
            "of networks."
        )


def compare_several(subjects: Sequence[Subject]) -> SeveralComparison:
    """Compare networks from what is known of them; a network without gates takes part in accuracy and cost.

    Args:
        subjects: The networks, three or more; those of one name are told apart by letters.

    Raises:
        DataError: If networks were evaluated and share no image or no class, or nothing is known of two.
    """
    named = tuple(told_apart(subjects))
    notes: list[str] = []
    differences: list[tuple[int, int, Difference]] = []
    for first, second in combinations(range(len(named)), 2):
        found, *_ = compare_accuracy(named[first], named[second], notes)
        if found is not None:
            differences.append((first, second, found))
    adjusted = holm([found.p_value for *_, found in differences])
    pairs = tuple(PairComparison(*pair, p) for pair, p in zip(differences, adjusted, strict=True))
    known = tuple(gate_findings(subject) for subject in named)
    records = [subject.record for subject in named]
    geometries = tuple(compare_geometries(records, known))
    if not pairs and not geometries and sum(s.cost is not None for s in named) < 2:
        raise DataError(
            "expected something that is known of two networks, found records without predictions and "
            "networks without images; give --data, or records"
        )
    few = [
        s.name
        for s in named
        if s.record is not None
        and s.record.blocks
        and 0 < s.record.count[s.record.count > 0].min() < _FEW_IMAGES
    ]
    if few and geometries:
        notes.append(
            f"fewer than {_FEW_IMAGES} images of a class ({', '.join(few)}): mean gates are partly noise, "
            "and the same noise in networks that saw the same images"
        )
    return SeveralComparison(
        named,
        tuple(_top1(subject) for subject in named),
        pairs,
        known,
        geometries,
        (*dict.fromkeys(notes), *([CAUTION] if pairs else [])),
    )


def _top1(subject: Subject) -> Share | None:
    table = subject.predictions
    if table is not None:
        return wilson(int((table.true == table.predicted).sum()), len(table))
    record = subject.record
    if record is None or record.top1 is None:
        return None
    images = int(record.arrays["confusion"].sum())
    return wilson(round(record.top1 * images), images)
