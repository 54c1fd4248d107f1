# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of one region take over a replica set: by election, by force when a majority is gone, and back again."""

from __future__ import annotations

import pathlib
import threading
import typing as t

import pytest
from pymongo.errors import PyMongoError

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoFenceNotProven,
    MongoMemberRefused,
    MongoNoSuitableMember,
    MongoPromotionRefused,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.connection import MongoConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.fence import MongoFence, fence_member
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.promotion import (
    MongoPromotion,
    promote_members,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.set_member import (
    WantedMember,
    have_member,
)
from sandbox.mongod import hello
from sandbox.mongodb import MongoReplicaSet
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow
PASSWORD = "of-this-test-only"


@pytest.fixture(scope="module")
def servers() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(members=3, password=PASSWORD) as started:
        # A member lets in whom it knows: the user has arrived where this has.
        with started.client(w=3, wtimeoutMS=60000) as client:
            client.shop.begun.insert_one({"_id": 0})
        yield started


def connection(servers: MongoReplicaSet) -> MongoConnection:
    return MongoConnection.from_description({"uri": servers.uri, "server_selection_timeout": 20})


class Writer:
    """Inserts numbered documents that a majority has, and knows which were acknowledged."""

    def __init__(self, servers: MongoReplicaSet) -> None:
        self.acknowledged: list[int] = []
        self._ended = threading.Event()
        self._servers = servers
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        with self._servers.client(
            w="majority", wtimeoutMS=20000, retryWrites=False, serverSelectionTimeoutMS=5000
        ) as client:
            number = 0
            while not self._ended.is_set():
                number += 1
                try:
                    client.shop.ledger.insert_one({"_id": number})
                except PyMongoError:
                    continue
                self.acknowledged.append(number)

    def stop(self) -> list[int]:
        self._ended.set()
        self._thread.join()
        return self.acknowledged


def test_a_region_takes_over_and_gives_back(servers: MongoReplicaSet) -> None:
    home, other = servers.nodes[:2], servers.nodes[2]
    assert servers.primary is servers.nodes[0]

    # With a majority it is an election, under load, and nothing acknowledged is lost.
    writer = Writer(servers)
    wait_for(lambda: len(writer.acknowledged) > 50, what="writes")
    here = MongoPromotion(members=(other.address,), timeout=40)
    looked = promote_members(connection(servers), here, host=Host(), check=True)
    assert (looked.changed, looked.way, looked.primary) == (True, "election", servers.nodes[0].address)
    made = promote_members(connection(servers), here, host=Host())
    assert (made.changed, made.way, made.primary, made.removed) == (True, "election", other.address, ())
    reached = len(writer.acknowledged)
    wait_for(lambda: len(writer.acknowledged) > reached + 20, what="writes to the new primary")
    acknowledged = writer.stop()
    with servers.client() as client:
        assert {one["_id"] for one in client.shop.ledger.find()} >= set(acknowledged)
    again = promote_members(connection(servers), here, host=Host())
    assert (again.changed, again.way) == (False, "nothing")

    # And back.
    back = MongoPromotion(members=tuple(node.address for node in home), timeout=40)
    assert promote_members(connection(servers), back, host=Host()).primary in {node.address for node in home}

    # The other region's member is there for disasters only: it never becomes primary by itself.
    standby = WantedMember(host=other.address, priority=0, votes=1, hidden=True)
    changed = have_member(connection(servers), standby, timeout=40, host=Host())
    assert changed.changed
    assert changed.before == {"priority": 3.0, "votes": 1, "hidden": False}
    assert not have_member(connection(servers), standby, timeout=40, host=Host()).changed

    # The home region is gone.
    for node in home:
        node.kill()
    with pytest.raises(MongoPromotionRefused, match="may still elect a primary"):
        promote_members(connection(servers), here, host=Host())
    assert hello(other).get("isWritablePrimary") is False
    fenced = MongoPromotion(members=(other.address,), fenced=tuple(node.address for node in home), timeout=40)
    forced = promote_members(connection(servers), fenced, host=Host())
    assert (forced.way, forced.primary) == ("force", other.address)
    assert set(forced.removed) == {node.address for node in home}
    assert forced.newest is not None
    assert not promote_members(connection(servers), fenced, host=Host()).changed
    with other.client() as client:
        assert {one["_id"] for one in client.shop.ledger.find()} >= set(acknowledged)
        client.shop.ledger.insert_one({"_id": "of the other region"})

    # What comes back hears of the newer configuration, and is no member of it until somebody adds it.
    for node in home:
        node.start()
    wait_for(
        lambda: all(hello(node).get("setName") is None or hello(node).get("info") for node in home), what="removal"
    )
    assert not any(hello(node).get("isWritablePrimary") for node in home)
    alone = MongoConnection.from_description({"uri": other.uri})
    for node in home:
        joined = have_member(alone, WantedMember(host=node.address, priority=1), timeout=60, host=Host())
        assert (joined.changed, joined.before, joined.role) == (True, None, "SECONDARY")
    promote_members(connection(servers), back, host=Host())
    with servers.client(readPreference="primary") as client:
        assert client.shop.ledger.find_one({"_id": "of the other region"})


def test_what_can_not_be_is_refused_by_name(servers: MongoReplicaSet) -> None:
    wanted = connection(servers)
    with pytest.raises(MongoNoSuitableMember, match="has no member"):
        promote_members(wanted, MongoPromotion(members=(servers.nodes[0].address, "nobody:1")), host=Host())
    with pytest.raises(MongoPromotionRefused, match="Nobody is named"):
        promote_members(wanted, MongoPromotion(members=()), host=Host())
    for bad, why in (
        (WantedMember(host="a", votes=2), "0 or 1 votes"),
        (WantedMember(host="a", priority=2000), "a priority is"),
        (WantedMember(host="a", priority=1, votes=0), "without a vote"),
        (WantedMember(host="a", priority=1, hidden=True), "a hidden member"),
    ):
        with pytest.raises(MongoMemberRefused, match=why):
            have_member(wanted, bad, timeout=1, host=Host())


def test_a_member_is_fenced_when_nothing_answers_any_more(servers: MongoReplicaSet, tmp_path: pathlib.Path) -> None:
    node = servers.secondaries[0]
    with pytest.raises(MongoFenceNotProven, match="Nothing is described"):
        fence_member(MongoFence(member=node.address), host=Host())
    lame = {"stop_command": "true", "start_command": "true"}
    with pytest.raises(MongoFenceNotProven, match="still answers"):
        fence_member(MongoFence(member=node.address, service_control=lame, timeout=1), host=Host())
    stopper = tmp_path / "stop"
    stopper.write_text(f"#!/bin/sh\nkill {process_of(node)}\n")
    control = {"stop_command": f"sh {stopper}", "start_command": "true"}
    fenced = fence_member(MongoFence(member=node.address, service_control=control, timeout=30), host=Host())
    assert (fenced.changed, fenced.was_running, fenced.masked) == (True, True, False)
    assert "No unit is described" in fenced.warnings[0]
    again = fence_member(MongoFence(member=node.address, service_control=control, timeout=30), host=Host())
    assert (again.changed, again.was_running) == (False, False)


def process_of(node: t.Any) -> int:
    with node.client() as client:
        return int(client.admin.command("serverStatus")["pid"])
