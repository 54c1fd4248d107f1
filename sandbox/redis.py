# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Redis or Valkey server."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from .files import replace_file
from .parts import REDIS, find_redis_server, require
from .server import HOST, Server
from .tls import TLSFiles, self_signed

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import redis

# What a user must be allowed to take snapshots (BGSAVE or over the wire), and no more.
BACKUP_RULES = (
    "-@all +ping +info +bgsave +lastsave +config|get +config|set +sync +psync +replconf +bgrewriteaof +select +dbsize"
)


class RedisServer(Server):
    """``password`` is the default user's; ``users`` maps further names to (password, ACL rules); ``tls``: TLS only.

    ``program`` selects the server (``parts.find_valkey_server()``). ``settings`` go into the configuration last.
    """

    kind = "redis"

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
        program: Path | None = None,
        append_only: bool = False,
        password: str | None = None,
        users: Mapping[str, tuple[str, str]] | None = None,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory=directory, port=port, outlive=outlive, startup_timeout=startup_timeout)
        self.program = program or require(find_redis_server(), REDIS)
        self.append_only = append_only
        self.password = password
        self._users = dict(users or {})
        self._tls = tls
        self._settings = dict(settings or {})

    @property
    def data_directory(self) -> Path:
        """Where dump.rdb and the folder appendonlydir lie."""
        return self.directory / "data"

    @property
    def configuration_file(self) -> Path:
        return self.directory / "redis.conf"

    @property
    def tls_files(self) -> TLSFiles | None:
        return self_signed(self.directory / "tls") if self._tls else None

    @property
    def uri(self) -> str:
        return self.database_uri(0)

    def database_uri(self, database: int) -> str:
        password = f":{quote(self.password, safe='')}@" if self.password else ""
        uri = f"{'rediss' if self._tls else 'redis'}://{password}{HOST}:{self.port}/{database}"
        return f"{uri}?ssl_ca_certs={self.tls_files.authority}" if self.tls_files else uri

    def client(self, database: int = 0) -> redis.Redis:
        """A redis client of the default user; answers are bytes. Close it yourself."""
        import redis

        return redis.Redis.from_url(self.database_uri(database), socket_connect_timeout=5, socket_timeout=60)

    def _prepare(self) -> None:
        self.data_directory.mkdir(exist_ok=True)
        values = {
            "bind": HOST,
            "port": "0" if self._tls else str(self.port),
            "dir": str(self.data_directory),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self.append_only else "no",
            "databases": "16",
        }
        if self.password:
            values["requirepass"] = self.password
        if self.tls_files:
            values["tls-port"] = str(self.port)
            values["tls-cert-file"] = str(self.tls_files.certificate)
            values["tls-key-file"] = str(self.tls_files.key)
            values["tls-ca-cert-file"] = str(self.tls_files.authority)
            values["tls-auth-clients"] = "no"
        lines = [f"{name} {value}\n" for name, value in {**values, **self._settings}.items()]
        lines += [f"user {name} on >{password} {rules}\n" for name, (password, rules) in self._users.items()]
        replace_file(self.configuration_file, "".join(lines))

    def _command(self) -> Sequence[str]:
        return [str(self.program), str(self.configuration_file)]

    def _is_ready(self) -> bool:
        # The log first: it is this process's own, whoever else may answer on the port.
        if "Ready to accept connections" not in self._new_log():
            return False
        import redis

        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.BusyLoadingError:
            return False
        except redis.ConnectionError:
            return False


__all__ = ["BACKUP_RULES", "RedisServer"]
