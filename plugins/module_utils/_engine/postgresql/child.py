# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client program that runs as long as it needs, its standard error read line by line while it does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import typing as t

from ..core.errors import CommandFailed, LifeboatError
from ..core.runner import child_environment
from .messages import Address, program_error

_KEPT_LINES = 200


class Said:
    """The lines that a program prints on standard error, kept for the error message (the newest 200)."""

    def __init__(self, on_line: t.Callable[[str], None] | None = None) -> None:
        self.lines: list[str] = []
        self._on_line = on_line

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        del self.lines[:-_KEPT_LINES]
        if self._on_line is not None:
            self._on_line(line)

    @property
    def text(self) -> str:
        """All of it as one text."""
        return "\n".join(self.lines)


@t.final
class Child:
    """A running program in a process group of its own. Leaving the ``with`` block ends it when it still runs."""

    def __init__(self, argv: t.Sequence[str], *, environment: t.Mapping[str, str], said: Said, output: bool) -> None:
        self._name = os.path.basename(argv[0])
        self._said = said
        self.process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if output else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=child_environment(environment),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"stderr of {self._name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself in the meantime
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def wait(self) -> int:
        """Wait for the end and for the last line of what it says; the exit status."""
        status = self.process.wait()
        self._reader.join()
        return status

    def finish(self, *, address: Address) -> None:
        """Wait for the end. Raises the named error of what it said when the status is not zero."""
        status = self.wait()
        if status != 0:
            raise program_failed(self._name, status=status, text=self._said.text, address=address)

    def _read(self) -> None:
        stream = self.process.stderr
        if stream is None:
            return
        with stream:
            for raw in stream:
                self._said(raw.decode("utf-8", "replace").rstrip())


def program_failed(name: str, *, status: int, text: str, address: Address) -> LifeboatError:
    """The named error for a program that ended badly; CommandFailed with its last words when none fits."""
    named = program_error(text, address=address)
    if named is not None:
        return named
    ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    said = "\n".join(text.splitlines()[-8:]) or "(it printed nothing)"
    return CommandFailed(f"{name} {ended}: {said}", details={"command": name, "status": status})
