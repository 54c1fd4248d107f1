# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the segments of a stream lie in a repository, below the folder of their series.

``<service>/<source>/<kind>/<lineage>/segments/<group>/<name>.<sha256 of the plain bytes>[.zst][.age]``
``<service>/<source>/<kind>/<lineage>/records/<hour>/<record id>.json``: which segments were stored, written after them
``<service>/<source>/<kind>/<lineage>/index/<hour>.json``: all records of an hour that is over, in one object
``<service>/<source>/<kind>/<lineage>/floors/<hour>.json``: what was recorded before that hour counts no longer

A segment belongs to the stream when a record or an index of an hour that counts names it. A *lineage* is one unbroken
history of one source: a system identifier of PostgreSQL, a replica set's own id, a chain of AOF generations. Hours are
in UTC: ``2026112119``.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from ..catalog.layout import Series
from ..core.errors import RequestInvalid
from ..core.ids import is_backup_id, is_name

_HOUR = "%Y%m%d%H"
_IS_HOUR = re.compile(r"[0-9]{10}")
_IS_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StreamFolder:
    """One lineage of one series."""

    series: Series
    lineage: str

    def __post_init__(self) -> None:
        """Raises RequestInvalid for a lineage that can't be a folder, or that would look like a backup."""
        if not is_name(self.lineage) or is_backup_id(self.lineage):
            raise RequestInvalid(
                f"The lineage {self.lineage!r} can't be a folder of the repository.",
                hint="Use lower-case letters, digits, dot, dash, underscore; at most 63, a letter or digit first.",
            )

    @property
    def prefix(self) -> str:
        """The key prefix of everything of this lineage, ending in a slash."""
        return f"{self.series.folder}{self.lineage}/"

    def segment_key(self, group: str, stored_name: str) -> str:
        """The key of one segment."""
        return f"{self.group_prefix(group)}{stored_name}"

    def group_prefix(self, group: str) -> str:
        """Below it lie the segments of one group."""
        return f"{self.segments_prefix}{group}/"

    @property
    def segments_prefix(self) -> str:
        """Below it lie the folders of the groups."""
        return f"{self.prefix}segments/"

    @property
    def records_prefix(self) -> str:
        """Below it lie the folders of the hours with records."""
        return f"{self.prefix}records/"

    def hour_prefix(self, hour: str) -> str:
        """Below it lie the records of an hour."""
        return f"{self.records_prefix}{hour}/"

    def record_key(self, hour: str, record_id: str) -> str:
        """The key of one record."""
        return f"{self.hour_prefix(hour)}{record_id}.json"

    @property
    def index_prefix(self) -> str:
        """Below it lie the indexes."""
        return f"{self.prefix}index/"

    def index_key(self, hour: str) -> str:
        """The key of the index of an hour."""
        return f"{self.index_prefix}{hour}.json"

    @property
    def floors_prefix(self) -> str:
        """Below it lie the floors, of which the newest counts."""
        return f"{self.prefix}floors/"

    def floor_key(self, hour: str) -> str:
        """The key of the floor at an hour."""
        return f"{self.floors_prefix}{hour}.json"


def object_name(name: str, plain_sha256: str, suffixes: str) -> str:
    """The name of a stored segment; *suffixes* are those of compression and encryption (``.zst.age``)."""
    return f"{name}.{plain_sha256}{suffixes}"


def plain_sha256_in(stored_name: str, name: str) -> str | None:
    """The hash in the name of an object, None when it is no object of the segment *name*."""
    if not stored_name.startswith(f"{name}."):
        return None
    rest = stored_name[len(name) + 1 :].partition(".")[0]
    return rest if _IS_SHA256.fullmatch(rest) else None


def hour_of(moment: datetime.datetime) -> str:
    """The name of the hour of an aware time."""
    return moment.astimezone(datetime.timezone.utc).strftime(_HOUR)


def hour_end(hour: str) -> datetime.datetime:
    """When an hour is over (aware, UTC)."""
    return datetime.datetime.strptime(f"{hour}+0000", f"{_HOUR}%z") + datetime.timedelta(hours=1)


def is_hour(text: str) -> bool:
    """Whether *text* names an hour that the calendar has."""
    if _IS_HOUR.fullmatch(text) is None:
        return False
    try:
        hour_end(text)
    except (ValueError, OverflowError):
        return False
    return True
