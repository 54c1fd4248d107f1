# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full backup that is needed stays on the status until one was begun after it was asked for."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.secrets import Secret
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.choosing import Choice, Sources
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_run import finish
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status import (
    JobToLookAt,
    read_status,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.wanted import (
    want_full_backup,
    wanted_backup,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import Ledger
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.restorer import Restoration
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import START, FakeClock
from tests.support.manifests import manifest, store


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path))


def seen(state: StateDirectory, storage: MemoryStorage, kind: str = "base") -> tuple[str, str | None]:
    job = JobToLookAt(job_id=f"shop/main/{kind}", service="shop", source="main", kind=kind, repositories=("local",))
    (status,) = read_status([job], storages={"local": storage}, state=state).jobs
    return status.state, status.wanted


def stored(storage: MemoryStorage, started: datetime.datetime, kind: str = "base") -> None:
    finished = started + datetime.timedelta(seconds=1)
    backup_id = new_backup_id(now=started)
    named = {"service": "shop", "source": "main", "kind": kind, "engine": "postgresql"}
    store(storage, manifest(backup_id=backup_id, started=started, finished=finished, repositories=("local",), **named))


def wish(state: StateDirectory, clock: FakeClock) -> None:
    host = Host(clock=clock, journal=MemoryJournal())
    want_full_backup(state, service="shop", source="main", reason="a new timeline", host=host)


def test_nothing_is_wanted_before_somebody_asks(state: StateDirectory) -> None:
    storage = MemoryStorage()
    stored(storage, START)
    assert seen(state, storage) == ("ok", None)
    assert wanted_backup(state, service="shop", source="main") is None


def test_an_older_backup_does_not_grant_the_wish_and_a_newer_one_does(state: StateDirectory) -> None:
    clock, storage = FakeClock(), MemoryStorage()
    stored(storage, START - datetime.timedelta(hours=1))
    wish(state, clock)
    assert seen(state, storage) == ("wanted", "a new timeline")
    stored(storage, START + datetime.timedelta(minutes=1))
    assert seen(state, storage) == ("ok", None)


def test_only_full_backups_are_asked_for(state: StateDirectory) -> None:
    storage = MemoryStorage()
    stored(storage, START - datetime.timedelta(hours=1), kind="logical")
    wish(state, FakeClock())
    assert seen(state, storage, "logical") == ("ok", None)


def test_a_note_that_can_not_be_written_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    journal = MemoryJournal()
    state = StateDirectory(path=str(tmp_path / "file"))
    want_full_backup(state, service="shop", source="main", reason="x", host=Host(clock=FakeClock(), journal=journal))
    assert any("could not be noted" in warning for warning in journal.warnings)


@pytest.mark.parametrize("note", [{}, {"reason": "x"}, {"reason": "x", "since": "yesterday"}, {"since": None}])
def test_a_note_that_says_nothing_is_none(state: StateDirectory, note: dict[str, object]) -> None:
    state.write("wanted", "shop.main.json", note)
    assert wanted_backup(state, service="shop", source="main") is None


@pytest.mark.parametrize(
    ("content", "in_place", "reason"),
    [
        ({"full_backup_needed": True}, True, "the recovery 20261121T020000Z-abcdef of shop/main began a new timeline"),
        ({"full_backup_needed": True}, False, None),
        ({}, True, None),
    ],
)
def test_a_recovery_in_place_that_began_a_timeline_asks_for_one(
    state: StateDirectory, content: dict[str, object], in_place: bool, reason: str | None
) -> None:
    """The restorer does nothing here but say what came of it."""

    class Done:
        def steps(self, **_anything: object) -> tuple[()]:
            return ()

        def outcome(self, **_anything: object) -> Restoration:
            return Restoration(content=content, where="there")

    clock = FakeClock()
    request = {"manifest": {}, "options": {"in_place": in_place}}
    ledger = Ledger.begin(
        state=state, clock=clock, restore_id="20261121T020000Z-abcdef", target="/data", request=request
    )
    described = manifest(service="shop", source="main", kind="base", engine="postgresql", repositories=("local",))
    choice = Choice(Backup(described, {"local": "complete"}), "local", "it is named", ())
    host = Host(clock=clock, journal=MemoryJournal())
    sources = Sources(storages={"local": MemoryStorage()}, host=host, identity=Secret(name="identity"))
    finish(ledger, t.cast("t.Any", Done()), sources, choice, progress=Progress(clock=clock), host=host)
    found = wanted_backup(state, service="shop", source="main")
    assert (found.reason if found else None) == reason
