# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletes from a real S3 server (SeaweedFS): storms of SlowDown, refusals, locks, and a bucket that changes meanwhile.

The storms and MFA delete are injected: the server knows neither.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageDeleteDenied,
    StorageError,
    StorageForbidden,
    StorageMfaDelete,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3 import S3Storage
from tests.conformance.reading_suite import keys_of
from tests.conformance.s3_places import bare, new_prefix, open_bucket
from tests.support.busy_proxy import BusyProxy
from tests.support.clocks import FakeClock

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from sandbox.faults import FaultProxy
from sandbox.s3 import S3Identity, S3Server

pytestmark = pytest.mark.slow

READER = S3Identity.restricted("reader", read=("lifeboat", "locked"))
MONTH = datetime.timedelta(days=30)


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",), locked_buckets=("locked",), identities=(READER,)) as running:
        yield running


@pytest.fixture
def proxy(server: S3Server) -> t.Iterator[FaultProxy]:
    with FaultProxy(server.port) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    return new_prefix()


def fill(storage: Storage, count: int, *, form: str = "a/{:05d}") -> list[str]:
    keys = [form.format(number) for number in range(count)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda key: storage.put(key, b"x", if_absent=False), keys))
    return keys


def now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc)


# --- the service's pace ----------------------------------------------------------------------------------------------


def test_a_storm_of_refusals_is_outlived_by_asking_for_less(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 600)
    with BusyProxy(server.port, most_at_once=2, seconds=0.05) as busy:
        storage = open_bucket(server, "lifeboat", prefix, endpoint_url=busy.endpoint_url, batch_size=5)
        report = storage.delete(keys)
    assert report.deleted == tuple(keys)
    assert keys_of(open_bucket(server, "lifeboat", prefix).list()) == []
    assert busy.passed == 120
    assert busy.refused > 0
    # Who goes on with what he began with is refused more often than not.
    assert busy.refused < busy.passed


def test_a_calm_service_is_given_more_and_more(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 400)
    with BusyProxy(server.port, most_at_once=100, seconds=0.05) as busy:
        storage = open_bucket(server, "lifeboat", prefix, endpoint_url=busy.endpoint_url, batch_size=4)
        assert storage.delete(keys).deleted == tuple(keys)
    assert (busy.passed, busy.refused) == (100, 0)
    assert 8 < busy.most_seen <= 16


def test_who_never_stops_to_refuse_is_left_alone(server: S3Server, proxy: FaultProxy, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 3)
    proxy.slow_down(method="POST")
    clock = FakeClock()
    storage = bare(open_bucket(server, "lifeboat", prefix, endpoint_url=proxy.endpoint_url, clock=clock))
    with pytest.raises(StorageUnreachable, match="SlowDown"):
        storage.delete(keys)
    assert len(proxy.requests) == 12
    assert 60 < sum(clock.slept) < 180
    # Ever longer, in pieces, so that an interrupt is heard.
    assert clock.slept[0] <= 0.25
    assert max(clock.slept) == 1.0
    assert keys_of(open_bucket(server, "lifeboat", prefix).list()) == keys


@pytest.mark.parametrize("fault", ["fail", "cut_upload"])
def test_other_passing_faults_are_outlived_too(server: S3Server, proxy: FaultProxy, prefix: str, fault: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 30)
    getattr(proxy, fault)(*([100] if fault == "cut_upload" else []), method="POST", times=2)
    storage = open_bucket(server, "lifeboat", prefix, endpoint_url=proxy.endpoint_url, clock=FakeClock(), batch_size=10)
    assert storage.delete(keys).deleted == tuple(keys)
    assert len(proxy.requests) == 5


def test_batches_are_as_large_as_one_says(server: S3Server, proxy: FaultProxy, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 25)
    storage = open_bucket(server, "lifeboat", prefix, endpoint_url=proxy.endpoint_url, batch_size=10)
    assert storage.delete(keys).deleted == tuple(keys)
    assert len(proxy.requests) == 3


