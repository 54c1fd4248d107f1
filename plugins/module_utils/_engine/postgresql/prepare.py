# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a PostgreSQL server for its backups: the jobs' role, what keeps it out, settings; never a restart."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import (
    PostgresAuthenticationFailed,
    PostgresHbaRefused,
    PostgresPermissionDenied,
    ServerDifferent,
)
from ..core.host import Host
from ..core.options import refuse_unknown
from ..core.preparation import Change, PreparationNote, Prepared, PrepareRequest, Step, nothing_to_put_back, run_steps
from ..core.system_unit import parent_of, unit_of
from .administrator import administrator_session
from .connection import PostgresConnection
from .prepare_functions import function_steps, functions_needed, noted_database, put_back_function_steps
from .prepare_needs import DEFAULT_SCRIPT, STANDBY, WantedSetting, by_hand, role_needs, wanted_settings
from .prepare_role import put_back_role_steps, role_steps
from .prepare_rules import is_on_this_host, lines_for, put_back_rules_steps, rules_steps, who_is_kept_out
from .prepare_settings import (
    library_steps,
    put_back_reasons,
    put_back_steps,
    read_settings,
    refuse_foreign_archive,
    reload,
    restart_reasons,
    setting_steps,
)
from .session import Session

_KEYS = (
    "account",
    "spool",
    "script",
    "archive_timeout",
    "replace_archiving",
    "rules",
    "labels",
    "walg",
    "addresses",
    "keep",
)
_RESTARTED = ("archive_mode", "max_replication_slots", "max_wal_senders", "wal_level")
_ATTEMPTS = 50
_POLL = 0.1


def prepare_postgresql(request: PrepareRequest, *, host: Host) -> Prepared:
    """Make the server ready, or put back what was there before; in check mode only say it.

    Options: ``account`` (of this host, whom the server's socket lets in as administrator), ``spool``, ``script`` and
    ``archive_timeout`` for the kind wal, ``replace_archiving``, ``rules`` (whether pg_hba.conf may be changed),
    ``labels`` (the jobs' role makes recovery labels), ``walg`` (WAL-G makes base backups as that role), for the kind
    standby ``addresses`` (where standbys come from) and ``keep`` (the most that a slot keeps for one).
    Raises what connecting raises, PostgresPermissionDenied without a superuser, PostgresArchivingElsewhere,
    PostgresRulesInvalid, AccountForeign, ServerDifferent and RequestInvalid.
    """
    refuse_unknown(request.options, known=_KEYS, of="the preparation of PostgreSQL")
    note = PreparationNote(engine="postgresql", request=request)
    if request.absent and not note.content:
        return nothing_to_put_back(request)
    jobs = PostgresConnection.from_description(request.connection)
    with contextlib.ExitStack() as sessions:
        session = sessions.enter_context(_administrator(request, jobs=jobs, host=host))
        _refuse_without_rights(session)
        # Rights to call functions are those of one database.
        noted, wanted = noted_database(session, note=note), _database_of_functions(request, jobs=jobs)
        opened = {
            name: sessions.enter_context(_administrator(request, jobs=jobs, host=host, database=name))
            for name in dict.fromkeys((noted, wanted))
            if name
        }
        functions = _Functions(noted=opened.get(noted), wanted=opened.get(wanted or noted))
        prepare = _Preparation(request=request, jobs=jobs, session=session, functions=functions, note=note, host=host)
        return prepare.put_back() if request.absent else prepare.make_ready()


class _Functions(t.NamedTuple):
    """The administrator's sessions where the role was given calls, and where it needs them."""

    noted: Session | None
    wanted: Session | None


