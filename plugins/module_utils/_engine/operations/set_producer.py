# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of backups: each member made as any backup is, then what binds them together, last of all the set's manifest.

A set exists if and only if all of its members do, in every repository that has it: one that lacks a member is left
out, and when a member could not be made at all, there is no set.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..catalog.layout import BackupFolder
from ..catalog.set_members import MEMBERS, SET_ENGINE, SET_LABEL, Member, label_of_set
from ..core.description.kinds import SET_KIND
from ..core.errors import Interrupted, LifeboatError, RequestInvalid, SetIncomplete
from ..core.progress import Progress
from ..files.producer import SYSTEM_MEDIA
from ..files.restore_notes import SYSTEM_PAYLOAD
from ..files.system_snapshot import PARTS, take_snapshot
from ..pipeline.producer import Inspection, PayloadInput, PayloadSink, Production, SelectiveSink
from .backup import plan_backup, run_backup
from .backup_values import BackupRequest, BackupResult, ProducerContext
from .set_document import SET_MEDIA, SET_PAYLOAD, restore_commands, set_document, span_of

_SECOND = 1_000_000_000


class SetProducer:
    """See :class:`pipeline.producer.Producer`."""

    engine = SET_ENGINE
    kind = SET_KIND

    def __init__(self, context: ProducerContext) -> None:
        """Raises RequestInvalid for a set of nothing."""
        if context.set_of is None or not context.set_of.members or context.folder is None:
            raise RequestInvalid(
                "This set has no members: no job of the service makes a whole backup that it may have.",
                hint="Add a backup of a database or of files, or look at include and exclude: lifeboat config check",
            )
        self._folder: BackupFolder = context.folder
        self._requests = context.set_of.members
        self._left_out = context.set_of.left_out
        self._job = self._folder.series.folder.rstrip("/")
        self._host = context.host

    def inspect(self) -> Inspection:
        """Look at the source of every member. Raises SetIncomplete naming all that refuse, before any is made."""
        steps: list[str] = []
        facts: list[dict[str, t.Any]] = []
        refused: dict[str, LifeboatError] = {}
        expected = 0
        for request in self._members():
            try:
                plan = plan_backup(request, host=self._host)
            except Interrupted:
                raise
            except LifeboatError as error:
                refused[request.job] = error
                continue
            expected += plan.inspection.expected_bytes
            facts.append({"job": request.job, "engine": request.engine, "bytes": plan.inspection.expected_bytes})
            steps.append(f"make {request.job} ({request.engine}): {'; '.join(plan.inspection.steps)}")
        if refused:
            raise _incomplete(refused, job=self._job, made=())
        steps += [f"leave out {line}" for line in self._left_out]
        steps.append("note what the host is, and bind all of it together as one set")
        # What the members take is checked when they are made: the set itself is small.
        return Inspection(
            facts={"members": facts, "left_out": list(self._left_out), "bytes": expected}, steps=tuple(steps)
        )

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make every member, then the set. Raises SetIncomplete when one could not be made; the others stay."""
        selective: SelectiveSink = t.cast("SelectiveSink", sink)
        results = self._make(progress)
        for name, error in _lacking(results).items():
            selective.leave_out(name, error)
        progress.stage("binding the set")
        manifests = [result.manifest for result in results]
        document = set_document(manifests, left_out=self._left_out)
        sink.store(PayloadInput(name=SET_PAYLOAD, media=SET_MEDIA, write=_writing(document)))
        snapshot = take_snapshot(self._host.runner)
        made = snapshot.tar(modified=int(self._host.clock.now().timestamp()) * _SECOND)
        sink.store(PayloadInput(name=SYSTEM_PAYLOAD, media=SYSTEM_MEDIA, write=_writing(made)))
        # Hours may have passed: whoever removed a member meanwhile has broken the set before it was one.
        selective.leave_out_lacking([manifest.folder.key("") for manifest in manifests])
        members = [Member.of(manifest) for manifest in manifests]
        span = span_of(members)
        return Production(
            content={
                MEMBERS: [member.as_dict() for member in members],
                "left_out": list(self._left_out),
                "span": span,
                "restored_bytes": sum(member.plain_bytes or 0 for member in members),
                "stored_bytes": sum(member.stored_bytes for member in members),
                "system": {"members": [part.name for part in PARTS], "missing_tools": list(snapshot.missing)},
            },
            restore_commands=restore_commands(
                manifests, folder=self._folder.key(""), left_out=self._left_out, seconds=float(span["seconds"])
            ),
        )

    def _make(self, progress: Progress) -> list[BackupResult]:
        results: list[BackupResult] = []
        failed: dict[str, LifeboatError] = {}
        for request in self._members():
            progress.stage(f"making {request.job}")
            try:
                results.append(run_backup(request, host=self._host))
            except Interrupted:
                raise
            except LifeboatError as error:
                # The others are good backups all the same.
                self._host.journal.warning(f"{request.job} is not made: {error.message} [{error.code}]")
                failed[request.job] = error
        if failed:
            raise _incomplete(failed, job=self._job, made=results)
        return results

    def _members(self) -> tuple[BackupRequest, ...]:
        """The requests of the members, each with the label that names this set."""
        label = {SET_LABEL: label_of_set(self._folder)}
        return tuple(replace(one, labels={**one.labels, **label}) for one in self._requests)


def _lacking(results: t.Sequence[BackupResult]) -> dict[str, LifeboatError]:
    """The repositories that did not take every member, each with the reason."""
    lacking: dict[str, LifeboatError] = {}
    for result in results:
        for repository in result.repositories:
            if repository["state"] == "complete":
                continue
            error = repository["error"] or {}
            name, manifest = str(repository["name"]), result.manifest
            lacking.setdefault(
                name,
                SetIncomplete(
                    f"{manifest.folder.key('')} is not in {name}, so the set can't be there either: "
                    f"{error.get('message', 'nobody knows why')}",
                    hint=f"When {name} works again: lifeboat copy --to {name}",
                    details={"repository": name, "member": manifest.backup_id},
                ),
            )
    return lacking


def _incomplete(failed: t.Mapping[str, LifeboatError], *, job: str, made: t.Sequence[BackupResult]) -> SetIncomplete:
    told = " ".join(f"{name}: {error.message} [{error.code}]" for name, error in failed.items())
    stay = f" The {len(made)} others were made and stay as backups of their own." if made else ""
    first = next(iter(failed.values()))
    return SetIncomplete(
        f"{len(failed)} of the backups of the set can't be made, so there is no set. {told}{stay}",
        hint=f"{first.hint} Then: lifeboat backup {job}".strip(),
        details={
            "failed": {name: error.as_dict() for name, error in failed.items()},
            "made": [result.manifest.backup_id for result in made],
        },
    )


def _writing(body: bytes) -> t.Callable[[t.BinaryIO], None]:
    def write(output: t.BinaryIO) -> None:
        output.write(body)

    return write
