# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a base backup: the shape that pg_basebackup and WAL-G fill."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.progress import Progress
from ..pipeline.producer import PayloadSink
from .facts import ClusterFacts
from .options import IncrementalParent


@dataclass(frozen=True)
class BaseBackupRequest:
    """One base backup to be made. *parent* is None for a full one; *keep_manifest* asks for the manifest's bytes."""

    backup_id: str
    facts: ClusterFacts
    parent: IncrementalParent | None
    keep_manifest: bool


@dataclass(frozen=True)
class TablespacePayload:
    """One tablespace as it was stored: *payload* is the plain name, *size* its plain bytes, None when not known."""

    oid: int
    name: str
    location: str
    payload: str
    size: int | None


@dataclass(frozen=True)
class BaseBackupOutcome:
    """What was made. Positions are LSNs as PostgreSQL writes them (``0/3000028``).

    *payload* is the plain name of the stream with the data; *manifest_path* is the kept manifest on this host, empty
    when none was kept. *warnings* are the tool's own. *walg* says where the data lies that is not in the repository, in
    JSON values; empty when the payload holds it. *tablespaces* are those with payloads of their own.
    """

    payload: str
    start_lsn: str
    end_lsn: str
    timeline: int
    tool_name: str
    tool_version: str
    manifest_path: str = ""
    wal_held: bool = False
    warnings: tuple[str, ...] = ()
    walg: t.Mapping[str, t.Any] = field(default_factory=dict)
    tablespaces: tuple[TablespacePayload, ...] = ()


class BaseBackupTool(t.Protocol):
    """Drives one program. check() reads and refuses early, make() works; both raise named errors."""

    @property
    def name(self) -> str:
        """What the option ``tool`` calls it."""

    def check(self, request: BaseBackupRequest) -> tuple[str, ...]:
        """Refuse what can't become a good backup; otherwise the steps of make() in words."""

    def make(self, request: BaseBackupRequest, *, sink: PayloadSink, progress: Progress) -> BaseBackupOutcome:
        """Make the backup and store its payloads."""