def test_few_are_shared_out_among_those_that_may_be_on_their_way(
    server: S3Server, proxy: FaultProxy, prefix: str
) -> None:
    storage = open_bucket(server, "lifeboat", prefix, endpoint_url=proxy.endpoint_url)
    keys = [f"a/{number:05d}" for number in range(800)]
    assert storage.delete(keys).deleted == tuple(keys)
    assert len(proxy.requests) == 4
    # Not to the last of them: a request has its price, too.
    assert storage.delete(keys[:150]).deleted == tuple(keys[:150])
    assert len(proxy.requests) == 6


# --- one answer for each key -----------------------------------------------------------------------------------------

BUSY_ANSWER = """<?xml version="1.0"?><DeleteResult>
<Error><Key>{root}a/00001</Key><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>
<Error><Key>{root}a/00002</Key><Code>InternalError</Code><Message>again</Message></Error>{gone}</DeleteResult>"""


def answer_once(storage: S3Storage, body: str, *, status: int = 200, times: int = 1) -> list[int]:
    """Inject: the first answers to DeleteObjects are *body*; how many objects each request that was made had."""
    from botocore.awsrequest import AWSResponse

    asked: list[int] = []

    class _Body:
        def stream(self, **_options: t.Any) -> t.Iterator[bytes]:
            yield body.encode()

    def answer(request: t.Any, **_context: t.Any) -> t.Any:
        sent = request.body if isinstance(request.body, bytes) else request.body.read()
        if hasattr(request.body, "seek"):
            request.body.seek(0)
        asked.append(sent.count(b"<Key>"))
        return AWSResponse(request.url, status, {}, _Body()) if len(asked) <= times else None

    storage._connection.impatient_client.meta.events.register("before-send.s3.DeleteObjects", answer)
    return asked


def test_only_what_was_refused_for_now_is_asked_for_again(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 5)
    storage = bare(open_bucket(server, "lifeboat", prefix, clock=FakeClock()))
    gone = "".join(f"<Deleted><Key>{prefix}/a/{number:05d}</Key></Deleted>" for number in (0, 3))
    asked = answer_once(storage, BUSY_ANSWER.format(root=f"{prefix}/", gone=gone))
    # The server was not asked for 0 and 3: the injected answer said that they are gone. 4 it did not mention.
    assert storage.delete(keys).deleted == tuple(keys)
    assert asked == [5, 3]
    assert keys_of(open_bucket(server, "lifeboat", prefix).list()) == ["a/00000", "a/00003"]


def test_an_answer_without_the_version_counts_for_the_only_one_that_was_asked_for(
    server: S3Server, prefix: str
) -> None:
    storage = bare(open_bucket(server, "locked", prefix))
    fill(storage, 1)
    asked = answer_once(storage, f"<DeleteResult><Deleted><Key>{prefix}/a/00000</Key></Deleted></DeleteResult>")
    assert storage.delete_versions(list(storage.versions())).deleted == ("a/00000",)
    assert asked == [1]


# --- who may not -----------------------------------------------------------------------------------------------------


def test_who_may_not_delete_is_told_what_he_lacks(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 3)
    storage = open_bucket(server, "lifeboat", prefix, identity=READER)
    report = storage.delete(keys)
    assert (report.deleted, sorted(report.refused), report.deferred) == ((), keys, {})
    assert "AccessDenied" in report.refused[keys[0]]
    (cause,) = report.causes
    assert isinstance(cause, StorageDeleteDenied)
    assert cause.code == "storage.delete_denied"
    assert "s3:DeleteObject," in cause.hint
    assert "docs/iam/pruner.json" in cause.hint
    assert cause.details["keys"] == keys
    assert keys_of(storage.list()) == keys


