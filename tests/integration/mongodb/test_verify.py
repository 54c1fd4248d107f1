# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of bad backup is caught at the lowest level that promises it, and passes at the level below."""

from __future__ import annotations

import functools
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import Verification
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import oplog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_identity import tool_version
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.questions import question_from
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.rig import vendor_tools
from tests.integration.mongodb.sample import KINDS
from tests.integration.mongodb.verifying import ARCHIVE, Place
from tests.support import mutations_mongodb as mutations, resealing

pytestmark = pytest.mark.slow
PLAIN = (KINDS, "plain")


@dataclass(frozen=True)
class Backups:
    """Two backups of the same database, a document apart, and one of the whole instance with its oplog."""

    old: BackupFolder
    new: BackupFolder
    whole: BackupFolder


@pytest.fixture(scope="module")
def made(replica_set: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Backups]:
    folder = tmp_path_factory.mktemp("made")
    place = Place(repository=folder / "repository", scratch=folder, state=folder / "state")
    with replica_set.client() as client:
        old = place.back_up(replica_set.uri, database=KINDS)
        client[KINDS].plain.insert_one({"_id": "new"})
        client.admin.command("createRole", "seller", privileges=[], roles=["read"])
        client.admin.command("createUser", "ann", pwd="x", roles=["seller"])
        try:
            new = place.back_up(replica_set.uri, database=KINDS)
            whole = place.back_up(replica_set.uri, series=Series(service="shop", source="whole", kind="full"))
        finally:
            client[KINDS].plain.delete_one({"_id": "new"})
            client.admin.command("dropUser", "ann")
            client.admin.command("dropRole", "seller")
    return place.repository, Backups(old=old, new=new, whole=whole)


@pytest.fixture
def backups(made: tuple[Path, Backups]) -> Backups:
    return made[1]


@pytest.fixture
def place(made: tuple[Path, Backups], tmp_path: Path, short_folder: Path) -> Place:
    """A copy of the repository for this test."""
    shutil.copytree(made[0], tmp_path / "repository")
    return Place(repository=tmp_path / "repository", scratch=short_folder, state=tmp_path / "state")


def states(verification: Verification) -> dict[str, str]:
    return {check["name"]: check["state"] for check in verification.checks}


def code(verification: Verification) -> str | None:
    return None if verification.error is None else str(verification.error["code"])


# --- good ones --------------------------------------------------------------------------------------------------------


def test_a_good_backup_is_proved_and_leaves_nothing(place: Place, backups: Backups) -> None:
    verification = place.verify(backups.new, require=("plain", f"{KINDS}.series", "recent"))
    assert verification.passed, verification.error
    assert verification.reached == 4
    assert set(states(verification).values()) == {"passed"}, verification.checks
    assert verification.versions["mongod"] == "6.0.5"
    assert verification.recovery_seconds is not None
    assert {"starting", "fetching and loading"} <= set(verification.stages)
    assert list(place.scratch.iterdir()) == []


def test_a_whole_instance_with_oplog_users_and_roles(place: Place, backups: Backups) -> None:
    verification = place.verify(backups.whole, require=(f"{KINDS}.plain",))
    assert verification.passed, verification.error
    found = states(verification)
    assert found["oplog"] == found["restored users"] == found["restored roles"] == "passed"
    assert verification.versions["users"] >= 1


def test_the_commands_own_questions(place: Place, backups: Backups) -> None:
    questions = (
        question_from({"name": "plain", "count": {"collection": "plain"}, "equals": 2001}),
        question_from({"name": "new", "find": {"collection": "plain", "filter": {"_id": "new"}}, "equals": 1}),
        question_from(
            {"name": "sensors", "aggregate": {"collection": "series", "pipeline": [{"$count": "value"}]}, "min": 300}
        ),
    )
    verification = place.verify(backups.new, questions=questions)
    assert verification.passed, verification.error
    assert [verification.answer(name) for name in ("plain", "new", "sensors")] == [2001, 1, 300]
    wrong = question_from({"name": "many", "count": {"collection": "plain"}, "min": 5000})
    verification = place.verify(backups.new, questions=(wrong,))
    assert (verification.reached, code(verification)) == (3, "verify.check_failed")


