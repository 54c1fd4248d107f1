# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the kind static: what is read again, what is stored again, and when one is whole."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.writer import BackupWriter
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    BackupNotFound,
    ChainBroken,
    ContentMismatch,
    DurationInvalid,
    RequestInvalid,
    StorageAllFailed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files import reading, remembered
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.remembered import stamp_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.static_options import StaticOptions
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import BackupResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.file_trees import look, make_tree
from tests.support.resealing import mutate_payload
from tests.support.static_files import StaticSite

FILES = {"server.conf", "secret.key", "one.conf", "sparse.img", "tool", "n" * 200, "caf\udce9"}


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> StaticSite:
    return StaticSite(tmp_path, make_tree(tmp_path / "srv" / "media"), monkeypatch)


def identity(result: BackupResult) -> str:
    return str(result.manifest.backup_id)


def why(result: BackupResult) -> str:
    assert result.manifest.parent is None
    return str(result.manifest.content["whole_because"])


def brought_back(site: StaticSite, name: str = "restored", **options: t.Any) -> dict[str, tuple[t.Any, ...]]:
    there = site.directory / name
    site.restore(data_directory=str(there), **options)
    return look(pathlib.Path(f"{there}{site.tree}"))


def test_files_that_are_the_same_are_neither_opened_nor_stored(site: StaticSite) -> None:
    first = site.run()
    assert set(site.opened) == FILES
    assert "none is known" in why(first)
    second = site.run()
    assert site.opened == []
    manifest = second.manifest
    assert (manifest.parent, manifest.content["whole_because"]) == (identity(first), None)
    assert manifest.content["parent"] == {
        "backup_id": identity(first),
        "chain": [identity(first)],
        "whole": identity(first),
        "steps": 1,
    }
    assert manifest.content["stored"] == {"files": 0, "bytes": 0}
    assert manifest.content["kept"] == {identity(first): first.manifest.content["stored"]}
    assert manifest.content["fingerprint"] == first.manifest.content["fingerprint"]
    listed = site.listed(second)
    assert {name for name, entry in listed.items() if entry.get("backup") == identity(first)} == FILES
    assert b"listen 80;" not in (site.folder(second) / "files.tar").read_bytes()
    assert brought_back(site) == look(site.tree)


def test_what_is_new_changed_or_dressed_otherwise_is_stored_again(site: StaticSite) -> None:
    first = site.run()
    (site.tree / "server.conf").write_text("listen 81;\n")
    (site.tree / "tool").chmod(0o700)
    (site.tree / "conf.d" / "new.conf").write_text("new\n")
    (site.tree / "secret.key").unlink()
    os.setxattr(site.tree / "sparse.img", "user.note", b"x")
    second = site.run()
    assert set(site.opened) == {"server.conf", "tool", "new.conf", "sparse.img"}
    listed = site.listed(second)
    assert {name for name in listed if "backup" not in listed[name] and "sha256" in listed[name]} == set(site.opened)
    assert "secret.key" not in listed
    (site.tree / "conf.d" / "new.conf").rename(site.tree / "moved.conf")
    (site.tree / "current").unlink()
    (site.tree / "current").mkdir()
    (site.tree / "current" / "inner").write_text("inner\n")
    third = site.run()
    assert third.manifest.content["parent"]["steps"] == 2
    assert third.manifest.content["parent"]["chain"] == [identity(first), identity(second)]
    assert third.manifest.content["kept"][identity(second)]["files"] == 3
    assert brought_back(site) == look(site.tree)
    for level in (2, 3):
        (outcome,) = site.verify(level).outcomes
        assert outcome.verification is not None
        assert outcome.verification.error is None
        assert outcome.verification.reached == level


def test_each_of_a_chain_comes_back_as_it_was(site: StaticSite) -> None:
    trees, moments = [], []
    for number in range(3):
        (site.tree / "log").write_text("line\n" * (number + 1))
        (site.tree / f"only-{number}").write_text(str(number))
        trees.append(look(site.tree))
        moments.append(site.run().manifest.started + datetime.timedelta(seconds=1))
        (site.tree / f"only-{number}").unlink()
    for number, moment in enumerate(moments):
        assert brought_back(site, f"restored-{number}", before=moment) == trees[number]