def test_who_may_not_delete_versions_is_told_what_he_lacks(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "locked", prefix), 3)
    storage = open_bucket(server, "locked", prefix, identity=READER, versions="delete")
    report = storage.delete(keys)
    assert (report.deleted, sorted(report.refused), report.deferred) == ((), keys, {})
    assert "s3:DeleteObjectVersion" in report.causes[0].hint
    assert keys_of(storage.list()) == keys


def test_who_may_not_lock_is_told_for_each_object(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "locked", prefix), 2)
    storage = open_bucket(server, "locked", prefix, identity=READER)
    reasons = storage.extend_lock(keys, until=now() + MONTH)
    assert set(reasons) == set(keys)
    # What he was refused first: it is looked at before it is changed.
    assert "Allow s3:GetObjectRetention on" in reasons[keys[0]]
    assert set(storage.set_hold(keys, on=True)) == set(keys)
    assert open_bucket(server, "locked", prefix).lock_state(keys[0]) is None


def test_a_wrong_key_is_no_refusal_of_objects(server: S3Server, prefix: str) -> None:
    stranger = S3Identity(name="stranger", actions=())
    with pytest.raises(StorageForbidden):
        open_bucket(server, "lifeboat", prefix, identity=stranger).delete(["a"])
    with pytest.raises(StorageForbidden):
        open_bucket(server, "locked", prefix, identity=stranger, versions="delete").delete(["a"])


MFA = "<Error><Code>AccessDenied</Code><Message>Mfa Authentication must be used for this request</Message></Error>"


def test_mfa_delete_has_a_name_of_its_own(server: S3Server, prefix: str) -> None:
    """The answer is injected: the server knows no MFA delete."""
    keys = fill(open_bucket(server, "locked", prefix), 2)
    storage = bare(open_bucket(server, "locked", prefix, versions="delete"))
    answer_once(storage, MFA, status=403)
    report = storage.delete(keys)
    assert (report.deleted, sorted(report.refused), report.deferred) == ((), keys, {})
    (cause,) = report.causes
    assert isinstance(cause, StorageMfaDelete)
    assert cause.code == "storage.mfa_delete"
    assert "object-lock.md" in cause.hint


def test_mfa_delete_is_known_from_the_bucket_where_the_answer_does_not_say(server: S3Server, prefix: str) -> None:
    """What the bucket says is injected, too."""
    keys = fill(open_bucket(server, "locked", prefix), 1)
    storage = bare(open_bucket(server, "locked", prefix, versions="delete"))
    storage._connection.client.meta.events.register(
        "after-call.s3.GetBucketVersioning", lambda parsed, **_context: parsed.update(MFADelete="Enabled")
    )
    answer_once(storage, MFA.replace("Mfa Authentication must be used for this request", "Access Denied"), status=403)
    assert isinstance(storage.delete(keys).causes[0], StorageMfaDelete)


# --- locks -----------------------------------------------------------------------------------------------------------


def test_a_service_that_refuses_the_whole_for_one_locked_object_is_asked_again(server: S3Server, prefix: str) -> None:
    """As VersityGW does (its issue 1567); the refusal is injected, the locks are the server's."""
    storage = bare(open_bucket(server, "locked", prefix, versions="delete"))
    keys = fill(storage, 4)
    storage.set_hold([keys[1]], on=True)
    message = "Access Denied because object protected by object lock."
    asked = answer_once(storage, f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>", status=403)
    report = storage.delete(keys)
    assert report.deleted == (keys[0], keys[2], keys[3])
    assert (report.refused, report.deferred) == ({}, {keys[1]: None})
    assert asked == [4, 3]


def test_a_lock_that_we_may_not_look_at_is_believed_when_the_service_says_so(server: S3Server, prefix: str) -> None:
    """The refusal to tell is injected."""
    keeper = open_bucket(server, "locked", prefix)
    keys = fill(keeper, 1)
    keeper.set_hold(keys, on=True)
    storage = bare(open_bucket(server, "locked", prefix, versions="delete"))
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):
        forbid(storage, operation)
    root = f"{prefix}/"
    version = next(iter(keeper.versions())).version_id
    error = (
        f"<DeleteResult><Error><Key>{root}{keys[0]}</Key><VersionId>{version}</VersionId><Code>AccessDenied</Code>"
        "<Message>{}</Message></Error></DeleteResult>"
    )
    answer_once(storage, error.format("Access Denied because object protected by object lock."))
    assert storage.delete(keys).deferred == {keys[0]: None}
    storage = bare(open_bucket(server, "locked", prefix, versions="delete"))
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):
        forbid(storage, operation)
    answer_once(storage, error.format("Access Denied"))
    report = storage.delete(keys)
    assert (report.deferred, set(report.refused)) == ({}, set(keys))
    assert "s3:GetObjectRetention" in report.causes[0].hint


