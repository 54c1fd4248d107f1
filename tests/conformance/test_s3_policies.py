# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of docs/iam, decided by a real S3 server (SeaweedFS), and what Lifeboat can do with each of them.

What is not provable here: SeaweedFS 4.48 knows no ``s3:object-lock-remaining-retention-days``. Amazon does;
test_iam_policies.py decides it by an evaluator of its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageForbidden
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.conformance.reading_suite import MIB, keys_of, noise
from tests.conformance.s3_places import bare, open_bucket
from tests.support.iam import questions_of, read_policy

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from tests.support.policy_server import BUCKET, FOLDER, NAMES, PREFIX, PolicyServer

pytestmark = pytest.mark.slow

BACKUP = "shop/main/base/20261121T020000Z-4f2c91"
STREAM = "shop/main/wal/7301234567890123456"
DAY = datetime.timedelta(days=1)
LOCK = {"mode": "governance", "retain": "policy"}


def now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc)


@pytest.fixture(scope="module")
def server() -> t.Iterator[PolicyServer]:
    with PolicyServer() as running:
        yield running


@dataclasses.dataclass
class Asked:
    """One request, and whether the server let it pass."""

    operation: str
    parameters: dict[str, t.Any]
    allowed: bool


class Place:
    """The repository with the credentials of one policy; *asked* are its requests."""

    def __init__(self, server: PolicyServer, name: str, **options: t.Any) -> None:
        self.storage: Storage = open_bucket(server, BUCKET, PREFIX, identity=server.users[name], **options)
        self.asked: list[Asked] = []
        connection = bare(self.storage)._connection
        for client in (connection.client, connection.impatient_client):
            client.meta.events.register("provide-client-params.s3", self._note_request)
            client.meta.events.register("after-call.s3", self._note_answer)

    def _note_request(self, params: dict[str, t.Any], model: t.Any, context: dict[str, t.Any], **_more: t.Any) -> None:
        context["asked"] = Asked(model.name, dict(params), allowed=True)

    def _note_answer(self, parsed: t.Any, http_response: t.Any, context: dict[str, t.Any], **_more: t.Any) -> None:
        asked = context["asked"]
        asked.allowed = http_response.status_code != 403
        self.asked.append(asked)


# --- the server and the evaluator agree ------------------------------------------------------------------------------

UNTIL = now() + 30 * DAY


def requests(key: str) -> dict[str, dict[str, t.Any]]:
    """One request of each kind about one object."""
    place = {"Bucket": BUCKET, "Key": f"{PREFIX}/{key}"}
    return {
        "PutObject": {**place, "Body": b"x"},
        "PutObject, locked": {
            **place,
            "Body": b"x",
            "ObjectLockMode": "GOVERNANCE",
            "ObjectLockRetainUntilDate": UNTIL,
        },
        "HeadObject": place,
        "GetObject": place,
        "GetObjectRetention": place,
        "PutObjectRetention": {**place, "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}},
        "GetObjectLegalHold": place,
        "PutObjectLegalHold": {**place, "LegalHold": {"Status": "OFF"}},
        "CreateMultipartUpload": place,
        "DeleteObject": place,
    }


def of_bucket() -> dict[str, dict[str, t.Any]]:
    bucket = {"Bucket": BUCKET}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    return {
        "ListObjectsV2": {**bucket, "Prefix": f"{PREFIX}/"},
        "ListObjectVersions": {**bucket, "Prefix": f"{PREFIX}/"},
        "ListMultipartUploads": {**bucket, "Prefix": f"{PREFIX}/"},
        "GetBucketVersioning": bucket,
        "GetObjectLockConfiguration": bucket,
        "PutBucketVersioning": {**bucket, "VersioningConfiguration": {"Status": "Enabled"}},
        "PutObjectLockConfiguration": {**bucket, **lock},
    }


OBJECTS = [
    f"{BACKUP}/base.tar.zst",
    f"{BACKUP}/manifest.json",
    f"{BACKUP}/removal-1.json",
    f"{BACKUP}/pin-1.json",
    f"{BACKUP}/verification-1.json",
    f"{STREAM}/floors/2026112119.json",
    ".lifeboat/prune.json",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_server_decides_each_policy_as_amazon_is_said_to(server: PolicyServer, name: str) -> None:
    policy = read_policy(FOLDER / f"{name}.json")
    administrator = server.client()
    client = server.client(server.users[name])
    differ = []
    decisions = set()
    try:
        cases = [(operation, parameters) for key in OBJECTS for operation, parameters in requests(key).items()]
        cases += [*of_bucket().items(), ("ListObjectsV2", {"Bucket": BUCKET})]
        cases += [("ListObjectsV2", {"Bucket": BUCKET, "Prefix": "staging/"})]
        for label, parameters in cases:
            operation = label.partition(",")[0]
            if "Key" in parameters:
                administrator.put_object(Bucket=BUCKET, Key=parameters["Key"], Body=b"x")
            expected = all(map(policy.allows, questions_of(operation, parameters, now=now())))
            found = is_let_pass(client, operation, parameters)
            decisions.add(found)
            if found != expected:
                differ.append((label, parameters.get("Key"), expected, found))
    finally:
        administrator.close()
        client.close()
    assert differ == []
    assert decisions == {True, False}


def test_the_server_does_not_count_the_days_of_a_lock(server: PolicyServer) -> None:
    """It lets pass what Amazon refuses; when it does no more, the page on object lock can say so."""
    client = server.client(server.users["host"])
    locked = {
        "Bucket": BUCKET,
        "Key": f"{PREFIX}/{BACKUP}/for-ever.zst",
        "Body": b"x",
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": now() + 4000 * DAY,
    }
    policy = read_policy(FOLDER / "host.json")
    assert not all(map(policy.allows, questions_of("PutObject", locked, now=now())))
    assert is_let_pass(client, "PutObject", locked)
    client.close()


def is_let_pass(client: t.Any, operation: str, parameters: dict[str, t.Any]) -> bool:
    import botocore
    from botocore.exceptions import ClientError

    try:
        getattr(client, botocore.xform_name(operation))(**parameters)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] != 403)
    return True