def test_in_place_only_the_tars_that_are_needed_are_read(site: StaticSite) -> None:
    first = site.run()
    (site.tree / "server.conf").write_text("listen 81;\n")
    second = site.run()
    before = look(site.tree)
    (site.tree / "server.conf").write_text("broken\n")
    # The first one can't be read any more, and nothing of it is needed.
    hidden = site.directory / "hidden"
    (site.folder(first) / "files.tar").rename(hidden)
    site.restore(in_place=True)
    assert (site.tree / "server.conf").read_text() == "listen 81;\n"
    (site.tree / "tool").write_text("broken\n")
    (site.tree / "server.conf").write_text("broken\n")
    with pytest.raises(ChainBroken, match=identity(first)):
        site.restore(in_place=True)
    assert (site.tree / "server.conf").read_text() == "broken\n"
    with pytest.raises(ChainBroken, match=identity(first)):
        site.restore(data_directory=str(site.directory / "beside"))
    assert not (site.directory / "beside").exists()
    site.restore(data_directory=str(site.directory / "beside"), paths=[str(site.tree / "server.conf")])
    hidden.rename(site.folder(first) / "files.tar")
    site.restore(in_place=True)
    found = look(site.tree)
    assert {name: entry[4] for name, entry in found.items()} == {name: entry[4] for name, entry in before.items()}
    assert second.manifest.parent == identity(first)


def test_a_link_of_the_chain_that_is_gone_is_named_before_anything_is_touched(site: StaticSite) -> None:
    first = site.run()
    site.run()
    shutil.rmtree(site.folder(first))
    with pytest.raises(BackupNotFound, match=identity(first)):
        site.restore(data_directory=str(site.directory / "beside"))
    assert not (site.directory / "beside").exists()
    for level in (0, 3):
        (outcome,) = site.verify(level).outcomes
        assert outcome.verification is not None
        assert outcome.verification.error is not None
        assert outcome.verification.error["code"] == "backup.chain_broken"
        assert identity(first) in outcome.verification.error["message"]


def test_another_content_in_the_tar_of_a_link_does_not_come_back(site: StaticSite) -> None:
    first = site.run()
    second = site.run()
    assert second.manifest.parent == identity(first)
    # As if somebody had replaced the whole of the first one: its own hashes fit.
    tar = site.folder(first) / "files.tar"
    tar.chmod(0o600)
    data = tar.read_bytes().replace(b"listen 80;", b"listen 66;")
    tar.write_bytes(data)
    reseal(site, first)
    with pytest.raises(ContentMismatch, match=r"server\.conf"):
        site.restore(data_directory=str(site.directory / "beside"))
    assert not os.path.exists(f"{site.directory}/beside{site.tree}/server.conf")


def reseal(site: StaticSite, result: BackupResult) -> None:
    mutate_payload(site.directory / "local", result.manifest.folder, "files.tar", lambda data: data)


# --- what is not trusted too far --------------------------------------------------------------------------------------


