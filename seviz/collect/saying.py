"""What is said while a record is made: remarks, and warnings that its reader would have to know."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from seviz.errors import RecordWarning
from seviz.results.alarms import alarms
from seviz.results.input_fit import InputFit
from seviz.results.record import Record

# What a user of Python may wish to know, and the command line says on stderr.
LOG = logging.getLogger("seviz")
Tell = Callable[[str], Any]


def say_fit(fit: InputFit, tell: Tell | None) -> None:
    """Say before a pass whether the input fits the network; a warning if not."""
    if fit.is_alarm:
        _warn(fit.sentence, tell)
    else:
        (tell or LOG.info)(fit.sentence)


def say_alarms(record: Record, tell: Tell | None) -> None:
    """Warn after a pass of what the record shows; that the input does not fit was said before."""
    fit = record.header.fit
    for text in alarms(record):
        if fit is None or text != fit.sentence:
            _warn(text, tell)


def _warn(text: str, tell: Tell | None) -> None:
    if tell is not None:
        tell(f"warning: {text}")
    else:
        warnings.warn(text, RecordWarning, stacklevel=_users_level())


def _users_level() -> int:
    """Return how far up the line of the user's is that called into seviz; 1 is who asks."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] == "seviz" and frame.f_back:
        level, frame = level + 1, frame.f_back
    return level
