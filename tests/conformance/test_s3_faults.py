# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket in trouble: a real S3 server behind a proxy that injects faults, and users who may not do everything."""

from __future__ import annotations

import datetime
import itertools
import signal
import socket
import sys
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    StorageBucketMissing,
    StorageError,
    StorageExists,
    StorageForbidden,
    StorageNotFound,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.retrying import RetryingStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3 import S3Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_options import (
    ObjectLock,
    S3Credentials,
    S3Options,
)
from tests.conformance.reading_suite import MIB, keys_of, noise
from tests.support.clocks import FakeClock

if sys.version_info < (3, 11):
    pytest.skip("the sandbox's servers need Python 3.11", allow_module_level=True)

from sandbox.faults import FaultProxy
from sandbox.s3 import S3Identity, S3Server
from sandbox.tcp_faults import TCPFaultProxy

pytestmark = pytest.mark.slow

READER = S3Identity.restricted("reader", read=("lifeboat",))
WRITER = S3Identity.restricted("writer", write=("lifeboat",))
# Three parts of 8 MiB and a smaller one.
BIG = 3 * 8 * MIB + 12_345
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("lifeboat",), locked_buckets=("locked",), identities=(READER, WRITER)) as running:
        yield running


@pytest.fixture
def proxy(server: S3Server) -> t.Iterator[FaultProxy]:
    with FaultProxy(server.port) as running:
        yield running


@pytest.fixture
def make(server: S3Server) -> t.Callable[..., S3Storage]:
    """Makes a storage below a prefix of its own; the second to be made sees what the first one stored."""
    prefix = f"faults/{next(_numbers)}"

    def build(
        endpoint_url: str = server.endpoint_url,
        *,
        identity: S3Identity = server.administrator,
        secret: str | None = None,
        **options: t.Any,
    ) -> S3Storage:
        defaults: dict[str, t.Any] = {
            "bucket": "lifeboat",
            "prefix": prefix,
            "region": server.region,
            "endpoint_url": endpoint_url,
            "part_bytes": 8 * MIB,
            "attempts": 3,
            "connect_timeout": 3,
            "read_timeout": 15,
            "credentials": S3Credentials(environment_prefix="TESTS"),
        }
        return S3Storage(
            options=S3Options(**{**defaults, **options}),
            clock=FakeClock(),
            runner=SubprocessRunner(),
            environment={
                "TESTS_ACCESS_KEY_ID": identity.access_key,
                "TESTS_SECRET_ACCESS_KEY": secret or identity.secret_key,
            },
        )

    return build


Make = t.Callable[..., S3Storage]


def is_empty(storage: Storage) -> bool:
    return not [*storage.list(), *storage.unfinished()]


# --- passing faults --------------------------------------------------------------------------------------------------


def test_slow_down_is_obeyed_and_outlived(make: Make, proxy: FaultProxy) -> None:
    storage = make(proxy.endpoint_url)
    proxy.slow_down(method="PUT", times=2)
    storage.put("a", b"x", if_absent=False)
    assert [request.fault for request in proxy.requests] == ["503 SlowDown", "503 SlowDown", ""]
    assert make().get("a") == b"x"


def test_parts_that_meet_faults_are_sent_again(make: Make, proxy: FaultProxy) -> None:
    storage = make(proxy.endpoint_url)
    proxy.slow_down(method="PUT", path_contains="partNumber=1", times=1)
    proxy.fail(method="PUT", path_contains="partNumber=2", times=1)
    proxy.cut_upload(1_000_000, method="PUT", path_contains="partNumber=3", times=1)
    proxy.fail(method="POST", path_contains="uploads", times=1)
    data = noise(BIG)
    assert storage.put("big", data).size == BIG
    assert len([request for request in proxy.requests if request.fault]) == 4
    assert make().get("big") == data
    assert list(make().unfinished()) == []


