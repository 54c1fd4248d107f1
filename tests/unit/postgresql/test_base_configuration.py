# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored cluster keeps of the configuration of its source, and what it must not."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_label import BackupLabel
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_restore_options import (
    base_restore_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.base_verify_options import (
    base_verify_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.cluster_configuration import (
    begin_new_timeline,
    end_recovery,
    prepare_beside,
    prepare_in_place,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.programs import ServerPrograms

PROGRAMS = ServerPrograms(bin_directory="/none", version=(15, 1), account=None)
AUTO = "work_mem = '5MB'\nprimary_conninfo = 'host=x'\nrestore_command = 'cp'\narchive_command = 'push %p'\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "postgresql.auto.conf").write_text(AUTO)
    (tmp_path / "standby.signal").touch()
    return tmp_path


def test_in_place_settings_stay(folder: pathlib.Path) -> None:
    prepare_in_place(str(folder), programs=PROGRAMS)
    assert (folder / "postgresql.auto.conf").read_text() == "work_mem = '5MB'\narchive_command = 'push %p'\n"
    assert not (folder / "standby.signal").exists()


def test_beside_nothing_acts_in_the_sources_name(folder: pathlib.Path) -> None:
    (folder / "postgresql.conf").write_text("Data_Directory='/prod'\nport 5432\nport=1\n# data_directory\n")
    for _turn in range(2):  # a second time after a death
        assert prepare_beside(str(folder), port=5433, listen_addresses="", socket_directory="/s", programs=PROGRAMS)
    text = (folder / "postgresql.auto.conf").read_text()
    for line in (
        "archive_mode = 'off'",
        "port = '5433'",
        "max_logical_replication_workers = '0'",
        "cron.launch_active_jobs = 'off'",
        "work_mem = '5MB'",
    ):
        assert text.count(line) == 1
    assert "push" not in text
    assert "primary_conninfo" not in text
    assert "restore_command" not in text
    lines = (folder / "postgresql.conf").read_text().splitlines()
    assert lines[0].startswith("# left out by a restore: Data_Directory")
    assert lines[3] == "# data_directory"
    assert (folder / "pg_hba.conf").exists()


def test_without_a_configuration_a_small_one_is_written(folder: pathlib.Path) -> None:
    was_there = prepare_beside(str(folder), port=None, listen_addresses="", socket_directory="/s", programs=PROGRAMS)
    assert not was_there
    assert (folder / "postgresql.conf").exists()


def test_the_settings_of_the_new_timeline_go_again(folder: pathlib.Path) -> None:
    prepare_in_place(str(folder), programs=PROGRAMS)
    before = (folder / "postgresql.auto.conf").read_text()
    begin_new_timeline(str(folder), programs=PROGRAMS)
    begin_new_timeline(str(folder), programs=PROGRAMS)
    text = (folder / "postgresql.auto.conf").read_text()
    assert text.count("restore_command = 'false'") == 1
    assert (folder / "recovery.signal").exists()
    end_recovery(str(folder), programs=PROGRAMS)
    assert (folder / "postgresql.auto.conf").read_text() == before


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_directory": "relative"},
        {"data_directory": "/"},
        {"data_directory": "/d", "unknown": 1},
        {"data_directory": "/d", "start": True},
        {"data_directory": "/d", "in_place": True},
        {"data_directory": "/d", "in_place": True, "start": False, "port": 1},
        {"data_directory": "/d", "service_control": {"unit": "x"}},
        {"data_directory": "/d", "config_directory": "/nowhere"},
        {"data_directory": "/d", "verify": "yes"},
        {"data_directory": "/d", "start": True, "port": 70000},
    ],
)
def test_options_that_can_not_be(options: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid):
        base_restore_options(options)


def test_options() -> None:
    options = base_restore_options({"data_directory": "/d/", "connection": {"bin_directory": "/b"}})
    assert (options.data_directory, options.bin_directory, options.start, options.verify) == ("/d", "/b", False, True)
    in_place = base_restore_options({"data_directory": "/d", "in_place": True, "service_control": {"unit": "x"}})
    assert in_place.start


@pytest.mark.parametrize("options", [{"preload_libraries": ["pg_cron"]}, {"preload_libraries": "x"}, {"other": 1}])
def test_options_of_a_verification_that_can_not_be(options: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid):
        base_verify_options(options)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-21 12:00:30 UTC", True),
        ("2026-11-21 13:30:00 UTC", False),
        ("2026-11-21 02:00:00 EST", True),
        ("2026-11-19 12:00:00 CET", False),
        ("yesterday", None),
        ("2026-99-21 12:00:30 UTC", None),
    ],
)
def test_when_a_backup_was_begun(written: str, expected: bool | None) -> None:
    moment = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
    label = BackupLabel.parse(f"START TIME: {written}\nLABEL: a: b\n".encode())
    assert label.is_from(moment, moment + datetime.timedelta(minutes=1)) is expected
    assert label.label == "a: b"
