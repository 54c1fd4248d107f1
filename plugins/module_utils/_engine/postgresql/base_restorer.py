# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups and increments of PostgreSQL, brought back: beside what is there, or in its place."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import RequestInvalid, RestoreTargetInvalid
from ..core.progress import Progress
from ..core.runner import find_program
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Step
from .base_label import expectations
from .base_restore_options import BaseRestoreOptions
from .base_steps import PREPARE, REPLAY, SPACES, START, SWAP, UNPACK, VERIFY, BaseSteps
from .base_target import CLUSTER, BaseTarget
from .base_unpack import needed_bytes, remove_unpacked, require_chain
from .programs import find_server_programs, server_account
from .recovery_report import recovery_advice, recovery_content, recovery_facts
from .server_state import postmaster_pid
from .tablespace_moves import asides_of
from .tablespace_places import (
    TablespacePlace,
    check_places,
    check_room,
    moves_of,
    places_facts,
    places_of,
    places_text,
    tablespace_warnings,
)
from .tablespaces import links_of
from .walg_archive import WalgSegments
from .walg_restore import is_walg, open_walg

Facts = t.Mapping[str, t.Mapping[str, t.Any]]


class PgBaseRestorer:
    """Restores one base backup, or an increment with its chain, into a data folder."""

    engine = "postgresql"

    def __init__(self, *, kind: str, context: RestorerContext, options: BaseRestoreOptions) -> None:
        self.kind = kind
        self._context = context
        self._options = options
        self._place = BaseTarget.of(options, restore_id=context.restore_id)

    @property
    def target(self) -> str:
        """The data folder."""
        return self._place.data_directory

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """Refuses wrong versions, a folder that is in use or can't be moved, a chain with holes, missing tools.

        Raises RestoreTargetInvalid, RestoreVersionMismatch, PostgresDataDirectoryMounted, PostgresChainIncomplete,
        ToolMissing, PostgresAccountMissing, IdentityMissing, SecretUnavailable and DecryptionFailed.
        """
        host, options, place = self._context.host, self._options, self._place
        major, identifier, _start = expectations(source.manifest.content)
        if major is None:
            raise RestoreTargetInvalid(
                f"The manifest of {source.manifest.backup_id} does not say which PostgreSQL it is of.",
                hint="Restore by hand, as its RESTORE.md says.",
            )
        for tool in ("tar", "sync"):
            find_program(tool)
        programs = find_server_programs(major=major, runner=host.runner, bin_directory=options.bin_directory)
        require_chain(source, chain=self._context.chain, programs=programs)
        context = self._following(source)
        by_walg: dict[str, t.Any] = {}
        if is_walg(source.manifest):
            walg = open_walg(source.manifest, options=options.walg, account=programs.account, runner=host.runner)
            by_walg = {"walg": {"storage": walg.settings.prefix, "program": walg.path, "version": walg.version}}
        else:
            for one in (*self._context.chain, source):
                one.require_key()
        spaces = self._spaces(source)
        warnings = place.check(options, programs=programs, runner=host.runner)
        check_places(
            spaces,
            data_directory=place.data_directory,
            in_place=options.in_place,
            programs=programs,
            runner=host.runner,
        )
        warnings += tablespace_warnings(
            spaces, options, present=links_of(place.data_directory) if options.in_place else {}
        )
        found = place.what_is_there()
        replaces = place.data_directory if options.in_place and found == CLUSTER else None
        is_running = postmaster_pid(place.data_directory) is not None
        recovery = recovery_facts(context, options)
        chain = self._context.chain
        needed = needed_bytes(source, chain=chain) + recovery.needed_bytes
        rooms = {one.location: needed_bytes(source, chain=chain, oid=one.oid) for one in spaces}
        if spaces:
            check_room({place.data_directory: needed, **rooms})
        warnings += recovery.warnings
        if by_walg and options.verify:
            warnings.append(
                "The files are not checked one by one: WAL-G's backups have no list of them. Verify the backup at "
                "level 4 to have every page looked at."
            )
        if options.in_place and options.new_timeline:
            warnings.append("Make a full base backup afterwards: the restored cluster begins a timeline of its own.")
        steps = self.steps(source=source, progress=Progress(clock=host.clock))
        return RestoreInspection(
            facts={
                "data_directory": place.data_directory,
                "found": found,
                "running": is_running,
                "programs": programs.bin_directory,
                "version": ".".join(map(str, programs.version)),
                "system_identifier": identifier,
                "account": programs.account,
                "chain": [link.manifest.backup_id for link in self._context.chain],
                **places_facts(spaces, needs=rooms),
                **by_walg,
                **recovery.facts,
            },
            steps=tuple(step.title for step in steps),
            replaces=replaces,
            stops=(options.service_control.name,) if options.service_control is not None and is_running else (),
            moves=(f"{place.data_directory} -> {place.aside}", *moves_of(spaces, major=major)) if replaces else (),
            places=places_text(spaces, needs=rooms),
            needed_bytes=needed,
            free_bytes=free_bytes(place.data_directory),
            versions=f"backup of PostgreSQL {source.manifest.content.get('server_version')}, "
            f"server {'.'.join(map(str, programs.version))}",
            warnings=tuple(warnings),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """unpack, verify, prepare; in place: stop, swap, start; beside: place, start."""
        return BaseSteps(
            source=source,
            context=self._following(source),
            options=self._options,
            place=self._place,
            spaces=self._spaces(source),
            progress=progress,
        ).all()

    def _spaces(self, source: PayloadSource) -> tuple[TablespacePlace, ...]:
        return places_of(source.manifest, self._options, restore_id=self._context.restore_id)

    def _following(self, source: PayloadSource) -> RestorerContext:
        """The run, with WAL-G's archive where that is to be followed; nobody is asked yet."""
        context, walg = self._context, self._options.walg
        if walg is None or walg.recover_to is None:
            return context
        if context.segments is not None or not is_walg(source.manifest):
            raise RequestInvalid(
                "walg.recover_to is for the plain restore of a backup that WAL-G made.",
                hint="Leave it out; lifeboat recover has its target elsewhere.",
            )
        segments = WalgSegments(
            manifest=source.manifest,
            recover_to=walg.recover_to,
            open_program=lambda: open_walg(
                source.manifest, options=walg, account=server_account(), runner=context.host.runner
            ),
            clock=context.host.clock,
        )
        return dataclasses.replace(context, segments=segments)

    def outcome(self, *, facts: Facts) -> Restoration:
        """Where it is and how it was checked."""
        place, options = self._place, self._options
        prepared, started = facts.get(PREPARE, {}), facts.get(START, {})
        aside = tuple(str(one) for one in (facts.get(SWAP, {}).get("aside"),) if one and facts[SWAP].get("moved"))
        aside += tuple(asides_of(facts.get(SPACES, {}), restore_id=self._context.restore_id))
        port = f" -p {options.port}" if options.port else ""
        host = f" -h {place.data_directory}" if not options.in_place else ""
        return Restoration(
            content={
                "system_identifier": prepared.get("system_identifier"),
                "checked_by": facts.get(VERIFY, {}).get("checked_by"),
                "configuration": prepared.get("configuration"),
                "state": started.get("state", "not started"),
                "chain": facts.get(UNPACK, {}).get("chain", []),
                **recovery_content(self._context, replayed=facts.get(REPLAY, {}), started=started),
                **self._followed(facts.get(REPLAY, {}), started=started),
            },
            where=f"PostgreSQL cluster in {place.data_directory}",
            connect=f"psql{host}{port} -U postgres -d postgres",
            aside=aside,
            warnings=(*prepared.get("warnings", ()), *recovery_advice(self._context, options, started=started)),
        )

    def _followed(self, replayed: t.Mapping[str, t.Any], *, started: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """What was reached in WAL-G's archive; {} where it was not followed."""
        if self._context.segments is not None or not replayed:
            return {}
        reached = {**replayed.get("reached", {}), "new_timeline": started.get("timeline")}
        return {"recovery": reached, "full_backup_needed": True}

    def discard(self, *, facts: Facts) -> tuple[str, ...]:
        """Remove the cluster that was moved aside."""
        aside = facts.get(SWAP, {}).get("aside")
        if not aside or aside != self._place.aside or not facts[SWAP].get("moved"):
            return ()
        if postmaster_pid(self._place.aside) is not None:
            raise RestoreTargetInvalid(
                f"A server runs on {aside}; it is not removed.", hint=f"Run: head -1 {aside}/postmaster.pid"
            )
        remove_unpacked(self._place.aside)
        spaces = asides_of(facts.get(SPACES, {}), restore_id=self._context.restore_id)
        for folder in spaces:
            remove_unpacked(folder)
        return (self._place.aside, *spaces)
