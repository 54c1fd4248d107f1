# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of WAL-G and the files that name its storage."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    RequestInvalid,
    ToolTooOld,
    WalgConfigurationInvalid,
    WalgFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import Completed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    base_backup_options_from_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_options import (
    PLACE_KEYS,
    WalgSettings,
    read_settings,
    walg_options,
    without_secrets,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_program import find_walg

SECRET = "wJalrXUtnFEMI"


def configuration(folder: Path, **values: t.Any) -> str:
    path = folder / "walg.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return str(path)


def settings(folder: Path, description: dict[str, t.Any], **inherited: str) -> WalgSettings:
    return read_settings(walg_options(description), inherited=inherited, homes=[str(folder / "home")])


def test_defaults() -> None:
    options = walg_options({})
    assert (options.program, options.max_steps, options.archive_wait) == ("wal-g", 6, 300)
    assert options.max_age == datetime.timedelta(days=7)
    assert options.full_after_timeline_change


@pytest.mark.parametrize(
    "description",
    [
        "x",
        {"nonsense": 1},
        {"config": "relative.json"},
        {"config": 1},
        {"environment_file": "x"},
        {"max_steps": -1},
        {"max_steps": True},
        {"max_age": "soon"},
        {"full_after_timeline_change": "yes"},
        {"environment": ["a"]},
        {"environment": {"lower": "x"}},
        {"environment": {"AWS_SECRET_ACCESS_KEY": SECRET}},
    ],
)
def test_what_can_t_be_is_refused_without_showing_a_secret(description: t.Any) -> None:
    with pytest.raises(LifeboatError) as caught:
        walg_options(description)
    assert caught.value.exit_status == 2
    assert SECRET not in f"{caught.value}{caught.value.hint}{caught.value.details}"


def test_a_restore_takes_only_where_it_is() -> None:
    with pytest.raises(RequestInvalid, match="no option max_steps"):
        walg_options({"max_steps": 1}, keys=PLACE_KEYS)


def test_its_options_are_for_its_tool() -> None:
    with pytest.raises(RequestInvalid, match="the tool is pg_basebackup"):
        base_backup_options_from_description({"walg": {}})
    assert base_backup_options_from_description({"tool": "walg", "walg": {"max_steps": 3}}).walg is not None


def test_one_storage_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(WalgConfigurationInvalid, match="Nothing names the storage"):
        settings(tmp_path, {"config": configuration(tmp_path, WALG_COMPRESSION_METHOD="lz4")})
    found = settings(tmp_path, {"config": configuration(tmp_path, walg_file_prefix="/backups/", PGHOST="x")})
    assert (found.kind, found.prefix) == ("FILE_PREFIX", "/backups")


def test_two_storages_are_refused_wherever_they_are_named(tmp_path: Path) -> None:
    one = configuration(tmp_path, WALG_FILE_PREFIX="/backups")
    both = {"config": one, "environment": {"WALG_S3_PREFIX": "s3://bucket/path"}}
    with pytest.raises(WalgConfigurationInvalid, match="WALG_S3_PREFIX, WALG_FILE_PREFIX"):
        settings(tmp_path, both)
    with pytest.raises(WalgConfigurationInvalid, match="Several storages"):
        settings(tmp_path, {"config": one}, WALE_S3_PREFIX="s3://bucket/path")
    with pytest.raises(WalgConfigurationInvalid, match="Several storages"):
        settings(tmp_path, {"config": configuration(tmp_path, WALG_S3_PREFIX="s3://a/b", WALG_FILE_PREFIX="/backups")})


@pytest.mark.parametrize("text", ["{", "[]", "WALG_FILE_PREFIX: /backups"])
def test_a_file_that_wal_g_would_only_warn_of_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "walg.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WalgConfigurationInvalid):
        settings(tmp_path, {"config": str(path)})
    path.unlink()
    with pytest.raises(WalgConfigurationInvalid, match="can't be read"):
        settings(tmp_path, {"config": str(path)})


def test_what_would_be_overruled_unseen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WalgConfigurationInvalid, match="WALG_DELTA_MAX_STEPS"):
        settings(tmp_path, {"config": configuration(tmp_path, WALG_FILE_PREFIX="/b", WALG_DELTA_MAX_STEPS="7")})
    with pytest.raises(WalgConfigurationInvalid, match="failover"):
        settings(tmp_path, {"config": configuration(tmp_path, WALG_FILE_PREFIX="/b", WALG_FAILOVER_STORAGES={})})


