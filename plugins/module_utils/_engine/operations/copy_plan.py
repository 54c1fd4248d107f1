# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups a repository lacks and is to get, from where and why; which not, and why not. Reads no payload."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..catalog.catalog import Backup, Reading
from ..catalog.folder_content import FolderContent
from ..catalog.set_members import member_folders, set_in
from ..catalog.standing import FAILED, ORDER
from .copy_values import CopyRequest, LeftOutBackup, PlannedBackup, TargetPolicy


@dataclass
class BackupPlan:
    """The plan for one target. *present* are the backups that it has."""

    backups: list[PlannedBackup] = field(default_factory=list)
    left_out: list[LeftOutBackup] = field(default_factory=list)
    present: list[Backup] = field(default_factory=list)


@dataclass(frozen=True)
class _Verdict:
    """*wanted* with a reason, or not; *counts*: that it lacks the backup is worth telling."""

    wanted: bool
    reason: str
    counts: bool = True


def plan_backups(
    reading: Reading,
    request: CopyRequest,
    *,
    target: str,
    policy: TargetPolicy,
    contents: t.Mapping[str, FolderContent],
) -> BackupPlan:
    """What *target* is to get of the backups that *reading* tells of, newest first, but what others need before them.

    *contents* is what lies in the target's folders of the backups that it has, by id: what is missing there shows.
    """
    return _Planner(reading, request, target=target, policy=policy, contents=contents).plan()