def test_what_was_written_during_the_dump_is_told_and_no_failure(
    place: Place, replica_set: MongoReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = oplog.OplogCapture.read
    with replica_set.client() as client:
        late = client.written_late
        late.orders.insert_many({"_id": number} for number in range(10))

        def write_then_read(self: oplog.OplogCapture, emit: t.Any) -> oplog.Captured:
            late.orders.insert_one({"_id": 10, "item": 1})
            late.orders.create_index("item")
            return read(self, emit)

        monkeypatch.setattr(oplog.OplogCapture, "read", write_then_read)
        try:
            folder = place.back_up(replica_set.uri, series=Series(service="shop", source="late", kind="full"))
        finally:
            client.drop_database("written_late")
    count = question_from({"name": "all", "count": {"database": "written_late", "collection": "orders"}, "equals": 11})
    verification = place.verify(folder, questions=(count,))
    assert verification.passed, verification.error
    found = {check["name"]: check["message"] for check in verification.checks if check["state"] == "skipped"}
    assert found == {
        "restored documents": "The oplog changed what the archive says: written_late.orders has 11 documents, not 10.",
        "restored indexes": "The oplog changed what the archive says: "
        "written_late.orders has the index item_1, which the archive lacks.",
    }


# --- level 2 ----------------------------------------------------------------------------------------------------------

BROKEN = (
    mutations.truncated,
    mutations.without_the_last_byte,
    mutations.bit_flipped,
    mutations.page_zeroed,
    mutations.segment_dropped,
)
OTHER = (
    mutations.empty,
    mutations.half_the_rows,
    mutations.one_value_changed,
    mutations.document_malformed,
    mutations.value_repeated,
    mutations.without_collection,
    functools.partial(mutations.with_collection, name=(KINDS, "more")),
    functools.partial(mutations.without_index, of=PLAIN, index="by text"),
    functools.partial(mutations.without_options, of=(KINDS, "german")),
)
WRONG = (
    mutations.of_another_database,
    mutations.without_any_collection,
    functools.partial(mutations.said_by, tool_version=tool_version("20200101T000000Z-000000")),
)


def name_of(change: t.Any) -> str:
    return str(getattr(change, "func", change).__name__)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *((change, "mongodb.archive_invalid") for change in BROKEN),
        *((change, "verify.check_failed") for change in OTHER),
        *((change, "verify.content_mismatch") for change in WRONG),
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_what_level_2_catches_and_level_1_does_not(
    place: Place, backups: Backups, change: t.Callable[[bytes], bytes], expected: str
) -> None:
    place.alter(backups.new, change)
    assert place.verify(backups.new, level=1).passed
    verification = place.verify(backups.new, level=2)
    assert (verification.reached, code(verification)) == (1, expected), verification.error


def test_two_payloads_swapped(place: Place, backups: Backups) -> None:
    resealing.swap_payloads(place.repository, (backups.old, ARCHIVE), (backups.new, ARCHIVE))
    for folder in (backups.old, backups.new):
        assert place.verify(folder, level=1).passed
        verification = place.verify(folder, level=2)
        assert (verification.reached, code(verification)) == (1, "verify.content_mismatch")


def test_two_payloads_swapped_that_do_not_say_whose_they_are(place: Place, backups: Backups) -> None:
    nameless = functools.partial(mutations.said_by, tool_version="100.10.0")
    for folder in (backups.old, backups.new):
        place.alter(folder, nameless)
        assert place.verify(folder, level=2).passed
    resealing.swap_payloads(place.repository, (backups.old, ARCHIVE), (backups.new, ARCHIVE))
    verification = place.verify(backups.new, level=2)
    assert (verification.reached, code(verification)) == (1, "verify.check_failed")


def test_a_stale_backup_under_a_new_name(place: Place, backups: Backups) -> None:
    fresh = BackupFolder(series=backups.old.series, backup_id="20301231T000000Z-abcdef")
    shutil.copytree(
        resealing.folder_path(place.repository, backups.old), resealing.folder_path(place.repository, fresh)
    )
    resealing.mutate_manifest(place.repository, fresh, lambda document: document.update(id=fresh.backup_id))
    assert place.verify(fresh, level=1).passed
    verification = place.verify(fresh, level=2)
    assert (verification.reached, code(verification)) == (1, "verify.content_mismatch")


def test_an_oplog_that_is_cut(place: Place, backups: Backups) -> None:
    place.alter(backups.whole, mutations.oplog_cut)
    verification = place.verify(backups.whole, level=2)
    assert (verification.reached, states(verification)["oplog"]) == (1, "failed")


# --- level 3 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [mutations.document_malformed, mutations.value_repeated], ids=name_of)
def test_what_only_a_server_notices(place: Place, backups: Backups, change: t.Callable[[bytes], bytes]) -> None:
    """The dump itself was made like this, so everything that was noted agrees."""
    place.alter(backups.new, change)
    place.note_what_is_there(backups.new)
    assert place.verify(backups.new, level=2).passed
    verification = place.verify(backups.new, level=3)
    assert verification.reached == 2, verification.error
    assert code(verification) in {"mongodb.load_failed", "mongodb.error"}, verification.error
    assert list(place.scratch.iterdir()) == []


# --- level 4 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "proof"),
    [
        (
            mutations.half_the_rows,
            {"questions": (question_from({"name": "plain", "count": {"collection": "plain"}, "min": 2000}),)},
        ),
        (functools.partial(mutations.without_collection, name=PLAIN), {"require": ("plain",)}),
    ],
    ids=["half the rows", "a collection is missing"],
)
def test_what_only_questions_find(
    place: Place, backups: Backups, change: t.Callable[[bytes], bytes], proof: dict[str, t.Any]
) -> None:
    """The source was already like this when it was dumped."""
    view_of_plain = functools.partial(mutations.without_collection, name=(KINDS, "recent"))
    place.alter(backups.new, lambda data: change(view_of_plain(data)))
    place.note_what_is_there(backups.new)
    assert place.verify(backups.new, level=3).passed
    verification = place.verify(backups.new, level=4, **proof)
    assert (verification.reached, code(verification)) == (3, "verify.check_failed")


