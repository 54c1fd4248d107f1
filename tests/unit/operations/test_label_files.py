# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a service as a part of its labels: the newest whole backup, and what keeps it."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import LabelInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.label_pins import pinned_points
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.labels import (
    find_label,
    label_of_hosts,
    newest_files,
    store_label,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.label import (
    LabelledFiles,
    files_from,
    files_values,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.windows import labels_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.command_line import CommandLine, describe
from tests.support.memory import MemoryStorage
from tests.support.waiting import wait_for
from tests.unit.operations.test_labels import MAIN

SOURCE = "settings"


@pytest.fixture
def site(tmp_path: pathlib.Path) -> pathlib.Path:
    """A description with one source of files, which can be backed up here without any server."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shop.conf").write_text("first")
    backup = {"kind": "config", "repositories": ["local"], "keep": {"count": 1}}
    source = {
        "name": SOURCE,
        "engine": "files",
        "connection": {"paths": [str(tmp_path / "etc")]},
        "backups": [backup],
    }
    lifeboat = describe(
        tmp_path / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "repository")}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )
    lifeboat("backup shop/settings --quiet").succeeded()
    return tmp_path


def labelled(site: pathlib.Path, journal: MemoryJournal | None = None) -> tuple[LabelledFiles, ...]:
    storage = LocalStorage(path=str(site / "repository"))
    host = Host(journal=journal or MemoryJournal())
    return newest_files([SOURCE], service="shop", storages={"local": storage}, host=host)


def test_the_newest_backup_is_taken_and_told_with_its_age(site: pathlib.Path) -> None:
    (first,) = labelled(site)
    lifeboat = CommandLine(site / "config.yml")
    made = lifeboat("backup shop/settings --json").succeeded().document["results"][0]["backup"]["id"]
    (newest,) = labelled(site)
    assert newest.backup_id == made != first.backup_id
    label = label_of_hosts("x", service="shop", points=[MAIN], files=[newest])
    assert f"settings (files): {made}, as of " in labels_text([label])
    storage = MemoryStorage()
    store_label(label, storages={"local": storage})
    assert find_label("x", service="shop", storages={"local": storage}) == label


def test_one_that_failed_its_verification_is_none(site: pathlib.Path) -> None:
    (first,) = labelled(site)
    lifeboat = CommandLine(site / "config.yml")
    made = lifeboat("backup shop/settings --json").succeeded().document["results"][0]["backup"]["id"]
    (payload,) = (site / "repository" / "shop" / "settings" / "config" / made).glob("files.tar*")
    payload.write_bytes(payload.read_bytes()[:-1])
    assert lifeboat(f"verify {made} --level 1").status != 0
    assert labelled(site) == (first,)


def test_a_source_without_a_backup_is_a_warning(tmp_path: pathlib.Path) -> None:
    (tmp_path / "repository").mkdir()
    journal = MemoryJournal()
    assert labelled(tmp_path, journal) == ()
    assert any("lifeboat backup shop/settings" in line for line in journal.warnings), journal.warnings


def test_files_travel_as_values(site: pathlib.Path) -> None:
    found = labelled(site)
    assert files_from([files_values(one) for one in found]) == found
    for broken in ({}, {**files_values(found[0]), "backup": "../x"}, {**files_values(found[0]), "finished": "today"}):
        with pytest.raises(LabelInvalid, match="can't be read"):
            files_from([broken])


def test_a_pinned_label_keeps_its_files(site: pathlib.Path) -> None:
    """The policy keeps one; three are there, and the oldest is of a label that somebody pinned."""
    storage = LocalStorage(path=str(site / "repository"))
    found = labelled(site)
    store_label(label_of_hosts("x", service="shop", points=[MAIN], files=found), storages={"local": storage})
    lifeboat = CommandLine(site / "config.yml")
    for _turn in range(3):
        lifeboat("backup shop/settings --quiet").succeeded()
    lifeboat("verify --unverified --quiet --level 3").succeeded()
    # A plan is of a whole second, and of what was before it.
    clock = SystemClock()
    made = clock.now().replace(microsecond=0)
    wait_for(lambda: clock.now().replace(microsecond=0) > made, what="the next second")
    plan = "prune --plan --json --allow overdue --max-share 1"
    gone = {one["id"] for one in lifeboat(plan).document["plans"][0]["backups"] if one["verdict"] == "removed"}
    assert found[0].backup_id in gone
    lifeboat("pin --label shop/x --reason accepted-later").succeeded()
    assert set(pinned_points(storage, ["shop"]).backups) == {found[0].backup_id}
    entries = {one["id"]: one for one in lifeboat(plan).document["plans"][0]["backups"]}
    assert entries[found[0].backup_id]["verdict"] == "kept"
    assert "label x, accepted-later" in str(entries[found[0].backup_id])


def test_the_age_is_told_whichever_it_is() -> None:
    files = LabelledFiles(
        SOURCE, "config", "20261121T020000Z-4f2c91", MAIN.asked - datetime.timedelta(hours=3), "0" * 64
    )
    label = label_of_hosts("x", service="shop", points=[MAIN], files=[files])
    assert "3 h" in labels_text([label])
