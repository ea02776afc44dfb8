"""The defaults that one run of the command line found. Light: every command imports it, ``--help`` too."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

# What a command asks for where it needs it: the record that is there, and its folder, go first.
ASKED_FOR = ("data", "output")


class Setting(NamedTuple):
    """The default of one option.

    Attributes:
        key: Its name, without dashes.
        value: What it is: text, a number, true or false, or a list of these.
        origin: The variable or the file that it was set in; empty for what is built in.
    """

    key: str
    value: Any
    origin: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Return the value as the words that follow the flag."""
        if isinstance(self.value, bool):
            return (str(self.value).lower(),)
        return tuple(map(str, self.value)) if isinstance(self.value, tuple) else (str(self.value),)

    @property
    def flag(self) -> tuple[str, ...]:
        """Return it as it would stand on the command line."""
        if not isinstance(self.value, bool):
            return (f"--{self.key}", *self.words)
        if self.value:
            return (f"--{self.key}",)
        return ("--no-fast",) if self.key == "fast" else ()


class Settings:
    """What was found for one run of the command line.

    Attributes:
        found: By key.
        file: The file that was read, if there was one.
        used: Flags that stand for what was taken from here.
    """

    def __init__(self, found: Mapping[str, Setting] | None = None, file: Path | None = None):
        self.found: Mapping[str, Setting] = found or {}
        self.file = file
        self.used: dict[str, tuple[str, ...]] = {}

    def take(self, key: str) -> str | None:
        """Return the default of an option that a command asks for where it needs it."""
        setting = self.found.get(key)
        if setting is None:
            return None
        if key != "output":  # which changes no number
            self.used[key] = setting.flag
        return str(setting.value)


_settings: ContextVar[Settings | None] = ContextVar("settings", default=None)


def settings() -> Settings:
    """Return what was found for this run of the command line."""
    return _settings.get() or Settings()


def begin(here: Settings | None = None) -> None:
    """Start a run, in which this was found; nothing, as long as nobody has looked."""
    _settings.set(here)


def used_flags() -> tuple[str, ...]:
    """Return the flags that stand for the defaults that this run took."""
    return tuple(word for flag in settings().used.values() for word in flag)
