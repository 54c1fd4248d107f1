# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would hurt if the region were lost now, of data: standbys, backups that the other region can read, space. Pure.

*facts* are what was seen; a thing that could not be looked at is a finding, never a good sign.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from ..core.description.spare_copies import NOT_REACHED
from ..postgresql.names import parse_lsn
from .findings import CRITICAL, HIGH, LOW, MEDIUM, Finding

Json = t.Mapping[str, t.Any]
#: Newest verified backup in the other region: late, and far too late.
_LATE, _FAR_TOO_LATE = datetime.timedelta(hours=50), datetime.timedelta(days=8)


def data_findings(facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    """Of all sources."""
    for source in facts["sources"]:
        if source["engine"] == "postgresql":
            yield from _standbys(source, facts, now=now)
            yield from _slots(source)
        yield from _spares(source, facts)
        yield from _capacity(source)
    yield from _backups(facts, now=now)


def _standbys(source: Json, facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    name = f"{facts['service']}/{source['name']}"
    away = [one for one in source["standbys"] if one.get("region") in (None, *facts["regions"]["standby"])]
    if not away:
        yield Finding(
            "standby.none",
            "standbys",
            HIGH,
            name,
            "There is no standby in the other region.",
            "It has to be restored from a backup there, which takes longer and loses what was not shipped.",
            "Describe standbys of the source with the region, and set one up: docs/runbooks/promote.md",
        )
    primary = source.get("primary")
    if primary is None:
        yield Finding(
            "standby.primary_silent",
            "standbys",
            HIGH,
            name,
            f"The primary does not answer: {source.get('problem') or 'nobody asked it'}.",
            "How far the standbys are behind can't be told.",
            f"lifeboat status {name}",
        )
    for standby in source["standbys"]:
        yield from _standby(standby, primary, about=f"{name}/{standby['name']}", source=source, now=now)


def _standby(
    standby: Json, primary: Json | None, *, about: str, source: Json, now: datetime.datetime
) -> t.Iterator[Finding]:
    def finding(code: str, severity: str, what: str, why: str, fix: str) -> Finding:
        return Finding(f"standby.{code}", "standbys", severity, about, what, why, fix)

    state = standby.get("state")
    if state is None:
        why = "It can't be promoted as long as nobody knows how it is."
        what = f"It does not answer: {standby.get('problem') or 'nobody asked it'}."
        yield finding(
            "silent", CRITICAL, what, why, f"Look on {standby.get('host')}: pg_lsclusters; journalctl -u 'postgresql*'"
        )
        return
    if not state["in_recovery"]:
        why = "It follows nobody, and has writes of its own or none of the primary's."
        yield finding("promoted", CRITICAL, f"It is a primary, on timeline {state['timeline']}.", why, _REBUILD)
        return
    if primary is not None and str(state["system_identifier"]) != str(primary["system_identifier"]):
        why = "It holds other data."
        yield finding("other_cluster", CRITICAL, "It belongs to another cluster.", why, _REBUILD)
        return
    if not state["receiving"]:
        why = "It gets what is archived only, or nothing, and falls behind."
        fix = "Look at primary_conninfo and the slot: SELECT * FROM pg_stat_wal_receiver; the log says why."
        yield finding("not_streaming", HIGH, "It does not stream from its primary.", why, fix)
    if state.get("paused"):
        yield finding(
            "paused",
            MEDIUM,
            "Its replay is paused.",
            "It has to replay all of it before it can be promoted.",
            "On it: SELECT pg_wal_replay_resume();",
        )
    yield from _lag(standby, state, primary, source, finding=finding, now=now)


def _lag(
    standby: Json,
    state: Json,
    primary: Json | None,
    source: Json,
    *,
    finding: t.Callable[[str, str, str, str, str], Finding],
    now: datetime.datetime,
) -> t.Iterator[Finding]:
    if primary is None:
        return
    has = max((parse_lsn(str(state[key])) for key in ("received", "replayed") if state.get(key)), default=0)
    behind = parse_lsn(str(primary["written"])) - has if primary.get("written") else 0
    if behind <= 0:
        return
    seconds = (now - parse_time(str(state["last_commit"]))).total_seconds() if state.get("last_commit") else None
    why = "So much is lost when the region is."
    fix = "See what slows it: SELECT * FROM pg_stat_replication; the network, its disk, long queries on it."
    if seconds is None:
        yield finding("lag_unknown", HIGH, f"It lacks {behind} bytes, and has no commit yet.", why, fix)
        return
    said = f"It lacks {behind} bytes; its newest commit is {seconds:.0f} s old"
    if _over(seconds, source["objectives"].get("rpo")):
        yield finding("lag", CRITICAL, f"{said}, and the objective is {source['objectives']['rpo']}.", why, fix)
    elif _over(seconds, standby.get("max_lag")):
        yield finding("lag", HIGH, f"{said}, and max_lag is {standby['max_lag']}.", why, fix)


def _slots(source: Json) -> t.Iterator[Finding]:
    slots = {one["name"]: one for one in source.get("slots") or ()}
    for standby in source["standbys"]:
        state = standby.get("state")
        if state is None or not state["in_recovery"] or source.get("slots") is None:
            continue
        about = f"{source['name']}/{standby['name']}"
        slot = slots.get(state.get("slot"))
        if slot is None:
            yield Finding(
                "slot.none",
                "standbys",
                MEDIUM,
                about,
                "It has no replication slot on the primary.",
                "While it is cut off for long, the primary removes WAL that it needs.",
                "On the primary: SELECT pg_create_physical_replication_slot('NAME'); on it: primary_slot_name.",
            )
        elif slot.get("wal_status") == "lost":
            yield Finding(
                "slot.lost",
                "standbys",
                CRITICAL,
                about,
                f"The primary has removed what the slot {slot['name']} needs.",
                "It catches up by the archive alone.",
                "playbooks/standby.yml -e standby_archive=true; where the archive lacks it: -e standby_rejoin=rebuild",
            )
        elif not slot["active"] and state.get("receiving"):
            yield Finding(
                "slot.inactive",
                "standbys",
                MEDIUM,
                about,
                f"Nobody uses its slot {slot['name']}, though it streams.",
                "It streams through another one; this one keeps WAL for nobody and fills the disk.",
                f"On the primary, once that is clear: SELECT pg_drop_replication_slot('{slot['name']}');",
            )


def _spares(source: Json, facts: Json) -> t.Iterator[Finding]:
    """Those that are restored in the other region; one beside a standby there is not used."""
    entered = facts["regions"]["standby"]
    if any(one.get("region") in entered for one in source["standbys"]):
        return
    for spare in source["spares"]:
        for lack in spare["lacks"] if spare["region"] in entered else ():
            reached = lack["code"] != NOT_REACHED
            yield Finding(
                f"spare.{lack['code']}",
                "standbys",
                MEDIUM if reached else HIGH,
                f"{facts['service']}/{source['name']}/{spare['name']}",
                f"{lack['what']}.",
                "What is written after the failover is lost with the next disk."
                if reached
                else "The failover ends with applications that are not well.",
                f"{lack['fix']}.",
            )


def _backups(facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    if not facts["places"]:
        yield Finding(
            "backup.nobody_looked",
            "backups",
            HIGH,
            str(facts["service"]),
            "No host of the other region is known, so nobody looked from there.",
            "Whether backups and credentials work from there shows on the day.",
            "Describe regions: hosts of the region with role standby.",
        )
    for place in facts["places"]:
        for repository in place["repositories"]:
            if not repository["readable"]:
                yield Finding(
                    "backup.unreadable",
                    "backups",
                    HIGH,
                    f"{repository['name']} from {place['host']}",
                    f"It can't be read: {repository['problem']}",
                    "What is in it can't be restored there.",
                    f"On {place['host']}: lifeboat list --repository {repository['name']}",
                )
        for source in facts["sources"]:
            if source["backed_up"]:
                yield from _backup(source, place, facts, now=now)


def _backup(source: Json, place: Json, facts: Json, *, now: datetime.datetime) -> t.Iterator[Finding]:
    name = f"{facts['service']}/{source['name']}"
    about = f"{name} from {place['host']}"
    own = [one for one in place["backups"] if one["source"] == source["name"]]
    proved = [one for one in own if one["verified"]]
    has_standby = any(one.get("state") for one in source["standbys"])
    if not proved:
        yield Finding(
            "backup.none_proved" if own else "backup.none",
            "backups",
            HIGH if has_standby else CRITICAL,
            about,
            f"{len(own)} backups can be read there, and none of them is proved."
            if own
            else "No backup can be read there.",
            "Without a standby that works there is nothing to restore it from.",
            f"lifeboat verify {name} --level 4"
            if own
            else f"lifeboat copy {name} --to NAME, a repository that it reaches",
        )
        return
    newest = max(proved, key=lambda one: str(one["finished"]))
    age = now - parse_time(str(newest["finished"]))
    if age > _LATE:
        yield Finding(
            "backup.old",
            "backups",
            (MEDIUM if has_standby else HIGH) if age < _FAR_TOO_LATE else HIGH,
            about,
            f"The newest proved backup, {newest['id']}, is {age.total_seconds() / 3600:.0f} h old.",
            "What came after it is lost unless a standby has it.",
            f"lifeboat status {name}",
        )


def _capacity(source: Json) -> t.Iterator[Finding]:
    size = source.get("data_bytes")
    for place in source.get("disks") or ():
        about = f"{source['name']} on {place['host']}"
        free = place.get("free_bytes")
        if free is None or size is None:
            yield Finding(
                "capacity.unknown",
                "capacity",
                LOW,
                about,
                f"How much room there is, is not known: {place.get('problem') or 'the size of the data is not'}.",
                "A restore or a growing primary may find its disk full.",
                f"On {place['host']}: df -h",
            )
            continue
        # Where a standby is, its data is there; room to grow is needed. Elsewhere the whole must fit, and be unpacked.
        needed = int(size * (0.2 if place["holds_data"] else 1.2))
        if free < needed:
            yield Finding(
                "capacity.small",
                "capacity",
                CRITICAL if free < needed // 4 or not place["holds_data"] else HIGH,
                about,
                f"{free} bytes are free in {place['path']}, and {needed} are needed.",
                "The new primary would stop with a full disk."
                if place["holds_data"]
                else "It can't be restored there.",
                f"Make room on {place['host']}, or a larger disk: df -h {place['path']}",
            )


_FULL = "The new primary would stop with a full disk."
_REBUILD = "Build it anew from the primary or a backup: docs/runbooks/promote.md, The way back."


def _over(seconds: float, limit: t.Any) -> bool:
    return bool(limit) and seconds > parse_duration(str(limit)).total_seconds()
