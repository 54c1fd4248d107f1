# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a recovery will take, from those that were measured, and whether that is within the objective."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Selection, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult,
    Verification,
    verification_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.catalog_requests import (
    objectives_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.description_requests import (
    recovery_objectives,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.forecast import (
    Observation,
    forecast,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.information import (
    InformationRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.recovery_times import (
    SeriesForecast,
    read_forecasts,
    restore_record_name,
    restores_a_part,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.recovery import forecasts_text
from tests.support.manifests import DATA, FULL, manifest, payload, store
from tests.support.memory import MemoryStorage

HOUR = datetime.timedelta(hours=1)
GB = 1_000_000_000


class Shelf:
    """A repository with one backup a day of family/main/full, and a host's notes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.storage = MemoryStorage(name="local")
        self.state = StateDirectory(path=str(folder / "state"))

    def backup(self, day: int, *, recovery: float | None, size: int = GB) -> str:
        backup_id = f"202611{day:02}T020000Z-{day:06x}"
        dump, users = (payload(name, data) for name, data in DATA.items())
        payloads = (dataclasses.replace(dump, plain_size=size - len(DATA["users.json"])), users)
        made = manifest(backup_id=backup_id, repositories=("local",), payloads=payloads)
        store(self.storage, made)
        if recovery is not None:
            started = made.finished + datetime.timedelta(hours=2)
            document = Verification(
                verification_id=f"202611{day:02}T060000Z-{day:06x}",
                backup_id=backup_id,
                manifest_checksum=str(made.as_dict()["checksum"]),
                level=3,
                reached=3,
                repository="local",
                copies={"local": CopyResult(reached=1)},
                checks=(),
                error=None,
                started=started,
                finished=started,
                host="db1",
                user="root",
                lifeboat_version="0.1.0",
                recovery_seconds=recovery,
                plain_bytes=size,
            )
            self.storage.put(verification_key(made.folder, document.verification_id), document.as_bytes())
        return backup_id

    def forecasts(self, objective: datetime.timedelta | None = None, **selection: t.Any) -> tuple[SeriesForecast, ...]:
        storages, asked = {"local": self.storage}, Selection(**selection)
        return read_forecasts(
            read_catalog(storages, selection=asked),
            storages=storages,
            selection=asked,
            state=self.state,
            objective_of=lambda _series: objective,
        )


@pytest.fixture
def shelf(tmp_path: pathlib.Path) -> Shelf:
    return Shelf(tmp_path)


def test_the_median_of_verifications_and_restores_with_the_range_seen(shelf: Shelf) -> None:
    for day, seconds in ((1, 100.0), (2, 400.0), (3, None)):
        newest = shelf.backup(day, recovery=seconds)
    shelf.state.append_record(restore_record_name(FULL), {"state": "finished", "seconds": 250.0, "plain_bytes": 2 * GB})
    shelf.state.append_record(restore_record_name(FULL), {"state": "rolled back", "seconds": 9999.0})
    shelf.state.append_record(restore_record_name(FULL), {"state": "finished", "seconds": 2.0, "part": True})
    [found] = shelf.forecasts(HOUR)
    assert (found.series, found.backup_id) == (FULL, newest)
    assert found.forecast is not None
    assert found.forecast.as_dict() == {
        "seconds": 250.0,
        "fastest": 100.0,
        "slowest": 400.0,
        "smallest_bytes": GB,
        "largest_bytes": 2 * GB,
        "count": 3,
    }
    assert found.verdict == "met"
    assert found.as_dict()["objective_seconds"] == 3600.0
    text = forecasts_text([found]).splitlines()
    assert text[2].split("  ")[0] == "family/main/full"
    assert "4 min 10 s" in text[2]
    assert "1 hour: met" in text[2]
    assert "100 s to 6 min 40 s" in text[2]
    assert "1 GB to 2 GB" in text[2]


MANY = {"databases": {"shop": {}, "users": {}, "admin": {}}}
ONE = {"databases": [{"name": "shop", "size": 5}]}


@pytest.mark.parametrize(
    ("options", "content", "is_part"),
    [
        ({}, MANY, False),
        ({"suffix": "_recovery", "databases": []}, MANY, False),
        ({"databases": ["shop"]}, MANY, True),
        ({"databases": ["shop", "users"]}, MANY, False),
        ({"collections": ["shop.orders"]}, MANY, True),
        ({"database": "shop", "into": "shop_recovery"}, ONE, False),
        ({"database": "shop", "existing": True, "tables": ["public.orders"]}, ONE, True),
        ({"database": "shop", "schemas": "public"}, ONE, True),
        ({"data_directory": "/srv/copy"}, {}, False),
        ({"in_place": True, "paths": ["/etc/nginx"]}, {}, True),
    ],
)
def test_a_restore_of_a_part_says_nothing_of_how_long_the_whole_takes(
    options: dict[str, t.Any], content: dict[str, t.Any], is_part: bool
) -> None:
    assert restores_a_part(options, manifest(content=content)) is is_part


def test_an_objective_that_is_missed_is_said_in_capitals(shelf: Shelf) -> None:
    shelf.backup(1, recovery=3601.0)
    [found] = shelf.forecasts(HOUR)
    assert found.verdict == "missed"
    assert "1 hour: MISSED" in forecasts_text([found])
    [exactly] = shelf.forecasts(datetime.timedelta(seconds=3601))
    assert exactly.verdict == "met"


def test_what_was_never_measured_is_not_called_met(shelf: Shelf) -> None:
    shelf.backup(1, recovery=None)
    [found] = shelf.forecasts(HOUR)
    assert (found.forecast, found.verdict) == (None, "unknown")
    text = forecasts_text([found])
    assert "unknown" in text
    assert "1 hour: not measured" in text
    assert text.endswith("lifeboat verify --unverified --level 3")
    [without] = shelf.forecasts(None)
    assert without.verdict is None


def test_a_narrow_list_forecasts_from_more_than_it_shows(shelf: Shelf) -> None:
    first = shelf.backup(1, recovery=10.0)
    second = shelf.backup(2, recovery=None)
    for selection in ({"newest": 1}, {"backup_id": second}, {"state": "complete"}):
        [found] = shelf.forecasts(**selection)
        assert found.backup_id == second
        assert found.forecast is not None, selection
        assert found.forecast.count == 1
    [older] = shelf.forecasts(backup_id=first)
    assert older.backup_id == first
    assert shelf.forecasts(service="nobody") == ()


def test_a_host_whose_notes_cannot_be_read_forecasts_from_the_catalog(shelf: Shelf, tmp_path: pathlib.Path) -> None:
    shelf.backup(1, recovery=10.0)
    (tmp_path / "file").touch()
    shelf.state = StateDirectory(path=str(tmp_path / "file"))
    [found] = shelf.forecasts()
    assert found.forecast is not None


def test_a_larger_backup_takes_longer_and_a_smaller_one_is_not_taken_to_be_faster() -> None:
    seen = [Observation(seconds=100.0, plain_bytes=GB)]
    larger, smaller = forecast(seen, plain_bytes=3 * GB), forecast(seen, plain_bytes=GB // 10)
    assert larger is not None
    assert smaller is not None
    assert (larger.seconds, smaller.seconds) == (300.0, 100.0)
    assert (larger.fastest, larger.slowest) == (100.0, 100.0), "the range is what was seen"
    assert forecast([], plain_bytes=GB) is None


def described(**objectives: t.Any) -> Description:
    backups = [
        {"kind": "logical", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 7}},
        {"kind": "base", "schedule": "0 3 * * *", "repositories": ["local"], "keep": {"count": 7}},
    ]
    if "base" in objectives:
        backups[1]["objectives"] = {"rto": objectives["base"]}
    source: dict[str, t.Any] = {"name": "main", "engine": "postgresql", "connection": {}, "backups": backups}
    if "source" in objectives:
        source["objectives"] = {"rto": objectives["source"]}
    return load_description(
        {
            "lifeboat_repositories": {"local": {"type": "file", "path": "/var/backups/lifeboat"}},
            "lifeboat_services": [{"name": "shop", "objectives": {"rpo": "1d", "rto": "4h"}, "sources": [source]}],
        }
    )


def test_the_objective_of_a_backup_outweighs_its_sources_and_that_the_services() -> None:
    logical, base = (Series(service="shop", source="main", kind=kind) for kind in ("logical", "base"))
    objective = recovery_objectives(described())
    assert (objective(logical), objective(base)) == (4 * HOUR, 4 * HOUR)
    objective = recovery_objectives(described(source="2h", base="1h"))
    assert (objective(logical), objective(base)) == (2 * HOUR, HOUR)
    assert objective(Series(service="shop", source="main", kind="wal")) == 2 * HOUR
    assert objective(Series(service="shop", source="other", kind="base")) is None


def test_the_modules_objectives() -> None:
    request = InformationRequest(
        repositories=(),
        selection=Selection(),
        objectives=objectives_from({"family/main": "1h", "family/main/base": "4h"}),
    )
    assert request.objective_of(FULL) == HOUR
    assert request.objective_of(Series(service="family", source="main", kind="base")) == 4 * HOUR
    assert request.objective_of(Series(service="adhd", source="main", kind="base")) is None
    with pytest.raises(RequestInvalid, match="'family' is no source"):
        objectives_from({"family": "1h"})
