# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running git on a repository that others can write to: as its owner, and with nothing of what its settings start.

A repository's own configuration can name programs (hooks, filters, a monitor of the file system). Whoever may write it
may run programs as its owner anyway, and gains nothing when we run git as that one.
"""

from __future__ import annotations

import os
import pwd
import typing as t

from ..core.errors import CommandTimedOut, GitRepositoryUnusable
from ..core.runner import Completed, Runner, find_program, last_lines
from .names import shown

QUICK, LONG = 600.0, 6 * 3600.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Nothing of our own environment: it may hold secrets, and variables that lead git elsewhere.
_ENVIRONMENT = {
    "PATH": _PATH,
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "file",
}
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "core.alternateRefsCommand=",
    "diff.external=",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "transfer.unpackLimit=1",
)


def git_argv(words: t.Sequence[str], *, directory: str, user: int | None = None) -> list[str]:
    """What runs ``git WORDS`` in *directory*, and looks for a repository nowhere else; as *user* when we are root.

    Raises ToolMissing.
    """
    environment = {**_ENVIRONMENT, "GIT_CEILING_DIRECTORIES": os.path.dirname(directory.rstrip("/")) or "/"}
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    argv = [find_program("env"), "-i", *(f"{name}={value}" for name, value in environment.items())]
    argv += [find_program("git"), "--no-pager", *settings, "-C", directory, *words]
    if user is None or user == os.geteuid():
        return argv
    return [*_becoming(user), *argv]


def run_git(
    words: t.Sequence[str],
    *,
    directory: str,
    runner: Runner,
    user: int | None = None,
    timeout: float = QUICK,
    also: t.Collection[int] = (),
) -> Completed:
    """Run it to its end. A status of 0 or one of *also* is right. Raises ToolMissing and GitRepositoryUnusable."""
    try:
        completed = runner.run(git_argv(words, directory=directory, user=user), timeout=timeout, check=False)
    except CommandTimedOut as error:
        raise unusable(directory, f"git {words[0]} did not end within {timeout:g} seconds") from error
    if completed.status not in (0, *also):
        raise unusable(directory, f"git {words[0]} says: {last_lines(completed.error)}")
    return completed


def unusable(path: str, why: str, *, hint: str = "") -> GitRepositoryUnusable:
    """For a repository that can't be stored as a bundle."""
    return GitRepositoryUnusable(
        f"The git repository {shown(path)} can't be stored: {why.rstrip('.')}.",
        hint=hint or "Mend it, or store the tree alone: git_bundle: false.",
        details={"path": shown(path)},
    )


def _becoming(user: int) -> list[str]:
    """The words that have a program run as *user* with its own groups, without a shell or a session."""
    argv = [find_program("setpriv"), f"--reuid={user}"]
    try:
        account = pwd.getpwuid(user)
    except KeyError:
        return [*argv, f"--regid={user}", "--clear-groups", "--no-new-privs"]
    return [*argv, f"--regid={account.pw_gid}", "--init-groups", "--no-new-privs"]
