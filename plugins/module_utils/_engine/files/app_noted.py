# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifest of a backup of an application says of its repositories: written and read in one place."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.clock import format_time
from ..core.errors import ManifestInvalid
from .git_repository import HEAD, GitRepository, Refs, digest_of
from .noted import Noted, noted_in
from .tar_reader import plain_path

#: A manifest is read whenever backups are listed: more refs than this stand in the bundle's own beginning alone.
MOST_REFS = 500
_OBJECT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})?\Z")
_BRANCH = re.compile(r"(?:refs/heads/[^\x00-\x20\x7f~^:?*\[\\]+)?\Z")
_FORMATS = ("sha1", "sha256")


@dataclass(frozen=True)
class NotedRepository:
    """*path* without the slash at its beginning. *payload* is the plain name of the bundle, empty when there was no
    commit; *head* the branch, empty when none was checked out; *digest* that of the refs and HEAD.
    """

    path: str
    payload: str
    commit: str
    head: str
    digest: str
    refs: int
    object_format: str
    is_bare: bool
    user: int
    group: int


@dataclass(frozen=True)
class AppNoted:
    """*files* is about the tree, when *has_tree*."""

    files: Noted
    has_tree: bool
    repositories: tuple[NotedRepository, ...]


def repository_content(repository: GitRepository, *, payload: str, refs: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Of one repository for the manifest; *refs* are those of its bundle."""
    shown = dict(sorted(refs.items())[:MOST_REFS])
    return {
        "path": repository.path,
        "payload": payload or None,
        "commit": repository.refs.commit or None,
        "committed": _time(repository.committed),
        "branch": repository.refs.head.partition("refs/heads/")[2] or None,
        "head": repository.refs.head or None,
        "describe": repository.describe or None,
        "tags": list(repository.tags),
        "modified": repository.modified,
        "untracked": repository.untracked,
        "refs": shown,
        "refs_count": len(refs),
        "refs_sha256": digest_of(refs),
        "object_format": repository.object_format,
        "bare": repository.is_bare,
        "linked": repository.is_linked,
        "missing_submodules": list(repository.missing_submodules),
        "remotes": dict(repository.remotes),
        "owner": [repository.user, repository.group],
    }


def combined_fingerprint(tree: str, repositories: t.Mapping[str, Refs]) -> str:
    """The content hash of an application: its tree, and what its repositories hold and have checked out."""
    document = [tree, [[path, refs.head, refs.digest] for path, refs in sorted(repositories.items())]]
    return hashlib.sha256(json.dumps(document).encode("ascii")).hexdigest()


def app_noted_in(manifest: Manifest) -> AppNoted:
    """Raises ManifestInvalid when it says nothing of an application, and HostileArchive for paths that lead out."""
    try:
        return AppNoted(
            files=noted_in(manifest),
            has_tree=bool(manifest.content["tree"]),
            repositories=tuple(_repository(one) for one in manifest.content["repositories"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestInvalid(
            f"The manifest of {manifest.backup_id} does not say what application it is of: {error!r}.",
            hint="Restore another backup: lifeboat list shows them.",
        ) from error


def _time(seconds: int | None) -> str | None:
    """Whoever makes a commit may give it any time."""
    try:
        return None if seconds is None else format_time(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))
    except (ValueError, OverflowError, OSError):
        return None


def _repository(document: t.Mapping[str, t.Any]) -> NotedRepository:
    user, group = document["owner"]
    made = NotedRepository(
        path=plain_path(str(document["path"]).lstrip("/")),
        payload=str(document["payload"] or ""),
        commit=str(document["commit"] or ""),
        head=str(document["head"] or ""),
        digest=str(document["refs_sha256"]),
        refs=int(document["refs_count"]),
        object_format=str(document["object_format"]),
        is_bare=bool(document["bare"]),
        user=int(user),
        group=int(group),
    )
    # They become words of git.
    if not _OBJECT.match(made.commit) or not _BRANCH.match(made.head) or made.object_format not in _FORMATS:
        raise ValueError(f"{HEAD} of {made.path}")
    return made