def forbid(storage: S3Storage, operation: str) -> None:
    """Inject: that operation is answered 403 AccessDenied."""
    from botocore.awsrequest import AWSResponse

    class _Body:
        def stream(self, **_options: t.Any) -> t.Iterator[bytes]:
            yield b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

    storage._connection.client.meta.events.register(
        f"before-send.s3.{operation}", lambda request, **_context: AWSResponse(request.url, 403, {}, _Body())
    )


def test_compliance_stays_compliance(server: S3Server, prefix: str) -> None:
    open_bucket(server, "locked", prefix, object_lock={"mode": "compliance", "retain": "1d"}).put("a", b"x")
    # Where nothing is said of locks, what has none gets governance.
    storage = open_bucket(server, "locked", prefix)
    until = now() + MONTH
    assert storage.extend_lock(["a"], until=until) == {}
    state = open_bucket(server, "locked", prefix).lock_state("a")
    assert state is not None
    assert state.mode == "compliance"
    assert state.until is not None
    assert until <= state.until <= until + datetime.timedelta(seconds=1)


def test_what_is_written_is_locked_as_the_policy_says(server: S3Server, prefix: str) -> None:
    until = now() + 2 * MONTH
    by_policy = {"mode": "governance", "retain": "policy"}
    ways: dict[str, tuple[dict[str, t.Any], datetime.datetime | None]] = {
        "until": ({"object_lock": by_policy, "retain_until": until}, until),
        "for": ({"object_lock": by_policy, "retain_for": MONTH}, now() + MONTH),
        "nobody-says": ({"object_lock": by_policy}, None),
        "past": ({"object_lock": by_policy, "retain_until": now() - MONTH}, None),
        "duration": (
            {"object_lock": {"mode": "governance", "retain": "7d"}, "retain_for": MONTH},
            now() + MONTH * 7 / 30,
        ),
        "not-these": ({"object_lock": {"mode": "governance", "retain": "7d"}, "lock_writes": False}, None),
    }
    reader = open_bucket(server, "locked", prefix)
    for key, (options, expected) in ways.items():
        open_bucket(server, "locked", prefix, **options).put(key, b"x")
        state = reader.lock_state(key)
        assert (state is None) == (expected is None), key
        if state is not None and expected is not None:
            assert state.until is not None
            assert abs((state.until - expected).total_seconds()) < 60, key
    everything = open_bucket(server, "locked", prefix, object_lock={"mode": "governance", "retain": "7d"})
    for key in (".lifeboat-check", ".lifeboat/prune.json"):
        everything.put(key, b"x")
        assert reader.lock_state(key) is None


def test_a_bucket_without_versions_needs_no_other_deletes(server: S3Server, proxy: FaultProxy, prefix: str) -> None:
    storage = open_bucket(server, "lifeboat", prefix, endpoint_url=proxy.endpoint_url, versions="delete")
    keys = fill(open_bucket(server, "lifeboat", prefix), 3)
    assert storage.delete(keys).deleted == tuple(keys)
    assert storage.delete(keys).deleted == tuple(keys)
    assert [request.path.partition("?")[2] for request in proxy.requests] == ["versioning", "delete", "delete"]


