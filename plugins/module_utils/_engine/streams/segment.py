# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One segment of a stream: bytes that follow other bytes without a hole, and what is known about them."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ..pipeline.producer import StoredPayload


@dataclass(frozen=True)
class SegmentDescription:
    """What a database room says of a file in the spool before it is shipped.

    *name* is unique in the lineage and stays the same when the same bytes come again (``000000010000000000000003``,
    ``1763751600.1-1763751660.4``); *group* is the folder that it lies in (``0000000100000000``: a timeline and a log).
    The writes inside happened between *begins* and *ends* (aware, UTC, the source's clock; None where nobody knows).
    *media* is for people ("WAL segment"). *facts* are JSON values in the room's own words: positions, terms, the last
    commit.
    """

    name: str
    group: str
    media: str
    begins: datetime.datetime | None
    ends: datetime.datetime | None
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment:
    """One stored segment, as a record names it.

    *payload* has the name of the stored object, size and SHA-256 of the stored bytes, compression and encryption;
    *plain_sha256* is the hash of the bytes before both, which is also part of the object's name. *stored* is when every
    repository that took it had it.
    """

    description: SegmentDescription
    payload: StoredPayload
    plain_sha256: str
    stored: datetime.datetime

    @property
    def name(self) -> str:
        """The segment's name in its lineage."""
        return self.description.name

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """The room's own words about it."""
        return self.description.facts


@dataclass(frozen=True)
class StreamEvent:
    """Something that happened to the stream itself and that windows depend on.

    *what*: ``break`` (what follows can't be joined to what was before), ``full-backup-needed``, ``new-timeline``,
    ``label``. *reason* is a sentence for people, *facts* JSON values (position, label).
    """

    what: str
    at: datetime.datetime
    reason: str
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
