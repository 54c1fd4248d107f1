# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archive of a source has, for a standby that its primary can't serve any more."""

from __future__ import annotations

import typing as t

from ..catalog.layout import Series
from ..core.host import Host
from ..storage.registry import open_storage
from ..streams.reader import read_streams
from .backup_values import RepositoryRequest
from .fetch_wal import WAL


class ArchivedWal:
    """The segments of *service*/*source* in *repositories*."""

    def __init__(self, repositories: t.Sequence[RepositoryRequest], *, service: str, source: str, host: Host) -> None:
        self._repositories = repositories
        self._series = Series(service=service, source=source, kind=WAL)
        self._host = host

    def __call__(self, system_identifier: str) -> t.Collection[str]:
        """The names. Raises the first problem, when anything could not be read."""
        storages = {
            one.name: open_storage(one.description, name=one.name, clock=self._host.clock, runner=self._host.runner)
            for one in self._repositories
        }
        streams = read_streams(storages, self._series, lineage=system_identifier, clock=self._host.clock)
        for stream in streams:
            for problem in stream.problems:
                raise problem
        return {one.segment.name for stream in streams for one in stream.segments}