def test_a_bucket_without_locks_says_so_when_something_is_to_be_locked(server: S3Server, prefix: str) -> None:
    storage = open_bucket(server, "lifeboat", prefix)
    storage.put("a", b"x")
    assert storage.extend_lock(["a"], until=now() + MONTH) == {"a": "the bucket lifeboat has no object lock"}
    locking = open_bucket(server, "lifeboat", prefix, object_lock={"mode": "governance", "retain": "7d"})
    with pytest.raises(StorageError) as caught:
        locking.put("b", b"x")
    assert "Has the bucket lifeboat object lock?" in caught.value.hint
    # Nothing of it: an object that is not locked, though it should be, would be worse than none.
    assert keys_of(storage.list()) == ["a"]


# --- what changes meanwhile ------------------------------------------------------------------------------------------


def small_pages(storage: Storage, operation: str, size: int) -> None:
    bare(storage)._connection.client.meta.events.register(
        f"provide-client-params.s3.{operation}", lambda params, **_context: {**params, "MaxKeys": size}
    )


def test_a_listing_shows_all_that_stays_while_others_delete_and_write(server: S3Server, prefix: str) -> None:
    everything = open_bucket(server, "lifeboat", prefix)
    keys = fill(everything, 60)
    staying = keys[::3]
    storage = open_bucket(server, "lifeboat", prefix)
    small_pages(storage, "ListObjectsV2", 7)
    seen: list[str] = []
    for number, info in enumerate(storage.list("a/")):
        seen.append(info.key)
        if number == 10:
            # Before and behind the place that the listing has reached, the next page's own first key included.
            everything.delete([key for key in keys if key not in staying])
            everything.put("a/00005-new", b"x")
            everything.put("a/00050-new", b"x")
    assert len(seen) == len(set(seen))
    assert set(staying) <= set(seen)
    assert set(seen) <= {*keys, "a/00005-new", "a/00050-new"}


def test_a_bucket_can_be_emptied_while_it_is_listed(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "lifeboat", prefix), 60)
    storage = open_bucket(server, "lifeboat", prefix)
    small_pages(storage, "ListObjectsV2", 7)
    seen = []
    for info in storage.list():
        seen.append(info.key)
        storage.delete([info.key])
    assert seen == keys
    assert keys_of(storage.list()) == []


def test_versions_are_listed_over_many_pages_and_while_they_go(server: S3Server, prefix: str) -> None:
    storage = open_bucket(server, "locked", prefix)
    for _round in range(3):
        fill(storage, 20, form="a/{:05d}0")
    # Markers on top of versions, and markers of names that never were: the service lists them apart from versions.
    storage.delete(["a/000030", "a/000070", "a/000110", *(f"a/{number:05d}1" for number in range(20))])
    # And a version on top of a marker, which may be the first of the next page.
    for number in range(0, 20, 2):
        storage.put(f"a/{number:05d}1", b"x")
    small_pages(storage, "ListObjectVersions", 5)
    found = list(storage.versions())
    assert len(found) == 93
    assert len({(version.key, version.version_id) for version in found}) == 93
    changes = [key for place, key in enumerate(one.key for one in found) if place == 0 or found[place - 1].key != key]
    assert len(changes) == 40, "the versions of a key are not together"
    gone = 0
    for version in storage.versions():
        gone += len(storage.delete_versions([version]).deleted)
    assert gone == 93
    assert list(storage.versions()) == []


def test_names_that_the_server_loses_between_pages_are_deleted_all_the_same(server: S3Server, prefix: str) -> None:
    """SeaweedFS goes through ``a-`` before ``a`` and names the next page as if it were the other way round."""
    storage = open_bucket(server, "locked", prefix, versions="delete")
    for _round in range(2):
        keys = [*fill(storage, 12), *fill(storage, 12, form="a/{:05d}-")]
    # The listing of the folder alone: here its pages are small, elsewhere the folder is large.
    bare(storage)._connection.client.meta.events.register(
        "provide-client-params.s3.ListObjectVersions",
        lambda params, **_context: {**params, "MaxKeys": 5} if params["Prefix"].endswith("a/000") else params,
    )
    assert len(list(storage.versions("a/000"))) < 48, "the server loses none any more: the second look can go"
    assert sorted(storage.delete(keys).deleted) == sorted(keys)
    assert list(open_bucket(server, "locked", prefix).versions()) == []