# --- earlier backups --------------------------------------------------------------------------------------------------


def test_a_backup_of_the_first_version_is_still_proved(place: Place, backups: Backups) -> None:
    place.alter(backups.new, functools.partial(mutations.said_by, tool_version="100.10.0"))

    def forget(document: dict[str, t.Any]) -> None:
        for collections in document["content"]["databases"].values():
            for noted in collections.values():
                del noted["indexes"], noted["metadata_sha256"]

    resealing.mutate_manifest(place.repository, backups.new, forget)
    verification = place.verify(backups.new)
    assert verification.passed, verification.error
    found = states(verification)
    assert {name for name, state in found.items() if state == "skipped"} == {"identity", "options and indexes"}


# --- mongodump's own --------------------------------------------------------------------------------------------------


@pytest.fixture
def vendor_backup(place: Place, replica_set: MongoReplicaSet) -> BackupFolder:
    tools = vendor_tools()
    return place.back_up(
        replica_set.uri, database=KINDS, tool="mongodump", tool_directory=str(tools), consistency="none"
    )


@pytest.mark.interop
def test_a_backup_by_mongodump_is_proved(place: Place, vendor_backup: BackupFolder) -> None:
    verification = place.verify(vendor_backup, require=("plain", "series"))
    assert verification.passed, verification.error
    found = states(verification)
    assert {name for name, state in found.items() if state == "skipped"} == {
        "identity",
        "checksums",
        "options and indexes",
    }


@pytest.mark.interop
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (mutations.bit_flipped, "mongodb.archive_invalid"),
        (mutations.half_the_rows, "verify.check_failed"),
        (mutations.empty, "verify.check_failed"),
        (mutations.without_collection, "verify.check_failed"),
        (mutations.of_another_database, "verify.content_mismatch"),
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_what_level_2_catches_of_mongodumps(
    place: Place, vendor_backup: BackupFolder, change: t.Callable[[bytes], bytes], expected: str
) -> None:
    place.alter(vendor_backup, change)
    assert place.verify(vendor_backup, level=1).passed
    verification = place.verify(vendor_backup, level=2)
    assert (verification.reached, code(verification)) == (1, expected), verification.error
