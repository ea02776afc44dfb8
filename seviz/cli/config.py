"""Defaults of a project or a user: ``seviz.toml``, ``[tool.seviz]`` in pyproject.toml, ``SEVIZ_*`` variables.

A flag goes before a variable, a variable before the file, the file before what is built in.

A file is **found**, not named: it may be somebody else's. So it is looked for in the current folder and
above it only as far as the folder that holds ``.git`` or ``.hg`` (without one, in the current folder
alone), and what it may say is a list: where images are, how they are read, on which device. It runs no
code, fetches nothing, loads nothing that would not be loaded without it, and lets results go nowhere but
below its own folder. Variables are set by the user: they may name code, as flags do; what unlocks a file
(``--unsafe-load``) is a flag alone.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

from seviz.cli.numbers import bare, number, whole_number
from seviz.cli.options import LEAST, DataOptions, Formats, ModelOptions, OutputOptions
from seviz.cli.settings import ASKED_FOR, Setting, Settings, begin
from seviz.data.sources import Asked, is_set_name, names_code
from seviz.errors import UsageError

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import ArgumentCollection

OWN, SHARED = "seviz.toml", "pyproject.toml"
ROOTS = (".git", ".hg")
PREFIX = "SEVIZ_"
# More than any list of defaults needs.
_MOST_BYTES = 1 << 20
# A key of many parts takes its reader the square of them.
_MOST_DOTS = 200
_LONG = re.compile(rb"[\w\"'. \t-]+")
# What may be set, by the options that it is a default of. To allow more, name it here.
_KEYS: Mapping[type, tuple[str, ...]] = {
    DataOptions: (
        *("data", "split", "labels", "num_samples", "strict"),
        *("device", "batch_size", "workers", "amp", "amp_dtype", "fast"),
    ),
    ModelOptions: (
        *("arch", "class_names", "input_size", "mean", "std"),
        *("crop_pct", "crop_mode", "interpolation", "channel_order"),
    ),
    OutputOptions: ("output",),
}
# What names code, or unlocks, or fetches: told so, and not that it is unknown.
_REFUSED = ("import", "unsafe-load", "arch-args", "download", "weights", "checkpoint")
# Architectures of these are looked up, and not run.
_LOOKED_UP = ("timm", "torchvision")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
# Variables that are no defaults of options.
_OTHER = {"SEVIZ_DEBUG", "SEVIZ_CACHE_DIR"}
_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def apply(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give options that no flag set their defaults: what the command line calls before it runs a command.

    Raises:
        UsageError: If a variable or the file holds what no option takes.
    """
    from cyclopts import Token

    here = read_settings()
    begin(here)
    if not here.found:
        return
    options = {name: argument for argument in arguments for name in argument.names}
    for key, setting in here.found.items():
        argument = options.get(f"--{key}")
        if argument is None or argument.has_tokens or key in ASKED_FOR:
            continue
        for index, word in enumerate(setting.words):
            argument.append(
                Token(keyword=f"--{key}", value=word, source=setting.origin, index=index)
            )
        here.used[key] = setting.flag


