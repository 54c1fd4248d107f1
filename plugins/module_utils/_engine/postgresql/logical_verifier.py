# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving a logical backup: read through (2), loaded into a new cluster of its own (3), counted and questioned (4).

The scratch cluster must not act on anything outside: it listens on a socket in its own folder, runs no jobs and no
workers of subscriptions, and these are not loaded at all: subscriptions, event triggers, passwords of foreign servers,
pg_cron, and the rows of materialized views that would be fetched from foreign tables.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, SKIPPED, Answer, Check, Question
from ..recovery.scratch import Scratch
from ..recovery.verifier import Instance, VerifierContext, VerifierNeeds
from .amcheck import check_relations
from .base_verify_options import BaseVerifyOptions
from .dump_loading import LoadManner
from .dump_selection import for_scratch
from .globals_sql import read_globals, role_statements
from .logical import GLOBALS_PAYLOAD
from .logical_listing import read_through
from .logical_target import all_databases, database_content, dump_major
from .new_cluster import NewCluster, find_cluster_programs
from .object_counts import count_objects
from .programs import ServerPrograms
from .questions import Questioner
from .target_checks import find_pg_restore, needed_bytes

_RESTORED = 3
# The data, its WAL, and what a new cluster has in any case.
_GROWTH, _NEW_CLUSTER = 1.3, 200 * 1024 * 1024


class PgLogicalVerifier:
    """A logical backup of PostgreSQL."""

    engine = "postgresql"
    kind = "logical"

    def __init__(self, *, options: BaseVerifyOptions, context: VerifierContext) -> None:
        self._options = options
        self._manifest = context.manifest
        self._host = context.host

    def inspect(self, *, level: int) -> VerifierNeeds:
        """Find the programs. Raises ToolMissing, ToolTooOld, RestoreVersionMismatch and PostgresAccountMissing."""
        major = dump_major(self._manifest)
        pg_restore = find_pg_restore(
            server_major=major, dump_major=major, runner=self._host.runner, bin_directory=self._options.bin_directory
        )
        facts: dict[str, t.Any] = {"pg_restore": pg_restore.dotted}
        if level < _RESTORED:
            return VerifierNeeds(bytes=0, facts=facts)
        programs = self._programs()
        facts["server"] = ".".join(map(str, programs.version))
        sizes = [
            needed_bytes(content, plain_size=_plain_size(self._manifest, content)) for content in self._databases()
        ]
        return VerifierNeeds(bytes=int(sum(sizes) * _GROWTH) + _NEW_CLUSTER, facts=facts)

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """Every payload to its end, and what it says of itself against the manifest."""
        if self._manifest.content.get("globals"):
            yield self._roles(source, progress=progress)
        major = dump_major(self._manifest)
        pg_restore = find_pg_restore(
            server_major=major, dump_major=major, runner=self._host.runner, bin_directory=self._options.bin_directory
        )
        for content in self._databases():
            yield from read_through(source, content, pg_restore=pg_restore, progress=progress)

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[Instance]:
        """A new cluster with all roles and databases of the backup."""
        cluster = NewCluster(scratch=scratch, programs=self._programs(), source=source, host=self._host)
        with cluster.running(progress=progress):
            roles = cluster.load_roles(progress=progress)
            for content in self._databases():
                cluster.load_database(
                    str(content["name"]), manner=LoadManner(tablespaces=False), progress=progress, narrow=for_scratch
                )
            for warning in cluster.warnings:
                self._host.journal.warning(warning)
            yield LogicalInstance(
                cluster=cluster,
                manifest=self._manifest,
                programs=self._programs(),
                runs_amcheck=self._options.amcheck,
                roles=len(roles),
                questioner=Questioner(
                    connection=cluster.connection(),
                    runner=self._host.runner,
                    databases=tuple(str(content["name"]) for content in self._databases()),
                    timeout=self._options.question_timeout,
                ),
            )

    def _programs(self) -> ServerPrograms:
        return find_cluster_programs(
            self._manifest, runner=self._host.runner, bin_directory=self._options.bin_directory
        )

    def _databases(self) -> list[t.Mapping[str, t.Any]]:
        return all_databases(self._manifest)

    def _roles(self, source: PayloadSource, *, progress: Progress) -> Check:
        found: list[str] = []
        source.deliver(
            GLOBALS_PAYLOAD, PayloadOutput(read=lambda file: found.append(read_globals(file))), progress=progress
        )
        roles = [one.role for one in role_statements(found[0]) if one.creates]
        return Check(
            name=GLOBALS_PAYLOAD,
            state=PASSED if roles else FAILED,
            message=f"{GLOBALS_PAYLOAD}: {len(roles)} roles" if roles else f"{GLOBALS_PAYLOAD} has no role at all",
            found=len(roles),
        )


@dataclass(frozen=True)
class LogicalInstance:
    """The loaded cluster, while it runs."""

    cluster: NewCluster
    manifest: Manifest
    programs: ServerPrograms
    runs_amcheck: bool
    roles: int
    questioner: Questioner

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """What it runs on and what came out."""
        return {
            "postgresql": ".".join(map(str, self.programs.version)),
            "databases": list(self.questioner.databases),
            "roles": self.roles,
        }

    def compare(self) -> t.Iterator[Check]:
        """Rows of every table and numbers of objects as noted; then every table and index by amcheck."""
        for name in self.questioner.databases:
            yield self._rows(name)
            yield self._objects(name)
        if self.runs_amcheck:
            yield from check_relations(
                connection=self.questioner.connection,
                runner=self.questioner.runner,
                databases=self.questioner.databases,
            )

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Tables that must be there."""
        yield from self.questioner.require(names)

    def ask(self, question: Question) -> Answer:
        """One value. Raises QuestionFailed."""
        return self.questioner.ask(question)

    def _rows(self, name: str) -> Check:
        compared = self.cluster.compare(name, analyze=False)
        if compared is None:
            return Check(
                name=f"rows of {name}", state=SKIPPED, message=f"rows of {name}: they were not counted at the time"
            )
        shown = "; ".join(compared.differences[:5])
        if len(compared.differences) > 5:
            shown += f" and {len(compared.differences) - 5} more"
        return Check(
            name=f"rows of {name}",
            state=FAILED if compared.differences else PASSED,
            message=f"rows of {name}: {shown or f'{compared.rows} in {compared.tables} tables, as noted'}",
            expected=database_content(self.manifest, name).get("rows"),
            found=compared.rows,
        )

    def _objects(self, name: str) -> Check:
        noted = database_content(self.manifest, name).get("objects")
        label = f"objects of {name}"
        if not isinstance(noted, dict):
            return Check(name=label, state=SKIPPED, message=f"{label}: they were not counted at the time")
        if int(self.manifest.content["server_version_number"]) // 10000 != self.programs.major:
            return Check(name=label, state=SKIPPED, message=f"{label}: another version counts differently")
        with self.cluster.session(name) as session:
            found = count_objects(session)
        differing = [
            f"{found.get(kind)} {kind} instead of {count}" for kind, count in noted.items() if found.get(kind) != count
        ]
        return Check(
            name=label,
            state=FAILED if differing else PASSED,
            message=f"{label}: {', '.join(differing) or 'as many of each kind as noted'}",
            expected=noted,
            found=found,
        )


def _plain_size(manifest: Manifest, content: t.Mapping[str, t.Any]) -> int:
    stored = content.get("stored")
    return next((one.plain_size or 0 for one in manifest.payloads if one.name == stored), 0)
