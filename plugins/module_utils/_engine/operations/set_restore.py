# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a set: its members in their order, each with the restore of its own kind. Plans; restores nothing."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup, Selection, read_catalog
from ..catalog.set_members import Member, members_of
from ..core.errors import LifeboatError, SetIncomplete, SetNotRestorable
from ..core.host import Host
from .choosing import Choice, Sources, choose, copy_to_read
from .forecast import Forecast, forecast
from .recovery_times import verified_recoveries
from .restore_values import RestoreRequest
from .set_document import instead_of

#: What puts a backup beside what is there, by engine; {name} is the source's.
_BESIDE: t.Mapping[str, str] = {
    "mongodb": "suffix=_restored",
    "postgresql": "data_directory=/srv/restored/{name}",
    "redis": "data_directory=/srv/restored/{name}",
    "files": "data_directory=/srv/restored/{name}",
}


@dataclass(frozen=True)
class PlannedMember:
    """One member: the copy to read (None: it is gone), the commands, and why it is passed over if it is."""

    member: Member
    repository: str | None
    state: str
    in_place: str
    beside: str
    instead: str | None = None
    problem: str | None = None
    forecast: Forecast | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            **self.member.as_dict(),
            "repository": self.repository,
            "state": self.state,
            "in_place": self.in_place,
            "beside": self.beside,
            "instead": self.instead,
            "problem": self.problem,
            "forecast": self.forecast.as_dict() if self.forecast else None,
        }


@dataclass(frozen=True)
class SetRestorePlan:
    """The set that was chosen, and its members in the order in which they come back."""

    choice: Choice
    members: tuple[PlannedMember, ...]

    @property
    def error(self) -> LifeboatError | None:
        """That the set is broken, with every member that is gone."""
        gone = [one for one in self.members if one.problem is not None]
        if not gone:
            return None
        return SetIncomplete(
            f"The set {self.choice.manifest.backup_id} is broken: " + " ".join(str(one.problem) for one in gone),
            hint="Take another set, or bring back what is there by the commands above: lifeboat list shows the sets.",
            details={"missing": [one.member.folder.backup_id for one in gone]},
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "backup": self.choice.as_dict(),
            "members": [one.as_dict() for one in self.members],
            "left_out": list(self.choice.manifest.content.get("left_out") or ()),
            "span": dict(self.choice.manifest.content.get("span") or {}),
            "whole": self.error is None,
        }


def plan_set_restore(request: RestoreRequest, *, host: Host) -> SetRestorePlan:
    """Choose the set, look for its members in the repositories, and say how each comes back. Reads only.

    Raises BackupNotFound, BackupNotTrusted, and what reading raises. A member that is gone is part of the plan.
    """
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    choice = choose(sources, request.selection, point=request.point, allow_failed=request.allow_failed)
    members = members_of(choice.manifest)
    others = instead_of(members)
    return SetRestorePlan(
        choice=choice, members=tuple(_planned(member, others.get(member.name), sources=sources) for member in members)
    )


def refuse_set_restore(plan: SetRestorePlan) -> SetNotRestorable:
    """Why a set is not restored in one go: each member has a target, a confirmation and a way back of its own."""
    first = next((one for one in plan.members if one.problem is None), plan.members[0])
    name = plan.choice.manifest.folder.series.folder.rstrip("/")
    return SetNotRestorable(
        f"The set {plan.choice.manifest.backup_id} is brought back member by member: each has a target and a way back "
        "of its own.",
        hint=f"See all commands in order: lifeboat restore {name} --dry-run. The first one: {first.in_place}",
        details={"plan": plan.as_dict()},
    )


def _planned(member: Member, instead: Member | None, *, sources: Sources) -> PlannedMember:
    series, backup_id = member.folder.series, member.folder.backup_id
    selection = Selection(service=series.service, source=series.source, kind=series.kind)
    reading = read_catalog(sources.storages, selection=selection)
    found = next((one for one in reading.backups if one.manifest.folder == member.folder), None)
    option = _BESIDE.get(member.engine, "data_directory=/srv/restored/{name}").format(name=series.source)
    return PlannedMember(
        member=member,
        repository=copy_to_read(found, sources.storages) if found is not None else None,
        state=found.state if found is not None else "missing",
        in_place=f"lifeboat restore {backup_id} --in-place --dry-run",
        beside=f"lifeboat restore {backup_id} -o {shlex.quote(option)} --dry-run",
        instead=instead.name if instead is not None else None,
        problem=_problem(member, found),
        forecast=forecast(verified_recoveries(reading.backups), plain_bytes=member.plain_bytes),
    )


def _problem(member: Member, found: Backup | None) -> str | None:
    place = member.folder.key("").rstrip("/")
    if found is None:
        return f"{place} is in no repository."
    if found.manifest.as_dict()["checksum"] != member.checksum:
        return f"{place} is not the backup that the set was made of."
    return None
