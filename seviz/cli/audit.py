"""``seviz audit``: what SE, or gates of another kind, cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from seviz.cli.audit_text import for_paper, say
from seviz.cli.console import Speaker
from seviz.cli.options import AUDIT, ModelOptions, OutputOptions, PageOptions, Words
from seviz.cli.output import claim, look_of, output_folder
from seviz.cli.process import for_networks
from seviz.cli.shared import open_model
from seviz.cli.thresholds import FAILED
from seviz.errors import NoSEBlockError, UsageError
from seviz.results.mechanisms import DEFAULT_KIND
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.networks import BareWeights, LoadedModel
    from seviz.results.cost import Audit


@Parameter(name="*", group=AUDIT)
@dataclass(frozen=True)
class AuditOptions:
    """What is counted, and what may not be exceeded."""

    convention: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Ways to count the whole network: macs, torch (2 x MACs), paper (the SENet paper's "
            "GFLOPs), fvcore (runs fvcore itself); all but fvcore by default."
        ),
    ] = ()
    sweep: Annotated[
        tuple[int, ...],
        Words,
        Parameter(help="Reduction ratios to give parameters and MACs for: --sweep 2 4 8 16 32."),
    ] = ()
    insert_se: Annotated[
        bool,
        Parameter(
            help="Put SE into a network that has none, and count that.",
            negative=(),
            show_default=False,
        ),
    ] = False
    insert: Annotated[
        Literal["se", "eca", "cbam", "ge"] | None,
        Parameter(help="Put gates of this kind into a network that has none, and count these."),
    ] = None
    placement: Annotated[
        Literal["standard", "pre", "post", "identity"],
        Parameter(
            help="Where they go in a residual network: at the end of each branch, before it, after the "
            "addition, or on the shortcut."
        ),
    ] = "standard"
    stages: Annotated[
        tuple[int, ...],
        Words,
        Parameter(help="Stages that get them, from 2; all by default."),
    ] = ()
    reduction: Annotated[
        int | None,
        Parameter(help="Reduction ratio of the SE (or CBAM) that is put in; 16 by default."),
    ] = None
    after: Annotated[
        str | None,
        Parameter(
            help="Regular expression of the module paths that SE follows; by default the end of each "
            "residual branch, each dense or inception block, or each (pointwise) convolution."
        ),
    ] = None
    latency: Annotated[
        bool,
        Parameter(
            help="Measure wall time with and without SE, for one image and for a batch.",
            negative=(),
            show_default=False,
        ),
    ] = False
    batch_size: Annotated[
        int | None,
        Parameter(alias="-b", help="Images per batch for --latency; 32 by default."),
    ] = None
    device: Annotated[
        str,
        Parameter(help="Device for --latency: auto (a GPU where there is one), cpu, cuda, mps."),
    ] = "auto"
    max_se_params_pct: Annotated[
        float | None,
        Parameter(
            help="Exit with 1 if SE (or what --mechanism names) adds more parameters, in per cent of those "
            "without it."
        ),
    ] = None
    max_se_macs_pct: Annotated[
        float | None,
        Parameter(
            help="Exit with 1 if SE (or what --mechanism names) adds more MACs, in per cent of those without "
            "it."
        ),
    ] = None

    format: Annotated[
        Literal["latex", "markdown", "html", "csv"] | None,
        Parameter(help="Print tables for a paper in place of the text."),
    ] = None

    @property
    def inserted(self) -> str | None:
        """Return the kind of gates that is put in, if one is."""
        return self.insert or ("se" if self.insert_se else None)


def audit(
    ckpt: str,
    *,
    count: AuditOptions = AuditOptions(),
    shown: PageOptions = PageOptions(),
    model: ModelOptions = ModelOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Count what SE costs a network: parameters, multiplications, memory, time.

    With --mechanism, what gates of another kind cost, under their own name.
    Writes a table of the blocks (CSV), everything as JSON, and two figures.
    Nothing is downloaded: for a zoo name, its published weights do not matter.

    Args:
        ckpt: A checkpoint file, timm:NAME, torchvision:NAME or a registered name.
        count: What is counted.
        shown: How figures fit a page.
        model: How the checkpoint becomes a network.
        output: Where results go.
    """
    from seviz.report.folder import write_audit

    look = look_of(shown)
    spec = open_spec(ckpt)
    _check(spec, count, model)
    folder = output_folder(spec, output.output)
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    loaded = _load(ckpt, count, model)
    try:
        result = _count(loaded, count, model.kind, speaker)
    except NoSEBlockError as exc:
        if model.kind != DEFAULT_KIND:
            raise
        raise NoSEBlockError(f"{exc}; --insert-se counts what SE would cost it") from exc
    failed = _exceeded(result, count)
    document = {**result.to_dict(), "exceeded": failed}
    claim(folder, speaker)
    written = write_audit(result, folder, look=look, dpi=shown.dpi, exceeded=failed)
    files = (*written.tables, *written.figures)
    speaker.document({**document, "files": [str(f) for f in files]})
    if count.format is None:
        say(result, speaker)
        speaker.wrote(files)
    else:
        for line in for_paper(result, count.format).split("\n"):
            speaker.raw(line)
    for note in (*loaded.notes, *result.notes):
        speaker.remark(f"note: {note}")
    for what in failed:
        speaker.remark(f"exceeded: {what}")
    return FAILED if failed else 0


