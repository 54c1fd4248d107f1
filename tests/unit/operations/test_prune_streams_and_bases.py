# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole prune of base backups and their WAL: what a kept window needs stays, whatever the bases' policy says."""

from __future__ import annotations

import datetime
import math
import pathlib
import shutil
import typing as t

import pytest

import ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune as prune_module
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune import plan_prune, run_prune
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import Lease, take_lease
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import (
    JobPolicy,
    PruneRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.prune import plans_text, pruned_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from tests.support.clocks import FakeClock
from tests.support.copies import put_backup, put_verification
from tests.support.stream_hours import BEGIN, HOUR, put_record, record_of
from tests.unit.postgresql.wal_archives import LINEAGE, base, segment

HOURS = 240
WAL = Series(service="shop", source="main", kind="wal")
BASE = Series(service="shop", source="main", kind="base")
FOLDER = StreamFolder(series=WAL, lineage=LINEAGE)


class Site:
    """A segment in each of 240 hours and a proved base backup every 24, the first one in segment 0."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(clock=FakeClock(BEGIN + HOUR * HOURS), journal=MemoryJournal())
        self.description = {"type": "file", "path": str(folder / "local"), "create": True}
        self.state = str(folder / "state")

    def fill(self) -> Site:
        """Store all of it."""
        for number in range(HOURS):
            one = segment(number + 1, minutes=720 + 60 * number - 30).segment
            self.storage.put(FOLDER.segment_key(one.description.group, one.payload.name), b"x" * 10)
            put_record(self.storage, record_of(FOLDER, [one], number=number))
            if number % 24 == 0:
                backup = base(number + 1, minutes=720 + 60 * number - 40).manifest
                put_backup(self.storage, backup)
                put_verification(self.storage, backup, {"local": 4})
        return self

    @property
    def storage(self) -> Storage:
        return open_storage(self.description, name="local", clock=self.host.clock, runner=self.host.runner)

    def request(
        self, *, wal: str, allow: str = "share", window: datetime.timedelta | None = None, **bases: object
    ) -> PruneRequest:
        policies = [(WAL, {"within": wal}), (BASE, bases)]
        return PruneRequest(
            repositories=(RepositoryRequest(name="local", description=self.description),),
            policies=tuple(
                JobPolicy(
                    repository="local",
                    series=series,
                    engine="postgresql",
                    job=series.folder.rstrip("/"),
                    keep=keep_policy_from(keep),
                    objective=window if series == WAL else None,
                )
                for series, keep in policies
            ),
            allow=frozenset({allow} if allow else ()),
            state_directory=self.state,
        )

    def bases(self) -> list[int]:
        """The hours in which the bases were made that are there."""
        reading = read_catalog({"local": self.storage}, selection=Selection(kind="base"))
        return [math.ceil((backup.manifest.started - BEGIN) / HOUR) for backup in reading.backups]

    def segments(self) -> list[int]:
        """The hours of the segments that count."""
        (found,) = read_streams({"local": self.storage}, WAL, clock=self.host.clock)
        return sorted(int(one.segment.name[16:], 16) - 1 for one in found.segments)

    def stored(self) -> int:
        """How many segments there are in fact."""
        return sum(1 for _found in self.storage.list(f"{FOLDER.prefix}segments/"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("filled")
    Site(folder).fill()
    return folder


@pytest.fixture
def site(filled: pathlib.Path, tmp_path: pathlib.Path) -> Site:
    shutil.copytree(filled / "local", tmp_path / "local")
    return Site(tmp_path)


def test_the_base_of_a_kept_window_stays_with_all_behind_it(site: Site) -> None:
    request = site.request(wal="3d", count=1)
    plans = plan_prune(request, host=site.host)
    text = plans_text(plans)
    assert "shop/main" in text
    result = run_prune(request, plan_hash=plans.hash, host=site.host)
    assert result.error is None, pruned_text(result)
    assert site.bases() == [168, 192, 216]
    assert site.segments() == list(range(168, HOURS))
    assert site.stored() == HOURS - 168
    assert "what was recorded before" in pruned_text(result)
    again = plan_prune(request, host=site.host)
    assert not again.removes_something


def test_the_window_reaches_back_as_far_as_the_policy_says(site: Site) -> None:
    """Between two bases: the one before the window's beginning is needed."""
    run_prune(site.request(wal="80h", count=1), host=site.host)
    assert site.bases() == [144, 192, 216]
    assert site.segments() == list(range(144, HOURS))


def test_a_window_below_its_objective_is_refused_by_name(site: Site) -> None:
    """The policy says three days, the objective five: what the objective needs stays until somebody says otherwise."""
    five_days = datetime.timedelta(days=5)
    request = site.request(wal="3d", window=five_days, within="5d")
    plans = plan_prune(request, host=site.host)
    refusals = plans.plans[0].refusals
    assert {one.code for one in refusals} == {"retention.window"}
    assert WAL in {one.series for one in refusals}
    assert all("the objective is 5 days" in one.message for one in refusals)
    run_prune(request, host=site.host)
    assert site.segments() == list(range(HOURS))
    run_prune(site.request(wal="5d", window=five_days, within="5d"), host=site.host)
    assert site.segments() == list(range(HOURS - 120, HOURS))
    run_prune(site.request(wal="3d", window=five_days, within="5d", allow="window"), host=site.host)
    assert site.segments() == list(range(168, HOURS))


def test_what_a_verifier_says_between_the_plan_and_the_removal_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest base fails, now: how many good ones there are is another question than the plan answered."""

    def take_and_fail(storage: Storage, **more: t.Any) -> Lease:
        lease = take_lease(storage, **more)
        newest = max(read_catalog({"local": storage}).backups, key=lambda one: one.manifest.started).manifest
        put_verification(storage, newest, {"local": 4}, error="a page is zero", number=2)
        return lease

    monkeypatch.setattr(prune_module, "take_lease", take_and_fail)
    before = site.bases()
    result = run_prune(site.request(wal="3d", count=1), host=site.host)
    assert site.bases() == before
    (reasons,) = {tuple(sorted(set(one.backups.spared.values()))) for one in result.repositories}
    assert "which the plan counts on, was verified meanwhile: plan again" in reasons[0]


def test_older_bases_stay_without_the_stream_behind_them(site: Site) -> None:
    """They restore to their own moments; to any moment only as far back as the policy of the stream says."""
    run_prune(site.request(wal="30h", within="5d"), host=site.host)
    assert site.bases() == [144, 168, 192, 216]
    assert site.segments() == list(range(192, HOURS))


def test_a_refusal_of_one_series_holds_that_one_back(site: Site) -> None:
    result = run_prune(site.request(wal="3d", count=1, allow=""), host=site.host)
    assert [refusal.code for plan in result.plans.plans for refusal in plan.refusals] == ["retention.share"]
    assert len(site.bases()) == HOURS // 24
    assert site.segments() == list(range(168, HOURS))


def test_a_storage_whose_clock_is_off_is_not_pruned(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(site.storage), "clock_skew", lambda _self: datetime.timedelta(hours=2).total_seconds())
    result = run_prune(site.request(wal="3d", count=1), host=site.host)
    assert "retention.clock" in [refusal.code for plan in result.plans.plans for refusal in plan.refusals]
    assert site.stored() == HOURS