def test_a_file_in_the_home_folder_is_not_read_unseen(tmp_path: Path) -> None:
    named = {"environment": {"WALG_FILE_PREFIX": "/backups"}}
    assert settings(tmp_path, named).prefix == "/backups"
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.walg.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WalgConfigurationInvalid, match="would read"):
        settings(tmp_path, named)


def test_secrets_come_from_a_file_and_are_in_no_message(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f"# keys\nAWS_SECRET_ACCESS_KEY='{SECRET}'\n\nAWS_REGION=eu\n", encoding="utf-8")
    named = {"config": configuration(tmp_path, WALG_S3_PREFIX="s3://bucket/path"), "environment_file": str(secrets)}
    assert settings(tmp_path, named).environment == {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu"}
    secrets.write_text(f"{SECRET}\n", encoding="utf-8")
    with pytest.raises(WalgConfigurationInvalid) as caught:
        settings(tmp_path, named)
    assert SECRET not in f"{caught.value}{caught.value.hint}{caught.value.details}"


def test_addresses_without_secrets() -> None:
    assert without_secrets("s3://bucket/path") == "s3://bucket/path"
    assert without_secrets(f"ssh://me:{SECRET}@host:22/path?key={SECRET}") == "ssh://host:22/path"
    assert without_secrets("/backups") == "/backups"


class Walg:
    """Answers as a program that is as old as it is told to be; nothing is run."""

    def __init__(self, *, version: str, lacking: str = "") -> None:
        self.version, self.lacking = version, lacking
        self.calls: list[tuple[list[str], t.Mapping[str, str]]] = []

    def run(
        self,
        argv: t.Sequence[str],
        *,
        environment: t.Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60.0,
        check: bool = True,
    ) -> Completed:
        del stdin, timeout, check
        self.calls.append((list(argv), environment or {}))
        if "--version" in argv:
            return Completed(
                status=0, output=f"wal-g version {self.version}\tdevel\t\tPostgreSQL\n".encode(), error=b""
            )
        if "--help" in argv:
            flags = "--add-user-data --full --verify --detail --json --backup-name --restore-spec --detailed-json "
            flags += "--without-backups"
            return Completed(status=0, output=flags.replace(self.lacking or "\0", "").encode(), error=b"")
        return Completed(status=1, output=b"", error=f"ERROR: denied for {SECRET}\n".encode())


def find(tmp_path: Path, walg: Walg) -> t.Any:
    options = walg_options({"program": "/bin/true", "config": configuration(tmp_path, WALG_FILE_PREFIX="/backups")})
    return find_walg(options, runner=walg, account=None, environment={"PGPASSWORD": SECRET})


def test_too_old_by_its_number_or_by_what_it_can(tmp_path: Path) -> None:
    with pytest.raises(ToolTooOld, match="half a file"):
        find(tmp_path, Walg(version="v3.0.8"))
    with pytest.raises(ToolTooOld, match="--add-user-data"):
        find(tmp_path, Walg(version="devel", lacking="--add-user-data"))
    assert find(tmp_path, Walg(version="devel")).version == "unknown"
    assert find(tmp_path, Walg(version="v3.0.9")).version == "3.0.9"


def test_secrets_are_in_no_argument_and_in_no_error(tmp_path: Path) -> None:
    walg = Walg(version="v3.0.9")
    program = find(tmp_path, walg)
    with pytest.raises(WalgFailed, match="denied for ") as caught:
        program.backups()
    assert SECRET not in f"{caught.value}{caught.value.hint}{caught.value.details}"
    assert all(SECRET not in " ".join(argv) for argv, _environment in walg.calls)
    assert all(environment["PGPASSWORD"] == SECRET for _argv, environment in walg.calls)
