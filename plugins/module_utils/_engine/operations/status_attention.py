# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody must look at, in order of urgency: read off a status document. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..core.description.duration import describe_duration
from ..postgresql.wal_room import alarms_of

CRITICAL, WARNING = "critical", "warning"
Json = t.Mapping[str, t.Any]

_STREAM_STATES = {
    "blocked": (CRITICAL, "its last run was blocked"),
    "failed": (CRITICAL, "its last run failed"),
    "late": (CRITICAL, "a segment waits for longer than its alarm_age"),
    "never": (CRITICAL, "nothing of it was ever stored"),
    "partial": (WARNING, "something waits that is not in every repository yet"),
}


def attention_of(
    jobs: t.Sequence[Json],
    streams: t.Sequence[Json],
    sources: t.Sequence[Json],
    problems: t.Sequence[Json],
    channels: t.Sequence[Json] = (),
) -> list[dict[str, str]]:
    """One entry for each thing: ``name`` (stable), ``severity``, ``what`` (job, source or repository), ``message``,
    ``hint``; critical ones first.
    """
    found = [
        *(one for job in jobs for one in _job(job)),
        *(one for stream in streams for one in _stream(stream)),
        *(one for source in sources for one in _source(source)),
        *(one for problem in problems for one in [_problem(problem)]),
        *(_channel(channel) for channel in channels if channel["down_since"]),
    ]
    return sorted(found, key=lambda one: one["severity"] != CRITICAL)


def exit_status(attention: t.Sequence[Json]) -> int:
    """0 when nothing is to be looked at, 1 when something critical is, 3 when there are warnings only."""
    if any(one["severity"] == CRITICAL for one in attention):
        return 1
    return 3 if attention else 0


def _entry(name: str, severity: str, what: str, message: str, hint: str = "") -> dict[str, str]:
    return {"name": name, "severity": severity, "what": what, "message": message, "hint": hint}


def _job(job: Json) -> t.Iterator[dict[str, str]]:
    name, again = str(job["job"]), f"lifeboat backup {job['job']}"
    last = job["last_run"] or {}
    error = last.get("error") or {}
    if job["state"] == "failed":
        yield _entry("failed", CRITICAL, name, f"The last run failed: {_told(error)}", str(error.get("hint") or again))
    elif job["state"] == "never":
        yield _entry("never", CRITICAL, name, "There is no backup.", again)
    elif job["state"] == "wanted":
        yield _entry("wanted", CRITICAL, name, f"A full backup is needed: {job['wanted']}", again)
    elif job["state"] == "partial":
        missing = ", ".join(job["newest"]["missing"])
        yield _entry("partial", WARNING, name, f"The newest backup is not in {missing}.", "lifeboat copy")
    if job["overdue"]:
        due = job["due"]
        yield _entry(
            "overdue",
            CRITICAL,
            name,
            f"The run that was due at {due['due']} has no success; its grace ended at {due['deadline']}.",
            again,
        )
    if job["newest"] and job["newest"]["state"] == "failed":
        verification = job["newest"]["verification"] or {}
        yield _entry(
            "verification_failed",
            CRITICAL,
            name,
            f"The newest backup, {job['newest']['id']}, failed its verification of {verification.get('finished')}.",
            f"lifeboat show {job['newest']['id']}",
        )
    yield from _objectives(job, name)


def _stream(stream: Json) -> t.Iterator[dict[str, str]]:
    name, again = str(stream["job"]), f"lifeboat ship {stream['job']}"
    if stream["state"] in _STREAM_STATES:
        severity, said = _STREAM_STATES[stream["state"]]
        error = (stream["last_run"] or {}).get("error")
        yield _entry(
            f"stream_{stream['state']}",
            severity,
            name,
            f"{said[0].upper()}{said[1:]}{': ' + _told(error) if error else '.'}",
            str((error or {}).get("hint") or again),
        )
    for alarm in alarms_of(stream["pg_wal"]) if stream.get("pg_wal") else ():
        severity = CRITICAL if alarm.is_critical else WARNING
        yield _entry(alarm.name, severity, name, alarm.message, alarm.hint)
    if stream["overdue"]:
        due = stream["due"]
        said = f"The run that was due at {due['due']} has no success; its grace ended at {due['deadline']}."
        yield _entry("overdue", CRITICAL, name, said, again)


def _source(source: Json) -> t.Iterator[dict[str, str]]:
    yield from _objectives(source, str(source["source"]))


def _objectives(holder: Json, name: str) -> t.Iterator[dict[str, str]]:
    rpo, rto = holder.get("rpo") or {}, holder.get("rto") or {}
    if rpo.get("verdict") == "missed":
        lost = (
            f"{_span(rpo['seconds'])} would be lost now" if rpo["seconds"] is not None else "nothing can be recovered"
        )
        yield _entry(
            "rpo_missed",
            CRITICAL,
            name,
            f"{lost[0].upper()}{lost[1:]}; at most {_span(rpo['objective_seconds'])} may be.",
            f"lifeboat status {name}",
        )
    if rto.get("verdict") == "missed":
        yield _entry(
            "rto_missed",
            CRITICAL,
            name,
            f"A recovery will take {_span(rto['seconds'])} by what was measured; it may take "
            f"{_span(rto['objective_seconds'])}.",
            f"lifeboat list --service {name.partition('/')[0]}",
        )


def _problem(problem: Json) -> dict[str, str]:
    what = str((problem.get("details") or {}).get("repository") or problem["code"])
    return _entry("unreadable", CRITICAL, what, _told(problem), str(problem.get("hint") or ""))


def _channel(channel: Json) -> dict[str, str]:
    waiting, error = channel["waiting"], channel["error"] or {}
    waits = f"{waiting} message{'' if waiting == 1 else 's'} wait{'s' if waiting == 1 else ''}"
    return _entry(
        "channel_down",
        WARNING,
        str(channel["channel"]),
        f"Nobody is told by it since {channel['down_since']}, and {waits}: {_told(error)}",
        f"lifeboat notify --test {channel['channel']}",
    )


def _told(error: Json) -> str:
    return f"{error.get('message')} [{error.get('code')}]"


def _span(seconds: float) -> str:
    return describe_duration(datetime.timedelta(seconds=max(int(seconds), 1)))
