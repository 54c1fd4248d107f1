# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a standby's configuration says: whom it follows, by which slot, and where else it gets WAL from."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid, StandbyRefused
from ..core.host import Host
from .connection import PostgresConnection
from .following import make_conninfo
from .programs import ServerPrograms
from .wal_restore_script import CacheSettings, restore_command, write_cache_settings, write_restore_script
from .written_file import replace_file

#: Settings that the module decides itself.
RESERVED = ("primary_conninfo", "primary_slot_name", "restore_command", "recovery_target_timeline", "hot_standby")
_TIMELINE_LATEST = "latest"
#: A standby that is promoted asks once more, and must not wait long for a repository that is away.
_WAIT_SECONDS = 10


@dataclass(frozen=True)
class WalArchiveWay:
    """How the server gets WAL that its primary has no longer: by *script*, out of *cache*, a folder of its account.

    A process answers there (``lifeboat fetch-wal --serve``); where none does, *fetch* is a command that is run.
    """

    script: str
    cache: str
    fetch: tuple[str, ...]


@dataclass(frozen=True)
class StandbyConfiguration:
    """*name* is what the upstream calls it (``application_name``). *passfile* is read by the server's account.

    *settings* are others of the standby: its port, its addresses.
    """

    name: str
    slot: str
    passfile: str
    archive: WalArchiveWay | None = None
    settings: t.Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises RequestInvalid for settings that are decided here."""
        taken = sorted(set(self.settings) & set(RESERVED))
        if taken:
            raise RequestInvalid(
                f"settings has {', '.join(taken)}, which the standby gets by itself.", hint="Leave it out of settings."
            )


def slot_name(name: str) -> str:
    """The name of a standby as that of a slot: PostgreSQL takes lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())[:63]


def conninfo(connection: PostgresConnection, configuration: StandbyConfiguration, *, database: str = "") -> str:
    """How the upstream is reached, without a secret: as a line of libpq."""
    address = connection.address()
    if not connection.host or connection.host.startswith("/"):
        raise RequestInvalid(
            f"A standby can't reach its primary at {connection.host or 'an address that nobody gave'}.",
            hint="Give primary a host name or an address, not the folder of a socket.",
        )
    parts: dict[str, t.Any] = {
        "host": connection.host,
        "port": int(address.port),
        "user": address.user,
        "application_name": configuration.name,
        **{key: getattr(connection, key) for key in ("sslmode", "sslrootcert", "sslcert", "sslkey")},
        "passfile": _passfile(connection, configuration),
        "dbname": database,
    }
    return make_conninfo({key: value for key, value in parts.items() if value})


def standby_settings(connection: PostgresConnection, configuration: StandbyConfiguration) -> dict[str, str]:
    """The lines of its configuration."""
    archive = configuration.archive
    return {
        "primary_conninfo": conninfo(connection, configuration),
        "primary_slot_name": configuration.slot,
        **({"restore_command": restore_command(script=archive.script, cache=archive.cache)} if archive else {}),
        "recovery_target_timeline": _TIMELINE_LATEST,
        "hot_standby": "on",
        **{name: str(value) for name, value in configuration.settings.items()},
    }


def write_passfile(
    connection: PostgresConnection, configuration: StandbyConfiguration, *, programs: ServerPrograms, host: Host
) -> bool:
    """Write the password where the server finds it; False when it is so already, or when there is none to be written.

    Raises StandbyRefused when the server's account can't read the file that the connection names.
    """
    path = _passfile(connection, configuration)
    if not path:
        return False
    password = connection.password.fetch(runner=host.runner)
    if password is None:
        argv = programs.as_account(["test", "-r", path])
        if host.runner.run(argv, timeout=20, check=False).status != 0:
            raise StandbyRefused(
                f"The user {programs.account}, as whom PostgreSQL runs, can't read the passfile {path}.",
                hint="Name a password_file instead: a passfile of the server's own is written from it.",
            )
        return False
    # For any server: after a promotion it follows another one, with the same user and the same file.
    written = [word.replace("\\", "\\\\").replace(":", "\\:") for word in (connection.address().user, password)]
    changed = replace_file(path, ":".join(["*", "*", "*", *written]) + "\n", mode=0o600)
    programs.own(path)
    return changed


def write_archive_way(archive: WalArchiveWay, *, segment_size: int, programs: ServerPrograms) -> bool:
    """The script, its folder and its settings; whether anything was changed."""
    changed = write_restore_script(archive.script)
    if not os.path.isdir(archive.cache):
        os.makedirs(archive.cache, mode=0o700)
        changed = True
    programs.own(archive.cache)
    try:
        settings = CacheSettings(
            wait_seconds=_WAIT_SECONDS, segment_size=segment_size, fetch=archive.fetch, standby=True
        )
    except ValueError as error:
        raise RequestInvalid(f"wal_fetch: {error}.", hint="Use paths and names without blanks.") from error
    return write_cache_settings(archive.cache, settings) or changed


def _passfile(connection: PostgresConnection, configuration: StandbyConfiguration) -> str:
    if connection.password.is_given:
        return configuration.passfile
    return connection.passfile
