# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time as people write them: read exactly, or refused with what to write instead."""

from __future__ import annotations

import contextlib
import datetime
import json
import typing as t

import pytest
from hypothesis import given, strategies

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RecoveryTargetInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    KINDS,
    RecoveryTarget,
    recovery_target_from,
)

NOW = parse_time("2026-11-21T12:00:00Z")


def read(**document: t.Any) -> RecoveryTarget:
    return recovery_target_from(document, now=NOW)


def refused(document: t.Any) -> RecoveryTargetInvalid:
    with pytest.raises(RecoveryTargetInvalid) as caught:
        recovery_target_from(document, now=NOW)
    assert caught.value.hint
    assert caught.value.exit_status == 2
    return caught.value


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T11:03:00Z", "2026-11-21T11:03:00Z"),
        ("2026-11-21t11:03:00z", "2026-11-21T11:03:00Z"),
        (" 2026-11-21T11:03:00Z\n", "2026-11-21T11:03:00Z"),
        ("2026-11-21 12:03:00.25+01:00", "2026-11-21T11:03:00.25Z"),
        ("2026-11-21T11:03:00.123456789Z", "2026-11-21T11:03:00.123456Z"),
        ("2026-11-21 11:03 UTC", "2026-11-21T11:03:00Z"),
        ("2026-11-21 11:03 utc", "2026-11-21T11:03:00Z"),
        ("2026-11-21 12:03 Europe/Berlin", "2026-11-21T11:03:00Z"),
        ("2026-07-01T12:03:04.5 Europe/Berlin", "2026-07-01T10:03:04.5Z"),
        ("2026-07-01 00:00:00 America/Argentina/Buenos_Aires", "2026-07-01T03:00:00Z"),
        ("2026-07-01 00:00 Etc/GMT+3", "2026-07-01T03:00:00Z"),
        # The hours beside a turn of the clocks are not in doubt.
        ("2026-10-25 01:59:59 Europe/Berlin", "2026-10-24T23:59:59Z"),
        ("2026-10-25 03:00 Europe/Berlin", "2026-10-25T02:00:00Z"),
        ("2026-03-29 03:00 Europe/Berlin", "2026-03-29T01:00:00Z"),
    ],
)
def test_a_time_is_one_instant(text: str, instant: str) -> None:
    target = read(time=text)
    assert target.time == parse_time(instant)
    assert target.time is not None
    assert target.time.tzinfo is datetime.timezone.utc
    assert target.kind == "time"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T11:03:00",
        "2026-11-21 11:03",
        "2026-11-21",
        "11:03",
        "yesterday",
        "now",
        "",
        "1763751600",
        "21.11.2026 11:03 Europe/Berlin",
        "2026-11-21T11:03Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T11:60:00Z",
        "2026-11-21T11:03:60Z",
        "2026-02-30T11:03:00Z",
        "2026-02-30 11:03 Europe/Berlin",
        "2026-11-21T11:03:00+25:00",
        "2026-11-21T11:03:00+1",
        "0001-01-01T00:00:00+12:00",
        "0001-01-01 00:00 Europe/Berlin",
        "2026-11-21 11:03 CET",
        "2026-11-21 11:03 CST",
        "2026-11-21 11:03 Europe/Nowhere",
        "2026-11-21 11:03 Europe/../../etc/passwd",
        "2026-11-21 11:03 Europe/Berlin; rm",
        "2026-11-21T11:03:00Z Europe/Berlin",
        "\u0662026-11-21T11:03:00Z",
    ],
)
def test_what_can_not_be_meant_as_a_time_is_refused(text: str) -> None:
    assert refused({"time": text}).code == "recovery.target_invalid"


@pytest.mark.parametrize("value", [1763751600, 1.5, True, [], {}, b"2026", datetime.date(2026, 11, 21)])
def test_a_time_is_a_text(value: t.Any) -> None:
    refused({"time": value})


def test_what_yaml_makes_of_a_time() -> None:
    assert read(time=parse_time("2026-11-21T11:03:00Z")).value == "2026-11-21T11:03:00Z"
    error = refused({"time": datetime.datetime(2026, 11, 21, 11, 3)})  # noqa: DTZ001 that is the point
    assert "quotes" in str(error.hint)


