# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real S3 server: SeaweedFS in one process (master, volume, filer and gateway)."""

from __future__ import annotations

import json
import secrets
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .files import create_directory, replace_file, short_directory
from .parts import WEED, find_weed, require
from .ports import free_port, is_free
from .server import HOST, Server

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from botocore.client import BaseClient

REGION = "us-east-1"
_INNER = ("master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc", "s3_grpc", "admin")
_GRPC_OFFSET = 10000


@dataclass(frozen=True)
class S3Identity:
    """A user. ``actions``: Admin, Read, Write, List, Tagging; ``:bucket`` behind one limits it to a bucket."""

    name: str
    actions: tuple[str, ...]
    access_key: str = field(default_factory=lambda: "AK" + secrets.token_hex(9).upper())
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)

    @classmethod
    def administrator(cls, **keys: str) -> S3Identity:
        return cls(name="admin", actions=("Admin", "Read", "Write", "List", "Tagging"), **keys)

    @classmethod
    def restricted(cls, name: str, *, read: Sequence[str] = (), write: Sequence[str] = (), **keys: str) -> S3Identity:
        """May read and list the buckets of ``read`` and write those of ``write``, nothing else."""
        reading = [f"{action}:{bucket}" for bucket in read for action in ("Read", "List")]
        return cls(name=name, actions=(*reading, *(f"Write:{bucket}" for bucket in write)), **keys)

    def as_document(self) -> dict[str, t.Any]:
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        return {"name": self.name, "credentials": credentials, "actions": list(self.actions)}


class S3Server(Server):
    """``buckets`` are made at the start, ``locked_buckets`` with object lock; a bucket that isn't there stays an error.

    ``identities`` are further users beside ``administrator``.
    """

    kind = "s3"

    def __init__(
        self,
        *,
        directory: Path | None = None,
        port: int | None = None,
        outlive: bool = False,
        startup_timeout: float = 60,
        program: Path | None = None,
        administrator: S3Identity | None = None,
        identities: Sequence[S3Identity] = (),
        buckets: Sequence[str] = ("lifeboat",),
        locked_buckets: Sequence[str] = (),
    ) -> None:
        super().__init__(directory=directory, port=port, outlive=outlive, startup_timeout=startup_timeout)
        self.program = program or require(find_weed(), WEED)
        self.administrator = administrator or S3Identity.administrator()
        self.identities = tuple(identities)
        self.buckets = tuple(buckets)
        self.locked_buckets = tuple(locked_buckets)
        self._inner_ports: dict[str, int] = {}

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return self.endpoint_url

    @property
    def uri(self) -> str:
        """The endpoint; S3 has no notion of credentials in it."""
        return self.endpoint_url

    @property
    def region(self) -> str:
        return REGION

    def client(self, identity: S3Identity | None = None, *, endpoint_url: str | None = None) -> t.Any:
        """A boto3 client of the administrator or of ``identity``, no retries; ``endpoint_url``: through a proxy."""
        return _client(endpoint_url or self.endpoint_url, identity or self.administrator)

    def create_bucket(self, name: str, *, object_lock: bool = False) -> None:
        """Make a bucket; does nothing when it is there."""
        client = self.client()
        options = {"ObjectLockEnabledForBucket": True} if object_lock else {}
        try:
            client.create_bucket(Bucket=name, **options)
        except (client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
            pass
        finally:
            client.close()

    def start(self) -> t.Self:
        super().start()
        for name in self.buckets:
            self.create_bucket(name)
        for name in self.locked_buckets:
            self.create_bucket(name, object_lock=True)
        return self

    @property
    def _socket_directory(self) -> Path:
        return short_directory(self.directory / "sockets")

    def _outside(self) -> tuple[Path, ...]:
        # Their names are fixed in SeaweedFS, and it leaves them even when it stops in good order.
        ports = self._inner_ports
        grpc = {name: ports[f"{name}_grpc"] for name in ("master", "volume", "filer", "s3", "admin")}
        sockets = [f"seaweedfs-{name}-grpc-{port}.sock" for name, port in grpc.items()]
        return (self._socket_directory, *(Path("/tmp") / name for name in sockets))  # noqa: S108

    def _draw_ports(self, *, again: bool) -> None:
        super()._draw_ports(again=again)
        drawn = (port for port in iter(free_port, None) if port != self._port)
        while True:
            ports = {name: next(drawn) for name in _INNER}
            # The admin service's gRPC port is always its port plus 10000, whatever one asks for.
            ports["admin_grpc"] = ports["admin"] + _GRPC_OFFSET
            if len(set(ports.values())) == len(ports) and is_free(ports["admin_grpc"]):
                break
        self._inner_ports = ports

    def _prepare(self) -> None:
        self.data_directory.mkdir(exist_ok=True)
        create_directory(self._socket_directory, mode=0o700)
        identities = [self.administrator, *self.identities]
        content = {"identities": [identity.as_document() for identity in identities]}
        replace_file(self.directory / "identities.json", json.dumps(content, indent=1))

    def _command(self) -> Sequence[str]:
        ports = self._inner_ports
        options = {
            "dir": self.data_directory,
            "ip": HOST,
            "ip.bind": HOST,
            "master.port": ports["master"],
            "master.port.grpc": ports["master_grpc"],
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.port": ports["volume"],
            "volume.port.grpc": ports["volume_grpc"],
            "volume.max": 0,
            "volume.preStopSeconds": 0,
            "filer.port": ports["filer"],
            "filer.port.grpc": ports["filer_grpc"],
            "filer.localSocket": self._socket_directory / "filer.sock",
            "s3.port": self._port,
            "s3.port.grpc": ports["s3_grpc"],
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.localSocket": self._socket_directory / "s3.sock",
            "s3.config": self.directory / "identities.json",
            "s3.autoCreateBucket": "false",
            "webdav": "false",
            "admin.ui": "false",
            "admin.port": ports["admin"],
            "admin.port.grpc": ports["admin_grpc"],
        }
        # 'mini' is the same server as 'server -filer -s3', but serves its first upload after 0.8 s instead of 8 s and
        # stops in 1.2 s instead of more than 15 s.
        return [str(self.program), "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _is_ready(self) -> bool:
        # The log first: it is this process's own, whoever else may answer on the port.
        log = self._new_log()
        if "S3           ready" not in log:
            return False
        import botocore.exceptions

        # Only a real upload proves that master, volume and filer have found each other.
        client = self.client()
        try:
            self.create_bucket("lifeboat-ready")
            client.put_object(Bucket="lifeboat-ready", Key="ready", Body=b"ready")
            client.delete_object(Bucket="lifeboat-ready", Key="ready")
            client.delete_bucket(Bucket="lifeboat-ready")
        except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
            return False
        finally:
            client.close()
        return True


def _client(endpoint_url: str, identity: S3Identity) -> BaseClient:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=identity.access_key,
        aws_secret_access_key=identity.secret_key,
        config=Config(
            retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=30, s3={"addressing_style": "path"}
        ),
    )


__all__ = ["S3Identity", "S3Server"]
