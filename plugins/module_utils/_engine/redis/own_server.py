# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of our own: their configuration, and waiting until one has loaded its data.

Such a server listens at a Unix socket in its own folder (and at a port of loopback only when that is wanted), saves
nothing by itself, follows nobody, and has no modules but those that it is given.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from ..core.clock import Clock
from ..core.errors import LifeboatError, RedisLoading, RedisUnreachable
from ..core.runner import Runner
from .comparing import LoadFigures
from .configuration_file import configuration_text
from .connection import RedisConnection
from .info import Info, read_info
from .staging import Persistence

SOCKET = "redis.sock"
#: sun_path of a Unix socket holds 108 bytes, the last one 0.
LONGEST_SOCKET_PATH = 107
_POLL = 0.05
_FEWEST_DATABASES = 16

Gone = t.Callable[[], "LifeboatError | None"]


def own_persistence(*, kind: str, is_multi_part: bool) -> Persistence:
    """Where a server of our own looks for its data."""
    return Persistence(
        append_only=kind == "aof",
        rdb_name="dump.rdb",
        append_name="appendonly.aof",
        append_folder="appendonlydir" if is_multi_part else None,
    )


def own_settings(folder: str, persistence: Persistence, *, databases: int) -> dict[str, str]:
    """The settings of a server whose data lies in *folder*, where its socket will be too."""
    settings = {
        "port": "0",
        "dir": folder,
        # Servers change into their data folder before they listen: the path may be as long as it likes.
        "unixsocket": SOCKET,
        "unixsocketperm": "700",
        "dbfilename": persistence.rdb_name,
        "appendonly": "yes" if persistence.append_only else "no",
        "appendfilename": persistence.append_name,
        "save": "",
        "auto-aof-rewrite-percentage": "0",
        "databases": str(max(databases, _FEWEST_DATABASES)),
        "daemonize": "no",
    }
    if persistence.append_folder is not None:
        settings["appenddirname"] = persistence.append_folder
    return settings


def write_configuration(path: str, settings: t.Mapping[str, str], *, comment: str, modules: t.Sequence[str]) -> None:
    """Write it, durable and readable by its owner only. *modules* are paths."""
    text = configuration_text(settings, comment=comment)
    text += b"".join(configuration_text({"loadmodule": module}, comment="") for module in modules)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def socket_in(folder: str) -> t.Iterator[str]:
    """A path to the socket in *folder* that is short enough to connect to, while the context lasts."""
    path = os.path.join(folder, SOCKET)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def wait_until_loaded(
    connection: RedisConnection, *, runner: Runner, clock: Clock, timeout: float, patience: float, gone: Gone
) -> tuple[LoadFigures, Info]:
    """Wait until the server answers and has loaded all; what INFO says at that moment.

    *gone* is asked all the time for the reason why it will never come. Raises that, RedisUnreachable when nothing
    listens for *patience* seconds, and RedisLoading when loading does not end within *timeout* seconds.
    """
    started = heard = clock.monotonic()
    while True:
        reason = gone()
        if reason is not None:
            raise reason
        try:
            with contextlib.closing(connection.open(runner=runner)) as client:
                info = read_info(client)
            if not (info.is_on("loading") or info.is_on("async_loading")):
                return LoadFigures.of(info), info
            heard = clock.monotonic()
            waiting: LifeboatError = RedisLoading(f"{connection.address} is still loading.")
        except RedisLoading as error:
            heard, waiting = clock.monotonic(), error
        except RedisUnreachable as error:
            waiting = error
            if clock.monotonic() - heard > patience:
                raise
        if clock.monotonic() - started > timeout:
            raise waiting
        clock.sleep(_POLL)


def at_socket(connection: RedisConnection, path: str) -> RedisConnection:
    """The same user and password at a Unix socket."""
    return replace(
        connection,
        unix_socket=path,
        tls=False,
        tls_ca_file=None,
        tls_certificate_file=None,
        tls_key_file=None,
    )


def answers(connection: RedisConnection, *, runner: Runner) -> bool:
    """Whether anything answers there that speaks the protocol, whatever it says."""
    try:
        connection.open(runner=runner).close()
    except RedisUnreachable as error:
        return not isinstance(error.__cause__, (ConnectionError, FileNotFoundError))
    except LifeboatError:
        return True
    return True
