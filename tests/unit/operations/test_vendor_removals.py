# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which data that a vendor's tool keeps goes, and what stands against it; the tool itself is made up here.

What the genuine one does is in tests/integration/postgresql/test_walg_prune.py.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ElsewhereUnreadable,
    LifeboatError,
    RequestInvalid,
    WalgFailed,
    WalgRemovalLocked,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_requests import (
    request_from_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.vendor_backups import VendorBackups
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.vendor_removals import (
    VendorPlaces,
    VendorRemovals,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.vendor_storage import (
    VendorBackup,
    VendorRest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import Decision
from tests.support.clocks import FakeClock
from tests.support.memory import MemoryStorage
from tests.support.removals import IDS, Pruner, backup, decision, fill

NAMES = ("base_000000010000000000000002", "base_000000010000000000000005_D_000000010000000000000002")


def walg_backup(number: int, *, delta_from: int | None = None) -> Manifest:
    """A base backup whose data is with WAL-G."""
    return replace(
        backup(number),
        content={
            "tool": {"name": "wal-g", "version": "3.0.9"},
            "wal": {"first": NAMES[number][5:29], "last": NAMES[number][5:29]},
            "walg": {
                "backup_name": NAMES[number],
                "storage": "/srv/walg",
                "config": "/etc/wal-g/main.json",
                "compressed_size": 4300000,
                "delta_from": None if delta_from is None else NAMES[delta_from],
            },
        },
    )


@dataclass
class Tool:
    """Stands for the vendor's tool: notes what it is asked, and what the repository holds then."""

    repository: MemoryStorage
    asked: list[tuple[str, str]] = field(default_factory=list)
    seen: list[set[str]] = field(default_factory=list)
    fails: str = ""
    error: LifeboatError = field(default_factory=lambda: WalgFailed("the disk is gone"))
    rest: VendorRest = field(default_factory=VendorRest)

    def objections(self, _going: t.Sequence[VendorBackup]) -> t.Mapping[str, LifeboatError]:
        return {}

    def remove(self, backup: VendorBackup) -> VendorRest:
        self._ask("remove", backup.name)
        return self.rest

    def trim(self, kept: t.Sequence[VendorBackup]) -> tuple[int, VendorRest]:
        self._ask("trim", ",".join(one.name for one in kept))
        return 3, self.rest

    def _ask(self, what: str, name: str) -> None:
        self.asked.append((what, name))
        self.seen.append({found.key.rpartition("/")[2] for found in self.repository.list()})
        if what == self.fails:
            raise self.error


class Site:
    """A full backup and a delta on it, and a pruner who removes both."""

    def __init__(self, clock: FakeClock, **more: t.Any) -> None:
        self.storage = MemoryStorage(clock=clock)
        self.pruner = Pruner(self.storage, clock)
        self.tool = Tool(self.storage)
        self.backups = [walg_backup(0), walg_backup(1, delta_from=0)]
        fill(self.storage, self.backups)
        self.vendors = VendorBackups.of(self.backups)
        self.more = more

    def removals(self) -> VendorRemovals:
        values: dict[str, t.Any] = {"named_elsewhere": lambda _backup_id: False, **self.more}
        return VendorRemovals(
            places=VendorPlaces({}, open_storage=lambda _backup, _options: self.tool),
            known=tuple(self.vendors.by_id.values()),
            journal=MemoryJournal(),
            **values,
        )

    def decision(self, manifest: Manifest) -> Decision:
        decided = decision(manifest)
        vendor, parent = self.vendors.by_id[manifest.backup_id], self.vendors.parent_of(manifest)
        return replace(decided, entry=replace(decided.entry, vendor=vendor, parent=parent))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Site]:
    def make(**more: t.Any) -> Site:
        made = Site(FakeClock(), **more)
        monkeypatch.setattr("tests.support.removals.decision", made.decision)
        return made

    return make


def test_deltas_first_data_behind_the_payload_and_the_manifest_last(site: t.Callable[..., Site]) -> None:
    made = site()
    removed = made.pruner.remove(*made.backups, vendors=made.removals())
    assert removed.removed == (IDS[1], IDS[0])
    assert made.tool.asked == [("remove", NAMES[1]), ("trim", NAMES[0]), ("remove", NAMES[0]), ("trim", "")]
    assert "manifest.json" in made.tool.seen[3], "what dies in here is gone on with"
    assert not {"dump.archive.zst"} & made.tool.seen[3], "from here on it is no whole backup"
    assert made.pruner.objects() == []


@pytest.mark.parametrize("fails", ["remove", "trim"])
def test_what_fails_stays_unfinished_and_the_next_run_goes_on(site: t.Callable[..., Site], fails: str) -> None:
    made = site()
    made.tool.fails = fails
    removed = made.pruner.remove(*made.backups, vendors=made.removals())
    assert removed.removed == ()
    assert removed.refused == {IDS[1]: "the disk is gone [postgresql.walg_failed]"}
    assert [cause.code for cause in removed.causes] == ["postgresql.walg_failed"]
    # The full one is whole, and needed by what is not gone yet.
    assert made.pruner.listed() == [IDS[0]]
    assert [one.state for one in made.pruner.reading().removals] == ["deleting"]
    made.tool.fails, made.tool.asked = "", []
    assert made.pruner.finish(vendors=made.removals()).removed == (IDS[1],)
    assert [what for what, _name in made.tool.asked] == ["remove", "trim"]
    assert made.pruner.listed() == [IDS[0]]


@pytest.mark.parametrize("until", [None, "2026-12-01T00:00:00Z"])
def test_what_is_under_lock_is_deferred_and_no_failure(site: t.Callable[..., Site], until: str | None) -> None:
    made = site()
    made.tool.fails = "remove"
    made.tool.error = WalgRemovalLocked("under lock", details={"until": until})
    date = None if until is None else datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
    for removed in (
        made.pruner.remove(*made.backups, vendors=made.removals()),
        made.pruner.finish(vendors=made.removals()),
    ):
        assert removed.deferred == {IDS[1]: date}
        assert (removed.removed, removed.refused, removed.causes, removed.error) == ((), {}, (), None)
        assert made.pruner.listed() == [IDS[0]], "what it builds on stays"
    made.tool.fails = ""
    assert made.pruner.finish(vendors=made.removals()).removed == (IDS[1],)


def test_what_the_storages_keep_is_added_up_and_the_log_counted_once(site: t.Callable[..., Site]) -> None:
    made = site()
    early, late = (datetime.datetime(2026, 12, day, tzinfo=datetime.timezone.utc) for day in (1, 2))
    made.tool.rest = VendorRest(hidden=2, hidden_bytes=10, locked=1, until=early)
    vendors = made.removals()
    assert vendors.rests() == {}
    made.pruner.remove(*made.backups, vendors=vendors)
    # Two backups, and the log as it was at the end.
    assert vendors.rests() == {"/srv/walg": VendorRest(hidden=6, hidden_bytes=30, locked=3, until=early)}
    assert (VendorRest(locked=1, until=early) + VendorRest(locked=1, until=late)).until == late
    assert (VendorRest(locked=1, until=early) + VendorRest(locked=1)).until is None, "one of them has no date"
    assert (VendorRest(locked=1, until=early) + VendorRest()).until == early


def test_what_another_repository_names_keeps_its_data(site: t.Callable[..., Site]) -> None:
    made = site(named_elsewhere=lambda _backup_id: True)
    assert len(made.pruner.remove(*made.backups, vendors=made.removals()).removed) == 2
    assert made.tool.asked == []


def test_where_another_repository_cannot_be_read_nothing_is_marked(site: t.Callable[..., Site]) -> None:
    made = site(unread=("offsite",))
    before = made.pruner.objects()
    removed = made.pruner.remove(*made.backups, vendors=made.removals())
    assert set(removed.refused) == set(IDS[:2])
    assert isinstance(removed.causes[0], ElsewhereUnreadable)
    assert made.pruner.objects() == before
    assert made.tool.asked == []


def test_a_new_cluster_in_a_new_storage_has_the_same_names_and_other_parents() -> None:
    old, delta = walg_backup(0), walg_backup(1, delta_from=0)
    elsewhere = replace(delta, content={**delta.content, "walg": {**delta.content["walg"], "storage": "/srv/new"}})
    assert VendorBackups.of([old, delta]).parent_of(delta) == IDS[0]
    assert VendorBackups.of([old, elsewhere]).parent_of(elsewhere) is None


def options(**walg: t.Any) -> dict[str, t.Any]:
    policy = {"repository": "it", "service": "shop", "source": "main", "engine": "postgresql", "kind": "base"}
    return {
        "repositories": [{"name": "it", "type": "file", "path": "/srv/backups"}],
        "policies": [{**policy, "keep": {"within": "30d"}, "timezone": "UTC", "walg": walg}],
        "state_directory": "/var/lib/lifeboat",
    }


def test_where_wal_g_is_comes_from_the_policy_and_is_checked_before_anything() -> None:
    (policy,) = request_from_options(options(config="/etc/wal-g/main.json", program=None)).policies
    assert policy.walg == {"config": "/etc/wal-g/main.json"}
    with pytest.raises(RequestInvalid, match="absolute path"):
        request_from_options(options(config="main.json"))
    with pytest.raises(RequestInvalid, match="is a secret"):
        request_from_options(options(environment={"AWS_SECRET_ACCESS_KEY": "x"}))
