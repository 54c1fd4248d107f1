# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real application in git: what is stored, what is refused, when nothing is made, what proves it."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import time
import typing as t

import pytest

from tests.integration.files.app_site import JOB, AppSite
from tests.support import resealing
from tests.support.git_repositories import Repository

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> AppSite:
    return AppSite.make(tmp_path)


def names_in(site: AppSite, backup: t.Mapping[str, t.Any]) -> list[str]:
    """What the tar has, without the way to the application."""
    plain = resealing.plain_bytes(site.repository, site.place(backup), "files.tar")
    (site.directory / "files.tar").write_bytes(plain)
    with tarfile.open(site.directory / "files.tar") as archive:
        return [os.path.relpath(f"/{name}", site.app.path) for name in archive.getnames()]


def test_a_backup_has_the_tree_and_a_bundle_and_says_what_was_deployed(site: AppSite) -> None:
    backup = site.back_up()
    payloads = [payload["name"] for payload in backup["payloads"]]
    assert payloads == ["files.tar.zst", "files.jsonl.zst", "shop.bundle"]
    assert names_in(site, backup) == [".", ".env", ".gitignore", "app.py", "run.log"]
    content = backup["content"]
    (noted,) = content["repositories"]
    assert noted["refs"] == site.app.refs()
    assert (noted["commit"], noted["branch"]) == (site.app.git("rev-parse", "HEAD"), "main")
    assert (noted["tags"], noted["describe"], content["version"]) == (["v2.0"], "v2.0", "v2.0")
    # .env, and the two caches that .gitignore does not name
    assert (noted["modified"], noted["untracked"]) == (1, 4)
    assert noted["remotes"] == {"origin": "https://git.example.org/shop.git"}
    assert content["doubts"] == content["warnings"] == []
    for path in site.folder(backup).iterdir():
        assert b"tok3n-of-git" not in path.read_bytes()
    clone = Repository(site.directory / "clone")
    site.app.git("clone", "-q", "--mirror", str(site.folder(backup) / "shop.bundle"), str(clone.path))
    assert clone.refs() == site.app.refs()


def test_a_deployment_that_changed_nothing_makes_nothing(site: AppSite) -> None:
    first = site.deploy()
    assert (first["state"], site.deploy()["state"]) == ("complete", "unchanged")
    (site.app.path / "__pycache__" / "more.pyc").write_text("cache\n")
    assert site.deploy()["id"] == first["id"]
    made = [first["id"]]
    for change in (
        lambda: site.app.git("tag", "v2.0.1"),
        lambda: site.app.git("checkout", "-q", "--detach"),
        lambda: (site.app.path / ".env").write_text("MODE=rescue\n"),
    ):
        time.sleep(1.1)  # of two backups of one second nobody can tell which is the newer one
        change()
        made.append(site.deploy()["id"])
        assert site.deploy()["state"] == "unchanged"
    assert len(set(made)) == 4
    assert site.back_up()["state"] == "complete"  # asked for without a trigger


def test_what_is_refused_and_how_to_go_on(site: AppSite, tmp_path: pathlib.Path) -> None:
    shallow = tmp_path / "shallow"
    site.app.git("clone", "-q", "--depth", "1", f"file://{site.app.path}", str(shallow))
    site.describe(source={"connection": {"paths": [str(shallow)]}})
    site.lifeboat("backup --quiet").refused("files.git_unusable", hint="fetch --unshallow")
    site.lifeboat("backup --quiet --dry-run").refused("files.git_unusable", hint="git_bundle: false")
    site.describe(source={"connection": {"paths": [str(shallow)]}}, job={"options": {"git_bundle": False}})
    assert [payload["name"] for payload in site.back_up()["payloads"]] == ["files.tar.zst", "files.jsonl.zst"]
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "app.py").write_text("\n")
    site.describe(source={"connection": {"paths": [str(plain)]}}, job={"options": {"git_bundle": True}})
    site.lifeboat("backup --quiet").refused("files.git_unusable", hint="connection.paths")
    # Where nobody asked for one, its absence is said in the plan.
    site.describe(source={"connection": {"paths": [str(plain)]}})
    assert "bundle no repository: none is among them" in site.lifeboat("backup --quiet --dry-run").succeeded().out
    assert site.back_up()["content"]["repositories"] == []
    site.describe(job={"options": {"git_bundle": False, "tree": False}})
    site.lifeboat("backup --quiet").refused("request.invalid", hint="Leave one of them out")


