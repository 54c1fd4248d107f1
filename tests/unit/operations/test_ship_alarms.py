# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alarm of a stream has a name, a next step, and a row in the page for the one who is woken by it."""

from __future__ import annotations

import datetime
import pathlib
import re
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    StorageForbidden,
    StorageUnreachable,
    StreamConflict,
    StreamRecordInvalid,
    StreamSegmentGone,
    StreamSegmentRefused,
    StreamSpoolFull,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import ship_alarms
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_alarms import (
    Seen,
    alarms,
    state_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import SpoolState
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.source import StreamInspection
from tests.support.clocks import START
from tests.support.streams import Tape, ship_request

ROOT = pathlib.Path(__file__).resolve().parents[3]
REQUEST = ship_request(Tape(pathlib.Path("/nowhere")), {"near": {}, "far": {}}, state="/s", spool="/spool")
WELL = StreamInspection(lineage="one")
EMPTY = SpoolState(path="/spool", budget=100)
WAITS = SpoolState(path="/spool", budget=100, segments=2, used=50, oldest=START)
UNREACHABLE = StorageUnreachable("nobody answers", hint="Look at the network.")

CASES: dict[str, tuple[Seen, str]] = {
    "nothing": (Seen(WELL, EMPTY), "complete"),
    "on its way": (Seen(WELL, WAITS), "partial"),
    "repository_unreachable": (Seen(WELL, EMPTY, failed={"far": UNREACHABLE}), "partial"),
    "repository_failed": (Seen(WELL, EMPTY, failed={"far": StorageForbidden("403", hint="Ask.")}), "partial"),
    "too_few_repositories": (Seen(WELL, WAITS, failed={"far": UNREACHABLE}), "partial"),
    "no_repository": (Seen(WELL, WAITS, failed={"far": UNREACHABLE, "near": UNREACHABLE}), "blocked"),
    "segment_conflict": (Seen(WELL, WAITS, failed={"far": StreamConflict("two", hint="Look.")}), "blocked"),
    "segment_gone": (Seen(WELL, EMPTY, failed={"far": StreamSegmentGone("gone", hint="Look.")}), "partial"),
    "segment_refused": (Seen(WELL, WAITS, refused=[StreamSegmentRefused("no", hint="Look.")]), "blocked"),
    "hole": (Seen(WELL, EMPTY, holes=[("1", "3")]), "partial"),
    "copies_missing": (Seen(WELL, EMPTY, missing={"far": 3}), "partial"),
    "record_unreadable": (Seen(WELL, EMPTY, unread=[StreamRecordInvalid("no", hint="Look.")]), "complete"),
    "source_unreachable": (Seen(StreamInspection(None, reachable=False, problem="no."), EMPTY), "partial"),
    "capture_failed": (Seen(WELL, EMPTY, capture_problem=LifeboatError("no", hint="Look.")), "blocked"),
    "spool_full": (Seen(WELL, EMPTY, capture_problem=StreamSpoolFull("full")), "blocked"),
    "spool_nearly_full": (Seen(WELL, SpoolState("/spool", 100, segments=1, used=80, oldest=START)), "partial"),
    "source": (Seen(StreamInspection("one", warnings=("the oplog is short",)), EMPTY), "complete"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_seen_has_its_name_and_its_state(name: str) -> None:
    seen, state = CASES[name]
    found = alarms(REQUEST, seen, now=START)
    if name not in ("nothing", "on its way"):
        assert name in {warning.name for warning in found}
    assert state_of(found, waiting=seen.spool.segments) == state
    assert [warning.severity for warning in found] == sorted(warning.severity for warning in found)


@pytest.mark.parametrize(("seconds", "used", "expected"), [(300, 50, set()), (301, 50, {"unshipped_too_old"})])
def test_the_age_of_the_oldest(seconds: int, used: int, expected: set[str]) -> None:
    spool = SpoolState(path="/spool", budget=100, segments=1, used=used, oldest=START)
    found = alarms(REQUEST, Seen(WELL, spool), now=START + datetime.timedelta(seconds=seconds))
    assert {warning.name for warning in found} == expected


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (79, set()),
        (80, {"spool_nearly_full"}),
        (99, {"spool_nearly_full"}),
        (100, {"spool_full"}),
        (300, {"spool_full"}),
    ],
)
def test_the_spool_against_its_budget(used: int, expected: set[str]) -> None:
    spool = SpoolState(path="/spool", budget=100, segments=1, used=used, oldest=START)
    assert {warning.name for warning in alarms(REQUEST, Seen(WELL, spool), now=START)} == expected


def test_every_alarm_is_explained_to_the_one_who_is_woken() -> None:
    source = pathlib.Path(ship_alarms.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'"([a-z_]+)",\s*(?:CRITICAL|WARNING)\b', source))
    names |= set(re.findall(r'kind, severity = "([a-z_]+)"', source))
    names |= set(re.findall(r'"(too_few_repositories|no_repository)"', source))
    assert names == (set(CASES) - {"nothing", "on its way"}) | {"unshipped_too_old"}
    for page in ("docs/runbooks/ship.md", "docs/design.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        explained: t.Iterable[str] = names - {"source"} if page.endswith("ship.md") else names
        assert not [name for name in explained if f"`{name}`" not in text], page
