# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oplog of one server as a chain of slices: nothing is missing and nothing is new, wherever it is cut or killed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import typing as t
import uuid
from pathlib import Path

import bson
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoNoOplog,
    MongoOplogNotReplayable,
    MongoSetRenamed,
    StorageUnreachable,
    StreamSpoolFull,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog import Captured, OplogCapture
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_marks import mark_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.timestamps import (
    Position,
    position_text,
)
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.streaming import Streaming, first_position, last_position, oplog
from tests.support.children import child, line_of
from tests.support.waiting import wait_for

# Four operations to an entry make large transactions of small ones; test commands let a transaction be prepared, which
# only shards do, and a capped collection be emptied, which can't be replayed.
PARAMETERS = {
    "maxNumberOfTransactionOperationsInSingleOplogEntry": "4",
    "enableTestCommands": "1",
    "periodicNoopIntervalSecs": "1",
}


@pytest.fixture(scope="module")
def server() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters=PARAMETERS) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: MongoReplicaSet) -> t.Iterator[t.Any]:
    with server.client() as one:
        one.shop.orders.insert_one({"_id": "first of all"})
        yield one


@pytest.fixture
def orders(client: t.Any) -> t.Any:
    """An empty collection of this test alone."""
    name = f"orders_{uuid.uuid4().hex[:8]}"
    return client.shop.create_collection(name)


@pytest.fixture
def streaming(server: MongoReplicaSet, tmp_path: Path) -> Streaming:
    return Streaming(uri=server.uri, folder=tmp_path)


def transaction(client: t.Any, orders: t.Any, ids: t.Iterable[t.Any]) -> None:
    with client.start_session() as session, session.start_transaction():
        for one in ids:
            orders.insert_one({"_id": one}, session=session)


