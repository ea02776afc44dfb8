"""Does the input fit the network? What a pass found, and what follows; docs/input-fit.md has the numbers.

A batch norm remembers the mean and the variance of what entered it in training. The misfit of an input is
how far what enters the first norms is from that: the Kullback-Leibler divergence from the remembered to the
seen Gaussian, per channel, no more than 1 counted of each, the mean over channels, and then over norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

# With fewer images a misfit may be theirs; with fewer than the second, only what is gross is said.
FEWEST, ENOUGH = 16, 64
# Misfit above which an input does not fit: of many images and classes, and of few.
_LIMIT, _GROSS = 0.08, 0.45
# Where the images are of so many classes, or of all that the network has, they stand for its training.
_CLASSES = 5


@dataclass(frozen=True)
class Limits:
    """What is a misfit, and what is chance.

    Measured on 19 networks: docs/input-fit.md. Images rightly prepared, 64 or more of many classes, stayed
    below 0.05; pixels that were not standardised are above 0.2. Few images, or those of one class alone, may
    look like other images: of them only what is gross is said.

    Attributes:
        misfit: Above that misfit of the first norm, or of the first ones, the input is of another kind
            than in training.
        clearly: Another way fits clearly better where it leaves less than that share of a misfit.
        negligible: So small a misfit is chance.
    """

    misfit: float
    clearly: float
    negligible: float

    @classmethod
    def of(cls, images: int, classes: int, outputs: int | None = None) -> Limits:
        """Return the limits for some images.

        Args:
            images: How many.
            classes: Of how many classes they are.
            outputs: How many the network has, where that is known.
        """
        if images < ENOUGH or classes < min(_CLASSES, outputs or _CLASSES):
            return cls(_GROSS, 1 / 16, 0.1)
        return cls(_LIMIT, 0.25, 1.3 / max(images, 1))


Verdict = Literal["fits", "seems to fit", "does not fit", "another fits better", "cannot be said"]
# Of two networks that the weights fit, the images tell one where it leaves less than that share of the
# other's misfit: 0.003 against 0.027 for the two of the notes.
_TOLD = 0.5


@dataclass(frozen=True)
class OtherNetwork:
    """How the images fit the other of two networks that have the same weights.

    Attributes:
        option: What takes it on the command line.
        misfit: Mean misfit in front of all of its norms.
        than: That of the network that was taken.
        chance: So small a misfit is chance.
    """

    option: str
    misfit: float
    than: float
    chance: float = 0.0

    @property
    def fits_better(self) -> bool:
        """Return whether it is the other one that was trained."""
        return self.misfit < _TOLD * self.than and self.than > self.chance

    @property
    def fits_worse(self) -> bool:
        """Return whether it is the one that was taken."""
        return self.than < _TOLD * self.misfit and self.misfit > self.chance

    @property
    def sentence(self) -> str:
        """Return what the images say of the two.

        >>> OtherNetwork("--arch-args squeeze=false", 0.003, 0.027).sentence[-30:]
        'give --arch-args squeeze=false'
        """
        both = f"over all norms the misfit is {self.misfit:.3f} instead of {self.than:.3f}"
        if self.fits_better:
            return (
                f"the weights fit another network too, and these images fit that one better: {both}; give "
                f"{self.option}"
            )
        if self.fits_worse:
            return f"these images fit this network better than the other that has such weights: {both} there"
        return (
            "these images do not tell which of the two networks it is that have such weights: with "
            f"{self.option} {both}"
        )


@dataclass(frozen=True)
class InputFit:
    """How well the images, as they are prepared, fit what the network remembers of its training.

    Attributes:
        images: Images that were looked at.
        norms: Batch norms in front of which they were looked at, the first ones of the network.
        first: Misfit in front of the first norm.
        misfit: Mean misfit in front of all of these norms.
        better: The usual way to prepare images that fits clearly better, in words; empty if none does.
        options: That way as options of the command line.
        better_misfit: Its misfit; in front of the first norm where it has other constants alone.
        than: What the input as it is prepared has in the same place.
        alike: Usual ways that fit as well, and so cannot be told from the one taken.
        unknown: Why nothing can be said; empty if something can.
        limit: Above that misfit the input does not fit.
        other: How they fit the other network, where the weights fit two.
    """

    images: int = 0
    norms: int = 0
    first: float = 0.0
    misfit: float = 0.0
    better: str = ""
    options: str = ""
    better_misfit: float = 0.0
    than: float = 0.0
    alike: tuple[str, ...] = ()
    unknown: str = ""
    limit: float = _LIMIT
    other: OtherNetwork | None = None

    @property
    def verdict(self) -> Verdict:
        """Return whether the input fits."""
        if self.unknown:
            return "cannot be said"
        if max(self.first, self.misfit) > self.limit:
            return "does not fit"
        if self.better:
            return "another fits better"
        return "fits" if self.limit <= _LIMIT else "seems to fit"

    @property
    def is_alarm(self) -> bool:
        """Return whether a user must be warned."""
        wrong = self.verdict in ("does not fit", "another fits better")
        return wrong or (self.other is not None and self.other.fits_better)

    @property
    def sentence(self) -> str:
        """Return what was found, in a sentence for people.

        >>> print(InputFit(images=128, norms=6, misfit=0.0031).sentence)
        the input fits what the network remembers of its training (misfit 0.003 over 6 norms, 128 images)
        >>> print(InputFit(unknown="the network has no batch norm").sentence)
        whether the input fits the network cannot be checked: the network has no batch norm
        """
        if self.other is None:
            return self._of_images
        if self.other.fits_better and self.verdict == "does not fit" and not self.better:
            return self.other.sentence  # it is the network that does not fit, and not the images
        return f"{self._of_images}; {self.other.sentence}"

    @property
    def _of_images(self) -> str:
        """Return what was found of the images."""
        if self.unknown:
            return f"whether the input fits the network cannot be checked: {self.unknown}"
        seen = f"misfit {self.misfit:.3f} over {self.norms} norms, {self.images:,} images"
        if self.verdict in ("fits", "seems to fit"):
            if self.verdict == "seems to fit":
                seen += "; so few images, or so few classes, tell no more than a gross fault"
            said = f"the input {self.verdict} what the network remembers of its training ({seen})"
            return f"{said}; not told apart from {_some(self.alike)}" if self.alike else said
        remedy = (
            f"{self.better} fits better (misfit {self.better_misfit:.3f} instead of {self.than:.3f}): give "
            f"{self.options}"
        )
        if self.verdict == "another fits better":
            return f"the input may not be prepared as in training: over {self.images:,} images {remedy}"
        first = f", {self.first:.3f} at the first" if self.misfit <= self.limit else ""
        seen = f"misfit {self.misfit:.3f} over {self.norms} norms{first}, {self.images:,} images"
        said = f"the input does not fit what the network remembers of its training ({seen})"
        if self.better:
            return f"{said}; {remedy}"
        return (
            f"{said}, and none of the usual ways to prepare images does: are these images of the kind that "
            "it was trained on?"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: the numbers, the verdict and the sentence."""
        return {**asdict(self), "verdict": self.verdict, "sentence": self.sentence}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputFit:
        """Build from the JSON form of a record's header."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if isinstance(other := fields.get("other"), Mapping):
            fields["other"] = OtherNetwork(**other)
        return cls(**fields)


def worse(one: InputFit | None, other: InputFit | None) -> InputFit | None:
    """Return the fit that stands for two parts of a source: the worse one, which hides no fault."""
    known = [fit for fit in (one, other) if fit is not None]
    return max(known, key=lambda fit: (not fit.unknown, fit.is_alarm, fit.misfit), default=None)


def _some(names: tuple[str, ...], most: int = 3) -> str:
    more = f"; and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more
