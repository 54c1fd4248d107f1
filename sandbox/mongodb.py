# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real MongoDB: ``MongoServer`` is one process, ``MongoReplicaSet`` one to three of them."""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import tempfile
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .errors import StartFailed
from .files import replace_file
from .mongod import ROOT, MongoServer, connect, connection_uri, create_first_user, hello, set_user
from .parts import MONGOD, find_mongod, require
from .tls import self_signed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .mongod import Client


class MongoReplicaSet:
    """A replica set of ``members`` (1 to 3) with a primary; ``password`` switches on a key file and the user ``root``.

    ``tls`` makes every member serve TLS only, with one certificate for all.
    """

    def __init__(
        self,
        *,
        members: int = 1,
        name: str = "rs0",
        directory: Path | None = None,
        ports: Sequence[int] | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
        program: Path | None = None,
        password: str | None = None,
        tls: bool = False,
        cache_gigabytes: float = 0.25,
        oplog_megabytes: int = 990,
        checkpoint_seconds: int | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        if not 1 <= members <= 3:
            raise ValueError(f"a replica set of 1 to 3 members, not {members}")
        program = program or require(find_mongod(), MONGOD)
        self._temporary = directory is None
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="lifeboat-mongodb-"))).resolve()
        self.name = name
        self.password = password
        self.tls_files = self_signed(self.directory / "tls") if tls else None
        self._startup_timeout = startup_timeout
        self.nodes = [
            MongoServer(
                directory=self.directory / f"node{number}",
                port=ports[number] if ports else None,
                outlive=outlive,
                startup_timeout=startup_timeout,
                program=program,
                replica_set=name,
                password=password,
                key_file=self._key_file if password is not None else None,
                tls=self.tls_files or False,
                cache_gigabytes=cache_gigabytes,
                oplog_megabytes=oplog_megabytes,
                checkpoint_seconds=checkpoint_seconds,
                parameters=parameters,
            )
            for number in range(members)
        ]

    @property
    def _key_file(self) -> Path:
        return self.directory / "keyfile"

    @property
    def port(self) -> int:
        """Of the first member."""
        return self.nodes[0].port

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    @property
    def log_file(self) -> Path:
        return self.nodes[0].log_file

    @property
    def is_running(self) -> bool:
        """Whether every member's process lives."""
        return all(node.is_running for node in self.nodes)

    @property
    def uri(self) -> str:
        """Of the whole set; the user is root where there is authentication."""
        return self.uri_of(ROOT, self.password)

    def uri_of(self, user: str, password: str | None) -> str:
        addresses = [node.address for node in self.nodes]
        return connection_uri(addresses, user=user, password=password, tls=self.tls_files, replicaSet=self.name)

    def client(self, **options: t.Any) -> Client:
        """A pymongo client of the whole set; close it yourself."""
        return connect(self.uri, **options)

    def create_user(self, user: str, password: str, roles: Sequence[str]) -> None:
        """Make or replace a user of the database admin with these roles on admin."""
        with self.client() as client:
            set_user(client, user, password, roles)

    @property
    def primary(self) -> MongoServer:
        """The node that is primary now; StartFailed when there is none."""
        return self._node_that("isWritablePrimary")

    @property
    def secondaries(self) -> list[MongoServer]:
        return [node for node in self.nodes if hello(node).get("secondary")]

    def start(self) -> t.Self:
        """Start every member, initiate the set the first time; returns when one is primary and all others secondary."""
        if self.is_running:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.password is not None and not self._key_file.exists():
            replace_file(self._key_file, base64.b64encode(secrets.token_bytes(48)).decode("ascii"), mode=0o400)
        try:
            _together(node.start for node in self.nodes)
            self._initiate()
            self._wait_for_primary()
            if self.password is not None:
                create_first_user(self.primary, self.password)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop all members at the same time (a primary left alone waits for a secondary); the data stays."""
        _together(node.stop for node in self.nodes)

    def kill(self) -> None:
        """SIGKILL to every member. The data stays."""
        _together(node.kill for node in self.nodes)

    def discard(self) -> None:
        """End the processes, by force at once (no data to save), and remove the folder with all data."""
        self.kill()
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def __enter__(self) -> t.Self:
        try:
            return self.start()
        except BaseException:
            if self._temporary:
                self.discard()
            raise

    def __exit__(self, *exception: object) -> None:
        if self._temporary:
            self.discard()
        else:
            self.stop()

    def _initiate(self) -> None:
        import pymongo.errors

        members = [
            {"_id": number, "host": node.address, "priority": 2 if number == 0 else 1}
            for number, node in enumerate(self.nodes)
        ]
        configuration = {"_id": self.name, "members": members, "settings": {"electionTimeoutMillis": 2000}}
        with self.nodes[0].anonymous_client() as client:
            if client.admin.command("hello").get("setName"):
                return
        if self._rename_members():
            return
        with self.nodes[0].anonymous_client() as client, contextlib.suppress(pymongo.errors.PyMongoError):
            # Initiated before and not yet out of start-up: the server refuses, the wait below decides.
            client.admin.command("replSetInitiate", configuration)

    def _rename_members(self) -> bool:
        """Whether the set was initiated before; its members get new addresses when their ports have changed since."""
        import pymongo.errors

        with self.nodes[0].client() as client:
            try:
                configuration = client.admin.command("replSetGetConfig")["config"]
            except pymongo.errors.OperationFailure as error:
                if error.code in (18, 94):  # AuthenticationFailed (no user yet), NotYetInitialized
                    return False
                raise
            addresses = [node.address for node in self.nodes]
            if [member["host"] for member in configuration["members"]] == addresses:
                return True
            for member, address in zip(configuration["members"], addresses, strict=True):
                member["host"] = address
            configuration["version"] += 1
            client.admin.command("replSetReconfig", configuration, force=True)
        return True

    def _wait_for_primary(self) -> None:
        deadline = time.monotonic() + self._startup_timeout
        while True:
            states = [hello(node) for node in self.nodes]
            if any(state.get("isWritablePrimary") for state in states) and all(
                state.get("isWritablePrimary") or state.get("secondary") for state in states
            ):
                return
            if time.monotonic() >= deadline:
                tail = "\n".join(self.log_file.read_text(encoding="utf-8").splitlines()[-15:])
                raise StartFailed(f"replica set {self.name} has no primary after {self._startup_timeout:g} s:\n{tail}")
            time.sleep(0.05)

    def _node_that(self, flag: str) -> MongoServer:
        for node in self.nodes:
            if hello(node).get(flag):
                return node
        raise StartFailed(f"no member of {self.name} says {flag}")


def _together(actions: Iterable[Callable[[], object]]) -> None:
    """Run all at the same time; raises the first error after all have ended."""
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(action) for action in actions]
    for one in running:
        one.result()


__all__ = ["MongoReplicaSet", "MongoServer", "connection_uri"]
