# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A description of a Redis backup is taken or refused before anything is touched."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.connection import RedisConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.options import options_from_description


def test_defaults() -> None:
    options = options_from_description({}, kind="rdb")
    assert (options.kind, options.method, options.timeout, options.allow_cluster_node) == ("rdb", "auto", 3600.0, False)
    assert options.record_digest is False
    assert options.connection.address == "127.0.0.1:6379"


def test_everything() -> None:
    options = options_from_description(
        {
            "connection": {
                "host": "redis.example", "port": "6380", "username": "backup", "password_file": "/etc/lifeboat/redis",
                "tls": True, "tls_ca_file": "/ca", "tls_certificate_file": "/crt", "tls_key_file": "/key", "timeout": 3,
            },
            "kind": "rdb",
            "method": "sync",
            "timeout": 60,
            "allow_cluster_node": True,
            "record_digest": True,
        }
    )  # fmt: skip
    assert options.connection.address == "redis.example:6380"
    assert options.connection.timeout == 3.0
    assert options.connection.password.file == "/etc/lifeboat/redis"
    assert (options.method, options.timeout, options.allow_cluster_node) == ("sync", 60.0, True)
    assert options.record_digest is True


def test_a_socket_is_an_address() -> None:
    assert RedisConnection.from_description({"unix_socket": "/run/r.sock"}).address == "unix:/run/r.sock"


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        ({"conection": {}}, "conection"),
        ({"method": "copy"}, "method"),
        ({"kind": "dump"}, "kind"),
        ({"kind": "aof", "method": "sync"}, "no method"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"allow_cluster_node": "yes"}, "allow_cluster_node"),
        ({"record_digest": "yes"}, "record_digest"),
        ({"connection": "redis://localhost"}, "mapping"),
        ({"connection": {"hostname": "x"}}, "hostname"),
        ({"connection": {"port": 0}}, "port"),
        ({"connection": {"port": 6379.5}}, "port"),
        ({"connection": {"port": True}}, "port"),
        ({"connection": {"host": ""}}, "host"),
        ({"connection": {"tls": "yes"}}, "tls"),
        ({"connection": {"unix_socket": "/s", "host": "h"}}, "unix_socket"),
        ({"connection": {"unix_socket": "/s", "tls": True}}, "unix_socket"),
        ({"connection": {"tls_ca_file": "/ca"}}, "tls: true|tls is not true"),
        ({"connection": {"tls": True, "tls_key_file": "/key"}}, "together"),
        ({"connection": {"password": "a", "password_file": "/f"}}, "2 times"),
    ],
)
def test_what_is_refused(description: dict[str, t.Any], complaint: str) -> None:
    with pytest.raises(RequestInvalid, match=complaint):
        options_from_description(description)


def test_the_kind_of_the_job_and_of_its_options_agree() -> None:
    assert options_from_description({"kind": "aof"}, kind="aof").kind == "aof"
    with pytest.raises(RequestInvalid, match="rdb backup"):
        options_from_description({"kind": "aof"}, kind="rdb")
    with pytest.raises(RequestInvalid, match="no method"):
        options_from_description({"method": "bgsave"}, kind="aof")


def test_a_secret_is_never_shown() -> None:
    options = options_from_description({"connection": {"password": "hunter2", "username": "u"}})
    assert "hunter2" not in repr(options)
