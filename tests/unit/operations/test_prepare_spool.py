# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a spool makes what the server needs, tells the rest, and does no harm when it is done again."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import pwd
import shlex
import stat

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RequestInvalid,
    StreamSpoolUnusable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prepare_spool import prepare_spool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import ShipRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    ARCHIVE_SCRIPT,
)

ME = pwd.getpwuid(os.getuid()).pw_name


def request(folder: pathlib.Path, *, engine: str = "postgresql", kind: str = "wal") -> ShipRequest:
    return ShipRequest(
        series=Series(service="shop", source="main", kind=kind),
        engine=engine,
        kind=STREAM_KINDS[engine, kind],
        repositories=(RepositoryRequest(name="local", description={"type": "file", "path": "/backups"}),),
        spool_directory=str(folder / "spools" / "it's here"),
        options={"archive_timeout": "1m"},
    )


def test_spool_and_script_are_made_and_the_settings_told(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "lib" / "archive-wal"
    made = prepare_spool(request(tmp_path), script=str(script), owner=ME)
    spool = tmp_path / "spools" / "it's here"
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert script.read_text() == ARCHIVE_SCRIPT
    assert made.changed == (str(spool), str(script))
    assert made.settings["archive_mode"] == "on"
    assert made.settings["archive_timeout"] == "1min"
    assert shlex.split(made.settings["archive_command"]) == [str(script), str(spool), "%p", "%f"]
    again = prepare_spool(request(tmp_path), script=str(script), owner=ME)
    assert again.changed == ()
    assert again.settings == made.settings
    # A minute, less the way into the repositories (tests/integration/test_data_at_risk.py).
    usual = dataclasses.replace(request(tmp_path), options={})
    assert prepare_spool(usual, script=str(script), owner=ME).settings["archive_timeout"] == "45s"


def test_the_account_of_the_server_gets_there_whatever_the_umask_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o750)
    before = os.umask(0o077)
    try:
        prepare_spool(request(tmp_path / "closed"), script=str(tmp_path / "a" / "b" / "archive-wal"), owner=ME)
    finally:
        os.umask(before)
    for folder in ("closed/spools", "a", "a/b"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o755, folder
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o750  # what was there stays as it was
    assert stat.S_IMODE((tmp_path / "closed" / "spools" / "it's here").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_the_spool_belongs_to_the_account_of_the_server_also_when_it_was_there(tmp_path: pathlib.Path) -> None:
    nobody = pwd.getpwnam("nobody")
    spool = tmp_path / "spools" / "it's here"
    spool.mkdir(parents=True)
    prepare_spool(request(tmp_path), script=str(tmp_path / "archive-wal"), owner="nobody")
    assert (spool.stat().st_uid, spool.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid)
    assert (tmp_path / "archive-wal").stat().st_uid == 0  # or the server could change what it is told to run


def test_what_waits_is_left_alone(tmp_path: pathlib.Path) -> None:
    spool = tmp_path / "spools" / "it's here"
    spool.mkdir(parents=True)
    (spool / "000000010000000000000001").write_bytes(b"wal")
    prepare_spool(request(tmp_path), script=str(tmp_path / "archive-wal"), owner=ME)
    assert (spool / "000000010000000000000001").read_bytes() == b"wal"


def test_a_stream_that_fills_its_own_spool_needs_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RequestInvalid, match="Nothing is to be prepared"):
        prepare_spool(request(tmp_path, engine="mongodb", kind="oplog"), script=str(tmp_path / "x"), owner=ME)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("script", "owner"), [("relative", ME), ("/proc/x", "nobody-of-that-name")])
def test_what_can_not_be_meant_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str, owner: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestInvalid):
        prepare_spool(request(tmp_path), script=script, owner=owner)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "spools").write_text("")
    with pytest.raises(StreamSpoolUnusable, match="spools"):
        prepare_spool(request(tmp_path), script=str(tmp_path / "archive-wal"), owner=ME)