def read_settings(
    folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> Settings:
    """Return every default that is set for a run in a folder.

    Args:
        folder: The current one by default.
        variables: Of the environment.

    Raises:
        UsageError: If a variable or the file holds what no option takes.
    """
    env = os.environ if variables is None else variables
    file = config_file(folder or Path())
    found: dict[str, Setting] = {}
    if file is not None:
        found |= {s.key: s for s in _of_file(file)}
    for key, hint in kinds().items():
        name = variable(key)
        if name in env:
            if not env[name].strip():  # none, also where the file has one
                found.pop(key, None)
            else:
                found[key] = Setting(key, _of_words(env[name], hint, key, name), name)
    for key, least in LEAST.items():
        setting = found.get(key)
        if setting is not None and setting.value < least:  # before the network is loaded
            raise UsageError(
                f"expected {key} of at least {least} in {setting.origin}, found {setting.value}; mend or "
                "remove it"
            )
    return Settings(found, file)


def variable(key: str) -> str:
    """Return the variable of a key.

    >>> variable("input-size")
    'SEVIZ_INPUT_SIZE'
    """
    return PREFIX + key.upper().replace("-", "_")


def unknown_variables() -> list[str]:
    """Return variables that look like defaults, and are none."""
    known = {variable(key) for key in kinds()} | _OTHER
    return [name for name in os.environ if name.startswith(PREFIX) and name not in known]


def kinds() -> dict[str, Any]:
    """Return every key, and the type of its value."""
    found: dict[str, Any] = {}
    for options, names in _KEYS.items():
        hints = get_type_hints(options)
        found |= {name.replace("_", "-"): hints[name] for name in names}
    return found | {"style": _style(), "formats": get_args(Formats)[0]}


def _style() -> Any:
    """Return the type of ``--style``, which one command has."""
    from seviz.cli.activations import FigureOptions  # that command imports what this file gives it

    return get_type_hints(FigureOptions)["style"]


def built_in() -> dict[str, Any]:
    """Return what each key is where nobody sets it, as far as one value says it."""
    found: dict[str, Any] = {}
    for options, names in _KEYS.items():
        defaults = {f.name: f.default for f in fields(options)}
        found |= {name.replace("_", "-"): defaults[name] for name in names}
    return found | {"style": None, "formats": ("png", "svg")}


def config_file(folder: Path) -> Path | None:
    """Return the nearest file of defaults, from a folder up to the root of its repository.

    Raises:
        UsageError: If it is no plain file.
    """
    for place in _searched(folder):
        if os.path.lexists(own := place / OWN):
            return own
        shared = place / SHARED
        if shared.is_file() and _section(shared) is not None:
            return shared
    return None


def _searched(folder: Path) -> list[Path]:
    """Return the folders that are looked into: without a repository, the folder alone."""
    here = folder.absolute()
    places = [here, *here.parents]
    for last, place in enumerate(places):
        if any((place / root).exists() for root in ROOTS):
            return places[: last + 1]
    return places[:1]


def _section(file: Path) -> Mapping[str, Any] | None:
    """Return what a file says to seviz; of a pyproject.toml without a section for it, nothing."""
    import tomllib

    try:
        if not file.is_file():
            raise UsageError(f"expected a plain file at {file}, found none; mend or remove it")
        if file.stat().st_size > _MOST_BYTES:
            if file.name == SHARED:
                return None
            raise UsageError(
                f"expected at most 1 MiB of defaults, found more in {file}; shorten it"
            )
        content = file.read_bytes()
        if file.name == SHARED and b"seviz" not in content:  # somebody else's, broken or not
            return None
        if any(run.count(b".") > _MOST_DOTS for run in _LONG.findall(content)):
            raise ValueError(f"a key of more than {_MOST_DOTS} parts")
        table: Any = tomllib.loads(content.decode("utf-8"))
    except OSError as exc:
        raise UsageError(
            f"expected to read the defaults in {file}, found {exc.strerror or exc}; mend or remove it"
        ) from None
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"expected TOML in {file}, found {exc}; mend the line") from None
    if file.name == SHARED:
        tool = table.get("tool")
        table = tool.get("seviz") if isinstance(tool, dict) else None
        if table is not None and not isinstance(table, dict):
            raise UsageError(f"expected a table [tool.seviz] in {file}, found {table!r}; mend it")
    return table  # type: ignore[no-any-return]