@pytest.mark.parametrize("fault", ["slow_down", "fail", "forbid"])
@pytest.mark.parametrize(
    "where",
    [
        {"method": "POST", "path_contains": "uploads"},
        {"method": "PUT", "path_contains": "partNumber=2"},
        {"method": "POST", "path_contains": "uploadId"},
    ],
    ids=["begin", "part", "complete"],
)
def test_whatever_fails_for_good_nothing_of_the_upload_is_left(
    make: Make, proxy: FaultProxy, fault: str, where: dict[str, str]
) -> None:
    storage = make(proxy.endpoint_url, attempts=2)
    getattr(proxy, fault)(**where)
    with pytest.raises(StorageForbidden if fault == "forbid" else StorageUnreachable):
        storage.put("big", noise(BIG))
    assert is_empty(make())
    assert any(request.method == "DELETE" for request in proxy.requests) == (where["path_contains"] != "uploads")


def test_a_connection_that_is_cut_in_mid_upload_leaves_nothing(make: Make, proxy: FaultProxy) -> None:
    storage = make(proxy.endpoint_url, attempts=2)
    proxy.cut_upload(3_000_000, path_contains="partNumber=3")
    writer = storage.writer("a/big")
    data = noise(BIG)

    def store() -> None:
        for start in range(0, BIG, MIB):
            writer.write(data[start : start + MIB])
        writer.commit()

    with pytest.raises(StorageUnreachable):
        store()
    assert is_empty(make())
    with pytest.raises(StorageError):
        writer.write(b"more")


def test_a_part_that_fails_stops_the_stream_before_its_end(make: Make, proxy: FaultProxy) -> None:
    """Nobody dumps a terabyte into an upload that has failed already."""
    writer = make(proxy.endpoint_url, attempts=1).writer("big")
    proxy.fail(path_contains="partNumber=1")
    written = 0

    def write() -> None:
        nonlocal written
        for _piece in range(100):
            writer.write(noise(8 * MIB))
            written += 1

    with pytest.raises(StorageUnreachable):
        write()
    assert written <= 7  # four parts may be on their way, and one is being filled
    assert is_empty(make())
    writer.abort()


def test_nobody_there_is_unreachable(make: Make) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes the port
        storage = make(f"http://127.0.0.1:{reserved.getsockname()[1]}", attempts=2)
        for call in (
            storage.check,
            lambda: storage.get("a"),
            lambda: list(storage.list()),
            lambda: storage.delete(["a"]),
        ):
            with pytest.raises(StorageUnreachable) as caught:
                call()
        assert "curl -sv http://127.0.0.1" in caught.value.hint


def test_an_interrupt_aborts_the_upload(make: Make, proxy: FaultProxy) -> None:
    """As SIGINT and SIGTERM do: an exception out of nowhere while parts are on their way."""
    storage = make(proxy.endpoint_url)
    proxy.delay(3, path_contains="partNumber=2")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        writer = storage.writer("big")
        writer.write(noise(BIG))
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            writer.commit()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert is_empty(make())


# --- lost answers ----------------------------------------------------------------------------------------------------


def lose_first_answer(storage: S3Storage, operation: str) -> list[int]:
    """Inject: the first request of *operation* reaches the server, its answer is replaced by a 500."""
    import urllib3
    from botocore.awsrequest import AWSResponse

    statuses: list[int] = []

    class _NoBody:
        def stream(self, **_options: t.Any) -> t.Iterator[bytes]:
            yield b""

    def lose(request: t.Any, **_context: t.Any) -> t.Any:
        if statuses:
            return None
        body = request.body.read() if hasattr(request.body, "read") else request.body
        with urllib3.PoolManager() as pool:
            answer = pool.request(request.method, request.url, headers=dict(request.headers.items()), body=body)
        statuses.append(answer.status)
        return AWSResponse(request.url, 500, {}, _NoBody())

    storage._connection.client.meta.events.register(f"before-send.s3.{operation}", lose)
    return statuses


@pytest.mark.parametrize(("operation", "size"), [("PutObject", 10), ("CompleteMultipartUpload", BIG)])
def test_an_object_whose_answer_was_lost_is_recognised_as_ones_own(make: Make, operation: str, size: int) -> None:
    storage = make()
    statuses = lose_first_answer(storage, operation)
    info = storage.put("a/b", noise(size))  # the second attempt finds the object there already
    assert statuses == [200]
    assert (info.key, info.size) == ("a/b", size)
    assert make().get("a/b") == noise(size)
    assert list(make().unfinished()) == []


