# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the oplog is and how long it is kept, on every member that can be reached; and putting that back.

Both are set while the server runs (replSetResizeOplog). The size lasts; the hours are forgotten at the next start,
unless they stand in mongod.conf, which is said.
"""

from __future__ import annotations

import typing as t

from ..core.preparation import Change, PreparationNote, Step
from .faults import named_faults
from .oplog_members import OplogSet
from .oplog_window_guard import minimum_hours, set_hours
from .topology import PRIMARY, SECONDARY

if t.TYPE_CHECKING:
    from .connection import Client

_SIZES, _HOURS = "oplog_mib", "oplog_hours"
_MIB = 1024 * 1024
_ROLE = "hostManager"


def members_of(oplog_set: OplogSet) -> list[tuple[str, Client]]:
    """Every member with data that can be reached, by its name."""
    found = []
    for member in oplog_set.topology.members:
        if member.healthy and member.role in (PRIMARY, SECONDARY):
            client = oplog_set.connect(member)
            if client is not None:
                found.append((member.host, client))
    return found


def oplog_steps(
    members: t.Sequence[tuple[str, Client]], *, mib: int, hours: float, note: PreparationNote
) -> list[Step]:
    """What makes each oplog at least so large and kept at least so long; 0 leaves it alone. Nothing is made smaller."""
    steps = []
    for name, client in members:
        size = size_mib(client)
        if mib and size < mib:
            steps.append(_resize(client, name, before=size, mib=mib, note=note))
        kept = minimum_hours(client)
        if hours and kept < hours:
            steps.append(_keep(client, name, before=kept, hours=hours, note=note))
    return steps


def put_back_oplog_steps(members: t.Sequence[tuple[str, Client]], *, note: PreparationNote) -> list[Step]:
    """What puts back the values that are still ours. A member that does not answer keeps its note."""
    steps = []
    for name, client in members:
        sizes, hours = note.part(_SIZES), note.part(_HOURS)
        if name in sizes:
            now = size_mib(client)
            entry = sizes[name]
            if now == entry["set"]:
                # Made smaller it loses its oldest entries: what was captured is stored by now.
                steps.append(_resize(client, name, before=now, mib=entry["before"], note=note, back=True))
            else:
                steps.append(_forget(note, _SIZES, name))
        if name in hours:
            kept, entry = minimum_hours(client), hours[name]
            if kept == entry["set"]:
                steps.append(_keep(client, name, before=kept, hours=entry["before"], note=note, back=True))
            else:
                steps.append(_forget(note, _HOURS, name))
    return steps


def lasting_hours(members: t.Sequence[tuple[str, Client]], *, hours: float) -> tuple[str, ...]:
    """What an operator must write so that the hours outlive a restart, for members whose own file does not say it."""
    lacking = [name for name, client in members if hours and _hours_in_file(client) < hours]
    if not lacking:
        return ()
    sentence = (
        f"{', '.join(lacking)} keeps {hours:g} hours of oplog only until its next start. To last, write into its "
        f"mongod.conf: storage: {{oplogMinRetentionHours: {hours:g}}}. Running this again sets it anew, too."
    )
    return (sentence,)


def size_mib(client: Client) -> int:
    """How large the oplog may be, in MiB. Raises MongoNotAuthorised."""
    with named_faults("Measuring the oplog", role="clusterMonitor"):
        return int(client.local.command({"collStats": "oplog.rs"}).get("maxSize", 0)) // _MIB


def _resize(client: Client, name: str, *, before: int, mib: int, note: PreparationNote, back: bool = False) -> Step:
    def do() -> None:
        if not back:
            _noting(note, _SIZES, name, before=before, value=mib)
        with named_faults("Setting the size of the oplog", role=_ROLE):
            client.admin.command({"replSetResizeOplog": 1, "size": float(mib)})
        if back:
            _dropping(note, _SIZES, name)

    return Step(Change(f"size of the oplog of {name}", f"{before} MiB", f"{mib} MiB"), do)


def _keep(client: Client, name: str, *, before: float, hours: float, note: PreparationNote, back: bool = False) -> Step:
    def do() -> None:
        if not back:
            _noting(note, _HOURS, name, before=before, value=hours)
        set_hours(client, hours=hours)
        if back:
            _dropping(note, _HOURS, name)

    return Step(Change(f"least hours of the oplog of {name}", f"{before:g}", f"{hours:g}"), do)


def _forget(note: PreparationNote, part: str, name: str) -> Step:
    change = Change(f"note of the oplog of {name}", "ours", "somebody else's by now, or forgotten at a restart")
    return Step(change, lambda: _dropping(note, part, name))


def _noting(note: PreparationNote, part: str, name: str, *, before: float, value: float) -> None:
    entry = note.part(part).setdefault(name, {"before": before})
    entry["set"] = value
    note.write()


def _dropping(note: PreparationNote, part: str, name: str) -> None:
    note.part(part).pop(name, None)
    note.write()


def _hours_in_file(client: Client) -> float:
    with named_faults("Reading the server's own options", role="clusterMonitor"):
        parsed = client.admin.command("getCmdLineOpts").get("parsed", {})
    return float(parsed.get("storage", {}).get("oplogMinRetentionHours") or 0)