class _Preparation:
    """One server and one source."""

    def __init__(
        self,
        *,
        request: PrepareRequest,
        jobs: PostgresConnection,
        session: Session,
        functions: _Functions,
        note: PreparationNote,
        host: Host,
    ) -> None:
        self._request = request
        self._options = request.options
        self._jobs = jobs
        self._session = session
        self._functions = functions
        self._note = note
        self._host = host
        self._in_recovery = bool(session.value("SELECT pg_catalog.pg_is_in_recovery()"))
        administrator = session.value("SELECT current_user")
        self._account = jobs.user if jobs.user not in ("", administrator) else None

    def make_ready(self) -> Prepared:
        needs = role_needs(self._request.kinds, version=self._session.version)
        wanted = self._wanted()
        found = read_settings(self._session, [*(one.name for one in wanted), "archive_library"])
        steps = self._archive_steps(wanted, found)
        steps += setting_steps(self._session, wanted, found=found, note=self._note)
        if self._account is not None:
            password = self._jobs.password.fetch(runner=self._host.runner)
            steps += role_steps(
                self._session, name=self._account, password=password, needs=needs, note=self._note,
                in_recovery=self._in_recovery,
            )  # fmt: skip
            steps += self._function_steps(self._account)
            steps += self._rules_steps(replication=needs.replication)
        reasons = restart_reasons(wanted, found=found, steps=steps)
        changes = run_steps(steps, check=self._request.check)
        if not self._request.check:
            if any(not change.what.startswith(("role ", "password ", "calls ")) for change in changes):
                reload(self._session, wanted, clock=self._host.clock)
            if not reasons:
                self._prove(replication=needs.replication)
        by_hands = by_hand(self._request.kinds, version=self._session.version, role=self._jobs.user)
        return self._prepared(changes, reasons, by_hands)

    def put_back(self) -> Prepared:
        steps = put_back_steps(self._session, note=self._note)
        names = {step.change.what.removeprefix("setting ") for step in steps} & set(_RESTARTED)
        steps += put_back_rules_steps(note=self._note)
        if self._functions.noted is not None:
            steps += put_back_function_steps(self._functions.noted, note=self._note)
        steps += put_back_role_steps(self._session, note=self._note)
        changes = run_steps(steps, check=self._request.check)
        if self._request.check:
            reasons = tuple(f"{name} stays as it is until the server is restarted." for name in sorted(names))
        else:
            if changes:
                reload(self._session, (), clock=self._host.clock)
                self._host.clock.sleep(_POLL)
            reasons = put_back_reasons(self._session, _RESTARTED)
        return self._prepared(changes, reasons, ())

    def _wanted(self) -> tuple[WantedSetting, ...]:
        default = f"/var/spool/lifeboat/{self._request.service}.{self._request.source}.wal"
        return wanted_settings(
            self._request.kinds,
            version=self._session.version,
            in_recovery=self._in_recovery,
            spool=str(self._options.get("spool") or default),
            script=str(self._options.get("script") or DEFAULT_SCRIPT),
            timeout=self._options.get("archive_timeout"),
            keep=self._options.get("keep"),
        )  # fmt: skip

    def _archive_steps(self, wanted: t.Sequence[WantedSetting], found: t.Mapping[str, t.Any]) -> list[Step]:
        command = next((one for one in wanted if one.name == "archive_command"), None)
        if command is None:
            return []
        if not self._options.get("replace_archiving"):
            refuse_foreign_archive(found, ours=command, server=self._session.address.server)
        return library_steps(self._session, found=found, note=self._note)

    def _function_steps(self, account: str) -> list[Step]:
        noted, within = self._functions
        if within is None or self._in_recovery:  # a standby has the rights of its primary
            return []
        needed = functions_needed(
            labels=bool(self._options.get("labels")),
            walg=bool(self._options.get("walg")),
            version=self._session.version,
            rewind=STANDBY in self._request.kinds,
        )
        moved = noted is not None and noted is not within
        steps = put_back_function_steps(noted, note=self._note) if noted is not None and moved else []
        return steps + function_steps(within, name=account, functions=needed, note=self._note, moved=moved)

    def _rules_steps(self, *, replication: bool) -> list[Step]:
        lines = who_is_kept_out(self._jobs, replication=replication, runner=self._host.runner)
        lines += lines_for(self._session, role=str(self._account), addresses=self._options.get("addresses") or ())
        refusal = f"PostgreSQL at {self._session.address.server} does not let the role {self._account} in."
        if lines and not self._options.get("rules", True):
            raise PostgresHbaRefused(
                refusal,
                hint=f"Put before all other lines of pg_hba.conf, then SELECT pg_reload_conf();   {'   '.join(lines)}",
                details={"lines": list(lines)},
            )
        return rules_steps(
            self._session, role=str(self._account), lines=lines, note=self._note, refusal=refusal
        )  # fmt: skip

    def _prove(self, *, replication: bool) -> None:
        """Come in as the jobs do, to the same server."""
        with self._patiently() as session:
            question = "SELECT system_identifier FROM pg_catalog.pg_control_system()"
            if session.value(question) != self._session.value(question):
                raise ServerDifferent(
                    f"The administrator reached {self._session.address.server}, and the jobs come to "
                    f"{session.address.server}, which is another cluster.",
                    hint="Give the administrator the host and port of the jobs' connection.",
                )
        if replication:
            self._jobs.connect_replication(runner=self._host.runner).close()

    def _patiently(self) -> Session:
        """Rules that were changed hold a moment after the server was told."""
        for _attempt in range(_ATTEMPTS):
            with contextlib.suppress(PostgresHbaRefused, PostgresAuthenticationFailed):
                return self._jobs.connect(runner=self._host.runner)
            self._host.clock.sleep(_POLL)
        return self._jobs.connect(runner=self._host.runner)

    def _prepared(self, changes: tuple[Change, ...], reasons: tuple[str, ...], hands: tuple[str, ...]) -> Prepared:
        unit = self._unit()
        folder = self._session.value("SHOW data_directory")
        return Prepared(
            server=self._session.address.server,
            account=self._account,
            changes=changes,
            restart_reasons=reasons,
            unit=unit,
            restart_command=f"systemctl restart {unit}" if unit else f"pg_ctl -D {folder} -m fast restart",
            by_hand=hands,
        )

    def _unit(self) -> str | None:
        if not is_on_this_host(self._session.address.host):
            return None
        postmaster = parent_of(int(self._session.value("SELECT pg_catalog.pg_backend_pid()")))
        return None if postmaster is None else unit_of(postmaster, program="postgres")


def _administrator(
    request: PrepareRequest, *, jobs: PostgresConnection, host: Host, database: str = ""
) -> t.ContextManager[Session]:
    account = str(request.options.get("account") or "")
    return administrator_session(request.administrator, jobs=jobs, account=account, host=host, database=database)


def _database_of_functions(request: PrepareRequest, *, jobs: PostgresConnection) -> str:
    """Where the jobs call them; empty when they call none."""
    if request.absent or not (request.options.get("labels") or request.options.get("walg") or STANDBY in request.kinds):
        return ""
    return jobs.database or jobs.address().database


def _refuse_without_rights(session: Session) -> None:
    name, is_superuser = session.rows("SELECT rolname, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")[
        0
    ]
    if not is_superuser:
        raise PostgresPermissionDenied(
            f"The role {name} of PostgreSQL at {session.address.server} is no superuser, and only one can change "
            "settings and give rights.",
            hint="Name a superuser as administrator; with a provider that gives none, set this up in its console "
            "(docs/runbooks/wal.md says what) and leave postgresql_backup out.",
            details={"role": name},
        )
