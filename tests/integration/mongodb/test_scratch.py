# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch mongod: cut off, in order, gone afterwards; and what level 4 finds when a restored dump is not right."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoUnreachable,
    QuestionFailed,
    ScratchFailed,
    ScratchUnusable,
    ToolMissing,
    ToolTooOld,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import verifier
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restored_dump import RestoredDump
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import (
    Answer,
    question_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import sweep_scratch
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.sample import KINDS
from tests.integration.mongodb.verifying import Place, mongod
from tests.support import children, resealing

pytestmark = pytest.mark.slow
SHOP = "verified"


@pytest.fixture(scope="module")
def source(replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BackupFolder]:
    """A repository with one backup of a small database."""
    folder = tmp_path_factory.mktemp("made")
    with replica_set.client() as client:
        shop = client[SHOP]
        shop.orders.insert_many({"_id": number, "price": number / 2, "item": f"i{number % 7}"} for number in range(200))
        shop.orders.create_index([("item", 1), ("price", -1)], name="by item")
        shop.orders.create_index("price", unique=True)
        shop.create_collection("german", collation={"locale": "de"}, validator={"name": {"$exists": True}})
        long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        # Expired long ago: the source's monitor must not remove them before the dump, nor that of the scratch server.
        shop.create_collection("sessions")
        shop.sessions.insert_many({"_id": number, "at": long_ago} for number in range(20))
        client.admin.command({"setParameter": 1, "ttlMonitorEnabled": False})
        shop.sessions.create_index("at", expireAfterSeconds=60)
        place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
        made = place.back_up(replica_set.uri, database=SHOP)
        client.drop_database(SHOP)
        client.admin.command({"setParameter": 1, "ttlMonitorEnabled": True})
    return place.repository, made


@pytest.fixture
def place(source: tuple[Path, BackupFolder], tmp_path: Path, short_folder: Path) -> Place:
    return Place(repository=source[0], scratch=short_folder, state=tmp_path / "state")


@pytest.fixture
def restored(place: Place, source: tuple[Path, BackupFolder]) -> t.Iterator[RestoredDump]:
    with place.restored(source[1]) as instance:
        yield instance


def failures(instance: RestoredDump) -> dict[str, str]:
    return {check.name: check.message for check in instance.compare() if check.state == "failed"}


def processes_in(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                argv = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in argv and b"--dbpath" in argv:
                found.append(int(path.name))
    return found


# --- cut off ----------------------------------------------------------------------------------------------------------


def test_nothing_leads_to_it_but_its_socket(place: Place, restored: RestoredDump) -> None:
    (pid,) = processes_in(place.scratch)
    (socket,) = place.scratch.glob("*/mongod.sock")
    assert socket.stat().st_mode & 0o077 == 0
    (data,) = place.scratch.glob("*/data")
    assert data.stat().st_mode & 0o077 == 0
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if "socket" in os.readlink(link)}
    for family in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/{pid}/net/{family}").read_text(encoding="ascii").splitlines()[1:]
        assert not [line for line in lines if f"socket:[{line.split()[9]}]" in inodes], family
    assert os.getpriority(os.PRIO_PROCESS, pid) == 10
    parameters = restored.client.admin.command({"getParameter": "*"})
    assert parameters["ttlMonitorEnabled"] is False
    assert parameters["diagnosticDataCollectionEnabled"] is False
    assert not restored.client.admin.command("hello").get("setName")
    assert place.journal.warnings == []


def test_it_is_gone_afterwards_also_after_a_failure(place: Place, source: tuple[Path, BackupFolder]) -> None:
    def fail() -> None:
        with place.restored(source[1]):
            assert len(processes_in(place.scratch)) == 1
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert processes_in(place.scratch) == []
    assert list(place.scratch.iterdir()) == []


_VERIFY_AND_DIE = f"""
import os, signal, sys
from pathlib import Path
from tests.integration.mongodb.verifying import Place
from {children.ENGINE}.catalog.layout import parse_key
repository, scratch, state, key = sys.argv[1:]
place = Place(repository=Path(repository), scratch=Path(scratch), state=Path(state))
with place.restored(parse_key(key).folder) as instance:
    assert instance.report.documents == 220
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_leaves_the_next_one_removes(
    place: Place, source: tuple[Path, BackupFolder], tmp_path: Path
) -> None:
    killed = subprocess.run(
        children.python(
            _VERIFY_AND_DIE, str(place.repository), str(place.scratch), str(tmp_path), source[1].manifest_key
        ),
        env=children.environment(),
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    (pid,) = processes_in(place.scratch)
    assert len(list(place.scratch.iterdir())) == 1
    with place.restored(source[1]) as instance:
        assert pid not in processes_in(place.scratch)
        assert len(list(place.scratch.iterdir())) == 1
        assert instance.report.documents == 220
    assert sweep_scratch(str(place.scratch), journal=MemoryJournal()) == []


# --- what it can't do -------------------------------------------------------------------------------------------------


def test_a_missing_mongod_is_named_before_anything_is_read(place: Place, source: tuple[Path, BackupFolder]) -> None:
    with pytest.raises(ToolMissing, match="mongod") as raised:
        place.verify(source[1], level=3, options={"mongod": "/nowhere/mongod"})
    assert "LIFEBOAT_MONGOD" in raised.value.hint
    assert place.verify(source[1], level=2, options={"mongod": "/nowhere/mongod"}).passed


def test_a_server_that_is_older_than_the_data_is_refused(
    place: Place, source: tuple[Path, BackupFolder], tmp_path: Path
) -> None:
    copy = Place(repository=tmp_path / "copy", scratch=place.scratch, state=place.state)
    subprocess.run(["cp", "-r", str(place.repository), str(copy.repository)], check=True)
    resealing.mutate_manifest(
        copy.repository, source[1], lambda document: document["content"].update(feature_compatibility_version="7.0")
    )
    with pytest.raises(ToolTooOld, match=r"is MongoDB 6\.0\.5, and the backup's data is that of 7\.0"):
        copy.verify(source[1], level=3)


def program(folder: Path, script: str) -> str:
    """A mongod that answers --version as the real one and else does what the script says (the fault of a test)."""
    path = folder / "mongod"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in --version) exec {mongod()} --version;; esac\n{script}\n', encoding="ascii"
    )
    path.chmod(0o755)
    return str(path)


def test_a_server_that_does_not_start_is_quoted(
    place: Place, source: tuple[Path, BackupFolder], tmp_path: Path
) -> None:
    fault = program(tmp_path, "echo no space left on this planet; exit 14")
    with (
        pytest.raises(ScratchFailed, match=r"status 14 while it started.*\n.*on this planet"),
        place.restored(source[1], mongod=fault),
    ):
        pytest.fail("it is not ready")
    assert list(place.scratch.iterdir()) == []


def test_a_server_that_dies_while_it_loads_is_named(
    place: Place, source: tuple[Path, BackupFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_die(_stream: t.BinaryIO, **_options: t.Any) -> t.Any:
        (pid,) = processes_in(place.scratch)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        raise MongoUnreachable("The connection was lost.")

    monkeypatch.setattr(verifier, "load_archive", load_and_die)
    with pytest.raises(ScratchFailed, match="ended or hangs"), place.restored(source[1]):
        pytest.fail("it is not ready")


def test_a_folder_whose_path_is_too_long_is_refused(place: Place, source: tuple[Path, BackupFolder]) -> None:
    deep = Place(repository=place.repository, scratch=place.scratch / ("x" * 100), state=place.state)
    with pytest.raises(ScratchUnusable, match="too long for a socket"), deep.restored(source[1]):
        pytest.fail("it is not ready")
    deep.scratch.rmdir()


def test_what_expired_long_ago_is_still_counted(
    place: Place, source: tuple[Path, BackupFolder], tmp_path: Path
) -> None:
    """Expiring documents would be gone within a second here."""
    hasty = program(tmp_path, f'exec {mongod()} --setParameter ttlMonitorSleepSecs=1 "$@"')
    with place.restored(source[1], mongod=hasty) as instance:
        time.sleep(2.5)
        assert instance.client[SHOP].sessions.count_documents({}) == 20
        assert failures(instance) == {}


# --- level 4: what is not right ---------------------------------------------------------------------------------------


def test_a_right_one_passes(restored: RestoredDump) -> None:
    checks = list(restored.compare())
    assert {check.state for check in checks} == {"passed"}
    assert [check.name for check in checks] == [
        "restored documents",
        "restored validate",
        "restored indexes",
        "restored options",
    ]


def _delete_one(shop: t.Any) -> None:
    shop.orders.delete_one({"_id": 7})


def _drop_collection(shop: t.Any) -> None:
    shop.german.drop()


def _drop_index(shop: t.Any) -> None:
    shop.orders.drop_index("by item")


def _other_index(shop: t.Any) -> None:
    shop.orders.drop_index("by item")
    shop.orders.create_index([("price", -1), ("item", 1)], name="by item")


def _unique_lost(shop: t.Any) -> None:
    shop.orders.drop_index("price_1")
    shop.orders.create_index("price")


def _one_index_more(shop: t.Any) -> None:
    shop.orders.create_index("more")


def _no_validator(shop: t.Any) -> None:
    shop.command("collMod", "german", validator={})


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        (_delete_one, "restored documents", "verified.orders has 199 documents, not 200"),
        (_drop_collection, "restored documents", "verified.german is not there"),
        (_drop_index, "restored indexes", "verified.orders lacks the index by item"),
        (_other_index, "restored indexes", "the index by item of verified.orders is another one"),
        (_unique_lost, "restored indexes", "the index price_1 of verified.orders is another one"),
        (_one_index_more, "restored indexes", "has the index more_1, which the archive lacks"),
        (_no_validator, "restored options", "verified.german has another validator"),
    ],
)
def test_what_is_not_right_is_found(
    restored: RestoredDump, damage: t.Callable[[t.Any], None], name: str, message: str
) -> None:
    damage(restored.client[SHOP])
    found = failures(restored)
    assert list(found) == [name]
    assert message in found[name]


def test_what_the_servers_own_validation_finds(place: Place, source: tuple[Path, BackupFolder], tmp_path: Path) -> None:
    """The server can be made to forget an index entry, for its own tests."""
    testing = program(tmp_path, f'exec {mongod()} --setParameter enableTestCommands=1 "$@"')
    with place.restored(source[1], mongod=testing) as instance:
        fail_point = {"configureFailPoint": "skipUnindexingDocumentWhenDeleted", "mode": "alwaysOn"}
        instance.client.admin.command({**fail_point, "data": {"indexName": "price_1"}})
        instance.client[SHOP].orders.delete_one({"_id": 7})
        instance.client[SHOP].orders.insert_one({"_id": 7, "price": -1, "item": "i0"})
        found = failures(instance)
    assert list(found) == ["restored validate"]
    assert "verified.orders" in found["restored validate"]


def test_required_collections(restored: RestoredDump) -> None:
    checks = list(restored.require(["orders", f"{SHOP}.german", "payments"]))
    assert [(check.name, check.state) for check in checks] == [
        ("required orders", "passed"),
        (f"required {SHOP}.german", "passed"),
        ("required payments", "failed"),
    ]
    assert "verified.orders (200 documents)" in checks[0].message
    assert checks[2].message == "The required collection payments is not there."


# --- level 4: questions -----------------------------------------------------------------------------------------------

AGGREGATE = {"collection": "orders", "pipeline": [{"$group": {"_id": None, "value": {"$sum": "$price"}}}]}


FIRST_TIME = [{"$limit": 1}, {"$set": {"value": "$at"}}]
A_LIST = [{"$limit": 1}, {"$set": {"value": [1]}}]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"count": {"collection": "orders"}}, 200),
        ({"count": {"collection": "orders", "filter": {"item": "i0"}}}, 29),
        ({"count": {"collection": "orders", "filter": {"item": {"$regex": "^i[01]$"}}}}, 58),
        ({"count": {"database": SHOP, "collection": "sessions"}}, 20),
        ({"count": {"collection": "sessions", "filter": {"at": {"$lt": {"$date": "2021-01-01T00:00:00Z"}}}}}, 20),
        ({"count": {"collection": "sessions", "filter": {"at": {"$gt": datetime.datetime(2021, 1, 1)}}}}, 0),  # noqa: DTZ001 as YAML has it
        ({"count": {"collection": "orders"}, "database": SHOP}, 200),
        ({"find": {"collection": "orders", "filter": {"_id": 7}}}, 1),
        ({"find": {"collection": "orders", "filter": {"_id": "x"}}}, 0),
        ({"aggregate": AGGREGATE}, 9950.0),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$match": {"_id": -1}}, {"$count": "value"}]}}, None),
        ({"aggregate": {"collection": "sessions", "pipeline": FIRST_TIME}}, "2020-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_questions_are_answered(restored_once: RestoredDump, question: dict[str, t.Any], expected: Answer) -> None:
    assert restored_once.ask(question_from({"name": "it", **question})) == expected


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"count": {"collection": "nothing"}}, "there is no collection verified.nothing"),
        ({"count": "orders"}, "count is no mapping"),
        ({"count": {"collection": "orders", "filtr": {}}}, "count has no option filtr"),
        ({"count": {"filter": {}}}, "its collection is None"),
        ({"count": {"collection": "orders", "filter": [1]}}, "its filter is no mapping"),
        ({"count": {"collection": "orders", "filter": {"a": {"$nonsense": 1}}}}, "says: unknown operator"),
        ({"count": {"collection": "orders", "filter": {"_id": {"$oid": "short"}}}}, "MongoDB says"),
        ({"count": {"collection": "orders", "filter": {"at": {"$date": "noon"}}}}, "MongoDB says"),
        ({"count": {"collection": "orders", "filter": {"at": datetime.date(2026, 1, 1)}}}, "MongoDB says"),
        ({"count": {"database": "else/where", "collection": "orders"}}, "MongoDB says"),
        ({"sql": "SELECT 1"}, "can't be asked by sql"),
        ({"aggregate": {"collection": "orders", "pipeline": "x"}}, "no list of stages"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$nonsense": 1}]}}, "says: Unrecognized pipeline"),
        ({"aggregate": {"collection": "orders", "pipeline": []}}, "more than one document"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$limit": 1}]}}, "has no field value"),
        ({"aggregate": {"collection": "orders", "pipeline": A_LIST}}, "its value is a list"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$out": "copy"}]}}, r"its pipeline writes \(\$out\)"),
        ({"aggregate": {"collection": "orders", "pipeline": [{"$merge": {"into": "copy"}}]}}, "its pipeline writes"),
    ],
)  # fmt: skip
def test_wrong_questions_are_named(restored_once: RestoredDump, question: dict[str, t.Any], message: str) -> None:
    with pytest.raises(QuestionFailed, match=f"The question it can't be asked: .*{message}") as raised:
        restored_once.ask(question_from({"name": "it", **question}))
    assert raised.value.hint
    assert raised.value.details == {"question": "it"}


@pytest.fixture(scope="module")
def restored_once(
    source: tuple[Path, BackupFolder], tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[RestoredDump]:
    """One instance for all that only read."""
    folder = tmp_path_factory.mktemp("q")
    place = Place(repository=source[0], scratch=folder, state=folder / "state")
    with place.restored(source[1]) as instance:
        yield instance


def test_kinds_is_another_database(restored: RestoredDump) -> None:
    """What was not dumped is not there: the scratch instance is no door to the source."""
    assert KINDS not in restored.client.list_database_names()