def test_a_link_to_what_is_deployed_needs_what_it_leads_to(site: AppSite) -> None:
    current = site.app.path.parent / "current"
    current.symlink_to(site.app.path)
    site.describe(source={"connection": {"paths": [str(current)]}})
    site.lifeboat("backup --quiet").refused("files.missing", hint=str(site.app.path))
    site.describe(source={"connection": {"paths": [str(current), str(site.app.path)]}})
    assert site.back_up()["content"]["counts"] == {"file": 4, "folder": 1, "link": 1}


def test_a_broken_repository_leaves_no_backup_behind(site: AppSite) -> None:
    objects = [path for path in (site.app.path / ".git" / "objects").rglob("*") if path.is_file()]
    blob = site.app.git("rev-parse", "v1.0:app.py")
    (lost,) = [path for path in objects if path.parent.name + path.name == blob]
    lost.unlink()
    site.lifeboat("backup --quiet").refused("files.git_unusable", hint="Mend it")
    assert site.lifeboat("list --json").document["backups"] == []


def test_one_without_commits_is_said_and_stored_as_a_tree(site: AppSite) -> None:
    shutil.rmtree(site.app.path / ".git")
    site.app.git("init", "-q")
    backup = site.back_up()
    assert [payload["name"] for payload in backup["payloads"]] == ["files.tar.zst", "files.jsonl.zst"]
    assert "has no commits" in backup["warnings"][0]
    assert site.prove(4)["error"] is None


def test_submodules_and_linked_trees_have_bundles_of_their_own(site: AppSite, tmp_path: pathlib.Path) -> None:
    library = Repository.make(tmp_path / "library")
    site.app.git("submodule", "--quiet", "add", str(library.path), "lib/shop")
    site.app.commit("a library")
    release = site.app.path.parent / "release"
    site.app.git("worktree", "add", "-q", str(release))
    site.describe(source={"connection": {"paths": [str(site.app.path.parent)]}})
    backup = site.back_up()
    noted = {one["path"]: one for one in backup["content"]["repositories"]}
    assert {path: one["payload"] for path, one in noted.items()} == {
        str(release): "release.bundle",
        str(site.app.path): "shop.bundle",
        str(site.app.path / "lib" / "shop"): "shop-2.bundle",
    }
    assert noted[str(release)]["linked"]
    (warning,) = backup["warnings"]
    assert f"{release} has the submodule lib/shop, which is not there" in warning
    found = site.prove(4)
    assert (found["reached"], found["error"]) == (4, None)
    into = tmp_path / "restored"
    site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={into}").succeeded()
    restored = Repository(pathlib.Path(f"{into}{site.app.path}"))
    assert restored.git("status", "--porcelain", "lib").strip() == ""
    assert Repository(restored.path / "lib" / "shop").refs() == Repository(site.app.path / "lib" / "shop").refs()
    assert Repository(pathlib.Path(f"{into}{release}")).git("symbolic-ref", "HEAD") == "refs/heads/release"


def test_a_bare_repository_is_a_bundle_alone(site: AppSite, tmp_path: pathlib.Path) -> None:
    bare = tmp_path / "srv" / "shop.git"
    site.app.git("clone", "-q", "--mirror", str(site.app.path), str(bare))
    site.describe(source={"connection": {"paths": [str(bare)]}})
    site.lifeboat("backup --quiet").refused("files.git_unusable", hint="tree: false")
    site.describe(
        source={"connection": {"paths": [str(bare)]}, "verify": {"level": 4, "require_paths": [f"{bare}/app.py"]}},
        job={"options": {"tree": False, "system_snapshot": True}},
    )
    backup = site.back_up()
    assert [payload["name"] for payload in backup["payloads"]] == ["shop.git.bundle", "system.tar.zst"]
    found = site.prove(4)
    assert (found["reached"], found["error"]) == (4, None)
    site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={tmp_path}/restored").succeeded()
    assert Repository(pathlib.Path(f"{tmp_path}/restored{bare}")).refs() == site.app.refs()
    site.lifeboat(f"restore {JOB} --point newest --quiet --in-place").refused(
        "restore.target_invalid", hint="data_directory"
    )
    site.lifeboat(f"restore {JOB} --point newest --quiet -o take=tree -o data_directory={tmp_path}/tree").refused(
        "restore.target_invalid", hint="take"
    )


def test_what_is_left_out_and_what_the_version_is_can_be_said(site: AppSite) -> None:
    (site.app.path / "VERSION").write_text("7.2.1-production\n")
    site.describe(
        job={"options": {"caches": ["node_modules", "*.log"], "version_file": str(site.app.path / "VERSION")}},
        source={"connection": {"paths": [str(site.app.path)], "exclude": [".env"]}},
    )
    backup = site.back_up()
    assert backup["content"]["version"] == "7.2.1-production"
    names = names_in(site, backup)
    assert ".venv/bin/made-anew.pyc" in names
    assert not {"node_modules", ".env", "run.log", ".git"} & set(names)


