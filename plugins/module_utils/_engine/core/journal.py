# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run tells while it works. Adapters: Ansible's warnings (``_module.py``), standard error (``cli.py``)."""

from __future__ import annotations

import typing as t


class Journal(t.Protocol):
    """Where notes of a run go. Texts never hold a secret."""

    def info(self, message: str) -> None:
        """A step worth knowing."""

    def warning(self, message: str) -> None:
        """Something that an operator should look at, though the run goes on. Kept in the result and the manifest."""


class MemoryJournal:
    """Keeps everything in lists: what results and manifests quote."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, message: str) -> None:
        self.infos.append(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


class RecordingJournal(MemoryJournal):
    """Passes everything on to *target* and keeps it as well."""

    def __init__(self, *, target: Journal) -> None:
        super().__init__()
        self._target = target

    def info(self, message: str) -> None:
        super().info(message)
        self._target.info(message)

    def warning(self, message: str) -> None:
        super().warning(message)
        self._target.warning(message)