class _Planner:
    def __init__(
        self,
        reading: Reading,
        request: CopyRequest,
        *,
        target: str,
        policy: TargetPolicy,
        contents: t.Mapping[str, FolderContent],
    ) -> None:
        self._request = request
        self._policy = policy
        self._target = target
        self._contents = contents
        self._backups = reading.backups
        self._by_id = {backup.manifest.backup_id: backup for backup in reading.backups}
        self._unreadable = {
            str(problem.details.get("key")): problem
            for problem in reading.problems
            if problem.details.get("repository") == target and problem.code.startswith("catalog.manifest")
        }
        self._plan = BackupPlan()
        self._planned: dict[str, PlannedBackup] = {}
        self._refused: dict[str, str] = {}  # why a backup does not come, by id

    def plan(self) -> BackupPlan:
        for backup in reversed(self._backups):
            if not self._is_selected(backup):
                continue
            if self._target in backup.repositories:
                self._plan.present.append(backup)
                self._consider_repair(backup)
                continue
            verdict = self._judge(backup)
            if verdict.wanted:
                self._add(backup, verdict.reason)
            elif verdict.counts:
                self._plan.left_out.append(LeftOutBackup(backup=backup, target=self._target, reason=verdict.reason))
        return self._plan

    def _is_selected(self, backup: Backup) -> bool:
        selection, manifest = self._request.selection, backup.manifest
        return (
            selection.takes_id(manifest.backup_id)
            # More was read than was asked for where sets are about: their members are of other sources.
            and selection.service in (None, manifest.service)
            and selection.source in (None, manifest.source)
            and selection.kind in (None, manifest.kind)
            and selection.engine in (None, manifest.engine)
        )

    def _judge(self, backup: Backup) -> _Verdict:
        if self._target in backup.removed:
            return _Verdict(wanted=False, reason="its retention removed it there")
        # What was made for a set goes where sets go.
        made_for = set_in(backup.manifest.labels)
        named = self._policy.names(made_for.series if made_for is not None else backup.manifest.folder.series)
        was_named = self._target in backup.manifest.repositories
        if self._request.everything:
            reason = "everything was asked for"
        elif named:
            reason = "its job stores there" + ("" if was_named else " now")
        elif was_named and named is None:
            reason = "its job wanted it there"
        else:
            return _Verdict(wanted=False, reason="no job stores its kind there any more", counts=was_named)
        if not self._policy.wanted(backup):
            return _Verdict(wanted=False, reason="the retention there would not keep it")
        return _Verdict(wanted=True, reason=reason)

    def _add(self, backup: Backup, reason: str) -> str | None:
        """Plan a backup after what it builds on; why that can't be, else None."""
        backup_id = backup.manifest.backup_id
        if backup_id in self._planned:
            return None
        if backup_id in self._refused:
            return self._refused[backup_id]
        problem = self._add_parent(backup) or self._add_members(backup)
        sources = self._sources(backup)
        if problem is None and not sources:
            problem = "no copy of it can be read"
        if problem is None and backup.manifest.folder.manifest_key in self._unreadable and not self._request.repair:
            problem = "its manifest there can't be read; to replace it, add --repair"
        if problem is not None:
            self._refused[backup_id] = problem
            self._plan.left_out.append(
                LeftOutBackup(backup=backup, target=self._target, reason=problem, is_problem=True)
            )
            return problem
        if backup.repositories[sources[0]] == FAILED:
            reason += "; it failed its verification, and there is no better copy"
        planned = PlannedBackup(
            backup=backup,
            target=self._target,
            sources=sources,
            reason=reason,
            repairs=backup.manifest.folder.manifest_key in self._unreadable,
        )
        self._planned[backup_id] = planned
        self._plan.backups.append(planned)
        return None

    def _add_parent(self, backup: Backup) -> str | None:
        parent_id = backup.manifest.parent
        if parent_id is None:
            return None
        parent = self._by_id.get(parent_id)
        if parent is None:
            return f"{parent_id}, which it builds on, is in no repository"
        if self._target in parent.repositories:
            return None
        if self._target in parent.removed:
            return f"{parent_id}, which it builds on, was removed there by its retention"
        problem = self._add(parent, f"{backup.manifest.backup_id} builds on it")
        return f"{parent_id}, which it builds on, does not come: {problem}" if problem else None

    def _add_members(self, backup: Backup) -> str | None:
        for folder in member_folders(backup.manifest):
            member_id = folder.backup_id
            member = self._by_id.get(member_id)
            if member is None:
                return f"its member {member_id} is in no repository"
            if self._target in member.repositories:
                continue
            if self._target in member.removed:
                return f"its member {member_id} was removed there by its retention"
            problem = self._add(member, f"a member of the set {backup.manifest.backup_id}")
            if problem:
                return f"its member {member_id} does not come: {problem}"
        return None

    def _sources(self, backup: Backup) -> tuple[str, ...]:
        """The copies to read, the best first; none that failed while another is good."""
        order = [one.name for one in self._request.repositories]
        names = [name for name in order if name in backup.repositories and name != self._target]
        good = [name for name in names if backup.repositories[name] != FAILED]
        return tuple(sorted(good or names, key=lambda name: -ORDER.index(backup.repositories[name])))

    def _consider_repair(self, backup: Backup) -> None:
        problem = self._damage(backup)
        if problem is None:
            return
        sources = tuple(name for name in self._sources(backup) if backup.repositories[name] != FAILED)
        if self._request.repair and sources:
            self._plan.backups.append(
                PlannedBackup(backup=backup, target=self._target, sources=sources, reason=problem, repairs=True)
            )
            return
        what = "to replace it, add --repair" if sources else "and there is no good copy elsewhere"
        self._plan.left_out.append(
            LeftOutBackup(backup=backup, target=self._target, reason=f"{problem}; {what}", is_problem=True)
        )

    def _damage(self, backup: Backup) -> str | None:
        """What is wrong with the target's own copy alone, as far as listings and verifications tell."""
        manifest = backup.manifest
        content = self._contents.get(manifest.backup_id)
        if content is not None:
            for payload in manifest.payloads:
                found = content.objects.get(manifest.folder.key(payload.name))
                if found is None:
                    return f"{payload.name} is missing there"
                if found.size != payload.size:
                    return f"{payload.name} has {found.size} bytes there, not {payload.size}"
        if member_folders(manifest):
            return None  # a set fails by its members, which are looked at themselves
        others = [state for name, state in backup.repositories.items() if name != self._target]
        if backup.repositories[self._target] == FAILED and any(state != FAILED for state in others):
            return "its bytes there failed a verification"
        return None
