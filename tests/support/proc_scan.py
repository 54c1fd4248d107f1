# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for secrets in the command lines of all processes, again and again while something runs."""

from __future__ import annotations

import pathlib
import threading
import time
import typing as t


@t.final
class SecretScan:
    """``found`` holds each command line with one of *secrets*, ``programs`` whom it saw, ``samples`` how often it looked.

    A test should look at ``programs`` as well: a scan that did not see the dump run proves nothing.
    """

    def __init__(self, secrets: t.Sequence[str], *, interval: float = 0.01) -> None:
        self.found: list[str] = []
        self.programs: set[str] = set()
        self.samples = 0
        self._secrets = [secret.encode() for secret in secrets]
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="secret scan")

    def __enter__(self) -> SecretScan:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                self._look(path)
            self.samples += 1
            time.sleep(self._interval)

    def _look(self, path: pathlib.Path) -> None:
        try:
            command = path.read_bytes()
        except OSError:
            return  # it has ended
        self.programs.add(command.split(b"\0")[0].decode("utf-8", "replace").rsplit("/", 1)[-1])
        if any(secret in command for secret in self._secrets):
            self.found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
