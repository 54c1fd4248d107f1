# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A differential backup of a real replica set: made after a full one, restored with it, and nothing of later."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.mongodb import MongoReplicaSet
from tests.support.command_line import describe

pytestmark = pytest.mark.timeout(300)


def test_a_differential_backup_holds_everything_since_the_full_one(
    replica_set: MongoReplicaSet, tmp_path: Path
) -> None:
    (tmp_path / "repository").mkdir()
    backup = {"repositories": ["local"], "keep": {"within": "7d"}}
    source = {
        "name": "main",
        "engine": "mongodb",
        "connection": {"uri": replica_set.uri},
        "backups": [{"kind": "full", **backup}, {"kind": "differential", "schedule": "0 */4 * * *", **backup}],
    }
    lifeboat = describe(
        tmp_path / "lifeboat.json",
        {
            "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "repository")}},
            "lifeboat_services": [{"name": "family", "sources": [source]}],
        },
    )
    lifeboat("backup family/main/differential").refused(
        "job.kind_not_runnable", hint="lifeboat ship family/main/differential"
    )
    with replica_set.client() as client:
        try:
            client["since"]["ledger"].insert_one({"_id": "before"})
            lifeboat("ship family/main/differential --quiet").succeeded()
            lifeboat("backup family/main/full --quiet").succeeded()
            for word in ("first", "second"):
                client["since"]["ledger"].insert_one({"_id": word})
                lifeboat("ship family/main/differential --quiet").succeeded()
            client["since"]["ledger"].insert_one({"_id": "of no backup"})
            assert "family/main/differential" in lifeboat("config check --json").succeeded().document["jobs"]
            (full,) = lifeboat("list --json").document["backups"]
            plan = lifeboat("recover family/main --latest --dry-run -o suffix=_again").succeeded()
            assert f"{full['id']} (at " in plan.out, plan.out
            lifeboat("recover family/main --latest --quiet -o suffix=_again").succeeded()
            restored = {one["_id"] for one in client["since_again"]["ledger"].find()}
            assert restored == {"before", "first", "second"}
        finally:
            for name in client.list_database_names():
                if name == "since" or name.endswith("_again"):
                    client.drop_database(name)
