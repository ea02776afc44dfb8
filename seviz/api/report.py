"""Everything that one pass says, in a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.api.passes import met_network
from seviz.api.thumbnails import check_named
from seviz.api.thumbnails import thumbnails as make_thumbnails
from seviz.errors import NoSEBlockError, SevizError
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.results.files import record_path
from seviz.results.mechanisms import DEFAULT_KIND
from seviz.results.mechanisms import chosen as kinds_of
from seviz.results.notebook import summary_html
from seviz.results.record import Record

if TYPE_CHECKING:
    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions
    from seviz.networks import LoadedModel
    from seviz.report.folder import Written
    from seviz.results.cost import Audit
    from seviz.results.predictions import PredictionTable

# Reduction ratios that a report sets side by side: those of the paper's table.
SWEEP = (2, 4, 8, 16, 32)
_LOG = logging.getLogger("seviz")


@dataclass(frozen=True, eq=False)
class Results:
    """What `report` left in a folder.

    Attributes:
        page: The HTML file.
        record: The record of the pass.
        record_file: Its file.
        written: Figures and tables.
    """

    page: Path
    record: Record
    record_file: Path
    written: Written

    def _repr_html_(self) -> str:
        """Return what a notebook shows: where the page is, and what lies beside it."""
        here = {"page": str(self.page), "record": str(self.record_file)}
        return summary_html(self.record.header.checkpoint, here) + self.written._repr_html_()


def report(
    network: Network,
    data: Data,
    folder: str | Path,
    classes: Sequence[str] = (),
    *,
    options: PassOptions | None = None,
    full: bool = False,
    formats: Sequence[str] = FORMATS,
    thumbnails: int = 0,
    tell: Callable[[str], Any] | None = None,
    **collecting: Any,
) -> Results:
    """Write everything that one pass says into a folder: record, figures, tables and one HTML file.

    A network without SE is evaluated, and what SE would cost it is counted; one without the kind of gates
    that ``options`` name instead is refused. `write_report` makes the HTML
    file again from a record, `write_results` the figures and tables.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: As for `seviz.collect`.
        folder: Where everything goes.
        classes: Classes that are drawn first; every class can be chosen on the page.
        options: How the pass is made.
        full: As for `write_report`.
        formats: Formats of the figures.
        thumbnails: Pictures of single images in the page, at most; see `seviz.thumbnails`.
        tell: Called with remarks; they are logged by default.
        collecting: Further arguments of `seviz.collect`, such as ``resume`` and ``reuse``. What the labels
            of batches are called is ``class_names`` here; by default the classes, where nothing else says
            it.

    Raises:
        SevizError: As `seviz.load` and `seviz.collect` do.
    """
    from seviz.collect.distributed import launched
    from seviz.collect.options import PassOptions
    from seviz.collect.run import collect
    from seviz.report import write_report
    from seviz.report.build import REPORT_NAME
    from seviz.report.folder import Written, write_audit, write_results
    from seviz.results.ablation import Ablation

    say = tell or _LOG.info
    chosen = options or PassOptions()
    # Who names another kind of gates wants those; SE is looked for, and may be missing.
    chosen = replace(chosen, require_se=chosen.mechanism != DEFAULT_KIND)
    loaded, source, chosen = met_network(network, data, classes, chosen, collecting)
    answers: list[PredictionTable] = []
    if thumbnails:
        check_named(source)
        collecting["each"] = answers.append
    audit = _counted(loaded, source, chosen.mechanism, say)
    record = collect(
        loaded,
        source,
        chosen,
        folder=folder,
        tell=tell,
        **collecting,
    )
    file = record_path(folder)
    if not launched().first:  # of several processes, one writes
        return Results(Path(folder) / REPORT_NAME, record, file, Written())
    ablation, why_not = Ablation.beside(file, record.header.checkpoint_sha256)
    if why_not:
        say(f"note: {why_not}")
    written = write_results(record, folder, classes, ablation=ablation, formats=formats)
    if audit is not None:
        written += write_audit(audit, Path(folder), formats)
    small = None
    if thumbnails:
        answered = answers[0] if answers else None
        small = make_thumbnails(record, source, thumbnails, folder=folder, predictions=answered)
    page = write_report(file, folder, classes, audit=audit, full=full, thumbnails=small)
    return Results(page, record, file, written)


def _counted(
    loaded: LoadedModel, source: Any, mechanism: str, say: Callable[[str], Any]
) -> Audit | None:
    """Count what the gates cost; for a network without SE, what it would cost."""
    from seviz.cost.entry import Insertion, audit

    example = getattr(source, "example", None)
    sweep = SWEEP if all(kind.has_bottleneck for kind in kinds_of(mechanism)) else ()
    try:
        return audit(loaded, example, sweep=sweep, mechanism=mechanism)
    except NoSEBlockError as exc:
        if mechanism != DEFAULT_KIND:
            raise
        say(f"note: the network has no SE block; the report has no gates ({exc})")
    try:
        return audit(loaded, example, sweep=SWEEP, insertion=Insertion())
    except SevizError:
        return None