def test_an_object_of_somebody_else_is_not_taken_for_ones_own(make: Make) -> None:
    make().put("a/b", b"his")
    storage = make()
    statuses = lose_first_answer(storage, "PutObject")
    storage._connection.conditional = True  # else it would look first
    with pytest.raises(StorageExists):
        storage.put("a/b", b"his")
    assert statuses == [412]


def test_a_put_is_completed_by_the_next_attempt_when_the_line_was_dead(make: Make, server: S3Server) -> None:
    with TCPFaultProxy(server.port) as line:
        line.cut_after = 0  # requests arrive, no answer comes back

        class Healing(FakeClock):
            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                line.heal()

        inner = make(f"http://127.0.0.1:{line.port}", attempts=1)
        inner._connection.conditional = True  # else it would look first, and the line is dead for that too
        storage = RetryingStorage(storage=inner, clock=Healing(), attempts=2)
        storage.put("a/b", b"data")
    assert make().get("a/b") == b"data"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_broken_read_goes_on_at_its_byte(make: Make, proxy: FaultProxy) -> None:
    data = noise(5 * MIB)
    make().put("a", data)
    proxy.cut_download(2_000_000, method="GET", times=3)
    storage = make(proxy.endpoint_url)
    assert b"".join(storage.read("a")) == data
    gets = [request for request in proxy.requests if request.method == "GET"]
    assert [bool(request.fault) for request in gets] == [True, True, True, False]


def test_a_broken_range_goes_on_at_its_byte(make: Make, proxy: FaultProxy) -> None:
    data = noise(5 * MIB)
    make().put("a", data)
    proxy.cut_download(1_500_000, method="GET", times=2)
    assert b"".join(make(proxy.endpoint_url).read("a", offset=100, length=3 * MIB + 777)) == data[100 : 877 + 3 * MIB]


def test_a_read_that_never_gets_on_is_given_up(make: Make, proxy: FaultProxy) -> None:
    make().put("a", noise(3 * MIB))
    proxy.cut_download(0, method="GET")
    storage = make(proxy.endpoint_url, attempts=1)
    with pytest.raises(StorageUnreachable):
        list(storage.read("a"))
    assert 1 < len(proxy.requests) <= 6


def test_a_broken_read_does_not_go_on_in_another_object(make: Make, proxy: FaultProxy) -> None:
    make().put("a", noise(5 * MIB))
    proxy.cut_download(3 * MIB, method="GET", times=1)
    pieces = make(proxy.endpoint_url).read("a")
    next(pieces)
    make().put("a", noise(5 * MIB, seed=2), if_absent=False)
    with pytest.raises(StorageError, match="replaced"):
        list(pieces)


def test_a_list_outlives_faults_between_its_pages(make: Make, proxy: FaultProxy) -> None:
    for number in range(12):
        make().put(f"a/{number:02d}", b"")
    storage = make(proxy.endpoint_url)
    storage._connection.client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_context: {**params, "MaxKeys": 5}
    )
    proxy.slow_down(method="GET", skip=1, times=1)
    assert keys_of(storage.list()) == [f"a/{number:02d}" for number in range(12)]
    assert [request.fault for request in proxy.requests] == ["", "503 SlowDown", "", ""]


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_refusal_is_asked_for_once(make: Make, proxy: FaultProxy) -> None:
    storage = RetryingStorage(storage=make(proxy.endpoint_url, attempts=5), clock=FakeClock(), attempts=5)
    proxy.forbid()
    with pytest.raises(StorageForbidden) as caught:
        storage.put("a", b"x", if_absent=False)
    assert [request.method for request in proxy.requests] == ["PUT"]
    assert "s3:PutObject" in caught.value.hint
    for call in (lambda: storage.get("a"), lambda: list(storage.list()), lambda: storage.stat("a")):
        count = len(proxy.requests)
        with pytest.raises(StorageForbidden):
            call()
        assert len(proxy.requests) == count + 1


