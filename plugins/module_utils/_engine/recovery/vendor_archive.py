# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that a vendor's tool keeps in a storage of its own, as planners, windows and replays take them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..core.errors import LifeboatError
from ..core.host import Host
from ..streams.stream import Stream
from .recovery_planner import RecoveryPlan, SegmentReader


@dataclass(frozen=True)
class VendorArchives:
    """What was found. *streams* are read like our own; *problems* are storages that gave no answer, and why."""

    streams: tuple[Stream, ...] = ()
    problems: tuple[LifeboatError, ...] = ()


class ReadVendorArchives(t.Protocol):
    """Asks the storages that *bases* name. *options* are the tool's own; nothing is raised that a storage did."""

    def __call__(self, bases: t.Sequence[Backup], *, options: t.Mapping[str, t.Any], host: Host) -> VendorArchives: ...


class OpenVendorArchive(t.Protocol):
    """Reads the segments of *plan*, where a vendor keeps them; None where they are in our repositories.

    *segments* are the names of what an earlier run planned, to be gone on with; without them *plan* has its own.
    Nobody is asked before a segment is wanted.
    """

    def __call__(
        self,
        plan: RecoveryPlan,
        *,
        base: Backup,
        options: t.Mapping[str, t.Any],
        host: Host,
        segments: t.Sequence[str] = (),
    ) -> SegmentReader | None: ...
