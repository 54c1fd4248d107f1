# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database room and the recovery operation agree on: from a target to a base and the segments behind it."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup
from ..streams.stream import StoredSegment, Stream
from .recovery_target import RecoveryTarget


@dataclass(frozen=True)
class RecoveryPlan:
    """How the target is reached: *base* first, then *segments* in the order of replay. Pure: from the catalog alone.

    *base* is None where the stream carries its own bases (Redis: each generation of append-only files begins with one);
    *lineage* is empty where a backup alone is the answer.

    *why* says in words why this base and this lineage were chosen, one sentence each. *facts* are JSON values in the
    room's own words that its restorer needs (timeline, last position); they are kept in the ledger.
    """

    target: RecoveryTarget
    base: Backup | None
    lineage: str
    segments: tuple[StoredSegment, ...]
    why: tuple[str, ...]
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class RecoveryPlanner(t.Protocol):
    """One engine's way to plan."""

    def plan(
        self,
        *,
        bases: t.Sequence[Backup],
        streams: t.Sequence[Stream],
        target: RecoveryTarget,
        now: datetime.datetime,
    ) -> RecoveryPlan:
        """Choose. Raises RecoveryTargetUnreachable, whose details have the nearest reachable points ``before`` and
        ``after`` (as texts that can be given as targets, None where there is none), and RequestInvalid.
        """


class SegmentReader(t.Protocol):
    """The planned segments, read from whichever repository has a good copy; safe to use from several threads."""

    @property
    def plan(self) -> RecoveryPlan:
        """What was planned."""

    def fetch(self, segment: StoredSegment, path: str) -> None:
        """Write one segment's plain bytes to a new file *path*, whole and checked or not at all.

        It is written under a temporary name beside it and renamed. Every repository that has the segment is tried, and
        again for a bounded time where one did not answer; then the last error is raised.
        """

    def check(self) -> None:
        """Compare every planned segment's stored bytes with its record, in at least one repository.

        Raises RecoveryTargetUnreachable, naming the first segment that is nowhere whole.
        """
