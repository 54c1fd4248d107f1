# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a MongoDB dump may be told, checked before anything is touched."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import number, optional_text, refuse_unknown
from . import consistency
from .connection import MongoConnection
from .description import choice, flag, mapping, texts
from .namespaces import Scope
from .topology import READ_PREFERENCES

NATIVE = "native"
MONGODUMP = "mongodump"
TOOLS = (NATIVE, MONGODUMP)
_KEYS = (
    "connection",
    "database",
    "collections",
    "tool",
    "tool_directory",
    "consistency",
    "parallel",
    "users_and_roles",
    "read_preference",
    "max_lag_seconds",
    "raise_history_window",
    "expected_bytes_per_second",
    "record_hash",
)
# Slower than what was measured over loopback (250 MB/s), about what a gigabit network gives.
_BYTES_PER_SECOND = 50_000_000.0


@dataclass(frozen=True)
class MongoDumpOptions:
    """One dump of one source.

    *scope* is what to dump; *parallel* how many cursors read at the same time (1 to 64); *max_lag_seconds* how far a
    secondary may be behind to be read; *expected_bytes_per_second* is what plans reckon with. With
    *raise_history_window* the server's snapshot history is made longer for the run where it is too short; that needs
    the role hostManager. *tool_directory* is where mongodump is, when not on PATH. *record_hash* has the server hash
    every collection before and after (see :mod:`database_hash`).
    """

    connection: MongoConnection
    scope: Scope
    tool: str = NATIVE
    tool_directory: str | None = None
    consistency: str = consistency.AUTO
    parallel: int = 4
    read_preference: str = READ_PREFERENCES[0]
    max_lag_seconds: float = 60.0
    raise_history_window: bool = False
    expected_bytes_per_second: float = _BYTES_PER_SECOND
    record_hash: bool = False


def options_from_description(description: t.Mapping[str, t.Any]) -> MongoDumpOptions:
    """The options of a description. Raises RequestInvalid for unknown keys, wrong types and contradictions.

    Keys: connection, database, collections ({include: [...], exclude: [...]}, shell patterns), tool (native or
    mongodump), tool_directory, consistency (auto, snapshot, oplog, none), parallel, users_and_roles, read_preference,
    max_lag_seconds, raise_history_window, expected_bytes_per_second, record_hash.
    """
    of = "mongodb"
    refuse_unknown(description, known=_KEYS, of=of)
    collections = mapping(description, "collections", of=of)
    refuse_unknown(collections, known=("include", "exclude"), of=f"{of}.collections")
    scope = Scope(
        database=_database(optional_text(description, "database", of=of)),
        include=texts(collections, "include", of=f"{of}.collections"),
        exclude=texts(collections, "exclude", of=f"{of}.collections"),
        users_and_roles=flag(description, "users_and_roles", of=of, default=True),
    )
    parallel = number(description, "parallel", of=of, default=4, at_most=64)
    if parallel != int(parallel):
        raise RequestInvalid(f"{of}.parallel must be a whole number, not {parallel!r}.")
    options = MongoDumpOptions(
        connection=MongoConnection.from_description(mapping(description, "connection", of=of)),
        scope=scope,
        tool=choice(description, "tool", of=of, choices=TOOLS, default=NATIVE),
        tool_directory=optional_text(description, "tool_directory", of=of),
        consistency=choice(description, "consistency", of=of, choices=consistency.MODES, default=consistency.AUTO),
        parallel=int(parallel),
        read_preference=choice(
            description, "read_preference", of=of, choices=READ_PREFERENCES, default=READ_PREFERENCES[0]
        ),
        max_lag_seconds=number(description, "max_lag_seconds", of=of, default=60.0, at_most=86400.0),
        raise_history_window=flag(description, "raise_history_window", of=of, default=False),
        expected_bytes_per_second=number(
            description, "expected_bytes_per_second", of=of, default=_BYTES_PER_SECOND, at_most=1e12
        ),
        record_hash=flag(description, "record_hash", of=of, default=False),
    )
    _refuse_contradictions(options)
    return options


def _database(name: str | None) -> str | None:
    if name is not None and (name == "local" or any(character in '/\\. "$\x00' for character in name)):
        raise RequestInvalid(
            f"{name!r} can't be dumped as a database.",
            hint="Give the name of one database, or leave it out for the whole instance (local is never included).",
        )
    return name


def _refuse_contradictions(options: MongoDumpOptions) -> None:
    if options.consistency == consistency.OPLOG and not options.scope.is_everything:
        raise RequestInvalid(
            "consistency: oplog is for a whole instance: the oplog concerns every collection.",
            hint="Leave out database and collections, or use consistency: snapshot (MongoDB 5.0 and later).",
        )
    if options.tool != MONGODUMP:
        return
    if options.consistency == consistency.SNAPSHOT:
        raise RequestInvalid(
            "mongodump has no snapshots.", hint="Use tool: native, or consistency: oplog for a whole instance."
        )
    if options.scope.include or (options.scope.exclude and options.scope.database is None):
        raise RequestInvalid(
            "mongodump takes no list of collections to include, and one to exclude for a single database only.",
            hint="Use tool: native.",
        )
    if any(character in pattern for pattern in options.scope.exclude for character in "*?["):
        raise RequestInvalid("mongodump takes no patterns.", hint="Write the names out, or use tool: native.")
