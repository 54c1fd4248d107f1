# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of files in place that die by kill -9 before every single change of the disk, then taken back or finished.

At every moment each file that the restore replaces is there, the old one or the new one. Whatever somebody writes
between the death and the next command is kept.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field

import pytest

from tests.support.command_line import CommandLine, describe
from tests.support.file_trees import look, make_tree, without_folder_times

pytestmark = pytest.mark.slow

JOB = "shop/conf/config"
CONFIRM = f"files on {socket.gethostname()}"
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.setxattr"}


@dataclass
class Ordeal:
    """A tree whose backup is restored again and again; *spoilt* is a copy of it as it was before each restore."""

    directory: pathlib.Path
    lifeboat: CommandLine
    wanted: dict[str, tuple[t.Any, ...]] = field(default_factory=dict)

    @property
    def tree(self) -> pathlib.Path:
        return self.directory / "srv" / "app"

    @property
    def spoilt(self) -> pathlib.Path:
        return self.directory / "spoilt"

    def prepare(self) -> dict[str, tuple[t.Any, ...]]:
        """The tree is spoilt again, and nothing of earlier restores is left."""
        shutil.rmtree(self.tree.parent)
        copy_tree(self.spoilt, self.tree)
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        return without_folder_times(look(self.tree))

    def restore(self, *, deadly: int) -> int:
        """Restore in a child that dies before the change of that number; returns how many it made, -1 for a death."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            counted = 0

            def watch(event: str, arguments: tuple[t.Any, ...]) -> None:
                nonlocal counted
                is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
                if event in _CHANGES or is_write:
                    counted += 1
                    if counted == deadly:
                        os.kill(os.getpid(), signal.SIGKILL)

            with contextlib.suppress(BaseException):
                sys.addaudithook(watch)
                said = self.lifeboat(
                    f"restore {JOB} --point newest --in-place --quiet -o exact=true", "--confirm", CONFIRM
                )
                os.write(writing, f"{counted if said.status == 0 else 0}".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return -1
        assert int(told or b"0"), "the restore failed by itself"
        return int(told)

    def unfinished(self) -> list[str]:
        """The ids of restores that died."""
        return [one["id"] for one in self.lifeboat("restore --unfinished --json").document["unfinished"]]

    def kept(self) -> list[pathlib.Path]:
        """What is left of the places of restores."""
        return sorted(self.tree.parent.glob(".lifeboat-restore-*"))


def copy_tree(tree: pathlib.Path, to: pathlib.Path) -> None:
    """With everything that belongs to the files, hard links, too."""
    to.mkdir(parents=True)
    subprocess.run(["cp", "-a", f"{tree}/.", f"{to}/"], check=True)


@pytest.fixture(scope="module")
def ordeal(tmp_path_factory: pytest.TempPathFactory) -> Ordeal:
    directory = tmp_path_factory.mktemp("deaths")
    made = Ordeal(directory=directory, lifeboat=CommandLine(directory / "lifeboat.json"))
    tree = make_tree(made.tree)
    (tree / "sparse.img").unlink()
    made.lifeboat = describe(
        directory / "lifeboat.json",
        {
            "lifeboat_settings": {"state_directory": str(directory / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(directory / "repository"), "create": True}},
            "lifeboat_services": [
                {
                    "name": "shop",
                    "sources": [
                        {
                            "name": "conf",
                            "engine": "files",
                            "connection": {"paths": [str(tree)]},
                            "backups": [{"kind": "config", "repositories": ["local"], "keep": {"within": "30d"}}],
                        }
                    ],
                }
            ],
        },
    )
    made.wanted = without_folder_times(look(tree))
    made.lifeboat("backup --quiet").succeeded()
    (tree / "server.conf").write_text("broken\n")
    (tree / "tool").unlink()
    (tree / "current").unlink()
    (tree / "current").mkdir()
    (tree / "current" / "lost").write_text("lost\n")
    (tree / "conf.d" / "same.conf").unlink()
    (tree / "conf.d" / "same.conf").write_text("one\n")
    (tree / "conf.d" / "new.conf").write_text("new\n")
    (tree / "queue").unlink()
    (tree / "queue").mkdir()
    os.removexattr(tree / "conf.d", "user.note")
    copy_tree(tree, made.spoilt)
    return made


def deaths(ordeal: Ordeal, *, every: int = 1, first: int = 1) -> t.Iterator[tuple[int, dict[str, tuple[t.Any, ...]]]]:
    """For every place where a restore can die: the tree is spoilt, the restore has died there."""
    ordeal.prepare()
    changes = ordeal.restore(deadly=0)
    assert without_folder_times(look(ordeal.tree)) == ordeal.wanted
    assert changes > 40, "the watch does not see the changes"
    for number in range(first, changes + 1, every):
        before = ordeal.prepare()
        lived = ordeal.restore(deadly=number)
        if lived != -1:  # a slower one notes its progress some times more
            assert changes - 10 < lived < number <= changes, f"there is no change {number}"
            return
        yield number, before


def assert_each_is_old_or_new(ordeal: Ordeal, before: dict[str, tuple[t.Any, ...]], number: int) -> None:
    """Each file that is replaced by a file is there, whole: the old one or the new one."""
    now = look(ordeal.tree)
    for path in ("server.conf", "conf.d/same.conf", "secret.key", "conf.d/one.conf"):
        assert path in now, f"death at {number}: {path} is not there"
        assert now[path][4] in (before[path][4], ordeal.wanted[path][4]), f"death at {number}: {path} is a mixture"


def test_after_every_death_a_roll_back_puts_everything_back(ordeal: Ordeal) -> None:
    for number, before in deaths(ordeal, every=2):
        assert_each_is_old_or_new(ordeal, before, number)
        unfinished = ordeal.unfinished()
        for restore_id in unfinished:
            ordeal.lifeboat(f"restore --roll-back {restore_id} --quiet").succeeded()
        found = without_folder_times(look(ordeal.tree))
        if not unfinished and ordeal.kept():  # it had come to its end: the old ones are aside
            assert found == ordeal.wanted, f"death at {number}"
            continue
        assert found == before, f"death at {number}"
        assert ordeal.kept() == [], f"death at {number}"


def test_after_every_death_it_can_be_finished(ordeal: Ordeal) -> None:
    for number, before in deaths(ordeal, every=3, first=2):
        unfinished = ordeal.unfinished()
        for restore_id in unfinished:
            ordeal.lifeboat(f"restore --resume {restore_id} --quiet").succeeded()
        found = without_folder_times(look(ordeal.tree))
        assert found == (ordeal.wanted if unfinished or ordeal.kept() else before), f"death at {number}"


def test_after_a_death_the_next_restore_clears_up_first(ordeal: Ordeal) -> None:
    for number, _before in deaths(ordeal, every=9, first=5):
        assert ordeal.restore(deadly=0) > 0
        assert without_folder_times(look(ordeal.tree)) == ordeal.wanted, f"death at {number}"
        assert len(ordeal.kept()) == 1, f"death at {number}"
        assert ordeal.unfinished() == []


def test_what_somebody_writes_after_a_death_is_kept(ordeal: Ordeal) -> None:
    for number, _before in deaths(ordeal, every=5):
        (ordeal.tree / "server.conf").write_text("mended by hand\n")
        for restore_id in ordeal.unfinished():
            ordeal.lifeboat(f"restore --roll-back {restore_id} --quiet").succeeded()
        written = [path for path in ordeal.tree.parent.rglob("server.conf") if path.read_text() == "mended by hand\n"]
        assert written, f"death at {number}: what was written by hand is gone"
