# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica takes its primary's place: fenced, promoted, followed; real servers and a writer that keeps account."""

from __future__ import annotations

import pathlib
import threading
import typing as t

import pytest
import redis

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RedisFenceNotProven,
    RedisFollowRefused,
    RedisPromotionNotReached,
    RedisPromotionRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.connection import RedisConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.fence import RedisFence, fence_redis
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.following import (
    RedisPrimary,
    follow_redis,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.promotion import (
    RedisPromotion,
    promote_redis,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.standby_state import (
    RedisStandbyState,
    look_at_standby,
)
from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.daemons import Daemon
from tests.support.waiting import wait_for


def connection(server: t.Any) -> RedisConnection:
    return RedisConnection(port=server.port)


def state(server: t.Any) -> RedisStandbyState:
    client = connection(server).open(runner=Host().runner)
    try:
        return look_at_standby(client)
    finally:
        client.close()


def client(server: t.Any) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=20, retry=None)


class Writer:
    """Counts upwards and knows the last number that was acknowledged."""

    def __init__(self, server: t.Any) -> None:
        self.acknowledged = 0
        self.ended = threading.Event()
        self._server = server
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        with client(self._server) as written:
            while not self.ended.is_set():
                try:
                    written.set(f"n:{self.acknowledged + 1}", "x")
                except redis.RedisError:
                    return
                self.acknowledged += 1

    def stop(self) -> int:
        self.ended.set()
        self._thread.join()
        return self.acknowledged


def pair(daemon: DaemonStarter, **options: t.Any) -> tuple[Daemon, Daemon]:
    """A primary and its replica, which has everything."""
    primary = daemon(**options)
    replica = daemon(settings={"replicaof": f"127.0.0.1 {primary.port}", **options.get("settings", {})})
    wait_for(lambda: state(replica).link == "up" and state(replica).history == state(primary).history, what="a copy")
    return primary, replica


def test_nothing_that_was_acknowledged_is_lost_when_the_primary_lives(daemon: DaemonStarter) -> None:
    primary, replica = pair(daemon)
    history = state(primary).history
    writer = Writer(primary)
    wait_for(lambda: writer.acknowledged > 500, what="writes")
    fenced = fence_redis(RedisFence(connection=connection(primary), history=history), host=Host())
    acknowledged = writer.stop()
    assert (fenced.method, fenced.arrived, fenced.written, fenced.changed) == ("replica", True, True, True)
    with pytest.raises(redis.ReadOnlyError), client(primary) as refused:
        refused.set("late", "1")

    promoted = promote_redis(
        connection(replica), RedisPromotion(history=history, offset=fenced.offset, timeout=20), host=Host()
    )
    assert (promoted.changed, promoted.lost_bytes, promoted.written) == (True, 0, True)
    with client(replica) as asked:
        assert asked.exists(*(f"n:{number}" for number in range(1, acknowledged + 1))) == acknowledged
        assert asked.keys("lifeboat:*") == []

    # Again it finds all done, after a restart of both, too.
    for server in (primary, replica):
        server.stop()
        server.start()
    assert not fence_redis(RedisFence(connection=connection(primary), history=history), host=Host()).changed
    assert state(primary).fenced
    assert state(replica).role == "primary"

    # The old primary comes home as a replica of the new one.
    followed = RedisPrimary(
        host="127.0.0.1", port=replica.port, history=state(replica).history, connection=connection(replica)
    )
    assert follow_redis(connection(primary), followed, timeout=30, host=Host()).changed
    assert not follow_redis(connection(primary), followed, timeout=30, host=Host()).changed
    with client(replica) as one, client(primary) as other:
        one.set("after", "1")
        wait_for(lambda: other.get("after") == b"1", what="replication the other way round")


def test_asked_again_it_was_promoted_already(daemon: DaemonStarter) -> None:
    primary, replica = pair(daemon)
    history = state(primary).history
    wanted = RedisPromotion(history=history)
    assert promote_redis(connection(replica), wanted, host=Host(), check=True).changed
    assert state(replica).role == "replica"
    assert promote_redis(connection(replica), wanted, host=Host()).changed
    again = promote_redis(connection(replica), wanted, host=Host())
    assert (again.changed, again.history_before) == (False, history)


def test_what_did_not_arrive_is_told_in_bytes(daemon: DaemonStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    primary, replica = pair(daemon)
    history = state(primary).history
    monkeypatch.setenv("PRIMARY_PASSWORD", "secret")
    known = RedisConnection.from_description({"port": primary.port, "password_env": "PRIMARY_PASSWORD"})
    with redis.Redis(port=primary.port, password=None) as one:
        one.config_set("requirepass", "secret")  # the replica does not know it and can't come back
        one.client_kill_filter(_type="replica")
    wait_for(lambda: state(replica).link == "down", what="the link to break")
    with redis.Redis(port=primary.port, password="secret") as one:
        for number in range(100):
            one.set(f"lost:{number}", "x")
    fenced = fence_redis(RedisFence(connection=known, history=history, catch_up=0.5), host=Host())
    assert fenced.offset is not None
    promoted = promote_redis(connection(replica), RedisPromotion(history=history, offset=fenced.offset), host=Host())
    assert promoted.lost_bytes == fenced.offset - promoted.applied
    assert promoted.lost_bytes > 100 * len("lost:")


def test_the_wrong_server_is_refused(daemon: DaemonStarter, start: Starter) -> None:
    primary, replica = pair(daemon)
    stranger = start()
    history = state(primary).history
    with pytest.raises(RedisPromotionRefused, match="was not promoted from the history"):
        promote_redis(connection(stranger), RedisPromotion(history=history), host=Host())
    with pytest.raises(RedisPromotionRefused, match="was not promoted from the history"):
        promote_redis(connection(primary), RedisPromotion(history=history), host=Host())
    with pytest.raises(RedisPromotionRefused, match="has the history"):
        promote_redis(connection(replica), RedisPromotion(history=state(stranger).history), host=Host())
    with pytest.raises(RedisFenceNotProven, match="has the history"):
        fence_redis(RedisFence(connection=connection(stranger), history=history), host=Host())
    with pytest.raises(RedisFenceNotProven, match="is a replica of"):
        fence_redis(RedisFence(connection=connection(replica), history=history), host=Host())
    followed = RedisPrimary(host="127.0.0.1", port=primary.port, history=history, connection=connection(primary))
    client(stranger).set("mine", 1)
    with pytest.raises(RedisFollowRefused, match="takes writes; following another one would throw its 1 keys away"):
        follow_redis(connection(stranger), followed, timeout=5, host=Host())
    with pytest.raises(RedisFollowRefused, match="is the primary itself"):
        follow_redis(connection(primary), followed, timeout=5, host=Host())
    assert [state(one).role for one in (primary, replica, stranger)] == ["primary", "replica", "primary"]


def test_a_replica_that_never_had_a_copy_is_refused(start: Starter) -> None:
    primary, replica = start(), start(settings={"replicaof": "127.0.0.1 1"})
    with pytest.raises(RedisPromotionRefused, match="does not have the data"):
        promote_redis(connection(replica), RedisPromotion(history=state(primary).history), host=Host())
    assert state(replica).role == "replica"


def test_a_primary_that_takes_no_writes_is_none(daemon: DaemonStarter) -> None:
    primary, replica = pair(daemon)
    with client(replica) as one:
        one.config_set("min-replicas-to-write", 1)
    wanted = RedisPromotion(history=state(primary).history)
    with pytest.raises(RedisPromotionNotReached, match=r"does not take a write: .*NOREPLICAS"):
        promote_redis(connection(replica), wanted, host=Host())
    with client(replica) as one:
        one.config_set("min-replicas-to-write", 0)
    assert not promote_redis(connection(replica), wanted, host=Host()).changed


def test_a_stopped_primary_needs_something_that_keeps_it_so(daemon: DaemonStarter, tmp_path: pathlib.Path) -> None:
    primary, _replica = pair(daemon)
    primary.stop()
    with pytest.raises(RedisFenceNotProven, match="nothing is described that keeps it from starting again"):
        fence_redis(RedisFence(connection=connection(primary)), host=Host())
    # Whether there is systemd on this machine or not, no unit of that name can be masked.
    with pytest.raises(RedisFenceNotProven, match="can't be kept from starting again"):
        fence_redis(RedisFence(connection=connection(primary), unit="../no/unit"), host=Host())


def test_a_server_that_can_not_write_its_configuration_says_what_to_write(start: Starter) -> None:
    primary = start()
    primary.configuration_file.unlink()
    primary.directory.chmod(0o500)
    try:
        fenced = fence_redis(RedisFence(connection=connection(primary)), host=Host())
    finally:
        primary.directory.chmod(0o700)
    assert state(primary).fenced
    assert fenced.written or any("replicaof 127.0.0.1 1" in one for one in fenced.warnings)


def test_errors_hold_no_password(daemon: DaemonStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_PRIMARY", "verysecret")
    primary, replica = pair(daemon)
    history = state(primary).history
    fence_redis(RedisFence(connection=connection(primary), history=history), host=Host())
    promote_redis(connection(replica), RedisPromotion(history=history), host=Host())
    with client(replica) as one:
        one.config_set("requirepass", "another")
        one.auth("another")
        new = state_with(one)
    followed = RedisPrimary(
        host="127.0.0.1",
        port=replica.port,
        history=new["master_replid"],
        connection=RedisConnection.from_description({"port": replica.port, "password_env": "NEW_PRIMARY"}),
    )
    with pytest.raises(LifeboatError) as caught:
        follow_redis(connection(primary), followed, timeout=5, host=Host())
    assert "verysecret" not in repr(caught.value.as_dict())


def state_with(one: redis.Redis) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", one.info("replication"))
