# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four servers as the demo sets them up: users, rights, sample data, and how to reach them."""

from __future__ import annotations

import abc
import contextlib
import http.client
import typing as t

from ..dataset import Loaded, load_mongodb, load_postgresql, load_redis
from ..errors import SandboxError
from ..files import replace_file
from ..mongodb import MongoReplicaSet
from ..postgresql import PostgreSQLServer
from ..redis import BACKUP_RULES, RedisServer
from ..s3 import S3Server
from ..server import HOST

if t.TYPE_CHECKING:
    from pathlib import Path

    from .credentials import Secrets
    from .layout import Layout

    Description = dict[str, t.Any]

BUCKET = "lifeboat-demo"
# Of the sample data, in parts of one.
_SHARES = {"mongodb": 0.55, "postgresql": 0.35, "redis": 0.10}


class Part(abc.ABC):
    """One server of the demo."""

    name: t.ClassVar[str]

    def __init__(self, layout: Layout, secrets: Secrets) -> None:
        self.layout = layout
        self.secrets = secrets

    def ensure_running(self) -> bool:
        """Start it unless it runs, on its port of before unless that is taken; whether anything had to be done."""
        prepared = self.layout.servers / f"{self.name}.prepared"
        if self.running() and prepared.exists():
            return False
        self.start()
        if not prepared.exists():
            self.prepare()
            prepared.touch()
        return True

    @abc.abstractmethod
    def running(self) -> bool:
        """Whether its processes live."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start it unless it runs."""

    def prepare(self) -> None:  # noqa: B027 - Redis and S3 read theirs from their configuration
        """Users and rights; called until it has succeeded once."""

    def load(self, megabytes: float) -> Loaded | None:
        """The sample data; None when this server holds none."""
        return None

    @abc.abstractmethod
    def describe(self) -> Description:
        """How to reach it, without any secret; writes the files with secrets that it names."""

    def secret_file(self, name: str, content: str) -> str:
        """Write a file that only its owner can read; its path."""
        path = self.layout.credentials / name
        replace_file(path, content + "\n")
        return str(path)


class MongoPart(Part):
    name = "mongodb"

    def __init__(self, layout: Layout, secrets: Secrets) -> None:
        super().__init__(layout, secrets)
        self.server = MongoReplicaSet(directory=layout.server("mongodb"), outlive=True, password=secrets.mongodb_root)

    def running(self) -> bool:
        return self.server.is_running

    def start(self) -> None:
        self.server.start()

    def prepare(self) -> None:
        roles = ["backup", "clusterMonitor", "readAnyDatabase"]
        self.server.create_user("backup", self.secrets.mongodb_backup, roles)

    def load(self, megabytes: float) -> Loaded:
        return load_mongodb(self.server.uri, megabytes=megabytes * _SHARES["mongodb"])

    def describe(self) -> Description:
        server = self.server
        return {
            "host": HOST,
            "port": server.port,
            "replica_set": server.name,
            "database": "second_brain_database",
            "user": "backup",
            "password_file": self.secret_file("mongodb.password", self.secrets.mongodb_backup),
            "uri_file": self.secret_file("mongodb.uri", server.uri_of("backup", self.secrets.mongodb_backup)),
            "root_uri_file": self.secret_file("mongodb-root.uri", server.uri),
            "uri": f"mongodb://{HOST}:{server.port}/?replicaSet={server.name}",
            "program": str(server.nodes[0].program),
            "data_directory": str(server.nodes[0].data_directory),
            "log_file": str(server.log_file),
        }


