# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump is of one moment, or it is refused or fails by name; nothing changes behind its back."""

from __future__ import annotations

import datetime
import io
import os
import signal
import subprocess
import typing as t

import bson
import pymongo
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoCollectionChanged,
    MongoConsistencyUnavailable,
    MongoNotAuthorised,
    MongoOplogNotReplayable,
    MongoOplogRolledOver,
    MongoSnapshotTooOld,
    MongoSnapshotWindowTooShort,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import dump_run, native_dump, oplog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_reader import (
    ArchiveDocuments,
    ArchiveReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.history_window import (
    noted_history,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Scope, list_namespaces
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.native_dump import (
    DumpResult,
    NativeDump,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog import (
    OplogCapture,
    majority_position,
    start_position,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.raw_reader import read_raw
from sandbox.mongodb import MongoReplicaSet, MongoServer
from tests.integration.mongodb.load import TOTAL, open_accounts, total_in, transfers
from tests.integration.mongodb.rig import SECRET, Source
from tests.support import children
from tests.support.waiting import wait_for

# The whole promise is 20 of 20: LIFEBOAT_LOAD_RUNS=20.
RUNS = int(os.environ.get("LIFEBOAT_LOAD_RUNS", "3"))
SLOW: dict[str, t.Any] = {"expected_bytes_per_second": 0.001}


def native(
    client: t.Any,
    scope: Scope,
    *,
    mode: str = "snapshot",
    before_reading: t.Callable[[], object] = lambda: None,
    unsnapshotable: frozenset[str] = frozenset(),
) -> tuple[DumpResult, dict[tuple[str, str], list[dict[str, t.Any]]]]:
    """A native dump with something happening between its opening and its reading."""
    output = io.BytesIO()

    def happen() -> None:
        before_reading()

    result = NativeDump(
        client=client,
        scope=scope,
        mode=mode,
        parallel=2,
        server_version="6.0.5",
        unsnapshotable=unsnapshotable,
        clock=SystemClock(),
        journal=MemoryJournal(),
        before_reading=happen,
    ).write(output)
    output.seek(0)
    found: dict[tuple[str, str], list[dict[str, t.Any]]] = {}
    for block in ArchiveReader(output).blocks():
        if isinstance(block, ArchiveDocuments) and block.collection != "odd":  # no decoder takes these
            found.setdefault((block.database, block.collection), []).extend(bson.decode_all(block.documents))
    return result, found


@pytest.fixture
def one_node(replica_set: MongoReplicaSet) -> t.Iterator[t.Any]:
    """A client of the member alone, as dumps use it."""
    with replica_set.nodes[0].client() as one:
        yield one


# --- under load -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", range(RUNS))
def test_one_database_under_transactions_is_of_one_moment(
    source: Source, client: t.Any, database: t.Any, run: int
) -> None:
    open_accounts(database)
    with transfers(client, database, seed=run) as count:
        while count[0] < 10:
            pass
        before = count[0]
        dump = source.dump(database=database.name)
        assert count[0] > before, "no transfer happened during the dump, so it proves nothing"
    archive = dump.read()
    assert total_in(archive.documents, database.name) == TOTAL
    # Each transfer noted its amount in a third collection, in the same transaction.
    assert before <= len(archive.documents[database.name, "transfers"]) <= count[0]


def test_without_consistency_the_same_load_shows(source: Source, client: t.Any, database: t.Any) -> None:
    """The test above can fail: without a snapshot the money does not add up."""
    open_accounts(database)
    with transfers(client, database):
        totals = []
        for _attempt in range(10):
            totals.append(
                total_in(source.dump(database=database.name, consistency="none").read().documents, database.name)
            )
            if totals[-1] != TOTAL:
                return
    pytest.fail(f"the load is too weak to show an inconsistent dump: {totals}")


# --- snapshot ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_shows_nothing_later_and_none_shows_it(one_node: t.Any, database: t.Any) -> None:
    def change() -> None:
        database.orders.update_one({"_id": 1}, {"$set": {"state": "later"}})
        database.orders.insert_one({"_id": 2})

    scope = Scope(database=database.name, users_and_roles=False)
    seen = {}
    for mode in ("snapshot", "none"):
        database.orders.drop()
        database.orders.insert_one({"_id": 1, "state": "then"})
        _result, found = native(one_node, scope, mode=mode, before_reading=change)
        seen[mode] = found[database.name, "orders"]
    assert seen["snapshot"] == [{"_id": 1, "state": "then"}]
    assert seen["none"] == [{"_id": 1, "state": "later"}, {"_id": 2}]


def drop(database: t.Any) -> None:
    database.orders.drop()


def drop_and_make_anew(database: t.Any) -> None:
    database.orders.drop()
    database.orders.insert_one({"_id": 1})


def rename(database: t.Any) -> None:
    database.orders.rename("moved")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop, "orders was dropped"),
        (drop_and_make_anew, "orders .*made anew"),
        (rename, "orders was renamed to .*moved"),
    ],
)
def test_a_collection_that_changes_during_the_dump_fails_it(
    one_node: t.Any, database: t.Any, change: t.Callable[[t.Any], None], says: str
) -> None:
    database.orders.insert_many({"_id": number} for number in range(10))
    database.users.insert_one({"_id": 1})
    with pytest.raises(MongoCollectionChanged, match=says):
        native(one_node, Scope(database=database.name), before_reading=lambda: change(database))


@pytest.mark.parametrize(
    "left", ["the question whether an empty collection is still there", "the comparison at the end"]
)
def test_either_guard_notices_a_drop_alone(
    one_node: t.Any, database: t.Any, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if left == "the comparison at the end":
        monkeypatch.setattr(dump_run.DumpRun, "_believe_empty", lambda _self, _namespace: None)
    else:
        monkeypatch.setattr(native_dump, "differences", lambda _before, _after: ())
    database.orders.insert_one({"_id": 1})
    with pytest.raises(MongoCollectionChanged, match="orders was dropped"):
        native(one_node, Scope(database=database.name), before_reading=database.orders.drop)


def test_a_collection_dropped_while_it_is_read_fails_the_dump(source: Source, database: t.Any) -> None:
    # Larger than pipe and queue together: the readers are in the middle when the first bytes come out.
    for name in ("a", "b"):
        database[name].insert_many({"_id": number, "x": "y" * 100_000} for number in range(400))
    with pytest.raises(MongoCollectionChanged):
        source.dump(database=database.name, during=lambda: database.drop_collection("b"), parallel=1)
    assert not (source.folder / "dump.archive").exists()


def test_a_dropped_empty_collection_is_noticed_too(one_node: t.Any, database: t.Any) -> None:
    database.create_collection("nothing")
    with pytest.raises(MongoCollectionChanged, match="nothing was dropped"):
        native(one_node, Scope(database=database.name), before_reading=lambda: database.drop_collection("nothing"))


def test_a_collection_that_comes_later_does_not_disturb(one_node: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 1})
    result, found = native(
        one_node, Scope(database=database.name), before_reading=lambda: database.later.insert_one({"_id": 1})
    )
    assert result.came_later == (f"{database.name}.later",)
    assert (database.name, "later") not in found


def test_capped_collections_are_outside_the_snapshot_and_said_to_be(source: Source) -> None:
    dump = source.dump(database="kinds")
    assert dump.content["consistency"]["mode"] == "snapshot"
    assert dump.content["consistency"]["outside_snapshot"] == ["kinds.capped"]
    assert dump.content["databases"]["kinds"]["capped"]["documents"] == 100
    assert any("kinds.capped" in warning for warning in dump.warnings)


def test_history_that_is_gone_is_named(one_node: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 1, "n": 0})
    moment = majority_position(one_node)
    (orders,) = list_namespaces(one_node, scope=Scope(database=database.name))
    one_node.admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0})
    try:
        for number in range(20):
            database.orders.update_one({"_id": 1}, {"$set": {"n": number}})
        one_node.admin.command("appendOplogNote", data={"test": 1})

        def read_until_it_is_gone() -> None:
            for _attempt in range(100):
                list(read_raw(one_node, orders, at_cluster_time=moment))
                database.orders.update_one({"_id": 1}, {"$inc": {"n": 1}})

        with pytest.raises(MongoSnapshotTooOld, match="no longer has the history") as raised:
            read_until_it_is_gone()
    finally:
        one_node.admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 300})
    assert "raise_history_window" in raised.value.hint