def _of_file(file: Path) -> Iterator[Setting]:
    """Yield what a file sets.

    Raises:
        UsageError: If it sets what it may not, or what no option takes.
    """
    known = kinds()
    seen: set[str] = set()
    for written, value in (_section(file) or {}).items():
        key = written.replace("_", "-")
        if key in _REFUSED:
            raise UsageError(
                f"expected --{key} on the command line, found {written!r} in {file}; a file that is found "
                "may not run code, unlock files or fetch them"
            )
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"expected a known key in {file}, found {written!r}; "
                + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")
            )
        if key in seen:
            raise UsageError(f"expected {key} once in {file}, found it twice; remove one")
        seen.add(key)
        yield Setting(key, _safe(key, _typed(value, known[key], key, file), file), str(file))


def _safe(key: str, value: Any, file: Path) -> Any:
    """Return a value as seen from the current folder.

    Raises:
        UsageError: If it would run code, or let results go where the file does not lie.
    """
    if key == "data" and names_code(Asked(value)):
        raise UsageError(
            f"expected images as data in {file}, found code, {value!r}; a file that is found runs none: "
            f"give it as --data or {variable(key)}"
        )
    if key == "arch" and (":" in value or value.endswith(".py")):
        if value.partition(":")[0] not in _LOOKED_UP:
            raise UsageError(
                f"expected a name as arch in {file}, found code, {value!r}; a file that is found runs none: "
                f"give it as --arch or {variable(key)}"
            )
        return value
    if key == "output":
        # As the system follows links: one in the folder may lead out of it.
        inside = Path(os.path.realpath(file.parent / value))
        if not inside.is_relative_to(os.path.realpath(file.parent)):
            raise UsageError(
                f"expected output below the folder of {file}, found {value!r}; give others as --output or "
                f"{variable(key)}"
            )
    if key in ("data", "output", "class-names"):
        return _from_here(value, file.parent)
    return value


def _from_here(value: str, folder: Path) -> str:
    """Return a path in a file, which is meant from the file's folder, as seen from the current one."""
    head, colon, rest = value.partition(":")
    if is_set_name(value):
        return value
    if colon and head in ("cifar10", "hf"):
        there = folder / rest
        return f"{head}:{_shortest(there)}" if there.exists() else value
    return _shortest(folder / Path(value).expanduser())


def _shortest(path: Path) -> str:
    here = os.path.relpath(path)
    return here if not here.startswith(os.pardir) else str(path)


def _typed(value: Any, hint: Any, key: str, origin: object) -> Any:
    """Return a value of the option's type.

    Raises:
        UsageError: If it is of another.
    """
    hint = bare(hint)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if isinstance(value, str) and item is str:
            value = [value]
        if isinstance(value, list | tuple) and value:
            fit = tuple(_fitting(each, item) for each in value)
            if None not in fit:
                return fit
    else:
        fit_one = _fitting(value, hint)
        if fit_one is not None:
            return fit_one
    raise UsageError(
        f"expected {key} as {_described(hint)} in {origin}, found {_shown(value)}; mend or remove it"
    )


def _fitting(value: Any, kind: type) -> Any:
    """Return a value as of a type, or None."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is kind else None


def _of_words(text: str, hint: Any, key: str, name: str) -> Any:
    """Return the value of a variable, which is text."""
    kind = bare(hint)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        try:
            words = shlex.split(text) if item is str else re.split(r"[\s,]+", text.strip())
        except ValueError:
            words = text.split()
        return _typed([_number(w, item) for w in words], hint, key, name)
    return _typed(
        text if get_origin(kind) is Literal else _number(text.strip(), kind), hint, key, name
    )


def _number(word: str, kind: type) -> Any:
    """Return a word as a value of a type; as it is where it is none, which is then told."""
    if kind is bool:
        lower = word.lower()
        return True if lower in _YES else False if lower in _NO else word
    if kind in (int, float):
        found = whole_number(word) if kind is int else number(word)
        return word if found is None else found
    return word


def _described(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) is tuple:
        return {str: "a list of words", int: "a list of whole numbers"}.get(
            get_args(hint)[0], "a list of numbers"
        )
    return _KINDS[hint]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