def _check(spec: Spec, asked: AuditOptions, model: ModelOptions) -> None:
    """Refuse what cannot be meant, before the work."""
    if spec.is_record:
        raise UsageError(
            f"expected a checkpoint or the name of a network, found the record {spec.name}; an audit needs "
            "the network"
        )
    if asked.inserted is not None and model.mechanism not in (None, asked.inserted):
        raise UsageError(
            f"expected one kind of gates, found {asked.inserted} to insert and --mechanism {model.kind}; "
            "leave one out"
        )
    if asked.insert not in (None, "se") and asked.insert_se:
        raise UsageError(
            f"expected one kind to insert, found --insert-se and --insert {asked.insert}; leave one out"
        )
    for option, given in (
        ("--reduction", asked.reduction),
        ("--after", asked.after),
        ("--stages", asked.stages or None),
        ("--placement", asked.placement if asked.placement != "standard" else None),
    ):
        if given is not None and asked.inserted is None:
            raise UsageError(
                f"expected {option} with --insert-se (or --insert KIND), found it alone; add --insert-se, or "
                "use --sweep for other reduction ratios of the network's own SE"
            )
    for option, most in (
        ("--max-se-params-pct", asked.max_se_params_pct),
        ("--max-se-macs-pct", asked.max_se_macs_pct),
    ):
        if most is not None and most < 0:
            raise UsageError(
                f"expected {option} in per cent of at least 0, found {most:g}; 0 allows nothing"
            )
    if asked.batch_size is not None and not asked.latency:
        raise UsageError(
            "expected --batch-size with --latency, found it alone; counts are for one image"
        )
    if asked.batch_size is not None and asked.batch_size < 1:
        raise UsageError(
            f"expected --batch-size of at least 1, found {asked.batch_size}; 32 is the default"
        )


def _load(ckpt: str, asked: AuditOptions, model: ModelOptions) -> LoadedModel | BareWeights:
    """Build the network by its name, without weights; else load the file.

    A file whose network is not known still has parameters.
    """
    for_networks()
    from seviz.cost.entry import blueprint, has_blueprint
    from seviz.networks import parse_arch_args

    if not has_blueprint(ckpt):
        return open_model(ckpt, model, mapped=not asked.latency)
    if model.arch is not None:
        raise UsageError(
            f"expected --arch with a checkpoint file, found it with {ckpt}; leave it out, or name a file"
        )
    args = parse_arch_args(model.arch_args)
    loaded = blueprint(ckpt, arch_args=args, on_meta=not asked.latency)
    return loaded.with_preprocessing(input_size=model.input_size or None)


def _count(
    loaded: LoadedModel | BareWeights, asked: AuditOptions, mechanism: str, speaker: Speaker
) -> Audit:
    from seviz.cost.conventions import DEFAULT
    from seviz.cost.entry import DEFAULT_BATCH, Insertion, Timing, audit_weights
    from seviz.cost.entry import audit as count
    from seviz.networks import BareWeights

    if isinstance(loaded, BareWeights):
        if (
            asked.convention
            or asked.inserted is not None
            or asked.latency
            or asked.max_se_macs_pct is not None
            or mechanism != DEFAULT_KIND
        ):
            raise loaded.refuse()
        return audit_weights(loaded, asked.sweep)
    timing = None
    if asked.latency:
        timing = Timing(asked.batch_size or DEFAULT_BATCH, _device(asked.device))
        speaker.remark(f"timing on {timing.device}, batches of 1 and {timing.batch_size}")
    return count(
        loaded,
        conventions=asked.convention or DEFAULT,
        sweep=asked.sweep,
        insertion=Insertion(
            asked.reduction, asked.after, asked.inserted, asked.placement, asked.stages
        )
        if asked.inserted is not None
        else None,
        timing=timing,
        mechanism=mechanism,
    )


def _device(word: str) -> str:
    import torch

    if word != "auto":
        return word
    return "cuda" if torch.cuda.is_available() else "cpu"


def _exceeded(result: Audit, asked: AuditOptions) -> list[str]:
    """Return a line for each threshold that is exceeded."""
    limits = (
        ("parameters", result.params_increase, asked.max_se_params_pct),
        ("MACs", result.macs_increase, asked.max_se_macs_pct),
    )
    return [
        f"{result.word} adds {100 * share:.4g} % {what}, more than the {most:g} % allowed"
        for what, share, most in limits
        if most is not None and share is not None and 100 * share > most
    ]
