# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications brought back: beside with their repositories, in place with what is run afterwards."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
import socket
import subprocess
import tarfile
import tempfile
import typing as t

import pytest

from tests.integration.files.app_site import JOB, AppSite
from tests.support import resealing
from tests.support.file_trees import look
from tests.support.git_repositories import Repository

LEFT_OUT = ("__pycache__", "node_modules", ".venv")
CONFIRM = f"files on {socket.gethostname()}"


@pytest.fixture
def site(tmp_path: pathlib.Path) -> AppSite:
    return AppSite.make(tmp_path)


def hook(site: AppSite, *, fails: bool = False) -> tuple[list[str], pathlib.Path]:
    """A command that notes how it was called, and the file with these notes."""
    program, notes = site.directory / "redeploy", site.directory / "redeployed"
    program.write_text(
        f'#!/bin/sh\necho "$1 $LIFEBOAT_JOB $LIFEBOAT_VERSION_RESTORED $(cat {site.app.path}/app.py)" >> {notes}\n'
        + ("echo 'the unit did not come up' >&2\nexit 7\n" if fails else "")
    )
    program.chmod(0o755)
    return [str(program), "a word; and $another"], notes


@pytest.fixture
def open_site() -> t.Iterator[AppSite]:
    """One that belongs to another account, in a folder that this one gets to; pytest's own are private."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-app-", dir="/tmp"))
    place.chmod(0o755)
    made = AppSite.make(place)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "12:34", str(made.app.path)], check=True)
    yield made
    shutil.rmtree(place)


def test_beside_the_application_comes_back_with_its_repository(open_site: AppSite) -> None:
    site = open_site
    site.back_up()
    into = site.directory / "restored"
    planned = site.lifeboat(f"restore {JOB} --point newest --dry-run -o data_directory={into}").succeeded().out
    assert f"shop.bundle -> {site.restored(into)}/.git" in planned
    said = site.lifeboat(f"restore {JOB} --point newest --quiet --json -o data_directory={into}").succeeded()
    (made,) = said.document["restore"]["content"]["repositories"]
    restored = Repository(site.restored(into))
    assert made == {"path": f"{restored.path}/.git", "commit": git(site.app, "rev-parse", "HEAD")}
    owners = {(status.st_uid, status.st_gid) for status in map(os.lstat, restored.path.rglob("*"))}
    assert owners == ({(12, 34)} if os.geteuid() == 0 else {(os.getuid(), os.getgid())})
    for words in (("for-each-ref",), ("symbolic-ref", "HEAD"), ("rev-parse", "HEAD"), ("diff",), ("fsck",)):
        assert git(restored, *words) == git(site.app, *words)
    # The same files differ from the commit as before, but for what was left out.
    assert git(restored, "status", "--porcelain").splitlines() == ["M app.py", "?? .env"]
    before, after = look(site.app.path), look(restored.path)
    for tree in (before, after):
        for path in [path for path in tree if path.split("/")[0] in (".git", *LEFT_OUT)]:
            del tree[path]
    assert after == before
    assert [path.name for path in into.iterdir() if path.name.startswith(".")] == []


def git(repository: Repository, *words: str) -> str:
    """Of a repository that belongs to somebody else."""
    return repository.git("-c", "safe.directory=*", *words)


def test_beside_one_can_take_the_repositories_the_tree_or_paths(site: AppSite) -> None:
    site.app.git("checkout", "-q", "-f", "--detach", "v1.0")
    site.app.commit("on no branch")
    site.back_up()

    def restore(name: str, *options: str) -> pathlib.Path:
        into = site.directory / name
        words = [word for option in options for word in ("-o", option)]
        site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={into}", *words).succeeded()
        return site.restored(into)

    code = Repository(restore("repositories", "take=repositories"))
    assert code.refs() == site.app.refs()
    assert code.git("status", "--porcelain") == ""
    assert (code.path / "app.py").read_text() == (site.app.path / "app.py").read_text()
    assert not (code.path / "run.log").exists()
    tree = restore("tree", "take=tree")
    assert sorted(path.name for path in tree.iterdir()) == [".env", ".gitignore", "app.py", "run.log"]
    one = restore("one", f"paths=[{site.app.path}/.env]")
    assert [path.name for path in one.iterdir()] == [".env"]
    for options, hint in (
        (["--in-place", "-o", "take=repositories"], "data_directory"),
        ([f"-odata_directory={site.directory}/x", "-o", "take=nothing"], ""),
        ([f"-odata_directory={site.directory}/x", "-o", "redeploy=[true]"], ""),
    ):
        said = site.lifeboat(f"restore {JOB} --point newest --quiet", *options)
        assert said.status == 2, said.err
        assert hint in said.err
    assert not (site.directory / "x").exists()


def test_in_place_the_tree_comes_back_and_the_application_is_redeployed(site: AppSite) -> None:
    argv, notes = hook(site)
    site.describe(source={"redeploy": argv})
    site.deploy()
    repository = look(site.app.path / ".git")
    (site.app.path / "app.py").write_text("broken\n")
    (site.app.path / "new.py").write_text("new\n")
    caches = sorted(site.app.path.glob("*/*"))
    planned = site.lifeboat(f"restore {JOB} --in-place --dry-run --point newest").succeeded().out
    assert f"run {argv[0]} 'a word; and $another'" in planned
    assert f"{site.app.path}/app.py: replaced (content)" in planned
    assert f"{site.app.path}/.git stays as it is" in planned
    assert "node_modules" not in planned
    assert not notes.exists()
    words = ["--confirm", CONFIRM, "-o", "exact=true"]
    said = site.lifeboat(f"restore {JOB} --in-place --quiet --json --point newest", *words).succeeded()
    assert notes.read_text() == "a word; and $another shop/code/app v2.0 print('mended in production')\n"
    told = said.document["restore"]["content"]["redeploy"]
    assert (told["failed"], told["command"]) == (None, f"{argv[0]} 'a word; and $another'")
    assert look(site.app.path / ".git") == repository
    assert not (site.app.path / "new.py").exists()
    assert sorted(site.app.path.glob("*/*")) == caches
    # Not wanted this time; and never from what lies in the repository.
    site.lifeboat(f"restore {JOB} --in-place --quiet --point newest -o redeploy=[]").succeeded()
    assert len(notes.read_text().splitlines()) == 1


def test_a_redeployment_that_fails_is_loud_and_takes_nothing_back_by_itself(site: AppSite) -> None:
    argv, notes = hook(site, fails=True)
    site.describe(source={"redeploy": argv})
    site.deploy()
    (site.app.path / "app.py").write_text("broken\n")
    said = site.lifeboat(f"restore {JOB} --in-place --quiet --point newest", "--confirm", CONFIRM)
    said.refused("restore.redeploy_failed", status=1, hint=f"by hand: {argv[0]}")
    assert "the unit did not come up" in said.err
    assert (site.app.path / "app.py").read_text() == "print('mended in production')\n"
    (restore,) = site.lifeboat("restore --list --json").document["restores"]
    assert restore["state"] == "finished"
    back = site.lifeboat(f"restore --roll-back {restore['id']} --quiet", "--confirm", CONFIRM).succeeded()
    assert "is not run again by itself" in back.err
    assert (site.app.path / "app.py").read_text() == "broken\n"
    assert len(notes.read_text().splitlines()) == 1


def test_a_death_while_it_is_redeployed_is_resumed_by_redeploying(site: AppSite) -> None:
    argv, notes = hook(site)
    died = site.directory / "died"
    program = pathlib.Path(argv[0])
    program.write_text(program.read_text().replace("\n", f"\n[ -e {died} ] || {{ touch {died}; kill -9 $PPID; }}\n", 1))
    site.describe(source={"redeploy": argv})
    site.deploy()
    (site.app.path / "app.py").write_text("broken\n")
    said = site.lifeboat.process(f"restore {JOB} --in-place --quiet --point newest", "--confirm", CONFIRM)
    assert said.status == -9, said.err
    assert (site.app.path / "app.py").read_text() == "print('mended in production')\n"
    (unfinished,) = site.lifeboat("restore --unfinished --json").document["unfinished"]
    site.lifeboat(f"restore --resume {unfinished['id']} --quiet").succeeded()
    assert notes.read_text().splitlines()[-1].endswith("print('mended in production')")
    assert site.lifeboat("restore --unfinished").succeeded().out.startswith("No restore is unfinished")


def test_configuration_is_reloaded_the_same_way(site: AppSite) -> None:
    argv, notes = hook(site)
    site.describe(source={"redeploy": argv}, job={"kind": "config", "triggers": ["change"]})
    site.back_up()
    (site.app.path / "app.py").write_text("broken\n")
    site.lifeboat("restore shop/code/config --in-place --quiet --point newest", "--confirm", CONFIRM).succeeded()
    assert len(notes.read_text().splitlines()) == 1
    site.lifeboat("restore shop/code/config --in-place --quiet --point newest -o take=tree").refused(
        "request.invalid", hint="take"
    )


def linked_tree(site: AppSite) -> t.Callable[[bytes], bytes]:
    """A tar in which the folder of the application is a link that leads elsewhere."""

    def make(data: bytes) -> bytes:
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
            info = tarfile.TarInfo(str(site.app.path).lstrip("/"))
            info.type, info.linkname = tarfile.SYMTYPE, str(site.directory / "elsewhere")
            archive.addfile(info)
        return output.getvalue()

    return make


def test_a_tree_that_leads_elsewhere_gets_no_repository(site: AppSite) -> None:
    backup = site.back_up()
    (site.directory / "elsewhere").mkdir()
    resealing.mutate_payload(site.repository, site.place(backup), "files.tar", linked_tree(site))
    into = site.directory / "restored"
    said = site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={into}")
    said.refused("verify.hostile_archive", status=1, hint="who could write")
    assert list((site.directory / "elsewhere").iterdir()) == []
    assert not into.exists()


@pytest.mark.parametrize(
    "change", [{"path": "/srv/../../etc"}, {"head": "--upload-pack=x"}, {"commit": "-x"}, {"owner": ["root", 0]}]
)
def test_a_manifest_that_would_speak_to_git_is_refused(site: AppSite, change: dict[str, t.Any]) -> None:
    backup = site.back_up()
    resealing.mutate_manifest(
        site.repository, site.place(backup), lambda document: document["content"]["repositories"][0].update(change)
    )
    said = site.lifeboat(f"restore {JOB} --point newest --quiet -o data_directory={site.directory}/restored")
    assert said.status in (1, 2), said.err
    assert "manifest" in said.err or "leads out" in said.err
    assert not (site.directory / "restored").exists()