def test_a_missing_bucket_is_named_by_every_call(make: Make) -> None:
    storage = make(bucket="no-such-bucket")
    calls: list[t.Callable[[], object]] = [
        storage.check,
        lambda: storage.put("a", b"x", if_absent=False),
        lambda: storage.put("a", noise(BIG), if_absent=False),
        lambda: storage.put("a", b"x"),
        lambda: storage.get("a"),
        lambda: storage.read("a"),
        lambda: list(storage.list()),
        lambda: list(storage.list_folders()),
        lambda: list(storage.unfinished()),
        lambda: storage.delete(["a"]),
    ]
    for call in calls:
        with pytest.raises(StorageBucketMissing, match="no-such-bucket"):
            call()


def test_a_wrong_secret_is_told_from_a_wrong_id_and_never_shown(make: Make, server: S3Server) -> None:
    storage = make(secret="geheimnis-geheimnis")
    with pytest.raises(StorageForbidden) as caught:
        storage.check()
    assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint
    assert caught.value.details["code"] == "SignatureDoesNotMatch"
    told = f"{caught.value} {caught.value.as_dict()} {storage!r} {storage.properties} {storage._options}"
    assert "geheimnis" not in told
    assert server.administrator.access_key not in told

    with pytest.raises(StorageForbidden) as caught:
        make(identity=S3Identity(name="stranger", actions=())).check()
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_who_may_only_read_can_not_pass_the_check(make: Make) -> None:
    make().put("a", b"x")
    storage = make(identity=READER)
    assert storage.get("a") == b"x"
    assert keys_of(storage.list()) == ["a"]
    with pytest.raises(StorageForbidden):
        storage.check()
    with pytest.raises(StorageForbidden):
        storage.put("b", noise(BIG))
    assert keys_of(make().list()) == ["a"]


def test_who_may_only_write_can_store_and_neither_read_nor_replace(make: Make) -> None:
    storage = make(identity=WRITER)
    storage.check()
    assert storage.properties.conditional_put
    storage.put("a/b", b"small")
    storage.put("a/big", noise(BIG))
    assert make().get("a/b") == b"small"
    assert make().get("a/big") == noise(BIG)
    with pytest.raises(StorageForbidden):
        storage.get("a/b")
    for data in (b"other", noise(BIG, seed=2)):
        with pytest.raises(StorageExists):
            storage.put("a/b", data)
    assert make().get("a/b") == b"small"


def test_delete_reports_what_is_refused_as_a_whole(make: Make, proxy: FaultProxy) -> None:
    make().put("a", b"x")
    proxy.forbid(method="POST", path_contains="delete")
    storage = make(proxy.endpoint_url)
    report = storage.delete(["a", "b"])
    assert (report.deleted, sorted(report.refused)) == ((), ["a", "b"])
    assert "AccessDenied" in report.refused["a"]
    storage.check()  # what may not be deleted again is left
    assert keys_of(make().list()) == [".lifeboat-check", "a"]
    with pytest.raises(StorageForbidden):
        make(secret="wrong").delete(["a"])


ANSWER = """<?xml version="1.0"?><DeleteResult>
<Deleted><Key>{root}gone</Key></Deleted>
<Error><Key>{root}locked</Key><Code>AccessDenied</Code><Message>Object is WORM protected</Message></Error>
<Error><Key>{root}never</Key><Code>NoSuchKey</Code><Message>x</Message></Error>{more}</DeleteResult>"""
BUSY = "<Error><Key>{root}busy</Key><Code>InternalError</Code><Message>again</Message></Error>"


@pytest.mark.parametrize("busy", [False, True])
def test_delete_reads_the_answer_for_every_key(make: Make, busy: bool) -> None:
    """The answer to DeleteObjects is replaced: it says 200 whatever became of the keys."""
    from botocore.awsrequest import AWSResponse

    storage = make()
    root = storage._options.root
    body = ANSWER.format(root=root, more=BUSY.format(root=root) if busy else "").encode()

    class _Body:
        def stream(self, **_options: t.Any) -> t.Iterator[bytes]:
            yield body

    storage._connection.impatient_client.meta.events.register(
        "before-send.s3.DeleteObjects", lambda request, **_context: AWSResponse(request.url, 200, {}, _Body())
    )
    if busy:
        with pytest.raises(StorageUnreachable, match="busy: InternalError"):
            storage.delete(["gone", "locked", "never", "busy"])
        return
    report = storage.delete(["gone", "locked", "never"])
    assert report.deleted == ("gone", "never")
    assert report.refused == {"locked": "AccessDenied: Object is WORM protected"}
    with pytest.raises(StorageUnreachable, match="unmentioned: the service did not answer for it"):
        storage.delete(["gone", "unmentioned"])


