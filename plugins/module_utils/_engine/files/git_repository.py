# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One git repository as it is now: what it holds, what lies in its folder, and why it can't be a whole bundle."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ..core.runner import Runner
from .git_tool import run_git, unusable
from .names import shown

HEAD = "HEAD"
#: What stands for the repository in a working tree: a folder, or a file that names one.
DOT_GIT = ".git"
_NOT_WHOLE = r"^(extensions\.partialclone|remote\..*\.promisor)$"
_URLS = r"^remote\..*\.url$"
_HOST_AND_PATH = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:[^\s:@]+\Z")
_UNTRACKED = "??"
_ALONE = "or store the tree alone: git_bundle: false."


@dataclass(frozen=True)
class Refs:
    """*by_name* maps each ref, and HEAD where it has a commit, to its object; *head* is the branch, empty when none is
    checked out.
    """

    by_name: t.Mapping[str, str]
    head: str

    @property
    def commit(self) -> str:
        """What is checked out; empty before the first commit."""
        return self.by_name.get(HEAD, "")

    @property
    def digest(self) -> str:
        """One hash for all of them."""
        return digest_of(self.by_name)


@dataclass(frozen=True)
class GitRepository:
    """A repository at the absolute *path*: a working tree, or with *is_bare* the repository itself.

    *user* and *group* own it, *committed* is the time of its commit in seconds since 1970, *remotes* are without
    credentials, *modified* and *untracked* count what differs from the commit, *missing_submodules* are those whose
    folders are empty. Its objects take *bytes*.
    """

    path: str
    user: int
    group: int
    refs: Refs
    object_format: str = "sha1"
    is_bare: bool = False
    is_linked: bool = False
    committed: int | None = None
    tags: tuple[str, ...] = ()
    describe: str = ""
    modified: int = 0
    untracked: int = 0
    remotes: t.Mapping[str, str] = field(default_factory=dict)
    missing_submodules: tuple[str, ...] = ()
    bytes: int = 0


def digest_of(refs: t.Mapping[str, str]) -> str:
    """One hash for refs and their objects, in their order."""
    lines = "".join(f"{refs[name]} {name}\n" for name in sorted(refs))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def is_bare_repository(path: str) -> bool:
    """Whether the folder itself has what git keeps elsewhere in ``.git``."""
    return os.path.isfile(os.path.join(path, HEAD)) and all(
        os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs")
    )


def read_refs(path: str, *, runner: Runner) -> Refs:
    """What must be the same while nothing changes. Raises ToolMissing, and GitRepositoryUnusable as all below."""
    return _Reader(path, runner=runner).refs()


def read_repository(path: str, *, runner: Runner) -> GitRepository:
    """All that is noted. Raises GitRepositoryUnusable for what no bundle can hold whole, or nobody may trust."""
    return _Reader(path, runner=runner).read()


