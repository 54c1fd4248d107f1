# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a bundle back to a repository: with every ref, the same commit checked out, and proved to be what was noted."""

from __future__ import annotations

import os

from ..core.errors import ContentMismatch, FilesArchiveInvalid, GitRepositoryUnusable
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .app_noted import NotedRepository
from .bundle import Bundle, read_bundle
from .git_repository import HEAD, digest_of
from .git_tool import LONG, git_argv, run_git
from .names import shown

_ANOTHER = "Restore another backup: lifeboat list shows them."


def require_git() -> None:
    """Raise ToolMissing when this host has no git."""
    git_argv((), directory="/")


def check_bundle(source: PayloadSource, noted: NotedRepository, *, progress: Progress) -> Bundle:
    """Read it to its end; its refs must be those that were noted. Raises FilesArchiveInvalid and ContentMismatch."""
    found: list[Bundle] = []
    source.deliver(
        noted.payload, PayloadOutput(read=lambda stream: found.append(read_bundle(stream))), progress=progress
    )
    if digest_of(found[0].refs) != noted.digest:
        raise ContentMismatch(
            f"The bundle of /{shown(noted.path)} has {len(found[0].refs)} refs, which are not the {noted.refs} "
            "that were noted.",
            hint=_ANOTHER,
        )
    return found[0]


def make_repository(
    source: PayloadSource, noted: NotedRepository, *, folder: str, runner: Runner, progress: Progress
) -> None:
    """Make the repository of a bundle as the new folder *folder*: bare, and of ourselves.

    Raises ToolMissing, ContentMismatch when it isn't what was noted, FilesArchiveInvalid when git does not take it.
    """
    bundle = f"{folder}.bundle"
    try:
        with open(bundle, "xb") as file:
            os.chmod(bundle, 0o600)
            source.deliver(noted.payload, PayloadOutput(file=file.fileno()), progress=progress)
        os.mkdir(folder, 0o700)
        git = _Git(folder, runner)
        git.run("init", "--quiet", "--bare", "--template=", f"--object-format={noted.object_format}", ".")
        refs = ["+refs/*:refs/*", *([HEAD] if noted.commit else [])]
        git.run("fetch", "--quiet", "--no-auto-gc", "--no-tags", bundle, *refs)
        if noted.head:
            git.run("symbolic-ref", HEAD, noted.head)
        elif noted.commit:
            git.run("update-ref", "--no-deref", HEAD, noted.commit)
        _remove(os.path.join(folder, "FETCH_HEAD"))
    finally:
        _remove(bundle)
    if git.refs(with_head=bool(noted.commit)) != noted.digest:
        raise ContentMismatch(
            f"The refs that came out of the bundle of /{shown(noted.path)} are not those that were noted.",
            hint=_ANOTHER,
        )


def check_objects(folder: str, *, runner: Runner) -> str:
    """Have git look at every object. Returns what it dislikes and what was so before: old commits have odd forms.

    Raises FilesArchiveInvalid when an object is missing or is not what its name says.
    """
    git = _Git(folder, runner)
    words = ("fsck", "--full", "--no-dangling", "--no-progress")
    completed = run_git(words, directory=folder, runner=runner, timeout=LONG, also=range(1, 128))
    if not completed.status:
        return ""
    # The names of all objects were compared when they were fetched; what counts is that none is missing.
    git.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
    lines = completed.error.decode("utf-8", "backslashreplace").splitlines()
    return "; ".join(lines[:3])


def has_object(folder: str, name: str, *, runner: Runner) -> bool:
    """Whether the repository has what *name* (no option) stands for: ``ID^{commit}``, ``ID:path``."""
    words = ("cat-file", "-e", name)
    return not run_git(words, directory=folder, runner=runner, also=range(1, 129)).status


def attach(folder: str, tree: str, *, runner: Runner, check_out: bool) -> None:
    """Make the repository *folder* that of the working tree *tree*; its files are left as they are, or made."""
    git = _Git(folder, runner)
    git.run("config", "core.bare", "false")
    words = ["--git-dir", folder, "--work-tree", tree, "reset", "--quiet", "--hard" if check_out else "--mixed"]
    try:
        run_git(words, directory=tree, runner=runner, timeout=LONG)
    except GitRepositoryUnusable as error:
        raise _refused(folder, error) from error


def give(folder: str, *, user: int, group: int) -> None:
    """Have all of a folder of our own belong to somebody. Raises OSError."""
    for path, _folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.chown(os.path.join(path, name), user, group, follow_symlinks=False)
        os.chown(path, user, group)


class _Git:
    def __init__(self, folder: str, runner: Runner) -> None:
        self._folder = folder
        self._runner = runner

    def run(self, *words: str) -> str:
        try:
            completed = run_git(words, directory=self._folder, runner=self._runner, timeout=LONG)
        except GitRepositoryUnusable as error:
            raise _refused(self._folder, error) from error
        return completed.output.decode("utf-8", "backslashreplace")

    def refs(self, *, with_head: bool) -> str:
        listed = self.run("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        by_name = {name: oid for oid, _space, name in (line.partition(" ") for line in listed)}
        if with_head:
            by_name[HEAD] = self.run("rev-parse", "--verify", "HEAD^{commit}").strip()
        return digest_of(by_name)


def _refused(folder: str, error: GitRepositoryUnusable) -> FilesArchiveInvalid:
    return FilesArchiveInvalid(
        f"git does not take the bundle: {error.message}", hint=_ANOTHER, details={"path": shown(folder)}
    )


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
