# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where results, notes and progress of the command line go."""

from __future__ import annotations

import json
import sys
import typing as t

from ..core.errors import LifeboatError
from .results import progress_text

# Back to the beginning of the line, and clear it.
_CLEAR_LINE = "\r\033[K"


class Printer:
    """Results to standard output, as text or as one JSON document; notes to standard error. Also the run's journal."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self._live = sys.stderr.isatty() and not quiet
        self._on_line = False

    def result(self, text: str) -> None:
        """A result for people; nothing with --json."""
        if not self.as_json:
            self._end_line()
            _write(sys.stdout, f"{text}\n")

    def document(self, document: t.Mapping[str, t.Any]) -> None:
        """The result for programs; nothing without --json."""
        if self.as_json:
            _write(sys.stdout, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def info(self, message: str) -> None:
        """A step worth knowing, for people at a terminal."""
        if self._live:
            self._note(message)

    def warning(self, message: str) -> None:
        """Something to look at."""
        self._note(f"warning: {message}")

    def error(self, error: LifeboatError, *, job: str | None = None) -> None:
        """What went wrong, with its hint."""
        self._note(f"lifeboat: {job}: {error}" if job else f"lifeboat: {error}")

    def progress(self, snapshot: t.Mapping[str, t.Any]) -> None:
        """How far it is, on one line of a terminal that is written over."""
        if self._live:
            _write(sys.stderr, f"{_CLEAR_LINE}  {progress_text(snapshot)}")
            self._on_line = True

    def _note(self, text: str) -> None:
        self._end_line()
        _write(sys.stderr, f"{text}\n")

    def _end_line(self) -> None:
        if self._on_line:
            _write(sys.stderr, _CLEAR_LINE)
            self._on_line = False


def _write(stream: t.TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