# --- the history window -----------------------------------------------------------------------------------------------


def window(client: t.Any) -> int:
    reply = client.admin.command({"getParameter": 1, "minSnapshotHistoryWindowInSeconds": 1})
    return int(reply["minSnapshotHistoryWindowInSeconds"])


def test_a_window_that_is_too_short_is_refused_or_replaced_by_the_oplog(source: Source) -> None:
    with pytest.raises(MongoSnapshotWindowTooShort, match="keeps 300 seconds"):
        source.producer(database="kinds", **SLOW).inspect()
    assert source.producer(**SLOW).inspect().facts["consistency"] == "oplog"


def test_the_window_is_raised_for_the_run_only(source: Source, one_node: t.Any) -> None:
    seen: list[int] = []
    dump = source.dump(
        database="kinds",
        raise_history_window=True,
        expected_bytes_per_second=100,
        during=lambda: seen.append(window(one_node)),
    )
    assert dump.content["consistency"]["mode"] == "snapshot"
    assert seen[0] > 300
    assert window(one_node) == 300
    assert [file.name for file in (source.folder / "state" / "mongodb").iterdir()] == []


_RAISE_AND_DIE = f"""
import os, signal, sys
import pymongo
from {children.ENGINE}.core.journal import MemoryJournal
from {children.ENGINE}.core.state import StateDirectory
from {children.ENGINE}.mongodb.history_window import raised_history
uri, host, state = sys.argv[1:]
state = StateDirectory(path=state)
client = pymongo.MongoClient(uri)
with raised_history(client, host=host, before=300, seconds=9000, state=state, journal=MemoryJournal()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_window_left_over_by_a_killed_run_is_put_back(
    source: Source, one_node: t.Any, replica_set: MongoReplicaSet
) -> None:
    state = StateDirectory(path=str(source.folder / "state"))
    host = replica_set.nodes[0].address
    killed = subprocess.run(
        children.python(_RAISE_AND_DIE, replica_set.nodes[0].uri, host, state.path),
        env=children.environment(),
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert window(one_node) == 9000
    assert noted_history(state, host=host) == 300
    inspection = source.producer(database="kinds").inspect()
    assert inspection.facts["snapshot_history_seconds"] == 300
    dump = source.dump(database="kinds")
    assert window(one_node) == 300
    assert noted_history(state, host=host) is None
    assert any("A run that was killed" in warning for warning in dump.warnings)


def test_raising_needs_a_role_and_leaves_no_note(guarded: MongoReplicaSet, tmp_path: t.Any) -> None:
    guarded.create_user("plain", SECRET, ["backup", "clusterMonitor"])
    source = Source(uri=guarded.uri_of("plain", SECRET), folder=tmp_path / "dump")
    with pytest.raises(MongoNotAuthorised, match="lacks the role hostManager"):
        source.dump(database="shop", raise_history_window=True, **SLOW)
    assert list((source.folder / "state" / "mongodb").iterdir()) == []


# --- oplog ------------------------------------------------------------------------------------------------------------


def test_the_oplog_covers_what_happens_during_the_dump(one_node: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 1})
    result, found = native(
        one_node, Scope(), mode="oplog", before_reading=lambda: database.orders.insert_one({"_id": 2})
    )
    assert result.captured is not None
    entries = found["", "oplog"]
    assert len(entries) == result.captured.entries
    assert (entries[0]["ts"].time, entries[0]["ts"].inc) == result.captured.start
    assert (entries[-1]["ts"].time, entries[-1]["ts"].inc) == result.captured.end
    assert [entry["ts"] for entry in entries] == sorted(entry["ts"] for entry in entries)
    assert {"_id": 2} in [entry["o"] for entry in entries if entry["ns"] == f"{database.name}.orders"]


def test_an_open_transaction_moves_the_start_back(one_node: t.Any, client: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 0})
    # A transaction shows there once it is prepared or partly written, which takes a cluster or 16 MB; so what the
    # server would note is put there by hand, without a session (w=0), as the server demands.
    old = bson.Timestamp(majority_position(one_node)[0] - 5, 1)
    entry = {"_id": {"id": bson.Binary(b"0" * 16, 4), "uid": b"0" * 32}, "txnNum": bson.Int64(1), "state": "inProgress"}
    times = {name: {"ts": old, "t": bson.Int64(1)} for name in ("startOpTime", "lastWriteOpTime")}
    noted = client.config.get_collection("transactions", write_concern=pymongo.WriteConcern(w=0))
    noted.insert_one({**entry, **times, "lastWriteDate": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)})
    try:
        wait_for(lambda: start_position(one_node) == (old.time, old.inc))
    finally:
        noted.delete_one({"_id": entry["_id"]})
    wait_for(lambda: start_position(one_node) > (old.time, old.inc))


def capture(client: t.Any, start: tuple[int, int]) -> OplogCapture:
    return OplogCapture(
        client=client, start=start, clock=SystemClock(), users_and_roles=True, databases_with_views=frozenset()
    )


def test_an_oplog_without_the_start_is_a_gap(one_node: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MongoOplogRolledOver, match="no longer holds its entry 1000:1"):
        capture(one_node, (1000, 1)).read(lambda _documents, _count: None)
    # A position in between that no entry has is a gap as well.
    start = majority_position(one_node)
    with pytest.raises(MongoOplogRolledOver):
        capture(one_node, (start[0], start[1] + 1000)).read(lambda _documents, _count: None)


def test_a_dump_stops_as_soon_as_its_start_is_gone(
    source: Source, database: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oplog, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(native_dump, "start_position", lambda _client: (1000, 1))
    # Reading the oplog at the end would notice it, too; it must not come to that.
    monkeypatch.setattr(oplog.OplogCapture, "read", lambda _self, _emit: pytest.fail("it dumped on to the end"))
    database.orders.insert_many({"_id": number, "x": "y" * 100_000} for number in range(500))
    with pytest.raises(MongoOplogRolledOver, match="1000:1"):
        source.dump(consistency="oplog")


def test_a_rename_during_the_capture_is_refused(one_node: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 1})
    with pytest.raises(MongoOplogNotReplayable, match="a collection was renamed"):
        native(one_node, Scope(), mode="oplog", before_reading=lambda: database.orders.rename("moved"))


def test_the_first_view_of_a_database_during_the_capture_is_refused(one_node: t.Any, database: t.Any) -> None:
    database.orders.insert_one({"_id": 1})
    with pytest.raises(MongoOplogNotReplayable, match="the first view of the database"):
        native(
            one_node,
            Scope(),
            mode="oplog",
            before_reading=lambda: database.create_collection("recent", viewOn="orders", pipeline=[]),
        )


# --- what can't be consistent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["auto", "snapshot", "oplog"])
def test_a_standalone_is_refused_with_what_else_there_is(standalone: MongoServer, tmp_path: t.Any, wanted: str) -> None:
    source = Source(uri=standalone.uri, folder=tmp_path / "dump")
    with pytest.raises(MongoConsistencyUnavailable, match="is a standalone server") as raised:
        source.producer(consistency=wanted).inspect()
    assert "consistency: none" in raised.value.hint