def test_a_local_time_that_happened_twice_names_both_instants() -> None:
    error = refused({"time": "2026-10-25 02:30 Europe/Berlin"})
    assert "twice" in error.message
    for instant in ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "+02:00", "+01:00"):
        assert instant in str(error.hint)
    # What the hint says can be typed.
    assert read(time="2026-10-25T02:30:00+02:00").time == parse_time("2026-10-25T00:30:00Z")


def test_a_local_time_that_never_was_names_both_instants() -> None:
    error = refused({"time": "2026-03-29 02:30 Europe/Berlin"})
    assert "did not exist" in error.message
    for instant in ("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"):
        assert instant in str(error.hint)


def test_the_future_is_refused() -> None:
    assert read(time="2026-11-21T12:00:00Z").time == NOW
    assert "future" in refused({"time": "2026-11-21T12:00:00.000001Z"}).message
    assert "future" in refused({"time": "2026-11-21 13:00:01 Europe/Berlin"}).message
    assert "latest" in str(refused({"time": "9999-12-31T23:59:59Z"}).hint)


@pytest.mark.parametrize(
    ("value", "found", "timeline"),
    [
        ("0/3000148", "0/3000148", ""),
        (" 16/b374d848 ", "16/B374D848", ""),
        ("00000016/0B374D84", "16/B374D84", ""),
        ("2/0/3000148", "0/3000148", "2"),
        ("FFFFFFFF/FFFFFFFF", "FFFFFFFF/FFFFFFFF", ""),
    ],
)
def test_positions_of_the_wal(value: str, found: str, timeline: str) -> None:
    target = read(lsn=value)
    assert (target.value, target.timeline) == (found, timeline)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "3000148",
        "0/",
        "/0",
        "0/0",
        "0/x",
        "0x0/1",
        "1/2/3/4",
        "123456789/0",
        "0/-1",
        "0/3000148'; --",
        3,
        None,
        True,
        0.3,
    ],
)
def test_what_is_no_position_is_refused(value: t.Any) -> None:
    refused({"lsn": value})
    refused({"kind": "lsn", "value": value})


def test_a_position_of_another_timeline_is_refused() -> None:
    assert read(lsn="2/0/3000148", timeline=2).timeline == "2"
    assert "timeline 2" in refused({"lsn": "2/0/3000148", "timeline": "3"}).message


@pytest.mark.parametrize(("value", "found"), [("742", "742"), (742, "742"), ("0742", "742"), (2**63, str(2**63))])
def test_transactions(value: t.Any, found: str) -> None:
    assert read(xid=value).value == found


@pytest.mark.parametrize("value", ["", "0", "2", "-3", "x", "7.0", 7.0, True, "²", "٣٤٥", 2**64, "0x10"])
def test_what_is_no_transaction_is_refused(value: t.Any) -> None:
    refused({"xid": value})


@pytest.mark.parametrize("value", ["before-upgrade", "it's", "grüße", "a" * 63, "\\"])
def test_names(value: str) -> None:
    assert read(name=value).value == value


@pytest.mark.parametrize("value", ["", "a" * 64, "ü" * 32, "two\nlines", "\x00", 7, True, ["x"]])
def test_what_is_no_name_is_refused(value: t.Any) -> None:
    refused({"name": value})


