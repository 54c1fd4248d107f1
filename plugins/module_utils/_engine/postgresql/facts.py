# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a PostgreSQL cluster tells: everything in JSON values, nothing is changed."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import LifeboatError
from .session import Session

BUILT_IN_TABLESPACES = ("pg_default", "pg_global")
_SETTINGS = (
    "archive_mode",
    "block_size",
    "data_checksums",
    "data_directory",
    "hot_standby_feedback",
    "max_replication_slots",
    "max_wal_senders",
    "max_wal_size",
    "summarize_wal",
    "wal_keep_segments",
    "wal_keep_size",
    "wal_level",
    "wal_segment_size",
)
# A role without pg_read_all_stats may ask for the size of what it may connect to.
_DATABASES = """
SELECT d.datname, pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datallowconn, d.datistemplate,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT')
              OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_catalog.pg_database_size(d.oid) END
  FROM pg_catalog.pg_database d ORDER BY d.datname
"""
_TABLESPACES = """
SELECT s.spcname, pg_catalog.pg_tablespace_location(s.oid),
       CASE WHEN pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')
              OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_catalog.pg_tablespace_size(s.oid) END, s.oid
  FROM pg_catalog.pg_tablespace s ORDER BY s.oid
"""
_ROLE = """
SELECT rolname, rolsuper, rolsuper OR rolreplication,
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')
  FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


@dataclass(frozen=True)
class Database:
    """One database of the cluster; *size* in bytes, None when the role may not know it."""

    name: str
    encoding: str
    collation: str
    character_type: str
    connectable: bool
    template: bool
    size: int | None


@dataclass(frozen=True)
class Tablespace:
    """A tablespace; *location* is empty for the two built-in ones; *size* in bytes, None when the role may not know."""

    name: str
    location: str
    size: int | None
    oid: int = 0


@dataclass(frozen=True)
class Archiving:
    """How the archiver is doing. Times are UTC, None when it never happened."""

    mode: str
    archived_count: int
    last_archived_wal: str | None
    last_archived_time: str | None
    failed_count: int
    last_failed_wal: str | None
    last_failed_time: str | None

    @property
    def is_off(self) -> bool:
        """Whether finished WAL segments are not archived at all."""
        return self.mode == "off"


@dataclass(frozen=True)
class ClusterFacts:
    """The cluster at one moment. *version_number* is PostgreSQL's own (150018); sizes in bytes.

    *system_identifier* is text because it needs 64 bits. *settings* holds those settings that the
    role may see.
    """

    version: str
    version_number: int
    system_identifier: str
    timeline: int
    in_recovery: bool
    role: str
    superuser: bool
    may_replicate: bool
    may_read_passwords: bool
    archiving: Archiving
    wal_senders_in_use: int
    settings: t.Mapping[str, str]
    databases: tuple[Database, ...]
    tablespaces: tuple[Tablespace, ...]

    @property
    def major(self) -> int:
        """The major version: 15."""
        return self.version_number // 10000

    @property
    def own_tablespaces(self) -> tuple[Tablespace, ...]:
        """Those whose data lies outside of the data folder."""
        return tuple(one for one in self.tablespaces if one.name not in BUILT_IN_TABLESPACES)

    @property
    def data_checksums(self) -> bool:
        """Whether pages carry checksums."""
        return self.settings.get("data_checksums") == "on"

    @property
    def summarize_wal(self) -> bool | None:
        """Whether the server summarises WAL for incremental backups; None before version 17, which can't."""
        value = self.settings.get("summarize_wal")
        return None if value is None else value == "on"

    @property
    def wal_segment_size(self) -> int:
        """The size of one WAL segment in bytes."""
        return int(self.settings.get("wal_segment_size", 16 * 1024 * 1024))

    @property
    def max_wal_senders(self) -> int:
        """How many replication connections the server takes."""
        return int(self.settings.get("max_wal_senders", 0))

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, for plans and manifests."""
        return {
            **dataclasses.asdict(self),
            "databases": [dataclasses.asdict(database) for database in self.databases],
            "tablespaces": [dataclasses.asdict(tablespace) for tablespace in self.tablespaces],
            "data_checksums": self.data_checksums,
            "summarize_wal": self.summarize_wal,
        }


def read_facts(session: Session) -> ClusterFacts:
    """The facts of the cluster that *session* is connected to."""
    system_identifier, timeline, in_recovery = _control(session)
    role, superuser, may_replicate, may_read_passwords = session.rows(_ROLE)[0]
    # Settings that the role may not see are left out by the view instead of being refused.
    settings = session.rows("SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)", [list(_SETTINGS)])
    return ClusterFacts(
        version=str(session.value("SHOW server_version")).split(" ", maxsplit=1)[0],
        version_number=session.version,
        system_identifier=system_identifier,
        timeline=timeline,
        in_recovery=in_recovery,
        role=role,
        superuser=superuser,
        may_replicate=may_replicate,
        may_read_passwords=may_read_passwords,
        archiving=_archiving(session, mode=dict(settings).get("archive_mode", "off")),
        wal_senders_in_use=session.value("SELECT count(*) FROM pg_catalog.pg_stat_get_wal_senders()"),
        settings=dict(settings),
        databases=tuple(Database(*row) for row in session.rows(_DATABASES)),
        tablespaces=tuple(
            Tablespace(name, location, size, int(oid)) for name, location, size, oid in session.rows(_TABLESPACES)
        ),
    )


def read_extensions(session: Session) -> list[dict[str, str]]:
    """The extensions of the session's database: they must be installed where it is restored."""
    rows = session.rows("SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname")
    return [{"name": name, "version": version} for name, version in rows]


