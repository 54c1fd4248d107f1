# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tool: walg refuses before WAL-G is called at all."""

from __future__ import annotations

import dataclasses
import struct
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import Completed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_backup_tool import (
    BaseBackupRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.facts import (
    Archiving,
    ClusterFacts,
    Tablespace,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    base_backup_options_from_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg import WalgTool

IDENTIFIER = 7710724796047330815


class NothingRuns:
    """A runner that fails the test when anything is run."""

    def run(self, argv: t.Sequence[str], **_options: t.Any) -> Completed:
        pytest.fail(f"{argv} was run")


def facts(folder: Path, **changes: t.Any) -> ClusterFacts:
    """A primary whose data folder is *folder*."""
    (folder / "global").mkdir(exist_ok=True)
    (folder / "global/pg_control").write_bytes(struct.pack("=QII", IDENTIFIER, 1300, 202209061) + bytes(100))
    found = ClusterFacts(
        version="15.18",
        version_number=150018,
        system_identifier=str(IDENTIFIER),
        timeline=1,
        in_recovery=False,
        role="lifeboat",
        superuser=False,
        may_replicate=True,
        may_read_passwords=False,
        archiving=Archiving("on", 0, None, None, 0, None, None),
        wal_senders_in_use=0,
        settings={"data_directory": str(folder), "data_checksums": "on"},
        databases=(),
        tablespaces=(),
    )
    return dataclasses.replace(found, **changes)


def check(cluster: ClusterFacts, **connection: t.Any) -> None:
    tool = WalgTool(
        connection=PostgresConnection.from_description({"host": "/var/run/postgresql", "user": "me", **connection}),
        options=base_backup_options_from_description({"tool": "walg"}),
        runner=NothingRuns(),
        journal=MemoryJournal(),
        clock=SystemClock(),
    )
    tool.check(BaseBackupRequest(backup_id="x", facts=cluster, parent=None, keep_manifest=False))


def test_a_standby_is_not_half_supported(tmp_path: Path) -> None:
    with pytest.raises(errors.PostgresToolUnavailable, match="standby"):
        check(facts(tmp_path, in_recovery=True))


def test_without_an_archive_none_of_its_backups_would_start(tmp_path: Path) -> None:
    with pytest.raises(errors.PostgresArchivingOff):
        check(facts(tmp_path, archiving=Archiving("off", 0, None, None, 0, None, None)))


def test_a_second_tablespace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.PostgresTablespaceUnsupported):
        check(facts(tmp_path, tablespaces=(Tablespace("fast", "/ssd", 1),)))


def test_the_data_folder_must_be_known_here_and_the_server_s_own(tmp_path: Path) -> None:
    with pytest.raises(errors.RequestInvalid, match="may not see data_directory"):
        check(facts(tmp_path, settings={}))
    with pytest.raises(errors.RequestInvalid, match="is not on this host"):
        check(facts(tmp_path, settings={"data_directory": str(tmp_path / "elsewhere")}))
    with pytest.raises(errors.PostgresForeignCluster):
        check(facts(tmp_path, system_identifier="1"))


def test_the_server_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    with pytest.raises(errors.RequestInvalid, match=r"needs connection\.host"):
        check(facts(tmp_path), host=None)
    with pytest.raises(errors.WalgConfigurationInvalid, match=r"Nothing names|would read"):
        check_settings(tmp_path)


def check_settings(folder: Path) -> None:
    """All is well but for the storage, which nothing names."""
    tool = WalgTool(
        connection=PostgresConnection.from_description({"host": "/var/run/postgresql", "user": "me"}),
        options=base_backup_options_from_description({"tool": "walg", "walg": {"program": "/bin/true"}}),
        runner=NothingRuns(),
        journal=MemoryJournal(),
        clock=SystemClock(),
    )
    tool.check(BaseBackupRequest(backup_id="x", facts=facts(folder), parent=None, keep_manifest=False))
