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


class Printer:
    """Results to standard output, as text or as one JSON document; notes to standard error. Also the run's journal."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._on_line = False

    def result(self, text: str) -> None:
        """A result for people; nothing with --json."""
        if not self.as_json:
            self._end_line()
            print(text, flush=True)

    def document(self, document: t.Mapping[str, t.Any]) -> None:
        """The result for programs; nothing without --json."""
        if self.as_json:
            print(json.dumps(document, indent=2, ensure_ascii=False))

    def info(self, message: str) -> None:
        """A step worth knowing, for people at a terminal."""
        if self._live:
            self._end_line()
            print(message, file=sys.stderr)

    def warning(self, message: str) -> None:
        """Something to look at."""
        self._end_line()
        print(f"warning: {message}", file=sys.stderr, flush=True)

    def progress(self, snapshot: t.Mapping[str, t.Any]) -> None:
        """How far it is, on one line of a terminal that is written over."""
        if self._live:
            print(f"\r\033[K  {progress_text(snapshot)}", end="", file=sys.stderr, flush=True)
            self._on_line = True

    def error(self, error: LifeboatError, *, job: str | None = None) -> None:
        """What went wrong, with its hint."""
        self._end_line()
        where = f"{job}: " if job else ""
        print(f"lifeboat: {where}{error}", file=sys.stderr, flush=True)

    def _end_line(self) -> None:
        if self._on_line:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._on_line = False
