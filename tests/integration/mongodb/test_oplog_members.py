# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain on a set of three: any member goes on with it, and only another history breaks it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import typing as t
from pathlib import Path

import pymongo.errors
import pytest
from pymongo.read_preferences import ReadPreference

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoNoSuitableMember
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.replica_lag import ReplicaLag
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog import majority_in
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.replica import replica_lag
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import spool as spool_module
from sandbox.mongod import hello
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.streaming import Streaming, first_position, last_position, oplog
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow  # three servers

NAMESPACE = "shop.orders"
PARAMETERS = {"periodicNoopIntervalSecs": "1", "maxNumberOfTransactionOperationsInSingleOplogEntry": "4"}


@pytest.fixture(scope="module")
def servers() -> t.Iterator[MongoReplicaSet]:
    """Three members; each test leaves all of them running with one primary."""
    with MongoReplicaSet(members=3, parameters=PARAMETERS) as one:
        with one.client() as client:
            client.shop.orders.insert_one({"_id": "first of all"})
        yield one


@pytest.fixture
def streaming(servers: MongoReplicaSet, tmp_path: Path) -> Streaming:
    wait_for_all(servers)
    return Streaming(uri=servers.uri, folder=tmp_path)


def wait_for_all(servers: MongoReplicaSet) -> None:
    def settled() -> bool:
        states = [hello(node) for node in servers.nodes]
        return sum(bool(one.get("isWritablePrimary")) for one in states) == 1 and all(
            (one.get("isWritablePrimary") or one.get("secondary")) and majority_in(one) is not None for one in states
        )

    wait_for(settled, what="a primary and two secondaries that know what a majority has")


def write(servers: MongoReplicaSet, *ids: t.Any, majority: bool = True) -> None:
    """Acknowledged by a majority, unless not."""
    with servers.client(w="majority" if majority else 1, retryWrites=True) as client:
        client.shop.orders.insert_many([{"_id": one} for one in ids])


def wait_until_known(streaming: Streaming, *ids: t.Any) -> None:
    """Capture until these are in it: a secondary learns a moment later than the client what a majority has."""

    def captured() -> bool:
        streaming.run()
        return set(ids) <= set(streaming.captured_documents(NAMESPACE))

    wait_for(captured, what=f"{ids} captured")


def assert_all_have_it(streaming: Streaming, servers: MongoReplicaSet) -> None:
    """Every member's own oplog is what was captured, byte by byte."""
    last = streaming.slices()[-1].last.position

    def caught_up(client: t.Any) -> bool:
        with contextlib.suppress(pymongo.errors.PyMongoError):  # while it rolls back nobody may read it
            return last_position(client) >= last and oplog(client, last, last) != []
        return False

    for node in servers.nodes:
        with node.client() as client:
            wait_for(lambda client=client: caught_up(client), what="the member has caught up")
            streaming.assert_whole(client)


def members_read(streaming: Streaming) -> list[str]:
    return [one.facts.member for one in streaming.shipped]


def node_at(servers: MongoReplicaSet, address: str) -> MongoServer:
    return next(node for node in servers.nodes if node.address == address)


def test_a_secondary_is_read_and_every_member_has_the_same_bytes(
    streaming: Streaming, servers: MongoReplicaSet
) -> None:
    primary = servers.primary.address
    write(servers, "a", "b")
    streaming.run()
    write(servers, "c", "d")
    wait_until_known(streaming, "c", "d")
    assert primary not in members_read(streaming)
    assert_all_have_it(streaming, servers)
    streaming.options = {"read_preference": "primary"}
    write(servers, "e")
    wait_until_known(streaming, "e")
    assert members_read(streaming)[-1] == primary
    assert len(streaming.lineages()) == 1


def test_only_the_server_of_a_direct_connection_is_read(servers: MongoReplicaSet, streaming: Streaming) -> None:
    node = servers.secondaries[0]
    streaming.uri = node.uri
    streaming.run()
    assert set(members_read(streaming)) == {node.address}