def test_a_file_written_just_before_it_was_read_is_read_again(site: StaticSite) -> None:
    site.clock.ahead = datetime.timedelta()
    os.utime(site.tree / "tool", (1, 1))
    status = (site.tree / "tool").stat()
    (site.tree / "tool").write_text("#!/bin/no\n")  # as long as it was
    written = datetime.datetime.fromtimestamp(status.st_ctime, tz=datetime.timezone.utc)
    assert stamp_of(status, now=written + datetime.timedelta(seconds=1)) is None
    assert stamp_of(status, now=written - datetime.timedelta(hours=1)) is None, "the clock was set back"
    assert stamp_of(status, now=written + datetime.timedelta(seconds=3)) == (
        status.st_dev,
        status.st_ino,
        status.st_ctime_ns,
    )
    site.clock.ahead = -datetime.timedelta(minutes=1)  # which run() adds
    site.run()
    (site.tree / "tool").write_text("#!/bin/sh\n")
    os.utime(site.tree / "tool", ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert (site.tree / "tool").stat().st_size == status.st_size
    site.clock.ahead = datetime.timedelta(hours=1)
    second = site.run()
    assert set(site.opened) == FILES, "all are in doubt"
    assert second.manifest.content["stored"]["files"] == 1
    site.run()
    assert site.opened == []


def test_another_content_of_the_same_size_and_time_is_seen_by_the_time_of_change(site: StaticSite) -> None:
    site.run()
    path = site.tree / "server.conf"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"80", b"81"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = site.run()
    assert set(site.opened) == {"server.conf"}
    assert second.manifest.content["stored"]["files"] == 1


def test_what_lies_on_another_device_or_inode_now_is_read_and_not_stored(site: StaticSite) -> None:
    site.run()
    path = site.tree / "sparse.img"
    shutil.copy2(path, site.tree / "copy")
    (site.tree / "copy").rename(path)
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    second = site.run()
    assert site.opened == ["sparse.img"]
    assert second.manifest.content["stored"]["files"] == 0


def test_a_file_that_changed_at_every_reading_is_not_known(site: StaticSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_is_same", lambda before, after: False)
    monkeypatch.setattr(reading, "_PAUSE_SECONDS", 0)
    first = site.run()
    assert len(first.manifest.content["doubts"]) == len(FILES)
    monkeypatch.undo()
    second = site.run()
    assert second.manifest.content["stored"]["files"] == len(FILES)


# --- whole ones -------------------------------------------------------------------------------------------------------


def test_without_notes_or_with_torn_ones_it_is_whole_and_says_so(site: StaticSite) -> None:
    first = site.run()
    (notes,) = site.notes
    data = notes.read_bytes()
    assert notes.stat().st_mode & 0o777 == 0o600
    for spoiled in (data[: len(data) // 2], data.replace(b"server.conf", b"server.cont"), b"", b"\xff\xff"):
        notes.write_bytes(spoiled)
        plan = site.plan()
        assert plan.parent is None
        assert plan.inspection.steps[0].startswith("make a whole backup: what was noted of")
        assert "is damaged" in plan.inspection.steps[0]
    other = data.rpartition(b'{"format"')
    end = json.loads(other[1] + other[2])
    notes.write_bytes(other[0] + json.dumps({**end, "list": "0" * 64}).encode() + b"\n")
    assert "is not what that backup has" in site.plan().inspection.steps[0]
    notes.write_bytes(data)
    assert site.plan().parent == identity(first)
    notes.unlink()
    second = site.run()
    assert "has noted nothing" in why(second)
    assert second.manifest.warnings == (f"This backup is a whole one: {why(second)}.",)
    assert set(site.opened) == FILES
    assert site.run().manifest.parent == identity(second)


def test_one_is_whole_after_so_many_steps_so_much_time_or_when_asked_for(site: StaticSite) -> None:
    site.options = {"max_steps": 2, "max_age": "1d"}
    first, second, third = site.run(), site.run(), site.run()
    assert [result.manifest.parent for result in (first, second, third)] == [None, identity(first), identity(second)]
    fourth = site.run()
    assert why(fourth) == f"2 increments follow {identity(first)}, and max_steps is 2"
    asked = site.run(whole=True)
    assert why(asked) == "it was asked for"
    assert site.run().manifest.parent == identity(asked)
    site.clock.ahead += datetime.timedelta(days=1)
    assert "is older than max_age (1 day)" in why(site.run())
    site.options = {"max_steps": 0}
    assert "max_steps is 0" in why(site.run())


def test_options_that_can_not_be_are_refused(site: StaticSite) -> None:
    for wrong in ({"max_steps": -1}, {"max_steps": True}, {"max_steps": "3"}, {"tree": True}):
        with pytest.raises(RequestInvalid):
            StaticOptions.from_description({"connection": {"paths": ["/srv"]}, **wrong})
    with pytest.raises(DurationInvalid):
        StaticOptions.from_description({"connection": {"paths": ["/srv"]}, "max_age": "soon"})


def test_a_link_that_failed_its_verification_is_not_built_on(site: StaticSite) -> None:
    first = site.run()
    site.run()
    tar = site.folder(first) / "files.tar"
    tar.chmod(0o600)
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    assert site.plan().parent is not None, "nobody knows yet"
    site.verify(1, backup_id=identity(first))
    assert "none is known" in why(site.run())


# --- deaths and repositories ------------------------------------------------------------------------------------------


def test_a_death_before_the_manifest_leaves_what_was_built_on(
    site: StaticSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.run()
    (site.tree / "server.conf").write_text("listen 81;\n")
    finish = BackupWriter.finish

    def die(*arguments: t.Any, **more: t.Any) -> None:
        raise KeyboardInterrupt

    for _turn in range(remembered.KEPT + 2):
        monkeypatch.setattr(BackupWriter, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            site.run()
        monkeypatch.setattr(BackupWriter, "finish", finish)
        assert site.plan().parent == identity(first)
    assert site.opened == []
    second = site.run()
    assert second.manifest.parent == identity(first)
    assert set(site.opened) == {"server.conf"}
    assert brought_back(site) == look(site.tree)


def test_a_death_while_files_are_read_leaves_what_was_built_on(
    site: StaticSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.run()
    (site.tree / "server.conf").write_text("listen 81;\n")
    keep = remembered.Notes.keep

    def die(*arguments: t.Any, **more: t.Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(remembered.Notes, "keep", die)
    monkeypatch.setattr(remembered.Notes, "forget", lambda self: self._file.close())  # a kill tidies nothing up
    with pytest.raises(KeyboardInterrupt):
        site.run()
    assert len(site.notes) == 2
    monkeypatch.undo()
    assert remembered.Notes.keep is keep
    second = site.run()
    assert second.manifest.parent == identity(first)
    assert [path.suffix for path in site.notes] == [".files", ".files"]


def test_the_newest_in_every_repository_is_built_on(site: StaticSite) -> None:
    site.repositories = ["local", "second"]
    first = site.run()
    (site.tree / "a").write_text("a")
    second = site.run()
    # As if the second repository had been down then.
    shutil.rmtree(site.folder(second, "second"))
    (site.tree / "b").write_text("b")
    third = site.run()
    assert third.manifest.parent == identity(first)
    assert set(site.opened) == {"a", "b"}
    assert brought_back(site) == look(site.tree)
    site.repositories = ["second"]
    assert brought_back(site, "from-second") == look(site.tree)


def test_notes_of_old_backups_go_and_those_that_are_built_on_stay(site: StaticSite) -> None:
    made = [identity(site.run()) for _turn in range(remembered.KEPT + 3)]
    assert [path.name for path in site.notes] == [f"{one}.files" for one in made[-remembered.KEPT :]]


def test_a_state_folder_that_can_not_be_written_stops_no_backup(
    site: StaticSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.run()

    def full(*arguments: t.Any, **more: t.Any) -> None:
        raise site.state.unusable("/state", OSError(28, "No space left on device"))

    monkeypatch.setattr(remembered.Notes, "add", full)
    second = site.run()
    assert "The next backup will be a whole one" in second.manifest.warnings[-1]
    monkeypatch.undo()
    assert "has noted nothing" in why(site.run())


# --- on change --------------------------------------------------------------------------------------------------------


def test_on_change_nothing_is_read_and_made_when_nothing_changed(site: StaticSite) -> None:
    first = site.run(only_if_changed=True)
    assert not first.is_unchanged
    again = site.run(only_if_changed=True)
    assert again.is_unchanged
    assert site.opened == []
    (site.tree / "server.conf").write_text("listen 81;\n")
    assert site.run(only_if_changed=True).manifest.parent == identity(first)


def test_space_is_asked_for_what_is_new_only(site: StaticSite, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.tree / "large").write_bytes(os.urandom(3_000_000))
    site.run()
    monkeypatch.setattr(LocalStorage, "free_bytes", lambda self: 1_000_000)
    assert site.run().manifest.content["stored"]["files"] == 0
    with pytest.raises(StorageAllFailed, match="bytes free"):
        site.run(whole=True)


def test_on_change_what_was_in_doubt_is_read_once_and_not_each_time(site: StaticSite) -> None:
    site.clock.ahead = -datetime.timedelta(minutes=1)  # which run() adds
    first = site.run(only_if_changed=True)
    site.clock.ahead = datetime.timedelta(hours=1)
    assert site.run(only_if_changed=True).is_unchanged
    assert set(site.opened) == FILES
    assert site.run(only_if_changed=True).is_unchanged
    assert site.opened == []
    assert len(site.notes) == 1
    (site.tree / "server.conf").write_text("listen 81;\n")
    second = site.run()
    assert second.manifest.parent == identity(first)
    assert set(site.opened) == {"server.conf"}
    assert brought_back(site) == look(site.tree)


def test_on_change_a_chain_that_is_over_costs_nothing_until_something_changes(site: StaticSite) -> None:
    site.options = {"max_steps": 0}
    site.run()
    assert site.run(only_if_changed=True).is_unchanged
    assert site.opened == []


def test_on_change_lost_notes_are_brought_back_by_a_whole_one(site: StaticSite) -> None:
    site.run()
    for path in site.notes:
        path.unlink()
    second = site.run(only_if_changed=True)
    assert not second.is_unchanged
    assert "has noted nothing" in why(second)
    assert site.run(only_if_changed=True).is_unchanged
    assert site.opened == []
