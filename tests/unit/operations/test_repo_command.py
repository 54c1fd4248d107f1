# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat copy`` and ``lifeboat repo``, as a person types them, on repositories that are folders."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_lease import take_lease
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.backups import broken_payloads, listed, tree
from tests.support.command_line import Said, describe
from tests.support.copies import described, payloads_of, put_backup, put_segments, put_verification, recorded

DUMP = "dump.archive.zst"


class Place:
    """Two repositories and the description of a database that is backed up to both."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.near, self.far = (LocalStorage(path=str(folder / name), create=True) for name in ("near", "far"))
        (folder / "near").mkdir()
        (folder / "far").mkdir()
        source = {
            "name": "main",
            "engine": "mongodb",
            "connection": {"uri_file": "/nowhere"},
            "backups": [
                {"kind": "full", "repositories": ["near", "far"], "keep": {"within": "30d"}},
                {"kind": "oplog", "repositories": ["near", "far"], "keep": {"within": "24h"}},
            ],
        }
        self._command_line = describe(
            folder / "config.json",
            {
                "lifeboat_settings": {"state_directory": str(folder / "state")},
                "lifeboat_repositories": {
                    name: {"type": "file", "path": str(folder / name)} for name in ("near", "far")
                },
                "lifeboat_services": [{"name": "family", "sources": [source]}],
            },
        )

    def __call__(self, command: str) -> Said:
        return self._command_line(command)


@pytest.fixture
def lifeboat(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def backup() -> t.Any:
    """One of two hours ago; verifications of it are an hour old."""
    made = SystemClock().now() - datetime.timedelta(hours=2)
    return described(new_backup_id(now=made), repositories=("near", "far"))


def test_copy_brings_what_is_lacking_and_says_so(lifeboat: Place) -> None:
    made = put_backup(lifeboat.near, backup())
    now = SystemClock().now()
    put_segments(lifeboat.near, range(1, 5), made=now)
    said = lifeboat("copy").succeeded()
    assert f"copied    family/main/full/{made.backup_id}/ to far from near, 601 B" in said.out
    assert "copied    family/main/oplog/rs0-1/ to far, 4 segments recorded" in said.out
    assert "; nothing is lacking." in said.out
    assert [one.manifest.backup_id for one in listed(lifeboat.far)] == [made.backup_id]
    assert broken_payloads(lifeboat.far) == []
    assert len(recorded(lifeboat.far)) == 4
    assert lifeboat("copy").succeeded().out == "Nothing is lacking in near, far.\n"


def test_a_dry_run_changes_nothing_and_gives_reasons(lifeboat: Place, tmp_path: pathlib.Path) -> None:
    made = put_backup(lifeboat.near, backup())
    put_segments(lifeboat.near, range(1, 5), made=SystemClock().now())
    before = tree(tmp_path)
    said = lifeboat("copy --dry-run").succeeded()
    assert "1 backup, 4 segments and 0 documents would be copied" in said.out
    assert f"far  family/main/full  {made.backup_id}  copy   601 B  near  its job stores there" in said.out
    assert "family/main/oplog/rs0-1/ to far: 4 segments of 1 hour" in said.out
    assert tree(tmp_path) == before
    plan = lifeboat("copy --dry-run --json").succeeded().document["plan"]
    assert plan["backups"][0]["from"] == ["near"]


def test_what_is_damaged_is_told_with_the_next_command(lifeboat: Place) -> None:
    made = put_backup(lifeboat.near, backup())
    lifeboat.near.put(made.folder.key(DUMP), b"x" * 300, if_absent=False)
    said = lifeboat("copy").refused("copy.incomplete", status=3, hint="lifeboat repo check --repository near")
    assert "failed " in said.out
    assert listed(lifeboat.far) == []
    document = lifeboat("copy --json").ended(3).document
    assert document["error"]["code"] == "copy.incomplete"
    assert document["backups"][0]["state"] == "failed"


def test_check_finds_it_and_repair_mends_it(lifeboat: Place) -> None:
    made = put_backup(lifeboat.near, backup())
    put_backup(lifeboat.far, made)
    lifeboat("repo check").succeeded()
    lifeboat.far.put(made.folder.key(DUMP), b"?" + payloads_of(made.backup_id)[DUMP][1:], if_absent=False)
    lifeboat("repo check").succeeded()
    said = lifeboat("repo check --read-data").ended(1)
    assert "near (file://" in said.out
    assert "): whole\n" in said.out
    assert "DAMAGED: data can't be restored from here" in said.out
    assert f"    {made.folder.key(DUMP)}: the SHA-256 of its bytes is" in said.out
    assert "      hint: Replace it by another copy: lifeboat copy --to far --repair" in said.out
    lifeboat.far.delete([made.folder.key(DUMP)])
    lifeboat("copy --to far --repair").succeeded()
    lifeboat("repo check --read-data").succeeded()


def test_check_as_a_document(lifeboat: Place) -> None:
    made = put_backup(lifeboat.near, backup())
    document = lifeboat("repo check --json --read-data=50%").ended(3).document
    assert document["exit_status"] == 3
    (finding,) = document["repositories"][1]["findings"]
    assert (finding["code"], finding["severity"]) == ("copy-missing", "warning")
    assert finding["key"] == made.folder.key("")
    assert lifeboat("repo --json check").document["exit_status"] == 3


def test_one_repository_alone(lifeboat: Place) -> None:
    put_backup(lifeboat.near, backup())
    said = lifeboat("repo check --repository far --json").succeeded()
    assert [one["name"] for one in said.document["repositories"]] == ["far"]
    for action in ("check", "stats", "unlock"):
        lifeboat(f"repo {action} --repository nowhere").refused("request.invalid", hint="Repositories: near, far.")


def test_stats_counts(lifeboat: Place) -> None:
    put_backup(lifeboat.near, backup())
    said = lifeboat("repo stats").succeeded()
    assert "SERIES" in said.out
    document = lifeboat("repo stats --json --service family").succeeded().document
    assert document["repositories"][0]["series"]["family/main/full"]["backups"] == 1


def test_unlock_shows_and_breaks(lifeboat: Place) -> None:
    assert lifeboat("repo unlock").succeeded().out == "near: nobody prunes it\nfar: nobody prunes it\n"
    take_lease(lifeboat.near, holder={"host": "db9", "pid": 17}, now=SystemClock().now())
    assert "near: process 17 on db9 prunes it" in lifeboat("repo unlock").succeeded().out
    assert "near: process 17 on db9 prunes it" in lifeboat("repo unlock").succeeded().out
    said = lifeboat("repo unlock --repository near --break").succeeded()
    assert "the lease of process 17 on db9" in said.out
    assert "was taken away" in said.out
    assert lifeboat("repo unlock --repository near").succeeded().out == "near: nobody prunes it\n"


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        ("copy a/b/c/d", "request.invalid", "Ids look like"),
        ("copy --to nowhere", "request.invalid", "Repositories: near, far."),
        ("copy --everything", "request.invalid", "Add --to NAME"),
        ("repo check --read-data=x", "request.invalid", "Write --read-data for all of it"),
    ],
)
def test_what_cant_be_meant_is_refused(lifeboat: Place, command: str, code: str, hint: str) -> None:
    lifeboat(command).refused(code, hint=hint)


def test_one_backup_or_series_may_be_named(lifeboat: Place) -> None:
    made = put_backup(lifeboat.near, backup())
    other = put_backup(lifeboat.near, backup())
    lifeboat(f"copy {made.backup_id}").succeeded()
    assert [one.manifest.backup_id for one in listed(lifeboat.far)] == [made.backup_id]
    lifeboat("copy family/other").succeeded()
    assert len(listed(lifeboat.far)) == 1
    lifeboat("copy family/main").succeeded()
    assert {one.manifest.backup_id for one in listed(lifeboat.far)} == {made.backup_id, other.backup_id}


def test_what_is_not_wanted_there_is_counted_and_named_when_asked(lifeboat: Place) -> None:
    old = put_backup(lifeboat.near, described("20250101T020000Z-aaaaaa", repositories=("near", "far")))
    put_backup(lifeboat.near, backup())
    # Two that were proved, so that the policy alone decides about the old one.
    for _turn in range(2):
        made = put_backup(lifeboat.near, backup())
        put_verification(lifeboat.near, made, {"near": 4})
    said = lifeboat("copy").succeeded()
    assert "1 backup not wanted there; --all says why" in said.out
    said = lifeboat("copy --all").succeeded()
    assert f"lacking   {old.folder.key('')} in far: the retention there would not keep it" in said.out
