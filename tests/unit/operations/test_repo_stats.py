# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository holds is counted as it is listed, and its lease is shown and broken on request."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PruneRunning,
    RequestInvalid,
    StorageForbidden,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import backup_id_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import (
    LEASE_KEY,
    VOID_AFTER,
    take_lease,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_stats import (
    RepositoryStats,
    read_stats,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.repo_unlock import (
    LeaseState,
    read_leases,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.repository import (
    leases_text,
    stats_text,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultPoint, FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START
from tests.support.copies import (
    Repositories,
    backup_id,
    content,
    described,
    put_backup,
    put_segments,
    put_verification,
)
from tests.support.manifests import unreachable

DAY = 86400


@pytest.fixture
def two(tmp_path: pathlib.Path) -> Repositories:
    return Repositories(tmp_path)


def requests(repositories: Repositories) -> tuple[RepositoryRequest, ...]:
    return tuple(RepositoryRequest(name=name, description={}) for name in repositories.storages)


def stats_of(repositories: Repositories, **options: t.Any) -> RepositoryStats:
    return read_stats(requests(repositories), host=repositories.host, storages=repositories.storages, **options)[0]


def leases(repositories: Repositories, *, take_away: bool = False) -> list[LeaseState]:
    return list(
        read_leases(requests(repositories), take_away=take_away, host=repositories.host, storages=repositories.storages)
    )


def test_series_are_counted_with_their_backups_and_segments(two: Repositories) -> None:
    first = put_backup(two["local"], described(backup_id(18)))
    put_backup(two["local"], described(backup_id(20)))
    put_verification(two["local"], first, {"local": 4})
    put_segments(two["local"], range(1, 6))
    two["local"].put("family/.labels/x.json", b"{}")
    found = stats_of(two)
    every = content(two["local"])
    assert (found.total.objects, found.total.bytes) == (len(every), sum(map(len, every.values())))
    full, oplog = found.series["family/main/full"], found.series["family/main/oplog"]
    assert (full.backups, full.segments, full.lineages) == (2, 0, set())
    assert (full.oldest, full.newest) == (backup_id_time(backup_id(18)), backup_id_time(backup_id(20)))
    assert (oplog.backups, oplog.segments, oplog.lineages) == (0, 5, {"rs0-1"})
    assert oplog.oldest == oplog.newest == two.clock.now()
    assert found.series["other"].total.objects == 1
    for name, stats in found.series.items():
        prefix = "family/.labels" if name == "other" else name
        assert stats.total.bytes == sum(len(data) for key, data in every.items() if key.startswith(f"{prefix}/"))


def test_what_is_no_backup_is_not_counted_as_one(two: Repositories) -> None:
    """A run that died, and a copy that retention removes; their bytes are there all the same."""
    died = described(backup_id(19))
    two["local"].put(died.folder.key("dump.archive.zst"), b"x" * 100)
    backup = put_backup(two["local"], described(backup_id(20)))
    removal = Removal(
        removal_id="20261122T010000Z-bbbbbb",
        backup_id=backup.backup_id,
        repository="local",
        plan_hash="x",
        reasons=("old",),
        started=START,
        host="db1",
        lifeboat_version="0.1.0",
    )
    two["local"].put(removal_key(backup.folder, removal.removal_id), removal.as_bytes())
    put_backup(two["local"], described(backup_id(21)))
    found = stats_of(two)
    assert found.series["family/main/full"].backups == 1
    assert found.total.bytes == sum(map(len, content(two["local"]).values()))


def test_growth_is_what_was_stored_in_whole_days_and_is_still_there(two: Repositories) -> None:
    two["local"].put("a", b"x" * 7000)
    two.clock.advance(3 * DAY)
    two["local"].put("b", b"x" * 700)
    two.clock.advance(DAY)
    two["local"].put("c", b"x" * 70)  # today is not over
    found = stats_of(two)
    assert (found.per_day(7), found.per_day(30)) == (1100, 256)
    two.clock.advance(5 * DAY)
    assert stats_of(two).per_day(7) == 110
    two.clock.advance(60 * DAY)
    found = stats_of(two)
    assert (found.per_day(7), found.per_day(30), found.days) == (0, 0, {})


def test_old_versions_and_markers_are_counted(two: Repositories) -> None:
    two.storages["local"] = storage = MemoryStorage(clock=two.clock, versioned=True)
    storage.put("family/main/full/x", b"old")
    storage.put("family/main/full/x", b"newer", if_absent=False)
    storage.put("family/main/full/y", b"gone")
    storage.delete(["family/main/full/y"])
    found = stats_of(two)
    assert (found.total.objects, found.total.bytes) == (1, 5)
    assert found.noncurrent is not None
    assert (found.noncurrent.objects, found.noncurrent.bytes, found.markers) == (2, 7, 1)
    assert "old versions: 2, 7 B; 1 delete markers" in stats_text([found])


def test_credentials_that_may_not_ask_for_versions_leave_the_figure_out(two: Repositories) -> None:
    class Denied(FaultyStorage):
        def versions(self, prefix: str = "") -> t.Iterator[t.Any]:
            raise StorageForbidden("No s3:ListBucketVersions.")

    two["local"].put("a", b"x")
    two.storages["local"] = Denied(storage=two["local"])
    found = stats_of(two)
    assert (found.total.objects, found.noncurrent, found.markers) == (1, None, None)
    assert "old versions: not known" in stats_text([found])


def test_uploads_that_did_not_end_are_counted(two: Repositories) -> None:
    writer = two["local"].writer("family/main/full/x")
    assert stats_of(two).unfinished == 1
    writer.abort()


def test_one_series_alone_is_counted(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(18)))
    put_backup(two["local"], described(backup_id(19), kind="base"))
    put_backup(two["local"], described(backup_id(20), service="shop"))
    found = stats_of(two, selection=Selection(service="family", kind="full"))
    assert set(found.series) == {"family/main/full"}
    assert found.total.objects == 5


def test_a_repository_that_does_not_answer_has_an_error(two: Repositories) -> None:
    two.storages["local"] = FaultyStorage(
        storage=two["local"], fault=unreachable, point=FaultPoint(at_call=1, times=None)
    )
    put_backup(two["offsite"], described(backup_id(18)))
    local, offsite = read_stats(requests(two), host=two.host, storages=two.storages)
    assert local.error is not None
    assert offsite.series["family/main/full"].backups == 1
    assert "could not be read: The repository does not answer." in stats_text([local, offsite])


def test_a_repository_that_there_is_not_is_refused(two: Repositories) -> None:
    with pytest.raises(RequestInvalid, match="There is no repository nowhere"):
        stats_of(two, only=("nowhere",))


def test_figures_are_json_and_text(two: Repositories) -> None:
    put_backup(two["local"], described(backup_id(18)))
    put_segments(two["local"], range(1, 6))
    found = stats_of(two)
    document = json.loads(json.dumps(found.as_dict()))
    assert document["series"]["family/main/full"]["backups"] == 1
    lines = stats_text([found]).splitlines()
    assert lines[0] == "local (memory:local)"
    row = next(line for line in lines if line.startswith("family/main/full"))
    assert row.split()[1:3] == ["1", "5"]
    assert any(line.startswith("growth: ") for line in lines)


def test_a_lease_is_shown_and_stays(two: Repositories) -> None:
    take_lease(two["local"], holder={"host": "db9", "pid": 17}, now=two.clock.now())
    held, free = leases(two)
    assert held.holder is not None
    assert (held.holder["host"], held.stored, held.broken) == ("db9", two.clock.now(), False)
    assert held.void_at == two.clock.now() + VOID_AFTER
    assert free.holder is None
    text = leases_text([held, free], now=two.clock.now())
    assert "local: process 17 on db9 prunes it, since 0.0 s ago. It is void at" in text
    assert "hint: if it is dead: lifeboat repo unlock --repository local --break" in text
    assert "offsite: nobody prunes it" in text
    with pytest.raises(PruneRunning):
        take_lease(two["local"], holder={"host": "db1"}, now=two.clock.now())


def test_a_lease_is_broken_on_request(two: Repositories) -> None:
    take_lease(two["local"], holder={"host": "db9", "pid": 17}, now=two.clock.now())
    held, _free = leases(two, take_away=True)
    assert held.broken
    assert "the lease of process 17 on db9, since 0.0 s ago was taken away" in leases_text([held], now=two.clock.now())
    assert LEASE_KEY not in content(two["local"])
    assert take_lease(two["local"], holder={"host": "db1"}, now=two.clock.now()).is_ours()


def test_a_lease_that_nobody_can_read_can_be_broken(two: Repositories) -> None:
    two["local"].put(LEASE_KEY, b"\xff{")
    held, _free = leases(two)
    assert held.holder == {}
    assert "process ? on a host that nobody knows" in leases_text([held], now=two.clock.now())
    two.clock.advance(7 * 3600)
    assert "It is void: anybody may take over." in leases_text([held], now=two.clock.now())
    assert leases(two, take_away=True)[0].broken


def test_a_repository_that_can_not_be_asked_for_its_lease_has_an_error(two: Repositories) -> None:
    two.storages["local"] = FaultyStorage(
        storage=two["local"], fault=unreachable, point=FaultPoint(at_call=1, times=None)
    )
    silent, free = leases(two)
    assert silent.error is not None
    assert free.error is None
    assert "could not be asked" in leases_text([silent], now=two.clock.now())