def test_few_keys_of_a_large_folder_are_found_by_their_names(server: S3Server, prefix: str) -> None:
    """Listing the folder would be more requests than looking for each of them."""
    storage = open_bucket(server, "locked", prefix, versions="delete")
    for _round in range(2):
        keys = fill(storage, 60)
    for key in ("a/000070", "a/00007-", "a/00007/x", "a/0000"):
        storage.put(key, b"x")
    for _round in range(12):
        storage.put("a/00050", b"x", if_absent=False)
    small_pages(storage, "ListObjectVersions", 5)
    asked: list[str] = []
    bare(storage)._connection.client.meta.events.register(
        "before-call.s3.ListObjectVersions", lambda params, **_context: asked.append(params["query_string"]["prefix"])
    )
    assert storage.delete(["a/00007", "a/00050", "a/00059-none"]).deleted == ("a/00007", "a/00050", "a/00059-none")
    left = {version.key for version in storage.versions()}
    assert left == {*keys, "a/000070", "a/00007-", "a/00007/x", "a/0000"} - {"a/00007", "a/00050"}
    listings = [name.removeprefix(f"{prefix}/") for name in asked]
    # Three pages of the folder, one of the first key, three of the second, one of the third; the rest is the test's.
    assert listings[:3] == ["a/000"] * 3
    assert "a/000" not in listings[3:8]
    assert listings.count("a/00050") == 3


def test_two_who_delete_the_same_do_no_harm(server: S3Server, prefix: str) -> None:
    keys = fill(open_bucket(server, "locked", prefix), 120)
    both = [open_bucket(server, "locked", prefix, versions="delete", batch_size=7) for _number in range(2)]
    begin = threading.Barrier(2)

    def delete(storage: Storage) -> tuple[str, ...]:
        begin.wait(timeout=10)
        report = storage.delete(keys)
        assert (report.refused, report.deferred) == ({}, {})
        return report.deleted

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        assert list(pool.map(delete, both)) == [tuple(keys)] * 2
    assert list(both[0].versions()) == []


def test_the_skew_is_that_of_the_clocks(server: S3Server, prefix: str) -> None:
    class Late(FakeClock):
        """Ten minutes slow, and running."""

        def now(self) -> datetime.datetime:
            return now() - datetime.timedelta(minutes=10)

    assert 598 < open_bucket(server, "lifeboat", prefix, clock=Late()).clock_skew() < 602
    # A refusal has a date as well.
    stranger = S3Identity(name="stranger", actions=())
    assert abs(open_bucket(server, "lifeboat", prefix, identity=stranger).clock_skew()) < 2
    before = time.monotonic()
    with pytest.raises(StorageUnreachable):
        open_bucket(server, "lifeboat", prefix, endpoint_url="http://127.0.0.1:9", clock=FakeClock()).clock_skew()
    assert time.monotonic() - before < 20


def test_listings_tell_the_class_of_each_object(server: S3Server, prefix: str) -> None:
    """The server keeps the name of the class; what it means is Amazon's affair."""
    open_bucket(server, "lifeboat", prefix, storage_class="STANDARD_IA").put("a", b"x")
    storage = open_bucket(server, "lifeboat", prefix)
    storage.put("b", b"x")
    assert [info.storage_class for info in storage.list()] == ["STANDARD_IA", "STANDARD"]
    assert [storage.stat(key).storage_class for key in ("a", "b")] == ["STANDARD_IA", "STANDARD"]
