# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets from the command line: made, broken, mended, proved, planned back, removed; of files alone, for speed."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FilesUnreadable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import set_producer
from tests.support.children import ENGINE, environment
from tests.support.command_line import CommandLine, describe
from tests.support.manifests import signed

JOB = "shop/system/system"
_FILES = ("conf", "code")


class Shop:
    """Two sources of files, two repositories, and a set of both sources that goes to both."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        for name in _FILES:
            (directory / name).mkdir()
            (directory / name / "settings").write_text(f"{name}\n", encoding="utf-8")
        self.lifeboat = self.describe()

    def describe(
        self,
        *,
        repositories: t.Sequence[str] = ("one", "two"),
        keep: t.Mapping[str, t.Any] | None = None,
        **more: t.Any,
    ) -> CommandLine:
        sources = [
            {
                "name": name,
                "engine": "files",
                "connection": {"paths": [str(self.directory / name)]},
                "backups": [{"kind": "config", "repositories": ["one"], "keep": {"count": 1, "minimum_verified": 0}}],
            }
            for name in _FILES
        ]
        system = {
            "kind": "system",
            "schedule": "0 1 * * 6",
            "repositories": list(repositories),
            "keep": keep or {"within": "12w"},
            **more,
        }
        self.lifeboat = describe(
            self.directory / "lifeboat.json",
            {
                "lifeboat_settings": {
                    "state_directory": str(self.directory / "state"),
                    "scratch_directory": str(self.directory / "scratch"),
                },
                "lifeboat_repositories": {
                    name: {"type": "file", "path": str(self.directory / name), "create": True}
                    for name in ("one", "two", "three")
                },
                "lifeboat_services": [
                    {
                        "name": "shop",
                        "sources": [*sources, {"name": "system", "engine": "files", "backups": [system]}],
                    }
                ],
            },
        )
        return self.lifeboat

    def make(self, *more: str, status: int = 0) -> dict[str, t.Any]:
        """A set; returns what came of it."""
        said = self.lifeboat(f"backup {JOB} --quiet --json", *more).ended(status)
        backup: dict[str, t.Any] = said.document["results"][0]["backup"]
        return backup

    def prune(self, *what: str) -> None:
        """Remove what no policy keeps; what was made in this very second would count for nothing."""
        time.sleep(1.1)
        self.lifeboat("prune --yes --quiet", *what).succeeded()

    def listed(self, *more: str) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = self.lifeboat("list --json", *more).document["backups"]
        return found

    def members(self, backup: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = backup["content"]["members"]
        return found

    def folder(self, repository: str, member: t.Mapping[str, t.Any]) -> pathlib.Path:
        return self.directory / repository / "shop" / member["source"] / member["kind"] / member["id"]


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Shop:
    return Shop(tmp_path)


def test_a_set_binds_one_backup_of_each_source_and_is_written_last(shop: Shop) -> None:
    made = shop.make("--label", "release=7")
    assert [(one["source"], one["kind"], one["engine"]) for one in shop.members(made)] == [
        ("conf", "config", "files"),
        ("code", "config", "files"),
    ]
    by_id = {one["id"]: one for one in shop.listed()}
    assert set(by_id) == {made["id"], *(one["id"] for one in shop.members(made))}
    for member in shop.members(made):
        listed = by_id[member["id"]]
        # Also where the member's own job would not store.
        assert set(listed["repositories"]) == {"one", "two"}
        assert listed["labels"] == {"job": JOB, "release": "7", "set": f"{JOB}/{made['id']}"}
        for repository in ("one", "two"):
            manifest = json.loads((shop.folder(repository, member) / "manifest.json").read_text())
            assert manifest["checksum"] == member["checksum"]
            written = (shop.directory / repository / made["path"] / "manifest.json").stat().st_mtime_ns
            assert written >= (shop.folder(repository, member) / "manifest.json").stat().st_mtime_ns
    assert "is a set of 2: conf/config" in shop.lifeboat("list").out


def test_the_set_holds_the_manifests_and_what_the_host_was(shop: Shop) -> None:
    made = shop.make()
    folder = shop.directory / "two" / made["path"]
    document = json.loads(subprocess.check_output(["zstd", "-dc", folder / "set.json.zst"]))
    for listed, member in zip(document["members"], shop.members(made)):
        assert listed["manifest"] == json.loads((shop.folder("one", member) / "manifest.json").read_text())
        assert listed["point"]["fingerprint"] == listed["manifest"]["content"]["fingerprint"]
    names = subprocess.run(
        ["tar", "-t"],
        input=subprocess.check_output(["zstd", "-dc", folder / "system.tar.zst"]),
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "system/packages.txt" in names.splitlines()


def test_its_restore_notes_check_every_member_with_stock_tools(shop: Shop) -> None:
    made = shop.make()
    host = shop.directory / "host"
    shutil.copytree(shop.directory / "two", host)
    notes = (host / made["path"] / "RESTORE.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", notes, re.MULTILINE | re.DOTALL)
    script = "set -e\n" + "\n".join(blocks)
    inside = (host / made["path"]).parent
    done = subprocess.run(["sh", "-c", script], cwd=inside, capture_output=True, text=True, check=True)
    # Two of the set, two of each member.
    assert done.stdout.count(": OK") == 6
    for member in shop.members(made):
        assert f"shop/{member['source']}/config/{member['id']}/RESTORE.md" in notes
    damaged = next((host / "shop" / "code").rglob("files.tar.zst"))
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    assert subprocess.run(["sh", "-c", script], cwd=inside, capture_output=True, check=False).returncode != 0


def test_a_source_that_can_not_be_read_is_refused_before_anything_is_made(shop: Shop) -> None:
    shutil.rmtree(shop.directory / "code")
    said = shop.lifeboat(f"backup {JOB} --quiet").refused(
        "backup.set_incomplete", status=1, hint=f"lifeboat backup {JOB}"
    )
    assert "shop/code/config: " in said.err
    assert "[files.missing]" in said.err
    assert shop.listed() == []


def failing(monkeypatch: pytest.MonkeyPatch, then: t.Callable[[str], None]) -> None:
    """Have something happen when a member is about to be made."""
    make = set_producer.run_backup

    def run(request: t.Any, **more: t.Any) -> t.Any:
        then(request.job)
        return make(request, **more)

    monkeypatch.setattr(set_producer, "run_backup", run)


def test_a_member_that_fails_leaves_no_set_and_the_others_as_they_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then(job: str) -> None:
        if job == "shop/conf/config":
            raise FilesUnreadable("May not be read: /srv/x.", hint="Run it as root.")

    failing(monkeypatch, then)
    said = shop.lifeboat(f"backup {JOB} --quiet").refused("backup.set_incomplete", status=1, hint="Run it as root.")
    assert "The 1 others were made and stay" in said.err
    assert [one["source"] for one in shop.listed()] == ["code"]
    status = shop.lifeboat("status --json").document
    states = {one["job"]: one["state"] for one in status["jobs"]}
    assert states[JOB] == "failed"
    # What was made for a set is no run of the member's own job.
    assert states["shop/code/config"] == "never"
    assert next(one["last_run"] for one in status["jobs"] if one["job"] == "shop/code/config") is None


def test_a_repository_that_lacks_a_member_gets_no_set_until_it_is_copied(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then(job: str) -> None:
        if job == "shop/code/config":
            shutil.rmtree(shop.directory / "two" / "shop" / "conf")

    failing(monkeypatch, then)
    made = shop.make(status=3)
    assert {one["name"]: one["state"] for one in made["repositories"]} == {"one": "complete", "two": "failed"}
    assert not list((shop.directory / "two").rglob("system/*/manifest.json"))
    listed = {one["source"]: one for one in shop.listed()}
    assert listed["system"]["missing"] == ["two"]
    copied = shop.lifeboat(f"copy {JOB}").succeeded().out
    # What is asked for is the set; it brings its members.
    assert "shop/conf/config" in copied
    assert {tuple(one["repositories"]) for one in shop.listed()} == {("one", "two")}
    shop.lifeboat("repo check").succeeded()


def test_no_set_without_any_repository_that_has_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def then(job: str) -> None:
        if job == "shop/code/config":
            for repository in ("one", "two"):
                shutil.rmtree(shop.directory / repository / "shop" / "conf")

    failing(monkeypatch, then)
    shop.lifeboat(f"backup {JOB} --quiet").ended(1)
    assert [one["source"] for one in shop.listed()] == ["code"]


_DIES = """
import os, signal, sys
from {engine}.operations import set_producer
from {engine}.cli import main
def die(*arguments, **more):
    os.kill(os.getpid(), signal.SIGKILL)
