# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch mongod: cut off, in order, gone afterwards; and what level 4 finds when a restored dump is not right."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    MongoUnreachable,
    ScratchFailed,
    ScratchUnusable,
    ToolMissing,
    ToolTooOld,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import verifier
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restored_dump import RestoredDump
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.scratch import sweep_scratch
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.sample import KINDS
from tests.integration.mongodb.verifying import SHOP, Place, mongod, small_backup
from tests.support import children, resealing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BackupFolder]:
    """A repository with one backup of a small database."""
    return small_backup(replica_set, tmp_path_factory.mktemp("made"))


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
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    parameters = restored.client.admin.command({"getParameter": "*"})
    assert parameters["ttlMonitorEnabled"] is False
    assert parameters["diagnosticDataCollectionEnabled"] is False
    assert not restored.client.admin.command("hello").get("setName")
    assert place.journal.warnings == []


def test_the_kernel_holds_it_to_its_memory(place: Place, restored: RestoredDump) -> None:
    (pid,) = processes_in(place.scratch)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
    assert soft == hard == 3 * 1024**3  # of a limit of 1 GiB
    restored.client.admin.command("ping")


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


def test_kinds_is_another_database(restored: RestoredDump) -> None:
    """What was not dumped is not there: the scratch instance is no door to the source."""
    assert KINDS not in restored.client.list_database_names()
