# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of a base backup may choose, checked before anything is touched."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid
from ..core.options import flag, number, optional_text, refuse_unknown
from ..recovery.service_control import ServiceControl, service_control_from
from .connection import PostgresConnection
from .walg_options import RESTORE_KEYS, WalgOptions, walg_options

OF = "restore"
KEYS = (
    "connection",
    "data_directory",
    "in_place",
    "service_control",
    "start",
    "port",
    "listen_addresses",
    "bin_directory",
    "config_directory",
    "verify",
    "new_timeline",
    "standby",
    "start_timeout",
    "tablespace_map",
    "tablespace_directory",
    "walg",
)


@dataclass(frozen=True)
class BaseRestoreOptions:
    """A restore into *data_directory*.

    Without *in_place* the folder must be empty or absent, and the cluster becomes a copy beside its source: own *port*,
    no archiving, no subscriptions; *start* starts it. With *in_place* the cluster that is there is stopped by
    *service_control*, moved aside, and the restored one started. *config_directory* is copied into the data folder
    (Debian keeps it in ``/etc/postgresql/15/main``). *verify* checks every file before anything is replaced.
    *new_timeline* keeps what is archived from now on apart from what was; *standby* leaves a cluster that can only be
    started as a standby. *start_timeout* is in seconds.
    *tablespace_map* says which folder a tablespace goes into, by its name, its oid or the folder that it had;
    *tablespace_directory* holds a folder for each that the map does not name. Without either they go to where they were
    in place, and nowhere beside.
    *connection* is that of the source: the restored cluster may let it in where it lets in nobody else. *walg* says
    where WAL-G is and its storage, for backups that it made.
    """

    data_directory: str
    in_place: bool = False
    service_control: ServiceControl | None = None
    start: bool = False
    port: int | None = None
    listen_addresses: str = ""
    bin_directory: str = ""
    config_directory: str = ""
    verify: bool = True
    new_timeline: bool = True
    standby: bool = False
    start_timeout: float = 3600.0
    tablespace_map: t.Mapping[str, str] = field(default_factory=dict)
    tablespace_directory: str = ""
    connection: PostgresConnection | None = None
    walg: WalgOptions | None = None


def base_restore_options(description: t.Mapping[str, t.Any]) -> BaseRestoreOptions:
    """From a description. Raises RequestInvalid for unknown keys and for what contradicts itself."""
    refuse_unknown(description, known=KEYS, of=OF)
    connection = PostgresConnection.from_description(description.get("connection") or {})
    data_directory = optional_text(description, "data_directory", of=OF)
    if data_directory is None or not os.path.isabs(data_directory) or os.path.normpath(data_directory) == "/":
        raise RequestInvalid(
            "A base backup is restored into a folder, and data_directory does not name one by its whole path.",
            hint="Name one that is not there yet: data_directory: /var/lib/postgresql/15/restored",
        )
    in_place = flag(description, "in_place", of=OF)
    port = description.get("port")
    if port is not None:
        port = int(number(description, "port", of=OF, default=1, at_most=65535))
    options = BaseRestoreOptions(
        data_directory=os.path.normpath(data_directory),
        in_place=in_place,
        service_control=service_control_from(description.get("service_control")),
        start=_flag(description, "start", default=in_place),
        port=port,
        listen_addresses=optional_text(description, "listen_addresses", of=OF) or "",
        bin_directory=optional_text(description, "bin_directory", of=OF) or connection.bin_directory,
        config_directory=optional_text(description, "config_directory", of=OF) or "",
        verify=_flag(description, "verify", default=True),
        new_timeline=_flag(description, "new_timeline", default=True),
        standby=flag(description, "standby", of=OF),
        start_timeout=number(description, "start_timeout", of=OF, default=3600.0, at_most=7 * 86400),
        tablespace_map=_tablespace_map(description.get("tablespace_map")),
        tablespace_directory=_whole_path(
            optional_text(description, "tablespace_directory", of=OF) or "", what="tablespace_directory"
        ),
        connection=connection,
        walg=walg_options(description["walg"], keys=RESTORE_KEYS) if description.get("walg") is not None else None,
    )
    _check(options)
    return options


def _check(options: BaseRestoreOptions) -> None:
    if options.in_place and (options.port is not None or options.listen_addresses):
        raise RequestInvalid(
            "port and listen_addresses are for a copy beside its source; in place the cluster keeps its own.",
            hint="Leave them out (a spare of a description is restored in place), or leave in_place out.",
        )
    if options.in_place and options.start and options.service_control is None:
        raise RequestInvalid(
            "in_place stops and starts the server, and service_control does not say how.",
            hint="Set service_control: {unit: postgresql@15-main}, or start: false when it is stopped already.",
        )
    if not options.in_place and options.service_control is not None:
        raise RequestInvalid(
            "service_control is for in_place; a copy beside its source is started by itself.",
            hint="Leave it out, or set in_place: true.",
        )
    if not options.in_place and options.start and options.port is None:
        raise RequestInvalid("start needs a port of its own for the copy.", hint="Set port, such as 5433.")
    if options.standby and (options.start or not options.in_place):
        raise RequestInvalid(
            "standby leaves a cluster in its place that waits for its primary's address; it is not started here.",
            hint="Set in_place: true and start: false; pg_standby does both, and the rest.",
        )
    if options.config_directory and not os.path.isfile(os.path.join(options.config_directory, "postgresql.conf")):
        raise RequestInvalid(
            f"config_directory {options.config_directory} holds no postgresql.conf.",
            hint=f"Run: ls -l {options.config_directory}",
        )


def _tablespace_map(given: t.Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, t.Mapping) or not all(isinstance(one, str) and one for one in given.values()):
        raise RequestInvalid(
            "tablespace_map must say which folder each tablespace goes into.",
            hint="Write: tablespace_map: {fast: /srv/new/fast, 16385: /srv/new/bulk}",
        )
    return {str(key): _whole_path(str(folder), what=f"tablespace_map: {key}") for key, folder in given.items()}


def _whole_path(path: str, *, what: str) -> str:
    if path and (not os.path.isabs(path) or os.path.normpath(path) == "/"):
        raise RequestInvalid(
            f"{what} is {path!r}, which names no folder by its whole path.",
            hint="Write the whole path, such as /srv/restored/fast.",
        )
    return os.path.normpath(path) if path else ""


def _flag(description: t.Mapping[str, t.Any], key: str, *, default: bool) -> bool:
    return default if description.get(key) is None else flag(description, key, of=OF)
