# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a recovery stopped, by the server's own words in its log, and whether that is its target. Nothing is assumed.

The words are those of recoveryStopsBefore() and recoveryStopsAfter() in src/backend/access/transam/xlogrecovery.c (in
xlog.c before version 15), with ``lc_messages`` C and the time zone UTC.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time, parse_time
from ..recovery.recovery_target import RecoveryTarget
from .names import parse_lsn

_STOPPING = re.compile(r"LOG:\s+(?P<words>recovery stopping (?P<where>before|after|at) .*)")
_TRANSACTION = re.compile(
    r"recovery stopping (?:before|after) (?P<what>commit|abort) of transaction (?P<xid>\d+), time (?P<time>.+)"
)
_LOCATION = re.compile(r'recovery stopping (?:before|after) WAL location \(LSN\) "(?P<lsn>[0-9A-F]+/[0-9A-F]+)"')
_NAME = re.compile(r'recovery stopping at restore point "(?P<name>.*)", time .+')
_CONSISTENT = "recovery stopping after reaching consistency"
_TIME = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2}) (?P<time>\d{2}:\d{2}:\d{2}(?:\.\d+)?)(?:\+00| UTC)")
_ENDED_BEFORE = "recovery ended before configured recovery target was reached"
_XID_BITS = 1 << 32


@dataclass(frozen=True)
class RecoveryStop:
    """*where* is ``before``, ``after`` or ``at``; *what* is ``commit``, ``abort``, ``lsn``, ``name``, ``consistency``.

    *words* are the server's. *moment* is aware, UTC: the time of the transaction that it stopped at.
    """

    where: str
    what: str
    words: str
    transaction: int | None = None
    moment: datetime.datetime | None = None
    position: int | None = None
    name: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "words": self.words,
            "transaction": self.transaction,
            "time": format_time(self.moment) if self.moment is not None else None,
        }


def read_stop(lines: t.Iterable[str]) -> RecoveryStop | None:
    """The last stop that a log tells of; None when it tells of none."""
    found = None
    for line in lines:
        match = _STOPPING.search(line)
        if match is not None:
            found = _parse(match["where"], match["words"].rstrip())
    return found


def ended_before_target(lines: t.Iterable[str]) -> bool:
    """Whether the server died because the WAL ended before the target."""
    return any(_ENDED_BEFORE in line for line in lines)


def is_target(stop: RecoveryStop, target: RecoveryTarget) -> bool:
    """Whether the server stopped at *target*, by what it said."""
    if target.kind == "time":
        if stop.where != "before" or stop.moment is None or target.time is None:
            return False
        return stop.moment > target.time or (not target.inclusive and stop.moment == target.time)
    if target.kind == "xid":
        where = "after" if target.inclusive else "before"
        return stop.where == where and stop.transaction == int(target.value) % _XID_BITS
    if target.kind == "lsn":
        where = "after" if target.inclusive else "before"
        return stop.where == where and stop.position is not None and stop.position >= parse_lsn(target.value)
    if target.kind == "name":
        return stop.name == target.value
    return target.kind == "immediate" and stop.what == "consistency"


def _parse(where: str, words: str) -> RecoveryStop:
    if found := _TRANSACTION.fullmatch(words):
        return RecoveryStop(
            where=where, what=found["what"], words=words, transaction=int(found["xid"]), moment=_moment(found["time"])
        )
    if found := _LOCATION.fullmatch(words):
        return RecoveryStop(where=where, what="lsn", words=words, position=parse_lsn(found["lsn"]))
    if found := _NAME.fullmatch(words):
        return RecoveryStop(where=where, what="name", words=words, name=found["name"])
    return RecoveryStop(where=where, what="consistency" if words == _CONSISTENT else "unknown", words=words)


def _moment(text: str) -> datetime.datetime | None:
    found = _TIME.fullmatch(text.strip())
    return parse_time(f"{found['date']}T{found['time']}Z") if found else None
