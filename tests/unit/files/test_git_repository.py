# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a real git repository, which ones are refused by name, and that nothing of theirs is run."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    FilesMissing,
    GitRepositoryUnusable,
    ToolMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files import git_tool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.app_tree import (
    RepositoryPatterns,
    version_in,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.git_repository import (
    GitRepository,
    read_repository,
    without_credentials,
)
from tests.support.git_repositories import Repository

_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
_NOBODY = 65534


def read(path: pathlib.Path) -> GitRepository:
    return read_repository(str(path), runner=SubprocessRunner())


@pytest.fixture
def app(tmp_path: pathlib.Path) -> Repository:
    return Repository.make(tmp_path / "app")


@pytest.fixture
def open_place() -> t.Iterator[pathlib.Path]:
    """A folder that other accounts get to; pytest's own are private."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-git-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def test_everything_that_is_noted(app: Repository) -> None:
    app.git("remote", "add", "origin", "https://deploy:tok3n@git.example.org/shop/app.git")
    (app.path / "app.py").write_text("print('three')\n")
    (app.path / "new.py").write_text("\n")
    (app.path / "run.log").write_text("ignored\n")
    found = read(app.path)
    assert found.refs.by_name == app.refs()
    assert (found.refs.head, found.refs.commit) == ("refs/heads/main", app.git("rev-parse", "HEAD"))
    assert (found.tags, found.describe, found.committed) == (("v2.0",), "v2.0", 1600000000)
    assert (found.modified, found.untracked) == (1, 1)
    assert found.remotes == {"origin": "https://git.example.org/shop/app.git"}
    assert found.bytes > 1024
    assert (found.is_bare, found.is_linked, found.object_format) == (False, False, "sha1")


def test_one_without_a_branch_and_one_without_a_commit(app: Repository, tmp_path: pathlib.Path) -> None:
    app.git("checkout", "-q", "--detach", "v1.0")
    found = read(app.path)
    assert (found.refs.head, found.describe, found.tags) == ("", "v1.0", ("v1.0",))
    (tmp_path / "new").mkdir()
    new = Repository(tmp_path / "new")
    new.git("init", "-q", "-b", "main")
    found = read(new.path)
    assert (found.refs.head, found.refs.commit, found.refs.by_name) == ("refs/heads/main", "", {})
    assert (found.describe, found.tags, found.committed) == ("", (), None)


def test_a_linked_working_tree_and_its_submodule(app: Repository, tmp_path: pathlib.Path) -> None:
    library = Repository.make(tmp_path / "library")
    app.git("submodule", "--quiet", "add", str(library.path), "lib")
    commit = app.commit("a library")
    app.git("worktree", "add", "-q", str(tmp_path / "release"))
    found = read(tmp_path / "release")
    assert found.is_linked
    assert (found.refs.head, found.refs.commit) == ("refs/heads/release", commit)
    assert found.missing_submodules == ("lib",)
    assert read(app.path).missing_submodules == ()
    assert read(app.path / "lib").refs.commit == library.git("rev-parse", "HEAD")


def test_clones_that_lack_something_are_refused_with_the_way_out(app: Repository, tmp_path: pathlib.Path) -> None:
    for words, said, hint in (
        (("--depth", "1"), "shallow", "fetch --unshallow"),
        (("--filter=blob:none", "--no-checkout"), "partial", "without --filter"),
    ):
        name = words[0].strip("-").partition("=")[0]
        app.git("config", "uploadpack.allowFilter", "true")
        app.git("clone", "-q", *words, f"file://{app.path}", str(tmp_path / name))
        with pytest.raises(GitRepositoryUnusable, match=said) as caught:
            read(tmp_path / name)
        assert hint in caught.value.hint
        assert "git_bundle: false" in caught.value.hint


def test_what_only_looks_like_one_is_refused(app: Repository, tmp_path: pathlib.Path) -> None:
    (tmp_path / "app" / "inner" / ".git").mkdir(parents=True)
    with pytest.raises(GitRepositoryUnusable, match="not a git repository"):
        read(tmp_path / "app" / "inner")  # the one around it is another one
    (app.path / ".git" / "HEAD").write_text("nonsense\n")
    with pytest.raises(GitRepositoryUnusable):
        read(app.path)


@_AS_ROOT
def test_git_runs_as_the_owner_of_the_repository(open_place: pathlib.Path) -> None:
    app = Repository.make(open_place / "app")
    witness = open_place / "witness"
    witness.mkdir()
    witness.chmod(0o777)
    app.git("config", "filter.spy.clean", f"sh -c 'id -u > {witness}/filter; env > {witness}/environment; cat'")
    (app.path / ".git" / "info" / "attributes").write_text("*.py filter=spy\n")
    (app.path / "app.py").write_text("print('six')\n")
    subprocess.run(["chown", "-R", str(_NOBODY), str(app.path)], check=True)
    os.environ["LIFEBOAT_SECRET_OF_THIS_TEST"] = "hunter2-7733"
    try:
        found = read(app.path)
    finally:
        del os.environ["LIFEBOAT_SECRET_OF_THIS_TEST"]
    assert (found.user, found.describe, found.modified) == (_NOBODY, "v2.0", 1)
    # What its owner may have run, he may have run with his own rights, and with nothing of ours.
    assert (witness / "filter").read_text().strip() == str(_NOBODY)
    assert "hunter2-7733" not in (witness / "environment").read_text()


def test_no_hook_and_no_monitor_is_run(app: Repository, tmp_path: pathlib.Path) -> None:
    for name in ("fsmonitor", "hook"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}-ran\n")
        program.chmod(0o755)
    app.git("config", "core.fsmonitor", str(tmp_path / "fsmonitor"))
    app.git("config", "core.pager", f"touch {tmp_path}/pager-ran")
    shutil.copy(tmp_path / "hook", app.path / ".git" / "hooks" / "post-index-change")
    read(app.path)
    assert sorted(path.name for path in tmp_path.glob("*-ran")) == []


def test_variables_that_lead_git_elsewhere_are_not_heeded(
    app: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository.make(tmp_path / "other")
    other.commit("elsewhere")
    expected = app.refs()
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert read(app.path).refs.by_name == expected


@_AS_ROOT
def test_a_file_git_does_not_lead_to_what_belongs_to_somebody_else(open_place: pathlib.Path) -> None:
    Repository.make(open_place / "private")
    trap = open_place / "trap"
    trap.mkdir()
    (trap / ".git").write_text(f"gitdir: {open_place}/private/.git\n")
    subprocess.run(["chown", "-R", str(_NOBODY), str(trap)], check=True)
    with pytest.raises(GitRepositoryUnusable):
        read(trap)
    os.chown(trap, 0, 0)
    subprocess.run(["chown", "-R", str(_NOBODY), str(open_place / "private")], check=True)
    with pytest.raises(GitRepositoryUnusable):
        read(trap)


@_AS_ROOT
def test_another_account_is_told_who_can(open_place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Repository.make(open_place / "app")
    monkeypatch.setattr(os, "geteuid", lambda: _NOBODY)
    with pytest.raises(GitRepositoryUnusable, match="belongs to uid 0") as caught:
        read(app.path)
    assert "as root" in caught.value.hint


def test_without_git_it_is_said_what_to_install(app: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> str:
        if name == "git":
            raise ToolMissing("The program git is not on this host.", hint="apt-get install git")
        return f"/usr/bin/{name}"

    monkeypatch.setattr(git_tool, "find_program", find)
    with pytest.raises(ToolMissing) as caught:
        read(app.path)
    assert "apt-get install git" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("git@git.example.org:shop/app.git", "git@git.example.org:shop/app.git"),
        ("https://git.example.org/shop/app.git", "https://git.example.org/shop/app.git"),
        ("https://user:tok3n@git.example.org:8443/app.git", "https://git.example.org:8443/app.git"),
        ("https://tok3n@git.example.org/app.git?private_token=tok3n#x", "https://git.example.org/app.git"),
        ("ssh://deploy@git.example.org/app.git", "ssh://git.example.org/app.git"),
        ("/srv/git/app.git", "/srv/git/app.git"),
        ("user:tok3n@git.example.org:app.git", ""),
        ("ext::sh -c tok3n", ""),
        ("https://[broken/app.git", ""),
        ("https://git.example.org/user:tok3n@other/app.git", ""),
        ("file:///srv/app.git", ""),
    ],
)
def test_remotes_are_noted_without_credentials(url: str, told: str) -> None:
    assert without_credentials(url) == told


def test_repositories_are_met_on_the_way_and_none_in_what_is_left_out() -> None:
    patterns = RepositoryPatterns(["node_modules", "/opt/app/.git"])
    for path in ("opt/app/.git", "opt/app/lib/.git", "opt/app/node_modules", "opt/app/.github"):
        patterns.match(path)
    assert patterns.repositories(["opt/app"], with_trees=True) == ["/opt/app/lib"]
    assert not patterns.match("opt/app/.github")


def test_too_many_are_refused_by_name() -> None:
    patterns = RepositoryPatterns([])
    for number in range(65):
        patterns.match(f"srv/{number:03}/.git")
    with pytest.raises(GitRepositoryUnusable, match="/srv/064"):
        patterns.repositories(["srv"], with_trees=True)


def test_a_bare_one_has_no_tree(app: Repository, tmp_path: pathlib.Path) -> None:
    app.git("clone", "-q", "--mirror", str(app.path), str(tmp_path / "app.git"))
    root = str(tmp_path / "app.git")
    with pytest.raises(GitRepositoryUnusable, match="bare"):
        RepositoryPatterns([]).repositories([root.lstrip("/")], with_trees=True)
    assert RepositoryPatterns([]).repositories([root.lstrip("/")], with_trees=False) == [root]
    assert read(tmp_path / "app.git").is_bare


def test_a_version_is_a_first_line_below_the_roots(tmp_path: pathlib.Path) -> None:
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "VERSION").write_text("7.2.1\nmore\n")
    (tmp_path / "current").symlink_to(tree)
    roots = [str(tree).lstrip("/")]
    assert version_in(str(tree / "VERSION"), roots) == "7.2.1"
    assert version_in(str(tmp_path / "current" / "VERSION"), roots) == "7.2.1"
    (tree / "LEAK").symlink_to("/etc/passwd")
    for name in ("LEAK", "NONE"):
        with pytest.raises(FilesMissing):
            version_in(str(tree / name), roots)
