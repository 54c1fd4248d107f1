# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""INFO of different servers becomes the same facts."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RedisClusterNode,
    RedisLoading,
    RedisReplicaIncomplete,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.facts import ServerFacts, facts_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.info import Info
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.refusals import (
    refuse_unfit,
    warnings_about,
)

REPLICA = (
    "role:slave\r\nmaster_link_status:{link}\r\nmaster_sync_in_progress:{copying}\r\nmaster_link_down_since_seconds:7"
)


def facts(text: str) -> ServerFacts:
    return facts_from(Info(text.encode()), settings={})


@pytest.mark.parametrize(
    ("text", "flavour", "version"),
    [
        ("redis_version:7.0.15", "redis", "7.0.15"),
        ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1", "valkey", "8.0.1"),
        ("redis_version:7.2.4\r\ndragonfly_version:df-v1.2", "dragonfly", "df-v1.2"),
        ("", "redis", ""),
    ],
)
def test_flavour(text: str, flavour: str, version: str) -> None:
    found = facts(text)
    assert (found.flavour, found.version) == (flavour, version)


def test_keyspace_modules_and_time() -> None:
    info = Info(
        b"# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0,subexpiry=0\r\ndb11:keys=1,expires=0\r\ndbx:keys=1\r\n"
        b"module:name=ReJSON,ver=20609,api=1\r\nmodule:name=search,ver=21005\r\nserver_time_usec:1795252516604439\r\n"
    )
    assert info.keyspace == {"db0": {"keys": 12, "expires": 3}, "db11": {"keys": 1, "expires": 0}}
    assert info.modules == ["ReJSON 20609", "search 21005"]
    assert info.server_seconds == 1795252516
    assert Info(b"").server_seconds is None


def test_a_reply_that_is_no_info_is_empty() -> None:
    assert dict(Info(None)) == {}
    assert Info(b"nonsense without a colon").number("keys", 7) == 7


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("redis_mode:sentinel", RequestInvalid),
        ("loading:1", RedisLoading),
        ("async_loading:1", RedisLoading),
        ("cluster_enabled:1", RedisClusterNode),
        (REPLICA.format(link="down", copying=1), RedisReplicaIncomplete),
    ],
)
def test_unfit_servers(text: str, error: type[LifeboatError]) -> None:
    with pytest.raises(error):
        refuse_unfit(facts(text), address="a:1", allow_cluster_node=False)


def test_a_cluster_node_may_be_taken_knowingly() -> None:
    node = facts("cluster_enabled:1\r\ndb0:keys=1,expires=0")
    refuse_unfit(node, address="a:1", allow_cluster_node=True)
    assert "its slots only" in warnings_about(node, address="a:1")[0]


def test_warnings() -> None:
    assert "no key at all" in warnings_about(facts(""), address="a:1")[0]
    lonely = facts(REPLICA.format(link="down", copying=0) + "\r\ndb0:keys=1,expires=0")
    refuse_unfit(lonely, address="a:1", allow_cluster_node=False)
    assert "7 seconds ago" in warnings_about(lonely, address="a:1")[0]
    assert warnings_about(facts(REPLICA.format(link="up", copying=0) + "\r\ndb0:keys=1,expires=0"), address="a:1") == []