def history(client: t.Any, orders: t.Any) -> list[t.Any]:
    """Single writes and transactions of one entry and of several; returns what was written."""
    orders.insert_one({"_id": "alone"})
    transaction(client, orders, ["small 1", "small 2"])
    large = [f"large {number}" for number in range(18)]
    transaction(client, orders, large)
    orders.update_one({"_id": "alone"}, {"$set": {"x": 1}})
    orders.insert_one({"_id": "last"})
    return ["alone", "small 1", "small 2", *large, "last"]


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 7, 1000])
def test_a_history_cut_anywhere_is_the_oplog_itself(
    entries: int, streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    streaming.options = {"slice_entries": entries}
    streaming.run()
    written = history(client, orders)
    streaming.run()
    streaming.assert_whole(client)
    assert set(streaming.captured_documents(f"shop.{orders.name}")) == set(written)
    cut = [one for one in streaming.slices() if one.open]
    assert bool(cut) is (entries < 5), "small slices are cut inside of the large transaction, and only these"
    assert all(one.open_first is not None and one.needs_from <= one.first.position for one in cut)
    assert streaming.events == []


def test_under_load_nothing_is_missing(
    streaming: Streaming, client: t.Any, orders: t.Any, server: MongoReplicaSet
) -> None:
    streaming.options = {"slice_entries": 20}
    streaming.run()
    acknowledged: list[t.Any] = []
    stop = threading.Event()
    problems: list[Exception] = []

    def write(thread: int) -> None:
        try:
            with server.client() as own:
                collection, number = own.shop[orders.name], 0
                while not stop.is_set():
                    number += 1
                    ids = [f"{thread} {number} {part}" for part in range(1 if number % 3 else 11)]
                    if len(ids) == 1:
                        collection.insert_one({"_id": ids[0]})
                    else:
                        transaction(own, collection, ids)
                    acknowledged.extend(ids)
        except Exception as error:  # noqa: BLE001 it fails the test
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    before = 0
    for _round in range(6):
        wait_for(lambda before=before: len(acknowledged) > before + 60 or problems, what="more writes")
        before = len(acknowledged)
        known = list(acknowledged)
        streaming.run()
        # A single member is its own majority: what was acknowledged before the capture began is in it.
        assert set(known) <= set(streaming.captured_documents(f"shop.{orders.name}"))
    stop.set()
    for thread in threads:
        thread.join(30)
    assert problems == []
    streaming.run()
    assert set(streaming.captured_documents(f"shop.{orders.name}")) == set(acknowledged)
    streaming.assert_whole(client)
    assert streaming.events == []


def prepare(client: t.Any, orders: t.Any, ids: t.Sequence[t.Any]) -> tuple[t.Any, t.Any]:
    """A transaction that waits for its decision; returns its session and the time of its preparation."""
    session = client.start_session()
    session.start_transaction()
    for one in ids:
        orders.insert_one({"_id": one}, session=session)
    reply = client.admin.command("prepareTransaction", 1, writeConcern={"w": "majority"}, session=session)
    return session, reply["prepareTimestamp"]


def test_a_transaction_that_stays_open_is_known_by_every_slice(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    streaming.options = {"slice_entries": 3}
    streaming.run()
    session, prepared = prepare(client, orders, [f"prepared {number}" for number in range(9)])
    try:
        orders.insert_many({"_id": number} for number in range(7))
        streaming.run()
        (open_now,) = streaming.slices()[-1].open
        assert open_now.prepared
        assert open_now.first <= (prepared.time, prepared.inc)
        health = streaming.source().inspect().facts["open_transactions"]
        assert (health["count"], health["first"]) == (1, position_text(open_now.first))
        # A chain that begins now, on a host that knows nothing, begins where the transaction does.
        other = Streaming(uri=streaming.uri, folder=streaming.folder / "other")
        other.run()
        first = other.slices()[0]
        assert first.first.position == open_now.first
        assert first.bases_from > open_now.first
        assert other.slices()[-1].open == (open_now,)
    finally:
        client.admin.command(
            {"commitTransaction": 1, "commitTimestamp": prepared, "writeConcern": {"w": "majority"}}, session=session
        )
        session.end_session()
    orders.insert_one({"_id": "after"})
    streaming.run()
    other.run()
    for one in (streaming, other):
        assert one.slices()[-1].open == ()
        one.assert_whole(client)
        assert {f"prepared {number}" for number in range(9)} <= set(one.captured_documents(f"shop.{orders.name}"))
    commit = next(one for one in streaming.slices() if one.needs_from == open_now.first and not one.open)
    assert commit.needs_from < commit.first.position


CAPTURE = """
import sys
from pathlib import Path
from tests.integration.mongodb.streaming import Streaming
streaming = Streaming(uri=sys.argv[1], folder=Path(sys.argv[2]), options={"slice_entries": 2})
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import spool
put = spool.Spool.put
def telling(self, name, write, *, note=None):
    def slowly(file):
        write(file)
        print(name, flush=True)
        sys.stdin.readline()
    put(self, name, slowly, note=note)
spool.Spool.put = telling
streaming.capture(knows=False)
"""


@pytest.mark.parametrize("slices", [0, 1, 4])
def test_killed_in_the_middle_it_goes_on_as_if_nothing_had_been(
    slices: int, streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    """The child stops before each slice gets its name, which is where the kill hits it."""
    streaming.run()
    written = history(client, orders)
    with child(CAPTURE, streaming.uri, str(streaming.folder)) as process:
        assert process.stdin is not None
        for _slice in range(slices):
            line_of(process)
            process.stdin.write("\n")
            process.stdin.flush()
        line_of(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(streaming.spool.entries()) == slices
    orders.insert_one({"_id": "later"})
    # No repository answers, so only the spool and the note on the host say where it stopped.
    streaming.capture(knows=False)
    streaming.ship()
    streaming.run()
    streaming.assert_whole(client)
    assert {*written, "later"} <= set(streaming.captured_documents(f"shop.{orders.name}"))
    assert streaming.events == []


def test_a_host_that_lost_its_notes_goes_on_from_the_records(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    streaming.run()
    orders.insert_one({"_id": 1})
    streaming.run()
    elsewhere = Streaming(uri=streaming.uri, folder=streaming.folder / "elsewhere", shipped=streaming.shipped)
    orders.insert_one({"_id": 2})
    elsewhere.run()
    assert len(elsewhere.lineages()) == 1
    elsewhere.assert_whole(client)
    assert elsewhere.captured_documents(f"shop.{orders.name}") == [1, 2]


def test_slices_that_got_lost_are_captured_again(streaming: Streaming, client: t.Any, orders: t.Any) -> None:
    """In the spool, before anybody had them: the note on the host says more than there is."""
    streaming.run()
    orders.insert_one({"_id": 1})
    streaming.capture()
    streaming.spool.remove([one.name for one in streaming.spool.entries()])
    orders.insert_one({"_id": 2})
    streaming.run()
    streaming.assert_whole(client)
    assert streaming.captured_documents(f"shop.{orders.name}") == [1, 2]


def test_a_spool_that_was_lost_with_all_of_a_chain_begins_a_new_one(streaming: Streaming, client: t.Any) -> None:
    streaming.capture()
    streaming.spool.remove([one.name for one in streaming.spool.entries()])
    streaming.run()
    assert [one.facts["cause"] for one in streaming.events if one.what == "break"] == ["slices-lost"]
    assert streaming.run().events == ()
    streaming.assert_whole(client)


def test_a_hole_between_slices_is_mended_while_the_oplog_has_it(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    streaming.options = {"slice_entries": 1}
    streaming.run()
    orders.insert_many({"_id": number} for number in range(6))
    streaming.run()
    lost = [one for one in streaming.shipped if one.facts in streaming.slices()[3:5]]
    streaming.shipped = [one for one in streaming.shipped if one not in lost]
    streaming.run()
    assert any("was nowhere any more" in text for text in streaming.warnings)
    streaming.assert_whole(client)
    assert sorted(streaming.captured_documents(f"shop.{orders.name}")) == list(range(6))
    assert streaming.events == []


def test_while_records_are_missing_nothing_is_taken_for_lost(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    """The one repository that has the slices is down, and the other one answers that it has none of them."""
    streaming.options = {"slice_entries": 1}
    streaming.run()
    orders.insert_many([{"_id": 1}, {"_id": 2}])
    streaming.run()
    lineage, kept_back = streaming.lineages()[0], streaming.shipped
    for answered in ([], kept_back[:2]):
        streaming.shipped = list(answered)
        partial = dataclasses.replace(streaming.stream(lineage), problems=(StorageUnreachable("a is down."),))
        orders.insert_one({"_id": f"meanwhile {len(answered)}"})
        found = streaming.source().capture(
            spool=streaming.spool, stored=partial, progress=Progress(clock=SystemClock())
        )
        assert found.events == ()
        assert found.warnings == ()
    streaming.shipped = list(kept_back)
    streaming.ship()
    streaming.assert_whole(client)
    wanted = {1, 2, "meanwhile 0", "meanwhile 2"}
    assert set(streaming.captured_documents(f"shop.{orders.name}")) == wanted


def test_a_full_spool_stops_the_capture_and_loses_nothing(streaming: Streaming, client: t.Any, orders: t.Any) -> None:
    streaming.options = {"slice_entries": 5}
    streaming.run()
    for number in range(10):
        orders.insert_many({"_id": number * 100 + one, "pad": "x" * 1000} for one in range(5))
    streaming.budget = 20_000
    with pytest.raises(StreamSpoolFull):
        streaming.capture()
    waiting = streaming.spool.entries()
    assert 0 < sum(one.size for one in waiting) <= 20_000
    for _turn in range(10):
        streaming.ship()
        try:
            streaming.capture()
            break
        except StreamSpoolFull:
            continue
    streaming.ship()
    streaming.assert_whole(client)
    assert len(streaming.captured_documents(f"shop.{orders.name}")) == 50


def test_while_nobody_writes_a_slice_comes_once_a_period(streaming: Streaming, client: t.Any) -> None:
    """This server notes every second that it lives."""
    streaming.options = {"idle_seconds": 2}
    streaming.run()
    begun = streaming.slices()[-1].last.position

    def newest() -> t.Any:
        return mark_of(oplog(client, begun, (2**32 - 1, 0))[-1]).position

    wait_for(lambda: newest()[0] >= begun[0] + 1, what="two notes")
    captures = 0
    while newest()[0] < begun[0] + 5:
        streaming.run()
        captures += 1
    idle = [one for one in streaming.slices() if one.idle]
    assert captures > 3
    assert len(idle) <= 3
    assert all(one.last.position[0] - one.first.position[0] >= 2 for one in idle)
    streaming.run()
    assert newest()[0] - streaming.slices()[-1].last.position[0] <= 3
    streaming.assert_whole(client)


def test_a_label_is_captured_at_once(streaming: Streaming, client: t.Any) -> None:
    streaming.options = {"idle_seconds": 3600}
    streaming.run()
    client.admin.command({"appendOplogNote": 1, "data": {"lifeboat_label": "x"}, "writeConcern": {"w": "majority"}})
    streaming.run()
    assert bson.decode(streaming.joined()[-1])["o"] == {"lifeboat_label": "x"}


@contextlib.contextmanager
def compatibility(client: t.Any, version: str) -> t.Iterator[None]:
    client.admin.command("setFeatureCompatibilityVersion", version)
    try:
        yield
    finally:
        client.admin.command("setFeatureCompatibilityVersion", "6.0")


def test_a_change_of_the_feature_compatibility_version_begins_a_new_chain(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    streaming.run()
    orders.insert_one({"_id": "before"})
    with compatibility(client, "5.0"):
        orders.insert_one({"_id": "after"})
        streaming.run()
        first, last = streaming.lineages()
        assert {one.what for one in streaming.events} == {"break", "full-backup-needed"}
        event = next(one for one in streaming.events if one.what == "break")
        assert event.facts["cause"] == "feature-compatibility"
        assert (event.facts["before"], event.facts["lineage"]) == (first, last)
        assert {one.feature_compatibility for one in streaming.slices(first)} == {"6.0"}
        assert {one.feature_compatibility for one in streaming.slices(last)} == {"5.0"}
        ids = streaming.captured_documents(f"shop.{orders.name}")
        assert ids == ["before", "after"]
        for lineage in (first, last):
            streaming.assert_whole(client, lineage)
        assert streaming.slices(first)[-1].last.position < streaming.slices(last)[0].bases_from
        # It is told once.
        orders.insert_one({"_id": "later"})
        assert streaming.run().events == ()
        assert streaming.lineages() == [first, last]
    streaming.run()
    assert len(streaming.lineages()) == 3


def test_what_can_not_be_replayed_ends_a_chain_and_an_open_transaction_reaches_back_behind_it(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    # In a database of its own: emptying it needs a lock that the transaction has on its own.
    capped = client.elsewhere.create_collection(f"capped_{orders.name}", capped=True, size=100_000)
    streaming.run()
    session, prepared = prepare(client, orders, ["prepared"])
    try:
        client.elsewhere.command({"emptycapped": capped.name})
        orders.insert_one({"_id": "after"})
        streaming.run()
    finally:
        client.admin.command(
            {"commitTransaction": 1, "commitTimestamp": prepared, "writeConcern": {"w": "majority"}}, session=session
        )
        session.end_session()
    streaming.run()
    first, last = streaming.lineages()
    begun = streaming.slices(last)[0]
    assert begun.beginning is not None
    assert begun.beginning.cause == "not-replayable"
    assert "emptied" in begun.beginning.reason
    assert begun.beginning.ended == streaming.slices(first)[-1].last.position
    # The new chain reads again from where the transaction began, for bases from the obstacle on.
    assert begun.first.position == (prepared.time, prepared.inc)
    assert [one.position for one in begun.objections] == [begun.bases_from]
    for lineage in (first, last):
        streaming.assert_whole(client, lineage)


def test_of_several_obstacles_in_one_capture_one_chain_is_left(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    capped = client.shop.create_collection(f"capped_{orders.name}", capped=True, size=100_000)
    streaming.run()
    for number in range(4):
        client.shop.command({"emptycapped": capped.name})
        orders.insert_one({"_id": number})
    streaming.run()
    assert len(streaming.lineages()) == 2
    assert [one.what for one in streaming.events] == ["break", "full-backup-needed"]
    assert (
        streaming.slices(streaming.lineages()[-1])[0].bases_from
        == streaming.slices(streaming.lineages()[-1])[0].first.position
    )


def test_a_break_that_nobody_could_tell_is_told_by_the_next_run(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    """The slices are in the spool, but their note and their event died with the run."""
    capped = client.shop.create_collection(f"capped_{orders.name}", capped=True, size=100_000)
    streaming.run()
    note = next((streaming.folder / "state" / "mongodb").iterdir())
    before = note.read_bytes()
    client.shop.command({"emptycapped": capped.name})
    streaming.capture()
    assert len(streaming.events) == 2
    note.write_bytes(before)
    assert [one.what for one in streaming.capture().events] == ["break", "full-backup-needed"]
    assert streaming.capture().events == ()


def test_what_a_look_finds_is_for_people_and_monitoring(streaming: Streaming, client: t.Any, orders: t.Any) -> None:
    streaming.options = {"oplog_hours_wanted": 0.001}
    found = streaming.source().inspect()
    assert (found.lineage, found.facts["captured"], found.facts["lag_seconds"]) == (None, None, None)
    streaming.run()
    orders.insert_one({"_id": 1})
    found = streaming.source().inspect()
    assert found.lineage == streaming.lineages()[0]
    facts = found.facts
    assert facts["captured"] == position_text(streaming.slices()[-1].last.position)
    assert facts["lag_seconds"] < 60
    assert facts["oplog"]["level"] == "ok"
    assert facts["oplog"]["hours_left"] > 0
    assert facts["oplog"]["limit_bytes"] > 900_000_000
    assert facts["open_transactions"] == {"count": 0, "first": None, "oldest_seconds": None}
    assert facts["version"].startswith("6.0")
    assert found.warnings == ()
    orders.insert_many({"_id": f"pad {number}", "pad": "x" * 100_000} for number in range(50))
    streaming.options = {"oplog_hours_wanted": 8784}
    hurried = streaming.source().inspect()
    assert hurried.facts["oplog"]["hours_left"] < facts["oplog"]["hours_left"]
    assert hurried.facts["oplog"]["level"] != "ok"
    assert "has what is to be captured next for" in hurried.warnings[0]


def kept(client: t.Any) -> float:
    status = client.admin.command("serverStatus", oplogTruncation=1)
    return float(status["oplogTruncation"].get("oplogMinRetentionHours") or 0)


def test_hours_are_kept_on_request_and_put_back_after_a_kill(
    streaming: Streaming, client: t.Any, orders: t.Any
) -> None:
    client.admin.command({"replSetResizeOplog": 1, "minRetentionHours": 2})
    try:
        streaming.options = {"keep_oplog_hours": 36}
        streaming.run()
        assert kept(client) == 36
        orders.insert_one({"_id": 1})
        streaming.run()
        assert streaming.source().inspect().facts["oplog"]["minimum_hours"] == 36
        # Taken out, and the run before died: the note of what was there is still on the host.
        streaming.options = {}
        found = streaming.run()
        assert kept(client) == 2
        assert any("keeps its oplog 2 hours again" in text for text in found.warnings)
        assert streaming.run().warnings == ()
        # What somebody else has set since is left as it is.
        streaming.options = {"keep_oplog_hours": 36}
        streaming.run()
        client.admin.command({"replSetResizeOplog": 1, "minRetentionHours": 50})
        streaming.options = {}
        streaming.run()
        assert kept(client) == 50
        # More than is asked for is not made less.
        streaming.options = {"keep_oplog_hours": 36}
        streaming.run()
        assert kept(client) == 50
    finally:
        client.admin.command({"replSetResizeOplog": 1, "minRetentionHours": 0})


def test_an_oplog_that_lost_what_comes_next_begins_a_new_chain(tmp_path: Path) -> None:
    with MongoReplicaSet(oplog_megabytes=1, checkpoint_seconds=1) as small, small.client() as client:
        streaming = Streaming(uri=small.uri, folder=tmp_path)
        client.shop.orders.insert_one({"_id": "before"})
        streaming.run()
        captured = streaming.slices()[-1].last.position

        def overwritten() -> bool:
            client.shop.orders.insert_many({"pad": "x" * 10_000} for _number in range(100))
            return first_position(client) > captured

        wait_for(overwritten, what="the oplog has lost the captured entry")
        client.shop.orders.insert_one({"_id": "after"})
        assert streaming.source().inspect().facts["oplog"]["hours_left"] == 0
        streaming.run()
        first, last = streaming.lineages()
        event = next(one for one in streaming.events if one.what == "break")
        assert event.facts["cause"] == "rolled-over"
        assert event.facts["ended"] == position_text(captured)
        assert streaming.slices(last)[0].bases_from > captured
        streaming.assert_whole(client, last)
        client.shop.orders.insert_one({"_id": "later"})
        assert streaming.run().events == ()
        assert streaming.lineages() == [first, last]


def test_another_set_of_the_same_name_begins_a_new_chain_and_one_of_another_name_is_refused(
    streaming: Streaming, client: t.Any
) -> None:
    streaming.run()
    with MongoReplicaSet() as again, again.client() as other:
        other.shop.orders.insert_one({"_id": "of the new set"})
        streaming.uri = again.uri
        streaming.run()
        assert len(streaming.lineages()) == 2
        assert next(one for one in streaming.events if one.what == "break").facts["cause"] == "set-initiated-again"
        streaming.assert_whole(other, streaming.lineages()[-1])
        assert streaming.run().events == ()
    with MongoReplicaSet(name="rs1") as foreign:
        streaming.uri = foreign.uri
        with pytest.raises(MongoSetRenamed, match=r"belongs to the replica set rs1; this stream is that of rs0"):
            streaming.source().inspect()
        with pytest.raises(MongoSetRenamed):
            streaming.capture()
        with pytest.raises(MongoSetRenamed):
            streaming.capture(knows=False)
    assert streaming.spool.entries() == []


def test_a_standalone_server_is_refused(standalone: MongoServer, tmp_path: Path) -> None:
    streaming = Streaming(uri=standalone.uri, folder=tmp_path)
    with pytest.raises(MongoNoOplog):
        streaming.source().inspect()


def test_an_account_that_may_not_is_told_which_role_it_lacks(guarded: MongoReplicaSet, tmp_path: Path) -> None:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoNotAuthorised

    guarded.create_user("capture", "secret", ["backup", "clusterMonitor"])
    guarded.create_user("reader", "secret", ["readAnyDatabase"])
    streaming = Streaming(uri=guarded.uri_of("capture", "secret"), folder=tmp_path)
    streaming.run()
    with guarded.client() as client:
        client.watched.orders.insert_one({"_id": "guarded"})
        streaming.run()
        streaming.assert_whole(client)
    # Setting how long the oplog is kept needs more; the capture does not depend on it.
    streaming.options = {"keep_oplog_hours": 36}
    assert any("can't be set" in text for text in streaming.run().warnings)
    guarded.create_user("keeper", "secret", ["backup", "clusterMonitor", "hostManager"])
    streaming.uri = guarded.uri_of("keeper", "secret")
    assert streaming.run().warnings == ()
    with guarded.client() as client:
        assert kept(client) == 36
    streaming.options = {}
    assert "keeps its oplog 0 hours again" in streaming.run().warnings[0]
    streaming.uri = guarded.uri_of("reader", "secret")
    with pytest.raises(MongoNotAuthorised):
        streaming.source().inspect()


def test_a_dump_that_begins_inside_of_a_transaction_is_refused_at_once(client: t.Any, orders: t.Any) -> None:
    """Else its end would be in the archive and its beginning would not, and no restore would end well."""
    before = last_position(client)
    transaction(client, orders, range(18))
    inside = [mark_of(raw).position for raw in oplog(client, before, last_position(client))]

    def capture(start: Position) -> Captured:
        return OplogCapture(
            client=client, start=start, clock=SystemClock(), users_and_roles=True, databases_with_views=()
        ).read(lambda _documents, _count: None)

    parts = [position for position in inside if "applyOps" in bson.decode(oplog(client, position, position)[0])["o"]]
    assert len(parts) == 5
    assert capture(parts[0]).start == parts[0]
    for position in parts[1:]:
        with pytest.raises(MongoOplogNotReplayable, match=r"whose beginning was not captured"):
            capture(position)


MEASURED = """
import sys
from pathlib import Path
from tests.integration.mongodb.streaming import Streaming
streaming = Streaming(uri=sys.argv[1], folder=Path(sys.argv[2]))
streaming.capture(knows=False)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_slice(streaming: Streaming, client: t.Any, orders: t.Any) -> None:
    """160 MB in one slice of a size that allows it."""
    streaming.capture()
    with child(MEASURED, streaming.uri, str(streaming.folder)) as process:
        small = int(line_of(process)) * 1024
    for _batch in range(20):
        orders.insert_many([{"pad": "x" * 1_000_000} for _one in range(8)])
    streaming.options = {"slice_mib": 1024}
    with child(MEASURED.replace("folder=Path(sys.argv[2])", 'folder=Path(sys.argv[2]), options={"slice_mib": 1024}'),
               streaming.uri, str(streaming.folder)) as process:  # fmt: skip
        large = int(line_of(process)) * 1024
    assert max(one.size for one in streaming.spool.entries()) > 150_000_000
    # Answers of the server, of at most 16 MiB each: as it came, without its frame, the next one.
    assert large - small < 100_000_000
    streaming.ship()
    streaming.assert_whole(client)


def test_a_slice_is_read_by_stock_tools(streaming: Streaming, orders: t.Any) -> None:
    """It is an oplog.bson: documents one after the other."""
    streaming.run()
    orders.insert_one({"_id": 1})
    streaming.run()
    for one in streaming.shipped:
        assert len(bson.decode_all(one.data)) == one.facts.entries
