# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where restored data comes from: a backup, or a stream of append-only files. Where it goes is the restorers' part."""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.steps import Facts
from .noted import Noted, noted_in
from .staging import Persistence, lay_out_aof, lay_out_rdb, stage_aof, stage_rdb

Places = list[tuple[str, str]]


class RestoredData(t.Protocol):
    """*kind* is that of the backup or stream; *form* is what a server loads: "rdb" or "aof"."""

    kind: str
    form: str

    def noted(self, source: PayloadSource | None) -> Noted:
        """What is known of it before it is fetched."""

    def stage(
        self,
        source: PayloadSource | None,
        noted: Noted,
        folder: str,
        persistence: Persistence,
        *,
        program: str | None,
        progress: Progress,
    ) -> tuple[Places, Facts]:
        """Fetch it into *folder*, made anew, check it, and lay it out for a server; *program* is that server's.

        Pairs of what lies in *folder* and its name in the data folder, and facts for :meth:`require_loaded`.
        """

    def require_loaded(self, facts: Facts, directory: str, persistence: Persistence) -> None:
        """Raise RecoveryEndedEarly when a server that has loaded *directory* left a part of it out."""


class BackupData:
    """The data of a backup of the kind ``rdb`` or ``aof``."""

    def __init__(self, kind: str) -> None:
        self.kind = self.form = kind

    def noted(self, source: PayloadSource | None) -> Noted:
        """See RestoredData."""
        return noted_in(_given(source).manifest)

    def stage(
        self,
        source: PayloadSource | None,
        noted: Noted,
        folder: str,
        persistence: Persistence,
        *,
        program: str | None,
        progress: Progress,
    ) -> tuple[Places, Facts]:
        """See RestoredData. Raises what delivery raises, RdbInvalid, AofInvalid, HostileArchive, ContentMismatch."""
        del program
        if self.form == "rdb":
            stage_rdb(_given(source), noted, folder, progress=progress)
            return lay_out_rdb(folder, persistence), {}
        unpacked = stage_aof(_given(source), noted, folder, progress=progress)
        return lay_out_aof(folder, unpacked, persistence), {}

    def require_loaded(self, facts: Facts, directory: str, persistence: Persistence) -> None:
        """See RestoredData: the counts of keys say it (``comparing.py``)."""
        del facts, directory, persistence


def _given(source: PayloadSource | None) -> PayloadSource:
    if source is None:
        raise RestoreTargetInvalid(
            "A restore of a backup was asked for without one.", hint="Name it: lifeboat restore SERVICE/SOURCE/KIND"
        )
    return source
