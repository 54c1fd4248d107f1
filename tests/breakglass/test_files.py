# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, applications and assets come back on a fresh host by RESTORE.md alone: all that was there, and as it was."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.breakglass.conftest import Bucket
from tests.breakglass.fresh_host import FreshHost
from tests.breakglass.guide import script_of
from tests.support.file_trees import make_tree
from tests.support.git_repositories import Repository

pytestmark = pytest.mark.timeout(1200)
# Comparing with what the host has, which is nothing.
_ANOTHER_WAY = ("tar -d",)
# Kind, mode, owner, time, links, where it leads to; then every content. Sizes of folders are their file system's.
_LOOK = """
cd {folder}
echo 'what came back:'
find . -printf '%P %y %m %U:%G %T@ %l\\n' | LC_ALL=C sort
find . ! -type d -printf '%n %P\\n' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
"""


def look(folder: Path | str) -> str:
    """The commands that tell everything of *folder*."""
    return _LOOK.format(folder=folder)


def wanted(folder: Path) -> list[str]:
    """What they say here."""
    done = subprocess.run(["bash", "-euc", look(folder)], capture_output=True, text=True, errors="replace", check=True)
    return told(done.stdout)


def told(said: str) -> list[str]:
    """What they said there."""
    return said.partition("what came back:\n")[2].splitlines()


def come_back(host: FreshHost, bucket: Bucket, folder: str, tree: Path, *, before: str = "", after: str = "") -> str:
    """Everything of that backup by its guide; returns what was said behind it."""
    guide = bucket.guide(folder)
    if bucket.key is not None:
        guide = guide.replace("/path/to/identity.txt", f"/bucket/{bucket.key.name}")
    script = before + script_of(guide, folder=folder, without=_ANOTHER_WAY) + look(f'"$INTO"{tree}')
    said = host.run(f"{script}\necho and then:\n{after}\n", bucket=bucket.repository)
    back, _end, behind = said.partition("and then:\n")
    assert told(back) == wanted(tree)
    return behind


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = make_tree(tmp_path / "srv")
    (made / "queue").unlink()  # a pipe is no asset
    strange = next(path for path in made.iterdir() if path.name.startswith("caf"))
    strange.unlink()  # the guide's names are checked elsewhere; what is printed here is text
    return made


def test_settings_with_owners_modes_times_and_links(host: FreshHost, bucket: Bucket, tree: Path) -> None:
    folder = bucket.back_up({"engine": "files", "connection": {"paths": [str(tree)]}}, "config", name="settings")
    come_back(host, bucket, folder, tree)


def test_assets_from_an_increment_and_what_it_builds_on(host: FreshHost, encrypted: Bucket, tree: Path) -> None:
    source = {"engine": "files", "connection": {"paths": [str(tree)]}}
    first = encrypted.back_up(source, "static", name="assets")
    while time.strftime("%Y%m%dT%H%M%S", time.gmtime()) in first:
        time.sleep(0.05)
    (tree / "conf.d" / "new.conf").write_text("new\n")
    (tree / "secret.key").unlink()
    second = encrypted.back_up(source, "static", name="assets")
    assert first != second
    assert "This is an increment" in encrypted.guide(second)
    # "Copy these folders to the host, too, beside this one."
    come_back(host, encrypted, second, tree, before=f"cp -r /bucket/{first} /srv\n")


def test_an_application_as_it_was_deployed_and_its_whole_history(
    host: FreshHost, encrypted: Bucket, tmp_path: Path
) -> None:
    app = Repository.make(tmp_path / "srv" / "shop")
    (app.path / "app.py").write_text("print('mended in production')\n")
    (app.path / "node_modules").mkdir()
    (app.path / "node_modules" / "made-anew.js").write_text("cache\n")
    folder = encrypted.back_up({"engine": "files", "connection": {"paths": [str(app.path)]}}, "app", name="code")
    refs = app.refs()
    tree = tmp_path / "deployed" / "shop"
    shutil.copytree(app.path, tree, ignore=shutil.ignore_patterns(".git", "node_modules"), symlinks=True)
    guide = encrypted.guide(folder).replace("/path/to/identity.txt", f"/bucket/{encrypted.key.name}")  # type: ignore[union-attr]
    script = script_of(guide, folder=folder, without=_ANOTHER_WAY)
    script += f"""
cd "$INTO"{app.path}
find . -type f | LC_ALL=C sort | xargs sha256sum
git -C "$CODE"/shop.git for-each-ref --format='ref %(refname) %(objectname)'
echo "ref HEAD $(git -C "$CODE"/shop rev-parse HEAD)"
git -C "$CODE"/shop status --porcelain
"""
    # What an operator would install: the same git, which is of the same distribution.
    programs = tmp_path / "git"
    programs.mkdir()
    shutil.copy(shutil.which("git") or "git", programs / "git")
    exec_path = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    ready = "export PATH=/opt/git:$PATH GIT_EXEC_PATH=/opt/git-core GIT_TEMPLATE_DIR=\n"
    others = {"/opt/git": programs, "/opt/git-core": Path(exec_path)}
    said = host.run(ready + script, bucket=encrypted.repository, others=others).splitlines()
    found = dict(line.split()[1:] for line in said if line.startswith("ref "))
    assert found == refs
    sums = subprocess.run(
        ["bash", "-euc", f"cd {tree}; find . -type f | LC_ALL=C sort | xargs sha256sum"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line for line in said if line.endswith(("  ./app.py", "  ./.gitignore", ".js"))] == sums
