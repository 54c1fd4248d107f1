# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first files of a base backup say about it: backup_label, PG_VERSION, pg_control."""

from __future__ import annotations

import datetime
import re
import struct
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time

_LINE = re.compile(r"(?P<key>[A-Z][A-Z ]+): (?P<value>.*)")
_LSN = re.compile(r"[0-9A-F]+/[0-9A-F]+")
_TIME = re.compile(r"(?P<moment>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) (?P<zone>\S+)")
_CONTROL = struct.Struct("=QII")
#: How far the clock of the server may be from that of the host that made the backup.
_CLOCKS = datetime.timedelta(hours=1)
_ZONES = datetime.timedelta(hours=15)


@dataclass(frozen=True)
class BackupLabel:
    """The file ``backup_label``: where recovery starts. Empty texts: the line is not there."""

    start_lsn: str = ""
    start_timeline: int | None = None
    start_time: str = ""
    label: str = ""
    source: str = ""
    incremental_from_lsn: str = ""

    @classmethod
    def parse(cls, data: bytes) -> BackupLabel:
        """From the file's bytes; what can't be read is empty."""
        values: dict[str, str] = {}
        for line in data.decode("utf-8", "replace").splitlines():
            match = _LINE.fullmatch(line)
            if match:
                values[match["key"]] = match["value"]
        lsn = _LSN.match(values.get("START WAL LOCATION", ""))
        timeline = values.get("START TIMELINE", "")
        return cls(
            start_lsn=lsn[0] if lsn else "",
            start_timeline=int(timeline) if timeline.isdigit() else None,
            start_time=values.get("START TIME", ""),
            label=values.get("LABEL", ""),
            source=values.get("BACKUP FROM", ""),
            incremental_from_lsn=values.get("INCREMENTAL FROM LSN", ""),
        )

    def is_from(self, earliest: datetime.datetime, latest: datetime.datetime) -> bool | None:
        """Whether it was written in that span of time, as far as clocks and zones tell; None when it names no time.

        The server writes the abbreviation of its ``log_timezone``, which tells the offset for UTC only.
        """
        match = _TIME.fullmatch(self.start_time)
        if match is None:
            return None
        try:
            moment = parse_time(match["moment"] + "Z")
        except ValueError:
            return None
        slack = _CLOCKS if match["zone"] in ("UTC", "GMT") else _ZONES
        return earliest - slack <= moment <= latest + slack


@dataclass(frozen=True)
class ControlFile:
    """The beginning of ``global/pg_control``, which is the same in every version (src/include/catalog/pg_control.h)."""

    system_identifier: str
    control_version: int
    catalog_version: int

    @classmethod
    def parse(cls, data: bytes) -> ControlFile | None:
        """From its first bytes; None when there are too few."""
        if len(data) < _CONTROL.size:
            return None
        identifier, control, catalog = _CONTROL.unpack_from(data)
        return cls(system_identifier=str(identifier), control_version=control, catalog_version=catalog)


def expectations(content: t.Mapping[str, t.Any]) -> tuple[int | None, str | None, str | None]:
    """Major version, system identifier and start position that a manifest's content names; None for what it lacks."""
    number = content.get("server_version_number")
    major = number // 10000 if isinstance(number, int) else None
    identifier, start = content.get("system_identifier"), content.get("start_lsn")
    return major, None if identifier is None else str(identifier), None if start is None else str(start)
