# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis comes back on a fresh host by RESTORE.md alone."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.breakglass.conftest import Bucket
from tests.breakglass.fresh_host import FreshHost
from tests.breakglass.guide import script_of
from tests.integration.redis.servers import fill, server

pytestmark = pytest.mark.timeout(1200)
# What a service manager does, which does not run there; DEBUG DIGEST is for the comparison alone.
_OPERATOR = """\
echo 'enable-debug-command yes' >> /etc/redis/redis.conf
install -d -o redis /run/redis
export START='setpriv --reuid=redis --regid=redis --init-groups redis-server /etc/redis/redis.conf'
export STOP='redis-cli SHUTDOWN'
$START
until [ "$(redis-cli PING 2> /dev/null)" = PONG ]; do sleep 0.1; done
redis-cli SET 'what the new host has' 1
"""
_COMPARE = """
until [ "$(redis-cli PING 2> /dev/null)" = PONG ]; do sleep 0.1; done
echo "digest: $(redis-cli DEBUG DIGEST)"
$STOP
while redis-cli PING > /dev/null 2>&1; do sleep 0.1; done
$START
until [ "$(redis-cli PING 2> /dev/null)" = PONG ]; do sleep 0.1; done
echo "digest after a restart: $(redis-cli DEBUG DIGEST)"
$STOP
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Any]:
    one = server(tmp_path_factory.mktemp("redis") / "server", append_only=True)
    one.start()
    try:
        fill(one, keys=200)
        yield one
    finally:
        one.discard()


def wanted(source: t.Any) -> str:
    with source.client() as client:
        return str(client.execute_command("DEBUG", "DIGEST").decode())


def come_back(host: FreshHost, bucket: Bucket, source: t.Any, kind: str, *, before: str = "") -> None:
    folder = bucket.back_up({"engine": "redis", "connection": {"port": source.port}}, kind)
    guide = bucket.guide(folder)
    script = before + _OPERATOR + script_of(guide, folder=folder) + _COMPARE
    said = host.run(script, bucket=bucket.repository).splitlines()
    assert f"digest: {wanted(source)}" in said
    assert f"digest after a restart: {wanted(source)}" in said
    assert any(line.endswith(": OK") for line in said), "the checksums were compared"


@pytest.mark.parametrize("append_only", [False, True], ids=["snapshots", "append-only"])
def test_a_snapshot(host: FreshHost, bucket: Bucket, source: t.Any, append_only: bool) -> None:
    keeps = "echo 'appendonly yes' >> /etc/redis/redis.conf\n" if append_only else ""
    come_back(host, bucket, source, "rdb", before=keeps)


def test_append_only_files(host: FreshHost, bucket: Bucket, source: t.Any) -> None:
    # "The target's configuration must say `appendonly yes`"
    come_back(host, bucket, source, "aof", before="echo 'appendonly yes' >> /etc/redis/redis.conf\n")


def test_an_encrypted_snapshot(host: FreshHost, encrypted: Bucket, source: t.Any) -> None:
    assert encrypted.key is not None
    folder = encrypted.back_up({"engine": "redis", "connection": {"port": source.port}}, "rdb")
    guide = encrypted.guide(folder)
    assert "AGE_IDENTITY=/path/to/identity.txt" in guide
    guide = guide.replace("/path/to/identity.txt", f"/bucket/{Path(encrypted.key).name}")
    said = host.run(_OPERATOR + script_of(guide, folder=folder) + _COMPARE, bucket=encrypted.repository)
    assert f"digest: {wanted(source)}" in said.splitlines()
