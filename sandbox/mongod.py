# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One real mongod process, and how to talk to it."""

from __future__ import annotations

import contextlib
import functools
import typing as t
from pathlib import Path
from urllib.parse import quote

from .parts import MONGOD, find_mongod, require
from .server import HOST, Server
from .tls import TLSFiles, self_signed

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pymongo

    Document = dict[str, t.Any]
    Client = pymongo.MongoClient[Document]

ROOT = "root"


class MongoServer(Server):
    """One mongod; with ``replica_set`` a member that ``MongoReplicaSet`` initiates.

    ``password`` switches authentication on; the user ``root`` is made at the first start of a standalone. ``key_file``
    is what members of a set share. ``parameters`` are passed as ``--setParameter``. Nothing is removed from the oplog
    before a checkpoint, of which there is one a minute unless ``checkpoint_seconds`` says otherwise.
    """

    kind = "mongodb"
    stop_seconds = 30

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
        program: Path | None = None,
        replica_set: str | None = None,
        password: str | None = None,
        key_file: Path | None = None,
        tls: TLSFiles | bool = False,
        cache_gigabytes: float = 0.25,
        oplog_megabytes: int = 990,
        checkpoint_seconds: int | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory=directory, port=port, outlive=outlive, startup_timeout=startup_timeout)
        self.program = program or require(find_mongod(), MONGOD)
        self.replica_set = replica_set
        self.password = password
        self._key_file = key_file
        self._tls = tls
        self._cache_gigabytes = cache_gigabytes
        self._oplog_megabytes = oplog_megabytes
        self._checkpoint_seconds = checkpoint_seconds
        # A member that is told to stop waits 15 s for its clients by default.
        quick = {"shutdownTimeoutMillisForSignaledShutdown": "100"} if replica_set else {}
        self._parameters = {"diagnosticDataCollectionEnabled": "false", **quick, **(parameters or {})}

    @functools.cached_property
    def tls_files(self) -> TLSFiles | None:
        """What a client must trust; None without TLS."""
        return self_signed(self.directory / "tls") if self._tls is True else self._tls or None

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        """Of this one process (``directConnection``), whatever set it belongs to."""
        return connection_uri([self.address], password=self.password, tls=self.tls_files, directConnection="true")

    def client(self, **options: t.Any) -> Client:
        """A pymongo client of the user root (where there is authentication) to this process; close it yourself."""
        return connect(self.uri, **options)

    def anonymous_client(self) -> Client:
        """Without credentials: before the first user exists, loopback may do anything."""
        return connect(connection_uri([self.address], tls=self.tls_files, directConnection="true"))

    def start(self) -> t.Self:
        super().start()
        if self.password is not None and self.replica_set is None:
            create_first_user(self, self.password)
        return self

    def _prepare(self) -> None:
        self.data_directory.mkdir(exist_ok=True)

    def _command(self) -> Sequence[str]:
        command = [str(self.program), "--dbpath", str(self.data_directory), "--bind_ip", HOST, "--port", str(self.port)]
        command += ["--nounixsocket", "--wiredTigerCacheSizeGB", f"{self._cache_gigabytes:g}"]
        if self.replica_set:
            command += ["--replSet", self.replica_set, "--oplogSize", str(self._oplog_megabytes)]
        if self._checkpoint_seconds is not None:
            command += ["--syncdelay", str(self._checkpoint_seconds)]
        if self._key_file:
            command += ["--keyFile", str(self._key_file)]
        elif self.password is not None:
            command.append("--auth")
        if self.tls_files:
            command += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.tls_files.combined)]
            command += ["--tlsCAFile", str(self.tls_files.authority), "--tlsAllowConnectionsWithoutCertificates"]
        for name, value in self._parameters.items():
            command += ["--setParameter", f"{name}={value}"]
        return command

    def _is_ready(self) -> bool:
        # The log first: it is this process's own, whoever else may answer on the port.
        if '"Waiting for connections"' not in self._new_log():
            return False
        import pymongo.errors

        with contextlib.suppress(pymongo.errors.ConnectionFailure), self.anonymous_client() as client:
            client.admin.command("ping")
            return True
        return False


def connection_uri(
    addresses: Sequence[str],
    *,
    user: str = ROOT,
    password: str | None = None,
    tls: TLSFiles | None = None,
    **options: str,
) -> str:
    """A mongodb:// URI; ``password`` None leaves the credentials out."""
    credentials = "" if password is None else f"{quote(user, safe='')}:{quote(password, safe='')}@"
    if password is not None:
        options["authSource"] = "admin"
    if tls is not None:
        options["tls"] = "true"
        options["tlsCAFile"] = quote(str(tls.authority), safe="/")
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"mongodb://{credentials}{','.join(addresses)}/?{query}"


def create_first_user(node: MongoServer, password: str) -> None:
    """Make the user root through the exception for loopback; does nothing when root can log in already."""
    import pymongo.errors

    try:
        with node.client() as client:
            client.admin.command("ping")
            return
    except pymongo.errors.OperationFailure as error:
        if error.code != 18:  # AuthenticationFailed
            raise
    with node.anonymous_client() as client:
        client.admin.command("createUser", ROOT, pwd=password, roles=["root"])


def set_user(client: Client, user: str, password: str, roles: Sequence[str]) -> None:
    """Make or replace a user of the database admin."""
    known = client.admin.command("usersInfo", user)["users"]
    client.admin.command("updateUser" if known else "createUser", user, pwd=password, roles=list(roles))


def hello(node: MongoServer) -> Mapping[str, t.Any]:
    """What the process says of itself; {} when it doesn't answer."""
    import pymongo.errors

    try:
        with node.anonymous_client() as client:
            return client.admin.command("hello")
    except pymongo.errors.ConnectionFailure:
        return {}


def connect(uri: str, **options: t.Any) -> Client:
    """A pymongo client that gives up after ten seconds without a server."""
    import pymongo

    return pymongo.MongoClient(uri, **{"serverSelectionTimeoutMS": 10_000, "connectTimeoutMS": 5_000, **options})