# --- what services can and can't do ----------------------------------------------------------------------------------


def test_a_server_that_knows_conditions_is_found_out_by_the_check(make: Make) -> None:
    storage = make()
    assert not storage.properties.conditional_put
    storage.check()
    assert storage.properties.conditional_put


@pytest.mark.parametrize("size", [10, BIG])
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("how", ["ignored", "not implemented"])
def test_a_server_without_conditions_is_looked_at_first(make: Make, how: str, checked: bool, size: int) -> None:
    """The condition is taken out of the request, or answered as older services do."""
    from botocore.awsrequest import AWSResponse

    storage = make()
    events = storage._connection.client.meta.events

    class _Refusal:
        def stream(self, **_options: t.Any) -> t.Iterator[bytes]:
            yield b"<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>"

    def ignore(request: t.Any, **_context: t.Any) -> None:
        del request.headers["If-None-Match"]

    def refuse(request: t.Any, **_context: t.Any) -> t.Any:
        return AWSResponse(request.url, 501, {}, _Refusal()) if "If-None-Match" in request.headers else None

    for operation in ("PutObject", "CompleteMultipartUpload"):
        if how == "ignored":
            events.register(f"before-sign.s3.{operation}", ignore)
        else:
            events.register(f"before-send.s3.{operation}", refuse)
    if checked:
        storage.check()
    data = noise(size)
    storage.put("a", data)
    with pytest.raises(StorageExists):
        storage.put("a", noise(size, seed=2))
    assert not storage.properties.conditional_put
    assert make().get("a") == data
    assert keys_of(make().list()) == ["a"]
    assert list(make().unfinished()) == []


def test_uploads_without_checksums_work_too(make: Make) -> None:
    storage = make(checksums="when_required")
    storage.put("a", b"x")
    storage.put("big", noise(BIG))
    assert storage.get("big") == noise(BIG)
    assert storage.delete(["a", "big"]).refused == {}


def test_class_encryption_and_lock_are_passed_on(make: Make, server: S3Server) -> None:
    """What the server does with them is its own affair; here it keeps the lock and says so."""
    lock = ObjectLock(mode="GOVERNANCE", retain=datetime.timedelta(days=30))
    storage = make(bucket="locked", object_lock=lock, sse="AES256", storage_class="STANDARD_IA")
    sent: list[dict[str, t.Any]] = []
    for operation in ("PutObject", "CreateMultipartUpload"):
        storage._connection.client.meta.events.register(
            f"provide-client-params.s3.{operation}", lambda params, **_context: sent.append(params)
        )
    for key, data in (("small", b"x"), ("big", noise(BIG))):
        storage.put(key, data)
        head = server.client().head_object(Bucket="locked", Key=f"{storage._options.prefix}/{key}")
        assert head["ObjectLockMode"] == "GOVERNANCE"
        # The test's clock stands in November 2026.
        assert head["ObjectLockRetainUntilDate"] == datetime.datetime(2026, 12, 21, 2, tzinfo=datetime.timezone.utc)
    assert {params["StorageClass"] for params in sent} == {"STANDARD_IA"}
    assert {params["ServerSideEncryption"] for params in sent} == {"AES256"}
    # Hidden and not destroyed.
    assert storage.delete(["small"]).deleted == ("small",)
    with pytest.raises(StorageNotFound):
        storage.stat("small")
    versions = server.client().list_object_versions(Bucket="locked", Prefix=f"{storage._options.prefix}/small")
    assert [version["Size"] for version in versions["Versions"]] == [1]


def test_what_others_put_into_the_bucket_is_not_listed(make: Make, server: S3Server) -> None:
    storage = make()
    storage.put("a/b", b"x")
    client = server.client()
    for key in ("a/", "a/with space", "notes (1).txt"):
        client.put_object(Bucket="lifeboat", Key=f"{storage._options.prefix}/{key}", Body=b"")
    assert keys_of(storage.list()) == ["a/b"]
    assert list(storage.list_folders()) == ["a"]
    assert list(storage.list_folders("a/")) == []
