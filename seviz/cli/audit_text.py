"""The text of ``seviz audit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seviz.cli.console import Speaker

if TYPE_CHECKING:
    from seviz.results.cost import Audit, BlockCost

# arXiv 1709.01507v4, section 4: SE-ResNet-50 against ResNet-50, 224 x 224, one image on a CPU.
_PAPER_MS = (164, 167)


def say(result: Audit, speaker: Speaker) -> None:
    """Print an audit; every number with its convention."""
    speaker.line(f"network  {result.name}")
    if result.inserted:
        first, last = result.inserted[0], result.inserted[-1]
        speaker.line(f"inserted {len(result.inserted)} SE blocks, after {first} ... {last}")
    if result.input_size:
        size = "x".join(map(str, result.input_size))
        speaker.line(f"image    {size}; all counts are for one image")
    speaker.line()
    _totals(result, speaker)
    _conventions(result, speaker)
    if result.totals is not None:  # stages are told by the sizes of maps
        _stages(result, speaker)
    _blocks(result, speaker)
    _formula(result, speaker)
    _sweep(result, speaker)
    _latency(result, speaker)
    if result.totals is not None:
        _not_counted(result, speaker)


def _totals(result: Audit, speaker: Speaker) -> None:
    rows = [_row("parameters", result.params, result.params_without_se)]
    work, totals, base = result.work, result.totals, result.macs_without_se
    if work is None or totals is None or base is None:
        speaker.table(["", "with SE", "without SE", "SE", "increase"], rows)
        speaker.line()
        return
    rows += [
        _row("MACs", totals.macs, base),
        _row("FLOPs, 2 x MACs", 2 * totals.macs, 2 * base),
        ["squeeze, additions", "", "", f"{work.squeeze_adds:,}", ""],
        ["excitation, MACs", "", "", f"{work.fc_macs:,}", ""],
        ["scale, multiplications", "", "", f"{work.scale_multiplications:,}", ""],
        _row("bytes moved", totals.bytes_moved, totals.bytes_without_se),
    ]
    speaker.table(["", "with SE", "without SE", "SE", "increase"], rows)
    speaker.line("MACs: convolution, linear and matrix products; adding a bias is none.")
    speaker.line("Bytes: float32, each operator reads and writes its tensors once.")
    speaker.line()


def _row(name: str, with_se: int, without: int) -> list[str]:
    share = with_se / without - 1 if without else 0.0
    increase = f"{share:+.{2 if share >= 0.0005 else 4}%}"
    return [name, f"{with_se:,}", f"{without:,}", f"{with_se - without:,}", increase]


def _conventions(result: Audit, speaker: Speaker) -> None:
    if not result.conventions:
        return
    rows = [[c.name, *c.printed, c.rule] for c in result.conventions]
    speaker.table(["convention", "without SE", "with SE", "what is counted"], rows)
    if result.convention("paper") is not None:
        speaker.line("The paper's GFLOPs are truncated to two decimals, its MFLOPs rounded.")
    speaker.line()


def _stages(result: Audit, speaker: Speaker) -> None:
    from seviz.tables.cost import STAGE_COLUMNS, stage_rows

    speaker.table(STAGE_COLUMNS, stage_rows(result))
    speaker.line(
        "share of SE: of its weights; memory: the squeeze reads the map, the scale reads and writes it"
    )
    speaker.line()


def _blocks(result: Audit, speaker: Speaker) -> None:
    columns = ["block", "parameters", "weights", "biases", "norms", "2C²/r", "share", "path"]
    total = sum(b.params.total for b in result.blocks)
    counted = result.work is not None
    rows = []
    for cost in result.blocks:
        own = cost.params
        rows.append(
            [
                cost.block.name,
                *(f"{n:,}" for n in (own.total, own.weights, own.biases, own.norms)),
                f"{own.formula:,.0f}",
                f"{own.total / total:.1%}",
                *(_operations(cost, result) if counted else []),
                cost.block.path or "(the network)",
            ]
        )
    if counted:
        columns[-1:] = ["squeeze", "FC MACs", "scale", "operations", "MB moved", "path"]
    speaker.table(columns, rows)
    speaker.line()


def _operations(cost: BlockCost, result: Audit) -> Sequence[str]:
    work, everything = cost.work, result.work
    assert work is not None
    assert everything is not None
    counts = (work.squeeze_adds, work.fc_macs, work.scale_multiplications)
    share = f"{work.operations / everything.operations:.1%}"
    return [*(f"{n:,}" for n in counts), share, f"{work.map_bytes / 1e6:.2f}"]


def _formula(result: Audit, speaker: Speaker) -> None:
    parts = [b.params for b in result.blocks]
    ratio = f"r = {result.reduction:g}" if result.reduction else "r = C / hidden of each block"
    shared = sum(p.total for p in parts) - result.se_params
    terms = [
        ("biases", sum(p.biases for p in parts)),
        ("norms", sum(p.norms for p in parts)),
        ("other", sum(p.others for p in parts)),
        ("whole units of the bottleneck, several gates", sum(p.rounding for p in parts)),
        ("blocks that share a module", -shared),
    ]
    shown = ", ".join(f"{n:+,.0f} {name}" for name, n in terms if round(n))
    speaker.line(
        f"paper's (2/r) sum N C², {ratio}: {result.formula:,.0f} weights; counted {result.se_params:,}"
        + (f": {shown}" if shown else ", the same")
    )


def _sweep(result: Audit, speaker: Speaker) -> None:
    if not result.sweep:
        return
    from seviz.cost.bottleneck import FALLBACK, UNKNOWN

    paper = any(r.paper is not None for r in result.sweep)
    columns = ["r", "parameters", "of SE", "MACs", "size", "size with biases"]
    columns += ["paper", "fits"] if paper else []
    rows = []
    for row in result.sweep:
        cells = [
            str(row.reduction),
            f"{row.params:,}",
            f"{row.se_params:,}",
            f"{row.macs:,}" if row.macs is not None else "-",
            f"{row.size / 1e6:.1f} M",
            f"{row.size_with_biases / 1e6:.1f} M",
        ]
        if paper:
            fits = [
                name
                for name, size in (("without", row.size), ("with", row.size_with_biases))
                if row.fits(size)
            ]
            both = {2: "both", 1: f"{fits[0] if fits else ''} biases", 0: "neither"}[len(fits)]
            known = row.paper is not None
            cells += [f"{row.paper} M", both] if known else ["-", "-"]
        rows.append(cells)
    speaker.line()
    speaker.table(columns, rows)
    speaker.line(
        "size: parameters and running statistics of batch norm, SE's biases left out or counted"
    )
    rule = result.hidden_rule
    if rule == UNKNOWN:
        rule = f"{FALLBACK} (the network's own rule is not a function of C and r)"
    speaker.line(f"bottleneck: {rule}")
    sizes = {
        "without biases": [(r, r.fits(r.size)) for r in result.sweep],
        "with biases": [(r, r.fits(r.size_with_biases)) for r in result.sweep],
    }
    for name, fitted in sizes.items() if paper else ():
        wrong = ", ".join(f"r = {row.reduction}" for row, fits in fitted if fits is False)
        said = f"does not give the paper's for {wrong}" if wrong else "gives all of the paper's"
        speaker.line(f"SE-ResNet-50: the size {name} {said}")


def _latency(result: Audit, speaker: Speaker) -> None:
    if not result.latency:
        return
    speaker.line()
    speaker.table(
        ["batch", "with SE (ms)", "without SE (ms)", "ratio", "95 % interval", "device"],
        [
            [
                str(t.batch),
                f"{t.with_se_ms:.2f}",
                f"{t.without_se_ms:.2f}",
                f"{t.ratio:.3f}",
                f"{t.ratio_low:.3f} to {t.ratio_high:.3f}",
                t.device if t.device != "cpu" else f"cpu, {t.threads} threads",
            ]
            for t in result.latency
        ],
    )
    without, with_se = _PAPER_MS
    pairs = result.latency[0].pairs
    speaker.line(
        f"medians of {pairs} interleaved pairs; the paper's SE-ResNet-50 on a CPU: {without} -> {with_se} "
        f"ms, ratio {with_se / without:.3f}"
    )


def _not_counted(result: Audit, speaker: Speaker) -> None:
    speaker.line()
    if not result.not_counted:
        speaker.line("not counted: nothing; every operator is in the table")
        return
    speaker.line("not counted: operators that are in no number above")
    speaker.table(
        ["operator", "times", "first in"],
        [[n.operator, str(n.count), n.path or "(the network)"] for n in result.not_counted],
    )
    speaker.line()