@pytest.mark.parametrize("kind", ["optime", "before_operation"])
def test_positions_of_the_oplog(kind: str) -> None:
    assert read(**{kind: "1763751600:4"}).value == "1763751600:4"
    assert read(**{kind: "01763751600"[1:] + ":04"}).value == "1763751600:4"
    for bad in ("1763751600", ":", "0:1", "1:", "1:-1", "x:1", "4294967296:1", "1:4294967296", 1763751604, None, ""):
        refused({kind: bad, "inclusive": True} if bad is not None else {"kind": kind})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "no target"),
        ({"inclusive": True}, "no target"),
        ({"time": None, "lsn": None, "latest": False}, "no target"),
        ({"latest": True, "immediate": True}, "several"),
        ({"time": "2026-11-21T11:03:00Z", "lsn": "0/3000148"}, "several"),
        ({"kind": "lsn", "value": "0/1", "xid": 7}, "several"),
        ({"kind": "moment", "value": "x"}, "no target 'moment'"),
        ({"kind": ["lsn"], "value": "0/1"}, "no target"),
        ({"value": "0/1"}, "without the kind"),
        ({"kind": "latest", "value": "0/1"}, "no value"),
        ({"latest": "yes"}, "must be true"),
        ({"latest": 1}, "must be true"),
        ({"latest": True, "exclusive": True}, "can't be exclusive"),
        ({"immediate": True, "inclusive": False}, "can't be exclusive"),
        ({"name": "x", "exclusive": True}, "can't be exclusive"),
        ({"lsn": "0/1", "inclusive": True, "exclusive": True}, "contradict"),
        ({"lsn": "0/1", "inclusive": False, "exclusive": False}, "contradict"),
        ({"lsn": "0/1", "inclusive": "no"}, "true or false"),
        ({"lsn": "0/1", "timeline": 0}, "no timeline"),
        ({"lsn": "0/1", "timeline": "two"}, "no timeline"),
        ({"lsn": "0/1", "timeline": True}, "no timeline"),
        ({"lsn": "0/1", "timeline": 2**32}, "no timeline"),
        ({"lsn": "0/1", "action": "panic"}, "no action"),
        ({"lsn": "0/1", "action": ["pause"]}, "no action"),
        ({"lsn": "0/1", "skip": "1:1"}, "list"),
        ({"lsn": "0/1", "skip": ["x"]}, "oplog"),
        ({"optime": "7:1", "skip": ["5:1/"]}, "names no operation"),
        ({"optime": "7:1", "skip": ["5:1/x"]}, "names no operation"),
        ({"lsn": "0/1", "tiem": "x", "zone": "y"}, "has no tiem, zone"),
    ],
)
def test_what_contradicts_itself_is_refused(document: dict[str, t.Any], words: str) -> None:
    assert words in refused(document).message


def test_the_rest() -> None:
    assert read(latest=True) == RecoveryTarget(kind="latest")
    assert read(kind="immediate", value="", timeline="latest").timeline == "latest"
    target = read(lsn="0/1", exclusive=True, timeline=3, action="pause")
    assert (target.inclusive, target.timeline, target.action) == (False, "3", "pause")
    assert target.text == "lsn 0/1, exclusive"
    assert read(optime="7:1", skip=["5:1", "6:2"]).skip == ("5:1", "6:2")
    assert read(optime="7:1", skip=["5:1/0", "6:2/13"]).skip == ("5:1/0", "6:2/13")


@pytest.mark.parametrize(
    "document",
    [
        {"time": "2026-11-21 12:03 Europe/Berlin", "exclusive": True, "action": "shutdown"},
        {"time": parse_time("2026-11-21T11:03:00.5Z")},
        {"lsn": "2/0/3000148", "inclusive": False},
        {"xid": 742, "timeline": 4, "action": "pause"},
        {"name": "it's \\"},
        {"optime": "7:1", "skip": ["5:1"]},
        {"before_operation": "7:1"},
        {"latest": True},
        {"immediate": True},
    ],
)
def test_the_form_in_the_ledger_reads_back(document: dict[str, t.Any]) -> None:
    target = recovery_target_from(document, now=NOW)
    noted = json.loads(json.dumps(target.as_dict()))
    assert recovery_target_from(noted, now=NOW) == target


ANYTHING = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=40),
    lambda inner: (
        strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    strategies.dictionaries(
        strategies.sampled_from([*KINDS, "kind", "value", "inclusive", "timeline", "skip"]), ANYTHING
    )
)
def test_anything_else_is_refused_and_never_breaks_it(document: dict[str, t.Any]) -> None:
    with contextlib.suppress(RecoveryTargetInvalid):
        target = recovery_target_from(document, now=NOW)
        assert recovery_target_from(target.as_dict(), now=NOW) == target
