# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups and increments of PostgreSQL, brought back: beside what is there, or in its place."""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreTargetInvalid
from ..core.progress import Progress
from ..core.runner import find_program
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Step
from .base_label import expectations
from .base_restore_options import BaseRestoreOptions
from .base_steps import PREPARE, START, SWAP, UNPACK, VERIFY, BaseSteps
from .base_target import CLUSTER, BaseTarget
from .base_unpack import needed_bytes, remove_unpacked, require_chain
from .programs import find_server_programs
from .server_state import postmaster_pid

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
        ToolMissing, PostgresAccountMissing.
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
        warnings = place.check(options, programs=programs, runner=host.runner)
        found = place.what_is_there()
        replaces = place.data_directory if options.in_place and found == CLUSTER else None
        is_running = postmaster_pid(place.data_directory) is not None
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
            },
            steps=tuple(step.title for step in steps),
            replaces=replaces,
            stops=(options.service_control.name,) if options.service_control is not None and is_running else (),
            moves=(f"{place.data_directory} -> {place.aside}",) if replaces else (),
            needed_bytes=needed_bytes(source, chain=self._context.chain),
            free_bytes=free_bytes(place.data_directory),
            warnings=tuple(warnings),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """unpack, verify, prepare; in place: stop, swap, start; beside: place, start."""
        return BaseSteps(
            source=source, context=self._context, options=self._options, place=self._place, progress=progress
        ).all()

    def outcome(self, *, facts: Facts) -> Restoration:
        """Where it is and how it was checked."""
        place, options = self._place, self._options
        prepared = facts.get(PREPARE, {})
        aside = tuple(str(one) for one in (facts.get(SWAP, {}).get("aside"),) if one and facts[SWAP].get("moved"))
        port = f" -p {options.port}" if options.port else ""
        host = f" -h {place.data_directory}" if not options.in_place else ""
        return Restoration(
            content={
                "system_identifier": prepared.get("system_identifier"),
                "checked_by": facts.get(VERIFY, {}).get("checked_by"),
                "configuration": prepared.get("configuration"),
                "state": facts.get(START, {}).get("state", "not started"),
                "chain": facts.get(UNPACK, {}).get("chain", []),
            },
            where=f"PostgreSQL cluster in {place.data_directory}",
            connect=f"psql{host}{port} -U postgres -d postgres",
            aside=aside,
            warnings=tuple(prepared.get("warnings", ())),
        )

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
        return (self._place.aside,)
