# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a record in Route 53, as moto plays it."""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import threading
import typing as t
import urllib.request

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DnsOtherType,
    DnsRecordMissing,
    DnsRecordRouted,
    DnsRefused,
    DnsUnreachable,
    RequestInvalid,
    StorageCredentialsMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.record import Found, record_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.route53 import Route53, Route53Options
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.dns.switching import switch
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.s3_options import S3Credentials
from sandbox.ports import free_port
from sandbox.route53 import Route53Server
from tests.integration.dns.conftest import NEW, OLD, ZONE, api

_DENIED = (
    '<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type>'
    "<Code>AccessDenied</Code><Message>not authorized to perform: route53:ChangeResourceRecordSets</Message></Error>"
    "</ErrorResponse>"
)


def simple(name: str, type_: str, *values: str, ttl: int = 60, **more: t.Any) -> dict[str, t.Any]:
    return {"Name": name, "Type": type_, "TTL": ttl, "ResourceRecords": [{"Value": one} for one in values], **more}


@pytest.fixture
def zone(amazon: Route53Server) -> t.Iterator[str]:
    records = [
        simple(f"api.{ZONE}", "A", OLD, ttl=3),
        simple(f"web.{ZONE}", "CNAME", f"api.{ZONE}"),
        simple(f"near.{ZONE}", "A", OLD, SetIdentifier="west", Weight=10),
        simple(f"near.{ZONE}", "A", NEW, SetIdentifier="east", Weight=0),
    ]
    made = amazon.make_zone(ZONE, records)
    yield made
    amazon.remove_zone(made)


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> S3Credentials:
    path = tmp_path / "route53.env"
    path.write_text("AWS_ACCESS_KEY_ID=AKIATEST\nAWS_SECRET_ACCESS_KEY=secret\n")
    return S3Credentials(file=str(path))


def provider(endpoint: str, keys: S3Credentials, zone_id: str | None = None) -> Route53:
    options = Route53Options(zone_id=zone_id, endpoint_url=endpoint, credentials=keys, wait_seconds=5)
    return Route53(options, runner=SubprocessRunner(), clock=SystemClock(), journal=MemoryJournal())


def test_a_record_is_moved_and_its_old_values_are_the_way_back(
    amazon: Route53Server, zone: str, keys: S3Credentials
) -> None:
    for zone_id in (None, zone):
        place = provider(amazon.endpoint_url, keys, zone_id)
        moved = switch(api(NEW), place, check=False)
        assert (moved.changed, moved.before, place.look(api())) == (True, Found((OLD,), 3), Found((NEW,), 3))
        assert not switch(api(NEW), place, check=False).changed
        assert switch(api(OLD), place, check=False).changed
    # What is beside it is as it was.
    assert len(amazon.sets(zone)) == 6


def test_trying_the_right_to_change_it_changes_nothing(amazon: Route53Server, zone: str, keys: S3Credentials) -> None:
    before = amazon.sets(zone)
    for value in (NEW, OLD):
        assert switch(api(value), provider(amazon.endpoint_url, keys), check=True).changed == (value == NEW)
    assert amazon.sets(zone) == before


def test_what_is_not_there_or_more_than_values_is_named_and_left_alone(
    amazon: Route53Server, zone: str, keys: S3Credentials
) -> None:
    before = amazon.sets(zone)
    place = provider(amazon.endpoint_url, keys)
    with pytest.raises(DnsRecordMissing):
        switch(api(name="apii"), place, check=False)
    with pytest.raises(DnsOtherType):
        switch(api(name="web"), place, check=False)
    with pytest.raises(DnsRecordRouted, match="routing policy"):
        switch(api(name="near"), place, check=False)
    elsewhere = record_of(name="api.other.test", type="A", zone="other.test", values=[NEW], ttl=60)
    with pytest.raises(RequestInvalid, match=r"no zone other\.test"):
        switch(elsewhere, place, check=False)
    with pytest.raises(DnsRefused, match="no zone ZNOTHERE"):
        switch(api(), provider(amazon.endpoint_url, keys, "ZNOTHERE"), check=False)
    assert amazon.sets(zone) == before


def test_a_record_is_made_when_that_is_asked_for(amazon: Route53Server, zone: str, keys: S3Credentials) -> None:
    made = switch(api(name="new"), provider(amazon.endpoint_url, keys, zone), check=False, create=True)
    assert (made.before, made.changed) == (None, True)


def test_keys_that_may_only_read_are_told_beforehand(amazon: Route53Server, zone: str, keys: S3Credentials) -> None:
    with _reading_only(amazon.endpoint_url) as endpoint:
        place = provider(endpoint, keys, zone)
        assert place.look(api()) == Found((OLD,), 3)
        for check in (True, False):
            with pytest.raises(DnsRefused, match="AccessDenied") as raised:
                switch(api(NEW), place, check=check)
            assert "route53:ChangeResourceRecordSets" in raised.value.hint
            assert zone in raised.value.hint


def test_no_keys_and_no_amazon_are_told(keys: S3Credentials, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DnsUnreachable, match="can't be reached"):
        switch(api(), provider(f"http://127.0.0.1:{free_port()}", keys, "Z1"), check=True)
    with pytest.raises(StorageCredentialsMissing, match="No such file"):
        provider("http://127.0.0.1:1", S3Credentials(file=str(tmp_path / "gone")))


@contextlib.contextmanager
def _reading_only(upstream: str) -> t.Iterator[str]:
    """Amazon for keys whose policy allows reading: what would change is refused in Amazon's words."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # By the header moto knows which of Amazon's services is meant.
            headers = {"Authorization": self.headers["Authorization"]}
            request = urllib.request.Request(upstream + self.path, headers=headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                self._answer(200, answer.read())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(403, _DENIED.encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: t.Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