# --- what Lifeboat does with them ------------------------------------------------------------------------------------


def expect_what_amazon_would_say(place: Place, name: str) -> None:
    """Whatever the server let pass Amazon would, too, and what it refused Amazon would refuse."""
    policy = read_policy(FOLDER / f"{name}.json")
    assert place.asked
    for asked in place.asked:
        expected = all(map(policy.allows, questions_of(asked.operation, asked.parameters, now=now())))
        if asked.operation != "DeleteObjects":  # which has one answer for each object
            assert asked.allowed == expected, asked


@pytest.mark.parametrize("versions", ["keep", "delete"])
def test_a_host_stores_and_can_not_take_back(server: PolicyServer, versions: str) -> None:
    folder = f"shop/main/base/20261120T020000Z-{versions}"
    place = Place(server, "host", object_lock=LOCK, retain_for=30 * DAY, part_size_mib=8, versions=versions)
    storage = place.storage
    storage.check()
    assert storage.properties.conditional_put
    big = noise(8 * MIB + 1000)
    storage.put(f"{folder}/base.tar.zst", big, if_absent=False)
    storage.put(f"{folder}/manifest.json", b"{}", if_absent=False)
    assert {f"{folder}/base.tar.zst", f"{folder}/manifest.json"} <= set(keys_of(storage.list()))
    assert storage.get(f"{folder}/manifest.json") == b"{}"
    assert list(storage.unfinished(f"{folder}/")) == []
    with pytest.raises(StorageForbidden):
        storage.get(f"{folder}/base.tar.zst")
    report = storage.delete([f"{folder}/base.tar.zst", f"{folder}/manifest.json"])
    assert sorted(report.refused) == [f"{folder}/base.tar.zst", f"{folder}/manifest.json"]
    assert [cause.code for cause in report.causes] == ["storage.delete_denied"]
    assert set(storage.set_hold([f"{folder}/manifest.json"], on=False)) == {f"{folder}/manifest.json"}
    expect_what_amazon_would_say(place, "host")

    everything = open_bucket(server, BUCKET, PREFIX)
    assert everything.get(f"{folder}/base.tar.zst") == big
    for key in ("base.tar.zst", "manifest.json"):
        state = everything.lock_state(f"{folder}/{key}")
        assert state is not None
        assert state.until is not None
        assert 29 * DAY < state.until - now() < 31 * DAY


def test_nobody_shortens_a_lock_with_any_of_the_credentials(server: PolicyServer) -> None:
    host = open_bucket(server, BUCKET, PREFIX, identity=server.users["host"], object_lock=LOCK, retain_for=30 * DAY)
    host.put(f"{BACKUP}/locked.json", b"x", if_absent=False)
    key = f"{PREFIX}/{BACKUP}/locked.json"
    (version,) = open_bucket(server, BUCKET, PREFIX).versions(f"{BACKUP}/locked.json")
    shorter = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": now() + DAY}}
    for name in (*NAMES, "administrator"):
        client = server.client(server.users.get(name))
        place = {"Bucket": BUCKET, "Key": key, "VersionId": version.version_id}
        bypass = {"BypassGovernanceRetention": True}
        assert not is_let_pass(client, "PutObjectRetention", {**place, **shorter}), name
        assert not is_let_pass(client, "DeleteObject", place), name
        if name != "administrator":  # who may everything, that included
            assert not is_let_pass(client, "PutObjectRetention", {**place, **shorter, **bypass}), name
            assert not is_let_pass(client, "DeleteObject", {**place, **bypass}), name
        client.close()
    assert host.get(f"{BACKUP}/locked.json") == b"x"