set_producer.set_document = die
main(sys.argv[1:])
"""


def test_a_death_between_members_and_set_leaves_backups_and_no_set(shop: Shop) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _DIES.format(engine=ENGINE),
            "--config",
            str(shop.lifeboat.configuration),
            *f"backup {JOB} --quiet".split(),
        ],
        env=environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [one["source"] for one in shop.listed()] == ["conf", "code"]
    assert list((shop.directory / "one" / "shop" / "system" / "system").glob("*/started.json"))
    assert "Nothing would be removed" in shop.lifeboat("prune --plan").succeeded().out
    made = shop.make()
    # The next run swept what the dead one had begun.
    (left,) = os.listdir(shop.directory / "one" / "shop" / "system" / "system")
    assert left == made["id"]
    shop.lifeboat("repo check").succeeded()
    assert len(shop.listed()) == 5


def test_a_service_is_proved_in_one_go_and_no_member_twice(shop: Shop) -> None:
    made = shop.make()
    results = shop.lifeboat("verify shop --level 3 --json").succeeded().document["results"]
    assert [one["job"].split("/")[1] for one in results] == ["conf", "code", "system"]
    for member in shop.members(made):
        assert len(list(shop.folder("one", member).glob("verification-*.json"))) == 1, "proved twice"
    payload = next(shop.folder("one", shop.members(made)[0]).glob("files.tar*"))
    payload.write_bytes(b"x" + payload.read_bytes()[1:])
    results = shop.lifeboat("verify shop --level 1 --json").ended(1).document["results"]
    assert [one["state"] for one in results] == ["failed", "passed", "failed"]
    # A lower proof than the set asks for is none.
    assert len(shop.lifeboat(f"verify shop/conf {JOB} --level 3 --json").ended(1).document["results"]) == 3


def test_a_set_is_as_good_as_its_worst_member(shop: Shop) -> None:
    made = shop.make()
    conf, code = shop.members(made)
    shop.lifeboat(f"verify {JOB} --level 3").succeeded()
    assert {one["source"]: one["state"] for one in shop.listed()} == dict.fromkeys(
        ("conf", "code", "system"), "verified"
    )
    shutil.rmtree(shop.folder("two", code))
    found = shop.lifeboat("repo check --json").ended(1).document["repositories"]
    told = {one["name"]: [finding["code"] for finding in one["findings"]] for one in found}
    assert told["one"] == []
    assert set(told["two"]) == {"member-missing", "copy-missing"}
    said = shop.lifeboat(f"verify {JOB} --level 0").ended(1)
    assert f"code/config {code['id']}: two: " in said.out
    states = {one["source"]: one["repositories"] for one in shop.listed()}
    assert states["system"] == {"one": "verified", "two": "failed"}
    assert states["conf"] == {"one": "verified", "two": "verified"}
    assert "shop/code/config" in shop.lifeboat("copy").succeeded().out
    shop.lifeboat(f"verify {JOB} --level 1").succeeded()
    payload = next(shop.folder("one", conf).glob("files.tar*"))
    payload.write_bytes(b"x" + payload.read_bytes()[1:])
    shop.lifeboat(f"verify {JOB} --level 1").ended(1)
    assert next(one for one in shop.listed() if one["source"] == "system")["repositories"]["one"] == "failed"


def test_another_backup_in_a_members_place_is_seen(shop: Shop) -> None:
    made = shop.make()
    conf = shop.members(made)[0]
    other = shop.lifeboat("backup shop/conf --quiet --json").succeeded().document["results"][0]["backup"]
    manifest = json.loads((shop.directory / "one" / other["path"] / "manifest.json").read_text())
    # Whole, sealed, and not what the set was made of.
    shutil.copytree(shop.directory / "one" / other["path"], shop.folder("one", conf), dirs_exist_ok=True)
    (shop.folder("one", conf) / "manifest.json").write_bytes(signed({**manifest, "id": conf["id"]}))
    said = shop.lifeboat("repo check --repository one").ended(1)
    assert "is not the backup that the set was made of" in said.out


def test_the_way_back_names_every_member_in_order_and_its_commands(shop: Shop) -> None:
    made = shop.make()
    shop.lifeboat(f"verify {JOB} --level 3").succeeded()
    conf, code = shop.members(made)
    said = shop.lifeboat(f"restore {JOB} --dry-run").succeeded().out
    places = [said.index(f"lifeboat restore {one['id']} --in-place --dry-run") for one in (conf, code)]
    assert places == sorted(places)
    target = shop.directory / "restored"
    command = next(line for line in said.splitlines() if f"restore {code['id']} -o" in line).split("lifeboat ")[1]
    words = command.replace("/srv/restored/code", str(target)).replace(" --dry-run", "")
    shop.lifeboat(words).succeeded()
    assert (target / str(shop.directory / "code" / "settings").lstrip("/")).read_text() == "code\n"
    shop.lifeboat(f"restore {made['id']}").refused("restore.set", hint=f"lifeboat restore {JOB} --dry-run")


def test_a_broken_set_says_so_before_it_is_brought_back(shop: Shop) -> None:
    made = shop.make()
    code = shop.members(made)[1]
    for repository in ("one", "two"):
        shutil.rmtree(shop.folder(repository, code))
    said = shop.lifeboat(f"restore {JOB} --point newest --dry-run").refused("backup.set_incomplete", status=1)
    assert "MISSING" in said.out
    assert f"restore {shop.members(made)[0]['id']} --in-place" in said.out


def test_retention_removes_sets_with_their_members_and_keeps_the_jobs_own(shop: Shop) -> None:
    shop.describe(keep={"count": 1, "minimum_verified": 0})
    own = shop.lifeboat("backup shop/conf --quiet --json").succeeded().document["results"][0]["backup"]
    old, new = shop.make(), shop.make()
    shop.prune()
    left = {one["id"] for one in shop.listed()}
    assert left == {own["id"], new["id"], *(one["id"] for one in shop.members(new))}
    assert old["id"] not in left
    shop.lifeboat("repo check").succeeded()


def test_a_member_does_not_stand_for_the_backup_that_its_own_job_owes(shop: Shop) -> None:
    """It goes with its set; what the job keeps for longer must be the job's own."""

    def changed() -> dict[str, t.Any]:
        said = shop.lifeboat("backup shop/conf/config --trigger change --quiet --json").succeeded()
        backup: dict[str, t.Any] = said.document["results"][0]["backup"]
        return backup

    assert changed()["state"] == "complete"
    (shop.directory / "conf" / "settings").write_text("new\n", encoding="utf-8")
    shop.make()
    time.sleep(1.1)  # of two backups of one second nobody can tell which is the newer one
    own = changed()
    assert (own["state"], "set" in own["path"]) == ("complete", False)
    shop.make()
    again = changed()
    assert (again["state"], again["id"]) == ("unchanged", own["id"])


