# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/repository.md`` is walked through: what a repository lacks or has damaged is found and mended."""

from __future__ import annotations

import datetime
import re

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.check_values import FINDINGS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import take_lease
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.integration.runbooks.walk import PAGES, Walk, backup
from tests.support.backups import broken_payloads, listed
from tests.support.command_line import describe
from tests.support.copies import described, payloads_of, put_backup, put_segments, recorded

PAGE = "repository.md"


@pytest.fixture
def places(walk: Walk) -> dict[str, LocalStorage]:
    """Two folders; a database that is stored in both, and was while the second one was away."""
    source = {
        "name": "main",
        "engine": "mongodb",
        "connection": {"uri_file": "/nowhere"},
        "backups": [
            backup("full", repositories=["local", "offsite"]),
            {"kind": "oplog", "repositories": ["local", "offsite"], "keep": {"within": "30d"}},
        ],
    }
    describe(
        walk.folder / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(walk.folder / "state")},
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(walk.folder / name)} for name in ("local", "offsite")
            },
            "lifeboat_services": [{"name": "family", "sources": [source]}],
        },
    )
    found = {}
    for name in ("local", "offsite"):
        (walk.folder / name).mkdir()
        found[name] = LocalStorage(path=str(walk.folder / name))
    made = SystemClock().now() - datetime.timedelta(hours=2)
    put_backup(found["local"], described(new_backup_id(now=made), repositories=("local", "offsite")))
    put_segments(found["local"], range(1, 6), made=made)
    return found


def test_what_is_lacking_is_brought_and_what_is_damaged_replaced(walk: Walk, places: dict[str, LocalStorage]) -> None:
    # The page ends with a verification, which needs a server of the backup's own kind.
    (walk.folder / "bin" / "lifeboat").rename(walk.folder / "bin" / "real")
    wrapper = walk.folder / "bin" / "lifeboat"
    wrapper.write_text('#!/bin/sh\n[ "$1" = verify ] && exit 0\nexec real "$@"\n')
    wrapper.chmod(0o755)

    said = walk.through(PAGE, 1)
    assert "1 backup, 5 segments and 0 documents would be copied" in said
    assert "; nothing is lacking." in said
    (there,) = listed(places["offsite"])
    assert broken_payloads(places["offsite"]) == []
    assert len(recorded(places["offsite"])) == 5

    assert walk.through(PAGE, 2).count("): whole\n") == 4

    payload = there.manifest.folder.key("dump.archive.zst")
    places["offsite"].delete([payload])
    assert "repaired" in walk.through(PAGE, 3)
    assert b"".join(places["offsite"].read(payload)) == payloads_of(there.manifest.backup_id)["dump.archive.zst"]

    assert re.search(r"family/main/full +1 +5 ", walk.through(PAGE, 4))

    take_lease(places["local"], holder={"host": "db9", "pid": 17}, now=SystemClock().now())
    said = walk.through(PAGE, 5)
    assert "local: process 17 on db9 prunes it" in said
    assert "was taken away" in said


def test_every_finding_has_its_row() -> None:
    rows = set(re.findall(r"`([a-z-]+)`", "\n".join(line for line in page_lines() if line.startswith("| `"))))
    assert sorted(FINDINGS.keys() - rows) == []


def page_lines() -> list[str]:
    return (PAGES / PAGE).read_text(encoding="utf-8").splitlines()
