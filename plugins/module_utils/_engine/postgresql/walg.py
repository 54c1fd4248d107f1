# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL-G as the maker of base backups: its place is here, it is filled together with continuous archiving."""

from __future__ import annotations

import typing as t

from ..core.errors import PostgresToolUnavailable
from ..core.progress import Progress
from ..pipeline.producer import PayloadSink
from .base_backup_tool import BaseBackupOutcome, BaseBackupRequest


class WalgTool:
    """Refuses by name. WAL-G writes to its own storage beside the repository, so it needs the archive's description."""

    name: t.Final = "walg"

    def check(self, request: BaseBackupRequest) -> tuple[str, ...]:
        """Always raises PostgresToolUnavailable."""
        raise self._refusal(request)

    def make(self, request: BaseBackupRequest, *, sink: PayloadSink, progress: Progress) -> BaseBackupOutcome:
        """Always raises PostgresToolUnavailable."""
        raise self._refusal(request)

    def _refusal(self, request: BaseBackupRequest) -> PostgresToolUnavailable:
        details: dict[str, t.Any] = {"tool": self.name, "backup_id": request.backup_id}
        return PostgresToolUnavailable(
            "tool: walg can't be used yet: driving WAL-G comes together with continuous WAL archiving.",
            hint="Use tool: pg_basebackup, which needs nothing but the server and its client programs.",
            details=details,
        )
