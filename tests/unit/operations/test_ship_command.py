# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat ship`` and what other commands say of streams, as a person types them."""

from __future__ import annotations

import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.kinds import STREAMED_KINDS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_engines import OPTIONS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import ship_requests
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_requests import (
    SHIPPING_OPTIONS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.context import (
    StreamContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
    StreamKind,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.command_line import CommandLine, describe
from tests.support.manifests import manifest, store
from tests.support.streams import Tape, content_of, in_spool, name_of


class Place:
    """A description with one stream and one other job, and the tape behind the stream."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.tape = Tape(folder / "tape")
        self.contexts: list[StreamContext] = []
        self.spool = folder / "state/spool/shop.main.oplog"

        def make(context: StreamContext) -> Tape:
            self.contexts.append(context)
            return self.tape

        table = {("mongodb", "oplog"): StreamKind(make)}
        monkeypatch.setattr(ship_requests, "STREAM_KINDS", table)
        for name in ("near", "far"):
            (folder / name).mkdir()

    def lifeboat(self, **options: t.Any) -> CommandLine:
        """The command with the description."""
        source = {
            "name": "main",
            "engine": "mongodb",
            "connection": {"uri_file": "/nowhere"},
            "backups": [
                {"kind": "full", "repositories": ["near"], "keep": {"within": "30d"}},
                {
                    "kind": "oplog",
                    "repositories": ["near", "far"],
                    "keep": {"within": "24h"},
                    "options": options,
                },
            ],
        }
        return describe(
            self.folder / "config.json",
            {
                "lifeboat_settings": {"state_directory": str(self.folder / "state")},
                "lifeboat_repositories": {
                    name: {"type": "file", "path": str(self.folder / name)} for name in ("near", "far")
                },
                "lifeboat_services": [{"name": "shop", "sources": [source]}],
            },
        )


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_ship_stores_and_says_so(place: Place) -> None:
    place.tape.put(1, 2)
    said = place.lifeboat()("ship").succeeded()
    assert "shop/main/oplog: complete, 2 segments recorded" in said.out
    assert "nothing waits" in said.out
    (result,) = place.lifeboat()("ship --json").succeeded().document["results"]
    assert (result["ship"]["state"], result["ship"]["segments"]) == ("complete", 0)


def test_the_streams_own_options_reach_shipping_and_the_others_the_room(place: Place, tmp_path: pathlib.Path) -> None:
    lifeboat = place.lifeboat(
        spool_directory=str(tmp_path / "elsewhere"), spool_budget_mib=64, required_copies=1, alarm_age="1m"
    )
    lifeboat("ship").succeeded()
    (context,) = place.contexts
    assert context.spool.path == str(tmp_path / "elsewhere")
    assert context.spool.budget == 64 * 1024 * 1024
    assert not set(context.options) & set(SHIPPING_OPTIONS)
    assert context.connection == {"uri_file": "/nowhere"}


def test_a_dry_run_changes_nothing(place: Place) -> None:
    place.tape.put(1)
    said = place.lifeboat()("ship shop/main/oplog --dry-run").succeeded()
    assert "nothing waits" in said.out
    assert not place.spool.exists()
    place.spool.mkdir(parents=True)
    (place.spool / name_of(7)).write_bytes(content_of(7))
    said = place.lifeboat()("ship --dry-run").succeeded()
    assert "1 segments" in said.out
    assert name_of(7) in said.out
    assert "to near (file://" in said.out
    assert "1 to store" in said.out
    assert in_spool(place.spool) == [name_of(7)]


def test_a_repository_that_is_away_is_partial_and_named(place: Place) -> None:
    (place.folder / "far").rmdir()
    place.tape.put(1)
    said = place.lifeboat()("ship").refused("stream.partial", status=3)
    assert "far" in said.out
    assert "[too_few_repositories]" in said.out
    status = place.lifeboat()("ship --status")
    assert status.status == 1  # the folder of the repository is not there
    assert "partial" in status.out


def test_status_shows_the_streams(place: Place) -> None:
    never = place.lifeboat()("status shop/main/oplog")
    assert never.status == 1
    assert "never" in never.out
    place.tape.put(1, 2)
    place.lifeboat()("ship").succeeded()
    said = place.lifeboat()("status shop/main/oplog").succeeded()
    assert name_of(2) in said.out
    (stream,) = place.lifeboat()("status --json").document["streams"]
    assert (stream["state"], stream["newest"]["name"], stream["spool"]["segments"]) == ("ok", name_of(2), 0)
    assert stream["newest_by"] == "repositories"
    alone = place.lifeboat()("ship --status").succeeded()
    assert name_of(2) in alone.out


def test_status_reads_every_object_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tape.put(1, 2)
    lifeboat = place.lifeboat()
    lifeboat("ship").succeeded()
    described = manifest(service="shop", repositories=("near",))
    for name in ("near", "far"):  # the job of the backups does not know of the second one
        store(LocalStorage(path=str(place.folder / name)), described)
    reads: list[str] = []
    get = LocalStorage.get

    def noted(storage: LocalStorage, key: str, *, limit: int = 64 * 1024 * 1024) -> bytes:
        reads.append(f"{storage.properties.url}/{key}")
        return get(storage, key, limit=limit)

    monkeypatch.setattr(LocalStorage, "get", noted)
    found = lifeboat("status --json").ended(0).document
    assert sorted(reads) == sorted(set(reads))
    assert {key.rpartition(".")[2] for key in reads} == {"json"}
    assert len([key for key in reads if "/records/" in key]) == 2
    (job,) = found["jobs"]
    assert (job["backups"], job["newest"]["repositories"]) == (1, {"near": "complete"})
    assert found["streams"][0]["newest"]["name"] == name_of(2)
    assert list(found["windows"]) == ["shop/main"]


def test_status_with_a_repository_away_says_so_once(place: Place) -> None:
    place.tape.put(1, 2)
    place.lifeboat()("ship").succeeded()
    shutil.rmtree(place.folder / "far")
    said = place.lifeboat()("status").ended(1)
    assert said.err.count("[storage.") == 1
    assert name_of(2) in said.out


def test_backup_says_what_ships_a_stream(place: Place) -> None:
    said = place.lifeboat()("backup shop/main/oplog --dry-run")
    said.refused("job.kind_not_runnable", hint="Run: lifeboat ship shop/main/oplog")


def test_the_beginning_of_a_name_means_the_backups_and_not_the_stream(place: Place) -> None:
    (result,) = place.lifeboat()("backup shop/main --dry-run --json").document["results"]
    assert result["job"] == "shop/main/full"


def test_ship_says_what_backs_up_the_others(place: Place) -> None:
    said = place.lifeboat()("ship shop/main/full")
    said.refused("job.kind_not_runnable", hint="Run: lifeboat backup shop/main/full")


def test_following_takes_one_stream(place: Place) -> None:
    place.lifeboat()("ship --follow shop/main/full").ended(2)
    place.lifeboat()("ship --follow --dry-run").ended(2)
    place.lifeboat()("ship no/such/job").ended(2)


def test_a_stream_that_this_version_does_not_know_is_refused_by_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_requests, "STREAM_KINDS", {})
    place.lifeboat()("ship").refused("job.kind_not_runnable")
    assert "STREAM" not in place.lifeboat()("status").out


def test_every_stream_that_is_described_can_be_shipped_and_every_shipping_option_is_described() -> None:
    kinds = {(engine, kind) for engine, names in STREAMED_KINDS.items() for kind in names}
    assert set(STREAM_KINDS) == kinds
    for engine, kind in kinds:
        assert set(SHIPPING_OPTIONS) <= set(OPTIONS[engine][kind])
