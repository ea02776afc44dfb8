"""The command line: parse, call one library function, turn errors into a line and an exit code."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any

from cyclopts import App
from cyclopts.exceptions import CycloptsError, MissingArgumentError, UnusedCliTokensError

from seviz.cli import (
    ablate,
    activations,
    audit,
    channel,
    channels,
    collect,
    compare,
    confusion,
    doctor,
    fold,
    image,
    inspect,
    merge,
    report,
    shift,
    swap,
    track,
)
from seviz.cli.console import say_details, saying_warnings
from seviz.cli.output import leave_no_empty_folder
from seviz.cli.settings import begin
from seviz.cli.shared import INTERRUPTED, given_words
from seviz.collect.distributed import launched
from seviz.errors import SevizError, UsageError, one_line
from seviz.results.writing import release_folders

USAGE, FAILED = 2, 1
# Under torchrun: the commands whose pass is shared, and how long the others leave the first word to the
# first process, which most often has the same error; torchrun ends them when it has said so.
SHARED = {"collect", "activations", "confusion", "report"}
MANNERS = 3.0


def _version() -> str:
    from importlib.metadata import version

    return version("seviz")


def _defaults(*given: Any) -> None:
    """Give options that no flag set the defaults of the project; only a command that is run needs them."""
    from seviz.cli.config import apply
    from seviz.cli.numbers import check_numbers

    apply(*given)
    check_numbers(given[-1])


app = App(
    name="seviz",
    help="Look inside networks with Squeeze-and-Excitation.",
    help_epilogue="Each command explains its options: seviz activations --help",
    version=_version,
    help_format="plaintext",
    config=_defaults,
    suppress_keyboard_interrupt=False,  # main says that it was interrupted
)
COMMANDS: tuple[Callable[..., int | None], ...] = (
    inspect.inspect,
    collect.collect,
    activations.activations,
    confusion.confusion,
    audit.audit,
    compare.compare,
    track.track,
    shift.shift,
    merge.merge,
    ablate.ablate,
    fold.fold,
    image.image,
    swap.swap,
    channel.channel,
    channels.channels,
    report.report,
    report.demo,
    doctor.doctor,
)
for place, command in enumerate(COMMANDS):
    app.command(command, sort_key=place)
app.register_install_completion_command()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0 ok, 1 a threshold failed, 2 usage, 3 checkpoint, 4 data, 5 device or memory, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given_words.set(words)
    begin()
    try:
        _check_launch(words)
        with saying_warnings():
            code = app(
                words or ["--help"],
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
        sys.stdout.flush()  # here, where a reader that has gone is not an error
    except UnusedCliTokensError as exc:
        return _fail(_too_many(exc), USAGE, words)
    except MissingArgumentError as exc:
        return _fail(_too_few(exc), USAGE, words)
    except CycloptsError as exc:
        return _fail(" ".join(str(exc).split()), USAGE, words)
    except SevizError as exc:
        with suppress(BrokenPipeError):
            say_details(exc, as_json="--json" in words)
        return _fail(str(exc), exc.exit_code, words)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, words)
    except BrokenPipeError:
        # The reader of our output has gone (seviz inspect ... | head): nobody is left to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except MemoryError:
        return _fail(
            "expected enough memory, found it exhausted; use a smaller --batch-size", 5, words
        )
    except OSError as exc:
        where = f" at {exc.filename}" if exc.filename else ""
        return _fail(
            f"expected to write the results, found {exc.strerror or exc}{where}; name another folder "
            "with --output",
            USAGE,
            words,
        )
    except Exception as exc:
        return _fail(
            f"unexpected {type(exc).__name__}: {' '.join(str(exc).split())[:300]}; this is a bug in "
            "seviz, -v -v shows where",
            FAILED,
            words,
        )
    finally:
        leave_no_empty_folder()
        release_folders()
    return code if isinstance(code, int) else 0


def _too_many(exc: UnusedCliTokensError) -> str:
    """Return what is wrong with words that no parameter takes."""
    command = " ".join(["seviz", *(exc.command_chain or ())])
    found = ", ".join(map(str, exc.unused_tokens or ())) or "more"
    parameters = signature(exc.target).parameters.values() if exc.target is not None else ()
    own = [p.name.upper() for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    takes = f"{' '.join(own)} and options" if own else "options alone"
    return f"expected {takes} for {command}, found {found} besides; {command} --help shows all"


def _too_few(exc: MissingArgumentError) -> str:
    """Return what a command lacks: one of its words, or the value of an option."""
    command = " ".join(["seviz", *(exc.command_chain or ())])
    parameters = signature(exc.target).parameters.values() if exc.target is not None else ()
    own = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)}
    lacking = exc.argument.field_info.name if exc.argument is not None else ""
    if exc.keyword is not None or lacking not in own:
        option = exc.keyword or (exc.argument.name if exc.argument is not None else "each option")
        return f"expected a value after {option}, found none; {command} --help explains it"
    takes = [
        f"[{name.upper()} ...]" if p.kind is p.VAR_POSITIONAL else name.upper()
        for name, p in own.items()
        if p.default is p.empty
    ]
    return f"expected {command} {' '.join(takes)}, found no {lacking.upper()}; {command} --help explains it"


def _check_launch(words: Sequence[str]) -> None:
    """Refuse to do several times, side by side, what is to be done once.

    Raises:
        UsageError: If torchrun started several processes for anything but a pass.
    """
    if not launched().several:
        return
    with_data = any(w == "--data" or w.startswith("--data=") for w in words)
    if not with_data:
        from seviz.cli.config import read_settings

        with_data = "data" in read_settings().found
    if not (words and words[0] in SHARED and with_data):
        raise UsageError(
            f"expected {', '.join(sorted(SHARED))} with --data under torchrun, found "
            f"{' '.join(words[:1]) or 'no command'!r}; run it in one process"
        )


def _fail(message: str, code: int, words: Sequence[str]) -> int:
    wanted = sum(w.count("v") for w in words if w.startswith("-v") and not w.startswith("--"))
    if os.environ.get("SEVIZ_DEBUG") == "1" or wanted + words.count("--verbose") > 1:
        traceback.print_exc()
    ranks = launched()
    if not ranks.first:
        time.sleep(MANNERS)
        message = f"process {ranks.rank} of {ranks.size}: {message}"
    print(one_line(f"seviz: {message}"), file=sys.stderr, flush=True)
    return code