def is_untouched(session: Session) -> bool:
    """Whether the session's database holds nothing but what initdb made (template1 mostly does)."""
    # The first object identifier that users get: FirstNormalObjectId in PostgreSQL's source.
    catalogs = ("pg_class", "pg_extension", "pg_namespace", "pg_proc", "pg_type")
    found = " OR ".join(f"EXISTS (SELECT FROM pg_catalog.{name} WHERE oid >= 16384)" for name in catalogs)
    return not session.value(f"SELECT {found}")


def index_bytes(session: Session) -> int:
    """About how many bytes of the session's database are indexes, which a dump does not hold. Waits for no lock."""
    return int(
        session.value(
            "SELECT coalesce(sum(relpages::bigint), 0) * current_setting('block_size')::bigint"
            " FROM pg_catalog.pg_class WHERE relkind = 'i'"
        )
    )


def checksum_failures(session: Session) -> int | None:
    """How many damaged pages the server has met since its statistics began; None when pages carry no checksums."""
    found = session.value("SELECT sum(checksum_failures) FROM pg_catalog.pg_stat_database")
    return None if found is None else int(found)


def _control(session: Session) -> tuple[str, int, bool]:
    in_recovery = bool(session.value("SELECT pg_catalog.pg_is_in_recovery()"))
    identifier, checkpoint_timeline = session.rows(
        "SELECT system_identifier, timeline_id FROM pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint()"
    )[0]
    # pg_control tells the timeline of the last checkpoint; after a promotion the WAL is ahead of it.
    if in_recovery:
        current = session.value("SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver")
    else:
        name = session.value("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())")
        current = int(name[:8], 16)
    return str(identifier), int(current or checkpoint_timeline), in_recovery


def _archiving(session: Session, *, mode: str) -> Archiving:
    rows = session.rows(
        "SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time"
        " FROM pg_catalog.pg_stat_archiver"
    )
    archived_count, archived_wal, archived_time, failed_count, failed_wal, failed_time = rows[0]
    return Archiving(
        mode=mode,
        archived_count=int(archived_count or 0),
        last_archived_wal=archived_wal,
        last_archived_time=_time(archived_time),
        failed_count=int(failed_count or 0),
        last_failed_wal=failed_wal,
        last_failed_time=_time(failed_time),
    )


def _time(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def databases_content(facts: ClusterFacts, *, extensions: t.Callable[[str], t.Any]) -> list[dict[str, t.Any]]:
    """The cluster's databases for a base backup's manifest, each with its extensions where they can be read."""
    found = []
    for database in facts.databases:
        entry: dict[str, t.Any] = dataclasses.asdict(database)
        if database.connectable and database.name != "template0":
            try:
                entry["extensions"] = extensions(database.name)
            except LifeboatError as error:
                # The base backup holds the extensions in any case; only the list is missing.
                entry["extensions_unknown"] = error.message
        found.append(entry)
    return found