def test_a_pruner_removes_what_is_free_and_defers_what_is_locked(server: PolicyServer) -> None:
    folder = "shop/main/base/20261122T020000Z-000001"
    everything = open_bucket(server, BUCKET, PREFIX)
    for key in ("free.zst", "manifest.json", "held.zst"):
        everything.put(f"{folder}/{key}", b"x")
    open_bucket(server, BUCKET, PREFIX, object_lock=LOCK, retain_for=3 * DAY).put(f"{folder}/locked.zst", b"x")
    everything.set_hold([f"{folder}/held.zst"], on=True)
    place = Place(server, "pruner", versions="delete")
    storage = place.storage
    storage.check()
    assert (storage.properties.versioned, storage.properties.locks) == (True, True)
    storage.put(f"{folder}/removal-1.json", b"{}")
    storage.put(f"{STREAM}/floors/2026112119.json", b"{}", if_absent=False)
    storage.put(".lifeboat/prune.json", b"{}", if_absent=False)
    keys = [info.key for info in storage.list(f"{folder}/") if not info.key.endswith("removal-1.json")]
    report = storage.delete(keys)
    assert sorted(report.deleted) == [f"{folder}/free.zst", f"{folder}/manifest.json"]
    assert sorted(report.deferred) == [f"{folder}/held.zst", f"{folder}/locked.zst"]
    until = report.deferred[f"{folder}/locked.zst"]
    assert until is not None
    assert 2 * DAY < until - now() < 4 * DAY
    assert (report.refused, report.causes) == ({}, ())
    with pytest.raises(StorageForbidden):
        storage.get(f"{folder}/locked.zst")
    with pytest.raises(StorageForbidden):
        storage.put(f"{folder}/base.tar.zst", b"x")
    assert set(storage.extend_lock([f"{folder}/locked.zst"], until=now() + 9 * DAY)) == {f"{folder}/locked.zst"}
    assert set(storage.set_hold([f"{folder}/held.zst"], on=False)) == {f"{folder}/held.zst"}
    expect_what_amazon_would_say(place, "pruner")
    assert sorted(keys_of(everything.list(f"{folder}/"))) == [
        f"{folder}/{name}" for name in ("held.zst", "locked.zst", "removal-1.json")
    ]


@pytest.mark.parametrize("versions", ["keep", "delete"])
def test_a_keeper_pins_and_can_not_delete_backups(server: PolicyServer, versions: str) -> None:
    folder = f"shop/main/base/20261123T020000Z-{versions}"
    everything = open_bucket(server, BUCKET, PREFIX)
    keys = [f"{folder}/base.tar.zst", f"{folder}/manifest.json"]
    for key in keys:
        everything.put(key, b"x")
    place = Place(server, "keeper", versions=versions)
    storage = place.storage
    storage.put(f"{folder}/pin-1.json", b"{}")
    assert storage.extend_lock(keys, until=now() + 900 * DAY) == {}
    assert storage.set_hold(keys, on=True) == {}
    assert storage.set_hold(keys, on=False) == {}
    assert storage.delete([f"{folder}/pin-1.json"]).deleted == (f"{folder}/pin-1.json",)
    report = storage.delete(keys)
    # Without a version it is no permission, with one it is the lock that comes first to light.
    assert sorted({**report.refused, **report.deferred}) == keys
    expect_what_amazon_would_say(place, "keeper")
    assert keys_of(everything.list(f"{folder}/")) == keys
    state = everything.lock_state(keys[0])
    assert state is not None
    assert state.until is not None
    assert state.until - now() > 899 * DAY
    assert not state.hold


def test_a_reader_reads_and_adds_what_it_verified(server: PolicyServer) -> None:
    folder = "shop/main/base/20261124T020000Z-000001"
    everything = open_bucket(server, BUCKET, PREFIX)
    everything.put(f"{folder}/base.tar.zst", b"data")
    place = Place(server, "reader", object_lock=LOCK, retain_for=30 * DAY)
    storage = place.storage
    assert storage.get(f"{folder}/base.tar.zst") == b"data"
    assert keys_of(storage.list(f"{folder}/")) == [f"{folder}/base.tar.zst"]
    storage.put(f"{folder}/verification-1.json", b"{}")
    for key in ("manifest.json", "pin-1.json", "removal-1.json", "other.zst"):
        with pytest.raises(StorageForbidden):
            storage.put(f"{folder}/{key}", b"x")
    assert set(storage.delete([f"{folder}/base.tar.zst"]).refused) == {f"{folder}/base.tar.zst"}
    expect_what_amazon_would_say(place, "reader")
    assert everything.lock_state(f"{folder}/verification-1.json") is not None