def test_a_commit_that_is_checked_out_meanwhile_is_told(site: AppSite, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.app_producer import AppProducer

    pack = AppProducer._pack

    def packing(self: t.Any, *arguments: t.Any) -> t.Any:
        packed = pack(self, *arguments)
        site.app.commit("deployed meanwhile")
        return packed

    monkeypatch.setattr(AppProducer, "_pack", packing)
    backup = site.deploy()
    assert "another commit was checked out" in backup["warnings"][0]
    assert backup["content"]["doubts"][0]["path"] == str(site.app.path)
    monkeypatch.undo()
    assert site.deploy()["state"] == "complete"  # one with doubts is never the same


def other_pack(site: AppSite) -> bytes:
    """A pack that is whole, and lacks every object but the commits and tags."""
    names = [oid for name, oid in site.app.refs().items() if "blob" not in name]
    done = subprocess.run(
        ["git", "-C", str(site.app.path), "pack-objects", "--stdout", "-q"],
        input="\n".join(dict.fromkeys(names)).encode() + b"\n",
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("case", ["missing", "cut", "another", "renamed", "objects", "commit"])
def test_what_is_bad_is_caught_at_its_level(site: AppSite, case: str, tmp_path: pathlib.Path) -> None:
    backup = site.back_up()
    place = site.place(backup)

    def change(function: t.Callable[[bytes], bytes]) -> None:
        resealing.mutate_payload(site.repository, place, "shop.bundle", function)

    if case == "missing":
        level = 0
        (site.folder(backup) / "shop.bundle").unlink()
    elif case == "cut":
        level = 2
        change(lambda data: data[:-30])
    elif case == "another":
        level = 2
        other = Repository.make(tmp_path / "other")
        other.commit("of another application")
        other.git("bundle", "create", "-q", str(tmp_path / "other.bundle"), "--all", "HEAD")
        change(lambda data: (tmp_path / "other.bundle").read_bytes())
    elif case == "renamed":
        level = 2
        change(lambda data: data.replace(b"refs/heads/feature", b"refs/heads/futures"))
    elif case == "objects":
        level = 3
        pack = other_pack(site)
        change(lambda data: data[: data.index(b"\n\nPACK") + 2] + pack)
    else:
        level = 4
        resealing.mutate_manifest(
            site.repository, place, lambda document: document["content"]["repositories"][0].update(commit="0" * 40)
        )
    if level:
        assert site.prove(level - 1)["error"] is None
    found = site.prove(level)
    assert found["error"] is not None
    assert found["reached"] == level - 1


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_commands_of_restore_md_bring_everything_back(site: AppSite, encrypted: bool) -> None:
    recipient = site.key()
    site.describe(job={"encryption": {"recipients": [recipient]}} if encrypted else {})
    backup = site.back_up()
    folder = site.folder(backup)
    stored = b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("shop.bundle"))
    assert (b"refs/heads/feature" in stored) != encrypted
    blocks = _BLOCK.findall((folder / "RESTORE.md").read_text())
    blocks = [block for block in blocks if not block.startswith(("cd ", "export AGE")) and "tar -d" not in block]
    into, code = site.directory / "restored", site.directory / "code"
    done = subprocess.run(
        ["bash", "-euc", "set -o pipefail\n" + "\n".join(blocks)],
        cwd=folder,
        env={**os.environ, "INTO": str(into), "CODE": str(code), "AGE_IDENTITY": str(site.directory / "key")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert (site.restored(into) / "app.py").read_text() == "print('mended in production')\n"
    assert Repository(code / "shop.git").refs() == site.app.refs()
    assert (code / "shop" / "app.py").read_text() == "print('two')\n"
    assert Repository(code / "shop").git("symbolic-ref", "--short", "HEAD") == "main"


def test_a_good_backup_passes_every_level_and_leaves_nothing(site: AppSite) -> None:
    site.describe(source={"verify": {"level": 4, "require_paths": [str(site.app.path / "app.py")]}})
    site.back_up()
    found = site.prove(4)
    assert (found["reached"], found["error"]) == (4, None)
    assert {check["state"] for check in found["checks"]} == {"passed"}
    assert {"bundle of " + str(site.app.path), "commit of " + str(site.app.path)} < {
        check["name"] for check in found["checks"]
    }
    assert list((site.directory / "scratch").iterdir()) == []
