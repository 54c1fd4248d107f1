# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of a Redis backup may be asked to do."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import RequestInvalid
from ..core.options import flag, number, optional_text, refuse_unknown
from ..recovery.service_control import ServiceControl, service_control_from
from .connection import RedisConnection
from .verifier_options import module_paths

_BESIDE_KEYS = ("data_directory", "port", "start", "user", "server_program", "modules")
_IN_PLACE_KEYS = ("service_control", "allow_replicas", "configuration_file")
RESTORE_KEYS = ("connection", "in_place", "timeout", "start_timeout", *_BESIDE_KEYS, *_IN_PLACE_KEYS)
# What people ask for and no stock tool can do: a snapshot is loaded whole or not at all.
_PARTS = ("database", "databases", "keys", "key", "pattern", "prefix", "include", "exclude", "only")
_OF = "redis restore"


@dataclass(frozen=True)
class RedisRestoreOptions:
    """*in_place* replaces what the server at *connection* holds; without it a server of its own gets *data_directory*.

    Beside: *port* (of loopback; None: a Unix socket in the folder only), *start* (False: lay it out only), *user* (who
    runs it when we are root; None: the folder's owner), *modules* (paths). In place: *service_control* stops and starts
    the server; *allow_replicas* goes on though replicas are attached (they will copy what is restored);
    *configuration_file* says where its data lies when it does not run. *server_program* is the server's program.

    *timeout* (seconds) bounds the loading, *start_timeout* how long a started server may take to listen.
    """

    connection: RedisConnection = field(default_factory=RedisConnection)
    in_place: bool = False
    timeout: float = 3600.0
    start_timeout: float = 60.0
    data_directory: str = ""
    port: int | None = None
    start: bool = True
    user: str | None = None
    server_program: str | None = None
    modules: tuple[str, ...] = ()
    service_control: ServiceControl | None = None
    allow_replicas: bool = False
    configuration_file: str | None = None


def restore_options_from(description: t.Mapping[str, t.Any]) -> RedisRestoreOptions:
    """The options of a description. Raises RequestInvalid for what is unknown, contradicts itself or is missing."""
    parts = sorted(key for key in description if key in _PARTS)
    if parts:
        raise RequestInvalid(
            f"A Redis backup is restored whole: {', '.join(parts)} can't be chosen, for a server loads all of a "
            "snapshot or nothing.",
            hint="Restore it beside (data_directory: /var/lib/redis/recovery), and copy the keys that are wanted from "
            "there: redis-cli -s /var/lib/redis/recovery/redis.sock MIGRATE ...",
            details={"unknown": parts},
        )
    refuse_unknown(description, known=RESTORE_KEYS, of=_OF)
    in_place = flag(description, "in_place", of=_OF)
    for key in _BESIDE_KEYS if in_place else _IN_PLACE_KEYS:
        if description.get(key) is not None and not (in_place and key == "server_program"):
            raise RequestInvalid(
                f"{_OF}.{key} is for restores {'beside' if in_place else 'in place'}, and this one is "
                f"{'in place' if in_place else 'beside'}.",
                hint="Leave it out, or " + ("leave in_place out." if in_place else "add in_place: true."),
            )
    connection = description.get("connection")
    if connection is not None and not isinstance(connection, t.Mapping):
        raise RequestInvalid("connection must be a mapping such as {host: 127.0.0.1, port: 6379}.")
    control = description.get("service_control")
    if control is not None and not isinstance(control, t.Mapping):
        raise RequestInvalid("service_control must be a mapping such as {unit: redis-server}.")
    made = RedisRestoreOptions(
        connection=RedisConnection.from_description(connection or {}),
        in_place=in_place,
        timeout=number(description, "timeout", of=_OF, default=3600.0, at_most=7 * 86400),
        start_timeout=number(description, "start_timeout", of=_OF, default=60.0, at_most=86400),
        data_directory=_path(description, "data_directory") or "",
        port=_port(description),
        start=description.get("start") is None or flag(description, "start", of=_OF),
        user=optional_text(description, "user", of=_OF),
        server_program=optional_text(description, "server_program", of=_OF),
        modules=module_paths(description, of=_OF),
        service_control=service_control_from(control),
        allow_replicas=flag(description, "allow_replicas", of=_OF),
        configuration_file=_path(description, "configuration_file"),
    )
    if in_place and made.service_control is None:
        raise RequestInvalid(
            "A restore in place stops the server and starts it again, and it is not said how.",
            hint="Add service_control: {unit: redis-server}, or its stop_command and start_command.",
        )
    if not in_place and not made.data_directory:
        raise RequestInvalid(
            "It is not said where to restore to.",
            hint="Name an empty folder (data_directory: /var/lib/redis/recovery), or replace what the server holds: "
            "in_place: true with service_control.",
        )
    return made


def _path(description: t.Mapping[str, t.Any], key: str) -> str | None:
    path = optional_text(description, key, of=_OF)
    if path is not None and not os.path.isabs(path):
        raise RequestInvalid(f"{_OF}.{key} must be an absolute path, not {path!r}.")
    return None if path is None else os.path.normpath(path)


def _port(description: t.Mapping[str, t.Any]) -> int | None:
    if description.get("port") is None:
        return None
    port = number(description, "port", of=_OF, default=0, at_most=65535)
    if port != int(port):
        raise RequestInvalid(f"{_OF}.port must be a whole number, not {port!r}.")
    return int(port)
