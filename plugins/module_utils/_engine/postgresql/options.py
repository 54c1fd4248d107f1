# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job may choose about PostgreSQL backups, checked before anything is touched."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, fields

from ..core.errors import RequestInvalid
from .walg_options import WalgOptions, walg_options

ALL_DATABASES = "all"
_RATE = re.compile(r"(?P<number>\d+)(?P<unit>[kM]?)")


@dataclass(frozen=True)
class LogicalOptions:
    """A logical dump.

    *databases* names the databases, ``("all",)`` means every one of the cluster. *format* is custom (streamed, no
    scratch disk) or directory (*jobs* tables at a time, through a folder below *scratch_directory*). *globals* adds
    roles and tablespaces as a payload of its own. *row_counts* is exact or none. *lock_wait_timeout* is in seconds. The
    selections are patterns as pg_dump takes them.
    """

    databases: tuple[str, ...] = (ALL_DATABASES,)
    format: str = "custom"
    jobs: int = 1
    scratch_directory: str = ""
    globals: bool = True
    row_counts: str = "exact"
    lock_wait_timeout: int = 300
    include_schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    include_tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    exclude_table_data: tuple[str, ...] = ()

    @property
    def every_database(self) -> bool:
        """Whether all databases of the cluster are meant."""
        return self.databases == (ALL_DATABASES,)

    @property
    def is_whole(self) -> bool:
        """Whether databases are dumped with all that is in them."""
        chosen = (self.include_schemas, self.exclude_schemas, self.include_tables, self.exclude_tables)
        return not any(chosen)


@dataclass(frozen=True)
class BaseBackupOptions:
    """A base backup.

    *tool* is pg_basebackup or walg. *checkpoint* is fast (starts at once) or spread (no extra load). *max_rate* is
    pg_basebackup's ``--max-rate`` ("50M"), empty for no limit. *require_archiving* refuses servers whose WAL isn't
    archived. *hold_wal* is auto (a temporary replication slot keeps the WAL of the backup on the server, none when no
    slot is free), slot (refuse when none is free) or none. *keep_manifest* keeps the backup's manifest on this host so
    that an incremental backup can build on it: None means from PostgreSQL 17 on. The *manifest_history* newest stay.
    *walg* is for the tool of that name.
    """

    tool: str = "pg_basebackup"
    checkpoint: str = "fast"
    max_rate: str = ""
    require_archiving: bool = False
    hold_wal: str = "auto"
    keep_manifest: bool | None = None
    manifest_history: int = 10
    walg: WalgOptions | None = None


@dataclass(frozen=True)
class IncrementalParent:
    """The backup on which an incremental one builds, and its manifest as a file on this host.

    *chain* names all backups that are needed to restore the parent, the full one first, the parent itself last; not
    given, the parent is a full one.
    """

    backup_id: str
    manifest_path: str
    chain: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.chain:
            object.__setattr__(self, "chain", (self.backup_id,))


def logical_options_from_description(description: t.Mapping[str, t.Any]) -> LogicalOptions:
    """The options of a logical dump. Raises RequestInvalid for unknown keys and for what contradicts itself."""
    known = _known(description, LogicalOptions, what="A logical dump of PostgreSQL")
    databases = known.pop("databases", None)
    names = (ALL_DATABASES,) if databases is None else _texts("databases", databases)
    if not names or "" in names:
        raise RequestInvalid("databases names no database.", hint="Give a name, a list of names, or all.")
    if len(names) > 1 and ALL_DATABASES in names:
        raise RequestInvalid("databases names all and others too.", hint="Write databases: all, or only the names.")
    for name in ("include_schemas", "exclude_schemas", "include_tables", "exclude_tables", "exclude_table_data"):
        if name in known:
            known[name] = _texts(name, known[name])
    _choose(known, "format", ("custom", "directory"))
    _choose(known, "row_counts", ("exact", "none"))
    _number(known, "jobs", least=1, most=64)
    _number(known, "lock_wait_timeout", least=1, most=86400)
    _boolean(known, "globals")
    options = LogicalOptions(databases=names, **known)
    if options.format == "custom" and options.jobs > 1:
        raise RequestInvalid(
            "jobs is more than 1, but the custom format is written by one process.",
            hint="Use format: directory with a scratch_directory, or leave jobs out.",
        )
    if options.format == "directory" and not options.scratch_directory:
        raise RequestInvalid(
            "The directory format is written to a folder first, and scratch_directory is not given.",
            hint="Name a folder with room for the whole uncompressed dump, or use format: custom, which needs none.",
        )
    if options.include_tables and (options.include_schemas or options.exclude_schemas):
        raise RequestInvalid(
            "include_tables is given together with schemas; pg_dump then ignores the schemas.",
            hint="Write the tables as schema.table and leave include_schemas and exclude_schemas out.",
        )
    return options


def base_backup_options_from_description(description: t.Mapping[str, t.Any]) -> BaseBackupOptions:
    """The options of a base backup. Raises RequestInvalid for unknown keys and for values that can't be."""
    known = _known(description, BaseBackupOptions, what="A base backup of PostgreSQL")
    _choose(known, "tool", ("pg_basebackup", "walg"))
    _choose(known, "checkpoint", ("fast", "spread"))
    _choose(known, "hold_wal", ("auto", "slot", "none"))
    _number(known, "manifest_history", least=1, most=10000)
    _boolean(known, "require_archiving")
    _boolean(known, "keep_manifest")
    rate = str(known.get("max_rate", ""))
    found = _RATE.fullmatch(rate)
    # The limits are those of pg_basebackup: 32 kB to 1 GB a second.
    if rate and (found is None or not 32 <= int(found["number"]) * (1024 if found["unit"] == "M" else 1) <= 1048576):
        raise RequestInvalid(f"max_rate {rate!r} is no rate.", hint="Write 32k to 1024M, per second: max_rate: 50M.")
    known["max_rate"] = rate
    if "walg" in known:
        known["walg"] = walg_options(known["walg"])
        if known.get("tool") != "walg":
            raise RequestInvalid(
                "walg is given, and the tool is pg_basebackup, which would not heed it.",
                hint="Write tool: walg, or leave walg out.",
            )
    return BaseBackupOptions(**known)


def _known(description: t.Mapping[str, t.Any], options: type[t.Any], *, what: str) -> dict[str, t.Any]:
    names = [field.name for field in fields(options)]
    unknown = sorted(set(description) - set(names))
    if unknown:
        raise RequestInvalid(
            f"{what} has no option {', '.join(unknown)}.", hint=f"Its options are: {', '.join(names)}."
        )
    # An option that is given as null has its default.
    return {key: value for key, value in description.items() if value is not None}


def _texts(name: str, value: t.Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise RequestInvalid(f"{name} is {value!r}.", hint=f"Write a text or a list of texts: {name}: [one, two].")


def _choose(values: t.Mapping[str, t.Any], name: str, choices: t.Sequence[str]) -> None:
    if name in values and values[name] not in choices:
        raise RequestInvalid(f"{name} is {values[name]!r}.", hint=f"Use one of: {', '.join(choices)}.")


def _number(values: t.Mapping[str, t.Any], name: str, *, least: int, most: int) -> None:
    value = values.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RequestInvalid(f"{name} is {value!r}.", hint=f"Use a number from {least} to {most}.")


def _boolean(values: t.Mapping[str, t.Any], name: str) -> None:
    if not isinstance(values.get(name, False), bool):
        raise RequestInvalid(f"{name} is {values[name]!r}.", hint="Use true or false.")
