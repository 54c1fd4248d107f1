# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base backup that runs in a scratch folder, and what is asked of it."""

from __future__ import annotations

import typing as t

from ..catalog.manifest import Manifest
from ..core.errors import PostgresError, ScratchFailed
from ..core.host import Host
from ..recovery.questions import FAILED, PASSED, SKIPPED, Answer, Check, Question
from .amcheck import check_relations
from .base_folder import control_settings
from .base_verify_options import BaseVerifyOptions
from .facts import read_extensions
from .instance import OwnServer
from .names import parse_lsn
from .questions import Questioner
from .server_state import DEAD

_CONNECTABLE = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname"
_CHECKSUM_LABEL = "Data page checksum version"


class BaseInstance:
    """A running cluster from a base backup; *restart* starts it again after a look at its files."""

    def __init__(
        self,
        *,
        server: OwnServer,
        restart: t.Callable[[], OwnServer],
        manifest: Manifest,
        options: BaseVerifyOptions,
        host: Host,
    ) -> None:
        self._server = server
        self._restart = restart
        self._manifest = manifest
        self._options = options
        self._host = host
        server.superuser = self._superuser()
        self._databases = self._names()

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """Versions."""
        return {
            "postgresql": ".".join(map(str, self._server.programs.version)),
            "databases": list(self._databases),
            "superuser": self._server.superuser,
        }

    def compare(self) -> t.Iterator[Check]:
        """Databases and extensions against the manifest, the position reached, every page and every index."""
        yield self._position()
        yield self._compare_databases()
        yield from self._compare_extensions()
        if self._options.page_checksums:
            yield self._page_checksums()
        if self._options.amcheck:
            yield from check_relations(
                connection=self._server.connection(), runner=self._host.runner, databases=self._databases
            )

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Tables: ``table``, ``schema.table`` or ``database.schema.table``."""
        return self._questioner().require(names)

    def ask(self, question: Question) -> Answer:
        """One value by SQL. Raises QuestionFailed."""
        return self._questioner().ask(question)

    def stop(self) -> None:
        """End the server; the scratch folder's owner removes the rest."""
        self._server.stop(clock=self._host.clock)

    def _questioner(self) -> Questioner:
        return Questioner(
            connection=self._server.connection(),
            runner=self._host.runner,
            databases=tuple(name for name in self._databases if name != "template1"),
            timeout=self._options.question_timeout,
        )

    def _superuser(self) -> str:
        """A role of the cluster that may see everything: the one of the options, the usual one, that of the backup."""
        noted = self._manifest.facts.get("role") if self._manifest.facts.get("superuser") else None
        problems = []
        for name in (self._options.superuser, "postgres", noted):
            if not name:
                continue
            self._server.superuser = str(name)
            try:
                with self._server.connection("template1").connect(runner=self._host.runner) as session:
                    if session.value("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"):
                        return str(name)
                    problems.append(f"{name} is no superuser")
            except PostgresError as error:
                problems.append(f"{name}: {error.message}")
        raise ScratchFailed(
            f"The restored cluster runs, and no superuser of it is known: {'; '.join(problems)}.",
            hint="Name one with the option superuser of the verification.",
        )

    def _names(self) -> tuple[str, ...]:
        with self._server.connection("template1").connect(runner=self._host.runner) as session:
            return tuple(row[0] for row in session.rows(_CONNECTABLE))

    def _position(self) -> Check:
        """Whether recovery went as far as the backup's end: a shorter one is not consistent."""
        expected = str(self._manifest.content.get("end_lsn") or "")
        with self._server.connection("template1").connect(runner=self._host.runner) as session:
            found = str(session.value("SELECT pg_catalog.pg_current_wal_insert_lsn()"))
        if not expected:
            return Check(name="position", state=SKIPPED, message=f"position: {found}; the manifest names none")
        is_there = parse_lsn(found) >= parse_lsn(expected)
        return Check(
            name="position",
            state=PASSED if is_there else FAILED,
            message=f"position: recovered to {found}, the backup ends at {expected}",
            expected=expected,
            found=found,
        )

    def _compare_databases(self) -> Check:
        noted = self._manifest.content.get("databases")
        with self._server.connection("template1").connect(runner=self._host.runner) as session:
            found = sorted(row[0] for row in session.rows("SELECT datname FROM pg_catalog.pg_database"))
        if not isinstance(noted, list):
            return Check(name="databases", state=SKIPPED, message=f"databases: {', '.join(found)}", found=found)
        expected = sorted(str(one.get("name")) for one in noted)
        # One that was made or dropped while the backup ran may be in either list.
        missing = sorted(set(expected) - set(found))
        more = sorted(set(found) - set(expected))
        problems = [
            *([f"missing: {', '.join(missing)}"] if missing else []),
            *([f"not noted: {', '.join(more)}"] if more else []),
        ]
        message = f"databases: {'; '.join(problems) or ', '.join(found)}"
        state = FAILED if missing or more else PASSED
        return Check(name="databases", state=state, message=message, expected=expected, found=found)

    def _compare_extensions(self) -> t.Iterator[Check]:
        for noted in self._manifest.content.get("databases") or ():
            database = str(noted.get("name"))
            if "extensions" not in noted or database not in self._databases:
                continue
            expected = sorted(f"{one['name']} {one['version']}" for one in noted["extensions"])
            with self._server.connection(database).connect(runner=self._host.runner) as session:
                found = sorted(f"{one['name']} {one['version']}" for one in read_extensions(session))
            name = f"extensions of {database}"
            is_same = found == expected
            message = f"{name}: {', '.join(found) or 'none'}" + (
                "" if is_same else f", noted were {', '.join(expected) or 'none'}"
            )
            state = PASSED if is_same else FAILED
            yield Check(name=name, state=state, message=message, expected=expected, found=found)

    def _page_checksums(self) -> Check:
        """pg_checksums needs a cluster that was shut down: the server stops for it, and starts again."""
        name, programs, runner = "page checksums", self._server.programs, self._host.runner
        folder = self._server.place.data_directory
        if control_settings(folder, programs=programs, runner=runner).get(_CHECKSUM_LABEL) == "0":
            return Check(name=name, state=SKIPPED, message=f"{name}: the cluster has none")
        if not programs.has("pg_checksums"):
            return Check(name=name, state=SKIPPED, message=f"{name}: pg_checksums is not on this host")
        self._server.stop(clock=self._host.clock)
        superuser = self._server.superuser
        try:
            done = programs.run(
                "pg_checksums", "--check", "-D", folder, runner=runner, timeout=7 * 86400.0, check=False
            )
        finally:
            if self._server.state() == DEAD:
                self._server = self._restart()
                self._server.superuser = superuser
        said = [line.strip() for line in (done.text + done.error.decode("utf-8", "replace")).splitlines() if line]
        if done.status == 0:
            counts = [line for line in said if line.startswith(("Files scanned", "Blocks scanned"))]
            return Check(name=name, state=PASSED, message=f"{name}: {', '.join(counts)}")
        return Check(name=name, state=FAILED, message=f"{name}: {'; '.join(said[:5])}", found=said[:100])
