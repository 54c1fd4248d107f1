# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One label of what several hosts have marked: whole, the same everywhere, and honest about their clocks."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LabelExists,
    LabelInvalid,
    PostgresUnreachable,
    StorageExists,
    StorageForbidden,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import labels
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.labels import (
    LabelSource,
    find_label,
    label_of_hosts,
    make_label,
    require_new_label,
    store_label,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.label import LabelPoint
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    RecoveryTarget,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START
from tests.support.command_line import describe

HOUR = datetime.timedelta(hours=1)


def point(source: str, host: str, *, clock_is_off: datetime.timedelta = datetime.timedelta()) -> LabelPoint:
    asked = START + clock_is_off
    target = RecoveryTarget(kind="lsn", value="0/3000148", inclusive=False)
    return LabelPoint(source, "postgresql", target, asked, asked + datetime.timedelta(seconds=0.01), host=host)


MAIN, CACHE = point("main", "db1"), point("cache", "db2", clock_is_off=HOUR)


class WriteOnly(MemoryStorage):
    """Credentials that may add and not read."""

    def get(self, key: str, *, limit: int = 0) -> bytes:
        raise StorageForbidden(f"{key} may not be read")


def test_the_same_label_comes_of_the_same_points_in_any_order() -> None:
    first = label_of_hosts("x", service="adhd", points=[MAIN, CACHE], skew=0.8)
    assert first.as_bytes() == label_of_hosts("x", service="adhd", points=[CACHE, MAIN], skew=0.8).as_bytes()
    assert first.host == "db1, db2"
    assert [(one.source, one.host) for one in first.points] == [("cache", "db2"), ("main", "db1")]


def test_the_skew_is_that_of_one_clock_and_not_the_difference_of_two() -> None:
    assert label_of_hosts("x", service="adhd", points=[MAIN, CACHE], skew=0.8).skew_seconds == 0.8
    with pytest.raises(LabelInvalid, match="clock each"):
        label_of_hosts("x", service="adhd", points=[MAIN, CACHE])


def test_one_host_knows_the_skew_itself() -> None:
    label = label_of_hosts("x", service="adhd", points=[MAIN, point("cache", "db1")], skew=3.5)
    assert (label.measured_skew, label.skew_seconds) == (None, 0.01)


def test_a_source_that_two_hosts_marked_is_refused() -> None:
    with pytest.raises(LabelInvalid, match="adhd/main was marked twice: on db1 and db2"):
        label_of_hosts("x", service="adhd", points=[MAIN, point("main", "db2")], skew=0.1)


def test_a_label_without_points_is_refused() -> None:
    with pytest.raises(LabelInvalid, match="no points"):
        label_of_hosts("x", service="adhd", points=[], skew=0.1)


def test_every_host_stores_the_same_and_finds_it_stored() -> None:
    shared, own = MemoryStorage(), MemoryStorage()
    label = label_of_hosts("x", service="adhd", points=[MAIN, CACHE], skew=0.8)
    assert store_label(label, storages={"shared": shared}).repositories == ("shared",)
    again = store_label(label, storages={"shared": shared, "own": own})
    assert (again.repositories, again.errors) == (("shared", "own"), {})
    assert find_label("x", service="adhd", storages={"own": own}) == label


def test_another_label_of_that_name_stays_what_it_is() -> None:
    storage = MemoryStorage()
    store_label(label_of_hosts("x", service="adhd", points=[MAIN]), storages={"local": storage})
    other = label_of_hosts("x", service="adhd", points=[CACHE])
    with pytest.raises(LabelExists):
        require_new_label("x", service="adhd", storages={"local": storage})
    before = storage.get(other.key)
    with pytest.raises(StorageExists):
        store_label(other, storages={"local": storage})
    assert storage.get(other.key) == before


def test_who_may_only_write_does_not_take_what_is_there_for_its_own() -> None:
    storage, own = WriteOnly(), MemoryStorage()
    label = label_of_hosts("x", service="adhd", points=[MAIN])
    store_label(label, storages={"bucket": storage})
    result = store_label(label, storages={"bucket": storage, "own": own})
    assert result.repositories == ("own",)
    assert isinstance(result.errors["bucket"], StorageExists)


def test_nothing_is_marked_for_a_name_that_is_taken_or_can_not_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[str] = []

    def mark(*_anything: object, name: str, **_more: object) -> tuple[RecoveryTarget, dict[str, str]]:
        marked.append(name)
        return MAIN.target, {}

    monkeypatch.setattr(labels, "_MARKS", {"postgresql": mark})
    storages = {"far": WriteOnly(), "near": MemoryStorage()}
    source = LabelSource("main", "postgresql", {})
    make_label("x", service="adhd", sources=[source], storages=storages, host=Host())
    with pytest.raises(LabelExists):
        make_label("x", service="adhd", sources=[source], storages=storages, host=Host())
    with pytest.raises(LabelInvalid):
        make_label("No name", service="adhd", sources=[source], storages=storages, host=Host())
    assert marked == ["x"]


def test_one_source_that_fails_means_that_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_anything: object, **_more: object) -> None:
        raise PostgresUnreachable("away")

    def mark(*_anything: object, **_more: object) -> tuple[RecoveryTarget, dict[str, str]]:
        return MAIN.target, {}

    monkeypatch.setattr(labels, "_MARKS", {"postgresql": fails, "redis": mark})
    storage = MemoryStorage()
    sources = [LabelSource("cache", "redis", {}), LabelSource("main", "postgresql", {})]
    with pytest.raises(PostgresUnreachable):
        make_label("x", service="adhd", sources=sources, storages={"near": storage}, host=Host())
    assert list(storage.list()) == []


def test_a_set_that_is_described_elsewhere_in_part_is_not_begun(tmp_path: pathlib.Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    store_label(
        label_of_hosts("x", service="shop", points=[MAIN, CACHE], skew=0.8),
        storages={"local": LocalStorage(path=str(repository))},
    )
    source = {
        "name": "main",
        "engine": "postgresql",
        "connection": {"port": 1},
        "backups": [{"kind": "base", "repositories": ["local"], "keep": {"count": 7}}],
    }
    lifeboat = describe(
        tmp_path / "config.yml",
        {
            "lifeboat_repositories": {"local": {"type": "file", "path": str(repository)}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )
    refused = lifeboat("recover shop --to-label x --dry-run")
    refused.refused("request.invalid", hint="lifeboat label shop --list")
    assert "is also of cache" in refused.err