def test_pruning_one_source_does_not_tear_its_sets(shop: Shop) -> None:
    shop.describe(keep={"count": 1, "minimum_verified": 0})
    old, new = shop.make(), shop.make()
    shop.prune("shop/conf")
    assert len(shop.listed()) == 6
    shop.prune("shop/system")
    left = {one["id"] for one in shop.listed()}
    assert old["id"] not in left
    # Nobody asked about their sources; the next full look decides.
    assert left >= {one["id"] for one in shop.members(old)}
    assert left >= {new["id"]}


def test_a_pinned_set_stays_whole(shop: Shop) -> None:
    shop.describe(keep={"count": 1, "minimum_verified": 0})
    old = shop.make()
    shop.make()
    shop.lifeboat(f"pin {old['id']} --reason audit").succeeded()
    shop.prune()
    assert len(shop.listed()) == 6


def test_a_new_repository_gets_whole_sets(shop: Shop) -> None:
    shop.make()
    shop.describe(repositories=["one", "two", "three"])
    shop.lifeboat("copy --to three").succeeded()
    shop.lifeboat("repo check --repository three").succeeded()
    assert all("three" in one["repositories"] for one in shop.listed())
    # What was made for a set goes where sets go, and not where the member's own job stores.
    shop.describe(repositories=["two"])
    shutil.rmtree(shop.directory / "one")
    said = shop.lifeboat("copy --to one --dry-run").out
    assert "shop/conf/config" not in said


def test_the_label_of_sets_is_not_for_people(shop: Shop) -> None:
    shop.lifeboat("backup shop/conf --label set=mine").refused("request.invalid", hint="'set'")


def test_what_is_left_out_stands_in_the_set(shop: Shop) -> None:
    shop.describe(options={"exclude": ["code"]})
    made = shop.make()
    assert [one["source"] for one in shop.members(made)] == ["conf"]
    assert made["content"]["left_out"] == ["shop/code/config: excluded"]
    assert "not in the set: shop/code/config: excluded" in shop.lifeboat(f"restore {JOB} --point newest --dry-run").out


def test_a_set_of_nothing_is_refused(shop: Shop) -> None:
    shop.describe(options={"exclude": ["code", "conf"]})
    shop.lifeboat(f"backup {JOB}").refused("request.invalid", hint="include")