class PostgreSQLPart(Part):
    name = "postgresql"

    def __init__(self, layout: Layout, secrets: Secrets) -> None:
        super().__init__(layout, secrets)
        self.server = PostgreSQLServer(
            directory=layout.postgresql,
            outlive=True,
            password=secrets.postgresql_superuser,
            durable=True,
            archive_timeout=60,
        )

    def running(self) -> bool:
        return self.server.is_running

    def start(self) -> None:
        self.server.start()

    def prepare(self) -> None:
        # What a backup needs, and no superuser: read everything (row security included), stream, ask for a new segment.
        self.server.query(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lifeboat') THEN CREATE ROLE lifeboat; "
            "END IF; END $$"
        )
        self.server.query(
            "ALTER ROLE lifeboat LOGIN REPLICATION BYPASSRLS PASSWORD %s", (self.secrets.postgresql_lifeboat,)
        )
        self.server.query("GRANT pg_read_all_data, pg_monitor TO lifeboat")
        for function in ("pg_switch_wal()", "pg_create_restore_point(text)"):
            self.server.query(f"GRANT EXECUTE ON FUNCTION {function} TO lifeboat")

    def load(self, megabytes: float) -> Loaded:
        return load_postgresql(self.server.uri, megabytes=megabytes * _SHARES["postgresql"])

    def describe(self) -> Description:
        server = self.server
        lines = f"{HOST}:{server.port}:*:lifeboat:{self.secrets.postgresql_lifeboat}"
        superuser = f"{HOST}:{server.port}:*:{server.superuser}:{self.secrets.postgresql_superuser}"
        return {
            "host": HOST,
            "port": server.port,
            "socket_directory": str(server.socket_directory),
            "database": "mcp_adhd",
            "user": "lifeboat",
            "password_file": self.secret_file("postgresql.password", self.secrets.postgresql_lifeboat),
            "pgpass_file": self.secret_file("postgresql.pgpass", lines),
            "superuser": server.superuser,
            "superuser_pgpass_file": self.secret_file("postgresql-superuser.pgpass", superuser),
            "uri": f"postgresql://lifeboat@{HOST}:{server.port}/mcp_adhd",
            "version": server.version,
            "bin_directory": str(server.bin_directory),
            "data_directory": str(server.data_directory),
            "archive_directory": str(server.archive_directory),
            "log_file": str(server.log_file),
        }


class RedisPart(Part):
    name = "redis"

    def __init__(self, layout: Layout, secrets: Secrets) -> None:
        super().__init__(layout, secrets)
        self.server = RedisServer(
            directory=layout.server("redis"),
            outlive=True,
            append_only=True,
            password=secrets.redis_default,
            users={"lifeboat": (secrets.redis_lifeboat, BACKUP_RULES)},
        )

    def running(self) -> bool:
        return self.server.is_running

    def start(self) -> None:
        self.server.start()

    def load(self, megabytes: float) -> Loaded:
        return load_redis(self.server.uri, megabytes=megabytes * _SHARES["redis"])

    def describe(self) -> Description:
        server = self.server
        return {
            "host": HOST,
            "port": server.port,
            "user": "lifeboat",
            "password_file": self.secret_file("redis.password", self.secrets.redis_lifeboat),
            "uri_file": self.secret_file(
                "redis.uri", f"redis://lifeboat:{self.secrets.redis_lifeboat}@{HOST}:{server.port}/0"
            ),
            "admin_uri_file": self.secret_file("redis-admin.uri", server.uri),
            "uri": f"redis://lifeboat@{HOST}:{server.port}/0",
            "append_only": True,
            "data_directory": str(server.data_directory),
            "configuration_file": str(server.configuration_file),
            "log_file": str(server.log_file),
        }


class S3Part(Part):
    name = "s3"

    def __init__(self, layout: Layout, secrets: Secrets) -> None:
        super().__init__(layout, secrets)
        self.server = S3Server(
            directory=layout.server("s3"),
            outlive=True,
            administrator=secrets.s3_administrator,
            buckets=(BUCKET,),
        )

    def running(self) -> bool:
        return self.server.is_running

    def start(self) -> None:
        self.server.start()

    def load(self, megabytes: float) -> None:
        """Holds no data; but that it still answers is worth a question (anonymous: 403 is an answer)."""
        with contextlib.closing(http.client.HTTPConnection(HOST, self.server.port, timeout=10)) as connection:
            try:
                connection.request("GET", "/")
                connection.getresponse()
            except OSError as error:
                raise SandboxError(f"process {self.server.pid} lives, but doesn't answer: {error}") from error

    def describe(self) -> Description:
        server = self.server
        keys = f"AWS_ACCESS_KEY_ID={self.secrets.s3_access_key}\nAWS_SECRET_ACCESS_KEY={self.secrets.s3_secret_key}"
        return {
            "host": HOST,
            "port": server.port,
            "endpoint_url": server.endpoint_url,
            "region": server.region,
            "bucket": BUCKET,
            "credentials_file": self.secret_file("s3.env", keys),
            "data_directory": str(server.data_directory),
            "log_file": str(server.log_file),
        }


PARTS: tuple[type[Part], ...] = (
    MongoPart,
    PostgreSQLPart,
    RedisPart,
    S3Part,
)


def server_folders(layout: Layout) -> list[Path]:
    """Every folder that may hold a server of this sandbox."""
    return [path for path in (layout.servers, layout.elsewhere) if path.exists()]


__all__ = ["BUCKET", "PARTS", "Part", "server_folders"]