@contextlib.contextmanager
def during_the_third_slice(monkeypatch: pytest.MonkeyPatch, act: t.Callable[[], None]) -> t.Iterator[list[str]]:
    """Do something between two slices of a capture; nothing else is changed."""
    put, done = spool_module.Spool.put, []

    def acting(self: t.Any, name: str, writing: t.Any, *, note: t.Any = None) -> None:
        put(self, name, writing, note=note)
        done.append(name)
        if len(done) == 3:
            act()

    with monkeypatch.context() as patched:
        patched.setattr(spool_module.Spool, "put", acting)
        yield done


def test_the_member_that_is_read_dies_and_another_one_goes_on(
    streaming: Streaming, servers: MongoReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming.run()
    reading = members_read(streaming)[-1]
    # More than the server gives in one answer, so that the rest is still to be fetched.
    with servers.client(w="majority") as client:
        for number in range(18):
            client.shop.orders.insert_many([{"_id": f"much {number} {one}", "pad": "x" * 10_000} for one in range(100)])
    streaming.options = {"slice_entries": 50}

    def kill() -> None:
        node_at(servers, reading).kill()

    with during_the_third_slice(monkeypatch, kill):
        streaming.run()
    try:
        wait_until_known(streaming, "much 17 99")
        assert members_read(streaming)[-1] != reading
        assert streaming.events == []
        with servers.primary.client() as client:
            streaming.assert_whole(client)
    finally:
        node_at(servers, reading).start()


def test_elections_do_not_break_the_chain(streaming: Streaming, servers: MongoReplicaSet) -> None:
    streaming.run()
    stop = threading.Event()
    acknowledged: list[int] = []

    def load() -> None:
        with servers.client(w="majority", retryWrites=True, serverSelectionTimeoutMS=60_000) as client:
            number = 0
            while not stop.is_set():
                number += 1
                with contextlib.suppress(pymongo.errors.PyMongoError):
                    client.shop.load.insert_one({"_id": number})
                    acknowledged.append(number)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    try:
        for _election in range(2):
            before = servers.primary
            known = len(acknowledged)
            with before.client() as client, contextlib.suppress(pymongo.errors.PyMongoError):
                client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
            while not any(hello(node).get("isWritablePrimary") for node in servers.nodes if node is not before):
                with contextlib.suppress(MongoNoSuitableMember):
                    streaming.run()
            wait_for(lambda known=known: len(acknowledged) > known + 20, what="writes to the new primary")
            streaming.run()
            with before.client() as client:
                client.admin.command("replSetFreeze", 0)
    finally:
        stop.set()
        thread.join(60)

    def all_there() -> bool:
        streaming.run()
        return set(acknowledged) <= set(streaming.captured_documents("shop.load"))

    wait_for(all_there, what="everything that was acknowledged")
    assert streaming.events == []
    assert len({one.last.term for one in streaming.slices()}) >= 2
    wait_for_all(servers)
    with servers.primary.client() as client:
        streaming.assert_whole(client)


def test_a_member_that_was_synced_anew_is_passed_over_while_others_have_the_entry(
    streaming: Streaming, servers: MongoReplicaSet
) -> None:
    write(servers, "long ago")
    wait_until_known(streaming, "long ago")
    captured = streaming.slices()[-1].last.position
    node = servers.secondaries[0]
    node.stop()
    shutil.rmtree(node.data_directory)
    write(servers, "meanwhile")
    node.start()
    wait_for_all(servers)
    with node.client() as client:
        assert first_position(client) > captured
    # Alone it can't go on, and does not take that for a break: others may have the entry.
    streaming.uri = node.uri
    with pytest.raises(MongoNoSuitableMember, match=r"rolled-over"):
        streaming.capture()
    streaming.uri = servers.uri
    wait_until_known(streaming, "meanwhile")
    assert streaming.events == []
    assert len(streaming.lineages()) == 1


def test_what_no_majority_has_is_not_captured_and_its_rollback_breaks_nothing(
    streaming: Streaming, servers: MongoReplicaSet
) -> None:
    write(servers, "by all")
    wait_until_known(streaming, "by all")
    alone = servers.primary
    others = [node for node in servers.nodes if node is not alone]
    for node in others:
        node.kill()
    with alone.client(w=1) as client:
        client.shop.orders.insert_one({"_id": "by one"})
        lost = last_position(client)
    streaming.run()
    wait_for(lambda: not hello(alone).get("isWritablePrimary"), what="the primary steps down")
    # Nobody is primary: what a majority had before is all that counts.
    streaming.run()
    assert any("has no primary now" in text for text in streaming.warnings)
    assert "by one" not in streaming.captured_documents(NAMESPACE)
    alone.kill()
    for node in others:
        node.start()
    wait_for(lambda: any(hello(node).get("isWritablePrimary") for node in others), what="another primary")
    write(servers, "by the others")
    alone.start()
    wait_for_all(servers)
    wait_until_known(streaming, "by the others")
    assert "by one" not in streaming.captured_documents(NAMESPACE)
    assert all(one.last.position != lost for one in streaming.slices())
    assert streaming.events == []
    assert_all_have_it(streaming, servers)
    for node in servers.nodes:
        with node.client() as client:
            shop = client.get_database("shop", read_preference=ReadPreference.SECONDARY_PREFERRED)
            assert shop.orders.find_one({"_id": "by one"}) is None


def test_the_lag_of_a_member_is_measured_by_the_set(servers: MongoReplicaSet, tmp_path: Path) -> None:
    wait_for_all(servers)
    source = {"uri": servers.uri, "server_selection_timeout": 5}
    primary, member = servers.primary, servers.secondaries[0]

    def lag(standby: dict[str, t.Any], *, name: str = member.address) -> ReplicaLag:
        return replica_lag(source, standby, name=name, runner=SubprocessRunner())

    def caught_up() -> bool:
        found = lag({})
        return found.follows and found.seconds is not None and found.seconds <= 2

    wait_for(caught_up, what="the member keeps up")
    asked = lag({"uri": f"mongodb://{member.address}/?directConnection=true"}, name="second")
    assert asked.follows
    assert asked.seconds is not None
    assert lag({}, name=primary.address) == ReplicaLag(follows=False)
    with member.client() as client:
        client.admin.command("fsync", lock=True)
        try:
            # Each second something is written; the primary is told how far the member has come.
            wait_for(lambda: (lag({}).seconds or 0) >= 3, what="the member is behind")
        finally:
            client.admin.command("fsyncUnlock")
    member.kill()
    try:
        wait_for(lambda: lag({}) == ReplicaLag(follows=False), what="the set knows that the member is gone")
    finally:
        member.start()
    wait_for_all(servers)


def test_a_history_that_lost_what_was_captured_begins_a_new_chain(
    streaming: Streaming, servers: MongoReplicaSet
) -> None:
    """A member that was away is made the set by force; what the majority had meanwhile is gone. The last test here."""
    write(servers, "seen by all")
    away = servers.secondaries[0]
    wait_until_known(streaming, "seen by all")
    away.stop()
    write(servers, "seen by two")
    wait_until_known(streaming, "seen by two")
    for node in servers.nodes:
        if node is not away:
            node.kill()
    away.start()
    with away.client() as client:
        wait_for(lambda: hello(away).get("secondary"), what="the member is up")
        streaming.uri = away.uri
        # It does not say yet whether it is only behind: that is no proof of anything.
        with pytest.raises(MongoNoSuitableMember, match=r"behind"):
            streaming.capture()
        assert streaming.spool.entries() == []
        configuration = client.admin.command("replSetGetConfig")["config"]
        configuration["members"] = [one for one in configuration["members"] if one["host"] == away.address]
        configuration["version"] += 1
        client.admin.command("replSetReconfig", configuration, force=True)
        wait_for(lambda: hello(away).get("isWritablePrimary"), what="it is primary")
        client.shop.orders.insert_one({"_id": "of the new history"})

        def broken() -> bool:
            with contextlib.suppress(MongoNoSuitableMember):
                streaming.run()
            return len(streaming.lineages()) == 2

        wait_for(broken, what="the break")
        assert next(one for one in streaming.events if one.what == "break").facts["cause"] == "rolled-back"
        wait_until_known(streaming, "seen by two")
        streaming.assert_whole(client, streaming.lineages()[-1])
        client.shop.orders.insert_one({"_id": "goes on"})
        wait_until_known(streaming, "goes on")
        assert len(streaming.lineages()) == 2