class _Reader:
    def __init__(self, path: str, *, runner: Runner) -> None:
        if shown(path) != path:
            raise unusable(path, "its path is no UTF-8", hint=f"Rename it, {_ALONE}")
        self._path = path
        self._runner = runner
        try:
            self._status = os.stat(path)
        except OSError as error:
            raise unusable(path, str(error.strerror)) from error
        self._user = self._status.st_uid
        if os.geteuid() not in (0, self._user):
            raise unusable(
                path,
                f"it belongs to uid {self._user}, and this is uid {os.geteuid()}, which would run what its settings "
                "name",
                hint=f"Run the backup as root, which runs git as the owner, {_ALONE}",
            )
        answers = self._lines("rev-parse", "--is-shallow-repository", "--is-bare-repository")
        places = self._lines("rev-parse", "--absolute-git-dir", "--git-common-dir")
        self._is_bare = answers[1] == "true"
        self._folder, self._common = (os.path.join(path, place) for place in places)
        self._require_one_owner()
        if answers[0] == "true":
            raise unusable(
                path,
                "it is a shallow clone, so it lacks the parents of its oldest commits",
                hint=f"Fetch them: git -C {path} fetch --unshallow; {_ALONE}",
            )
        if self._config(_NOT_WHOLE):
            raise unusable(
                path,
                "it is a partial clone, which leaves objects with the server that it came from",
                hint=f"Clone it without --filter, {_ALONE}",
            )

    def refs(self) -> Refs:
        listed = self._lines("for-each-ref", "--format=%(objectname) %(refname)")
        by_name = {name: oid for oid, _space, name in (line.partition(" ") for line in listed)}
        commit = self._one("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if commit:
            by_name[HEAD] = commit
        return Refs(by_name=by_name, head=self._one("symbolic-ref", "--quiet", HEAD))

    def read(self) -> GitRepository:
        refs = self.refs()
        modified, untracked = (0, 0) if self._is_bare else self._differences()
        time = self._one("rev-list", "--max-count=1", "--timestamp", HEAD).split() if refs.commit else []
        return GitRepository(
            path=self._path,
            user=self._user,
            group=self._status.st_gid,
            refs=refs,
            object_format=self._object_format(),
            is_bare=self._is_bare,
            is_linked=os.path.realpath(self._folder) != os.path.realpath(self._common),
            committed=int(time[0]) if time else None,
            tags=tuple(self._lines("tag", "--points-at", HEAD)) if refs.commit else (),
            describe=self._one("describe", "--tags", "--always") if refs.commit else "",
            modified=modified,
            untracked=untracked,
            remotes=self._remotes(),
            missing_submodules=() if self._is_bare else self._missing_submodules(),
            bytes=self._bytes(),
        )

    def _object_format(self) -> str:
        """Versions before 2.29 know one, and print the question."""
        (answer,) = self._lines("rev-parse", "--show-object-format")
        return "sha1" if answer.startswith("-") else answer

    def _require_one_owner(self) -> None:
        """A file .git that leads to somebody else's repository would have root hand it out."""
        for place in (self._folder, self._common, os.path.join(self._common, "config")):
            try:
                owner = os.stat(place).st_uid
            except OSError as error:
                raise unusable(self._path, f"{place}: {error.strerror}") from error
            if owner != self._user:
                raise unusable(
                    self._path,
                    f"it belongs to uid {self._user}, and {place} to uid {owner}",
                    hint=f"Give both one owner: chown -R, {_ALONE}",
                )

    def _differences(self) -> tuple[int, int]:
        printed = self._run(
            "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty"
        )
        marks = [line[:2] for line in printed.split("\0") if line]
        untracked = marks.count(_UNTRACKED)
        return len(marks) - untracked, untracked

    def _remotes(self) -> dict[str, str]:
        found = {}
        for key, value in self._config(_URLS):
            name, url = key[len("remote.") : -len(".url")], without_credentials(value)
            if url:
                found[name] = url
        return found

    def _bytes(self) -> int:
        """In packs and beside them; git says it in KiB."""
        counted = dict(line.split(": ", 1) for line in self._lines("count-objects", "--verbose"))
        return 1024 * (int(counted.get("size", 0)) + int(counted.get("size-pack", 0)))

    def _missing_submodules(self) -> tuple[str, ...]:
        listed = os.path.join(self._path, ".gitmodules")
        try:
            if not stat.S_ISREG(os.lstat(listed).st_mode):
                return ()
        except FileNotFoundError:
            return ()
        paths = [value for _key, value in self._config(r"^submodule\..*\.path$", "--file", listed)]
        return tuple(path for path in paths if not os.path.lexists(os.path.join(self._path, path, DOT_GIT)))

    def _config(self, pattern: str, *more: str) -> list[tuple[str, str]]:
        printed = self._run("config", "-z", *more, "--get-regexp", pattern, also=(1,))
        found = (entry.partition("\n") for entry in printed.split("\0") if entry)
        return [(key, value) for key, _newline, value in found]

    def _lines(self, *words: str) -> list[str]:
        return self._run(*words).splitlines()

    def _one(self, *words: str) -> str:
        """The only line of an answer, empty when there is none: git then ends with 1, and describe with 128."""
        return self._run(*words, also=(1,)).strip()

    def _run(self, *words: str, also: t.Collection[int] = ()) -> str:
        completed = run_git(words, directory=self._path, runner=self._runner, user=self._user, also=also)
        return completed.output.decode("utf-8", "backslashreplace")


def without_credentials(url: str) -> str:
    """The address of a remote as others may read it; empty where that can't be told."""
    if _HOST_AND_PATH.match(url) or (url.startswith("/") and "@" not in url):
        return url
    try:
        parts = urllib.parse.urlsplit(url)
        place = parts.hostname or ""
        if parts.port is not None:
            place = f"{place}:{parts.port}"
    except ValueError:
        return ""
    if parts.scheme not in ("https", "http", "ssh", "git") or not place or "@" in parts.path:
        return ""
    return f"{parts.scheme}://{place}{parts.path}"
