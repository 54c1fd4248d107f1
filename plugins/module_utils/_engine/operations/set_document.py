# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a set says of its members: ``set.json``, the manifest of manifests, and the body of RESTORE.md. Pure."""

from __future__ import annotations

import json
import shlex
import typing as t

from ..catalog.manifest import Manifest
from ..catalog.set_members import Member
from ..core.clock import format_time
from ..core.description.kinds import MEMBER_KINDS

SET_PAYLOAD = "set.json"
SET_MEDIA = "manifest of manifests in JSON"
FORMAT, FORMAT_VERSION = "lifeboat-set", 1

_POINTS = ("start_lsn", "end_lsn", "timeline", "snapshot_time", "last_save", "fingerprint")

_COMMANDS = """\
This is a set: {count} backups of {service}, made one after the other in {seconds} s, each at its own moment. Here is
what binds them together; the data is in the folders of the members, in the same repository.{left_out}

| | member | backup | from | to |
|---|---|---|---|---|
{table}

Copy the folders of all members to the host as well, with their paths: the folder that holds `{service}/` is four above
this one, else name it in `REPOSITORY`. Check all of them at once; every line must say OK:

```sh
cd "${{REPOSITORY:-../../../..}}"
sha256sum -c <<'END'
{sums}
END
```

Bring them back in the order of the table, for settings of servers come before their data. Each has its own way back
beside its payloads:

```text
{steps}
```
{choices}
`set.json` holds the whole manifest of each member, also when the member's own is lost:

```sh
cd "${{REPOSITORY:-.}}/{folder}"
{{fetch:set.json}}
```

`system.tar` says what the host was: kernel, packages, services, network, disks, cron, firewall, as plain text.

```sh
{{fetch:system.tar}} | tar -t
```
"""


def set_document(manifests: t.Sequence[Manifest], *, left_out: t.Sequence[str]) -> bytes:
    """The bytes of ``set.json``: each member's place, point and whole manifest."""
    members = [{**Member.of(one).as_dict(), "point": point_of(one), "manifest": one.as_dict()} for one in manifests]
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "service": manifests[0].service,
        "members": members,
        "left_out": list(left_out),
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def point_of(manifest: Manifest) -> dict[str, t.Any]:
    """The moment of a backup in its engine's own words: log positions, a cluster time, a fingerprint; and its end."""
    content = manifest.content
    found = {key: content[key] for key in _POINTS if content.get(key) is not None}
    consistency = content.get("consistency")
    if isinstance(consistency, dict):
        times = {key: value for key, value in consistency.items() if key.endswith(("_time", "_optime")) and value}
        found.update(times)
    return {**found, "finished": format_time(manifest.finished)}


def span_of(members: t.Sequence[Member]) -> dict[str, t.Any]:
    """From when to when the members were made."""
    begins, ends = min(one.started for one in members), max(one.finished for one in members)
    return {
        "begins": format_time(begins),
        "ends": format_time(ends),
        "seconds": round((ends - begins).total_seconds(), 3),
    }


def instead_of(members: t.Sequence[Member]) -> dict[str, Member]:
    """By the name of a member the one that is brought back instead of it: of each source the first kind is enough."""
    first: dict[str, Member] = {}
    for member in members:
        kinds = MEMBER_KINDS.get(member.engine, ())
        series = member.folder.series
        best = first.get(series.source)
        if series.kind in kinds and (best is None or kinds.index(series.kind) < kinds.index(best.folder.series.kind)):
            first[series.source] = member
    # Files of one source are different files: none stands for another.
    return {
        member.name: first[member.folder.series.source]
        for member in members
        if member.engine != "files" and first.get(member.folder.series.source, member) != member
    }


def restore_commands(manifests: t.Sequence[Manifest], *, folder: str, left_out: t.Sequence[str], seconds: float) -> str:
    """The body of RESTORE.md."""
    members = [Member.of(manifest) for manifest in manifests]
    table = [
        f"| {number} | {one.name} ({one.engine}) | `{one.folder.backup_id}` | {one.started:%Y-%m-%d %H:%M:%S} "
        f"| {one.finished:%H:%M:%S} UTC |"
        for number, one in enumerate(members, start=1)
    ]
    sums = [
        f"{payload.sha256}  {manifest.folder.key(payload.name)}"
        for manifest in manifests
        for payload in manifest.payloads
    ]
    steps = [f"less {shlex.quote(one.folder.key('RESTORE.md'))}" for one in members]
    choices = [
        f"{name} is the same data as {other.name} in another form: bring back one of the two."
        for name, other in instead_of(members).items()
    ]
    return _COMMANDS.format(
        count=len(members),
        service=members[0].folder.series.service,
        seconds=round(seconds),
        left_out=f" Not in it: {'; '.join(left_out)}." if left_out else "",
        table="\n".join(table),
        sums="\n".join(sums),
        steps="\n".join(steps),
        choices="".join(f"\n{line}\n" for line in choices),
        folder=folder.rstrip("/"),
    )
